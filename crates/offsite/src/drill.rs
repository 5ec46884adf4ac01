//! `offsite drill`: a restore for practice. Everything comes back into a new folder, is compared with what was archived, and is thrown away.
//!
//! Nothing stands in for the restore: it is the one of `offsite restore`, with a second reader beside it. So what a good drill says is what a
//! bad day needs to hear: these files come back from that place on this machine, every byte, mode, time and link. It holds the lock, because a
//! night that prunes meanwhile would make a good copy look like a bad one.

mod compare;
mod content;
mod folder;
mod report;
mod stop;
mod twice;

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Instant,
};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, Extracted, JobName};
use offsite_repository::Archives;
use tokio::process::Command;

use self::{
    compare::{Compared, compare},
    folder::{Folder, Left},
    report::{Drill, Report},
    stop::Stop,
};
use crate::{
    browse::absolute,
    config::{Cloud, Config, Home, PlaceName, StorageClass},
    exit::Exit,
    globals::Globals,
    hint,
    human::size,
    journal::{Drilled, Fact, Journal, Receipt, Step},
    live::Live,
    platform,
    progress::Bar,
    restore::{
        self, BridgeError, Plan, RestoreError,
        bridge::Load,
        from::{self, From, Opened},
        select::Wanted,
    },
    state::{State, StateError},
};

/// Arguments of `offsite drill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this job [default: each job of which there are archives]
    #[arg(value_name = "JOB")]
    pub job: Option<JobName>,
    /// Only this path and what lies below it, as it was on the Pi; may be repeated. Such a drill does not count as one of the job
    #[arg(long, value_name = "PATH")]
    pub path: Vec<PathBuf>,
    /// The folder in which a new one is made for the drill, and removed again [default: the system's folder for temporary files or, if it has
    /// no room, the one in which the repository lies]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Also run this in the restored folder, by the shell; the drill is good only if it ends with 0. OFFSITE_ARCHIVE and OFFSITE_JOB are set
    #[arg(long, value_name = "COMMAND")]
    pub check: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DrillError {
    #[error("there is no archive in {place} to rehearse with")]
    Nothing { place: String },
    #[error("cannot drill from {place}: its class {class} must be thawed before it can be read, which takes hours and costs money")]
    Cold { place: PlaceName, class: String },
    #[error("there is no room for a drill of {archive} in {}: it needs {} and {} are free", folder.display(), size(*need), size(*free))]
    NoRoom { archive: ArchiveName, folder: PathBuf, need: u64, free: u64 },
    #[error("cannot {operation} the drill's folder {}", path.display())]
    Folder { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot restore all of {archive} from {place}")]
    Stopped { archive: ArchiveName, place: String, source: BridgeError },
    #[error("cannot restore all of {archive} from {place}: {first}{}", more(*members))]
    Lost { archive: ArchiveName, place: String, members: u64, first: String },
    #[error("cannot compare what was restored of {archive}")]
    Compare { archive: ArchiveName, source: compare::CompareError },
    #[error("{archive} from {place} did not come back as it was: {first}{}", more(*differences))]
    Differs { archive: ArchiveName, place: String, differences: u64, first: String },
    #[error("cannot run the check {command:?}")]
    Run { command: String, source: std::io::Error },
    #[error("the check of {archive} from {place} ended with {status}: {command}")]
    Check { archive: ArchiveName, place: String, command: String, status: ExitStatus },
}

fn more(differences: u64) -> String {
    if differences > 1 { format!(" (and {} more)", differences - 1) } else { String::new() }
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    if let (Some(from), Ok(config)) = (&args.from.from, globals.load()) {
        refuse_cold(&config, from)?;
    }
    let opened = from::open(globals, &args.from).await?;
    let state = state(globals, &opened)?;
    let _lock = state.lock("drill", Timestamp::now())?;
    let _live = Live::begin(&state, "drill", Timestamp::now());
    tell(&folder::remove_left(&state)?);
    let archives = opened.repository.archives().await?;
    let jobs = jobs(&archives, args.job.as_ref());
    if jobs.is_empty() {
        return Err(DrillError::Nothing { place: opened.label.clone() }.into());
    }
    let stop = Stop::listen()?;
    let report = tokio::select! {
        biased;
        () = stop.asked() => None,
        held = hold(&opened, &state, &archives, jobs, args, &stop) => held?,
    };
    let Some(report) = report else { return stopped(&state, &stop).await };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    }
    Ok(report.exit())
}

/// The drills of `jobs`, one after the other; none if it is told to end meanwhile.
async fn hold(
    opened: &Opened,
    state: &State,
    archives: &Archives,
    jobs: Vec<JobName>,
    args: &Args,
    stop: &Stop,
) -> anyhow::Result<Option<Report>> {
    let journal = state.journal();
    let mut report = Report::new(&opened.label);
    for job in jobs {
        let began = Instant::now();
        let mut drill = Drill::of(&job);
        let result = one(opened, state, archives, &job, args, stop, &mut drill).await;
        // A failure that comes of the signal is none of the archive.
        if stop.is_asked() {
            return Ok(None);
        }
        drill.seconds = began.elapsed().as_secs_f64();
        if let Err(error) = &result {
            (drill.message, drill.hint) = (Some(line(&hint::message(error))), hint::hint(error));
        }
        note(&journal, opened, &job, &drill, args)?;
        if let Err(error) = &result {
            note!("drill of {job}: {}", hint::render(error));
        } else if !args.json {
            say!("{}", drill.text(&opened.label));
        }
        report.drills.push(drill);
    }
    Ok(Some(report))
}

/// A message as it is written down: a path in it may be longer than any line. Its beginning and its end, which has the cause, stay.
fn line(message: &str) -> String {
    const MOST: usize = 300;
    let letters = message.chars().count();
    if letters <= MOST {
        return message.to_owned();
    }
    message.chars().take(MOST / 2).chain(['…']).chain(message.chars().skip(letters - MOST / 2)).collect()
}

/// After a signal: what was restored is removed, and nothing is said about the archive.
async fn stopped(state: &State, stop: &Stop) -> anyhow::Result<Exit> {
    if !stop.rest().await {
        note!("stopped by a signal, and the disk is busy: what was restored is removed by the next drill or sync");
        return Ok(Exit::Failed);
    }
    let left = folder::remove_left(state)?;
    left.removed.iter().for_each(|path| note!("stopped by a signal; removed {}", path.display()));
    tell(&Left { removed: Vec::new(), ..left });
    Ok(Exit::Failed)
}

fn tell(left: &Left) {
    for path in &left.removed {
        note!("note: removed {}, which a drill that was killed had left", path.display());
    }
    for path in &left.away {
        note!("note: a drill that was killed may have left {}, on a disk that is away: it is removed once that is back", path.display());
    }
    for error in &left.stuck {
        note!("note: {}; what a drill restored lies there in the clear", hint::message(error));
    }
}

/// Removes what a drill left that was killed, for a night. The caller holds the lock. It is the owner's data in the clear, and no part of
/// the night: what cannot be removed fails nothing.
pub(crate) fn clean(state: &State) {
    match folder::remove_left(state) {
        Ok(left) => {
            left.removed.iter().for_each(|path| tracing::info!(path = %path.display(), "removed what a drill left"));
            left.stuck.iter().for_each(|error| tracing::warn!(error = hint::message(error), "a drill's folder stays"));
        }
        Err(error) => tracing::warn!(error = hint::message(&error.into()), "a drill's folder may stay"),
    }
}

/// What drills left that were killed, for who only looks: what is wrong, and what to do. Only for who knows that no drill runs.
pub(crate) fn left(state: &State) -> Vec<(String, String)> {
    let next = "the next sync or drill removes it, with the disk that it is on mounted: offsite sync; or remove it yourself";
    let one =
        |folder: PathBuf| (format!("one was killed and left what it had restored, in the clear: {}", folder.display()), next.to_owned());
    match folder::left(state) {
        Ok(folders) => folders.into_iter().map(one).collect(),
        Err(error) => vec![(
            format!(
                "what one that was killed has left, in the clear, is not known: cannot read {}: {error}",
                folder::memory(state).display()
            ),
            format!("look where you let drills restore to for folders {}…, remove them, then that file", folder::PREFIX),
        )],
    }
}

/// The state folder: the configured one or, on a machine without configuration, the usual one.
fn state(globals: &Globals, opened: &Opened) -> anyhow::Result<State> {
    let folder = match &opened.config {
        Some(config) => config.state.clone(),
        None => match globals.load() {
            Ok(config) => config.state,
            Err(_) => platform::current().state_folder(&Home::of_process()?),
        },
    };
    State::open(&folder).map_err(|error: StateError| error.into())
}

/// A cold cloud answers only after hours, and a drill that waits for that is a bill. What is given by its address tells no class.
fn refuse_cold(config: &Config, from: &str) -> Result<(), DrillError> {
    let class = |cloud: &Cloud| cloud.class.clone().filter(StorageClass::needs_thaw);
    match config.clouds.iter().find(|cloud| cloud.name.as_str() == from).and_then(|cloud| Some((cloud, class(cloud)?))) {
        Some((cloud, class)) => Err(DrillError::Cold { place: cloud.name.clone(), class: class.as_str().to_owned() }),
        None => Ok(()),
    }
}

/// The jobs to rehearse, each once. A job that was asked for is tried even if nothing of it can be read: that is the finding.
fn jobs(archives: &Archives, only: Option<&JobName>) -> Vec<JobName> {
    let found: std::collections::BTreeSet<JobName> = archives.good.iter().map(|info| info.name.job.clone()).collect();
    match only {
        Some(job) => vec![job.clone()],
        None => found.into_iter().collect(),
    }
}

async fn one(
    opened: &Opened,
    state: &State,
    archives: &Archives,
    job: &JobName,
    args: &Args,
    stop: &Stop,
    drill: &mut Drill,
) -> anyhow::Result<()> {
    let chosen = restore::choose_among(archives, opened, &Wanted::Newest(job.clone()))?;
    let name = chosen.info.name;
    // Before the folder is made, because it says how much room is needed.
    let mut plan = match restore::plan(opened, &name, &args.path, PathBuf::new()).await {
        Err(error) if !matches!(error.downcast_ref(), Some(RestoreError::Missing { .. })) => {
            drill.archive = Some(name);
            return Err(error);
        }
        planned => planned?,
    };
    let folder = Folder::make(opened, state, args.into.as_deref(), &name, plan.raw())?;
    plan.into = folder.path().to_owned();
    // From here on a failure is one of the archive.
    drill.archive = Some(name.clone());
    let result = restored(opened, &name, &plan, args, stop, drill).await;
    if stop.is_asked() {
        // It is removed once nobody writes there any more.
        return result;
    }
    // A folder that stays says nothing about the archive; it is remembered, and tried again.
    if let Err(error) = folder.remove(state) {
        note!("{}", hint::render(&error.into()));
        drill.left = Some(plan.into);
    }
    result
}

async fn restored(opened: &Opened, name: &ArchiveName, plan: &Plan, args: &Args, stop: &Stop, drill: &mut Drill) -> anyhow::Result<()> {
    let stopped = |source| DrillError::Stopped { archive: name.clone(), place: opened.label.clone(), source };
    let bar = Bar::new(&format!("drill {name}"));
    let load = Load { repository: &opened.repository, manifest: &plan.manifest, ranges: &plan.ranges, around: Some(&plan.bytes) };
    let (extracted, contents) = twice::carry(load, &plan.into, stop.hand().await, &|progress| bar.set(progress)).await.map_err(stopped)?;
    drop(bar);
    drill.warnings = extracted.warnings.len() as u64;
    lost(name, &opened.label, &extracted, drill)?;
    let (bytes, into, whole) = (plan.bytes.clone(), plan.into.clone(), plan.whole());
    let compared = tokio::task::spawn_blocking(move || compare(&bytes, &contents, &extracted.unmade, &into, whole)).await?;
    let compared = compared.map_err(|source| DrillError::Compare { archive: name.clone(), source })?;
    judge(name, &opened.label, &compared, drill)?;
    match &args.check {
        Some(command) => Ok(check(name, &opened.label, command, &plan.into, drill).await?),
        None => Ok(()),
    }
}

/// Fails the drill where bytes are lost, and names what a restore would leave out.
fn lost(archive: &ArchiveName, place: &str, extracted: &Extracted, drill: &mut Drill) -> Result<(), DrillError> {
    if extracted.gaps == 0 {
        return Ok(());
    }
    let named = extracted.unmade.iter().map(|(path, why)| format!("{}: {why}", absolute(path)));
    drill.differing = extracted.unmade.count();
    drill.differences = named.chain(extracted.warnings.iter().cloned()).take(compare::KEPT).collect();
    // Where neither a file nor a folder's attributes are lost, the end of the tar is.
    let first = drill.differences.first().cloned().unwrap_or_else(|| "its end cannot be read".to_owned());
    Err(DrillError::Lost { archive: archive.clone(), place: place.to_owned(), members: drill.differing, first })
}

fn judge(archive: &ArchiveName, place: &str, compared: &Compared, drill: &mut Drill) -> Result<(), DrillError> {
    (drill.files, drill.bytes, drill.left_out, drill.unheld) = (compared.files, compared.bytes, compared.left_out, compared.unheld);
    (drill.differing, drill.differences) = (compared.differing, compared.differences.clone());
    match compared.differences.first() {
        None => Ok(()),
        Some(first) => Err(DrillError::Differs {
            archive: archive.clone(),
            place: place.to_owned(),
            differences: compared.differing,
            first: first.clone(),
        }),
    }
}

async fn check(archive: &ArchiveName, place: &str, command: &str, folder: &Path, drill: &mut Drill) -> Result<(), DrillError> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(folder).env("OFFSITE_ARCHIVE", archive.to_string()).env("OFFSITE_JOB", archive.job.to_string());
    // What it says is for people; standard output may be JSON.
    let status = shell.stdin(Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true).status().await;
    let status = status.map_err(|source| DrillError::Run { command: command.to_owned(), source })?;
    drill.check = Some(status.success());
    if status.success() {
        return Ok(());
    }
    Err(DrillError::Check { archive: archive.clone(), place: place.to_owned(), command: command.to_owned(), status })
}

/// Writes down how it went. A part that came back well says nothing about the rest; a part that did not does.
fn note(journal: &Journal, opened: &Opened, job: &JobName, drill: &Drill, args: &Args) -> anyhow::Result<()> {
    let Some(place) = opened.place.clone() else { return Ok(()) };
    let fact = match (&drill.message, &drill.archive) {
        // Nothing was restored because nothing could be begun: the archive is as good or bad as before.
        (Some(_), None) => return Ok(()),
        (Some(message), Some(_)) => {
            let (object, message, hint) = (Drilled::object(job, &place), message.clone(), drill.hint.clone());
            Fact::Failed { step: Step::Drill, object, message, hint }
        }
        (None, Some(archive)) if args.path.is_empty() => {
            Fact::Drilled { place, archive: archive.clone(), files: drill.files, bytes: drill.bytes }
        }
        _ => return Ok(()),
    };
    Ok(journal.append(&Receipt { time: Timestamp::now(), fact })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line_with_its_cause() {
        assert_eq!(line("cannot read back é: it is gone"), "cannot read back é: it is gone");
        let long = line(&format!("cannot read back {}: it is gone", "é/".repeat(6000)));
        assert!(long.starts_with("cannot read back é/") && long.ends_with("é/: it is gone") && long.chars().count() == 301, "{long}");
    }
}
