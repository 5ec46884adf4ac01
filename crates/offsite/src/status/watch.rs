//! `--watch`: the same screen again whenever the journal or the repository changes, until interrupted.
//!
//! A run that is at work tells of itself once a second in a file of the state folder, so its progress is seen by the same events.
//!
//! File events are hints: they may be lost on network disks and merge under load. So every minute it looks anyway, which also keeps the
//! ages true. The configuration is read again each time; a mistake in it ends the watch with its error.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    time::Duration,
};

use anyhow::Context;
use notify::{RecursiveMode, Watcher};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{Args, Facts, Report, gather, screen};
use crate::{cli::Globals, config::Config, exit::Exit, human::look::Look};

const EVERY: Duration = Duration::from_secs(60);
/// A run writes many files; one look per this long is enough.
const CALM: Duration = Duration::from_millis(300);

pub(super) async fn watch(globals: &Globals, mut config: Config, args: &Args) -> anyhow::Result<Exit> {
    // One waiting hint says as much as a thousand.
    let (hint, mut hints) = mpsc::channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
        let _ = hint.try_send(());
    })
    .context("cannot watch files")?;
    // Before the first look, so that an interrupt during it ends the watch as any other.
    let wait = |kind| signal(kind).context("cannot wait for signals");
    let (mut interrupt, mut term) = (wait(SignalKind::interrupt())?, wait(SignalKind::terminate())?);
    let mut resized = wait(SignalKind::window_change())?;
    let mut followed = BTreeSet::new();
    loop {
        for folder in [config.state.clone(), config.repository.join("manifests")] {
            // Before the first run they are not there; the minute's look has to do until they are.
            if folder.is_dir() && !followed.contains(&folder) {
                watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", folder.display()))?;
                followed.insert(folder);
            }
        }
        let exit = show(&gather(&config).await?, args)?;
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

/// Draws over what was there, line by line, so that nothing flickers.
fn show(facts: &Facts, args: &Args) -> anyhow::Result<Exit> {
    let report = Report::of(facts);
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let look = Look::of(&out, args.color.color);
        let text = screen(&report, &facts.zone, look);
        let text = if out.is_terminal() { frame(&text, look.height) } else { format!("{text}\n") };
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(report.exit())
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
    use super::*;

    #[test]
    fn a_frame_is_no_higher_than_the_terminal() {
        assert_eq!(frame("a\nb\n", None), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame("a\nb\n", Some(3)), frame("a\nb\n", None));
        assert_eq!(frame("a\nb\nc\n", Some(3)), "\x1b[Ha\x1b[K\n… 2 more\x1b[K\n\x1b[J");
        assert_eq!(frame("a\nb\n", Some(1)), "\x1b[H… 2 more\x1b[K\n\x1b[J");
    }
}
