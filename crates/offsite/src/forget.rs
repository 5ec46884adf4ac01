//! `offsite forget`: drop archives by name, at the Mac or in a cloud.
//!
//! Retention does this every night by itself; the verb is for what the rule may never drop (a suspicious archive, one named for the future)
//! and for telling the journal that a loss was meant. The last good archive of a job is refused unless asked for in so many words.

use std::collections::BTreeSet;

use anyhow::bail;
use jiff::Timestamp;
use offsite_archive::{ArchiveName, InvalidName};
use offsite_repository::{ArchiveInfo, Repository, apply_prune, plan_prune};

use crate::{
    config::{Config, PlaceName},
    exit::Exit,
    globals::Globals,
    human,
    journal::{Fact, Receipt, Standing},
    night::retain::{since, unknown_needs},
    places,
    restore::select::{self, Wanted},
    state::State,
};

/// Arguments of `offsite forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archives, as `offsite archives` names them, or each by the beginning of its time: services/2026-11-22
    #[arg(required = true, value_name = "ARCHIVE", value_parser = named)]
    pub archives: Vec<Wanted>,
    /// At this cloud of the configuration instead of this Mac
    #[arg(long, value_name = "CLOUD")]
    pub cloud: Option<String>,
    /// Also if it is the last good archive of its job there
    #[arg(long)]
    pub last: bool,
    /// Say what would be forgotten, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// What other verbs take as "the newest" changes with each night, so it is no name for something that is to go.
fn named(text: &str) -> Result<Wanted, String> {
    match text.parse().map_err(|error: InvalidName| error.to_string())? {
        Wanted::Latest | Wanted::Newest(_) => {
            Err("say which one, by its name or the beginning of its time (services/2026-11-22); see: offsite archives".to_owned())
        }
        named => Ok(named),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    #[error("{archive} is not in {place}")]
    NotThere { archive: ArchiveName, place: PlaceName },
    #[error("{archive} is the last good archive of its job in {place}")]
    Last { archive: ArchiveName, place: PlaceName },
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let state = State::open(&config.state)?;
    let _lock = state.lock("forget", Timestamp::now())?;
    let (place, repository) = open(&config, args.cloud.as_deref()).await?;
    let journal = state.journal();
    let standing = Standing::of(&journal.read()?.receipts);
    let there = repository.archives().await?;
    let named = args.archives.iter().map(|wanted| select::named_in(wanted, &there, place.as_str()));
    let going: Vec<ArchiveName> = named.collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect();
    for archive in &going {
        check(archive, &going, &place, &there.good, &standing, args.last)?;
    }
    if args.dry_run {
        going.iter().for_each(|archive| say!("would forget {archive} ({place})"));
        return Ok(Exit::Fine);
    }
    let _alone = args.cloud.is_none().then(|| state.alone()).transpose()?;
    // Where it cannot be told what waits, nothing is pruned below.
    let before = plan_prune(&repository).await;
    // The receipt first, as in the night: what is there without one is found again, what is gone but expected is an alarm.
    journal
        .append(&Receipt { time: Timestamp::now(), fact: Fact::Forgot { place: place.clone(), archives: going.clone(), by_hand: true } })?;
    offsite_repository::forget(&repository, &going).await?;
    going.iter().for_each(|archive| say!("forgot {archive} ({place})"));
    let standing = Standing::of(&journal.read()?.receipts);
    if unknown_needs(&standing, &place) {
        say!("nothing is pruned while {place} lacks the manifest of another archive: what that needs is not known (offsite status)");
        return Ok(Exit::Fine);
    }
    let before = before?;
    let pruned = apply_prune(&repository, &since(plan_prune(&repository).await?, &before)).await?;
    if !before.remove.is_empty() {
        say!("what a transfer brought that did not end waits here for the next night: offsite sync");
    }
    let after = match &args.cloud {
        None => "a Pi that still has it does not bring it back; to want it again: offsite sync --again ARCHIVE",
        Some(_) => "what this Mac still has, the next sync sends there again",
    };
    say!("{} freed; {after}", human::size(pruned.freed));
    Ok(Exit::Fine)
}

async fn open(config: &Config, cloud: Option<&str>) -> anyhow::Result<(PlaceName, Repository)> {
    let Some(name) = cloud else { return Ok((PlaceName::mac(), places::mac(config).await?.repository)) };
    match config.clouds.iter().find(|cloud| cloud.name.as_str() == name) {
        Some(cloud) => Ok((cloud.name.clone(), places::cloud(config, cloud, false).await?)),
        None => bail!("no cloud of the configuration is called {name:?}"),
    }
}

/// Whether `archive` may go, together with all of `going`.
fn check(
    archive: &ArchiveName,
    going: &[ArchiveName],
    place: &PlaceName,
    there: &[ArchiveInfo],
    standing: &Standing,
    last: bool,
) -> Result<(), ForgetError> {
    let missed = standing.lost.contains_key(&(place.clone(), archive.clone()));
    if !missed && !there.iter().any(|info| info.name == *archive) {
        return Err(ForgetError::NotThere { archive: archive.clone(), place: place.clone() });
    }
    let good = |info: &&ArchiveInfo| {
        let held = standing.suspicious.contains_key(&info.name) || standing.lost.contains_key(&(place.clone(), info.name.clone()));
        info.name.job == archive.job && info.end.complete && !held
    };
    let is_good = there.iter().filter(good).any(|info| info.name == *archive);
    let left = there.iter().filter(good).any(|info| !going.contains(&info.name));
    if is_good && !left && !last {
        return Err(ForgetError::Last { archive: archive.clone(), place: place.clone() });
    }
    Ok(())
}
