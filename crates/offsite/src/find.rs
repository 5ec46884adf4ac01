//! `offsite find`: where a file is, and in which archive it changed or went away.
//!
//! With `--all` the archives of a job are gone through side by side, in the order of paths, so that each path's history is printed when it is known
//! and forgotten: memory does not grow with what is found. It does grow with the archives of the job. All their manifests are held at once, as they
//! are stored, with their lists of frames, and each is decoded by a reader of its own: a history needs the first and the last side by side.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use offsite_archive::{ArchiveName, JobName, Kind, PathText};
use offsite_repository::{ArchiveInfo, Archives};
use serde::Serialize;

use crate::{
    browse::{
        Night,
        content::{Sameness, sameness},
        item::{Item, Side},
        order::Joined,
        show::{COLUMNS, Show, Style, cells},
    },
    exit::Exit,
    globals::Globals,
    human::{count, plain},
    out::{Out, quiet},
    restore::{
        self,
        from::{self, Opened},
        select::{self, SelectError, Wanted},
    },
};

const EXAMPLES: &str = "Examples:
  offsite find grafana.db                  in the newest archive of every job
  offsite find --all grafana.db            its history: from which archive to which it was the same, and when it was gone
  offsite find --all '*.jpg' --job photos  patterns are quoted, or the shell takes them
  offsite find -i '/srv/**/invoice*'       with a slash, a pattern is for whole paths: * stays in one folder, ** does not

Then: offsite cat ARCHIVE PATH, or offsite restore ARCHIVE --into FOLDER PATH.

A file counts as the same while its size and time are, and the frames that hold it do not say otherwise; mode and owner alone make no history.
--json prints one object a line: without --all as `offsite ls --json`; with it job, path and versions. Each of those has first and last (archives)
and archives (how many), and either gone: true, or kind, mode, uid, gid, size, mtime, link, and content: how that compares with the version before
(same, different, or unknown, where only reading it would tell).";

/// Arguments of `offsite find`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A name, or a path if it has a slash; * ? [a-z] {a,b} are patterns, \ takes their meaning away [default: everything]
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<Pattern>,
    /// Only archives of this job
    #[arg(long)]
    pub job: Option<JobName>,
    /// In all archives, with what changed between them
    #[arg(long, short)]
    pub all: bool,
    /// Take capitals and small letters for the same
    #[arg(long, short)]
    pub ignore_case: bool,
    #[command(flatten)]
    pub show: Show,
}

#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    whole: bool,
    exact: GlobMatcher,
    any_case: GlobMatcher,
}

impl FromStr for Pattern {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim_end_matches('/');
        let whole = trimmed.contains('/');
        let glob = match trimmed.strip_prefix('/') {
            Some(rooted) => rooted.to_owned(),
            None if whole => format!("**/{trimmed}"),
            None => trimmed.to_owned(),
        };
        let compiled = |any_case| {
            let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).case_insensitive(any_case).build();
            glob.map(|glob| glob.compile_matcher())
        };
        Ok(Self { text: text.to_owned(), whole, exact: compiled(false)?, any_case: compiled(true)? })
    }
}

impl Pattern {
    fn fits(&self, key: &[u8], ignore_case: bool) -> bool {
        let name = if self.whole { key } else { key.rsplit(|&byte| byte == b'/').next().unwrap_or(key) };
        let matcher = if ignore_case { &self.any_case } else { &self.exact };
        matcher.is_match(Path::new(OsStr::from_bytes(name)))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing is called {} in {looked} of {place}", patterns.join(" or "))]
pub(crate) struct NothingFound {
    patterns: Vec<String>,
    looked: String,
    place: String,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    quiet(search(globals, args).await)
}

async fn search(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let opened = from::open(globals, &args.show.from).await?;
    let archives = opened.repository.archives().await?;
    let jobs = match &args.job {
        Some(job) => vec![job.clone()],
        None => select::jobs(&archives),
    };
    let mut search = Search { args, style: Style::new(args.show.bytes), found: 0, looked: 0 };
    for job in &jobs {
        if args.all {
            search.all(&opened, &archives, job).await?;
        } else {
            let chosen = restore::choose_among(&archives, &opened, &Wanted::Newest(job.clone()))?;
            let night = Night::chosen(&opened, &chosen).await?;
            search.newest(&night)?;
        }
    }
    if search.found == 0 && !args.patterns.is_empty() {
        let patterns = args.patterns.iter().map(|pattern| plain(&pattern.text)).collect();
        let looked = count(search.looked, "archive", "archives");
        return Err(NothingFound { patterns, looked, place: opened.label.clone() }.into());
    }
    // What could not be looked at may have had it.
    Ok(if args.all && !archives.unreadable.is_empty() { Exit::Incomplete } else { Exit::Fine })
}

struct Search<'a> {
    args: &'a Args,
    style: Style,
    found: u64,
    looked: u64,
}

impl Search<'_> {
    fn fits(&self, key: &[u8]) -> bool {
        let patterns = &self.args.patterns;
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(key, self.args.ignore_case))
    }

    fn newest(&mut self, night: &Night) -> anyhow::Result<()> {
        let mut out = Out::new(COLUMNS);
        self.looked += 1;
        for item in night.items()? {
            let item = item?;
            if !self.fits(item.key()) {
                continue;
            }
            self.found += 1;
            if self.args.show.json {
                out.json(&item.json(&night.name))?;
            } else {
                out.row(cells(&item, &item.entry.path.to_string(), &self.style))?;
            }
        }
        Ok(out.finish()?)
    }

    async fn all(&mut self, opened: &Opened, archives: &Archives, job: &JobName) -> anyhow::Result<()> {
        let mut infos: Vec<&ArchiveInfo> = archives.good.iter().filter(|info| info.name.job == *job).collect();
        if infos.is_empty() {
            let (job, place) = (job.clone(), opened.label.clone());
            return Err(SelectError::NoJob { job, place, jobs: select::jobs(archives) }.into());
        }
        infos.sort_by_key(|info| (info.sequence, info.name.time()));
        let mut nights = Vec::new();
        for info in infos {
            if let Some(flaw) = select::flaw(info, opened.place.as_ref(), &opened.standing) {
                note!("note: {}: {flaw}", info.name);
            }
            nights.push(Night::open(&opened.repository, &info.name).await?);
        }
        for bad in archives.unreadable.iter().filter(|bad| select::named(&bad.object).is_none_or(|name| name.job == *job)) {
            note!("note: {} in {} cannot be read, and was not looked into", plain(&bad.object), opened.label);
        }
        self.looked += nights.len() as u64;
        let mut out = Out::new(history::COLUMNS);
        for items in Joined::of(&nights)? {
            let items = items?;
            let Some(any) = items.iter().flatten().next() else { continue };
            if !self.fits(any.key()) {
                continue;
            }
            self.found += 1;
            let path = any.entry.path.clone();
            let versions = history::versions(&nights, items);
            if self.args.show.json {
                out.json(&history::json(job, &path, &nights, &versions))?;
            } else {
                out.line(&path.to_string())?;
                for version in &versions {
                    out.row(history::cells(&nights, version, &self.style))?;
                }
            }
        }
        Ok(out.finish()?)
    }
}

/// What became of one path from archive to archive.
mod history {
    use super::*;
    use crate::human::Align;

    pub(super) const COLUMNS: &[Align] = &[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left, Align::Left];

    /// The same thing in archives that follow each other.
    #[derive(Debug)]
    pub(super) struct Version {
        pub(super) first: usize,
        pub(super) last: usize,
        /// What is there; `None` where it is gone.
        pub(super) item: Option<Item>,
        /// How its content compares with the version before.
        pub(super) content: Option<Sameness>,
    }

    /// The history of a path that is `items` in `nights`, from where it first appears.
    pub(super) fn versions(nights: &[Night], items: Vec<Option<Item>>) -> Vec<Version> {
        let mut versions: Vec<Version> = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let mut content = None;
            match (versions.last_mut(), &item) {
                (None, None) => continue,
                (Some(version), item) => {
                    content = contents(nights, (version.last, version.item.as_ref()), (at, item.as_ref()));
                    let same = match (&version.item, item) {
                        (Some(a), Some(b)) => is_same(a, b, content),
                        (a, b) => a.is_none() && b.is_none(),
                    };
                    if same {
                        // The next is held against the newest: what frames tell, they tell of neighbours best.
                        version.last = at;
                        version.item.clone_from(item);
                        continue;
                    }
                }
                (None, Some(_)) => {}
            }
            versions.push(Version { first: at, last: at, item, content });
        }
        versions
    }

    fn contents(nights: &[Night], (a, of_a): (usize, Option<&Item>), (b, of_b): (usize, Option<&Item>)) -> Option<Sameness> {
        let (of_a, of_b) = (of_a?.data.as_ref()?, of_b?.data.as_ref()?);
        Some(sameness((nights.get(a)?, of_a), (nights.get(b)?, of_b)))
    }

    fn is_same(a: &Item, b: &Item, content: Option<Sameness>) -> bool {
        // Of a hard link the other name does not matter; its content does.
        let links = a.data.is_some() || a.entry.link == b.entry.link;
        let facts = |item: &Item| (item.kind(), item.entry.mtime, item.size(), item.entry.device);
        facts(a) == facts(b) && links && content != Some(Sameness::Different)
    }

    pub(super) fn cells(nights: &[Night], version: &Version, style: &Style) -> Vec<String> {
        let name = |at: usize| nights.get(at).map(|night| night.name.to_string()).unwrap_or_default();
        let archives = version.last - version.first + 1;
        let last = if archives == 1 { String::new() } else { format!("to {}", name(version.last)) };
        let mut cells = vec![format!("  {}", name(version.first)), last, count(archives as u64, "archive", "archives")];
        let Some(item) = &version.item else {
            cells.push("gone".to_owned());
            return cells;
        };
        let what = match item.kind() {
            Kind::File => style.size(item.size()),
            Kind::Dir => "folder".to_owned(),
            Kind::Symlink => "link".to_owned(),
            Kind::Hardlink => "further name".to_owned(),
            Kind::Fifo => "pipe".to_owned(),
            Kind::Char | Kind::Block => "device".to_owned(),
        };
        let note = match (version.content, &item.entry.link) {
            (Some(Sameness::Same), _) => "the same content as before".to_owned(),
            (_, Some(link)) if item.entry.kind == Kind::Symlink => format!("-> {link}"),
            _ => String::new(),
        };
        cells.extend([what, style.time(item.entry.mtime), note]);
        cells
    }

    #[derive(Serialize)]
    pub(super) struct Json<'a> {
        job: &'a JobName,
        path: &'a PathText,
        versions: Vec<JsonVersion<'a>>,
    }

    #[derive(Serialize)]
    struct JsonVersion<'a> {
        first: Option<&'a ArchiveName>,
        last: Option<&'a ArchiveName>,
        archives: usize,
        #[serde(flatten)]
        state: State<'a>,
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum State<'a> {
        Gone {
            gone: bool,
        },
        There {
            #[serde(flatten)]
            side: Side<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            content: Option<Sameness>,
        },
    }

    pub(super) fn json<'a>(job: &'a JobName, path: &'a PathText, nights: &'a [Night], versions: &'a [Version]) -> Json<'a> {
        let name = |at: usize| nights.get(at).map(|night| &night.name);
        let state = |version: &'a Version| match &version.item {
            None => State::Gone { gone: true },
            Some(item) => State::There { side: Side::of(item), content: version.content },
        };
        let versions = versions.iter().map(|version| JsonVersion {
            first: name(version.first),
            last: name(version.last),
            archives: version.last - version.first + 1,
            state: state(version),
        });
        Json { job, path, versions: versions.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &[u8]) -> bool {
        pattern.parse::<Pattern>().unwrap().fits(path, false)
    }

    #[test]
    fn a_pattern_is_for_names_and_with_a_slash_for_paths() {
        assert!(fits("app.db", b"srv/x/app.db") && !fits("app.db", b"srv/app.db/x") && !fits("app.db", b"srv/my-app.db"));
        assert!(fits("*.db", b"srv/x/app.db") && fits("*.db", b"app.db"));
        assert!(fits("x/app.db", b"srv/x/app.db") && fits("x/app.db", b"x/app.db") && !fits("x/app.db", b"srv/xx/app.db"));
        assert!(fits("/srv/*/app.db", b"srv/x/app.db") && !fits("/srv/*.db", b"srv/x/app.db") && fits("/srv/**/*.db", b"srv/x/y/app.db"));
        assert!(!fits("/x/app.db", b"srv/x/app.db") && fits("/srv/x/", b"srv/x"));
        assert!(fits("*", b"srv/\xff\n") && fits("\\*", b"srv/*") && !fits("\\*", b"srv/x"));
        assert!("[".parse::<Pattern>().is_err());
    }

    #[test]
    fn capitals_matter_unless_they_are_not_to() {
        let pattern: Pattern = "*.JPG".parse().unwrap();
        assert!(pattern.fits(b"a.jpg", true) && !pattern.fits(b"a.jpg", false));
    }
}
