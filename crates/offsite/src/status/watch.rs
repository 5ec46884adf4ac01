//! `--watch`: the same screen again whenever the journal or the repository changes, until interrupted.
//!
//! File events are hints: they may be lost on network disks and merge under load. So every minute it looks anyway, which also keeps the
//! ages true. The configuration is read again each time; a mistake in it ends the watch with its error.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context;
use notify::{RecursiveMode, Watcher};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{gather, show};
use crate::{cli::Globals, config::Config, exit::Exit};

const EVERY: Duration = Duration::from_secs(60);
/// A run writes many files; one look per this long is enough.
const CALM: Duration = Duration::from_millis(300);

pub(super) async fn watch(globals: &Globals, mut config: Config, json: bool) -> anyhow::Result<Exit> {
    // One waiting hint says as much as a thousand.
    let (hint, mut hints) = mpsc::channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
        let _ = hint.try_send(());
    })
    .context("cannot watch files")?;
    // Before the first look, so that an interrupt during it ends the watch as any other.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for an interrupt")?;
    let mut followed = BTreeSet::new();
    loop {
        for folder in [config.state.clone(), config.repository.join("manifests")] {
            // Before the first run they are not there; the minute's look has to do until they are.
            if folder.is_dir() && !followed.contains(&folder) {
                watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", folder.display()))?;
                followed.insert(folder);
            }
        }
        let exit = show(&gather(&config).await?, json, true)?;
        tokio::select! {
            _ = hints.recv() => tokio::time::sleep(CALM).await,
            () = tokio::time::sleep(EVERY) => {}
            _ = interrupt.recv() => return Ok(exit),
        }
        while hints.try_recv().is_ok() {}
        config = globals.load()?;
    }
}
