//! The entries of a manifest in the order of paths, without holding them.
//!
//! A manifest's order is that of the tar: sorted within what was read in one go, and those parts follow one another as they were read. So it is a
//! few ascending runs. Long runs are streamed side by side, each by a reader of its own; short ones are held. That costs a further decoding or two
//! of the manifest, and memory that does not grow with it. An order that is none (only a liar's is) is refused.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use offsite_archive::{Entry, Kind, Line, Manifest, ManifestReader, PathText};

use super::{
    BrowseError, Night,
    item::{Data, Item},
    trim,
};

/// Runs longer than this many entries are streamed.
const SHORT: u64 = 20_000;
/// Most runs that are streamed: each costs a window of zstd.
const STREAMED_MOST: usize = 16;
/// Most entries that are held.
const HELD_MOST: u64 = 1 << 20;
/// Most files with a further name that are remembered, at a few hundred bytes each.
const LINKED_MOST: usize = 1 << 20;

/// Compares trimmed paths part by part: a folder stands before what it holds, and all of that before the folder's next sibling.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // No path holds a zero byte, so a slash that counts as one comes before everything.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((a, b)) => rank(*a).cmp(&rank(*b)),
        None => a.len().cmp(&b.len()),
    }
}

/// The entries of an archive in the order of paths. Of two with one path the later in the tar counts, as it does when tar extracts.
pub(crate) struct Ordered<'a> {
    night: &'a Night,
    runs: Vec<Run<'a>>,
    links: HashMap<[u8; 16], Data>,
    failed: bool,
}

/// An ascending run, and the entry that it gives next.
struct Run<'a> {
    head: Option<Entry>,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Held(std::vec::IntoIter<Entry>),
    Streamed { lines: Box<ManifestReader<&'a [u8]>>, left: u64 },
}

/// What one look over all entries tells.
#[derive(Default)]
struct Survey {
    runs: Vec<u64>,
    /// Files that have a further name.
    links: HashSet<[u8; 16]>,
}

impl<'a> Ordered<'a> {
    pub(super) fn of(night: &'a Night) -> Result<Self, BrowseError> {
        Self::with(night, SHORT)
    }

    fn with(night: &'a Night, short: u64) -> Result<Self, BrowseError> {
        let survey = survey(night)?;
        let mut longest: Vec<usize> = (0..survey.runs.len()).filter(|&run| survey.runs[run] > short).collect();
        longest.sort_by_key(|&run| std::cmp::Reverse(survey.runs[run]));
        longest.truncate(STREAMED_MOST);
        let streamed: HashSet<usize> = longest.into_iter().collect();
        let held = (0..survey.runs.len()).filter(|run| !streamed.contains(run)).map(|run| survey.runs[run]).sum::<u64>();
        if held > HELD_MOST {
            return Err(night.unordered("its paths go back and forth too often"));
        }
        let (mut rests, links) = hold(night, &survey, &streamed, held > 0)?;
        let mut runs = Vec::new();
        let mut first = 0;
        for (run, len) in survey.runs.iter().enumerate() {
            let rest = if streamed.contains(&run) { stream(night, first, *len)? } else { Rest::Held(rests.next().unwrap_or_default()) };
            first += len;
            let mut run = Run { head: None, rest };
            run.advance(night)?;
            runs.push(run);
        }
        Ok(Self { night, runs, links, failed: false })
    }

    fn step(&mut self) -> Result<Option<Item>, BrowseError> {
        let mut least: Option<(usize, &[u8])> = None;
        for (number, run) in self.runs.iter().enumerate() {
            let Some(head) = &run.head else { continue };
            let path = trim(&head.path.0);
            if least.is_none_or(|(_, least)| compare(path, least) == Ordering::Less) {
                least = Some((number, path));
            }
        }
        let Some((number, _)) = least else { return Ok(None) };
        let Some(mut entry) = self.runs[number].next(self.night)? else { return Ok(None) };
        for run in &mut self.runs[number + 1..] {
            if run.head.as_ref().is_some_and(|head| trim(&head.path.0) == trim(&entry.path.0)) {
                entry = run.next(self.night)?.unwrap_or(entry);
            }
        }
        let data = match &entry.link {
            Some(link) if entry.kind == Kind::Hardlink => self.links.get(&short(link)).cloned(),
            _ => Data::of(&entry),
        };
        Ok(Some(Item { entry, data }))
    }
}

impl Iterator for Ordered<'_> {
    type Item = Result<Item, BrowseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step();
        self.failed = item.is_err();
        item.transpose()
    }
}

impl Run<'_> {
    /// Gives the head, and brings up the next one.
    fn next(&mut self, night: &Night) -> Result<Option<Entry>, BrowseError> {
        let head = self.head.take();
        self.advance(night)?;
        Ok(head)
    }

    fn advance(&mut self, night: &Night) -> Result<(), BrowseError> {
        self.head = match &mut self.rest {
            Rest::Held(entries) => entries.next(),
            Rest::Streamed { left: 0, .. } => None,
            Rest::Streamed { lines, left } => {
                *left -= 1;
                lines.find_map(entry).transpose().map_err(|source| night.failed(source))?
            }
        };
        Ok(())
    }
}

fn entry<E>(line: Result<Line, E>) -> Option<Result<Entry, E>> {
    match line {
        Ok(Line::Entry(entry)) => Some(Ok(entry)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

fn entries(night: &Night) -> Result<impl Iterator<Item = Result<Entry, BrowseError>> + '_, BrowseError> {
    let lines = Manifest::entries(&night.bytes).map_err(|source| night.failed(source))?;
    Ok(lines.filter_map(entry).map(|entry| entry.map_err(|source| night.failed(source))))
}

fn survey(night: &Night) -> Result<Survey, BrowseError> {
    let mut survey = Survey::default();
    let mut last: Option<PathText> = None;
    for entry in entries(night)? {
        let entry = entry?;
        let goes_on = last.is_some_and(|last| compare(trim(&last.0), trim(&entry.path.0)) == Ordering::Less);
        match survey.runs.last_mut() {
            Some(len) if goes_on => *len += 1,
            _ => survey.runs.push(1),
        }
        if survey.runs.len() as u64 > HELD_MOST {
            return Err(night.unordered("its paths go back and forth too often"));
        }
        if let (Kind::Hardlink, Some(link)) = (entry.kind, &entry.link) {
            survey.links.insert(short(link));
            if survey.links.len() > LINKED_MOST {
                return Err(night.unordered("more than 1048576 of its files have a further name"));
            }
        }
        last = Some(entry.path);
    }
    Ok(survey)
}

/// The entries of the runs that are not streamed, and the data of files that have a further name.
type Holding = (std::vec::IntoIter<std::vec::IntoIter<Entry>>, HashMap<[u8; 16], Data>);

fn hold(night: &Night, survey: &Survey, streamed: &HashSet<usize>, any: bool) -> Result<Holding, BrowseError> {
    let mut links = HashMap::new();
    let mut runs: Vec<Vec<Entry>> = Vec::new();
    if any || !survey.links.is_empty() {
        let mut numbers = survey.runs.iter().enumerate().flat_map(|(run, len)| (0..*len).map(move |at| (run, at)));
        for entry in entries(night)? {
            let entry = entry?;
            let Some((run, at)) = numbers.next() else { break };
            let data = survey.links.contains(&short(&entry.path)).then(|| Data::of(&entry)).flatten();
            links.extend(data.map(|data| (short(&entry.path), data)));
            if streamed.contains(&run) {
                continue;
            }
            if at == 0 {
                runs.push(Vec::new());
            }
            if let Some(run) = runs.last_mut() {
                run.push(entry);
            }
        }
    }
    Ok((runs.into_iter().map(Vec::into_iter).collect::<Vec<_>>().into_iter(), links))
}

fn stream(night: &Night, first: u64, left: u64) -> Result<Rest<'_>, BrowseError> {
    let mut lines = Manifest::entries(&night.bytes).map_err(|source| night.failed(source))?;
    for _ in 0..first {
        lines.find_map(entry).transpose().map_err(|source| night.failed(source))?;
    }
    Ok(Rest::Streamed { lines: Box::new(lines), left })
}

/// 128 bits of BLAKE3: a stranger cannot make two paths meet.
fn short(path: &PathText) -> [u8; 16] {
    super::content::short(&blake3::hash(trim(&path.0)))
}

/// Several archives side by side: each path once, with what it is in each.
pub(crate) struct Joined<'a> {
    sides: Vec<Ordered<'a>>,
    heads: Vec<Option<Item>>,
}

impl<'a> Joined<'a> {
    pub(crate) fn of(nights: impl IntoIterator<Item = &'a Night>) -> Result<Self, BrowseError> {
        let mut sides = nights.into_iter().map(Night::items).collect::<Result<Vec<_>, _>>()?;
        let heads = sides.iter_mut().map(|side| side.next().transpose()).collect::<Result<_, _>>()?;
        Ok(Self { sides, heads })
    }
}

impl Iterator for Joined<'_> {
    type Item = Result<Vec<Option<Item>>, BrowseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let least = self.heads.iter().flatten().min_by(|a, b| compare(a.key(), b.key()))?.key().to_vec();
        let mut items = Vec::with_capacity(self.sides.len());
        for (side, head) in self.sides.iter_mut().zip(&mut self.heads) {
            let item = head.take_if(|head| head.key() == least);
            if item.is_some() {
                match side.next().transpose() {
                    Ok(next) => *head = next,
                    Err(error) => {
                        self.heads.clear();
                        return Some(Err(error));
                    }
                }
            }
            items.push(item);
        }
        Some(Ok(items))
    }
}

#[cfg(test)]
mod tests;
