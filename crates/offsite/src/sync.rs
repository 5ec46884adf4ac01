//! `offsite sync`: a night, now.
//!
//! The same work as the daemon's, whether or not a run is owed; it settles the slot that is due. Or it is left to the daemon: only that tells
//! what a job of the system may do, and once a night is settled, nothing else makes one owed.

use jiff::{Timestamp, tz::TimeZone};
use offsite_archive::ArchiveName;

use crate::{
    config::Config,
    exit::Exit,
    globals::Globals,
    home::Home,
    install,
    journal::{Fact, Outcome, Receipt, Standing},
    night::{self, Tonight},
    notify,
    owed::{Schedule, owed},
    platform,
    state::State,
    status,
};

/// Arguments of `offsite sync`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  offsite sync             a night, now
  offsite sync --dry-run   what it would move and forget
  offsite sync --by-daemon a night by what `offsite install` installed, with the rights that the system gives it
  offsite sync --again services/2026-11-22T030000Z   also what was forgotten here by hand")]
pub(crate) struct Args {
    /// Say what would be pulled, pushed and forgotten, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Leave it to the daemon: a night is owed from now on, and its next start plays it
    #[arg(long, conflicts_with = "dry_run")]
    pub by_daemon: bool,
    /// Also pull this archive, which was forgotten here by hand
    #[arg(long, value_name = "ARCHIVE", conflicts_with = "dry_run")]
    pub again: Vec<ArchiveName>,
}

#[derive(Debug, thiserror::Error)]
#[error("{archive} was not forgotten by hand on this Mac, so nothing keeps it from being pulled")]
struct NotRefused {
    archive: ArchiveName,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    if args.dry_run {
        return night::preview(&config).await;
    }
    let state = State::open(&config.state)?;
    let lock = state.lock("sync", Timestamp::now())?;
    let journal = state.journal();
    let standing = if args.again.is_empty() { Standing::default() } else { journal.standing()?.standing };
    if let Some(archive) = args.again.iter().find(|archive| !standing.refused.contains(archive)) {
        return Err(NotRefused { archive: archive.clone() }.into());
    }
    for archive in &args.again {
        journal.append(&Receipt { time: Timestamp::now(), fact: Fact::Again { archive: archive.clone() } })?;
    }
    if args.by_daemon {
        journal.append(&Receipt { time: Timestamp::now(), fact: Fact::Asked })?;
        drop(lock);
        return leave();
    }
    let played = play(&config, &state).await;
    // An ill receiver takes its time, and keeps nobody from working.
    drop(lock);
    notify::ended(&notify::Real::default(), &config, Some(*played.as_ref().unwrap_or(&Outcome::Failed)), played.as_ref().err()).await;
    status::conclude(&config, played?).await
}

/// Says who plays it, and when.
fn leave() -> anyhow::Result<Exit> {
    say!("a night is owed from now on, until one ends well");
    let found = install::state(&Home::of_process()?)?;
    match found.iter().find(|found| found.loaded && found.enabled) {
        Some(found) => say!("the daemon plays it at its next start, within ten minutes; at once: {}", found.clock.kick()),
        None => say!("nothing starts the daemon here: {}", install::command(platform::current().has_launchd())),
    }
    Ok(Exit::Fine)
}

/// Plays the night, which settles the slot that is due.
async fn play(config: &Config, state: &State) -> anyhow::Result<Outcome> {
    let standing = Standing::of(&state.journal().tail()?.receipts);
    let schedule = Schedule { at: config.at, zone: TimeZone::system() };
    let owed = owed(&schedule, Timestamp::now(), standing.settled, standing.last_fine).map(|owed| owed.id);
    notify::begun(&notify::Real::default(), config).await;
    night::attended(config, "sync", &Tonight { owed, ..Tonight::default() }).await
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn what_breaks_it_is_told_and_nobody_waits_for_the_receiver() {
        let dir = tempfile::tempdir().unwrap();
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let (folder, state) = (dir.path().display(), State::open(&dir.path().join("state")).unwrap());
        let text = format!(
            "repository: '{folder}/repository'\nstate: '{folder}/state'\npi: {{host: h, user: u, path: /p}}\n\
             notify: {{macos: none, webhook: {{url: 'http://{}/'}}}}\n",
            receiver.local_addr().unwrap()
        );
        let path = dir.path().join("offsite.yaml");
        std::fs::write(&path, text).unwrap();
        // No night begins, and no receipt tells of it.
        std::fs::create_dir(state.journal().path()).unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = receiver.accept().unwrap();
            // In this process another test may just be forking a child, which has all that is open until its exec.
            let free = (0..1000).any(|_| {
                let free = state.lock("test", Timestamp::now()).is_ok();
                free || {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    false
                }
            });
            let (mut text, mut block) = (String::new(), [0; 4096]);
            while !text.contains("cannot read the journal") {
                let read = stream.read(&mut block).unwrap();
                assert!(read > 0, "{text}");
                text.push_str(&String::from_utf8_lossy(&block[..read]));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            free
        });
        let globals = Globals { config: Some(path) };
        let error = run(&globals, &Args::default()).await.unwrap_err();
        assert!(error.to_string().contains("cannot read the journal"), "{error:#}");
        assert!(heard.join().unwrap(), "the lock was held while the owner was told");
    }
}
