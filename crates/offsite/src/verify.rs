//! `offsite verify`: every frame the Mac holds, read back, decoded and hashed, and the plain copies.
//!
//! A damaged pack is never edited: what is good in it goes into a new pack, then it is set aside. What was bad in it is lacking from then on,
//! and any copy from a place that has it brings exactly that back.
//! So a check finds out, writes down, and makes healing possible; healing itself is `--heal-from` or the next sync. It holds the lock, because
//! a pack that a sync is about to use must not go away under it.

mod heal;
pub(crate) mod plain;
mod report;
pub(crate) mod rounds;

use std::collections::BTreeSet;

use anyhow::Context;
use jiff::Timestamp;
use offsite_archive::ArchiveName;
use offsite_repository::{
    CopyOptions, Damage, PackName, PlainState, Repository, RepositoryError, Scope, Unreadable, Verified, disown, lacking, mend_index,
    plain_copies, plain_path, rescue, set_damaged_aside, verify as read_back,
};

pub(crate) use self::heal::{heal, whole};
use self::report::Stays;
pub(crate) use self::{
    report::{Checked, Copy, Report},
    rounds::Rounds,
};
use crate::{
    config::{Config, PlaceName},
    exit::Exit,
    globals::Globals,
    hint,
    journal::{Fact, Journal, Receipt, Standing, Step},
    live::Live,
    places::{self, Mac},
    progress::Bar,
    restore::select::{absent, named},
    state::State,
};

/// Arguments of `offsite verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite verify                        everything this Mac holds
  offsite verify services/2026-11-22T030000Z
  offsite verify --heal-from cold       and bring back what is damaged")]
pub(crate) struct Args {
    /// Only this archive [default: everything]
    #[arg(value_name = "ARCHIVE")]
    pub archive: Option<ArchiveName>,
    /// Bring back what is damaged or lost from this cloud
    #[arg(long, value_name = "CLOUD")]
    pub heal_from: Option<PlaceName>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let state = State::open(&config.state)?;
    let _lock = state.lock("verify", Timestamp::now())?;
    let _live = Live::begin(&state, "verify", Timestamp::now());
    let journal = state.journal();
    let cloud = args.heal_from.as_ref().map(|name| heal::find(&config, name)).transpose()?;
    // A disk that is away says nothing about what is on it, and leaves no receipt.
    let mac = places::mac(&config).await?;
    let report = match check(&config, &mac, &journal, args.archive.as_ref(), cloud).await {
        Ok(report) => report,
        Err(error) => {
            let (message, hint) = (hint::message(&error), hint::hint(&error));
            let object = args.archive.as_ref().map_or_else(|| PlaceName::mac().to_string(), ToString::to_string);
            note(&journal, Fact::Failed { step: Step::Verify, object, message, hint })?;
            return Err(error);
        }
    };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        crate::say::text(&report.text(&config));
    }
    Ok(if report.whole() { Exit::Fine } else { Exit::Incomplete })
}

/// Reads back, writes receipts, sets damaged packs aside, and heals from `cloud` if one is given.
async fn check(
    config: &Config,
    mac: &Mac,
    journal: &Journal,
    only: Option<&ArchiveName>,
    cloud: Option<&crate::config::Cloud>,
) -> anyhow::Result<Report> {
    let repository = &mac.repository;
    let known = known(journal)?;
    let gone = known.iter().filter(|name| only.is_none_or(|only| only == *name)).cloned().collect();
    // Before reading: what comes in between was not read.
    let mut packs: Vec<String> = repository.packs().await?.0.iter().map(|facts| facts.name.to_string()).collect();
    let found = read(repository, only, &gone).await?;
    packs.retain(|pack| !found.damaged_packs.iter().any(|bad| PackName::Object(*bad).to_string() == *pack));
    let mut report = settle(&State::at(&config.state), repository, found, only, &gone).await?;
    // First: a full disk may have no room for the round, which costs nothing.
    for archive in &report.archives {
        note(journal, receipt(archive))?;
    }
    if only.is_none() {
        packs.extend(copies(mac, &mut report).await?);
        note_round(config, &packs)?;
        report.damaged_lines = journal.standing()?.damaged;
        report.untold = report.archives.iter().map(|archive| archive.archive.clone()).filter(|name| !known.contains(name)).collect();
    }
    if let Some(cloud) = cloud {
        heal(config, cloud, repository, journal, &mut report).await?;
    }
    Ok(report)
}

/// Saves what is good in damaged packs, sets these aside, and mends the index. What is lacking from then on is in the report. A pack that cannot
/// be set aside, as on a full disk, stays, and its bad frames count as not there all the same: whoever forgets archives must know of them.
pub(crate) async fn settle(
    state: &State,
    repository: &Repository,
    mut found: Verified,
    only: Option<&ArchiveName>,
    gone: &BTreeSet<ArchiveName>,
) -> anyhow::Result<Report> {
    let damaged = std::mem::take(&mut found.damaged_packs);
    let mut stays = Stays::default();
    // A reader may need the good frames where they are.
    let alone = if damaged.is_empty() { None } else { Some(state.alone()) };
    // Each by itself, so that as many go as there is room for.
    for pack in damaged.iter().copied() {
        if let Some(Err(error)) = &alone {
            stays.add(PackName::Object(pack).to_string(), "damaged, and not set aside yet", error);
            continue;
        }
        let moved = async {
            rescue(repository, &[pack], CopyOptions::default().pack_target).await?;
            set_damaged_aside(repository, &[pack]).await
        };
        match moved.await {
            Ok(()) => found.damaged_packs.push(pack),
            Err(error) => stays.add(PackName::Object(pack).to_string(), "damaged, and cannot be set aside", &error),
        }
    }
    let bad: Vec<_> = found.bad.iter().copied().filter(|(pack, _)| !found.damaged_packs.contains(pack)).collect();
    if let Err(error) = disown(repository, &bad).await {
        stays.add("index".to_owned(), "bad frames are still offered as good", &error);
        stays.offered = true;
    }
    let mended = mend_index(repository).await.unwrap_or_else(|error| {
        stays.add("index".to_owned(), "not mended", &error);
        0
    });
    found.unreadable = still_unreadable(repository, only, found.unreadable).await?;
    let mut report = Report::of(&found, mended, gone);
    if !damaged.is_empty() {
        // A check of one archive, or of some packs, may have met a pack in which others have worse.
        report.add_lacking(lacking(repository).await?);
    }
    report.add_stays(stays);
    Ok(report)
}

/// Notes that `packs` were read back just now, so that the nights go on with others.
fn note_round(config: &Config, packs: &[String]) -> anyhow::Result<()> {
    let path = State::at(&config.state).rounds();
    let noted = Rounds::load(&path).and_then(|mut rounds| {
        let now = Timestamp::now();
        packs.iter().for_each(|pack| rounds.read(pack, now));
        rounds.save(&path)
    });
    noted.with_context(|| format!("cannot note in {} what was read back", path.display()))
}

/// The archives that the Mac holds as far as the journal tells: of one that lost its manifest nothing else knows.
fn known(journal: &Journal) -> anyhow::Result<BTreeSet<ArchiveName>> {
    let (mac, standing) = (PlaceName::mac(), Standing::of(&journal.read()?.receipts));
    let came = standing.places.into_iter().filter(|(_, places)| places.contains(&mac)).map(|(name, _)| name);
    let lost = standing.lost.into_keys().filter(|(place, _)| *place == mac).map(|(_, name)| name);
    Ok(came.chain(lost).collect())
}

/// Reads the plain copies back, and gives the paths of those that are good.
async fn copies(mac: &Mac, report: &mut Report) -> anyhow::Result<Vec<String>> {
    let mut good = Vec::new();
    for archive in plain_copies(&mac.repository).await? {
        let lost = report.archives.iter().any(|checked| checked.archive == archive && checked.is_lost());
        let _bar = Bar::new(&format!("verify the plain copy of {archive}"));
        match plain::look(mac, &archive, lost).await {
            Ok(PlainState::Good) => good.push(plain_path(&archive).to_string()),
            Ok(PlainState::Gone) => {}
            Ok(PlainState::Damaged(why)) => report.plain.push(Copy { archive, damage: why, removed: !lost }),
            Err(error) => report.unreadable.push((plain_path(&archive).to_string(), hint::message(&error))),
        }
    }
    report.copies = good.len() as u64;
    Ok(good)
}

async fn read(repository: &Repository, only: Option<&ArchiveName>, gone: &BTreeSet<ArchiveName>) -> anyhow::Result<Verified> {
    let (scope, label) = match only {
        Some(name) => (Scope::Archive(name.clone()), format!("verify {name}")),
        None => (Scope::All, "verify".to_owned()),
    };
    let bar = Bar::new(&label);
    let read = read_back(repository, &scope, &|progress| bar.set(progress)).await;
    drop(bar);
    match (read, only) {
        (Ok(found), _) => Ok(found),
        (Err(RepositoryError::NoSuchArchive { .. }), Some(name)) if gone.contains(name) => Ok(Verified::default()),
        (Err(RepositoryError::NoSuchArchive { .. }), Some(name)) => Err(absent(name, &repository.archives().await?, "this Mac").into()),
        // One archive was asked for and its own manifest is what is damaged: that is a finding, as it is in a check of everything.
        (Err(error), Some(name)) if error.is_damage() => {
            let object = offsite_repository::manifest_path(name).to_string();
            Ok(Verified { unreadable: vec![Unreadable { object, error }], ..Verified::default() })
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// What cannot be read now that packs are set aside and the index is mended.
async fn still_unreadable(repository: &Repository, only: Option<&ArchiveName>, found: Vec<Unreadable>) -> anyhow::Result<Vec<Unreadable>> {
    if found.is_empty() || only.is_some() {
        return Ok(found);
    }
    let mut left = repository.tables().await?.unreadable;
    left.extend(repository.archives().await?.unreadable);
    Ok(left)
}

fn receipt(archive: &Checked) -> Fact {
    let (place, name) = (PlaceName::mac(), archive.archive.clone());
    match archive.lost {
        Some(frames) => Fact::Lost { place, archive: name, frames },
        None => Fact::Verified { place, archive: name, since: None },
    }
}

fn note(journal: &Journal, fact: Fact) -> anyhow::Result<()> {
    Ok(journal.append(&Receipt { time: Timestamp::now(), fact })?)
}

fn lost_frames(damages: &[Damage]) -> u64 {
    damages.len() as u64
}

/// Archives whose manifest cannot be read: all of such an archive is lost.
fn lost_whole(unreadable: &[Unreadable]) -> BTreeSet<ArchiveName> {
    unreadable.iter().filter_map(|bad| named(&bad.object)).collect()
}
