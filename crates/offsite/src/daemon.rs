//! `offsite daemon`: what launchd or systemd starts. Finds what is owed, does it or says why not, and ends.
//!
//! Nothing owed ends at once, without network. What is owed is computed from the journal each time, so it does not matter how often or why the
//! daemon is started. It may be killed at any moment; the next start goes on. A signal ends it as a kill would, only with a word about it, and
//! within five seconds whatever it was doing: whoever sent it kills soon after. To be stopped by the system is no failure (0), and leaves no
//! failed service behind where that was taken away; to be interrupted by a person is one (1).
//!
//! What to do is decided in `plan`, from values; `watch` asks the questions and acts on the answers, in whatever [`World`] it is given.

mod disk;
mod last;
mod plan;
mod probe;
mod real;
mod watch;
mod world;

use std::{io::IsTerminal, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::disk::is_unplugged;
pub use self::{
    probe::Answer,
    real::Real,
    watch::{Ended, watch},
    world::World,
};
use crate::{exit::Exit, globals::Globals, status};

/// How long what is going on may take to end after a signal. launchd kills after 20 s, a shutdown may after 5.
const LAST_WORDS: Duration = Duration::from_secs(4);
const _: () = assert!(LAST_WORDS.as_secs() < 5, "a shutdown may kill after five seconds");

/// Arguments of `offsite daemon`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub async fn run(globals: &Globals, _args: &Args) -> anyhow::Result<Exit> {
    let world = Real { globals };
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // On a thread of its own: the work may be in a step that lets nothing else run on its thread.
    let stop = tokio::spawn(async move {
        let exit = tokio::select! {
            _ = term.recv() => Exit::Fine,
            _ = int.recv() => Exit::Failed,
        };
        std::thread::spawn(move || {
            std::thread::sleep(LAST_WORDS);
            std::process::exit(i32::from(exit.code()));
        });
        exit
    });
    tokio::select! {
        ended = watch(&world) => conclude(&world, ended?).await,
        stopped = stop => {
            note!("stopped by a signal; what arrived stays, and the next start goes on from there");
            Ok(stopped?)
        }
    }
}

/// What it means for who called. Waiting is what the daemon is for, so it ends well.
async fn conclude(world: &Real<'_>, ended: Ended) -> anyhow::Result<Exit> {
    let said = match &ended {
        Ended::Ran(outcome) => return status::conclude(&world.config()?, *outcome).await,
        Ended::Nothing => "nothing is owed".to_owned(),
        Ended::Later(at) => format!("the last run failed; not again before {at}, unless you say: offsite sync"),
        Ended::Waits(why) => format!("a run is owed, and waits: {why}"),
        Ended::Busy => "another offsite is at work".to_owned(),
    };
    tracing::info!("{said}");
    // A person who tries it out has nothing else to look at.
    if ended != Ended::Nothing && std::io::stderr().is_terminal() {
        note!("{said}");
    }
    Ok(Exit::Fine)
}
