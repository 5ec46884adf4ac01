//! The one line that a person pastes on the Pi, so that this Mac may log in there and read, and not write.
//!
//! It can be pasted twice: whatever is there already is left. The forced command is what keeps the key harmless: whoever steals it can fetch
//! what the account may read, which for an account of its own is what every account there may read, and cannot write, forward or run anything. The
//! line ends by showing the Pi's own host key, because that is the one place where it can be compared honestly: the one that a connection asks
//! for first, so that there is one line to paste back.

use super::address::ACCOUNT;

/// What is in front of the key in `authorized_keys`.
const FENCE: &str = r#"restrict,command=\"internal-sftp -R\""#;
/// Leaves the key `$k` in the file `$f`, once and on a line of its own.
const ADD: &str = r#"test -z "$(tail -c 1 "$f")" || echo >>"$f"; grep -qxF "$k" "$f" || echo "$k" >>"$f""#;
/// The Pi's own word on who it is: its ed25519 key, or the first there is.
const SHOW: &str =
    r#"for p in /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_*_key.pub; do test ! -e "$p" || { ssh-keygen -lf "$p"; break; }; done"#;

/// Whether the account is made for this purpose: then the line makes it, and is for root.
pub(super) fn is_dedicated(account: &str) -> bool {
    account == ACCOUNT
}

/// The line for `account`, which is a plain word, and its `public` key, a line of `authorized_keys` without options.
pub(super) fn line(account: &str, public: &str) -> String {
    let key = public_words(public);
    if !is_dedicated(account) {
        // A person's own account: as themselves, and no more than the key.
        return format!(
            "sh -ec 'umask 077; k=\"{FENCE} {key}\"; f=~/.ssh/authorized_keys; mkdir -p ~/.ssh; touch \"$f\"; chmod go-w ~/.ssh \"$f\"; {ADD}; {SHOW}'"
        );
    }
    // `*` is no password, and yet not locked: without PAM a locked account's key is refused. A group of that name may be there already, for
    // the archives.
    format!(
        "sudo sh -ec 'u={account}; k=\"{FENCE} {key}\"; id \"$u\" >/dev/null 2>&1 || useradd --system --create-home --shell /usr/sbin/nologin \
         --password \"*\" $(getent group \"$u\" >/dev/null && echo \"-g $u\") \"$u\"; h=$(getent passwd \"$u\" | cut -d: -f6); g=$(id -gn \"$u\"); \
         f=$h/.ssh/authorized_keys; install -d -m 700 -o \"$u\" -g \"$g\" \"$h/.ssh\"; touch \"$f\"; {ADD}; chown \"$u:$g\" \"$f\"; chmod 600 \"$f\"; {SHOW}'"
    )
}

/// Type, key and comment, with only such letters in the comment as mean nothing to a shell.
fn public_words(public: &str) -> String {
    let mut words = public.split_whitespace();
    let key: Vec<&str> = words.by_ref().take(2).collect();
    let comment: String =
        words.collect::<Vec<_>>().join("-").chars().filter(|char| char.is_ascii_alphanumeric() || "._-@".contains(*char)).collect();
    format!("{} {comment}", key.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGjh owner@mac";

    #[test]
    fn a_comment_never_becomes_shell() {
        let line = line("offsite", "ssh-ed25519 AAAA owner's \"Mac\" $(reboot) `x`; rm");
        assert!(line.contains("ssh-ed25519 AAAA owners-Mac-reboot-x-rm\";"), "{line}");
        assert_eq!(line.matches('\'').count(), 2, "{line}");
        assert_eq!(public_words("ssh-ed25519 AAAA"), "ssh-ed25519 AAAA");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn one_host_key_is_shown_and_it_is_the_one_that_is_asked_for_first() {
        let dir = tempfile::tempdir().unwrap();
        let shown = || {
            let text = SHOW.replace("/etc/ssh", &dir.path().to_string_lossy()).replace("ssh-keygen -lf", "basename");
            let output = Command::new("sh").args(["-ec", &text]).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        fs::write(dir.path().join("ssh_host_rsa_key.pub"), "").unwrap();
        assert_eq!(shown(), "ssh_host_rsa_key.pub\n");
        for kind in ["ecdsa", "ed25519"] {
            fs::write(dir.path().join(format!("ssh_host_{kind}_key.pub")), "").unwrap();
        }
        assert_eq!(shown(), "ssh_host_ed25519_key.pub\n");
    }

    #[test]
    fn a_persons_own_account_gets_the_key_once_and_keeps_what_it_has() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".ssh/authorized_keys");
        let paste = || {
            let text = line("me", KEY);
            assert!(!text.contains("sudo") && !text.contains("useradd"), "{text}");
            // Without the last part, which reads the machine's own keys.
            let text = text.replace(SHOW, "true");
            assert!(Command::new("sh").args(["-c", &text]).env("HOME", home.path()).status().unwrap().success());
            fs::read_to_string(&file).unwrap()
        };
        let wanted = format!("restrict,command=\"internal-sftp -R\" {KEY}\n");
        assert_eq!((paste(), paste()), (wanted.clone(), wanted.clone()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // A last line that does not end is not made longer.
        fs::write(&file, "ssh-ed25519 BBBB other").unwrap();
        assert_eq!((paste(), paste()), (format!("ssh-ed25519 BBBB other\n{wanted}"), format!("ssh-ed25519 BBBB other\n{wanted}")));
    }
}
