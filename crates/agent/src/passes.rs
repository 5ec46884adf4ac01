//! How the archive of a run is read and written: in two passes around the downtime, or in one where nothing is stopped.
//!
//! Invariants: services are away for the cold pass only; it begins on a stock that is sound, or reads everything; and nothing of the
//! archive is written before they are back. Sources that a snapshot can show are read from it when services are back. The argument is in `docs/two-passes.md`.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{Capture, CaptureError, CaptureOptions, Captured, ColdPass, Head, HotPass, Part, Progress, RunFacts, Stock};

use crate::{
    away::{Back, Window},
    config::Snapshot,
    error::RunError,
    groups::Group,
    ledger::Project,
    place::{Out, Place},
    polite::Polite,
    snapshot::{Held, Snapshots},
    sources::Root,
    stock,
};

/// A clock that moved by more than this between the passes was set.
const SET: SignedDuration = SignedDuration::from_secs(60);

/// An archive that is written, not yet published.
pub(crate) struct Written {
    pub captured: Captured<Out>,
    pub back: Back,
    /// What was away for it.
    pub projects: Vec<Project>,
}

/// What is stopped and read, as it was at one moment.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub steps: Vec<Group>,
    /// All that is stopped in these steps.
    pub projects: Vec<Project>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Planned {
    fn roots(&self) -> impl Iterator<Item = &Root> {
        self.steps.iter().flat_map(|step| &step.roots)
    }

    /// How many times services go away.
    fn downtimes(&self) -> usize {
        self.steps.iter().filter(|step| !step.projects.is_empty()).count()
    }
}

/// What writing an archive needs.
pub(crate) struct Passes<'a> {
    pub place: &'a Place,
    pub head: &'a Head,
    pub options: CaptureOptions,
    /// Whether what need not be read is read and compared all the same.
    pub full: bool,
    pub clock: &'a dyn Fn() -> Timestamp,
    pub window: &'a Window<'a>,
    /// Looks at what runs now. Asked again after the hot pass, which may take hours: what somebody stops meanwhile stays stopped.
    pub plan: &'a dyn Fn() -> Result<Planned, RunError>,
    pub snapshots: &'a dyn Snapshots,
}

impl Passes<'_> {
    /// Reads and writes. `facts` says what stands in the manifest about services that came back so, besides these warnings.
    ///
    /// Errors: there is no archive; services are as [`Window::each`] says.
    pub(crate) fn write(
        &self,
        stock: Stock,
        progress: &mut dyn FnMut(Progress<'_>),
        facts: &dyn Fn(&Back, Vec<String>) -> RunFacts,
    ) -> Result<Written, RunError> {
        let planned = (self.plan)()?;
        let (held, warnings) = self.prepare_snapshots(&planned);
        let offered = planned.roots().any(|root| held.offers(&root.path));
        if offered || planned.downtimes() > 0 {
            self.in_two(stock, &planned, held, warnings, progress, facts)
        } else {
            self.in_one(stock, planned, &held, warnings, progress, facts)
        }
    }

    fn prepare_snapshots(&self, planned: &Planned) -> (Held<'_>, Vec<String>) {
        let wanted = if self.window.job.snapshot == Snapshot::Auto { self.window.job.sources.as_slice() } else { &[] };
        let apart = !wanted.is_empty() && planned.downtimes() > 1;
        let wanted = if apart { &[] } else { wanted };
        let (held, mut warnings) = Held::prepare(self.snapshots, &self.window.config.state, &self.head.archive, wanted);
        if apart {
            warnings.push("a snapshot shows one moment, and projects are stopped one after the other: sources are read without one".into());
        }
        (held, warnings)
    }

    fn in_two<'s>(
        &'s self,
        stock: Stock,
        before: &Planned,
        mut held: Held<'s>,
        mut warnings: Vec<String>,
        progress: &mut dyn FnMut(Progress<'_>),
        facts: &dyn Fn(&Back, Vec<String>) -> RunFacts,
    ) -> Result<Written, RunError> {
        let (began, epoch) = ((Instant::now(), (self.clock)()), stock::epoch());
        let (mut stock, wrong) = self.hot(stock, before, &held, true, progress)?;
        if !wrong.is_empty() {
            // Nothing is known by file times now. Once more while services run, or the cold pass would have to read everything.
            warnings.extend(wrong);
            stock = self.hot(stock, before, &held, false, progress)?.0;
        }
        if epoch != stock::epoch() {
            warnings.push("a disk was plugged in while files were read, so all of them were read again".into());
            stock.forget_pieces();
        }
        if let Some(moved) = moved(began, (Instant::now(), (self.clock)())) {
            warnings.push(format!("the clock was set by {moved:#} while files were read, so all of them were read again"));
            stock.forget_pieces();
        }
        let planned = (self.plan)()?;
        // Not for a night that cannot end.
        self.place.room(&stock)?;
        warnings.splice(..0, planned.warnings.iter().cloned());
        if planned.downtimes() > 1 && before.downtimes() <= 1 {
            // Another project was started meanwhile: one snapshot cannot show both as they are when they are away.
            warnings.extend(held.release());
            let (without, told) = self.prepare_snapshots(&planned);
            held = without;
            warnings.extend(told);
        }
        let mut pass = ColdPass::new(stock, self.head, &self.options).map_err(failed)?;
        // Snapshots are taken in the only downtime; where there is none, at once.
        let moment = planned.steps.iter().position(|step| !step.projects.is_empty()).unwrap_or(0);
        let (mut step, mut later) = (0, Vec::<Root>::new());
        let back = self.window.each(&planned.steps, |_late, roots| {
            let (offered, mut now): (Vec<Root>, Vec<Root>) = roots.iter().cloned().partition(|root| held.offers(&root.path));
            later.extend(offered);
            if step == moment {
                warnings.extend(held.take());
                // Where it failed after all, there is still the folder itself, and services are away.
                now.extend(later.extract_if(.., |root| held.at(&root.path).is_none()));
            }
            if step > 0 {
                pass.next_moment();
            }
            step += 1;
            now.iter().try_for_each(|root| pass.part(&part(root, &held), progress)).map_err(failed)
        })?;
        later.iter().try_for_each(|root| pass.part(&part(root, &held), progress)).map_err(failed)?;
        warnings.extend(held.release());
        let facts = facts(&back, warnings);
        let recorded = pass.finish().map_err(failed)?;
        Ok(Written { captured: recorded.assemble(self.place.out()?, facts).map_err(failed)?, back, projects: planned.projects })
    }

    /// Everything into the stock, while services run.
    fn hot(
        &self,
        stock: Stock,
        planned: &Planned,
        held: &Held<'_>,
        audited: bool,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Stock, Vec<String>), RunError> {
        tracing::info!("reading while services run");
        let polite = Polite::begin();
        let options = CaptureOptions { audit: audited && self.full, ..self.options.clone() };
        let mut pass = HotPass::new(stock, &options, self.clock).map_err(failed)?;
        for step in &planned.steps {
            // As the cold pass will read them.
            pass.next_moment();
            step.roots.iter().try_for_each(|root| pass.part(&Part { at: None, ..part(root, held) }, progress)).map_err(failed)?;
        }
        let filled = pass.finish().map_err(failed)?;
        drop(polite);
        Ok(filled)
    }

    fn in_one(
        &self,
        stock: Stock,
        planned: Planned,
        held: &Held<'_>,
        mut warnings: Vec<String>,
        progress: &mut dyn FnMut(Progress<'_>),
        facts: &dyn Fn(&Back, Vec<String>) -> RunFacts,
    ) -> Result<Written, RunError> {
        self.place.room_unread(&self.head.archive.job, planned.roots())?;
        let options = CaptureOptions { audit: self.full, ..self.options.clone() };
        let mut pass = Capture::new(self.place.out()?, self.head.clone(), &options, stock, Some(self.clock)).map_err(failed)?;
        warnings.splice(..0, planned.warnings);
        let back = self.window.each(&planned.steps, |_late, roots| {
            roots.iter().try_for_each(|root| pass.part(&part(root, held), progress)).map_err(failed)
        })?;
        let facts = facts(&back, warnings);
        Ok(Written { captured: pass.finish(facts).map_err(failed)?, back, projects: planned.projects })
    }
}

/// How far the clock was set between two moments, if it was.
fn moved(from: (Instant, Timestamp), to: (Instant, Timestamp)) -> Option<SignedDuration> {
    let real = SignedDuration::try_from(to.0.saturating_duration_since(from.0)).unwrap_or(SignedDuration::MAX);
    let drift = to.1.duration_since(from.1).saturating_sub(real);
    (drift.abs() > SET).then(|| drift.round(jiff::Unit::Second).unwrap_or(drift))
}

fn part(root: &Root, held: &Held<'_>) -> Part {
    let exclude = root.exclude.iter().cloned().chain(held.exclude(&root.path)).collect();
    Part { source: root.source.clone(), path: root.path.clone(), at: held.at(&root.path), exclude }
}

fn failed(error: CaptureError) -> RunError {
    if matches!(error, CaptureError::Stopped) { RunError::Stopped } else { RunError::Capture(error) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let (began, second) = (Instant::now(), |second| Timestamp::from_second(second).unwrap());
        let hour = Duration::from_secs(3600);
        let between = |after: i64| moved((began, second(1000)), (began + hour, second(1000 + after)));
        assert_eq!([between(3600), between(3590), between(3659)], [None; 3]);
        assert_eq!(between(0), Some(SignedDuration::from_hours(-1)));
        assert_eq!(between(7200), Some(SignedDuration::from_hours(1)));
    }
}
