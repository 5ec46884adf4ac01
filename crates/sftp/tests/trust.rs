//! Who is let in on either side, and what is said when somebody is not.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::path::PathBuf;

use futures::TryStreamExt;
use futures::stream;
use object_store::ObjectStore;
use offsite_sftp::server::{Access, EmbeddedServer, Options};
use offsite_sftp::{Auth, PrivateKey, SftpError, SftpStore, Target, keys};
use russh::keys::agent::client::AgentClient;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve};
use support::{Client, Embedded, Fate, Relay, Sshd};
use tokio::net::UnixListener;

async fn refusal(target: &Target) -> SftpError {
    SftpStore::connect(target).await.expect_err("must be refused")
}

fn ecdsa() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap()
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_the_line_to_add() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let target = embedded.client.stranger(embedded.server.port(), "anyone", "/");
    let error = refusal(&target).await;
    let step = error.next_step().unwrap();
    let SftpError::HostKeyUnknown { line, fingerprint, .. } = &error else { panic!("{error}") };
    assert_eq!(*fingerprint, keys::fingerprint(embedded.server.host_key()));
    assert_eq!(*line, embedded.server.known_hosts_line());
    assert!(step.contains(line) && step.contains(&format!("ssh-keyscan -p {}", target.port)), "{step}");
    assert!(!target.known_hosts.exists(), "nothing is learnt silently");
    fs::write(&target.known_hosts, line).unwrap();
    SftpStore::connect(&target).await.unwrap();
}

#[tokio::test]
async fn another_key_is_refused_with_both_fingerprints() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    // Of the same type, and of another: neither makes the host a stranger.
    for recorded in [keys::generate().unwrap(), ecdsa()] {
        let client = Client::new();
        let target = client.target(embedded.server.port(), recorded.public_key(), "anyone", "/");
        let error = refusal(&target).await;
        assert!(matches!(error, SftpError::HostKeyChanged { line: 1, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&keys::fingerprint(embedded.server.host_key())), "{text}");
        assert!(text.contains(&keys::fingerprint(recorded.public_key())), "{text}");
        assert!(error.next_step().unwrap().contains("ssh-keygen"));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_it_is_on_file() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let target = embedded.target();
    let text = fs::read_to_string(&target.known_hosts).unwrap();
    fs::write(&target.known_hosts, format!("{text}@revoked * {}\n", keys::public_line(embedded.server.host_key()))).unwrap();
    assert!(matches!(refusal(&target).await, SftpError::HostKeyRevoked { line: 2, .. }));
}

#[tokio::test]
async fn an_unreadable_known_hosts_is_an_error_not_an_empty_one() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let mut target = embedded.target();
    target.known_hosts = embedded.client.dir.path().to_owned();
    assert!(matches!(refusal(&target).await, SftpError::KnownHostsUnreadable { .. }));
    fs::write(&embedded.client.known_hosts, format!("[127.0.0.1]:{} ssh-ed25519 AAAA\n", embedded.server.port())).unwrap();
    target.known_hosts = embedded.client.known_hosts.clone();
    assert!(matches!(refusal(&target).await, SftpError::KnownHostsInvalid { line: 1, .. }));
}

#[tokio::test]
async fn sshd_presents_the_type_that_is_on_file() {
    let Some(sshd) = Sshd::start() else { return };
    let scan = std::process::Command::new("ssh-keyscan").args(["-p", &sshd.port.to_string(), "127.0.0.1"]).output();
    let Ok(scan) = scan else { return println!("skipped: no ssh-keyscan here") };
    let target = sshd.client.stranger(sshd.port, &sshd.user, sshd.root.path().to_str().unwrap());
    fs::write(&target.known_hosts, scan.stdout).unwrap();
    SftpStore::connect(&target).await.unwrap();
    let hashed = std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&target.known_hosts).output().unwrap();
    assert!(hashed.status.success());
    assert!(fs::read_to_string(&target.known_hosts).unwrap().starts_with("|1|"));
    SftpStore::connect(&target).await.unwrap();
}

#[tokio::test]
async fn key_files() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let client = &embedded.client;
    let mut target = embedded.target();
    let mut with = |path: PathBuf, passphrase: Option<&str>| {
        target.auth = Auth::KeyFile { path, passphrase: passphrase.map(str::to_owned) };
        target.clone()
    };
    let plain = PrivateKey::from_openssh(fs::read_to_string(&client.key).unwrap()).unwrap();
    let locked = client.dir.path().join("locked");
    let sealed = plain.encrypt(&mut safe_rng(), "sesame").unwrap();
    fs::write(&locked, sealed.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    SftpStore::connect(&with(locked.clone(), Some("sesame"))).await.unwrap();
    SftpStore::connect(&with(client.key.clone(), Some("not needed"))).await.unwrap();
    assert!(matches!(refusal(&with(locked.clone(), None)).await, SftpError::KeyEncrypted { .. }));
    assert!(matches!(refusal(&with(locked, Some("simsalabim"))).await, SftpError::KeyPassphrase { .. }));
    assert!(matches!(refusal(&with(client.dir.path().join("none"), None)).await, SftpError::KeyUnreadable { .. }));
    assert!(matches!(refusal(&with(client.known_hosts.clone(), None)).await, SftpError::KeyInvalid { .. }));

    let other = client.dir.path().join("other");
    let public = keys::generate_key_file(&other, "").unwrap();
    let error = refusal(&with(other, None)).await;
    assert!(matches!(&error, SftpError::AuthRefused { user, .. } if user == "anyone"), "{error}");
    assert!(error.to_string().contains(&keys::fingerprint(&public)), "{error}");
    assert!(error.next_step().unwrap().contains("authorized_keys"));
}

#[tokio::test]
async fn an_ecdsa_key_opens_too() {
    let key = ecdsa();
    let client = Client::new();
    fs::write(&client.key, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let options = Options { host_key: Some(ecdsa()), ..Options::default() };
    let server = EmbeddedServer::start_with(root.path(), key.public_key(), options).await.unwrap();
    SftpStore::connect(&client.target(server.port(), server.host_key(), "anyone", "/")).await.unwrap();
}

#[derive(Clone)]
struct Willing;

impl russh::keys::agent::server::Agent for Willing {}

#[tokio::test]
async fn an_agent_offers_its_keys_until_one_fits() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let socket = embedded.client.dir.path().join("agent");
    let mut target = embedded.target();
    target.auth = Auth::AgentAt(socket.clone());
    assert!(matches!(refusal(&target).await, SftpError::AgentUnavailable { .. }));

    let listener = UnixListener::bind(&socket).unwrap();
    let callers = stream::unfold(listener, |listener| async move { Some((listener.accept().await.map(|(caller, _)| caller), listener)) });
    let agent = tokio::spawn(russh::keys::agent::server::serve(Box::pin(callers), Willing));
    assert!(matches!(refusal(&target).await, SftpError::AgentEmpty { .. }));

    let mut keyring = AgentClient::connect_uds(&socket).await.unwrap();
    let wrong = keys::generate().unwrap();
    keyring.add_identity(&wrong, &[]).await.unwrap();
    let error = refusal(&target).await;
    assert!(matches!(error, SftpError::AuthRefused { .. }), "{error}");
    assert!(error.to_string().contains(&keys::fingerprint(wrong.public_key())), "{error}");

    let right = PrivateKey::from_openssh(fs::read_to_string(&embedded.client.key).unwrap()).unwrap();
    keyring.add_identity(&right, &[]).await.unwrap();
    let store = SftpStore::connect(&target).await.unwrap();
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    agent.abort();
}

#[tokio::test]
async fn what_is_behind_the_door() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    fs::write(embedded.root.path().join("file"), "f").unwrap();
    let mut target = embedded.target();
    target.root = "/missing".into();
    assert!(matches!(refusal(&target).await, SftpError::RootMissing { root, .. } if root == "/missing"));
    target.root = "/file".into();
    assert!(matches!(refusal(&target).await, SftpError::RootNotFolder { .. }));

    let root = tempfile::tempdir().unwrap();
    let options = Options { sftp: false, ..Options::default() };
    let server = EmbeddedServer::start_with(root.path(), &embedded.client.public, options).await.unwrap();
    let target = embedded.client.target(server.port(), server.host_key(), "anyone", "/");
    assert!(matches!(refusal(&target).await, SftpError::NoSubsystem { .. }));
}

#[tokio::test]
async fn nobody_there() {
    let client = Client::new();
    // Nothing can listen on port 1 without being root, and nobody does.
    assert!(matches!(refusal(&client.stranger(1, "u", "/")).await, SftpError::Refused { port: 1, .. }));

    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let relay = Relay::start(embedded.server.port(), vec![Fate::Frozen(0), Fate::Cut(0)]).await;
    let mut target = client.stranger(relay.port, "u", "/");
    target.timeouts.connect = std::time::Duration::from_millis(300);
    assert!(matches!(refusal(&target).await, SftpError::ConnectTimeout { step: "exchange keys", .. }));
    target.timeouts.connect = std::time::Duration::from_secs(30);
    assert!(matches!(refusal(&target).await, SftpError::Handshake { .. }));
}
