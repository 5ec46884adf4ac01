//! Each channel's own format, and what ill receivers do to it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    alarm, bounds, config, header,
    receiver::{Answer, Receiver},
    report,
};
use crate::{
    config::Config,
    notify::{
        News, Outgoing, SendError,
        channel::{self, Channel},
        healthchecks::{self, Ping},
        http::Bounds,
        news::key,
    },
    status::{Alarm, Kind},
};

fn outgoing(alarms: Vec<Alarm>) -> Outgoing {
    let report = report("2026-11-22T08:00:00Z".parse().unwrap(), alarms.clone(), None);
    Outgoing::of(&News::Alarms { begun: alarms, again: Vec::new(), others: 2 }, &report, "mini", "the status\n".to_owned())
}

fn two() -> Outgoing {
    outgoing(vec![alarm(Kind::Lost, "services/2026-11-21T030000Z in mac"), alarm(Kind::Overdue, "run")])
}

/// The configuration with a file of credentials.
fn with_secrets(folder: &Path, secrets: &str, notify: &str) -> Config {
    let file = folder.join("notify.env");
    fs::write(&file, secrets).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    config(folder, &format!("  credentials: '{}'\n{notify}", file.display()))
}

async fn send(config: &Config, bounds: &Bounds, out: &Outgoing) -> Result<(), SendError> {
    let channels = Channel::all(config);
    assert_eq!(channels.len(), 1);
    channels[0].send(config, bounds, out).await
}

async fn to_webhook(receiver: &Receiver, bounds: &Bounds) -> Result<(), SendError> {
    let dir = tempfile::tempdir().unwrap();
    send(&config(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/hook/SECRET"))), bounds, &two()).await
}

#[tokio::test]
async fn ntfy_gets_its_own_json_and_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let notify = format!("  ntfy: {{url: '{}', click: 'https://example.org/x'}}\n", receiver.url("/topic_1"));
    for (secrets, wanted) in
        [("", ""), ("NTFY_TOKEN=tk_abc\n", "Bearer tk_abc"), ("NTFY_USER=mac\nNTFY_PASSWORD=pass\n", "Basic bWFjOnBhc3M=")]
    {
        send(&with_secrets(dir.path(), secrets, &notify), &bounds(), &outgoing(vec![alarm(Kind::Space, "Sicherungen/ü")])).await.unwrap();
        let got = receiver.got().pop().unwrap();
        let body: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!((got.line.as_str(), header(&got.headers, "authorization")), ("POST /", wanted));
        assert_eq!((&body["topic"], &body["title"]), (&"topic_1".into(), &"offsite on mini: space Sicherungen/ü".into()));
        assert_eq!((&body["priority"], &body["tags"][0], &body["click"]), (&3.into(), &"warning".into(), &"https://example.org/x".into()));
        assert_eq!(
            body["message"],
            "space Sicherungen/ü: Sicherungen/ü is in trouble\n  next: do something\n2 alarms stand that were told before\nSee: offsite status\n"
        );
    }
    // The topic may be the secret.
    let secrets = format!("NTFY_URL={}\n", receiver.url("/hidden"));
    send(&with_secrets(dir.path(), &secrets, "  ntfy: {}\n"), &bounds(), &two()).await.unwrap();
    let body: Value = serde_json::from_str(&receiver.got().pop().unwrap().body).unwrap();
    assert_eq!((&body["topic"], &body["priority"]), (&"hidden".into(), &4.into()));
    let unset = send(&config(dir.path(), "  ntfy: {}\n"), &bounds(), &two()).await.unwrap_err();
    assert_eq!(unset.to_string(), "NTFY_URL is not set, nor `notify.ntfy.url` in the configuration");
}

#[tokio::test]
async fn a_webhook_gets_one_object_signed_with_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::status(204)]);
    let secrets = "WEBHOOK_SECRET=Jefe\nWEBHOOK_HEADER=Authorization: Bearer x=y\nWEBHOOK_HEADER=X-Room: cellar\n";
    let notify = format!("  webhook: {{url: '{}'}}\n", receiver.url("/hook?room=1"));
    send(&with_secrets(dir.path(), secrets, &notify), &bounds(), &two()).await.unwrap();
    let got = receiver.got().pop().unwrap();
    assert_eq!(got.line, "POST /hook?room=1");
    let names = ["content-type", "authorization", "x-room"];
    assert_eq!(names.map(|name| header(&got.headers, name)), ["application/json", "Bearer x=y", "cellar"]);
    assert!(header(&got.headers, "user-agent").starts_with("offsite/"));
    let signature = header(&got.headers, "x-offsite-signature").strip_prefix("sha256=").unwrap();
    assert_eq!(signature.len(), 64);
    let body: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!((&body["version"], &body["news"], &body["mac"]), (&1.into(), &"alarms".into(), &"mini".into()));
    assert_eq!((&body["begun"][0]["kind"], &body["begun"][1]["object"]), (&"lost".into(), &"run".into()));
    assert_eq!(body["title"], "offsite on mini: 2 alarms (lost, overdue)");
    let bad = with_secrets(dir.path(), "WEBHOOK_HEADER=no colon\n", &notify);
    let refused = send(&bad, &bounds(), &two()).await.unwrap_err();
    assert!(refused.to_string().starts_with("WEBHOOK_HEADER of the credentials is not a header"), "{refused}");
}

#[tokio::test]
async fn healthchecks_is_pinged_by_its_api() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = config(dir.path(), &format!("  healthchecks: {{url: '{}'}}\n", receiver.url("/ping/5f5a")));
    let long = "ü".repeat(50_000);
    for what in [(Ping::Start, ""), (Ping::Success, "fine\n"), (Ping::Fail, long.as_str()), (Ping::Log, "t")] {
        channel::ping(&config, &bounds(), what).await.unwrap();
    }
    let got = receiver.got();
    let lines: Vec<&str> = got.iter().map(|got| got.line.as_str()).collect();
    assert_eq!(lines, ["POST /ping/5f5a/start", "POST /ping/5f5a", "POST /ping/5f5a/fail", "POST /ping/5f5a/log"]);
    assert_eq!(got[1].body, "fine\n");
    assert!((9_000..=10_000).contains(&got[2].body.len()), "{}", got[2].body.len());
}

#[test]
fn a_pings_body_has_the_receipts_of_the_last_run_only() {
    use crate::journal::{Fact, Outcome, Receipt};
    let at = |second, fact| Receipt { time: Timestamp::from_second(second).unwrap(), fact };
    let ran = |outcome| serde_json::from_value(serde_json::json!({"kind": "ran", "outcome": outcome})).unwrap();
    let accepted = |name: &str| Fact::Accepted { archive: name.parse().unwrap() };
    let receipts = [
        at(1, accepted("a/2026-11-20T030000Z")),
        at(2, ran(Outcome::Fine)),
        at(3, accepted("a/2026-11-21T030000Z")),
        at(4, ran(Outcome::Failed)),
        at(5, accepted("a/2026-11-22T030000Z")),
    ];
    let body = healthchecks::body(&report(Timestamp::UNIX_EPOCH, vec![alarm(Kind::Lost, "x")], None), &receipts);
    assert!(body.contains("lost x: x is in trouble\n") && body.contains("2026-11-21T030000Z") && body.contains("\"failed\""), "{body}");
    assert_eq!(body.lines().filter(|line| line.starts_with('{')).count(), 2, "{body}");
    assert!(!body.contains("2026-11-20T") && !body.contains("2026-11-22T030000Z"), "{body}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let fine = || Answer::fine();
    for (answers, tries, wanted) in [
        (vec![Answer::status(500), Answer::status(503), fine()], 3, None),
        (vec![Answer::Says(429, "Retry-After: 86400\r\n", String::new()), fine()], 2, None),
        // It has the message, and may have shown it.
        (vec![Answer::Closes, fine()], 1, Some("cannot post to")),
        (vec![Answer::status(500)], 3, Some("answered 500")),
        (vec![Answer::Says(403, "", "no\u{1b}[2J\r\nway".into()), fine()], 1, Some("answered 403")),
        (vec![Answer::status(404), fine()], 1, Some("answered 404")),
    ] {
        let receiver = Receiver::new(answers);
        let sent = to_webhook(&receiver, &bounds()).await;
        assert_eq!(receiver.got().len(), tries);
        match (sent, wanted) {
            (Ok(()), None) => {}
            (Err(error), Some(wanted)) => {
                assert!(error.to_string().contains(wanted), "{error}");
                assert!(!error.to_string().contains("SECRET") && !error.next("webhook").is_empty());
            }
            (sent, wanted) => panic!("{sent:?} instead of {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_on_to_where_a_redirect_points() {
    let other = Receiver::new([Answer::fine()]);
    for status in [301, 302, 303, 307, 308] {
        let header: &'static str = Box::leak(format!("Location: {}\r\n", other.url("/")).into_boxed_str());
        let receiver = Receiver::new([Answer::Says(status, header, String::new())]);
        let error = to_webhook(&receiver, &bounds()).await.unwrap_err();
        assert!(matches!(error, SendError::Moved { .. }), "{error}");
        assert_eq!(receiver.got().len(), 1);
    }
    // In a circle, to itself.
    let receiver = Receiver::new([Answer::Says(302, "Location: /hook/SECRET\r\n", String::new())]);
    assert!(to_webhook(&receiver, &bounds()).await.is_err());
    assert_eq!((receiver.got().len(), other.got().len()), (1, 0));
}

#[tokio::test]
async fn who_never_answers_is_given_up() {
    for answer in [Answer::Hangs, Answer::Drips] {
        let receiver = Receiver::new([answer]);
        let short = Bounds { request: Duration::from_millis(100), ..bounds() };
        let error = to_webhook(&receiver, &short).await.unwrap_err();
        assert!(matches!(&error, SendError::Post { source, .. } if source.is_timeout()), "{error}");
        assert!(receiver.got().len() <= 1, "it may have shown what it got");
        // And if every try may take long, the whole may not.
        let short = Bounds { total: Duration::from_millis(100), ..bounds() };
        assert!(matches!(to_webhook(&receiver, &short).await.unwrap_err(), SendError::Slow { .. }));
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let huge = "x".repeat(10_000_000);
    to_webhook(&Receiver::new([Answer::Says(200, "", huge.clone())]), &bounds()).await.unwrap();
    let error = to_webhook(&Receiver::new([Answer::Says(400, "", huge)]), &bounds()).await.unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[tokio::test]
async fn nothing_that_a_server_says_is_repeated() {
    for status in [400, 401, 404, 500] {
        let receiver = Receiver::new([Answer::Says(status, "", "Cannot POST /hook/SECRET with tk_SECRET".into())]);
        let error = to_webhook(&receiver, &bounds()).await.unwrap_err();
        let words = super::super::telling::words(&error);
        assert!(words.ends_with(&format!("answered {status}")) && !error.next("webhook").contains("SECRET"), "{words}");
    }
    for (said, wanted, tries) in [
        ("550 SECRET", "answered 550", 1),
        ("451-SECRET\r\n451 SECRET", "answered 451", 3),
        ("SECRET", "does not answer as a mail server does", 1),
    ] {
        let (port, asked) = mail_server(said);
        let dir = tempfile::tempdir().unwrap();
        let notify = "  email: {from: a@example.org, to: [b@example.org], host: 127.0.0.1, security: none, port: ";
        let error = send(&config(dir.path(), &format!("{notify}{port}}}\n")), &bounds(), &two()).await.unwrap_err();
        let words = super::super::telling::words(&error);
        assert!(words.contains(wanted) && !words.contains("SECRET"), "{words}");
        assert_eq!(asked.load(Ordering::SeqCst), tries, "{said}");
    }
}

/// A mail server that greets, and answers so to each sender; its port, and how often it was asked.
fn mail_server(says: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"220 x\r\n");
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let mail = line.starts_with("MAIL");
                count.fetch_add(usize::from(mail), Ordering::SeqCst);
                if stream.write_all(format!("{}\r\n", if mail { says } else { "250 x" }).as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, asked)
}

#[tokio::test]
async fn nobody_there_is_an_error_without_the_address() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &format!("  webhook: {{url: 'http://{closed}/SECRET'}}\n"));
    let error = send(&config, &bounds(), &two()).await.unwrap_err();
    let words = super::super::telling::words(&error);
    assert!(words.starts_with(&format!("cannot post to {closed}: ")) && !words.contains("SECRET"), "{words}");
    assert!(words.to_lowercase().contains("connection refused"), "{words}");
}

#[tokio::test]
async fn a_file_of_credentials_that_others_can_read_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = with_secrets(dir.path(), "NTFY_TOKEN=tk\n", &format!("  ntfy: {{url: '{}'}}\n", receiver.url("/t")));
    fs::set_permissions(dir.path().join("notify.env"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = send(&config, &bounds(), &two()).await.unwrap_err();
    assert!(error.next("ntfy").starts_with("chmod 600 "), "{error}");
    assert_eq!(receiver.got().len(), 0);
}

#[test]
fn words_stay_on_their_lines_and_within_bounds() {
    let evil = Alarm { kind: Kind::Failed, object: "pull x\r\nBcc: y\u{1b}[2J".into(), message: "a\nb".into(), next: Some("c\rd".into()) };
    let out = outgoing(vec![evil.clone()]);
    assert!(!out.title.contains(['\r', '\n', '\u{1b}']), "{}", out.title);
    assert_eq!(out.text.lines().count(), 4, "{}", out.text);
    let many = outgoing((0..40).map(|n| alarm(Kind::Lost, &format!("ü{n} {}", "x".repeat(200)))).collect());
    assert!(many.text.contains("and 28 more\n"));
    assert_eq!(many.text.lines().filter(|line| line.starts_with("lost ")).count(), 12);
    for longest in [0, 3, 4, 100, 3800] {
        assert!(many.short(longest).len() <= longest.max(5), "{longest}");
    }
    assert_eq!(key(&evil), "failed pull x\r\nBcc: y\u{1b}[2J");
}
