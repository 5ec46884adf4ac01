//! `offsite restore`: files out of an archive, all or some of them.
//!
//! First everything is decided (the place, the archive, the members, the folder), and only then is anything written; `--dry-run` stops in
//! between. Every frame is checked on the way and, of a whole archive, the digest of the stream: what is not said to be restored is not. What
//! lies in a frame that is lost is left out and told, and costs nothing else.

pub(crate) mod bridge;
pub(crate) mod from;
mod packs;
pub(crate) mod select;
pub(crate) mod target;
mod told;

use std::{
    ffi::OsString,
    ops::Range,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use bytes::Bytes;
use offsite_archive::{ArchiveName, ExtractOptions, Extracted, Manifest, ManifestError, pick};
use offsite_repository::{Archives, ManifestObject};

pub(crate) use self::bridge::BridgeError;
use self::{
    bridge::Load,
    from::{From, Opened},
    select::{Chosen, Wanted},
};
use crate::{exit::Exit, globals::Globals, human::plain, progress::Bar};

/// Arguments of `offsite restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite restore services --into ~/restored                        the newest good archive, whole
  offsite restore services --into ~/restored /srv/services/grafana  only that folder
  offsite restore services/2026-11-21 --into ~/restored --dry-run   that night's: only say what it would be
  offsite restore services --into ~/restored --from cold            from a cloud
Files land below the folder: /srv/x in ~/restored/srv/x. The page for the bad day is docs/restore.md.")]
pub(crate) struct Args {
    /// An archive, as `offsite archives` names it; the beginning of its time (services/2026-11-21); a job, for its newest; or `latest`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub what: Wanted,
    /// Only these paths and what lies below them, as they were on the Pi
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The folder to restore into, new or empty; /srv/x lands in DIR/srv/x
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Restore owners by number, set-user-ID bits and devices too; needs root
    #[arg(long)]
    pub owners: bool,
    /// Allow a folder that is not empty, and replace files in it
    #[arg(long)]
    pub overwrite: bool,
    /// Say what would be restored, and write nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Print one JSON object: dry_run, archive, place, into, bytes, whole (every byte of the archive, or of those paths, can be read), left_out
    /// (each: path, why); then entries, left_out_below (more, below such folders) and warnings, or, of a dry run, packs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("cannot restore owners: only root can")]
    NotRoot,
    #[error("{archive} holds nothing called {}", paths_text(paths))]
    Missing { archive: ArchiveName, paths: Vec<PathBuf> },
    #[error("cannot read what is in {archive}")]
    Entries { archive: ArchiveName, source: ManifestError },
    /// It began, and did not end well; what was written so far stays.
    #[error("cannot restore all of {archive} from {place} into {}", into.display())]
    Stopped { archive: ArchiveName, place: String, into: PathBuf, source: BridgeError },
}

fn paths_text(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What is to be restored, decided and not begun.
pub(crate) struct Plan {
    pub(crate) manifest: Manifest,
    /// The manifest as it lies there, with its entries.
    pub(crate) bytes: Bytes,
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) into: PathBuf,
}

impl Plan {
    pub(crate) fn whole(&self) -> bool {
        matches!(self.ranges.as_slice(), [all] if *all == (0..self.manifest.end.raw))
    }

    pub(crate) fn raw(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    if args.owners && !rustix::process::geteuid().is_root() {
        return Err(RestoreError::NotRoot.into());
    }
    let opened = from::open(globals, &args.from).await?;
    let _stays = opened.reading();
    let into = target::check(&args.into, &own_folders(&opened), args.overwrite)?;
    let chosen = choose(&opened, &args.what).await?;
    let name = chosen.info.name.clone();
    let plan = plan(&opened, &name, &args.paths, into).await?;
    if args.dry_run {
        return told::would(&opened, &chosen, &plan, args.json).await;
    }
    let _live = opened.tell("restore");
    let extracted = restore(&opened, &name, &plan, args).await?;
    Ok(told::done(&extracted, &chosen, &opened, &plan, args))
}

/// Finds the archive that is meant, and says which it is and what is wrong with it or with newer ones.
pub(crate) async fn choose(opened: &Opened, wanted: &Wanted) -> anyhow::Result<Chosen> {
    choose_among(&opened.repository.archives().await?, opened, wanted)
}

/// As [`choose`], where the archives are listed already.
pub(crate) fn choose_among(archives: &Archives, opened: &Opened, wanted: &Wanted) -> anyhow::Result<Chosen> {
    let chosen = select::choose(wanted, archives, &opened.label, opened.place.as_ref(), &opened.standing)?;
    for (name, flaw) in &chosen.passed {
        note!("note: {name} is newer and was passed over: {flaw}");
    }
    for object in &chosen.unreadable {
        note!("note: {} in {} cannot be read and may be newer", plain(object), opened.label);
    }
    match wanted {
        Wanted::Newest(_) | Wanted::Latest => {
            note!("the latest archive of {} in {} is {}", chosen.info.name.job, opened.label, chosen.info.name);
        }
        Wanted::Begins(..) => note!("the archive that is meant is {}", chosen.info.name),
        Wanted::Archive(_) => {}
    }
    if let Some(flaw) = &chosen.flaw {
        note!("note: {}: {flaw}", chosen.info.name);
    }
    Ok(chosen)
}

pub(crate) async fn plan(opened: &Opened, name: &ArchiveName, paths: &[PathBuf], into: PathBuf) -> anyhow::Result<Plan> {
    let ManifestObject { manifest, bytes } = opened.repository.manifest(name).await?;
    if paths.is_empty() {
        #[expect(clippy::single_range_in_vec_init, reason = "the whole stream is one range")]
        let ranges = vec![0..manifest.end.raw];
        return Ok(Plan { manifest, bytes, ranges, into });
    }
    let failed = |source| RestoreError::Entries { archive: name.clone(), source };
    let select: Vec<Vec<u8>> = paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    let picked = pick(Manifest::entries(&bytes).map_err(failed)?, &select).map_err(failed)?;
    if !picked.missing.is_empty() {
        let paths = picked.missing.into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).collect();
        return Err(RestoreError::Missing { archive: name.clone(), paths }.into());
    }
    Ok(Plan { manifest, bytes, ranges: picked.ranges, into })
}

async fn restore(opened: &Opened, name: &ArchiveName, plan: &Plan, args: &Args) -> anyhow::Result<Extracted> {
    target::make(&plan.into)?;
    let bar = Bar::new(&format!("restore {name}"));
    // What was picked is what is wanted, with the folders above and the first names of links: nothing is left to select.
    let options = ExtractOptions { owners: args.owners, select: Vec::new(), overwrite: args.overwrite };
    let load = Load { repository: &opened.repository, manifest: &plan.manifest, ranges: &plan.ranges, around: Some(&plan.bytes) };
    let carried = bridge::carry(load, &plan.into, options, &|progress| bar.set(progress)).await;
    let stopped = |source| RestoreError::Stopped { archive: name.clone(), place: opened.label.clone(), into: plan.into.clone(), source };
    Ok(carried.map_err(stopped)?)
}

pub(crate) fn own_folders(opened: &Opened) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = opened.folder.iter().cloned().collect();
    if let Some(config) = &opened.config {
        folders.extend([config.repository.clone(), config.state.clone()]);
        folders.extend(config.clouds.iter().filter_map(|cloud| cloud.url.folder().cloned()));
    }
    folders
}
