//! What `notify:` may say, and what it may not.

use super::*;
use crate::config::Config;

fn parsed(notify: &str) -> Result<Notify, String> {
    let text = format!("repository: /b\npi: {{host: h, user: u, path: /p}}\nnotify:\n{notify}");
    let home = Home::at(Path::new("/home/owner"));
    Config::parse(Path::new("offsite.yaml"), &text, &home).map(|config| config.notify).map_err(|error| error.to_string())
}

#[test]
fn every_key_is_read() {
    let notify = parsed(
        "  credentials: ~/n.env
  macos: every_night
  ntfy: {url: 'https://ntfy.sh/topic', click: 'https://example.org/', every_night: true}
  healthchecks: {url: 'https://hc-ping.com/5f5a'}
  webhook: {url: 'http://127.0.0.1:8080/hook'}
  email:
    from: Mäc <mac@example.org>
    to: [owner@example.org, Other <other@example.org>]
    host: mail.example.org
    user: mac
",
    )
    .unwrap();
    assert_eq!(notify.secrets_file(), Some(Path::new("/home/owner/n.env")));
    assert_eq!(notify.macos, MacNotices::EveryNight);
    let ntfy = notify.ntfy.as_ref().unwrap();
    assert_eq!((ntfy.url.as_ref().unwrap().as_str(), ntfy.every_night), ("https://ntfy.sh/topic", true));
    let email = notify.email.as_ref().unwrap();
    assert_eq!((email.port, email.security, email.to.len(), email.every_night), (587, Security::StartTls, 2, false));
    assert!(notify.healthchecks.is_some() && notify.webhook.is_some() && !notify.is_silent());
}

#[test]
fn nothing_said_is_what_the_system_can_do() {
    let notify = parsed("  credentials: env\n").unwrap();
    assert_eq!(notify, Notify::default());
    assert_eq!(notify.is_silent(), !platform::current().has_launchd());
}

#[test]
fn what_cannot_work_is_refused_and_no_address_is_repeated() {
    let mail = |more: &str| format!("  email: {{from: a@b.org, to: [c@d.org], host: mail.example.org{more}}}\n");
    for (text, wanted) in [
        ("  macos: sometimes\n".to_owned(), "offsite.yaml:4: notify.macos: expected `none`, `alarms` or `every_night`"),
        ("  ntfy: {url: 'ntfy.sh/secret'}\n".to_owned(), "notify.ntfy.url: expected an address that begins with"),
        ("  ntfy: {url: 'https://ntfy.sh/'}\n".to_owned(), "notify.ntfy.url: expected the address of a topic"),
        ("  ntfy: {url: 'https://ntfy.sh/secret/x'}\n".to_owned(), "notify.ntfy.url: expected the address of a topic"),
        ("  webhook: {url: 'https://user:secret@example.org/'}\n".to_owned(), "notify.webhook.url: expected an address"),
        ("  healthchecks: {url: 'file:///secret'}\n".to_owned(), "notify.healthchecks.url: expected an address"),
        ("  credentials: n.env\n".to_owned(), "notify.credentials: expected `env` or an absolute path"),
        (mail(", security: none"), "notify.email.security: `none` is for a server on this machine"),
        (mail(", security: ssl"), "notify.email.security: expected `starttls`, `tls` or `none`"),
        ("  email: {from: a, to: [c@d.org], host: h}\n".to_owned(), "notify.email.from: expected a mail address"),
        ("  email: {from: a@b.org, to: [], host: h}\n".to_owned(), "notify.email.to: there is nobody to tell"),
        ("  email: {from: a@b.org, to: [\"x\\r\\nBcc: y@z.org\"], host: h}\n".to_owned(), "notify.email.to[0]: expected a mail address"),
        ("  email: {from: a@b.org, to: [c@d.org], host: 'h:25'}\n".to_owned(), "notify.email.host: expected the name"),
        ("  telegram: {}\n".to_owned(), "telegram"),
    ] {
        let found = parsed(&text).unwrap_err();
        assert!(found.contains(wanted) && !found.contains("secret"), "{text}\n{found}");
    }
    assert_eq!(parsed(&mail(", security: tls")).unwrap().email.unwrap().port, 465);
}

#[test]
fn secrets_are_read_by_name_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n.env");
    std::fs::write(&path, "NTFY_TOKEN=tk_x\nWEBHOOK_HEADER=A: b=c\nWEBHOOK_HEADER=D: e\nSMTP_PASSWORD=\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let secrets = NotifySecrets::load(&Credentials::File(path.clone())).unwrap();
    assert_eq!((secrets.get("NTFY_TOKEN"), secrets.get("SMTP_PASSWORD")), (Some("tk_x"), None));
    assert_eq!(secrets.all("WEBHOOK_HEADER").collect::<Vec<_>>(), ["A: b=c", "D: e"]);
    assert!(!format!("{secrets:?}").contains("tk_x"));
    std::fs::write(&path, "AWS_ACCESS_KEY_ID=x\n").unwrap();
    let error = NotifySecrets::load(&Credentials::File(path)).unwrap_err().to_string();
    assert!(error.contains(":1: expected NTFY_URL, NTFY_TOKEN,"), "{error}");
}
