//! How the owner reaches a host: what OpenSSH's own client makes of `~/.ssh/config`.
//!
//! Asked is `ssh -G`, which prints the settings it would use for a host, and not the file: with `Include`, `Match`, patterns and
//! defaults nobody reads that file as OpenSSH does, least of all a second reader that is a few years behind. Nothing is contacted by it.
//! Reading the answer is pure.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::SftpError;

/// What applies to one host, by OpenSSH's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHost {
    /// `HostName`: what to connect to.
    pub host: String,
    /// `Port`.
    pub port: u16,
    /// `User`.
    pub user: String,
    /// `IdentityFile`, those that exist, in order.
    pub keys: Vec<PathBuf>,
    /// `IdentitiesOnly`: an agent may not offer other keys.
    pub keys_only: bool,
    /// `IdentityAgent`, or `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// `UserKnownHostsFile`, in order, those that do not exist too.
    pub known_hosts: Vec<PathBuf>,
    /// `ProxyJump`: hosts to go through, each as `[user@]host[:port]` and to be asked about by itself.
    pub jumps: Vec<String>,
}

/// What the owner gives besides the host's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The configuration to read instead of the usual ones.
    pub file: Option<&'a Path>,
    /// The user to log in as, whatever is configured.
    pub user: Option<&'a str>,
    /// The port, whatever is configured.
    pub port: Option<u16>,
}

impl SshHost {
    /// Asks `ssh -G`. `None` where there is no `ssh`. Blocks for some milliseconds; `Match exec` runs what it says, as it does for `ssh`.
    ///
    /// # Errors
    /// [`SftpError::SshConfig`] if the configuration is wrong, or asks for what cannot be done without `ssh` (`ProxyCommand`).
    pub fn ask(host: &str, asked: &Asked<'_>) -> Result<Option<Self>, SftpError> {
        let failed = |reason: String| SftpError::SshConfig { host: host.to_owned(), reason };
        let mut command = Command::new("ssh");
        command.arg("-G").stdin(Stdio::null());
        if let Some(file) = asked.file {
            command.arg("-F").arg(file);
        }
        if let Some(user) = asked.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = asked.port {
            command.arg("-p").arg(port.to_string());
        }
        let output = match command.arg("--").arg(host).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(format!("ssh cannot be run: {error}"))),
            Ok(output) => output,
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(said.lines().last().unwrap_or("ssh does not say why").trim().to_owned()));
        }
        let environment =
            Environment { home: std::env::var_os("HOME").map(PathBuf::from), agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from) };
        let mut found = read(&String::from_utf8_lossy(&output.stdout), &environment).map_err(failed)?;
        found.keys.retain(|key| key.exists());
        Ok(Some(found))
    }
}

/// What names in the answer refer to.
struct Environment {
    home: Option<PathBuf>,
    agent: Option<PathBuf>,
}

/// Reads what `ssh -G` printed: one setting a line, its name in lower case.
fn read(text: &str, environment: &Environment) -> Result<SshHost, String> {
    let all = |name: &str| -> Vec<&str> {
        text.lines().filter_map(|line| line.split_once(' ')).filter(|(key, _)| *key == name).map(|(_, value)| value.trim()).collect()
    };
    let first = |name: &str| all(name).first().copied();
    let lacking = |name: &str| format!("ssh -G does not say {name}");
    let host = first("hostname").ok_or_else(|| lacking("hostname"))?.to_owned();
    let port = first("port").and_then(|port| port.parse().ok()).ok_or_else(|| lacking("port"))?;
    let user = first("user").ok_or_else(|| lacking("user"))?.to_owned();
    if let Some(command) = first("proxycommand").filter(|command| !command.eq_ignore_ascii_case("none")) {
        return Err(format!("it is reached by `ProxyCommand {command}`, which only ssh can run (ProxyJump works)"));
    }
    let path = |text: &str| expand(text, environment, &host, port, &user);
    let agent = match first("identityagent") {
        None | Some("SSH_AUTH_SOCK") => environment.agent.clone(),
        Some("none") => None,
        Some(variable) if variable.starts_with('$') => std::env::var_os(&variable[1..]).map(PathBuf::from),
        Some(socket) => path(socket),
    };
    let jumps = match first("proxyjump") {
        None | Some("none") => Vec::new(),
        Some(jumps) => jumps.split(',').map(str::to_owned).collect(),
    };
    Ok(SshHost {
        keys: all("identityfile").into_iter().filter(|file| *file != "none").filter_map(path).collect(),
        keys_only: first("identitiesonly") == Some("yes"),
        known_hosts: all("userknownhostsfile").iter().flat_map(|files| files.split(' ')).filter_map(path).collect(),
        agent,
        jumps,
        port,
        user,
        host,
    })
}

/// A file's name with `~` and the usual `%` letters replaced; `None` if it is not absolute then.
fn expand(text: &str, environment: &Environment, host: &str, port: u16, user: &str) -> Option<PathBuf> {
    let home = || environment.home.as_deref().and_then(Path::to_str);
    let mut name = match text.strip_prefix('~') {
        Some(rest) if rest.starts_with('/') => home()?.to_owned(),
        _ => String::new(),
    };
    let rest = if name.is_empty() { text } else { &text[1..] };
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next()? {
                '%' => name.push('%'),
                'd' => name.push_str(home()?),
                'h' => name.push_str(host),
                'p' => name.push_str(&port.to_string()),
                'r' => name.push_str(user),
                _ => return None,
            },
            letter => name.push(letter),
        }
    }
    let path = PathBuf::from(name);
    path.is_absolute().then_some(path)
}

/// `[user@]host[:port]`, or the same as `ssh://…`, as `ProxyJump` has it.
pub fn split_jump(jump: &str) -> (Option<&str>, &str, Option<u16>) {
    let jump = jump.strip_prefix("ssh://").unwrap_or(jump).trim_end_matches('/');
    let (user, rest) = match jump.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, jump),
    };
    // An address of IPv6 has colons of its own, and then brackets.
    if let Some(inside) = rest.strip_prefix('[') {
        let (host, port) = inside.split_once(']').unwrap_or((inside, ""));
        return (user, host, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) if !host.contains(':') => (user, host, Some(port)),
        _ => (user, rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<SshHost, String> {
        let environment = Environment { home: Some("/home/owner".into()), agent: Some("/run/agent".into()) };
        read(&format!("host pi\nuser me\nhostname 10.0.0.7\nport 2222\n{text}"), &environment)
    }

    #[test]
    fn what_ssh_prints_is_read() {
        let host = answer(
            "identitiesonly yes\nidentityfile ~/.ssh/id_%h_%r\nidentityfile none\nidentityfile /keys/100%%\nidentityagent ~/agent sock\n\
             userknownhostsfile ~/.ssh/known_hosts /etc/known\nproxyjump me@one:2200,two\nproxyusefdpass no\n",
        );
        let host = host.unwrap();
        assert_eq!((host.host.as_str(), host.port, host.user.as_str(), host.keys_only), ("10.0.0.7", 2222, "me", true));
        assert_eq!(host.keys, [Path::new("/home/owner/.ssh/id_10.0.0.7_me"), Path::new("/keys/100%")]);
        assert_eq!(host.known_hosts, [Path::new("/home/owner/.ssh/known_hosts"), Path::new("/etc/known")]);
        assert_eq!(host.agent, Some("/home/owner/agent sock".into()));
        assert_eq!(host.jumps, ["me@one:2200", "two"]);
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let host = answer("identityfile relative\nidentityfile ~other/id\nidentityfile /k/%C\n").unwrap();
        assert!(host.keys.is_empty() && !host.keys_only && host.jumps.is_empty(), "{host:?}");
        assert_eq!(host.agent, Some("/run/agent".into()));
        assert_eq!(answer("identityagent none\n").unwrap().agent, None);
        assert_eq!(answer("proxyjump none\nproxycommand none\n").unwrap().jumps, [""; 0]);
    }

    #[test]
    fn what_only_ssh_can_do_is_refused() {
        let reason = answer("proxycommand nc %h %p\n").unwrap_err();
        assert!(reason.contains("ProxyCommand nc %h %p"), "{reason}");
        assert!(read("hostname h\nuser u\n", &Environment { home: None, agent: None }).unwrap_err().contains("port"));
    }

    #[test]
    fn jumps_are_split() {
        for (text, expected) in [
            ("one", (None, "one", None)),
            ("me@one:2200", (Some("me"), "one", Some(2200))),
            ("ssh://me@one:22/", (Some("me"), "one", Some(22))),
            ("me@[fe80::1]:22", (Some("me"), "fe80::1", Some(22))),
            ("fe80::1", (None, "fe80::1", None)),
            ("a@b@one", (Some("a@b"), "one", None)),
        ] {
            assert_eq!(split_jump(text), expected, "{text}");
        }
    }
}
