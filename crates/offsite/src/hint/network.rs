//! Next steps for reaching a Pi.

use offsite_sftp::SftpError;

use super::find;
use crate::platform;

pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    use SftpError as E;
    Some(match find::<E>(error)? {
        E::HostKeyUnknown { known_hosts, fingerprint, line, .. } => format!(
            "compare {fingerprint} with the Pi's own (on the Pi: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if they are the same, add this line to {}: {line}",
            known_hosts.display()
        ),
        E::HostKeyChanged { host, port, known_hosts, .. } => {
            // As ssh writes it: another port than 22 is part of the name.
            let name = if *port == 22 { host.clone() } else { format!("'[{host}]:{port}'") };
            format!(
                "if the Pi was set up anew: ssh-keygen -R {name} -f {}, then compare the new key as for a first time; if it was not, someone else answers at {host}: do not go on",
                known_hosts.display()
            )
        }
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
            format!("put the public key into the account's authorized_keys on the Pi: ssh-copy-id -p {port} {user}@{host}")
        }
        E::Resolve { .. } => "check the name; .local names come back some seconds after a wake, an address always works".to_owned(),
        E::Refused { host, port } => format!("check that SSH runs on the Pi and on that port: ssh -p {port} {host}"),
        E::NoRoute { host, .. } if platform::current().has_launchd() => format!(
            "if ping {host} works: allow offsite in System Settings, Privacy & Security, Local Network, or install with sudo offsite install --system"
        ),
        E::NoRoute { host, .. } | E::Connect { host, .. } | E::ConnectTimeout { host, .. } => {
            format!("check that the Pi is on and in this network: ping {host}; the next hour tries again")
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
