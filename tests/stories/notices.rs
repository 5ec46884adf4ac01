//! The owner is told: by the real daemon, over every channel, once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use offsite_tests::tree::make_tree;
use offsite_tests::{Home, Lab, Mac, Ntfy, Sink};
use serde_json::Value;

/// A file of credentials.
fn secrets(lab: &Lab, text: &str) -> String {
    let file = lab.file("notify.env", text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("notify:\n  macos: none\n  credentials: '{}'\n", file.display())
}

fn ntfy(server: &Ntfy) -> String {
    format!("  ntfy: {{url: '{}'}}\n", server.url())
}

fn mail(server: &Sink, security: &str, to: &str) -> String {
    let port = server.port();
    format!("  email: {{from: Mac <mac@example.org>, to: [{to}], host: localhost, port: {port}, security: {security}, user: mac}}\n")
}

/// Both authorities in one file, as a system has them.
fn trusted(lab: &Lab, sinks: &[&Sink]) -> (&'static str, String) {
    let all: String = sinks.iter().map(|sink| fs::read_to_string(sink.ca()).unwrap()).collect();
    ("SSL_CERT_FILE", lab.file("trusted.pem", &all).display().to_string())
}

fn titles(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["title"].as_str().unwrap().split_once(": ").unwrap().1).collect()
}

fn subject(mail: &Value) -> &str {
    let headers = mail["headers"].as_array().unwrap();
    headers.iter().find(|header| header[0] == "Subject").unwrap()[1].as_str().unwrap()
}

fn move_away(disk: &Path) {
    fs::rename(disk, disk.with_extension("away")).unwrap();
}

fn move_back(disk: &Path) {
    fs::rename(disk.with_extension("away"), disk).unwrap();
}

#[test]
fn a_failure_is_told_once_and_so_is_its_end() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(server), Some(post), Some(hook)) = (home.pi(), lab.ntfy(), lab.mail("starttls"), lab.https()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let open = format!("NTFY_TOKEN={}\nSMTP_PASSWORD=secret\nWEBHOOK_SECRET=word\n", server.token());
    let more = format!(
        "{}{}{}  webhook: {{url: 'https://localhost:{}/hook', every_night: true}}\n",
        secrets(&lab, &open),
        ntfy(&server),
        mail(&post, "starttls", "owner@example.org"),
        hook.port()
    );
    let disk = Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &disk, &more).with_env([trusted(&lab, &[&post, &hook])]);
    let disk = lab.join("disk");
    let news = |hook: &Sink| -> Vec<String> {
        let of = |got: Value| serde_json::from_str::<Value>(got["body"].as_str().unwrap()).unwrap()["news"].as_str().unwrap().to_owned();
        hook.got().into_iter().map(of).collect()
    };

    // The disk with a copy is not there: the first run says so, the next does not say it again.
    move_away(&disk);
    let _ = mac.offsite(&["daemon"]).exits(3);
    let _ = mac.offsite(&["sync"]).exits(3);
    let _ = mac.offsite(&["daemon"]);
    assert_eq!(server.messages().len(), 1, "{:?}", server.messages());
    let message = &server.messages()[0];
    let text = message["message"].as_str().unwrap();
    assert!(text.contains("disk") && text.contains("next: ") && text.trim_end().ends_with("See: offsite status"), "{text}");
    assert_eq!((message["priority"].as_u64(), message["tags"][0].as_str()), (Some(4), Some("warning")));
    let mails = post.got();
    assert_eq!((mails.len(), &mails[0]["private"], &mails[0]["user"]), (1, &true.into(), &"mac".into()));
    assert!(mails[0]["text"].as_str().unwrap().contains("3-2-1"), "the whole status is in it: {}", mails[0]["text"]);
    assert_eq!(subject(&mails[0]), message["title"].as_str().unwrap());
    assert_eq!(news(&hook), ["alarms"]);
    assert!(hook.got()[0]["headers"].as_object().unwrap().keys().any(|name| name.eq_ignore_ascii_case("x-offsite-signature")));

    // It is there again: one word about that, and none about the good nights after it, but to the one that asked for them.
    move_back(&disk);
    for _ in 0..2 {
        let _ = mac.offsite(&["sync"]).succeeds();
        let _ = mac.offsite(&["daemon"]).succeeds();
    }
    assert_eq!(titles(&server.messages())[1..], ["all is well again"]);
    assert_eq!((post.got().len(), news(&hook)), (2, ["alarms", "well", "night"].map(str::to_owned).to_vec()));
    assert!(mac.receipts_of("failed").iter().all(|failed| failed["step"] != "notify"));
}

#[test]
fn a_receiver_that_is_away_costs_no_night_and_hears_of_it_later() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(server)) = (home.pi(), lab.ntfy()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    // A token of nobody.
    let file = |token: &str| format!("{}{}", secrets(&lab, &format!("NTFY_TOKEN={token}\n")), ntfy(&server));
    let wrong = file("tk_0000000000000000000000000000");
    let disk = Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &disk, &wrong);
    let disk = lab.join("disk");
    move_away(&disk);
    let _ = mac.offsite(&["daemon"]).exits(3);
    move_back(&disk);
    // The run itself goes well, whoever could be told of it or not; status says who could not.
    let _ = mac.offsite(&["sync"]).exits(0);
    let status = mac.offsite(&["status"]).exits(3);
    status.says("untold");
    status.says("127.0.0.1");
    let _ = mac.offsite(&["sync"]).exits(0);
    let failed = || mac.receipts_of("failed").into_iter().filter(|failed| failed["step"] == "notify").count();
    assert_eq!((failed(), server.messages().len()), (1, 0), "one receipt, however often");

    // Again with something to tell, and the right token. It was left alone for a while; a test that it takes ends that, and the daemon has
    // nothing to do but to tell.
    move_away(&disk);
    let _ = mac.offsite(&["sync"]).exits(3);
    let _ = file(server.token());
    let _ = mac.offsite(&["notify", "test"]).exits(0);
    let _ = mac.offsite(&["daemon"]);
    assert_eq!((failed(), server.messages().len(), mac.receipts_of("notified").len()), (1, 2, 1));
    move_back(&disk);
    let _ = mac.offsite(&["sync"]).exits(0);
    let _ = mac.offsite(&["status"]).exits(0);
    assert_eq!(titles(&server.messages())[2..], ["all is well again"]);
}

#[test]
fn a_receiver_that_hangs_holds_up_no_signal() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    // It takes the connection, and then says nothing for as long as the test likes.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let hook = format!("notify:\n  macos: none\n  webhook: {{url: 'http://{}/'}}\n", silent.local_addr().unwrap());
    let disk = Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &disk, &hook);
    move_away(&lab.join("disk"));
    let daemon = mac.cmd().arg("daemon").command().stderr(Stdio::piped()).spawn().unwrap();
    let held = silent.accept().unwrap();
    assert_eq!(mac.receipts_of("ran").len(), 1, "the run had ended, and its receipt is there");
    let pid = rustix::process::Pid::from_raw(daemon.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = daemon.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&ended.stderr).contains("stopped by a signal"), "{ended:?}");
    assert!(mac.receipts_of("failed").iter().all(|failed| failed["step"] != "notify"), "nobody knows yet whether it got through");

    // So the next start tells, though the run is not tried again yet.
    drop(held);
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = silent.accept().unwrap();
        let mut first = [0; 6];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        first
    });
    let _ = mac.offsite(&["daemon"]);
    assert_eq!(&asked.join().unwrap(), b"POST /");
    assert_eq!(mac.receipts_of("failed").iter().filter(|failed| failed["step"] == "notify").count(), 1);
}

#[test]
fn a_configuration_that_breaks_is_told_to_whom_it_named_last() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(hook)) = (home.pi(), lab.https()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let more = format!("{}  webhook: {{url: 'https://localhost:{}/hook'}}\n", secrets(&lab, ""), hook.port());
    let mac = Mac::new(&lab, &home.entry(&pi), "", &more).with_env([trusted(&lab, &[&hook])]);
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!(hook.got(), [] as [Value; 0], "a good night is no news");

    let good = fs::read_to_string(mac.config()).unwrap();
    fs::write(mac.config(), good.replace("notify:", "notfy:")).unwrap();
    for _ in 0..2 {
        mac.offsite(&["daemon"]).exits(2).says("notfy");
    }
    let body = |at: usize| hook.got()[at]["body"].as_str().unwrap().to_owned();
    assert_eq!(hook.got().len(), 1, "told once");
    assert!(body(0).contains("failed run") && body(0).contains("notfy"), "{}", body(0));

    fs::write(mac.config(), good).unwrap();
    let _ = mac.offsite(&["sync"]).succeeds();
    assert!(hook.got().len() == 2 && body(1).contains("all is well again"), "{:?}", hook.got());
}

#[test]
fn an_archive_that_is_not_like_those_before_it_is_told_until_it_is_accepted() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(hook)) = (home.pi(), lab.https()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let more = format!("{}  webhook: {{url: 'https://localhost:{}/hook'}}\n", secrets(&lab, ""), hook.port());
    let mac = Mac::new(&lab, &home.entry(&pi), "", &more).with_env([trusted(&lab, &[&hook])]);
    let _ = mac.offsite(&["sync"]).succeeds();

    // Another disk is where the right one was: with something on it, so that the agent takes it.
    fs::rename(home.source(), lab.join("right")).unwrap();
    fs::create_dir_all(home.source().join("lost+found")).unwrap();
    let odd = home.archive();
    for _ in 0..2 {
        let _ = mac.offsite(&["sync"]).exits(3);
    }
    let told = || -> Vec<Value> { hook.got().iter().map(|got| serde_json::from_str(got["body"].as_str().unwrap()).unwrap()).collect() };
    assert_eq!(told().len(), 1, "a good night is no news, and a bad archive is told once: {:?}, {:?}", told(), mac.receipts());
    let alarm = &told()[0]["begun"][0];
    assert_eq!((&alarm["kind"], &alarm["object"]), (&"suspicious".into(), &odd.as_str().into()), "{:?}", told());
    assert!(alarm["next"].as_str().unwrap().contains(&format!("offsite accept {odd}")), "{alarm}");

    let _ = mac.offsite(&["accept", &odd]).succeeds();
    let _ = mac.offsite(&["sync"]).succeeds();
    let news: Vec<Value> = told().iter().map(|told| told["news"].clone()).collect();
    assert_eq!(news, ["alarms", "well"], "{:?}", told());
}

#[test]
fn a_test_says_of_each_channel_what_became_of_it() {
    let lab = Lab::new();
    let (Some(server), Some(start), Some(tls), Some(plain), Some(hook)) =
        (lab.ntfy(), lab.mail("starttls"), lab.mail("tls"), lab.mail("none"), lab.https())
    else {
        return;
    };
    let pi = "- {name: pi, host: 127.0.0.1, user: u, path: /p, agent: true}\n";
    let mac = Mac::new(&lab, pi, "", "").with_env([trusted(&lab, &[&start, &tls, &hook])]);
    mac.offsite(&["notify", "test"]).says("nobody is told of anything");
    let test = |secret: &str, channels: &str| {
        mac.configure(pi, "", &format!("{}{channels}", secrets(&lab, secret)));
        mac.offsite(&["notify", "test"])
    };
    let https = format!("  webhook: {{url: 'https://127.0.0.1:{}/'}}\n", hook.port());

    let good = "NTFY_USER=mac\nNTFY_PASSWORD=secret\nSMTP_PASSWORD=secret\n";
    let said =
        test(good, &format!("{}{https}{}", ntfy(&server), mail(&start, "starttls", "owner@example.org, Other <o@example.org>"))).exits(0);
    for channel in ["ntfy         took it", "webhook      took it", "email        took it"] {
        said.says(channel);
    }
    assert_eq!((titles(&server.messages()), start.got()[0]["to"].as_array().unwrap().len()), (vec!["a test"], 2));
    let _ = test(good, &mail(&tls, "tls", "owner@example.org")).exits(0);
    let _ = test(good, &mail(&plain, "none", "owner@example.org")).exits(0);
    assert_eq!((&tls.got()[0]["private"], &plain.got()[0]["private"]), (&true.into(), &false.into()));

    // Each in its own way: who one is, whom it is for, what the line is, what the certificate says.
    test("SMTP_PASSWORD=wrong\n", &mail(&start, "starttls", "owner@example.org"))
        .exits(1)
        .says("next: check account, sender and recipients");
    test(good, &mail(&start, "starttls", "reject@example.org")).exits(1).says("answered 550");
    test(good, &mail(&plain, "starttls", "owner@example.org")).exits(1).says("cannot send mail through localhost:");
    test("", &mail(&start, "starttls", "owner@example.org")).exits(1).says("SMTP_PASSWORD is not set");
    let some = test("NTFY_TOKEN=tk_0000000000000000000000000000\n", &format!("{}{https}", ntfy(&server))).exits(3);
    some.says("failed: 127.0.0.1:");
    some.says("next: check the credentials of ntfy");
    // The same without the list of authorities.
    mac.configure(pi, "", &format!("{}{https}", secrets(&lab, "")));
    let said = lab.offsite().arg("--config").arg(mac.config()).args(["notify", "test"]).run().exits(1);
    assert!(said.out.to_lowercase().contains("certificate"), "{}", said.out);
    assert_eq!(mac.receipts(), [] as [Value; 0], "a test is no receipt");
}

#[test]
fn what_a_daemon_without_a_screen_had_to_say_is_shown_later() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let disk = Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &disk, "notify: {macos: alarms}\n");
    let _ = mac.offsite(&["notices"]).succeeds();
    move_away(&lab.join("disk"));
    let _ = mac.offsite(&["daemon"]).exits(3);
    move_back(&lab.join("disk"));
    let _ = mac.offsite(&["sync"]).succeeds();
    let waiting = || fs::read_dir(mac.state().join("notices")).unwrap().count();
    assert_eq!(waiting(), 2);
    let said = mac.offsite(&["notices"]).succeeds();
    let (alarm, well) = said.out.split_once("all is well again").unwrap();
    assert!(alarm.contains("offsite on ") && alarm.contains("disk") && !well.contains("offsite on "), "{}", said.out);
    assert_eq!((waiting(), mac.offsite(&["notices"]).succeeds().out.as_str()), (0, ""));
}
