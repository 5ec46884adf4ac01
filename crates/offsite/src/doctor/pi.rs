//! The probes of one Pi, each bounded in time, in the order in which they need each other; nothing is changed there or here.
//!
//! One connection tells of many checks: where connecting fails is told by the error, and all before that went well.

mod judge;
mod stage;

use std::{
    io::ErrorKind,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use object_store::path::Path;
use offsite_archive::{ArchiveName, FrameRef, JobName, Manifest};
use offsite_repository::{ArchiveInfo, Layout, Repository, StreamError, read_ranges};
use offsite_sftp::{Auth, Retry, SftpError, SftpStore, Target, Timeouts, Writing};

pub(crate) use self::{
    judge::judge,
    stage::{Stage, stage},
};
use super::{
    PATIENCE,
    line::Trouble,
    noted,
    route::{self, Neighbours},
    within,
};
use crate::{
    config::{Config, Pi},
    places,
};

/// Most raw bytes of a test pull: two large frames.
const PULL: u64 = 8 << 20;

/// What the probes of a Pi found; what comes after a failure is none.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The way there, by what is configured and what ssh says.
    pub way: Option<Result<Way, Trouble>>,
    /// Whether connecting went well, or where it ended.
    pub connected: Option<Result<Option<IpAddr>, Failed>>,
    pub repository: Option<Result<Layout, Trouble>>,
    /// The newest archive of each job, and how many archives cannot be read.
    pub archives: Option<Result<(Vec<Newest>, usize), Trouble>>,
    pub pulled: Option<Result<Pulled, Trouble>>,
    pub writing: Option<Result<Writing, Trouble>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// What proves it: a file, the agent.
    pub proof: String,
    pub jumps: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub stage: Stage,
    pub trouble: Trouble,
    /// What neighbours said, where there was no route.
    pub neighbours: Option<Neighbours>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    pub job: JobName,
    pub archive: ArchiveName,
    /// When it was finished, by the Pi's clock.
    pub finished: Timestamp,
    /// Whether everything is in it that should be.
    pub complete: bool,
}

/// A test pull, as far as it came in the time that there was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pulled {
    pub archive: ArchiveName,
    /// Bytes that were unpacked and checked.
    pub raw: u64,
    /// Bytes that came over the network.
    pub bytes: u64,
    pub seconds: f64,
}

pub(crate) async fn probe(config: &Config, pi: &Pi) -> Facts {
    let mut facts = Facts::default();
    let asked = within("ask ssh for the way", places::target(config, pi)).await;
    let Some(target) = noted(asked, &mut facts.way, way) else { return facts };
    let Some(store) = noted(connect(patient(target)).await, &mut facts.connected, SftpStore::address) else { return facts };
    let there = Path::from("repository.json");
    // A name that nobody would give to anything.
    let absent = Path::from("offsite-doctor-probe.absent");
    facts.writing = Some(within("try the rights", store.writing(&there, &absent)).await);
    let opened = within("open the repository", Repository::open(Arc::new(store))).await;
    let Some(repository) = noted(opened, &mut facts.repository, Repository::layout) else { return facts };
    let listed = within("list the archives", repository.archives()).await;
    let listed = listed.map(|archives| (newest(&archives.good), archives.unreadable.len()));
    let Some((newest, _)) = noted(listed, &mut facts.archives, Clone::clone) else { return facts };
    if let Some(latest) = newest.iter().max_by_key(|newest| newest.archive.time()) {
        facts.pulled = Some(pull(&repository, &latest.archive, Duration::from_secs(PATIENCE)).await);
    }
    facts
}

/// A doctor waits seconds where a night waits minutes.
fn patient(mut target: Target) -> Target {
    let patience = Duration::from_secs(PATIENCE);
    // A request stays as patient as a night's: on a slow line it waits for those before it, and all of them together are bounded here.
    target.timeouts = Timeouts { connect: patience, ..target.timeouts };
    target.retry = Retry { tries: 0, ..target.retry };
    // `limit:` is for nights. Here it would only make a line look slow.
    target.limit = None;
    target
}

async fn connect(target: Target) -> Result<SftpStore, Failed> {
    // Its own steps are bounded each; all together they are, too.
    let error = match tokio::time::timeout(Duration::from_secs(2 * PATIENCE), SftpStore::connect(&target)).await {
        Ok(Ok(store)) => return Ok(store),
        Ok(Err(error)) => error,
        Err(_) => {
            let (host, port, after) = (target.host.clone(), target.port, Duration::from_secs(2 * PATIENCE));
            SftpError::ConnectTimeout { step: "connect", host, port, after }
        }
    };
    let neighbours = match &error {
        SftpError::NoRoute { host, source, .. } if source.kind() != ErrorKind::NetworkUnreachable => match address(host, &target).await {
            Some(address) => Some(route::ask(address).await),
            None => Some(Neighbours::Unknown),
        },
        _ => None,
    };
    Err(Failed { stage: stage(&error), trouble: Trouble::of(error), neighbours })
}

/// The address that a host has, or had the last time.
async fn address(host: &str, target: &Target) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let looked_up = tokio::net::lookup_host((host, target.port)).await;
    let found = looked_up.ok().and_then(|mut found| found.find(|address| address.is_ipv4()).map(|address| address.ip()));
    found.or_else(|| target.addresses.first().copied())
}

fn way(target: &Target) -> Way {
    let proof = match &target.auth {
        Auth::KeyFile { path, .. } => format!("key {}", path.display()),
        Auth::Ssh { files, agent, .. } => {
            let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            let agent = if agent.is_some() { " or the ssh agent" } else { "" };
            if files.is_empty() { format!("no key of its own{agent}") } else { format!("key {files}{agent}") }
        }
        _ => "the ssh agent".to_owned(),
    };
    Way { host: target.host.clone(), port: target.port, user: target.user.clone(), proof, jumps: target.jumps.len() }
}

fn newest(archives: &[ArchiveInfo]) -> Vec<Newest> {
    let mut jobs = std::collections::BTreeMap::<JobName, &ArchiveInfo>::new();
    for info in archives {
        let newest = jobs.entry(info.name.job.clone()).or_insert(info);
        if info.sequence > newest.sequence {
            *newest = info;
        }
    }
    let facts = |(job, info): (JobName, &ArchiveInfo)| Newest {
        job,
        archive: info.name.clone(),
        finished: info.end.finished,
        complete: info.end.complete,
    };
    jobs.into_iter().map(facts).collect()
}

/// Fetches the beginning of an archive, inflates and hashes it, and throws it away, for as long as `patience` lasts: a slow line is no fault.
async fn pull(repository: &Repository, archive: &ArchiveName, patience: Duration) -> Result<Pulled, Trouble> {
    let began = Instant::now();
    let mut pulled = Pulled { archive: archive.clone(), raw: 0, bytes: 0, seconds: 0.0 };
    let ended = tokio::time::timeout(patience, read(repository, archive, &mut pulled)).await;
    pulled.seconds = began.elapsed().as_secs_f64();
    match ended {
        Ok(Err(trouble)) => Err(trouble),
        Ok(Ok(())) | Err(_) => Ok(pulled),
    }
}

/// The first frame alone, because frames that come side by side on a slow line all come late; then those up to [`PULL`].
async fn read(repository: &Repository, archive: &ArchiveName, pulled: &mut Pulled) -> Result<(), Trouble> {
    let manifest = repository.manifest(archive).await.map_err(Trouble::of)?.manifest;
    let mut at = 0;
    let within = manifest.frames.iter().take_while(|frame| {
        let begins = at;
        at += u64::from(frame.raw);
        begins < PULL
    });
    let frames: Vec<FrameRef> = within.cloned().collect();
    let (first, rest) = frames.split_at(frames.len().min(1));
    frames_of(repository, &manifest, first, pulled).await?;
    frames_of(repository, &manifest, rest, pulled).await
}

/// Fetches `frames`, which begin where `pulled` ends, and counts each as soon as it is checked.
async fn frames_of(repository: &Repository, manifest: &Manifest, frames: &[FrameRef], pulled: &mut Pulled) -> Result<(), Trouble> {
    let raw: u64 = frames.iter().map(|frame| u64::from(frame.raw)).sum();
    let mut came = frames.iter();
    #[expect(clippy::single_range_in_vec_init, reason = "one range of the stream")]
    let ranges = [pulled.raw..pulled.raw + raw];
    let mut sink = |bytes: &[u8]| {
        pulled.raw += bytes.len() as u64;
        pulled.bytes += came.next().map_or(0, |frame| u64::from(frame.len));
        Ok(())
    };
    let read: Result<(), StreamError> = read_ranges(repository, manifest, &ranges, &mut sink).await;
    read.map_err(Trouble::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doctor_is_bounded_by_its_own_patience_and_by_no_limit_of_the_nights() {
        let auth = Auth::KeyFile { path: "/k".into(), passphrase: None };
        let mut target = Target::new("pi", "offsite", "/srv", "/known_hosts".into(), auth);
        let request = target.timeouts.request;
        target.limit = std::num::NonZeroU64::new(200_000);
        let target = patient(target);
        assert_eq!((target.limit, target.timeouts.request, target.timeouts.connect), (None, request, Duration::from_secs(PATIENCE)));
    }
}
