//! SSH as people have it: a configuration of their own, agents, locked keys, hosts behind hosts, names that lead nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path as FilePath, PathBuf};

use futures::{TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use offsite_sftp::openssh::{Asked, SshHost, split_jump};
use offsite_sftp::server::Access;
use offsite_sftp::{Auth, Hop, PrivateKey, SftpError, SftpStore, Target, keys};
use russh::keys::agent::client::AgentClient;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use support::{Embedded, Fate, Relay, Sshd, content};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

async fn lists(target: &Target) -> Result<usize, SftpError> {
    let store = SftpStore::connect(target).await?;
    Ok(store.list(None).try_collect::<Vec<_>>().await.unwrap().len())
}

#[derive(Clone)]
struct Willing;

impl russh::keys::agent::server::Agent for Willing {}

/// An agent with these keys, at `socket`.
async fn agent(socket: &FilePath, keys: &[&PrivateKey]) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let callers = stream::unfold(listener, |listener| async move { Some((listener.accept().await.map(|(caller, _)| caller), listener)) });
    let serving = tokio::spawn(async {
        let _ = russh::keys::agent::server::serve(Box::pin(callers), Willing).await;
    });
    let mut keyring = AgentClient::connect_uds(socket).await.unwrap();
    for key in keys {
        keyring.add_identity(key, &[]).await.unwrap();
    }
    serving
}

fn locked(key: &PrivateKey, path: PathBuf) -> PathBuf {
    fs::write(&path, key.encrypt(&mut safe_rng(), "sesame").unwrap().to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    path
}

#[tokio::test]
async fn keys_are_tried_as_ssh_does() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let dir = embedded.client.dir.path();
    let right = PrivateKey::from_openssh(fs::read_to_string(&embedded.client.key).unwrap()).unwrap();
    let wrong = dir.join("wrong");
    keys::generate_key_file(&wrong, "").unwrap();
    let locked = locked(&right, dir.join("locked"));
    let base = embedded.target();
    let with = |files: &[&PathBuf], agent: Option<&FilePath>, only: bool, passphrase: Option<&str>| Target {
        auth: Auth::Ssh {
            files: files.iter().map(|file| file.to_path_buf()).collect(),
            agent: agent.map(FilePath::to_owned),
            only,
            passphrase: passphrase.map(str::to_owned),
        },
        ..base.clone()
    };
    let (socket, other) = (dir.join("agent"), dir.join("other-agent"));
    let _agents = [agent(&socket, &[&right]).await, agent(&other, &[&keys::generate().unwrap()]).await];

    lists(&with(&[&wrong, &embedded.client.key], None, false, None)).await.unwrap();
    // A locked key opens by its passphrase, or is in the agent; an agent that is not there is none.
    lists(&with(&[&locked], None, false, Some("sesame"))).await.unwrap();
    lists(&with(&[&wrong, &locked], Some(&socket), true, None)).await.unwrap();
    lists(&with(&[], Some(&socket), false, None)).await.unwrap();
    lists(&with(&[&embedded.client.key], Some(&dir.join("nobody")), false, None)).await.unwrap();

    let refused = lists(&with(&[&locked], Some(&other), true, None)).await.unwrap_err();
    assert!(matches!(refused, SftpError::KeyEncrypted { .. }), "{refused}");
    assert!(refused.next_step().unwrap().contains("ssh-add"));
    // IdentitiesOnly: what else the agent has is not offered.
    let refused = lists(&with(&[&wrong], Some(&socket), true, None)).await.unwrap_err();
    assert!(matches!(refused, SftpError::AuthRefused { .. }), "{refused}");
    let refused = lists(&with(&[&wrong, &locked], Some(&other), false, None)).await.unwrap_err();
    assert!(refused.to_string().contains("not offered"), "{refused}");
    let refused = lists(&with(&[], None, false, None)).await.unwrap_err();
    assert!(matches!(refused, SftpError::NoKey { .. }), "{refused}");
}

/// As password managers have it: the private half is in the agent and nowhere else, and `IdentityFile` says which of its keys is meant.
#[tokio::test]
async fn a_key_that_only_an_agent_holds_is_named_by_its_public_half() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let dir = embedded.client.dir.path();
    let right = PrivateKey::from_openssh(fs::read_to_string(&embedded.client.key).unwrap()).unwrap();
    let (socket, other) = (dir.join("agent"), dir.join("other-agent"));
    let _agents = [agent(&socket, &[&keys::generate().unwrap(), &right]).await, agent(&other, &[&keys::generate().unwrap()]).await];
    // One public half is named itself, the other is beside a private one that is not there.
    let (public, gone) = (dir.join("public"), dir.join("gone"));
    for file in [&public, &dir.join("gone.pub")] {
        fs::write(file, format!("{} a comment\n", keys::public_line(right.public_key()))).unwrap();
    }
    let config = dir.join("config");
    fs::write(
        &config,
        format!(
            "Host public\n  IdentityFile {}\nHost gone\n  IdentityFile {}\nHost *\n  IdentityFile {0}-not\n",
            public.display(),
            gone.display()
        ),
    )
    .unwrap();
    let base = embedded.target();
    let with = |file: &PathBuf, socket: &PathBuf| Target {
        auth: Auth::Ssh { files: vec![file.clone()], agent: Some(socket.clone()), only: true, passphrase: None },
        ..base.clone()
    };
    for (host, file) in [("public", &public), ("gone", &gone)] {
        lists(&with(file, &socket)).await.unwrap();
        if let Some(found) = SshHost::ask(host, &Asked { file: Some(&config), ..Asked::default() }).unwrap() {
            assert_eq!(&found.keys, std::slice::from_ref(file));
        }
    }
    let refused = lists(&with(&public, &other)).await.unwrap_err();
    assert!(matches!(&refused, SftpError::KeyInvalid { .. }) && refused.to_string().contains("public half"), "{refused}");
    assert!(matches!(lists(&with(&gone, &other)).await.unwrap_err(), SftpError::KeyUnreadable { .. }));
}

#[tokio::test]
async fn a_host_key_may_be_on_file_in_any_file_and_revoked_in_any() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let mut target = embedded.target();
    let (known, more) = (target.known_hosts.clone(), embedded.client.dir.path().join("more"));
    target.more_known_hosts = vec![more.clone()];
    lists(&target).await.unwrap();
    fs::write(&more, format!("\n@revoked * {}\n", keys::public_line(embedded.server.host_key()))).unwrap();
    let refused = lists(&target).await.unwrap_err();
    assert!(matches!(&refused, SftpError::HostKeyRevoked { known_hosts, line: 2, .. } if *known_hosts == more), "{refused}");
    // The other way round, and known by the second alone.
    (target.known_hosts, target.more_known_hosts) = (more.clone(), vec![known]);
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::HostKeyRevoked { .. }));
    fs::write(&more, "").unwrap();
    lists(&target).await.unwrap();
    target.more_known_hosts.clear();
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::HostKeyUnknown { .. }));
}

/// The whole way: `ssh -G` reads a configuration with patterns and an included file, and what it says leads to a real sshd, through
/// itself as a jump host.
#[tokio::test]
async fn an_alias_leads_through_a_jump_host_to_the_folder() {
    let Some(sshd) = Sshd::start() else { return };
    let dir = sshd.client.dir.path();
    let _known = sshd.target();
    fs::write(sshd.root.path().join("file"), "f").unwrap();
    fs::write(
        dir.join("included"),
        format!("Host pi gate\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n", sshd.port, sshd.client.key.display()),
    )
    .unwrap();
    let config = dir.join("config");
    let user = &sshd.user;
    fs::write(
        &config,
        format!(
            "Include {0}/included\nHost pi\n  ProxyJump {user}@gate\nHost p?\n  User {user}\nHost *\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             UserKnownHostsFile {0}/none {0}/known_hosts\n",
            dir.display()
        ),
    )
    .unwrap();
    let ask = |host: &str, user: Option<&str>, port| SshHost::ask(host, &Asked { file: Some(&config), user, port });
    let Some(found) = ask("pi", None, None).unwrap() else {
        println!("skipped: no ssh here");
        return;
    };
    assert_eq!((found.host.as_str(), found.port, &found.user, found.keys_only), ("127.0.0.1", sshd.port, user, true));
    assert_eq!((&found.keys[..], &found.agent), (&[sshd.client.key.clone()][..], &None));
    assert_eq!(found.known_hosts[..2], [dir.join("none"), dir.join("known_hosts")]);
    assert!(found.known_hosts[2..].contains(&PathBuf::from("/etc/ssh/ssh_known_hosts")), "{found:?}");

    let hop = |found: SshHost| Hop {
        host: found.host,
        port: found.port,
        user: found.user,
        known_hosts: found.known_hosts[1].clone(),
        more_known_hosts: Vec::new(),
        key_alias: found.key_alias,
        ciphers: found.ciphers,
        auth: Auth::Ssh { files: found.keys, agent: found.agent, only: found.keys_only, passphrase: None },
    };
    let (user, host, port) = split_jump(&found.jumps[0]);
    let jump = hop(ask(host, user, port).unwrap().unwrap());
    let last = hop(found.clone());
    let root = sshd.root.path().to_str().unwrap();
    let target = Target { port: last.port, jumps: vec![jump], ..Target::new(last.host, last.user, root, last.known_hosts, last.auth) };
    assert_eq!(lists(&target).await.unwrap(), 1);

    // A jump host whose key is not on file is not gone through.
    let mut stranger = target.clone();
    stranger.jumps[0].known_hosts = dir.join("none");
    assert!(matches!(lists(&stranger).await.unwrap_err(), SftpError::HostKeyUnknown { .. }));

    // What only ssh can do is said, and so is a mistake in the file.
    fs::write(&config, "Host pi\n  ProxyCommand nc %h %p\n").unwrap();
    let refused = ask("pi", None, None).unwrap_err().to_string();
    assert!(refused.contains("ProxyCommand") && !refused.contains("nc "), "{refused}");
    for setting in ["RevokedHostKeys", "KnownHostsCommand"] {
        fs::write(&config, format!("Host pi\n  {setting} /usr/bin/true\n")).unwrap();
        let refused = ask("pi", None, None).unwrap_err().to_string();
        assert!(refused.contains(setting), "{refused}");
    }
    // Names that only ssh writes out are those that it writes out; one that it cannot is said.
    fs::write(dir.join("id a\"pi"), "").unwrap();
    fs::write(&config, format!("Host pi\n  IdentityFile \"{}/%% a\\\"%n\"\n  IdentityFile \"{0}/id a\\\"%k\"\n", dir.display())).unwrap();
    assert_eq!(ask("pi", None, None).unwrap().unwrap().keys, [dir.join("id a\"pi")]);
    fs::write(&config, "Host pi\n  IdentityFile /keys/%Z\n").unwrap();
    let refused = ask("pi", None, None).unwrap_err().to_string();
    assert!(refused.contains("IdentityFile /keys/%Z"), "{refused}");
    fs::write(&config, "Host pi\n  Prot 22\n").unwrap();
    let error = ask("pi", None, None).unwrap_err();
    assert!(matches!(error, SftpError::SshConfig { .. }), "{error}");
    // A name is never taken for an option.
    assert!(!matches!(ask("-oProxyCommand=true", None, None), Ok(Some(found)) if found.host != "-oproxycommand=true"));
}

/// Each host is reached through the one before it and no other: the first lets nobody through but to the second.
#[tokio::test]
async fn jump_hosts_are_gone_through_one_behind_the_other() {
    let Some(inner) = Sshd::start() else { return };
    let Some(outer) = Sshd::start_with(&format!("PermitOpen 127.0.0.1:{}\n", inner.port)) else { return };
    let hop = |sshd: &Sshd| {
        let Target { host, port, user, known_hosts, more_known_hosts, key_alias, ciphers, auth, .. } = sshd.target();
        Hop { host, port, user, known_hosts, more_known_hosts, key_alias, ciphers, auth }
    };
    let mut target = outer.target();
    target.jumps = vec![hop(&outer), hop(&inner)];
    assert_eq!(lists(&target).await.unwrap(), 0);
    target.jumps.reverse();
    let refused = lists(&target).await.unwrap_err();
    assert!(matches!(refused, SftpError::Handshake { step: "go through a jump host", .. }), "{refused}");
    // Each has its own key on file.
    target.jumps.reverse();
    target.jumps[1].known_hosts = outer.client.known_hosts.clone();
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::HostKeyUnknown { port, .. } if port == inner.port));
}

/// `Ciphers`: those that are named are used and no others.
#[tokio::test]
async fn only_ciphers_that_are_named_are_used() {
    let Some(chacha) = Sshd::start_with("Ciphers chacha20-poly1305@openssh.com\n") else { return };
    let mut target = chacha.target();
    assert_eq!(lists(&target).await.unwrap(), 0, "what the server has is found");
    target.ciphers = vec!["chacha20-poly1305@openssh.com".to_owned()];
    assert_eq!(lists(&target).await.unwrap(), 0);
    target.ciphers = vec!["aes128-gcm@openssh.com".to_owned()];
    let refused = lists(&target).await.unwrap_err();
    assert!(matches!(refused, SftpError::Handshake { step: "exchange keys", .. }), "{refused}");
}

/// `HostKeyAlias`: on file under that name, without the port, and under no other.
#[tokio::test]
async fn a_host_key_is_on_file_under_its_alias() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let mut target = embedded.target();
    target.key_alias = Some("attic".to_owned());
    let SftpError::HostKeyUnknown { line, .. } = lists(&target).await.unwrap_err() else {
        panic!("the address is on file, the alias is not")
    };
    assert!(line.starts_with("attic ssh-"), "{line}");
    fs::write(&target.known_hosts, format!("{line}\n")).unwrap();
    lists(&target).await.unwrap();
    let stranger = keys::generate().unwrap();
    fs::write(&target.known_hosts, format!("{}\n", keys::known_hosts_line("attic", 22, stranger.public_key()))).unwrap();
    let changed = lists(&target).await.unwrap_err();
    assert!(matches!(&changed, SftpError::HostKeyChanged { name, .. } if name == "attic"), "{changed}");
    assert!(changed.next_step().is_some_and(|step| step.contains("-R attic`")), "{changed}");
}

#[tokio::test]
async fn where_the_name_leads_nowhere_the_last_address_is_tried() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let mut target = embedded.target();
    // A name that never has an address, by RFC 6761.
    target.host = "offsite.invalid".to_owned();
    let line = keys::known_hosts_line("offsite.invalid", target.port, embedded.server.host_key());
    fs::write(&target.known_hosts, format!("{line}\n")).unwrap();
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::Resolve { .. }));
    target.addresses = vec!["127.0.0.1".parse().unwrap()];
    let store = SftpStore::connect(&target).await.unwrap();
    assert_eq!(store.address(), Some("127.0.0.1".parse().unwrap()));
    // Whoever answers there must have the key.
    let stranger = keys::generate().unwrap();
    fs::write(&target.known_hosts, format!("{}\n", keys::known_hosts_line("offsite.invalid", target.port, stranger.public_key()))).unwrap();
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::HostKeyChanged { .. }));
    // The name's failure is the news, not the old address's.
    target.port = 1;
    assert!(matches!(lists(&target).await.unwrap_err(), SftpError::Resolve { .. }));
}

#[tokio::test]
async fn reads_are_spread_over_connections_and_survive_with_one() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let bytes = content(8 << 20, 3);
    fs::write(embedded.root.path().join("file"), &bytes).unwrap();
    // Of three, the second is never let in, and the third is cut half-way.
    let relay = Relay::start(embedded.server.port(), vec![Fate::Lives, Fate::Cut(0), Fate::Cut(1 << 20), Fate::Lives]).await;
    let mut target = embedded.client.target(relay.port, embedded.server.host_key(), "anyone", "/");
    target.connections = NonZeroUsize::new(3).unwrap();
    target.limit = NonZeroU64::new(1 << 30);
    let store = SftpStore::connect(&target).await.unwrap();
    let file = Path::from("file");
    for at in (0..bytes.len()).step_by(1 << 20) {
        let got = store.get_range(&file, at as u64..(at + (1 << 20)) as u64).await.unwrap();
        assert!(got == bytes[at..at + (1 << 20)], "{at}");
    }
}
