//! One start of the daemon: from what is owed to its end, or to the reason why not now.
//!
//! Everything is read again before it is acted on: after each pause, after the lock was taken, after a sleep. The lock on the state folder is held
//! while a night is played and never while something is waited for or told, so that a person's `offsite sync` is not refused by a daemon that
//! sits in a hotel. That only one daemon waits is seen to by a lock of its own.
//!
//! Whatever a start ends with, the owner is told first: an error that ends it (a configuration that does not hold, a full disk) ends the next
//! one, too, and often leaves no receipt. And an offsite that is at work, or hangs, keeps nobody from hearing of what is overdue.

use std::time::Duration;

use futures::future;
use jiff::Timestamp;

use super::{
    plan::{self, Before, Heard, Known, Step},
    probe::Answer,
    world::World,
};
use crate::{
    config::Config,
    journal::{Fact, Outcome, Receipt, Standing, Waiting},
    lock::{Lock, LockError},
    night::Tonight,
    notify,
    owed::{Owed, Schedule, owed},
    state::State,
};

/// A wake is noticed at most this much later.
const SLICE: Duration = Duration::from_secs(10);

/// How a start of the daemon ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is owed.
    Nothing,
    /// What is owed failed not long ago, and is tried again then.
    Later(Timestamp),
    /// What is owed waits.
    Waits(Waiting),
    /// Another offsite is at it.
    Busy,
    /// A night was played.
    Ran(Outcome),
}

/// What one start remembers.
struct Watch<'w, W> {
    world: &'w W,
    config: Config,
    state: State,
    /// Since when it waits, and how often it asked.
    since: Duration,
    asked: u32,
    /// Whether a run broke because this computer slept in it. It is played once more at once; after that it is the next start's.
    slept: bool,
    /// How the run ended that ended with an error, and so was not told of yet.
    ran: Option<Outcome>,
}

/// Does what is owed, or says why not. May be dropped at any point, as it may be killed.
///
/// # Errors
/// If the configuration, the state folder or the journal cannot be used, or a night could not be begun.
pub async fn watch<W: World>(world: &W) -> anyhow::Result<Ended> {
    let config = match world.config() {
        Ok(config) => config,
        Err(error) => {
            if let Some(last) = world.last_config() {
                notify::ended(&world.post(), &last, None, Some(&error)).await;
            }
            return Err(error);
        }
    };
    let state = State::at(&config.state);
    let mut watch = Watch { world, config, state, since: world.clocks().uptime, asked: 0, slept: false, ran: None };
    let ended = watch.start().await;
    if let Err(error) = &ended {
        notify::ended(&world.post(), &watch.config, watch.ran, Some(error)).await;
    }
    ended
}

impl<W: World> Watch<'_, W> {
    /// All of it but the telling of why it broke.
    async fn start(&mut self) -> anyhow::Result<Ended> {
        self.state = State::open(&self.config.state)?;
        if self.owed()?.is_none() {
            self.look_if_due().await;
            return Ok(Ended::Nothing);
        }
        let _only = match Lock::take(&self.state.daemon_lock(), "daemon", self.world.clocks().wall) {
            Ok(lock) => lock,
            Err(LockError::Busy { .. }) => {
                self.look_if_due().await;
                return Ok(Ended::Busy);
            }
            Err(error) => return Err(error.into()),
        };
        loop {
            if let Some(ended) = self.turn().await? {
                return Ok(ended);
            }
        }
    }

    /// One turn: ask, decide, act; `None`: once more.
    async fn turn(&mut self) -> anyhow::Result<Option<Ended>> {
        self.config = self.world.config()?;
        self.state = State::open(&self.config.state)?;
        match self.known().await?.before() {
            Before::Done => return Ok(Some(Ended::Nothing)),
            Before::Later(at) => {
                self.look().await;
                return Ok(Some(Ended::Later(at)));
            }
            Before::Postpone(why) => return self.postpone(why).await.map(Some),
            Before::Ask => {}
        }
        let clocks = self.world.clocks();
        let heard = self.ask().await;
        if clocks.slept_until(self.world.clocks()) {
            self.wake();
            return Ok(None);
        }
        // Decided under the lock, from what is true under it: a sync may have settled it, or be at it.
        let lock = match self.state.lock("daemon", self.world.clocks().wall) {
            Ok(lock) => lock,
            Err(LockError::Busy { .. }) if self.waited() >= heard.wait => {
                // Or it hangs; what is overdue is no less so.
                self.look().await;
                return Ok(Some(Ended::Busy));
            }
            Err(LockError::Busy { .. }) => {
                self.pause().await;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let known = self.known().await?;
        if known.before() != Before::Ask {
            return Ok(None);
        }
        match known.step(&heard) {
            Step::Run(tonight) => self.run(lock, &tonight).await,
            Step::Pause => {
                drop(lock);
                self.pause().await;
                Ok(None)
            }
            Step::Postpone(why) => {
                drop(lock);
                self.postpone(why).await.map(Some)
            }
        }
    }

    async fn run(&mut self, lock: Lock, tonight: &Tonight) -> anyhow::Result<Option<Ended>> {
        // Without a Pi it is half a night, which nobody should wait for the end of.
        if !self.slept && tonight.lacking().is_empty() {
            notify::begun(&self.world.post(), &self.config).await;
        }
        let played = self.world.play(&self.config, tonight).await;
        if played.is_err() {
            self.ran = Some(Outcome::Failed);
        }
        let tried = self.standing()?.tried;
        let broke = tried.as_ref().is_some_and(|tried| tried.slept) && !matches!(played, Ok(Outcome::Fine));
        if broke && !self.slept {
            // The network was gone when this computer woke in the middle of it; that is nobody's failure, and the rest is done now.
            tracing::info!("slept in the middle of a run: once more");
            self.slept = true;
            drop(lock);
            self.wake();
            return Ok(None);
        }
        // A night that lacks but a Pi, or was slept through, is not over: nothing to boast of, and nothing to complain about.
        let only_away = tried.is_some_and(|tried| tried.failed == 0 && !tried.slept) && matches!(played, Ok(Outcome::Incomplete));
        drop(lock);
        let ran = played?;
        notify::ended(&self.world.post(), &self.config, (!only_away && !broke).then_some(ran), None).await;
        // Those that are away are waited for, by what is left of the time.
        Ok((!only_away).then_some(Ended::Ran(ran)))
    }

    /// Notes why nothing is done, unless that is known, and ends.
    async fn postpone(&self, why: Waiting) -> anyhow::Result<Ended> {
        let (standing, owed) = (self.standing()?, self.owed()?.map(|owed| owed.id));
        let known = standing.waiting.is_some_and(|waited| waited.why.same(&why) && waited.owed == owed);
        if !known {
            let fact = Fact::Waited { owed, why: why.clone() };
            self.state.journal().append(&Receipt { time: self.world.clocks().wall, fact })?;
        }
        self.look().await;
        Ok(Ended::Waits(why))
    }

    /// Looks for alarms that began by time.
    async fn look(&self) {
        notify::ended(&self.world.post(), &self.config, None, None).await;
    }

    /// Looks, if somebody may have something new to hear.
    async fn look_if_due(&self) {
        if notify::look_due(&self.state, self.world.clocks().wall) {
            self.look().await;
        }
    }

    /// Waits for the next question, and begins anew if this computer slept meanwhile.
    async fn pause(&mut self) {
        let mut left = plan::pause(self.asked);
        self.asked = self.asked.saturating_add(1);
        while !left.is_zero() {
            let (slice, clocks) = (left.min(SLICE), self.world.clocks());
            self.world.pause(slice).await;
            left -= slice;
            if clocks.slept_until(self.world.clocks()) {
                return self.wake();
            }
        }
    }

    /// After a sleep nothing is as it was, and the network comes back in a moment.
    fn wake(&mut self) {
        (self.since, self.asked) = (self.world.clocks().uptime, 0);
    }

    fn waited(&self) -> Duration {
        self.world.clocks().uptime.saturating_sub(self.since)
    }

    /// Asks all Pis at once.
    async fn ask(&self) -> Heard {
        let asked = self.config.pis.iter().map(|pi| async { (self.world.answers(&self.config, pi).await, pi.name.clone()) });
        let heard = future::join_all(asked).await;
        let those = |wanted| heard.iter().filter(|(answer, _)| *answer == wanted).map(|(_, pi)| pi.clone()).collect();
        Heard {
            answers: those(Answer::There),
            no_route: those(Answer::NoRoute),
            waited: self.waited(),
            wait: self.config.wait.unsigned_abs(),
        }
    }

    fn standing(&self) -> anyhow::Result<Standing> {
        Ok(Standing::of(&self.state.journal().tail()?.receipts))
    }

    fn owed(&self) -> anyhow::Result<Option<Owed>> {
        Ok(self.owed_after(&self.standing()?))
    }

    fn owed_after(&self, standing: &Standing) -> Option<Owed> {
        let schedule = Schedule { at: self.config.at, zone: self.world.zone() };
        owed(&schedule, self.world.clocks().wall, standing.settled, standing.last_fine)
    }

    async fn known(&self) -> anyhow::Result<Known> {
        let tail = self.state.journal().tail()?.receipts;
        let standing = Standing::of(&tail);
        Ok(Known {
            now: self.world.clocks().wall,
            owed: self.owed_after(&standing),
            standing,
            begun: plan::begun(&tail),
            power: self.world.power().await,
            battery: self.config.battery,
            unplugged: self.world.is_unplugged(&self.config.repository).then(|| self.config.repository.clone()),
            pis: self.config.pis.iter().map(|pi| pi.name.clone()).collect(),
        })
    }
}
