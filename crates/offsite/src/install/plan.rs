//! What installing and removing takes, as steps that can be shown before they are done.
//!
//! The new daemon first, then the old one of the other kind goes: if power is cut in between, two fire instead of none, and the lock
//! makes that harmless. Boot out before bootstrap, because "already loaded" and a dozen other causes are all error 5; enable before
//! bootstrap, because the mark "switched off" survives re-installation.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    InstallError, Job, Label, Target,
    mac::{Ids, Mac, There},
    wake::{self, Remembered, Wake},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make a folder, with those above it that are missing, with `mode`, and give them to their owner.
    Folder {
        path: PathBuf,
        owner: Ids,
        mode: u32,
    },
    /// Give a file that is there to its owner: launchd does not start a job that cannot write its log.
    Give {
        path: PathBuf,
        owner: Ids,
    },
    /// Write a file, whole or not at all, which only its owner may change.
    Write {
        path: PathBuf,
        text: String,
        owner: Ids,
    },
    Remove {
        path: PathBuf,
    },
    /// End the job if it is there, and wait until it is gone.
    Stop(Target),
    /// Take away the mark "switched off".
    Enable(Target),
    /// Make launchd read the list, and ask it whether it has the job now.
    Load {
        target: Target,
        list: PathBuf,
        program: PathBuf,
    },
    Start(Target),
    /// Ask the system's power schedule.
    Pmset(Vec<String>),
    /// Ask the owner's systemd.
    Systemctl(Vec<String>),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, owner, .. } => write!(f, "make the folder {} for account {}", path.display(), owner.uid),
            Self::Give { path, owner } => write!(f, "give {} to account {}, if it is there", path.display(), owner.uid),
            Self::Write { path, owner, .. } => write!(f, "write {} as account {}", path.display(), owner.uid),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Stop(target) => write!(f, "launchctl bootout {target}, if it is there, and wait until it has ended"),
            Self::Enable(target) => write!(f, "launchctl enable {target}"),
            Self::Load { target, list, .. } => {
                write!(f, "launchctl bootstrap {} {}, then ask: launchctl print {target}", target.domain, list.display())
            }
            Self::Start(target) => write!(f, "launchctl kickstart {target}"),
            Self::Pmset(arguments) => write!(f, "pmset {}", arguments.join(" ")),
            Self::Systemctl(arguments) => write!(f, "systemctl --user {}", arguments.join(" ")),
        }
    }
}

/// What installing `job` takes on a Mac where `there` is there. `now` starts it although nothing else would.
pub(super) fn install(mac: &Mac, job: &Job, there: &[There], now: bool) -> Result<Vec<Step>, InstallError> {
    let private = |path: &Path| Step::Folder { path: path.to_owned(), owner: mac.ids(), mode: 0o700 };
    let mut steps = vec![private(&job.logs), Step::Give { path: job.logs.join("launchd.log"), owner: mac.ids() }, private(&job.notices)];
    let lists = job.lists()?;
    for (label, text) in &lists {
        steps.extend(load(mac, *label, text, &job.program));
    }
    let unwanted = |found: &&There| lists.iter().all(|(label, _)| *label != found.label);
    steps.extend(there.iter().filter(unwanted).flat_map(|found| remove(mac, found)));
    if now {
        steps.push(Step::Start(mac.target(job.label())));
    }
    Ok(steps)
}

fn load(mac: &Mac, label: Label, text: &str, program: &Path) -> Vec<Step> {
    let (list, target, owner) = (mac.list(label), mac.target(label), mac.owner_of(label));
    let mut steps = Vec::new();
    steps.extend(list.parent().map(|folder| Step::Folder { path: folder.to_owned(), owner, mode: 0o755 }));
    steps.push(Step::Write { path: list.clone(), text: text.to_owned(), owner });
    steps.push(Step::Stop(target));
    steps.push(Step::Enable(target));
    steps.push(Step::Load { target, list, program: program.to_owned() });
    steps
}

pub(super) fn uninstall(mac: &Mac, there: &[There]) -> Vec<Step> {
    there.iter().flat_map(|found| remove(mac, found)).collect()
}

fn remove(mac: &Mac, found: &There) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(found.job.is_some().then(|| Step::Stop(mac.target(found.label))));
    steps.extend(found.list.clone().map(|path| Step::Remove { path }));
    steps
}

/// What waking for a run takes, `sched` being the system's schedule as it is.
///
/// # Errors
/// If the schedule holds something that was not set here.
pub(super) fn wake(mac: &Mac, state: &Path, wanted: Wake, sched: &str) -> Result<Vec<Step>, InstallError> {
    let remembered = Remembered::read(state);
    let alone = Remembered { wake: wanted, before: None };
    let write = |what: Remembered| Step::Write { path: state.join(wake::FILE), text: what.text(), owner: mac.ids() };
    let set = Step::Pmset(wanted.arguments().to_vec());
    // The folder is there already, unless the configuration names another one.
    let folder = Step::Folder { path: state.to_owned(), owner: mac.ids(), mode: 0o700 };
    match wake::standing(sched, remembered) {
        wake::Standing::Theirs(theirs) => Err(InstallError::OtherWake { theirs }),
        wake::Standing::Ours(_) if remembered == Some(alone) => Ok(Vec::new()),
        wake::Standing::Ours(is) if is == wanted => Ok(vec![write(alone)]),
        wake::Standing::Ours(is) => Ok(vec![write(Remembered { wake: wanted, before: Some(is) }), set, write(alone)]),
        wake::Standing::Free => Ok(vec![folder, write(alone), set]),
    }
}

/// What giving the schedule back takes: all of it only if it is ours and nothing else.
pub(super) fn sleep_on(state: &Path, sched: &str) -> Vec<Step> {
    let Some(remembered) = Remembered::read(state) else { return Vec::new() };
    let mut steps = Vec::new();
    if matches!(wake::standing(sched, Some(remembered)), wake::Standing::Ours(_)) {
        steps.push(Step::Pmset(vec!["repeat".into(), "cancel".into()]));
    }
    steps.push(Step::Remove { path: state.join(wake::FILE) });
    steps
}
