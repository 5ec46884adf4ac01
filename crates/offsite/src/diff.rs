//! `offsite diff`: what changed between two archives of a job, by their manifests alone.
//!
//! Both are gone through side by side in the order of paths; nothing but sums is remembered. What a manifest cannot tell is not guessed: a file whose
//! content may have changed is listed as just that.

pub(crate) mod change;

use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use offsite_archive::{ArchiveName, InvalidName, PathText};
use offsite_repository::{ArchiveInfo, Repository};

use self::change::{Change, Sums, change};
use crate::{
    browse::{
        BrowseError, Night, absolute, below,
        content::{Sameness, sameness},
        item::{Data, Item},
        near::Nearest,
        order::Joined,
        reading::{self, Files, Hashes},
        show::{Show, Style},
        typed,
    },
    exit::Exit,
    globals::Globals,
    human::Align,
    out::{Out, quiet},
    restore::{
        self, from,
        select::{self, Wanted},
    },
};

const EXAMPLES: &str = "Examples:
  offsite diff latest                                          the newest archive against the one before it
  offsite diff services/2026-11-21                             that archive against the one before it
  offsite diff services/2026-11-19 services /srv/services/db   what changed there since the 19th
  offsite diff latest --stat                                   only the sums

Each line begins with
  +  added
  -  removed
  M  modified: its length, its frames or its kind are others, or where a link points
  ?  perhaps modified: its time is another and its length is not. Small files share a frame with neighbours, and which of them changed only
     reading them tells: --content does
  m  only mode, owner, time or hard links changed; the content is the same, unless the line says that it was not read: then length and time are,
     and --content tells
A file whose length and time are the same and whose frames do not say otherwise counts as unchanged, as it does for rsync. A folder of which only
the time changed is not listed. Extended attributes and ACLs do not stand in manifests: a change of nothing else is not seen.

Ends with 0 whether or not something changed; with --exit-code with 5 if something did.
--json prints one object a line: change (added, removed, modified, maybe, metadata), path, before and after (kind, mode, uid, gid, size, mtime,
link), content (same, different, unknown), notes; and as the last line the sums, as summary.";

/// Arguments of `offsite diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The earlier archive; alone, the later one, which is held against the one before it. Named as for `offsite restore`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub a: Wanted,
    /// The later archive
    #[arg(value_name = "ARCHIVE|JOB or /PATH", value_parser = OsStringValueParser::new().try_map(second))]
    pub b: Option<Second>,
    /// Only this path and what lies below it
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Read the files of which nothing else tells whether they changed
    #[arg(long)]
    pub content: bool,
    /// Only the sums
    #[arg(long)]
    pub stat: bool,
    /// End with 5 if something changed
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub show: Show,
}

/// The second word: a path begins with a slash, an archive never does.
#[derive(Debug, Clone)]
pub(crate) enum Second {
    Archive(Wanted),
    Path(PathBuf),
}

fn second(text: OsString) -> Result<Second, InvalidName> {
    if text.as_bytes().starts_with(b"/") {
        return Ok(Second::Path(text.into()));
    }
    text.to_string_lossy().parse().map(Second::Archive)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiffError {
    #[error("cannot compare {a} with {b}: they are of different jobs")]
    Jobs { a: ArchiveName, b: ArchiveName },
    #[error("cannot compare {archive} with the one before it: there is none in {place}")]
    NoneBefore { archive: ArchiveName, place: String },
    #[error("cannot compare at {} and at {}: name one path", first.display(), second.display())]
    Paths { first: PathBuf, second: PathBuf },
}

/// Sign, length, path, notes.
const COLUMNS: &[Align] = &[Align::Left, Align::Right, Align::Left];

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    quiet(compare(globals, args).await)
}

async fn compare(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let (later, path) = match (&args.b, &args.path) {
        (Some(Second::Path(first)), Some(second)) => {
            return Err(DiffError::Paths { first: first.clone(), second: second.clone() }.into());
        }
        (Some(Second::Path(path)), None) => (None, Some(path)),
        (Some(Second::Archive(later)), path) => (Some(later), path.as_ref()),
        (None, path) => (None, path.as_ref()),
    };
    let opened = from::open(globals, &args.show.from).await?;
    // The manifests are read at once.
    let _stays = args.content.then(|| opened.reading());
    let archives = opened.repository.archives().await?;
    let first = restore::choose_among(&archives, &opened, &args.a)?.info;
    let (a, b) = match later {
        Some(later) => (first, restore::choose_among(&archives, &opened, later)?.info),
        None => {
            let none = || DiffError::NoneBefore { archive: first.name.clone(), place: opened.label.clone() };
            let before = select::before(&first, &archives).ok_or_else(none)?.clone();
            restore::choose_among(&archives, &opened, &Wanted::Archive(before.name.clone()))?;
            (before, first)
        }
    };
    same_job(&a, &b)?;
    let nights = [Night::open(&opened.repository, &a.name).await?, Night::open(&opened.repository, &b.name).await?];
    let wanted = path.map(|path| typed(path)).unwrap_or_default();
    let read = if args.content { open_questions(&opened.repository, &nights, &wanted).await? } else { Read::default() };
    let sums = walk(&nights, &wanted, &read, args)?;
    Ok(if args.exit_code && sums.any() { Exit::Differs } else { Exit::Fine })
}

fn same_job(a: &ArchiveInfo, b: &ArchiveInfo) -> Result<(), DiffError> {
    let (a, b) = (&a.name, &b.name);
    if a.job == b.job { Ok(()) } else { Err(DiffError::Jobs { a: a.clone(), b: b.clone() }) }
}

#[derive(Default)]
struct Read([Hashes; 2]);

impl Read {
    fn same(&self, nights: &[Night; 2], a: &Data, b: &Data) -> Sameness {
        let [night_a, night_b] = nights;
        let known = sameness((night_a, a), (night_b, b));
        let Self([of_a, of_b]) = self;
        match (known, of_a.get(&a.at), of_b.get(&b.at)) {
            (Sameness::Unknown, Some(a), Some(b)) if a == b => Sameness::Same,
            (Sameness::Unknown, Some(_), Some(_)) => Sameness::Different,
            (known, ..) => known,
        }
    }

    async fn learn(&mut self, repository: &Repository, nights: &[Night; 2], files: [Files; 2]) -> anyhow::Result<()> {
        for ((night, files), hashes) in nights.iter().zip(files).zip(&mut self.0) {
            hashes.extend(reading::hashes(repository, night, files).await?);
        }
        Ok(())
    }
}

/// Most memory for what is to be read next, in bytes on each side: the questions of a manifest may be many, and their paths long.
const ASKED_MOST: usize = 16 << 20;

/// Reads what manifests leave open about files at and below `wanted`.
async fn open_questions(repository: &Repository, nights: &[Night; 2], wanted: &[u8]) -> anyhow::Result<Read> {
    let [a, b] = nights;
    let (mut read, mut asked, mut size) = (Read::default(), <[Files; 2]>::default(), 0);
    for items in Joined::of(nights)? {
        let items = items?;
        let [Some(before), Some(after)] = items.as_slice() else { continue };
        let (Some(before), Some(after)) = (&before.data, &after.data) else { continue };
        let inside = items.iter().flatten().all(|item| below(item.key(), wanted).is_some());
        if !inside || sameness((a, before), (b, after)) != Sameness::Unknown {
            continue;
        }
        size += 2 * size_of::<Data>() + before.path.0.len().max(after.path.0.len());
        for ((files, hashes), data) in asked.iter_mut().zip(&read.0).zip([before, after]) {
            if !hashes.contains_key(&data.at) {
                files.insert(data.at, data.clone());
            }
        }
        if size > ASKED_MOST {
            read.learn(repository, nights, std::mem::take(&mut asked)).await?;
            size = 0;
        }
    }
    read.learn(repository, nights, asked).await?;
    Ok(read)
}

fn walk(nights: &[Night; 2], wanted: &[u8], read: &Read, args: &Args) -> anyhow::Result<Sums> {
    let style = Style::new(args.show.bytes);
    let mut near = Nearest::to(wanted);
    let mut found = wanted.is_empty();
    let mut sums = Sums::default();
    let mut out = Out::new(COLUMNS);
    let [a, b] = nights;
    if !args.show.json {
        out.line(&format!("{} -> {}", a.name, b.name))?;
    }
    for items in Joined::of(nights)? {
        let items: Vec<Option<Item>> = items?;
        let [before, after] = items.as_slice() else { continue };
        let Some(any) = after.as_ref().or(before.as_ref()) else { continue };
        if below(any.key(), wanted).is_none() {
            near.see(any.key());
            continue;
        }
        found = true;
        let change = change(before.as_ref(), after.as_ref(), |a, b| read.same(nights, a, b));
        sums.add(&change, before.as_ref(), after.as_ref());
        if args.stat || change == Change::None {
            continue;
        }
        let path: &PathText = &any.entry.path;
        if args.show.json {
            out.json(&change::json(&change, path, before.as_ref(), after.as_ref()))?;
        } else {
            out.row(change::cells(&change, path, before.as_ref(), after.as_ref(), &style))?;
        }
    }
    if !found {
        let archive = format!("neither {} nor {}", a.name, b.name);
        return Err(BrowseError::Missing { archive, path: absolute(wanted), near }.into());
    }
    if args.show.json {
        out.json(&sums.json(&a.name, &b.name))?;
    } else {
        out.line(&sums.text(&style))?;
    }
    out.finish()?;
    Ok(sums)
}
