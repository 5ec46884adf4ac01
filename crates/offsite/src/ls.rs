//! `offsite ls`: what lies in a folder of an archive, by its manifest alone.
//!
//! Folders above what was archived have no entry: they are shown for the way down, without owner or time. One pass in the order of paths.

use std::path::PathBuf;

use offsite_archive::{ArchiveName, Kind, PathText};
use serde::Serialize;

use crate::{
    browse::{
        BrowseError, Night, absolute, below,
        item::Item,
        near::Nearest,
        show::{COLUMNS, Show, Style, cells},
        typed,
    },
    exit::Exit,
    globals::Globals,
    out::{Out, OutError, quiet},
    restore::{self, from, select::Wanted},
};

const EXAMPLES: &str = "Examples:
  offsite ls services                               what the newest archive of the job holds, source by source
  offsite ls services /srv/services/grafana         one folder of it
  offsite ls services/2026-11-21 /srv/services -R   everything below, of the archive of that day
  offsite ls latest /srv/services --from cold       out of the cloud

Owners are shown by name and by number, as on the Pi; times are of this machine's zone.
--json prints one object a line. Its keys are those of a manifest's entries (docs/format.md, section 5): path, kind, mode (a decimal
number), uid, gid, user, group, size, mtime ([seconds, nanoseconds]), link, device; and archive. A path that is not UTF-8 is {\"hex\":\"…\"}.
A folder above what was archived has nothing but archive, path, kind and \"implied\":true.";

/// Arguments of `offsite ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An archive, as `offsite archives` names it; the beginning of its time (services/2026-11-21); a job, for its newest; or `latest`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub what: Wanted,
    /// A folder or file, as on the Pi [default: every source]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Everything below it too, by whole paths
    #[arg(long, short = 'R')]
    pub recursive: bool,
    #[command(flatten)]
    pub show: Show,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    quiet(list(globals, args).await)
}

async fn list(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let opened = from::open(globals, &args.show.from).await?;
    let chosen = restore::choose(&opened, &args.what).await?;
    let night = Night::chosen(&opened, &chosen).await?;
    let out = Out::new(COLUMNS);
    let mut listing = Listing { archive: &night.name, style: Style::new(args.show.bytes), json: args.show.json, out, blocks: 0 };
    match &args.path {
        Some(path) => listing.below(&night, &typed(path), args.recursive)?,
        None => listing.sources(&night, args.recursive)?,
    }
    listing.out.finish()?;
    Ok(Exit::Fine)
}

struct Listing<'a> {
    archive: &'a ArchiveName,
    style: Style,
    json: bool,
    out: Out,
    blocks: u64,
}

impl Listing<'_> {
    fn below(&mut self, night: &Night, wanted: &[u8], recursive: bool) -> anyhow::Result<()> {
        let mut near = Nearest::to(wanted);
        let mut found = false;
        let mut level = Level::default();
        for item in night.items()? {
            let item = item?;
            let Some(rest) = below(item.key(), wanted) else {
                near.see(item.key());
                continue;
            };
            found = true;
            // A folder that is named means what lies in it.
            if recursive || (rest.is_empty() && item.kind() != Kind::Dir) {
                self.whole(&item)?;
            } else {
                self.level(&mut level, &item, wanted, rest)?;
            }
        }
        let missing = || BrowseError::Missing { archive: self.archive.to_string(), path: absolute(wanted), near };
        if found || wanted.is_empty() { Ok(()) } else { Err(missing().into()) }
    }

    fn sources(&mut self, night: &Night, recursive: bool) -> anyhow::Result<()> {
        let mut source: Option<Vec<u8>> = None;
        let mut level = Level::default();
        for item in night.items()? {
            let item = item?;
            if recursive {
                self.whole(&item)?;
                continue;
            }
            match source.as_ref().and_then(|source| Some((source, below(item.key(), source)?))) {
                Some((source, rest)) => self.level(&mut level, &item, source, rest)?,
                None if item.kind() == Kind::Dir => {
                    (source, level) = (Some(item.key().to_vec()), Level::default());
                    self.block(&item)?;
                }
                None => self.whole(&item)?,
            }
        }
        Ok(())
    }

    fn block(&mut self, item: &Item) -> Result<(), OutError> {
        if self.json {
            return self.out.json(&item.json(self.archive));
        }
        self.out.settle()?;
        self.blocks += 1;
        self.out.line(&format!("{}{}:", if self.blocks == 1 { "" } else { "\n" }, item.entry.path))
    }

    fn whole(&mut self, item: &Item) -> Result<(), OutError> {
        self.row(item, &item.entry.path.to_string())
    }

    /// An item that lies `rest` below `folder`: shown if it lies in it, and else the folder on the way to it, unless that was shown.
    fn level(&mut self, level: &mut Level, item: &Item, folder: &[u8], rest: &[u8]) -> Result<(), OutError> {
        let mut parts = rest.splitn(2, |&byte| byte == b'/');
        let Some(name) = parts.next().filter(|name| !name.is_empty()) else { return Ok(()) };
        if parts.next().is_none() {
            level.shown = name.to_vec();
            return self.row(item, &PathText(name.to_vec()).to_string());
        }
        if level.shown != name {
            level.shown = name.to_vec();
            let path = if folder.is_empty() { absolute(name) } else { absolute(&[folder, b"/", name].concat()) };
            return self.implied(&path, name);
        }
        Ok(())
    }

    fn row(&mut self, item: &Item, name: &str) -> Result<(), OutError> {
        if self.json { self.out.json(&item.json(self.archive)) } else { self.out.row(cells(item, name, &self.style)) }
    }

    fn implied(&mut self, path: &PathText, name: &[u8]) -> Result<(), OutError> {
        if self.json {
            return self.out.json(&Implied { archive: self.archive, path, kind: Kind::Dir, implied: true });
        }
        let nothing = || "-".to_owned();
        self.out.row(vec!["d?????????".to_owned(), nothing(), nothing(), nothing(), nothing(), PathText(name.to_vec()).to_string()])
    }
}

#[derive(Default)]
struct Level {
    shown: Vec<u8>,
}

/// A folder that is not in the archive itself.
#[derive(Serialize)]
struct Implied<'a> {
    archive: &'a ArchiveName,
    path: &'a PathText,
    kind: Kind,
    implied: bool,
}
