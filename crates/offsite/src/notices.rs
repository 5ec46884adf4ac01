//! `offsite notices`: shows what a daemon without a screen could not.
//!
//! A small agent of the owner's graphical session runs it whenever the folder changes. Where the system shows no notices it prints them. A
//! notice goes only after it was shown; several that waited together are shown as a few, because the newest says most.

use std::{io::IsTerminal as _, path::Path};

use jiff::Timestamp;

use crate::{
    exit::Exit,
    globals::Globals,
    human,
    notify::{self, spool},
    platform,
    state::State,
};

/// Arguments of `offsite notices`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Most that are shown at once; of older ones the number is said.
const MOST: usize = 3;

/// Runs the verb.
///
/// # Errors
/// If the folder cannot be read, or a notice can be neither shown nor removed; it then stays.
pub(crate) async fn run(globals: &Globals, _args: &Args) -> anyhow::Result<Exit> {
    let folder = State::at(&globals.load()?.state).notices();
    show(&folder, Timestamp::now()).await?;
    Ok(Exit::Fine)
}

/// A notice that cannot be dealt with.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the notices in {}", path.display())]
struct NoticesError {
    path: std::path::PathBuf,
    source: std::io::Error,
}

async fn show(folder: &Path, now: Timestamp) -> anyhow::Result<()> {
    let failed = |source| NoticesError { path: folder.to_owned(), source };
    if !folder.exists() {
        return Ok(());
    }
    // Another shows them.
    let Some(_claim) = spool::claim(folder).map_err(failed)? else { return Ok(()) };
    let waiting = spool::waiting(folder, now).map_err(failed)?;
    let mut readable: Vec<_> = waiting.iter().filter_map(|(path, notice)| Some((path, notice.as_ref()?))).collect();
    let screen = notify::can_show(platform::current()).await;
    // On a Mac what only went into a pipe, as under ssh, was seen by nobody; the screen shows it yet.
    let seen = screen || !platform::current().has_launchd() || std::io::stdout().is_terminal();
    let shown = readable.split_off(readable.len().saturating_sub(MOST));
    let older = readable.len();
    for (path, notice) in &shown {
        let more = if older > 0 && shown.first().is_some_and(|first| first.0 == *path) {
            format!("\n({} before that: offsite status)", human::count(older as u64, "notice", "notices"))
        } else {
            String::new()
        };
        let text = format!("{}{more}", notice.text);
        match platform::current().notice(&notice.title, &text).filter(|_| screen) {
            Some(command) => notify::show(command).await?,
            None => say!("{}\n{}\n", human::plain(&notice.title), text.lines().map(human::plain).collect::<Vec<_>>().join("\n")),
        }
        if seen {
            std::fs::remove_file(path).map_err(failed)?;
        }
    }
    if !seen {
        return Ok(());
    }
    // What has expired or is no notice, and what is only counted.
    let rest = waiting.iter().filter(|(path, _)| !shown.iter().any(|(shown, _)| *shown == path));
    for (path, _) in rest {
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}
