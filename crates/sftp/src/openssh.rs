//! How the owner reaches a host: what OpenSSH's own client makes of `~/.ssh/config`.
//!
//! Asked is `ssh -G`, which prints the settings it would use for a host, and not the file: with `Include`, `Match`, patterns and
//! defaults nobody reads that file as OpenSSH does, least of all a second reader that is a few years behind. Nothing is contacted by it.
//! Reading the answer is pure.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::connect::CIPHERS;
use crate::error::SftpError;
use crate::keys::beside;

/// `ssh -G` takes milliseconds; what a `Match exec` runs may never end.
const PATIENCE: Duration = Duration::from_secs(30);
/// After its answer `ssh` has nothing more to do, but what it started may hold on to its standard error.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Where `ssh` learns of an agent; also what `IdentityAgent` may say.
const AGENT: &str = "SSH_AUTH_SOCK";
/// Our secret, which is no business of what a configuration runs.
const SECRET: &str = "OFFSITE_SSH_PASSPHRASE";

/// What applies to one host, by OpenSSH's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHost {
    /// `HostName`: what to connect to.
    pub host: String,
    /// `Port`.
    pub port: u16,
    /// `User`.
    pub user: String,
    /// `IdentityFile`, those that exist or whose public half `….pub` does, in order.
    pub keys: Vec<PathBuf>,
    /// `IdentitiesOnly`: an agent may not offer other keys.
    pub keys_only: bool,
    /// `IdentityAgent`, or `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// `UserKnownHostsFile`, then `GlobalKnownHostsFile`, in order, those that do not exist too.
    pub known_hosts: Vec<PathBuf>,
    /// `HostKeyAlias`: the name that its key is on file under.
    pub key_alias: Option<String>,
    /// `Ciphers`: those of them that can be used here, of which there is one at least.
    pub ciphers: Vec<String>,
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
    /// Asks `ssh -G`. `None` where there is no `ssh`. Blocks for some milliseconds; `Match exec` runs what it says, as it does for `ssh`,
    /// but for at most half a minute and without our passphrase.
    ///
    /// # Errors
    /// [`SftpError::SshConfig`] if the configuration is wrong, or asks for what cannot be done without `ssh` (`ProxyCommand`,
    /// `RevokedHostKeys`, `KnownHostsCommand`), or if `ssh` does not answer.
    pub fn ask(host: &str, asked: &Asked<'_>) -> Result<Option<Self>, SftpError> {
        let failed = |reason: String| SftpError::SshConfig { host: host.to_owned(), reason };
        let Some(said) = said(question(host, asked)).map_err(failed)? else { return Ok(None) };
        let mut found = read(&said, &|name| std::env::var_os(name), &|file| written_out(file, host, asked)).map_err(failed)?;
        // Of a key that only an agent holds there may be the public half alone.
        found.keys.retain(|key| key.exists() || beside(key).exists());
        Ok(Some(found))
    }
}

fn question(host: &str, asked: &Asked<'_>) -> Command {
    asking(Command::new("ssh"), host, asked)
}

fn asking(mut command: Command, host: &str, asked: &Asked<'_>) -> Command {
    command.arg("-G").stdin(Stdio::null()).env_remove(SECRET);
    if let Some(file) = asked.file {
        command.arg("-F").arg(file);
    }
    if let Some(user) = asked.user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = asked.port {
        command.arg("-p").arg(port.to_string());
    }
    command.arg("--").arg(host);
    command
}

/// What `ssh` printed; `None` if there is none.
fn said(command: Command) -> Result<Option<String>, String> {
    let Some(output) = answer(command, PATIENCE)? else { return Ok(None) };
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("ssh does not say why").trim().to_owned())
}

/// The name of an identity file with all that `ssh` replaces in it (`%C` is another hash in each of its versions): `ssh -G` prints it as it was
/// written, but not the path of a control socket, for which the same holds.
fn written_out(file: &str, host: &str, asked: &Asked<'_>) -> Result<PathBuf, String> {
    let failed = |reason: String| format!("its IdentityFile {file}: {reason}");
    let quoted = file.replace('\\', r"\\").replace('"', r#"\""#);
    let mut command = Command::new("ssh");
    command.arg("-o").arg(format!("ControlPath=\"{quoted}\""));
    let said = said(asking(command, host, asked)).map_err(failed)?.unwrap_or_default();
    let path = said.lines().find_map(|line| line.strip_prefix("controlpath "));
    path.map(PathBuf::from).ok_or_else(|| failed("ssh does not say which file that is".to_owned()))
}

/// Runs `command` in a process group of its own, which is killed if it does not end in time: what it started would live on otherwise.
/// `None` if there is no such program.
fn answer(mut command: Command, patience: Duration) -> Result<Option<Output>, String> {
    let cannot = |error: io::Error| format!("ssh cannot be run: {error}");
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        spawned => spawned.map_err(cannot)?,
    };
    let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let stdout = stdout.map(|stdout| stdout.recv_timeout(patience));
    let Some(Ok(stdout)) = stdout else {
        // It was not waited for, so its number is still its own.
        let killed = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let killed = killed.map_err(io::Error::from).or_else(|_| child.kill());
        killed.and_then(|()| child.wait()).map_err(|error| format!("ssh -G does not end, and cannot be killed: {error}"))?;
        return Err(format!("ssh -G had not answered after {} s and was ended; a `Match exec` may hang", patience.as_secs()));
    };
    let status = child.wait().map_err(cannot)?;
    // What is missing of it is at most the reason for a failure.
    let stderr = stderr.and_then(|stderr| stderr.recv_timeout(LAST_WORDS).ok()).unwrap_or_default();
    Ok(Some(Output { status, stdout, stderr }))
}

/// Reads a pipe to its end, beside us.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, bytes) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        // A pipe that breaks ends as one that is closed, and nobody may be left to be told.
        let _ = pipe.read_to_end(&mut text);
        let _ = done.send(text);
    });
    bytes
}

/// What variables of the environment say, to which names in the answer refer.
type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Reads what `ssh -G` printed: one setting a line, its name in lower case. `further` tells the names of identity files that we cannot.
fn read(text: &str, environment: &Environment<'_>, further: &dyn Fn(&str) -> Result<PathBuf, String>) -> Result<SshHost, String> {
    // Names end up in messages.
    let environment: &Environment<'_> = &|name| if name == SECRET { None } else { environment(name) };
    let all = |name: &str| -> Vec<&str> {
        text.lines().filter_map(|line| line.split_once(' ')).filter(|(key, _)| *key == name).map(|(_, value)| value.trim()).collect()
    };
    let first = |name: &str| all(name).first().copied();
    let lacking = |name: &str| format!("ssh -G does not say {name}");
    let host = first("hostname").ok_or_else(|| lacking("hostname"))?.to_owned();
    let port = first("port").and_then(|port| port.parse().ok()).ok_or_else(|| lacking("port"))?;
    let user = first("user").ok_or_else(|| lacking("user"))?.to_owned();
    for (setting, instead) in [
        ("ProxyCommand", "`ProxyJump` works"),
        ("RevokedHostKeys", "`@revoked` lines in a known_hosts file work"),
        ("KnownHostsCommand", "lines in a known_hosts file work"),
    ] {
        if first(&setting.to_lowercase()).is_some_and(|value| !value.eq_ignore_ascii_case("none")) {
            // What is in it is not shown: people write passwords into commands.
            return Err(format!("it has a `{setting}`, which only ssh can follow ({instead})"));
        }
    }
    // What it names is what may be used. In which order is not asked: ssh's own default does not begin with what is fast.
    let ciphers: Vec<String> = CIPHERS.iter().map(|cipher| cipher.as_ref().to_owned()).collect();
    let named = |cipher: &String| first("ciphers").is_none_or(|named| named.split(',').any(|name| name == cipher));
    let (ciphers, unnamed): (Vec<_>, Vec<_>) = ciphers.into_iter().partition(named);
    if ciphers.is_empty() {
        return Err(format!("its `Ciphers` names none that can be used here, which are {}", unnamed.join(", ")));
    }
    let path = |text: &str| expand(text, environment, &host, port, &user);
    let agent = match first("identityagent").unwrap_or(AGENT) {
        "none" => None,
        AGENT => environment(AGENT).map(PathBuf::from),
        socket => match socket.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(variable) => environment(variable).map(PathBuf::from),
            None => path(socket),
        },
    };
    let keys = all("identityfile").into_iter().filter(|file| *file != "none");
    let keys = keys.map(|file| path(file).map_or_else(|| further(file), Ok)).collect::<Result<_, _>>()?;
    let known_hosts = ["userknownhostsfile", "globalknownhostsfile"].into_iter().flat_map(all).flat_map(|files| files.split(' '));
    let jumps = match first("proxyjump") {
        None | Some("none") => Vec::new(),
        Some(jumps) => jumps.split(',').map(str::to_owned).collect(),
    };
    Ok(SshHost {
        keys,
        keys_only: first("identitiesonly") == Some("yes"),
        known_hosts: known_hosts.filter_map(path).collect(),
        key_alias: first("hostkeyalias").map(str::to_owned),
        agent,
        ciphers,
        jumps,
        port,
        user,
        host,
    })
}

/// A file's name with `~`, `${VARIABLE}` and the usual `%` letters replaced; `None` if it is not absolute then.
fn expand(text: &str, environment: &Environment<'_>, host: &str, port: u16, user: &str) -> Option<PathBuf> {
    let variable = |name: &str| environment(name)?.into_string().ok();
    let home = || variable("HOME");
    let mut name = match text.strip_prefix('~') {
        Some(rest) if rest.starts_with('/') => home()?,
        _ => String::new(),
    };
    let rest = if name.is_empty() { text } else { &text[1..] };
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next()? {
                '%' => name.push('%'),
                'd' => name.push_str(&home()?),
                'h' => name.push_str(host),
                'p' => name.push_str(&port.to_string()),
                'r' => name.push_str(user),
                _ => return None,
            },
            '$' if letters.as_str().starts_with('{') => {
                let (inside, rest) = letters.as_str()[1..].split_once('}')?;
                name.push_str(&variable(inside)?);
                letters = rest.chars();
            }
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

    fn said(text: &str) -> Result<SshHost, String> {
        read(&format!("host pi\nuser me\nhostname 10.0.0.7\nport 2222\n{text}"), &environment, &further)
    }

    /// What `ssh` itself makes of names that we cannot.
    fn further(file: &str) -> Result<PathBuf, String> {
        file.strip_prefix("/k/%C").map(|rest| format!("/k/hash{rest}").into()).ok_or_else(|| format!("{file}: it cannot either"))
    }

    fn environment(name: &str) -> Option<OsString> {
        let variables = [("HOME", "/home/owner"), ("SSH_AUTH_SOCK", "/run/agent"), ("OTHER_AGENT", "/run/other"), (SECRET, "/sesame")];
        variables.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    #[test]
    fn what_ssh_prints_is_read() {
        let host = said(
            "identitiesonly yes\nidentityfile ~/.ssh/id_%h_%r\nidentityfile none\nidentityfile /keys/100%%\nidentityagent ~/agent sock\nhostkeyalias attic\n\
             globalknownhostsfile /etc/all /etc/all2\nuserknownhostsfile ~/.ssh/known_hosts /etc/known\nproxyjump me@one:2200,two\nproxyusefdpass no\n",
        );
        let host = host.unwrap();
        assert_eq!((host.host.as_str(), host.port, host.user.as_str(), host.keys_only), ("10.0.0.7", 2222, "me", true));
        assert_eq!(host.keys, [Path::new("/home/owner/.ssh/id_10.0.0.7_me"), Path::new("/keys/100%")]);
        let known = ["/home/owner/.ssh/known_hosts", "/etc/known", "/etc/all", "/etc/all2"];
        assert_eq!(host.known_hosts, known.map(Path::new));
        assert_eq!(host.agent, Some("/home/owner/agent sock".into()));
        assert_eq!(host.jumps, ["me@one:2200", "two"]);
        assert_eq!(host.key_alias.as_deref(), Some("attic"));
    }

    #[test]
    fn variables_of_the_environment_stand_for_what_they_say() {
        assert_eq!(said("identityfile ${HOME}/keys/%r\n").unwrap().keys, [Path::new("/home/owner/keys/me")]);
        for file in ["/keys/$HOME/${OTHER_AGENT", "${NOBODY_SET_IT}/id"] {
            let reason = said(&format!("identityfile {file}\n")).unwrap_err();
            assert!(reason.starts_with(file), "{reason}");
        }
        for agent in ["$OTHER_AGENT", "${OTHER_AGENT}", "/run/other"] {
            assert_eq!(said(&format!("identityagent {agent}\n")).unwrap().agent, Some("/run/other".into()), "{agent}");
        }
        assert_eq!(said("identityagent SSH_AUTH_SOCK\n").unwrap().agent, Some("/run/agent".into()));
        assert_eq!(said("identityagent $NOBODY_SET_IT\n").unwrap().agent, None);
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let host = said("identityfile none\nidentityfile /k/%C/id\n").unwrap();
        assert_eq!(host.keys, [Path::new("/k/hash/id")]);
        assert!(!host.keys_only && host.jumps.is_empty() && host.key_alias.is_none(), "{host:?}");
        assert_eq!(host.agent, Some("/run/agent".into()));
        assert_eq!(said("identityagent none\n").unwrap().agent, None);
        assert_eq!(said("proxyjump none\nproxycommand none\n").unwrap().jumps, [""; 0]);
    }

    #[test]
    fn ciphers_that_are_not_named_are_not_used() {
        let ciphers = |list: &str| said(&format!("ciphers {list}\n")).map(|host| host.ciphers.join(","));
        assert_eq!(ciphers("chacha20-poly1305@openssh.com").unwrap(), "chacha20-poly1305@openssh.com");
        assert_eq!(ciphers("aes192-ctr,aes128-ctr,aes128-gcm@openssh.com").unwrap(), "aes128-gcm@openssh.com,aes128-ctr");
        let all = said("").unwrap().ciphers.join(",");
        assert!(all.starts_with("aes128-gcm@openssh.com,"), "{all}");
        // The default of OpenSSH 9 is nobody's wish for chacha20.
        let default = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
        assert_eq!(ciphers(default).unwrap(), all);
        let reason = ciphers("aes192-ctr,aes128-cbc").unwrap_err();
        assert!(reason.contains("`Ciphers`") && reason.contains(&all.replace(',', ", ")), "{reason}");
    }

    #[test]
    fn what_only_ssh_can_do_is_refused() {
        // And no password that someone wrote into it with it.
        let reason = said("proxycommand sshpass -p sesame ssh -W %h:%p gate\n").unwrap_err();
        assert!(reason.contains("ProxyCommand") && !reason.contains("sesame"), "{reason}");
        for setting in ["RevokedHostKeys", "KnownHostsCommand"] {
            let reason = said(&format!("{} /sesame\n", setting.to_lowercase())).unwrap_err();
            assert!(reason.contains(setting) && !reason.contains("sesame"), "{reason}");
            said(&format!("{} none\n", setting.to_lowercase())).unwrap();
        }
        assert!(read("hostname h\nuser u\n", &environment, &further).unwrap_err().contains("port"));
    }

    #[test]
    fn our_passphrase_is_for_nobody_else() {
        let command = question("pi", &Asked::default());
        assert!(command.get_envs().any(|(name, value)| name == SECRET && value.is_none()));
        assert_eq!(said(&format!("identityagent ${SECRET}\n")).unwrap().agent, None);
        assert!(!said(&format!("identityfile ${{{SECRET}}}/id\n")).unwrap_err().contains("sesame"));
    }

    #[test]
    fn an_ssh_that_does_not_end_is_ended_with_all_that_it_started() {
        let (mut ours, theirs) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000; true"]).stdin(theirs);
        let reason = answer(command, Duration::from_millis(20)).unwrap_err();
        assert!(reason.contains("Match exec"), "{reason}");
        // The pipe ends with the last process that has it.
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn an_answer_is_whole_however_long() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; exit 3"]);
        let output = answer(command, PATIENCE).unwrap().unwrap();
        assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(3), 300_000, 300_000));
        assert!(answer(Command::new("/nowhere/ssh"), PATIENCE).unwrap().is_none());
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
