//! Waking the Mac for the night, which launchd cannot: two minutes before the run is due, by the system's own power schedule.
//!
//! The system has one such schedule and setting it replaces all of it. So it is set only where there is none, and removed only while it is
//! exactly what was set here; a small file remembers that.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::TimeOfDay;

/// Minutes before the run.
const EARLY: u16 = 2;

/// The file that remembers what was asked of the system; written before asking. It lies in the state folder that is usual, also if the configuration
/// names another: that name may change, and the schedule would be nobody's then.
pub(super) const FILE: &str = "wake.json";

/// A time of the Mac's own zone at which it wakes or is switched on, every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wake {
    pub hour: u8,
    pub minute: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    #[serde(flatten)]
    pub(super) wake: Wake,
    /// What it takes the place of, until it has: power may be cut in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Wake>,
}

impl Remembered {
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }

    pub(super) fn text(self) -> String {
        serde_json::json!(self).to_string() + "\n"
    }

    fn of(self, line: &str) -> Option<Wake> {
        [Some(self.wake), self.before].into_iter().flatten().find(|wake| wake.is(line))
    }
}

impl Wake {
    pub(crate) fn before(at: TimeOfDay) -> Self {
        let day = 24 * 60;
        let minutes = (u16::from(at.hour()) * 60 + u16::from(at.minute()) + day - EARLY) % day;
        // Both are below 60.
        Self { hour: (minutes / 60) as u8, minute: (minutes % 60) as u8 }
    }

    pub(super) fn arguments(self) -> [String; 4] {
        ["repeat".into(), "wakeorpoweron".into(), "MTWRFSU".into(), format!("{self}:00")]
    }

    /// As `pmset -g sched` shows it; the event is spelled with and without "or", by system.
    fn is(self, line: &str) -> bool {
        let half = if self.hour < 12 { "AM" } else { "PM" };
        let hour = (self.hour + 11) % 12 + 1;
        let shown = format!("{hour}:{:02}{half} every day", self.minute);
        line.split_once(" at ").is_some_and(|(event, rest)| ["wakepoweron", "wakeorpoweron"].contains(&event) && rest == shown)
    }
}

impl std::fmt::Display for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Free,
    /// It is what was set here, at this time.
    Ours(Wake),
    /// Somebody else's, or more than ours; its lines.
    Theirs(Vec<String>),
}

pub(super) fn standing(sched: &str, remembered: Option<Remembered>) -> Standing {
    let mut lines = Vec::new();
    let mut repeating = false;
    for line in sched.lines() {
        if line.trim_end().ends_with(':') {
            repeating = line.trim().eq_ignore_ascii_case("Repeating power events:");
        } else if let Some(rest) = line.trim().strip_prefix("Repeating power events:") {
            // Some systems have the event on the same line.
            lines.push(rest.trim().to_owned());
        } else if repeating && line.starts_with(char::is_whitespace) && !line.trim().is_empty() && !line.trim_start().starts_with('[') {
            lines.push(line.trim().to_owned());
        }
    }
    match lines.as_slice() {
        [] => Standing::Free,
        [line] => remembered.and_then(|ours| ours.of(line)).map_or_else(|| Standing::Theirs(lines.clone()), Standing::Ours),
        _ => Standing::Theirs(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(at: &str) -> Wake {
        Wake::before(at.parse().unwrap())
    }

    #[test]
    fn two_minutes_before_also_across_midnight() {
        assert_eq!(wake("04:30").arguments(), ["repeat", "wakeorpoweron", "MTWRFSU", "04:28:00"]);
        assert_eq!([wake("00:01").to_string(), wake("00:02").to_string(), wake("12:02").to_string()], ["23:59", "00:00", "12:00"]);
    }

    // The forms are those of public logs of macOS 12 to 26.
    #[test]
    fn a_schedule_is_ours_only_if_it_is_all_that_there_is_and_we_set_it() {
        let ours = "Repeating power events:\n  wakepoweron at 4:28AM every day\nScheduled power events:\n [0]  wake at 11/23/2026 12:23:58 by 'com.apple.alarm'\n";
        let remembered = |at| Some(Remembered { wake: wake(at), before: None });
        let set = remembered("04:30");
        assert_eq!(standing(ours, set), Standing::Ours(wake("04:30")));
        let theirs = |lines: &[&str]| Standing::Theirs(lines.iter().map(|&line| line.to_owned()).collect());
        assert_eq!(standing(ours, None), theirs(&["wakepoweron at 4:28AM every day"]));
        assert_eq!(standing(ours, remembered("05:30")), theirs(&["wakepoweron at 4:28AM every day"]));
        let more = "Repeating power events:\n  wakepoweron at 4:28AM every day\n  shutdown at 11:00PM weekdays only\n";
        assert_eq!(standing(more, set), theirs(&["wakepoweron at 4:28AM every day", "shutdown at 11:00PM weekdays only"]));
        assert_eq!(standing("Repeating power events:  wake at 7:45PM Monday\n", set), theirs(&["wake at 7:45PM Monday"]));
        for none in ["", "No scheduled events.\n", "Scheduled power events:\n [0]  wakepoweron at 09/06/26 19:55:00 by 'pmset'\n"] {
            assert_eq!(standing(none, set), Standing::Free, "{none}");
        }
    }

    #[test]
    fn noon_and_midnight_as_a_clock_of_twelve_hours_has_them() {
        for (at, shown) in [("00:02", "12:00AM"), ("12:32", "12:30PM"), ("13:07", "1:05PM"), ("00:01", "11:59PM")] {
            assert!(wake(at).is(&format!("wakeorpoweron at {shown} every day")), "{at}");
        }
    }
}
