//! `offsite notify test`: one message to each channel, and what became of it.

use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;

use super::{
    Outgoing, SendError,
    channel::{self, Channel, HEALTHCHECKS},
    healthchecks::Ping,
    http::Bounds,
    mac, telling, told,
};
use crate::{exit::Exit, globals::Globals, human, journal::Standing, state::State};

/// Arguments of `offsite notify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Command {
    /// Send a test to each channel, and say what became of it
    Test,
}

/// Runs the verb. Exit 0: all channels took it; 3: some; 1: none.
///
/// # Errors
/// If the configuration or the journal cannot be read.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let Command::Test = args.command;
    let config = globals.load()?;
    if config.notify.is_silent() {
        say!("nobody is told of anything: there is no channel below `notify:` in {}", config.path.display());
        return Ok(Exit::Failed);
    }
    let (bounds, out) = (Bounds::test(), Outgoing::test(&mac(), Timestamp::now()));
    let (config, bounds, out) = (&config, &bounds, &out);
    let mut sends: FuturesUnordered<LocalBoxFuture<'_, (&'static str, Result<(), SendError>)>> = FuturesUnordered::new();
    for channel in Channel::all(config) {
        sends.push(Box::pin(async move { (channel.name(), channel.send(config, bounds, out).await) }));
    }
    if config.notify.healthchecks.is_some() {
        let ping = channel::ping(config, bounds, (Ping::Log, &out.text));
        sends.push(Box::pin(async move { (HEALTHCHECKS, ping.await) }));
    }
    let state = State::open(&config.state)?;
    let standing = Standing::of(&state.journal().read()?.receipts);
    let (mut good, mut bad) = (0_usize, 0_usize);
    while let Some((name, sent)) = sends.next().await {
        match &sent {
            Ok(()) => {
                good += 1;
                say!("{name:<13}took it");
                // Only the good news is noted: that a channel fails which nobody needed yet is told here and now.
                telling::note(&state.journal(), &standing, name, &sent, Timestamp::now())?;
                told::mended(&state, name);
            }
            Err(error) => {
                bad += 1;
                say!("{name:<13}failed: {}\n{:<13}next: {}", telling::words(error), "", human::plain(&error.next(name)));
            }
        }
    }
    Ok(match (good, bad) {
        (_, 0) => Exit::Fine,
        (0, _) => Exit::Failed,
        _ => Exit::Incomplete,
    })
}
