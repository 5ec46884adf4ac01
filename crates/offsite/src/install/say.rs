//! What an installation tells the owner: what starts the daemon, when next, and the one thing that macOS will ask.

use std::fmt::Write;

use super::{Clock, Installed, Job, Kind, Label, Step, Wake, job::RETRY};
use crate::config::{Pi, PiAuth};

pub(super) fn steps(steps: &[Step], sudo: Option<&str>) {
    for (at, step) in steps.iter().enumerate() {
        say!("{:>2}. {step}", at + 1);
    }
    if let Some(command) = sudo {
        say!("to do them: {command}");
    }
}

pub(super) fn installed(job: &Job, found: &[Installed], later: &[Label], next: Option<&str>, wake: Option<Wake>) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{words}");
    };
    let clock = match job.kind {
        Kind::Agent => Clock::Agent,
        Kind::System { .. } => Clock::System,
    };
    let daemon = found.iter().find(|found| found.clock == clock);
    if later.contains(&job.label()) {
        line(format!("{} is installed; nobody is logged in at the screen, so launchd loads it at the next login", job.label()));
    } else {
        let running = daemon.and_then(|daemon| daemon.pid).map_or(String::new(), |pid| format!(", and runs now as process {pid}"));
        line(format!("{} is installed: launchd has it{running}", job.label()));
    }
    line(format!(
        "  starts    at {}, at {}, when a disk is mounted, and every {} minutes: only what is owed is done",
        job.at,
        job.kind.start(),
        RETRY / 60
    ));
    if let Some(next) = next {
        line(format!("  next run  {next}"));
    }
    if daemon.is_some_and(|daemon| !daemon.enabled) {
        line("  but it is switched off: System Settings, General, Login Items & Extensions".into());
    }
    if let Some(wake) = wake {
        line(format!("  wakes     the Mac at {wake}, every day, while it is on mains (not with the lid closed)"));
    }
    match &job.kind {
        Kind::System { user } => {
            line(format!("  runs as   {user}, also while nobody is logged in"));
            if later.contains(&Label::Notices) {
                line(format!("  notices   {} shows them from the next login on", Label::Notices));
            }
            line("macOS says once that an item was added that runs in the background: leave it switched on".into());
        }
        Kind::Agent => {
            line("macOS will ask whether offsite may find devices on your local network: say Allow, or it cannot reach the Pi".into());
            line("  (asked at the first run, and perhaps again after an update; the switch is in System Settings, Privacy & Security, Local Network)".into());
            line("  without a login there are no runs; `offsite install` without --agent needs neither".into());
        }
    }
    text
}

/// What this shell may have and a daemon of the system has not: the ssh-agent, and the passphrase of a key (`passphrase`: whether it is set here).
pub(super) fn keys(pis: &[Pi], passphrase: bool) -> String {
    let mut text = String::new();
    for Pi { name, auth, .. } in pis {
        let _ = match auth {
            PiAuth::Agent => {
                writeln!(text, "but {name} is reached through the ssh-agent, which is not there without a login: name a key file for it")
            }
            PiAuth::Ssh => writeln!(
                text,
                "{name} is reached with the keys that ssh would use, but without the ssh-agent and without a passphrase: see whether that is enough with\n  \
                 env -u SSH_AUTH_SOCK -u OFFSITE_SSH_PASSPHRASE offsite doctor\n  if not, name a key file without a passphrase for it (key: in the configuration)"
            ),
            PiAuth::Key(_) if passphrase => {
                writeln!(
                    text,
                    "but the passphrase of {name}'s key is in this shell only (OFFSITE_SSH_PASSPHRASE): name a key file without one"
                )
            }
            PiAuth::Key(_) => Ok(()),
        };
    }
    text
}

pub(super) fn timer(user: &str, next: Option<&str>, lingers: bool) -> String {
    let mut text =
        format!("offsite.timer is installed: your systemd starts the daemon, also every {} minutes for what is owed\n", RETRY / 60);
    if let Some(next) = next {
        text += &format!("  next run  {next}\n");
    }
    if !lingers {
        text += &format!("  only while you are logged in; for always, once: sudo loginctl enable-linger {user}\n");
    }
    text
}
