//! `--watch`: the same screen again whenever the journal or the repository changes, until interrupted.
//!
//! A run that is at work tells of itself once a second in a file of the state folder, so its progress is seen by the same events.
//!
//! File events are hints: they may be lost on network disks and merge under load. So every minute it looks anyway, which also keeps the
//! ages true. A look is itself an access to the files, and writes the journal's sum: whoever took those for hints would never be calm. The configuration is read again each time; a mistake in it ends the watch with its error.

use std::{collections::BTreeSet, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::Context;
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{Args, Facts, Report, gather, screen};
use crate::{config::Config, exit::Exit, globals::Globals, human::look::Look};

const EVERY: Duration = Duration::from_secs(60);
/// A run writes many files; one look per this long is enough.
const CALM: Duration = Duration::from_millis(300);

pub(super) async fn watch(globals: &Globals, mut config: Config, args: &Args) -> anyhow::Result<Exit> {
    // One waiting hint says as much as a thousand.
    let (hint, mut hints) = mpsc::channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error of the watcher may have cost an event.
        if event.as_ref().map_or(true, is_hint) {
            let _ = hint.try_send(());
        }
    })
    .context("cannot watch files")?;
    // Before the first look, so that an interrupt during it ends the watch as any other.
    let wait = |kind| signal(kind).context("cannot wait for signals");
    let (mut interrupt, mut term) = (wait(SignalKind::interrupt())?, wait(SignalKind::terminate())?);
    let mut resized = wait(SignalKind::window_change())?;
    let (mut followed, mut told) = (BTreeSet::new(), None);
    loop {
        for folder in [config.state.clone(), config.repository.join("manifests")] {
            // Before the first run they are not there; the minute's look has to do until they are.
            if folder.is_dir() && !followed.contains(&folder) {
                watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", folder.display()))?;
                followed.insert(folder);
            }
        }
        let exit = show(&gather(&config).await?, args, &mut told)?;
        if crate::say::stopped() {
            return Ok(exit);
        }
        tokio::select! {
            _ = hints.recv() => tokio::time::sleep(CALM).await,
            () = tokio::time::sleep(EVERY) => {}
            _ = resized.recv() => {}
            _ = interrupt.recv() => return Ok(exit),
            _ = term.recv() => return Ok(exit),
        }
        while hints.try_recv().is_ok() {}
        config = globals.load()?;
    }
}

/// Whether something may have changed. Reading is no change, nor is what a look keeps for the next one.
fn is_hint(event: &Event) -> bool {
    let own = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"standing."));
    !matches!(event.kind, EventKind::Access(_)) && (event.paths.is_empty() || !event.paths.iter().all(own))
}

/// Draws over what was there, line by line, so that nothing flickers. As JSON, what says nothing new is left out.
fn show(facts: &Facts, args: &Args, told: &mut Option<Report>) -> anyhow::Result<Exit> {
    let report = Report::of(facts);
    let out = std::io::stdout();
    if args.json {
        if is_new(&report, told) {
            say!("{}", serde_json::to_string(&report)?);
        }
    } else {
        let look = Look::of(&out, args.color.color);
        let text = screen(&report, &facts.zone, look);
        let text = if out.is_terminal() { frame(&text, look.height) } else { format!("{text}\n") };
        crate::say::text(&text);
    }
    Ok(report.exit())
}

/// Whether `report` says anything else than the one before, apart from when it was made.
fn is_new(report: &Report, told: &mut Option<Report>) -> bool {
    let same = told.as_ref().is_some_and(|told| Report { time: report.time, ..told.clone() } == *report);
    *told = Some(report.clone());
    !same
}

/// `text` for the top left of a terminal: what was there goes, and what would push it upwards is left out and counted.
fn frame(text: &str, height: Option<usize>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The cursor has the last one.
    let room = height.map_or(lines.len(), |height| height.saturating_sub(1).max(1));
    let mut frame = "\x1b[H".to_owned();
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    for line in &lines[..shown] {
        frame.push_str(line);
        frame.push_str("\x1b[K\n");
    }
    if shown < lines.len() {
        frame.push_str(&format!("… {} more\x1b[K\n", lines.len() - shown));
    }
    frame.push_str("\x1b[J");
    frame
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Home;

    #[test]
    fn what_a_look_does_itself_is_no_hint() {
        use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
        let hint = |kind, names: &[&str]| {
            let event = names.iter().fold(Event::new(kind), |event, name| event.add_path(PathBuf::from("/state").join(name)));
            is_hint(&event)
        };
        assert!(!hint(EventKind::Access(AccessKind::Open(AccessMode::Any)), &["journal.jsonl"]));
        assert!(!hint(EventKind::Access(AccessKind::Close(AccessMode::Read)), &["journal.jsonl"]));
        assert!(!hint(EventKind::Create(CreateKind::File), &["standing.7-0.new"]));
        assert!(!hint(EventKind::Modify(ModifyKind::Any), &["standing.7-0.new", "standing.json"]));
        assert!(hint(EventKind::Modify(ModifyKind::Any), &["journal.jsonl"]));
        assert!(hint(EventKind::Modify(ModifyKind::Any), &["live.new", "live.json"]));
        assert!(hint(EventKind::Other, &[]), "the watcher lost count");
    }

    #[test]
    fn a_report_that_is_only_later_is_not_new() {
        let mut told = None;
        let facts = Facts {
            config: Config::parse(
                Path::new("offsite.yaml"),
                "repository: /r\npi: {host: h, user: u, path: /p}\n",
                &Home::at(Path::new("/home")),
            )
            .unwrap(),
            standing: crate::journal::Standing::default(),
            damaged_lines: Vec::new(),
            local: super::super::Local::default(),
            running: None,
            now: "2026-11-22T10:00:00Z".parse().unwrap(),
            zone: jiff::tz::TimeZone::UTC,
        };
        let later = Facts { now: "2026-11-22T10:00:01Z".parse().unwrap(), ..facts.clone() };
        let other = Facts { damaged_lines: vec![7], ..later.clone() };
        let new = [&facts, &facts, &later, &other, &other, &later].map(|facts| is_new(&Report::of(facts), &mut told));
        assert_eq!(new, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_frame_is_no_higher_than_the_terminal() {
        assert_eq!(frame("a\nb\n", None), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame("a\nb\n", Some(3)), frame("a\nb\n", None));
        assert_eq!(frame("a\nb\nc\n", Some(3)), "\x1b[Ha\x1b[K\n… 2 more\x1b[K\n\x1b[J");
        assert_eq!(frame("a\nb\n", Some(1)), "\x1b[H… 2 more\x1b[K\n\x1b[J");
    }
}
