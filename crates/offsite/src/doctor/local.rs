//! What this machine itself must have: state folder, key, repository, disk, clock. Probes first, then pure judgements.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use offsite_repository::seal::SlotKind;

use super::line::{Line, Lines, Trouble};
use crate::{
    config::{Config, Home},
    drill,
    human::{age, count, size},
    journal::{Standing, Waiting},
    key::{Key, KeyError},
    live,
    owed::Schedule,
    places, platform,
    state::State,
};

/// How far the clock may be behind the last receipt.
const BEHIND: SignedDuration = SignedDuration::from_mins(5);
/// Before this nobody had this program. 2026-01-01.
const FIRST: i64 = 1_767_225_600;

#[derive(Debug, Clone)]
pub(crate) struct StateFacts {
    pub path: PathBuf,
    /// Its permission bits and whether it is this account's; none if it is not there yet.
    pub folder: Option<Result<(u32, bool), String>>,
    /// Why nothing can be written in it, and what to do.
    pub trouble: Option<(String, String)>,
    /// What the journal adds up to, when its last receipt was written, and how many of its lines are damaged.
    pub journal: Result<(Box<Standing>, Option<Timestamp>, usize), Trouble>,
    /// What drills left that were killed, and what to do.
    pub drills: Vec<(String, String)>,
}

pub(crate) fn state(config: &Config) -> StateFacts {
    let path = config.state.clone();
    let folder = match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => Some(Ok((meta.mode() & 0o7777, meta.uid() == rustix::process::geteuid().as_raw()))),
        Ok(_) => Some(Err("it is not a folder".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    };
    let state = State::at(&path);
    let journal = state.journal().read().map_err(Trouble::of).map(|read| {
        let last = read.receipts.iter().map(|receipt| receipt.time).max();
        (Box::new(Standing::of(&read.receipts)), last, read.damaged.len())
    });
    // While somebody is at work it may be a drill, and its folder is none that was left.
    let drills = if live::read(&state).is_some() { Vec::new() } else { drill::left(&state) };
    StateFacts { folder, trouble: state.trouble(), journal, drills, path }
}

pub(crate) fn judge_state(facts: &StateFacts) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    let path = facts.path.display();
    match &facts.folder {
        None => lines.note("state", format!("there is no {path} yet"), "the first sync makes it: offsite sync"),
        Some(Err(problem)) => lines.bad("state", format!("{path}: {problem}"), "`state:` must name a folder of this account"),
        Some(Ok((_, false))) => {
            lines.bad("state", format!("{path} belongs to another account"), format!("sudo chown -R \"$(id -un)\" '{path}'"))
        }
        Some(Ok((mode, true))) if mode & 0o077 != 0 => {
            lines.bad("state", format!("others may look into {path}, where the key lies: mode {mode:04o}"), format!("chmod 700 '{path}'"));
        }
        Some(Ok(_)) => match &facts.trouble {
            Some((problem, fix)) => lines.bad("state", format!("{path}: {problem}"), fix),
            None => lines.ok("state", format!("{path}, for this account alone")),
        },
    }
    match &facts.journal {
        Err(trouble) => lines.trouble("journal", trouble),
        Ok((_, _, damaged)) if *damaged > 0 => lines.note(
            "journal",
            format!("{} damaged", count(*damaged as u64, "line is", "lines are")),
            "what those lines said is forgotten, nothing else; check this disk",
        ),
        Ok((_, None, _)) => lines.note("journal", "nothing has happened yet", "run the first night by hand: offsite sync"),
        Ok((_, Some(_), _)) => lines.ok("journal", "can be read"),
    }
    if let Ok((standing, ..)) = &facts.journal
        && let Some(why @ Waiting::Away { no_route, .. }) = standing.waiting.as_ref().map(|waited| &waited.why)
        && !no_route.is_empty()
    {
        // What starts a doctor may often go where the daemon may not.
        let next = if platform::current().has_launchd() {
            "if the Pi answers below, macOS forbids the daemon the local network: sudo offsite install, or System Settings, Privacy & Security, \
             Local Network"
        } else {
            "if the Pi answers below, the daemon's next start finds it, too"
        };
        lines.note("daemon", format!("its last start waited: {why}"), next);
    }
    for (left, next) in &facts.drills {
        lines.note("drill", left, next);
    }
    lines.all
}

/// How many secrets of a kind open the key, in words.
fn opens(key: &Key, kind: SlotKind) -> Option<String> {
    match key.slots.iter().filter(|slot| slot.kind() == kind).count() {
        0 => None,
        1 => Some(format!("a {kind}")),
        many => Some(format!("any of {many} {kind}s")),
    }
}

/// The line of the key. It matters only where there are clouds.
pub(crate) fn judge_key(key: &Result<Key, KeyError>, clouds: usize) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    match key {
        Ok(key) => lines.ok(
            "key",
            format!(
                "of vault {}; it opens with {} too. Do you know where that paper is? A copy on this Mac alone is lost with it. If not: offsite key paper",
                key.vault,
                [SlotKind::Recovery, SlotKind::Passphrase].into_iter().filter_map(|kind| opens(key, kind)).collect::<Vec<_>>().join(" or ")
            ),
        ),
        Err(KeyError::None { .. }) if clouds == 0 => lines.ok("key", "none, and no cloud that needs one"),
        Err(error) => lines.bad("key", error.to_string(), fix(error)),
    }
    lines.all
}

fn fix(error: &KeyError) -> String {
    match error {
        KeyError::None { .. } => "on the first Mac: offsite key new; on a new one: offsite key recover CLOUD".to_owned(),
        KeyError::Gone { cloud, .. } => format!("offsite key recover {cloud}"),
        KeyError::Open { path, .. } => format!("chmod 600 '{}'", path.display()),
        KeyError::Damaged { path, .. } => format!("move {} away and get it back from a cloud: offsite key recover CLOUD", path.display()),
        _ => "make the file readable for this account".to_owned(),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RepositoryFacts {
    pub path: PathBuf,
    pub opened: Result<(), Trouble>,
    /// Why nothing can be written there.
    pub refuses: Option<io::ErrorKind>,
    /// Whether other accounts may enter it.
    pub exposed: bool,
    pub guard: Option<String>,
    pub network: Option<String>,
    pub left_out: bool,
    /// In bytes.
    pub free: Option<u64>,
}

pub(crate) async fn repository(config: &Config, home: Option<&Home>) -> RepositoryFacts {
    let platform = platform::current();
    let path = config.repository.clone();
    RepositoryFacts {
        opened: super::within("open the repository", places::mac(config)).await.map(drop),
        refuses: rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).err().map(|error| io::Error::from(error).kind()),
        exposed: std::fs::metadata(&path).is_ok_and(|there| there.mode() & 0o077 != 0),
        guard: home.and_then(|home| platform.guards(&path, home)).map(str::to_owned),
        network: platform::network(&path),
        left_out: platform.is_left_out(&path),
        free: platform::free(&path).ok(),
        path,
    }
}

/// The lines of the repository. `launchd` is whether this is a Mac.
pub(crate) fn judge_repository(facts: &RepositoryFacts, standing: &Standing, launchd: bool) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    let path = facts.path.display();
    if let Err(trouble) = &facts.opened {
        lines.trouble("repository", trouble);
        ["disk", "room", "protection", "own backup"].into_iter().for_each(|check| lines.skipped(check, "repository"));
        return lines.all;
    }
    match facts.refuses {
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            lines.bad("repository", format!("the disk with {path} is mounted read-only"), "check it, then mount it writable");
        }
        Some(_) => {
            lines.bad("repository", format!("this account may not write in {path}"), format!("sudo chown -R \"$(id -un)\" '{path}'"))
        }
        None if facts.exposed => lines.note(
            "repository",
            format!("other accounts of this machine may look into {path}: the Pi's keys and databases are in there"),
            format!("chmod go-rwx '{path}'"),
        ),
        None => lines.ok("repository", format!("{path}")),
    }
    match &facts.network {
        Some(kind) => lines.note(
            "disk",
            format!("the repository comes over the network ({kind}): it may be away at night, and a power cut there can cost what was written last"),
            "use a disk at this Mac; a network disk makes a good further place, as a file:// cloud",
        ),
        None => lines.ok("disk", "at this machine"),
    }
    room(facts.free, standing, &mut lines);
    match &facts.guard {
        Some(guard) if launchd => lines.note(
            "protection",
            format!("the repository lies in {guard}, which macOS guards from programs in the background, or moves to the cloud"),
            "move it elsewhere, as to ~/Backups, and correct `repository:`; or give offsite Full Disk Access in System Settings, Privacy & Security",
        ),
        _ => lines.ok("protection", "nothing guards the folder from the daemon"),
    }
    if facts.left_out {
        lines.ok("own backup", if launchd { "Time Machine leaves it out" } else { "the system has none" });
    } else {
        lines.note(
            "own backup",
            "Time Machine takes the repository too: what is pruned here takes room for another day",
            // Without -p, which leaves no mark at the folder: the note would never go away. The mark is the owner's to set.
            format!("tmutil addexclusion '{path}'"),
        );
    }
    lines.all
}

fn room(free: Option<u64>, standing: &Standing, lines: &mut Lines) {
    const CHECK: &str = "room";
    let moved: u64 = standing.pulled.values().map(|moved| moved.moved).sum();
    let total: u64 = standing.pulled.values().map(|moved| moved.total).sum();
    let fix = "make room on that disk, or keep less: `keep:`, `plain: none`";
    match free {
        None => lines.note(CHECK, "the disk does not say what is free", "see it yourself: df -h"),
        Some(free) if total == 0 => lines.ok(CHECK, format!("{} free; what a night needs is known after the first", size(free))),
        Some(free) if free < moved.saturating_mul(2) => {
            lines.bad(CHECK, format!("{} free, and the last night moved {}", size(free), size(moved)), fix);
        }
        Some(free) if free < total => lines.note(
            CHECK,
            format!("{} free: enough for a usual night ({}), not for one in which all is new ({})", size(free), size(moved), size(total)),
            fix,
        ),
        Some(free) => lines.ok(CHECK, format!("{} free; the last night moved {}, all of it is {}", size(free), size(moved), size(total))),
    }
}

/// The line of the clock. `last` is the time of the last receipt.
pub(crate) fn judge_clock(schedule: &Schedule, now: Timestamp, last: Option<Timestamp>) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    let zone = schedule.zone.iana_name().unwrap_or("of no name");
    let fix = "set the clock: System Settings, General, Date & Time, set automatically (on Linux: timedatectl set-ntp true)";
    match last {
        _ if now.as_second() < FIRST => lines.bad("clock", format!("it says {now}"), fix),
        Some(last) if last.duration_since(now) > BEHIND => {
            let behind = age(last.duration_since(now));
            lines.bad("clock", format!("it is {behind} behind the last receipt: it went back, or was ahead then"), fix);
        }
        _ if schedule.zone.is_unknown() => {
            let fix = "set this system's time zone, or correct the variable TZ";
            lines.note("clock", "the time zone cannot be found out: nights are due by UTC", fix);
        }
        _ => match schedule.next(now) {
            Some(next) => {
                let next = next.to_zoned(schedule.zone.clone());
                lines.ok("clock", format!("time zone {zone}; the next run is due {}", next.strftime("%A, %d %B, %H:%M")));
            }
            None => lines.ok("clock", format!("time zone {zone}")),
        },
    }
    lines.all
}

/// Whether the log can be written.
pub(crate) fn judge_log(folder: &Path, written: Result<(), &io::Error>) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    match written {
        Ok(()) => lines.ok("log", format!("in {}", folder.display())),
        Err(error) => lines.note(
            "log",
            format!("cannot write in {}: {error}", folder.display()),
            format!("sudo chown -R \"$(id -un)\" '{}'; nights run all the same, and leave no log", folder.display()),
        ),
    }
    lines.all
}

/// Whether a log could be written in `folder`, without writing: the folder, or the nearest above it that is there, is ours to write.
pub(crate) fn log(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(there, rustix::fs::Access::WRITE_OK).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::line::Verdict::{self, Bad, Note, Ok as Fine, Skipped},
        journal::Moved,
    };

    fn standing(moved: u64, total: u64) -> Standing {
        let mut standing = Standing::default();
        let archive: offsite_archive::ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        standing.pulled.insert(archive.job.clone(), Moved { time: Timestamp::UNIX_EPOCH, archive, moved, total, over: true });
        standing
    }

    fn facts() -> RepositoryFacts {
        RepositoryFacts {
            path: "/b".into(),
            opened: Ok(()),
            refuses: None,
            exposed: false,
            guard: None,
            network: None,
            left_out: true,
            free: Some(1000),
        }
    }

    /// The verdict of `check` after a change.
    fn of(check: &str, standing: &Standing, change: impl Fn(&mut RepositoryFacts)) -> Verdict {
        let mut facts = facts();
        change(&mut facts);
        judge_repository(&facts, standing, true).iter().find(|line| line.check == check).unwrap().verdict
    }

    #[test]
    fn a_repository_has_a_line_for_each_thing_that_can_be_wrong_with_it() {
        let usual = standing(10, 500);
        assert!(judge_repository(&facts(), &usual, true).iter().all(|line| line.verdict == Fine));
        assert_eq!(of("repository", &usual, |facts| facts.refuses = Some(io::ErrorKind::PermissionDenied)), Bad);
        assert_eq!(of("repository", &usual, |facts| facts.refuses = Some(io::ErrorKind::ReadOnlyFilesystem)), Bad);
        assert_eq!(of("repository", &usual, |facts| facts.exposed = true), Note);
        assert_eq!(of("disk", &usual, |facts| facts.network = Some("smb".into())), Note);
        assert_eq!(of("protection", &usual, |facts| facts.guard = Some("Documents".into())), Note);
        assert_eq!(of("own backup", &usual, |facts| facts.left_out = false), Note);
        let taken = judge_repository(&RepositoryFacts { left_out: false, ..facts() }, &usual, true);
        let fix = taken.iter().find(|line| line.check == "own backup").unwrap().fix.as_deref();
        // What -p excludes is not seen as excluded.
        assert_eq!(fix, Some("tmutil addexclusion '/b'"));
        assert_eq!([20, 19, 499, 500].map(|free| of("room", &usual, |facts| facts.free = Some(free))), [Note, Bad, Note, Fine]);
        assert_eq!(of("room", &Standing::default(), |facts| facts.free = Some(1)), Fine, "nothing is known yet");
        let gone = |facts: &mut RepositoryFacts| facts.opened = Err(Trouble { message: "x".into(), fix: None });
        assert_eq!((of("repository", &usual, gone), of("room", &usual, gone)), (Bad, Skipped));
    }

    #[test]
    fn a_clock_that_went_back_or_never_was_right_is_red() {
        let schedule = Schedule { at: "04:30".parse().unwrap(), zone: jiff::tz::TimeZone::UTC };
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let of = |now, last: Option<&str>| judge_clock(&schedule, now, last.map(|last| last.parse().unwrap())).remove(0);
        assert_eq!(of(now, None).words, "time zone UTC; the next run is due Monday, 23 November, 04:30");
        assert_eq!(of(now, Some("2026-11-22T12:04:00Z")).verdict, Fine);
        assert_eq!(of(now, Some("2026-11-22T14:00:00Z")).verdict, Bad);
        assert_eq!(of(Timestamp::UNIX_EPOCH, None).verdict, Bad);
        let nowhere = Schedule { zone: jiff::tz::TimeZone::unknown(), ..schedule.clone() };
        assert_eq!(judge_clock(&nowhere, now, None).remove(0).verdict, Note);
    }

    #[test]
    fn a_state_folder_or_journal_that_is_not_well_is_named() {
        let journal = || Ok((Box::default(), Some(Timestamp::UNIX_EPOCH), 0));
        let facts = |folder| StateFacts { path: "/s".into(), folder, trouble: None, journal: journal(), drills: Vec::new() };
        let verdict = |facts: &StateFacts| judge_state(facts).iter().map(|line| line.verdict).collect::<Vec<_>>();
        assert_eq!(verdict(&facts(Some(Ok((0o700, true))))), [Fine, Fine]);
        assert_eq!(verdict(&facts(Some(Ok((0o700, false))))), [Bad, Fine]);
        assert_eq!(verdict(&facts(Some(Ok((0o750, true))))), [Bad, Fine]);
        assert_eq!(verdict(&facts(Some(Err("x".into())))), [Bad, Fine]);
        assert_eq!(verdict(&facts(None)), [Note, Fine]);
        let full = StateFacts { trouble: Some(("full".into(), "make room".into())), ..facts(Some(Ok((0o700, true)))) };
        assert_eq!(verdict(&full), [Bad, Fine]);
        let mut damaged = facts(Some(Ok((0o700, true))));
        damaged.journal = Ok((Box::default(), Some(Timestamp::UNIX_EPOCH), 2));
        assert_eq!(verdict(&damaged), [Fine, Note]);
        damaged.journal = Ok((Box::default(), None, 0));
        assert_eq!(verdict(&damaged), [Fine, Note]);
        let mut refused = facts(Some(Ok((0o700, true))));
        let waited = |why: &str| format!(r#"{{"time":"2026-11-22T04:30:00Z","kind":"waited","why":{why}}}"#);
        for (why, wanted) in [
            (r#"{"for":"away","pis":["pi"]}"#, &[Fine, Fine][..]),
            (r#"{"for":"away","pis":["pi"],"no_route":["pi"]}"#, &[Fine, Fine, Note]),
        ] {
            let standing = Standing::of(&[serde_json::from_str(&waited(why)).unwrap()]);
            refused.journal = Ok((Box::new(standing), Some(Timestamp::UNIX_EPOCH), 0));
            assert_eq!(verdict(&refused), wanted);
        }
        let left = StateFacts {
            drills: vec![("in the clear: /t/offsite-drill-1".to_owned(), "offsite sync".to_owned())],
            ..facts(Some(Ok((0o700, true))))
        };
        assert_eq!(verdict(&left), [Fine, Fine, Note]);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_a_note() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(judge_log(Path::new("/l"), Err(&denied))[0].verdict, Note);
        let dir = tempfile::tempdir().unwrap();
        assert!(log(&dir.path().join("new/er")).is_ok());
        assert!(!dir.path().join("new").exists(), "a check makes nothing");
    }
}
