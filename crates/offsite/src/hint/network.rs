//! Next steps for reaching a Pi.

use std::{io::ErrorKind, net::IpAddr};

use offsite_sftp::SftpError;

use super::find;
use crate::platform;

/// Of a network, and not of a host, that cannot be reached.
const OFFLINE: &str = "this Mac has no network, or none that leads there: join one; a later start tries again";

pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    use SftpError as E;
    Some(match find::<E>(error)? {
        E::HostKeyUnknown { known_hosts, fingerprint, line, .. } => format!(
            "at a terminal: offsite init; or compare {fingerprint} with the Pi's own (on the Pi: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if they are the same, add this line to {}: {line}",
            known_hosts.display()
        ),
        E::HostKeyChanged { host, name, known_hosts, .. } => format!(
            "if the Pi was set up anew: ssh-keygen -R '{name}' -f {}, then compare the new key as for a first time (at a terminal: offsite init); if it was not, someone else answers at {host}: do not go on",
            known_hosts.display()
        ),
        E::HostKeyRevoked { .. } => "the key was revoked on purpose: give the Pi a new host key".to_owned(),
        E::KnownHostsUnreadable { .. } | E::KnownHostsInvalid { .. } => "correct that file, or name another with `known_hosts:`".to_owned(),
        E::KeyUnreadable { path, .. } => {
            format!("make a key (ssh-keygen -t ed25519 -f {}) and give the Pi its public half, or name another with `key:`", path.display())
        }
        E::KeyEncrypted { .. } | E::KeyPassphrase { .. } => {
            "ssh-add it (on a Mac: ssh-add --apple-use-keychain), or set OFFSITE_SSH_PASSPHRASE; a system job needs a key without a passphrase".to_owned()
        }
        E::KeyInvalid { .. } | E::KeyUnsupported { .. } => "make an ed25519 key: ssh-keygen -t ed25519".to_owned(),
        E::NoKey { .. } => "make a key (ssh-keygen -t ed25519) and give the Pi its public half, or name one with `key:`".to_owned(),
        E::SshConfig { host, .. } => format!("see what ssh -G {host} says; `user:`, `port:`, `key:` and `known_hosts:` go before it, `ssh_config: none` leaves it out"),
        E::AgentUnavailable { .. } | E::AgentEmpty { .. } => {
            "ssh-add the key, or name its file with `key:`; a system job has no agent".to_owned()
        }
        E::AuthRefused { user, host, port, .. } => {
            format!("paste on the Pi ({host} port {port}) the line that offsite init shows: it lets this Mac's key in, as {user}, to read and not to write")
        }
        E::Resolve { .. } => "check the name; .local names come back some seconds after a wake, an address always works".to_owned(),
        E::Refused { host, port } => format!("check that SSH runs on the Pi and on that port: ssh -p {port} {host}"),
        E::NoRoute { source, .. } if source.kind() == ErrorKind::NetworkUnreachable => OFFLINE.to_owned(),
        E::NoRoute { host, .. } => no_route(host, platform::current().has_launchd(), None),
        E::Connect { host, .. } | E::ConnectTimeout { host, .. } => {
            format!("check that the Pi is on and in this network: ping {host}; a later start tries again")
        }
        E::LinkLost { .. } | E::RequestTimeout { .. } => "nothing is lost: the next run goes on where this one stopped".to_owned(),
        E::NoSubsystem { .. } => "enable `Subsystem sftp internal-sftp` in the Pi's sshd_config".to_owned(),
        E::RootMissing { .. } | E::RootNotFolder { .. } => {
            "check `path:`; a chrooted account sees it from its own root; on the Pi: offsite-agent init".to_owned()
        }
        E::RootDenied { .. } | E::Denied { .. } => "let the account read the agent's repository: `group:` in agent.yaml".to_owned(),
        _ => return None,
    })
}

/// Whether an address is of a home network, where macOS asks for the right to go.
pub(crate) fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => private(address.into()),
            None => address.is_unicast_link_local() || address.is_unique_local(),
        },
    }
}

/// Whether a host may well be in the home network: by its address, or by a name that only such a network knows.
fn at_home(host: &str) -> bool {
    match host.parse() {
        Ok(address) => private(address),
        Err(_) => {
            !host.contains('.')
                || host.ends_with(".local")
                || host.ends_with(".lan")
                || host.ends_with(".home.arpa")
                || host.ends_with(".box")
        }
    }
}

/// What "no route to host" asks for. On macOS the same error says that the Pi is not there, and that this program may not reach the local
/// network (System Settings; errno 65). `may` is whether it may, where that was found out: other machines there answer, or none does.
pub(crate) fn no_route(host: &str, launchd: bool, may: Option<bool>) -> String {
    let absent = format!("check that the Pi is on and in this network: ping {host}");
    let forbidden = "allow offsite in System Settings, Privacy & Security, Local Network (a daemon of the system needs no such leave: sudo offsite \
                     install; one that starts at login does: after each update look there again)";
    match may {
        _ if !launchd || !at_home(host) => format!("{absent}; a later start tries again"),
        Some(true) => format!("{absent}; others in its network answer this program, so macOS does not stand in the way"),
        Some(false) => {
            format!(
                "nothing in that network can be reached, the router neither. If ping {host} works, macOS forbids it: {forbidden}. If not: join that network"
            )
        }
        None => format!("if ping {host} works, macOS forbids it to this program: {forbidden}. If not: {absent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sits_at_a_terminal_need_not_edit_a_file() {
        let changed = SftpError::HostKeyChanged {
            host: "pi".into(),
            port: 22,
            name: "pi".into(),
            known_hosts: "/k".into(),
            line: 1,
            recorded: "ssh-ed25519 SHA256:old".into(),
            algorithm: "ssh-ed25519".into(),
            fingerprint: "SHA256:abc".into(),
        };
        let next = hint(&changed.into()).unwrap();
        let (again, never) = (next.find("at a terminal: offsite init"), next.find("do not go on"));
        assert!(again.is_some() && again < never, "{next}");
    }

    #[test]
    fn a_home_network_is_told_from_the_rest_of_the_world() {
        let addresses = ["192.168.1.7", "10.1.2.3", "172.16.0.1", "169.254.3.4", "fe80::1", "fd00::7", "::ffff:10.0.0.1"];
        for host in addresses.into_iter().chain(["pi", "pi.local", "pi.fritz.box"]) {
            assert!(at_home(host), "{host}");
        }
        for host in ["8.8.8.8", "172.32.0.1", "127.0.0.1", "2001:db8::1", "pi.example.org"] {
            assert!(!at_home(host), "{host}");
        }
    }

    #[test]
    fn without_a_network_it_is_not_the_pi_that_is_off() {
        let next = |kind: ErrorKind| {
            let error = SftpError::NoRoute { host: "8.8.8.8".into(), port: 22, source: std::sync::Arc::new(kind.into()) };
            hint(&error.into()).unwrap()
        };
        assert!(next(ErrorKind::NetworkUnreachable).starts_with("this Mac has no network"));
        assert!(next(ErrorKind::HostUnreachable).starts_with("check that the Pi is on"));
    }

    #[test]
    fn one_error_is_read_in_both_ways_on_a_mac() {
        let absent = no_route("192.168.1.7", true, Some(true));
        assert!(absent.contains("check that the Pi is on") && !absent.contains("System Settings"), "{absent}");
        let forbidden = no_route("192.168.1.7", true, Some(false));
        assert!(
            forbidden.contains("Local Network") && forbidden.contains("sudo offsite install") && forbidden.contains("at login"),
            "{forbidden}"
        );
        let either = no_route("pi.local", true, None);
        assert!(either.contains("Local Network") && either.contains("check that the Pi is on"), "{either}");
        // macOS guards no other networks, and Linux none.
        for text in [no_route("192.168.1.7", false, Some(false)), no_route("pi.example.org", true, None)] {
            assert!(!text.contains("System Settings") && text.contains("ping"), "{text}");
        }
    }
}
