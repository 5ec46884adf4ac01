//! The same alarm clock where systemd is: a timer of the owner's own systemd, which needs no administrator.
//!
//! It rings when launchd's does, and as needlessly: what is owed is decided by the journal.

mod mount;
mod units;

use std::path::{Path, PathBuf};

use super::{
    InstallError, Job, Step, Tool,
    mac::Ids,
    state::{Clock, Installed, judge},
};
use crate::config::Home;

const TIMER: &str = "offsite.timer";
const SERVICE: &str = "offsite.service";

/// Where the owner's units lie.
pub(super) fn folder(home: &Home) -> PathBuf {
    home.config.clone().unwrap_or_else(|| home.home.join(".config")).join("systemd/user")
}

/// The units, with their files' names. `mounts` is `/proc/self/mountinfo`, for the disk that `repository` lies on.
///
/// # Errors
/// If a path cannot stand in a unit, or is a program that systemd would refuse.
pub(super) fn units(job: &Job, repository: &Path, mounts: &str) -> Result<Vec<(&'static str, String)>, InstallError> {
    let arguments = job.arguments("daemon")?;
    if arguments.first().is_some_and(|program| program.contains(|letter: char| letter.is_control() || "\"'\\".contains(letter))) {
        return Err(InstallError::OddProgram { path: job.program.clone() });
    }
    let disk = mount::of(mounts, repository).filter(|disk| !job.home.starts_with(disk)).map(|disk| mount::unit(&disk));
    Ok(vec![(SERVICE, units::service(&arguments, disk.as_deref())), (TIMER, units::timer(job.at))])
}

/// What installing the units takes.
pub(super) fn install(folder: &Path, owner: Ids, units: &[(&'static str, String)], now: bool) -> Vec<Step> {
    let mut steps = vec![Step::Folder { path: folder.to_owned(), owner, mode: 0o755 }];
    for (name, text) in units {
        steps.push(Step::Write { path: folder.join(name), text: text.clone(), owner });
    }
    let ask = |words: &[&str]| Step::Systemctl(words.iter().map(|&word| word.to_owned()).collect());
    steps.push(ask(&["daemon-reload"]));
    // A disk that the repository lay on before would go on starting it.
    steps.push(ask(&["disable", SERVICE, TIMER]));
    let by_disk = units.iter().any(|(name, text)| *name == SERVICE && text.contains("[Install]"));
    steps.push(ask(if by_disk { &["enable", SERVICE, TIMER] } else { &["enable", TIMER] }));
    steps.push(ask(&["restart", TIMER]));
    steps.extend(now.then(|| ask(&["start", "--no-block", SERVICE])));
    steps
}

/// What removing them takes; nothing if they are not there.
pub(super) fn uninstall(folder: &Path) -> Vec<Step> {
    let there: Vec<&str> = [TIMER, SERVICE].into_iter().filter(|name| folder.join(name).symlink_metadata().is_ok()).collect();
    if there.is_empty() {
        return Vec::new();
    }
    let words = |first: &[&str], rest: &[&str]| Step::Systemctl([first, rest].concat().iter().map(|&word| word.to_owned()).collect());
    let mut steps = vec![words(&["disable", "--now"], &there)];
    steps.extend(there.iter().map(|name| Step::Remove { path: folder.join(name) }));
    steps.push(words(&["daemon-reload"], &[]));
    steps
}

/// Whether the timer is there. Where systemd does not answer, only the file is known.
pub(super) fn state(folder: &Path, systemctl: &dyn Tool, this: Option<&Path>) -> Option<Installed> {
    let list = Some(folder.join(TIMER)).filter(|path| path.exists());
    let timer = show(systemctl, TIMER, "LoadState,ActiveState,UnitFileState");
    let service = show(systemctl, SERVICE, "MainPID,ExecMainCode,ExecMainStatus");
    let loaded = value(&timer, "LoadState") == Some("loaded") && value(&timer, "ActiveState") == Some("active");
    if list.is_none() && !loaded {
        return None;
    }
    // 1 is "it ended by itself": only then is the status an exit code.
    let ended = value(&service, "ExecMainCode") == Some("1");
    let program = std::fs::read_to_string(folder.join(SERVICE)).ok().and_then(|text| units::program(&text));
    Some(Installed {
        clock: Clock::Timer,
        list,
        loaded,
        enabled: value(&timer, "UnitFileState").is_none_or(|state| state == "enabled"),
        pid: value(&service, "MainPID").and_then(|pid| pid.parse().ok()).filter(|&pid| pid != 0),
        runs: None,
        last_exit: value(&service, "ExecMainStatus").filter(|_| ended).and_then(|code| code.parse().ok()),
        program: judge(program.as_deref(), this),
    })
}

fn show(systemctl: &dyn Tool, unit: &str, properties: &str) -> String {
    let arguments = ["show".to_owned(), format!("--property={properties}"), unit.to_owned()];
    systemctl.run(&arguments).ok().filter(|reply| reply.code == 0).map(|reply| reply.out).unwrap_or_default()
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).filter(|value| !value.is_empty())
}

/// Whether the owner's systemd runs while nobody is logged in.
pub(super) fn lingers(name: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(name).exists()
}

#[cfg(test)]
mod tests;
