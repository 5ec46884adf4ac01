//! One run of one job: quiesce, archive, resume, publish, keep.
//!
//! Invariants: services are away only while sources are read, and are brought back on every way out; an archive that could not be
//! finished leaves nothing; older archives go only after the new one is published. All the rest of the run (writing the archive,
//! publishing, keeping) happens while the services are up again.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::Duration,
};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, CaptureError, CaptureOptions, Chunker, FrameId, Head, JobName, PathText, Progress, RunFacts};
use offsite_repository::is_disk_full;

use crate::{
    away::{Back, Window},
    budget,
    cancel::Cancel,
    clock::settle,
    comeback::died,
    config::{Config, Job, Quiesce},
    engine::{Docker, Engine},
    error::RunError,
    groups,
    health::{Curl, Probe},
    journal::{self, Event, Record},
    ledger::Ledger,
    lock::Lock,
    passes::{Passes, Planned, Written},
    place::Place,
    quiesce::{self, NotBack, Prepared, QuiesceError},
    resume::{ResumeError, insist, leftovers},
    snapshot::{self, Btrfs},
    sources::{check_sources, empty, remember},
    stock,
};

mod made;

pub use made::Made;

/// What a caller brings to a run.
pub struct RunOptions<'a> {
    /// Whether to wait for another agent to end, instead of being refused.
    pub wait: bool,
    /// Whether to read everything, whatever is known of it.
    pub full: bool,
    /// The wish to stop.
    pub cancel: Cancel,
    /// What time it is.
    pub clock: &'a dyn Fn() -> Timestamp,
    /// Told while sources are read.
    pub progress: &'a mut dyn FnMut(Progress<'_>),
}

impl<'a> RunOptions<'a> {
    /// A run that waits for its turn, reads what it must, and is not to be stopped.
    pub fn new(clock: &'a dyn Fn() -> Timestamp, progress: &'a mut dyn FnMut(Progress<'_>)) -> Self {
        Self { wait: true, full: false, cancel: Cancel::default(), clock, progress }
    }
}

/// Runs the job `name` of `config` once, and writes down in the journal what became of it.
///
/// Errors: there is no archive of this run, unless the error is about what follows publishing. Services run as before unless it is
/// [`RunError::NotBack`], or [`Made::owed`] says so.
pub fn run(config: &Config, name: &JobName, options: RunOptions<'_>) -> Result<Made, RunError> {
    with(config, name, options, Vec::new())
}

/// As [`run`]; but right after a boot it first waits until the services are up and the clock is right, or the machine has been up for 15
/// minutes. What is not then becomes a warning in the manifest.
///
/// Errors: as [`run`].
pub fn run_after_boot(config: &Config, name: &JobName, options: RunOptions<'_>) -> Result<Made, RunError> {
    let known = settle(config, name, &options.cancel);
    with(config, name, options, known)
}

/// A run whose manifest holds the warnings `known` too.
fn with(config: &Config, name: &JobName, options: RunOptions<'_>, known: Vec<String>) -> Result<Made, RunError> {
    let Some(job) = config.jobs.get(name) else {
        let known = config.jobs.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(RunError::UnknownJob { job: name.clone(), path: config.path.clone(), known });
    };
    let purpose = format!("run of {name}");
    let lock =
        if options.wait { Lock::wait(&config.state, &purpose, &options.cancel) } else { Lock::take(&config.state, &purpose, false) }?;
    let clock = options.clock;
    let engine = Docker::new(&config.docker, Some(&lock)).patient(config.docker_patience);
    let run = Run {
        config,
        name,
        job,
        lock: &lock,
        engine: &engine,
        probe: &Curl,
        margin: None,
        known,
        told: RefCell::default(),
        owed: RefCell::default(),
    };
    if let Err(error) = journal::append(&config.state, &Record { time: clock(), job: name.clone(), event: Event::Began }) {
        // Only who looks after a kill needs it: it must not cost the night.
        run.told.borrow_mut().push(crate::human::chain(&error));
    }
    let result = run.all(options);
    let event = match &result {
        Ok(made) => made.event(),
        Err(error) => {
            let notes = run.told.take();
            notes.iter().for_each(|told| tracing::warn!("{told}"));
            Event::Failed { error: crate::human::chain(error), notes }
        }
    };
    match (journal::append(&config.state, &Record { time: clock(), job: name.clone(), event }), result) {
        (Ok(()), result) => result,
        (Err(source), result) => Err(RunError::Journal { source, after: result.err().map(Box::new) }),
    }
}

struct Run<'a> {
    config: &'a Config,
    name: &'a JobName,
    job: &'a Job,
    lock: &'a Lock,
    engine: &'a dyn Engine,
    probe: &'a dyn Probe,
    /// How much of the budget is kept for starting; what the journal says where `None`.
    margin: Option<Duration>,
    /// Warnings for the manifest that were known before.
    known: Vec<String>,
    /// What was found out about the repository, for the case that there will be no manifest to say it.
    told: RefCell<Vec<String>>,
    /// What did not come back, of this run or of an earlier one.
    owed: RefCell<Option<String>>,
}

impl Run<'_> {
    /// The run, beside a ledger that an earlier one may have left. What cannot be brought back must not end the nights: nothing more is
    /// stopped, whatever hinders it might hinder others, and what lies there is archived while it is tried again.
    fn all(&self, options: RunOptions<'_>) -> Result<Made, RunError> {
        let error = match leftovers(&self.config.state, self.lock) {
            Ok(_) => return self.run(options, false),
            Err(error @ (ResumeError::NotBack(_) | ResumeError::Ledger(_))) => error,
            Err(error) => return Err(RunError::Leftovers(error)),
        };
        let said = format!("an earlier run's services are not back, so nothing was stopped: {}", crate::human::chain(&error));
        tracing::warn!("{said}");
        let job = Job { quiesce: Quiesce::None, ..self.job.clone() };
        let (mut known, mut owed) = (self.known.clone(), None);
        // A job that never stops anything does what it always does.
        if self.job.quiesce == Quiesce::None {
            known.push(said);
        } else {
            owed = Some(said);
        }
        let (name, told) = (self.name, RefCell::new(self.told.take()));
        let run = Run { job: &job, known, name, told, owed: owed.into(), ..*self };
        let made = run.run(options, true);
        self.told.replace(run.told.take());
        made
    }

    /// The run; it tries again to bring services back where some are `away` already, or do not come back on the way.
    fn run(&self, options: RunOptions<'_>, away: bool) -> Result<Made, RunError> {
        let (state, lock) = (self.config.state.as_path(), self.lock);
        let made = std::thread::scope(|scope| {
            // Closed on every way out of the scope.
            let (_running, over) = mpsc::channel();
            let over = Cell::new(Some(over));
            let pay = || {
                if let Some(over) = over.take()
                    && let Err(source) = std::thread::Builder::new().spawn_scoped(scope, move || insist(state, lock, &over))
                {
                    self.told.borrow_mut().push(format!("nobody tries to bring services back until this run is over: {source}"));
                }
            };
            if away {
                pay();
            }
            // A night that ends in a defect of ours is told like any other.
            catch_unwind(AssertUnwindSafe(|| self.begin(options, &pay)))
                .unwrap_or_else(|panic| Err(RunError::Defect(crate::human::defect(&*panic))))
        });
        let Some(owed) = self.owed.take().filter(|_| !matches!(Ledger::read(state), Ok(None))) else { return made };
        match made {
            Ok(made) => Ok(Made { owed: true, ..made }),
            Err(after) => Err(RunError::NotBack { owed, after: Box::new(after) }),
        }
    }

    fn begin(&self, options: RunOptions<'_>, pay: &dyn Fn()) -> Result<Made, RunError> {
        check_sources(self.config, self.name, self.job).into_iter().try_for_each(Err::<(), _>)?;
        let started = (options.clock)();
        let mut place = Place::open(self.config)?;
        let made = self.make(&mut place, started, options, pay);
        if let Err(error) = &made
            && (is_disk_full(error) || matches!(error, RunError::Room { .. }))
        {
            // What this run wrote would help the next one, and leaves it no room. Otherwise a full disk would stay full.
            self.told.borrow_mut().extend(place.give_back());
        }
        made
    }

    /// The run in an open repository.
    fn make(&self, place: &mut Place, started: Timestamp, options: RunOptions<'_>, pay: &dyn Fn()) -> Result<Made, RunError> {
        let RunOptions { cancel, clock, progress, full, .. } = options;
        let (config, job) = (self.config, self.job);
        let (archive, sequence) = place.next(self.name, &config.state, started)?;
        remember(config, self.name, job)?;
        let head = self.head(&archive, sequence);

        if !job.health.urls.is_empty() {
            // Found out only afterwards, this would have cost a downtime for an archive that counts for nothing.
            self.probe.ready(job.health.ca.as_deref()).map_err(QuiesceError::Unasked)?;
        }
        let (engine, probe, name) = (self.engine, self.probe, self.name);
        let plan = || {
            check_sources(config, name, job).into_iter().try_for_each(Err::<(), _>)?;
            let prepared = match job.quiesce {
                Quiesce::Down | Quiesce::Stop => quiesce::prepare(engine, config, name, job)?,
                Quiesce::None => Prepared::default(),
            };
            let (steps, together) = groups::steps(job, &prepared.containers, &prepared.projects, &quiesce::real);
            let empty = empty(config, name, job)?;
            Ok(Planned { steps, projects: prepared.projects, warnings: [empty, prepared.warnings, together].concat() })
        };
        let records = journal::read(&config.state)?;
        let margin = self.margin.unwrap_or_else(|| budget::margin(&records, self.name, job.budget));
        // `--full` begins without what is known; once a week everything is read as well, and held against what is known.
        let audit = journal::full_is_due(&records, name, started);
        let clean = place.look(full || audit, &cancel, &mut self.told.borrow_mut())?;
        let owed = |not_back: &NotBack| {
            self.owed.replace(Some(not_back.to_string()));
            // What is still to be done may take long.
            pay();
        };
        let window = Window { engine, probe, config, name, job, started, clock, cancel: &cancel, margin, owed: &owed };
        let options = CaptureOptions { stop: cancel.flag(), ..CaptureOptions::default() };
        let snapshots = Btrfs::new(Some(self.lock));
        let left = snapshot::leftovers(&snapshots, &config.state);
        let passes = Passes { place, head: &head, options, full: audit, clock, window: &window, plan: &plan, snapshots: &snapshots };

        let mut known = [left, self.known.clone(), self.told.borrow().clone()].concat();
        let epoch = stock::epoch();
        let (at_hand, warnings) = stock::open(place, &config.state, name, full, started)?;
        known.extend(warnings);
        let facts = |back: &Back, known: Vec<String>| self.facts(clock(), back, known);
        let written = match passes.write(at_hand, progress, &|back, warnings| facts(back, [&known[..], &warnings].concat())) {
            // Nothing is stopped a second time where something is not back from the first.
            Err(RunError::Capture(error @ CaptureError::Damaged { .. })) if self.owed.borrow().is_none() => {
                // The disk gives back other bytes than it was given. Nothing of that archive is used, at the price of a second downtime.
                if let Err(forgotten) = stock::forget(&config.state, name) {
                    // This run replaces it in any case, and its archive must not fail for that.
                    known.push(crate::human::chain(&forgotten));
                }
                known.push(format!(
                    "{error}: what this disk gives back is damaged, so everything was read and made anew, in a second downtime"
                ));
                let nothing = place.stock()?;
                passes.write(nothing, progress, &|back, warnings| facts(back, [&known[..], &warnings].concat()))?
            }
            written => written?,
        };
        let Written { captured, back, projects } = written;
        let (end, cache, read, fresh) = (captured.end, captured.cache, captured.read, captured.fresh);
        let manifest = FrameId::of(&captured.manifest);
        let bytes = place.publish(captured.out, &archive, captured.manifest)?;
        // The archive is there: that the next run has to read everything must not cost this one its retention.
        let mut notes: Vec<String> = match stock::save(&config.state, name, epoch.as_deref(), |file| cache.write_to(file)) {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!("{}: the next run reads everything", crate::human::chain(&error))],
        };
        // Prune needs as much again.
        drop(cache);
        notes.extend(place.remember(&config.state, manifest, &head, &end));
        let (kept, forgotten) = place.keep(&archive, sequence, &end, job.keep)?;
        notes.extend(place.prune());
        // What never came back did not end.
        let died = if back.owed { Vec::new() } else { died(engine, &projects) };
        let degraded = self.counts_for_less(&back).or(back.over);
        let (unhealthy, starting) = (back.unhealthy, back.starting);
        Ok(Made {
            archive,
            sequence,
            end,
            bytes,
            read,
            fresh,
            kept,
            forgotten,
            died,
            degraded,
            unhealthy,
            starting,
            owed: false,
            notes,
            // What was not read through, or is still in the way, is read again by the next run.
            full: (full || audit) && clean,
        })
    }

    /// What stands in the manifest about a run whose services came back so.
    fn facts(&self, finished: Timestamp, back: &Back, known: Vec<String>) -> RunFacts {
        let less = self.counts_for_less(back);
        let complete = less.is_none();
        let more = back.over.iter().cloned().chain(less);
        RunFacts {
            finished,
            quiesced: back.quiesced.clone(),
            warnings: known.into_iter().chain(back.warnings.iter().cloned()).chain(more).collect(),
            complete,
        }
    }

    /// Why an archive replaces no good one, if it does not.
    fn counts_for_less(&self, back: &Back) -> Option<String> {
        let owed = self
            .owed
            .borrow()
            .as_ref()
            .map(|owed| format!("this archive replaces no good one: {}", owed.split_whitespace().collect::<Vec<_>>().join(" ")));
        [back.late.clone(), owed, not_well(&back.unhealthy)].into_iter().flatten().reduce(|one, other| format!("{one}; {other}"))
    }

    fn head(&self, archive: &ArchiveName, sequence: u64) -> Head {
        use std::os::unix::ffi::OsStrExt;
        let sources = self.job.sources.iter().map(|source| PathText(source.as_os_str().as_bytes().to_vec())).collect();
        Head {
            version: offsite_archive::MANIFEST_VERSION,
            archive: archive.clone(),
            sequence,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            agent: env!("CARGO_PKG_VERSION").into(),
            sources,
            chunker: Chunker::files_1(),
        }
    }
}

/// Nobody knows whether the data can be started from.
fn not_well(unhealthy: &[String]) -> Option<String> {
    (!unhealthy.is_empty())
        .then(|| format!("services came back and are not well, so this archive replaces no good one: {}", unhealthy.join("; ")))
}

#[cfg(test)]
mod tests;
