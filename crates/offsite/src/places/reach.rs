//! From a Pi's configuration to the way there: what the owner wrote in offsite.yaml, then what ssh's own configuration says, then where the Pi
//! was the last time.

use std::path::PathBuf;

use offsite_sftp::{
    Auth, Hop, SftpError, Target,
    openssh::{Asked, SshHost, split_jump},
};

use crate::config::{Home, Pi, PiAuth, SshConfig};

const USUAL_PORT: u16 = 22;
/// How far jump hosts may be behind jump hosts by settings of their own, which can name each other.
const NESTED: u32 = 4;

/// Asks ssh for a host, with a user and a port that go before what is configured.
type Ask<'a> = dyn Fn(&str, Option<&str>, Option<u16>) -> Result<Option<SshHost>, SftpError> + 'a;

/// Everything that a connection to `pi` needs but the addresses where it was before. Blocks while ssh is asked.
pub(super) fn target(pi: &Pi) -> Result<Target, SftpError> {
    let home = Home::of_process().ok().map(|home| home.home);
    let ssh = |host: &str, user: Option<&str>, port: Option<u16>| match &pi.ssh_config {
        SshConfig::None => Ok(None),
        SshConfig::Usual => SshHost::ask(host, &Asked { file: None, user, port }),
        SshConfig::File(file) => SshHost::ask(host, &Asked { file: Some(file), user, port }),
    };
    let found = ssh(&pi.host, pi.user.as_deref(), pi.port)?;
    let mut target = way(pi, found.clone(), home.as_deref())?;
    target.jumps = through(&found.map(|found| found.jumps).unwrap_or_default(), NESTED, &ssh)?;
    target.limit = pi.limit.map(|rate| rate.bytes());
    target.connections = pi.connections;
    Ok(target)
}

/// The way through `jumps`, the nearest host first. The first of them may itself be behind others, by its own settings; those after it are
/// reached through the one before, whatever they say: so does `ssh`.
fn through(jumps: &[String], nested: u32, ssh: &Ask<'_>) -> Result<Vec<Hop>, SftpError> {
    let mut hops = Vec::new();
    for (at, jump) in jumps.iter().enumerate() {
        let (user, host, port) = split_jump(jump);
        let failed = |reason: &str| SftpError::SshConfig { host: host.to_owned(), reason: reason.to_owned() };
        let found = ssh(host, user, port)?.ok_or_else(|| failed("ssh is gone"))?;
        if at == 0 && !found.jumps.is_empty() {
            let nested = nested.checked_sub(1).ok_or_else(|| failed("its jump hosts go in a circle, or are behind too many others"))?;
            hops = through(&found.jumps, nested, ssh)?;
        }
        hops.push(hop(found));
    }
    Ok(hops)
}

/// What was written goes before what ssh says, and that before what is usual.
fn way(pi: &Pi, found: Option<SshHost>, home: Option<&std::path::Path>) -> Result<Target, SftpError> {
    let in_ssh = |name: &str| home.map(|home| home.join(".ssh").join(name));
    let unset = |what: &str| SftpError::SshConfig { host: pi.host.clone(), reason: format!("there is no ssh to ask, and no `{what}:`") };
    let hop = found.map(hop);
    let passphrase = passphrase();
    let auth = match (&pi.auth, &hop) {
        (PiAuth::Key(path), _) => Auth::KeyFile { path: path.clone(), passphrase },
        (PiAuth::Agent, _) => Auth::Agent,
        (PiAuth::Ssh, Some(hop)) => hop.auth.clone(),
        (PiAuth::Ssh, None) => Auth::KeyFile { path: in_ssh("id_ed25519").ok_or_else(|| unset("key"))?, passphrase },
    };
    let host = hop.as_ref().map_or(&pi.host, |hop| &hop.host);
    let user = pi.user.as_ref().or(hop.as_ref().map(|hop| &hop.user)).ok_or_else(|| unset("user"))?;
    // A file that is named is the only one that counts.
    let (known_hosts, more_known_hosts) = match (&pi.known_hosts, &hop) {
        (Some(file), _) => (file.clone(), Vec::new()),
        (None, Some(hop)) => (hop.known_hosts.clone(), hop.more_known_hosts.clone()),
        (None, None) => (in_ssh("known_hosts").ok_or_else(|| unset("known_hosts"))?, Vec::new()),
    };
    let port = pi.port.or(hop.as_ref().map(|hop| hop.port)).unwrap_or(USUAL_PORT);
    let (key_alias, ciphers) = hop.as_ref().map(|hop| (hop.key_alias.clone(), hop.ciphers.clone())).unwrap_or_default();
    Ok(Target { port, more_known_hosts, key_alias, ciphers, ..Target::new(host, user, &pi.path, known_hosts, auth) })
}

fn hop(found: SshHost) -> Hop {
    let (known_hosts, more_known_hosts) = knowing(&found);
    let SshHost { host, port, user, keys: files, keys_only: only, agent, key_alias, ciphers, .. } = found;
    Hop {
        host,
        port,
        user,
        known_hosts,
        more_known_hosts,
        key_alias,
        ciphers,
        auth: Auth::Ssh { files, agent, only, passphrase: passphrase() },
    }
}

/// The first file, to which a line can be added, and the others: `ssh` takes a key from any, and a key that is revoked in any from none.
fn knowing(found: &SshHost) -> (PathBuf, Vec<PathBuf>) {
    let mut files = found.known_hosts.iter().cloned();
    (files.next().unwrap_or_default(), files.collect())
}

fn passphrase() -> Option<String> {
    std::env::var("OFFSITE_SSH_PASSPHRASE").ok()
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, path::Path};

    use super::*;

    fn pi() -> Pi {
        Pi {
            name: "pi".parse().unwrap(),
            host: "attic".to_owned(),
            port: None,
            user: None,
            path: "/srv".to_owned(),
            auth: PiAuth::Ssh,
            known_hosts: None,
            ssh_config: SshConfig::None,
            limit: None,
            connections: NonZeroUsize::MIN,
        }
    }

    #[test]
    fn the_limit_and_the_connections_reach_the_line() {
        let limit = "20 MB/s".parse().unwrap();
        let named = Pi { user: Some("me".to_owned()), auth: PiAuth::Key("/k".into()), known_hosts: Some("/known".into()), ..pi() };
        let target = target(&Pi { limit: Some(limit), connections: NonZeroUsize::new(3).unwrap(), ..named }).unwrap();
        assert_eq!((target.limit.map(|rate| rate.get()), target.connections.get()), (Some(20_000_000), 3));
    }

    #[test]
    fn the_jump_host_of_a_named_configuration_is_gone_through() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("ssh_config");
        std::fs::write(&config, "Host attic\n  ProxyJump owner@gate:2200\nHost gate\n  HostName 192.0.2.1\n").unwrap();
        if SshHost::ask("attic", &Asked { file: Some(&config), user: None, port: None }).unwrap().is_none() {
            println!("skipped: no ssh here");
            return;
        }
        let target = target(&Pi { ssh_config: SshConfig::File(config), ..pi() }).unwrap();
        let jumps: Vec<_> = target.jumps.iter().map(|hop| (hop.user.as_str(), hop.host.as_str(), hop.port)).collect();
        assert_eq!((target.host.as_str(), &jumps[..]), ("attic", &[("owner", "192.0.2.1", 2200)][..]));
    }

    fn found() -> SshHost {
        SshHost {
            host: "10.0.0.7".to_owned(),
            port: 2222,
            user: "me".to_owned(),
            keys: vec!["/k".into()],
            keys_only: true,
            agent: Some("/agent".into()),
            known_hosts: vec!["/none/known".into(), "/all".into()],
            key_alias: Some("attic".to_owned()),
            ciphers: vec!["chacha20-poly1305@openssh.com".to_owned()],
            jumps: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_goes_before_what_ssh_says() {
        let target = way(&pi(), Some(found()), None).unwrap();
        assert_eq!((target.host.as_str(), target.port, target.user.as_str()), ("10.0.0.7", 2222, "me"));
        assert_eq!((&target.known_hosts, &target.more_known_hosts[..]), (&"/none/known".into(), &["/all".into()][..]));
        assert_eq!(target.ciphers, found().ciphers);
        assert!(matches!(&target.auth, Auth::Ssh { files, agent: Some(_), only: true, .. } if files == &[PathBuf::from("/k")]));

        let written = Pi {
            port: Some(22),
            user: Some("offsite".to_owned()),
            auth: PiAuth::Key("/mine".into()),
            known_hosts: Some("/known".into()),
            ..pi()
        };
        let target = way(&written, Some(found()), None).unwrap();
        // The name is ssh's to resolve: that is what it was written for.
        assert_eq!((target.host.as_str(), target.port, target.user.as_str()), ("10.0.0.7", 22, "offsite"));
        assert_eq!(target.known_hosts, Path::new("/known"));
        assert_eq!(target.key_alias.as_deref(), Some("attic"), "a file that is named is asked under ssh's name, too");
        assert!(target.more_known_hosts.is_empty(), "a file that is named is the only one");
        assert!(matches!(&target.auth, Auth::KeyFile { path, .. } if path == Path::new("/mine")));
    }

    #[test]
    fn a_jump_host_may_be_behind_another() {
        let ask = |host: &str, user: Option<&str>, _: Option<u16>| {
            let jumps: &[&str] = match host {
                "inner" => &["me@outer"],
                "outer" => &["edge"],
                "one" => &["two"],
                "two" => &["one"],
                _ => &[],
            };
            let jumps = jumps.iter().map(|jump| (*jump).to_owned()).collect();
            Ok(Some(SshHost { host: host.to_owned(), user: user.unwrap_or("any").to_owned(), jumps, ..found() }))
        };
        let way = |jumps: &[&str]| {
            let jumps: Vec<_> = jumps.iter().map(|jump| (*jump).to_owned()).collect();
            through(&jumps, NESTED, &ask).map(|hops| hops.into_iter().map(|hop| format!("{}@{}", hop.user, hop.host)).collect::<Vec<_>>())
        };
        assert_eq!(way(&[]).unwrap(), [""; 0]);
        assert_eq!(way(&["inner"]).unwrap(), ["any@edge", "me@outer", "any@inner"]);
        assert_eq!(way(&["outer", "inner"]).unwrap(), ["any@edge", "any@outer", "any@inner"]);
        // The second is reached through the first, as ssh has it.
        assert_eq!(way(&["edge", "inner"]).unwrap(), ["any@edge", "any@inner"]);
        let circle = way(&["one"]).unwrap_err().to_string();
        assert!(circle.contains("circle"), "{circle}");
    }

    #[test]
    fn without_ssh_there_are_the_usual_files() {
        let lacking = way(&pi(), None, Some(Path::new("/home/owner"))).unwrap_err().to_string();
        assert!(lacking.contains("`user:`"), "{lacking}");
        let target = way(&Pi { user: Some("u".to_owned()), ..pi() }, None, Some(Path::new("/home/owner"))).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("attic", 22));
        assert_eq!(target.known_hosts, Path::new("/home/owner/.ssh/known_hosts"));
        assert!(matches!(&target.auth, Auth::KeyFile { path, .. } if path == Path::new("/home/owner/.ssh/id_ed25519")));
    }
}
