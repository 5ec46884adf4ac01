//! launchd, as it is: a slot that passes in sleep fires once at wake, one that passes while the Mac is off never does, an interval begins anew.

use futures::FutureExt as _;
use offsite::daemon::watch;

use super::{
    house::{House, Start},
    script::{DAY, Second, begins, within},
};

/// What it adds to the calendar, as it is installed.
pub const INTERVAL: Second = 600;

impl House {
    /// Starts the daemon, and notes how it ended.
    fn start(&self) {
        self.hold();
        self.accept();
        let ended = watch(self).now_or_never().map(|ended| ended.map_err(|error| format!("{error:#}")));
        if let Some(Err(error)) = &ended {
            let why = [within(&self.script.full, self.now()), within(&self.script.wrong, self.now())];
            assert!(why.iter().any(Option::is_some), "{error}");
        }
        self.starts.borrow_mut().push(Start { at: self.now(), ended });
    }

    /// launchd, for so many days. `check` looks after each start that was not killed.
    pub fn live(&self, days: Second, check: &mut dyn FnMut(&Self)) {
        // The product's own patience is measured by timers that never ring here: all of the year is one moment.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let mut interval = INTERVAL;
        let mut calendar = self.calendar();
        let mut late = false;
        self.start();
        while self.now() < days * DAY {
            let now = self.now();
            let plugged = within(&self.script.unplugged, now).map_or(Second::MAX, |span| span.1);
            let next = calendar.min(interval).min(plugged).max(now);
            let (sleep, off) = (
                within(&self.script.asleep, now).or_else(|| within(&self.script.asleep, begins(&self.script.asleep, now))),
                within(&self.script.off, now).or_else(|| within(&self.script.off, begins(&self.script.off, now))),
            );
            if let Some((_, end)) = off.filter(|off| off.0 <= next && sleep.is_none_or(|sleep| off.0 <= sleep.0)) {
                // A slot that passes while it is off is lost; the job is loaded at boot.
                self.now.set(end);
            } else if let Some((_, end)) = sleep.filter(|sleep| sleep.0 <= next) {
                // A slot that passes in sleep fires once at wake; an interval that does is lost.
                self.now.set(end);
                interval = end + INTERVAL;
                if calendar > end && plugged > end {
                    continue;
                }
            } else {
                self.now.set(next);
            }
            let (twice, slot) = (self.chance(self.script.twice), self.calendar());
            for _ in 0..=u8::from(twice) {
                self.start();
                if matches!(self.starts.borrow().last(), Some(Start { ended: Some(_), .. })) {
                    check(self);
                }
            }
            // A slot that passed while it ran fires once more, as soon as it has ended.
            late = !late && slot < self.now();
            (interval, calendar) = (self.now() + INTERVAL, if late { self.now() + 1 } else { self.calendar() });
        }
    }

    /// When the calendar fires next, by the Mac's clock.
    fn calendar(&self) -> Second {
        let wall = self.wall(self.now()).to_zoned(self.zone_at(self.now()));
        let slot = |date: jiff::civil::Date| date.at(4, 30, 0, 0).to_zoned(wall.time_zone().clone()).unwrap().timestamp();
        let today = slot(wall.date());
        let next = if today > wall.timestamp() { today } else { slot(wall.date().tomorrow().unwrap()) };
        self.now() + next.duration_since(wall.timestamp()).as_secs()
    }
}
