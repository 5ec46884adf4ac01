//! Which archive is meant: one by its name, or a job's newest that deserves trust. Pure.
//!
//! "Newest" goes by the archive's number first, because a Pi's clock may have been wrong. What the tripwire holds, what is incomplete and what
//! is not whole here is passed over while there is anything better, and every one that was passed over is named: nobody should get older
//! data than they think.

use std::{collections::BTreeSet, fmt, str::FromStr};

use offsite_archive::{ArchiveName, InvalidName, JobName};
use offsite_repository::{ArchiveInfo, Archives};

use crate::{config::PlaceName, journal::Standing};

/// What a person typed: `latest`, `services`, `services/2026-11-22T040000Z`, or the beginning of a time as `services/2026-11-22` or `2026-11-22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The newest archive of the only job.
    Latest,
    Newest(JobName),
    Archive(ArchiveName),
    /// The only one, of that job or of all, whose time begins so.
    Begins(Option<JobName>, String),
}

impl FromStr for Wanted {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        match text.split_once('/') {
            Some((job, time)) if begins_a_time(time) => Ok(Self::Begins(Some(job.parse()?), time.to_owned())),
            Some(_) => text.parse().map(Self::Archive),
            None if begins_a_time(text) => Ok(Self::Begins(None, text.to_owned())),
            None => text.parse().map(Self::Newest),
        }
    }
}

/// Whether `text` is the beginning of a time as it stands in an archive's name, from its year on, and not all of it.
fn begins_a_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T000000Z";
    let fits = |(byte, shape): (u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape };
    (4..SHAPE.len()).contains(&text.len()) && text.bytes().zip(SHAPE).all(fits)
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// The tripwire holds it.
    Suspicious(String),
    /// Frames of it are lost here.
    NotWhole,
    /// The agent could not read everything.
    Incomplete,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspicious(why) => write!(f, "it is suspicious: {why}"),
            Self::NotWhole => write!(f, "it is not whole here; another place may hold it"),
            Self::Incomplete => write!(f, "it is incomplete: the agent could not read everything"),
        }
    }
}

/// What is wrong with an archive at `place`, as far as is known; the worst.
pub(crate) fn flaw(info: &ArchiveInfo, place: Option<&PlaceName>, standing: &Standing) -> Option<Flaw> {
    if let Some(why) = standing.suspicious.get(&info.name) {
        return Some(Flaw::Suspicious(why.to_string()));
    }
    if place.is_some_and(|place| standing.lost.contains_key(&(place.clone(), info.name.clone()))) {
        return Some(Flaw::NotWhole);
    }
    (!info.end.complete).then_some(Flaw::Incomplete)
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    pub info: ArchiveInfo,
    pub flaw: Option<Flaw>,
    /// Newer ones that were passed over, newest first.
    pub passed: Vec<(ArchiveName, Flaw)>,
    /// Manifests of the job that cannot be read: one of them might be newer.
    pub unreadable: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// `near` are those of its job that are nearest in time, or else of all jobs.
    #[error("there is no archive {archive} in {place}{}", near_text(near))]
    NoArchive { archive: ArchiveName, place: String, near: Vec<ArchiveName> },
    #[error("the archive {archive} in {place} cannot be read: {cause}")]
    Unreadable { archive: ArchiveName, place: String, cause: String },
    #[error("there is no archive of a job {job} in {place}{}", jobs_text(jobs))]
    NoJob { job: JobName, place: String, jobs: Vec<JobName> },
    #[error("{place} holds archives of several jobs{}", jobs_text(jobs))]
    Jobs { place: String, jobs: Vec<JobName> },
    #[error("there is no archive of {text} in {place}")]
    NoTime { text: String, place: String },
    #[error("{text} is not one archive in {place} but {}: {}{}", found.len(), names_text(&found[..found.len().min(LISTED)]), if found.len() > LISTED { ", …" } else { "" })]
    Times { text: String, place: String, found: Vec<ArchiveName> },
}

const LISTED: usize = 5;

fn names_text(names: &[ArchiveName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn near_text(near: &[ArchiveName]) -> String {
    if near.is_empty() { "; there is none at all".to_owned() } else { format!("; the nearest: {}", names_text(near)) }
}

fn jobs_text(jobs: &[JobName]) -> String {
    let names: Vec<&str> = jobs.iter().map(JobName::as_str).collect();
    if names.is_empty() { "; there is none at all".to_owned() } else { format!("; there is: {}", names.join(", ")) }
}

/// Finds what `wanted` means among `archives`, which lie in the place that people call `label`.
pub(crate) fn choose(
    wanted: &Wanted,
    archives: &Archives,
    label: &str,
    place: Option<&PlaceName>,
    standing: &Standing,
) -> Result<Chosen, SelectError> {
    let flaw = |info: &ArchiveInfo| flaw(info, place, standing);
    let newest = |job: JobName| choose(&Wanted::Newest(job), archives, label, place, standing);
    match wanted {
        // A job that is called as no job should be is still one.
        Wanted::Latest => match jobs(archives).as_slice() {
            [only] => newest(only.clone()),
            jobs => match jobs.iter().find(|job| job.as_str() == "latest") {
                Some(job) => newest(job.clone()),
                None => Err(SelectError::Jobs { place: label.to_owned(), jobs: jobs.to_vec() }),
            },
        },
        Wanted::Begins(job, time) => match jobs(archives).into_iter().find(|known| job.is_none() && known.as_str() == time) {
            Some(job) => newest(job),
            None => choose(&Wanted::Archive(begun(job.as_ref(), time, archives, label)?), archives, label, place, standing),
        },
        Wanted::Archive(name) => match archives.good.iter().find(|info| info.name == *name) {
            Some(info) => Ok(Chosen { info: info.clone(), flaw: flaw(info), passed: Vec::new(), unreadable: Vec::new() }),
            None => Err(absent(name, archives, label)),
        },
        Wanted::Newest(job) => {
            let mut own: Vec<&ArchiveInfo> = archives.good.iter().filter(|info| info.name.job == *job).collect();
            own.sort_by_key(|info| (info.sequence, info.name.time()));
            own.reverse();
            // The least flaw wins; among equals the newest, which comes first.
            let best = own.iter().min_by_key(|info| std::cmp::Reverse(rank(flaw(info).as_ref())));
            let Some(best) = best else {
                return Err(SelectError::NoJob { job: job.clone(), place: label.to_owned(), jobs: jobs(archives) });
            };
            let newer = own.iter().take_while(|info| info.name != best.name);
            let passed = newer.filter_map(|info| Some((info.name.clone(), flaw(info)?))).collect();
            let unreadable = archives.unreadable.iter().map(|bad| bad.object.clone());
            let unreadable = unreadable.filter(|object| named(object).is_none_or(|name| name.job == *job)).collect();
            Ok(Chosen { info: (*best).clone(), flaw: flaw(best), passed, unreadable })
        }
    }
}

pub(crate) fn jobs(archives: &Archives) -> Vec<JobName> {
    archives.good.iter().map(|info| info.name.job.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The archive of the same job that came before `info`, whatever is wrong with it.
pub(crate) fn before<'a>(info: &ArchiveInfo, archives: &'a Archives) -> Option<&'a ArchiveInfo> {
    let order = |info: &ArchiveInfo| (info.sequence, info.name.time());
    archives.good.iter().filter(|other| other.name.job == info.name.job && order(other) < order(info)).max_by_key(|other| order(other))
}

/// The one archive that was named, by all of its name or the beginning of its time; a whole name also where nothing is there by it.
pub(crate) fn named_in(wanted: &Wanted, archives: &Archives, label: &str) -> Result<ArchiveName, SelectError> {
    match wanted {
        Wanted::Archive(name) => Ok(name.clone()),
        Wanted::Begins(job, time) => begun(job.as_ref(), time, archives, label),
        Wanted::Latest | Wanted::Newest(_) => choose(wanted, archives, label, None, &Standing::default()).map(|chosen| chosen.info.name),
    }
}

/// The one archive, of `job` or of any, whose time begins with `time`. One that cannot be read is found too, for its own error.
fn begun(job: Option<&JobName>, time: &str, archives: &Archives, label: &str) -> Result<ArchiveName, SelectError> {
    let all = archives.good.iter().map(|info| info.name.clone());
    let all = all.chain(archives.unreadable.iter().filter_map(|bad| named(&bad.object)));
    let fits = |name: &ArchiveName| job.is_none_or(|job| name.job == *job) && name.time_text().starts_with(time);
    let found: BTreeSet<ArchiveName> = all.filter(fits).collect();
    let mut found: Vec<ArchiveName> = found.into_iter().collect();
    match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (_, last) => {
            let (text, place) = (job.map_or_else(|| time.to_owned(), |job| format!("{job}/{time}")), label.to_owned());
            found.extend(last);
            Err(if found.is_empty() { SelectError::NoTime { text, place } } else { SelectError::Times { text, place, found } })
        }
    }
}

/// Higher is better.
fn rank(flaw: Option<&Flaw>) -> u8 {
    match flaw {
        None => 3,
        Some(Flaw::Incomplete) => 2,
        Some(Flaw::NotWhole) => 1,
        Some(Flaw::Suspicious(_)) => 0,
    }
}

pub(crate) fn absent(name: &ArchiveName, archives: &Archives, label: &str) -> SelectError {
    if let Some(bad) = archives.unreadable.iter().find(|bad| named(&bad.object).as_ref() == Some(name)) {
        let cause = offsite_agent::chain(&bad.error);
        return SelectError::Unreadable { archive: name.clone(), place: label.to_owned(), cause };
    }
    let same_job = archives.good.iter().any(|info| info.name.job == name.job);
    let mut near: Vec<&ArchiveName> =
        archives.good.iter().map(|info| &info.name).filter(|other| !same_job || other.job == name.job).collect();
    near.sort_by_key(|other| ((other.time().as_second() - name.time().as_second()).abs(), (*other).clone()));
    near.truncate(3);
    SelectError::NoArchive { archive: name.clone(), place: label.to_owned(), near: near.into_iter().cloned().collect() }
}

/// The archive that a manifest object is named for, where names are in the clear.
pub(crate) fn named(object: &str) -> Option<ArchiveName> {
    object.strip_prefix("manifests/")?.strip_suffix(".zst")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use offsite_archive::{Chunker, End, FrameId, Head};
    use offsite_repository::{RepositoryError, Unreadable};

    use super::*;
    use crate::{
        journal::{Fact, Receipt},
        tripwire::Why,
    };

    fn name(day: u8) -> ArchiveName {
        format!("services/2026-11-{day:02}T040000Z").parse().unwrap()
    }

    fn info(day: u8, sequence: u64, complete: bool) -> ArchiveInfo {
        let name = name(day);
        let end = End {
            entries: 1,
            frames: 1,
            raw: 1,
            bytes: 1,
            digest: FrameId::of(b""),
            finished: name.time(),
            quiesced: Vec::new(),
            warnings: Vec::new(),
            complete,
        };
        let (host, agent) = (String::new(), String::new());
        let head = Head { version: 1, archive: name.clone(), sequence, host, agent, sources: Vec::new(), chunker: Chunker::files_1() };
        ArchiveInfo { name, sequence, head, end, manifest_bytes: 1 }
    }

    fn archives(good: Vec<ArchiveInfo>) -> Archives {
        Archives { good, unreadable: Vec::new() }
    }

    fn standing(facts: Vec<Fact>) -> Standing {
        Standing::of(&facts.into_iter().map(|fact| Receipt { time: Timestamp::UNIX_EPOCH, fact }).collect::<Vec<_>>())
    }

    fn newest(archives: &Archives, standing: &Standing) -> Chosen {
        choose(&"services".parse().unwrap(), archives, "this Mac", Some(&PlaceName::mac()), standing).unwrap()
    }

    #[test]
    fn a_job_or_an_archive_is_typed() {
        assert_eq!("services".parse(), Ok(Wanted::Newest("services".parse().unwrap())));
        assert_eq!("services/2026-11-22T040000Z".parse(), Ok(Wanted::Archive(name(22))));
        assert_eq!("latest".parse(), Ok(Wanted::Latest));
        let begins = |job: Option<&str>, time: &str| Ok(Wanted::Begins(job.map(|job| job.parse().unwrap()), time.to_owned()));
        assert_eq!("services/2026-11-22".parse(), begins(Some("services"), "2026-11-22"));
        assert_eq!("2026-11-22T04".parse(), begins(None, "2026-11-22T04"));
        assert!("services/2026-11-2xT".parse::<Wanted>().is_err() && "services/2026-13-22T040000Z".parse::<Wanted>().is_err());
        assert!("services/yesterday".parse::<Wanted>().is_err() && "Services".parse::<Wanted>().is_err());
    }

    #[test]
    fn the_newest_goes_by_number_before_time() {
        let archives = archives(vec![info(20, 1, true), info(21, 9, true), info(22, 3, true)]);
        let chosen = newest(&archives, &Standing::default());
        assert_eq!((chosen.info.name, chosen.flaw, chosen.passed), (name(21), None, Vec::new()));
    }

    #[test]
    fn what_is_flawed_is_passed_over_and_named() {
        let archives = archives(vec![info(19, 1, true), info(20, 2, true), info(21, 3, false), info(22, 4, true)]);
        let standing = standing(vec![
            Fact::Suspicious { archive: name(22), why: Why::Empty },
            Fact::Lost { place: PlaceName::mac(), archive: name(20), frames: Some(2) },
        ]);
        let chosen = newest(&archives, &standing);
        assert_eq!(chosen.info.name, name(19));
        let passed = [(name(22), Flaw::Suspicious(Why::Empty.to_string())), (name(21), Flaw::Incomplete), (name(20), Flaw::NotWhole)];
        assert_eq!(chosen.passed, passed);
        // What is lost on the Mac is whole elsewhere.
        let cold = "cold".parse().unwrap();
        let chosen = choose(&"services".parse().unwrap(), &archives, "cold", Some(&cold), &standing).unwrap();
        assert_eq!(chosen.info.name, name(20));
    }

    #[test]
    fn where_all_are_flawed_the_least_flawed_is_taken_with_its_flaw() {
        let archives = archives(vec![info(20, 1, false), info(21, 2, false), info(22, 3, true)]);
        let chosen = newest(&archives, &standing(vec![Fact::Suspicious { archive: name(22), why: Why::Empty }]));
        assert_eq!((chosen.info.name, chosen.flaw), (name(21), Some(Flaw::Incomplete)));
    }

    #[test]
    fn an_archive_by_name_is_taken_as_it_is() {
        let archives = archives(vec![info(21, 1, true), info(22, 2, true)]);
        let standing = standing(vec![Fact::Suspicious { archive: name(22), why: Why::Empty }]);
        let chosen = choose(&Wanted::Archive(name(22)), &archives, "this Mac", Some(&PlaceName::mac()), &standing).unwrap();
        assert_eq!((chosen.info.name, chosen.flaw), (name(22), Some(Flaw::Suspicious(Why::Empty.to_string()))));
    }

    #[test]
    fn latest_and_the_beginning_of_a_time_mean_one_archive_or_none() {
        let mut archives = archives(vec![info(9, 1, true), info(21, 2, true), info(22, 3, true)]);
        let chosen = |text: &str, archives: &Archives| {
            let chosen = choose(&text.parse().unwrap(), archives, "this Mac", None, &Standing::default());
            chosen.map(|chosen| chosen.info.name).map_err(|error| error.to_string())
        };
        assert_eq!(chosen("latest", &archives), Ok(name(22)));
        for text in ["services/2026-11-21", "2026-11-21T04", "services/2026-11-21T040000"] {
            assert_eq!(chosen(text, &archives), Ok(name(21)), "{text}");
        }
        assert_eq!(chosen("services/2026-12", &archives), Err("there is no archive of services/2026-12 in this Mac".to_owned()));
        let several = "2026-11-2 is not one archive in this Mac but 2: services/2026-11-21T040000Z, services/2026-11-22T040000Z";
        assert_eq!(chosen("2026-11-2", &archives), Err(several.to_owned()));
        // What cannot be read may be the one that is meant, and is never passed over in silence.
        let object = "manifests/services/2026-11-23T040000Z.zst".to_owned();
        archives.unreadable.push(Unreadable { object: object.clone(), error: RepositoryError::Stray { object } });
        assert!(chosen("services/2026-11-23", &archives).unwrap_err().contains("cannot be read"));
        let mut other = info(22, 4, true);
        other.name = "photos/2026-11-22T040000Z".parse().unwrap();
        archives.good.push(other.clone());
        assert_eq!(chosen("latest", &archives), Err("this Mac holds archives of several jobs; there is: photos, services".to_owned()));
        assert!(chosen("2026-11-22", &archives).unwrap_err().contains("photos/2026-11-22T040000Z, services/"));
        assert_eq!(chosen("services/2026-11-22", &archives), Ok(name(22)));
        // A job may be called as one likes.
        other.name = "2026-11/2026-11-22T040000Z".parse().unwrap();
        archives.good.push(other.clone());
        assert_eq!(chosen("2026-11", &archives), Ok(other.name));
    }

    #[test]
    fn the_one_before_goes_by_number() {
        let archives = archives(vec![info(20, 1, true), info(21, 9, true), info(22, 3, false)]);
        let of = |at: usize| before(&archives.good[at], &archives).map(|info| info.name.clone());
        assert_eq!([of(0), of(1), of(2)], [None, Some(name(22)), Some(name(20))]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let mut archives = archives(vec![info(10, 1, true), info(18, 2, true), info(20, 3, true), info(28, 4, true)]);
        let said =
            |wanted: Wanted, archives: &Archives| choose(&wanted, archives, "cold", None, &Standing::default()).unwrap_err().to_string();
        assert_eq!(
            said(Wanted::Archive(name(21)), &archives),
            "there is no archive services/2026-11-21T040000Z in cold; the nearest: services/2026-11-20T040000Z, \
             services/2026-11-18T040000Z, services/2026-11-28T040000Z"
        );
        assert_eq!(said("photos".parse().unwrap(), &archives), "there is no archive of a job photos in cold; there is: services");
        let object = "manifests/services/2026-11-21T040000Z.zst".to_owned();
        archives.unreadable.push(Unreadable { object: object.clone(), error: RepositoryError::Stray { object } });
        assert!(said(Wanted::Archive(name(21)), &archives).starts_with("the archive services/2026-11-21T040000Z in cold cannot be read: "));
        assert_eq!(newest(&archives, &Standing::default()).unreadable.len(), 1);
    }
}
