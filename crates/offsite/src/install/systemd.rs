//! The same alarm clock where systemd is: a timer of the owner's own systemd, which needs no administrator.
//!
//! It rings when launchd's does, and as needlessly: what is owed is decided by the journal.

mod mount;
mod units;

use std::path::{Path, PathBuf};

use super::{
    InstallError, Job, Step, Tool,
    job::text,
    mac::Ids,
    state::{Clock, Installed, judge},
};
use crate::config::Home;

const TIMER: &str = "offsite.timer";
const SERVICE: &str = "offsite.service";

/// Where the owner's units lie. This shell's `XDG_CONFIG_HOME` counts only if the owner's systemd, which was started before it, looks there too.
pub(super) fn folder(home: &Home, systemctl: &dyn Tool) -> PathBuf {
    let usual = home.home.join(".config/systemd/user");
    let Some(folder) = home.config.as_ref().map(|config| config.join("systemd/user")).filter(|folder| *folder != usual) else {
        return usual;
    };
    let shown = ask(systemctl, &["show", "--property=UnitPath"]);
    let looks = value(&shown, "UnitPath").is_some_and(|paths| paths.split_whitespace().any(|path| Path::new(path) == folder));
    if looks { folder } else { usual }
}

/// Where the timer may lie, whichever of them this owner's systemd looks into.
pub(super) fn timers(home: &Home) -> Vec<PathBuf> {
    let folders = [Some(home.home.join(".config")), home.config.clone()].into_iter().flatten();
    folders.map(|folder| folder.join("systemd/user").join(TIMER)).collect()
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
    let variables = job.xdg.iter().map(|(name, path)| Ok(format!("{name}={}", text(path)?))).collect::<Result<Vec<_>, _>>()?;
    Ok(vec![(SERVICE, units::service(&arguments, &variables, disk.as_deref())), (TIMER, units::timer(job.at))])
}

pub(super) fn install(folder: &Path, owner: Ids, units: &[(&'static str, String)], now: bool) -> Vec<Step> {
    // A shell without a bus, as after su, is found out before there are units that nothing starts.
    let mut steps = vec![step(&["show-environment"]), Step::Folder { path: folder.to_owned(), owner, mode: 0o755 }];
    for (name, text) in units {
        steps.push(Step::Write { path: folder.join(name), text: text.clone(), owner });
    }
    steps.push(step(&["daemon-reload"]));
    // A disk that the repository lay on before would go on starting it.
    steps.push(step(&["disable", SERVICE, TIMER]));
    let by_disk = units.iter().any(|(name, text)| *name == SERVICE && text.contains("[Install]"));
    steps.push(step(if by_disk { &["enable", SERVICE, TIMER] } else { &["enable", TIMER] }));
    steps.push(step(&["restart", TIMER]));
    steps.extend(now.then(|| step(&["start", "--no-block", SERVICE])));
    steps
}

fn step(words: &[&str]) -> Step {
    Step::Systemctl(words.iter().map(|&word| word.to_owned()).collect())
}

/// What removing them takes, however much of them is left: files, links that start them, and what systemd still has although the file is gone.
/// Nothing if none of that is there. Where systemd does not answer, only files and links are known, and those go all the same.
pub(super) fn uninstall(folder: &Path, systemctl: &dyn Tool) -> Result<Vec<Step>, InstallError> {
    let files = [TIMER, SERVICE].map(|name| folder.join(name)).into_iter().filter(|path| path.symlink_metadata().is_ok());
    let mut steps: Vec<Step> = files.chain(links(folder)?).map(|path| Step::Remove { path }).collect();
    let states = [TIMER, SERVICE].map(|name| (name, show(systemctl, name, "ActiveState")));
    let at_work = |text: &str| value(text, "ActiveState").is_some_and(|state| !["inactive", "failed"].contains(&state));
    let at_work: Vec<&str> = states.iter().filter(|(_, text)| at_work(text)).map(|(name, _)| *name).collect();
    steps.extend((!at_work.is_empty()).then(|| step(&[&["stop"], at_work.as_slice()].concat())));
    let answers = states.iter().any(|(_, text)| !text.is_empty());
    steps.extend((answers && !steps.is_empty()).then(|| step(&["daemon-reload"])));
    Ok(steps)
}

/// What starts the units: links in the folders `UNIT.wants`, in the order of their names.
fn links(folder: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let unread = |source| InstallError::File { what: "read", path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    let mut links = Vec::new();
    for entry in entries {
        let wants = entry.map_err(unread)?.path();
        if wants.extension().is_some_and(|kind| kind == "wants") {
            links.extend([TIMER, SERVICE].map(|name| wants.join(name)).into_iter().filter(|link| link.symlink_metadata().is_ok()));
        }
    }
    links.sort();
    Ok(links)
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
    ask(systemctl, &["show", &format!("--property={properties}"), unit])
}

/// Empty if there is no answer.
fn ask(systemctl: &dyn Tool, words: &[&str]) -> String {
    let arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
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
