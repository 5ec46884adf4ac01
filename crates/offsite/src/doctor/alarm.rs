//! What makes nights happen and tells of them: the alarm clock, the battery, the notices. Pure; what is asked is asked in the module above.

use super::line::{Line, Lines, Trouble};
use crate::{
    config::{MacNotices, Notify, TimeOfDay},
    install::{Clock, Installed, Program, command, wrong_hour},
    platform::Power,
};

/// The lines of what starts the daemon. `at` is when the configuration has it rung, `rings` when a clock does, as far as it says. `launchd` is
/// whether this is a Mac.
pub(super) fn judge_clock(
    found: &Result<Vec<Installed>, Trouble>,
    at: TimeOfDay,
    rings: impl Fn(&Installed) -> Option<TimeOfDay>,
    launchd: bool,
) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    const CHECK: &str = "alarm clock";
    let install = command(launchd);
    let found = match found {
        Ok(found) => found,
        Err(trouble) => {
            lines.trouble(CHECK, trouble);
            return lines.all;
        }
    };
    if found.is_empty() {
        lines.bad(CHECK, "nothing starts the daemon: no night comes by itself", format!("let the system start it: {install}"));
    }
    if found.len() > 1 {
        lines.note(CHECK, "two are installed, and both fire", format!("keep one: offsite uninstall, then {install}"));
    }
    for installed in found {
        one(installed, at, rings(installed), install, &mut lines);
    }
    lines.all
}

fn one(installed: &Installed, at: TimeOfDay, rings: Option<TimeOfDay>, install: &str, lines: &mut Lines) {
    const CHECK: &str = "alarm clock";
    let name = match installed.clock {
        Clock::System => "launchd, from boot on",
        Clock::Agent => "launchd, while you are logged in",
        Clock::Timer => "systemd, by a timer of this account",
    };
    let switch = match installed.clock {
        Clock::Timer => "systemctl --user enable --now offsite.timer",
        Clock::System | Clock::Agent => "switch offsite on in System Settings, General, Login Items & Extensions",
    };
    if !installed.enabled {
        lines.bad(CHECK, format!("{name}: switched off"), format!("{switch}; or {install}"));
    } else if !installed.loaded {
        lines.bad(CHECK, format!("{name}: installed, and not loaded"), install);
    } else if let Program::Gone(path) = &installed.program {
        lines.bad(
            CHECK,
            format!("{name}: it starts {}, which is not there", path.display()),
            format!("with the program where it is now: {install}"),
        );
    } else if installed.last_exit == Some(78) {
        lines.bad(
            CHECK,
            format!("{name}: could not start the program (78)"),
            format!("look at the folders of program and log, then: {install}"),
        );
    } else if installed.list.is_none() {
        lines.note(CHECK, format!("{name}: its file is gone; it ends with the next boot or login"), install);
    } else if let Program::Other(path) = &installed.program {
        lines.note(
            CHECK,
            format!("{name}: it starts {}, not this program", path.display()),
            format!("to have it start this one: {install}"),
        );
    } else if let Some((wrong, next)) = wrong_hour(rings, at, install) {
        lines.note(CHECK, format!("{name}: {wrong}"), next);
    } else {
        let ended = match (installed.pid, installed.last_exit) {
            (Some(pid), _) => format!("; it runs now, process {pid}"),
            (None, Some(0)) => "; the last start ended well".to_owned(),
            (None, Some(code)) => format!("; the last start ended with {code} (offsite status says more)"),
            (None, None) => String::new(),
        };
        lines.ok(CHECK, format!("{name}{ended}"));
    }
}

pub(super) fn judge_power(power: Option<Power>, least: u8) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    match power {
        None => lines.ok("power", "no battery, or the system does not tell of one"),
        Some(Power { mains: true, percent }) => lines.ok("power", format!("on mains, battery at {percent} %")),
        Some(Power { percent, .. }) if percent < least => lines.note(
            "power",
            format!("on battery, {percent} %: below {least} % a run is put off"),
            "plug it in at night, or lower `battery:`",
        ),
        Some(Power { percent, .. }) => lines.ok("power", format!("on battery, {percent} %; below {least} % a run is put off")),
    }
    lines.all
}

/// The line of who is told. A Mac's own notices reach only who sits at it.
pub(super) fn judge_notify(notify: &Notify, launchd: bool) -> Vec<Line> {
    let mut lines = Lines::of("mac");
    let own = launchd && notify.macos != MacNotices::None;
    let channels: Vec<&str> = [
        (own, "this Mac's notices"),
        (notify.ntfy.is_some(), "ntfy"),
        (notify.healthchecks.is_some(), "healthchecks"),
        (notify.webhook.is_some(), "a webhook"),
        (notify.email.is_some(), "mail"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect();
    let fix = "add ntfy, healthchecks, a webhook or mail under `notify:` and try it: offsite notify test";
    match (channels.as_slice(), notify.healthchecks.is_some()) {
        ([], _) => lines.note("notices", "nobody is told when a night fails", fix),
        // Only a watcher elsewhere notices that nothing is said any more.
        (names, true) => lines.ok("notices", format!("by {}; healthchecks also notices when this Mac says nothing", names.join(", "))),
        (["this Mac's notices"], _) => lines.ok("notices", "by this Mac's own notices alone"),
        (names, false) => lines.ok("notices", format!("by {}", names.join(", "))),
    }
    lines.all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::line::Verdict::{self, Bad, Note, Ok as Fine};

    fn installed() -> Installed {
        Installed {
            clock: Clock::Agent,
            list: Some("/l.plist".into()),
            loaded: true,
            enabled: true,
            pid: None,
            runs: Some(3),
            last_exit: Some(0),
            program: Program::This,
        }
    }

    fn judged(found: Vec<Installed>, rings: Option<&str>) -> Vec<Line> {
        judge_clock(&Ok(found), "04:30".parse().unwrap(), |_| rings.map(|rings| rings.parse().unwrap()), true)
    }

    fn of(change: impl Fn(&mut Installed)) -> (Verdict, String) {
        let mut one = installed();
        change(&mut one);
        let lines = judged(vec![one], Some("04:30"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].fix.is_some(), lines[0].verdict != Fine);
        (lines[0].verdict, format!("{} {}", lines[0].words, lines[0].fix.clone().unwrap_or_default()))
    }

    #[test]
    fn an_alarm_clock_that_would_not_ring_is_red_with_what_to_do() {
        assert_eq!(of(|_| {}), (Fine, "launchd, while you are logged in; the last start ended well ".to_owned()));
        assert_eq!(of(|one| one.last_exit = Some(3)).0, Fine);
        for (found, verdict, words) in [
            (of(|one| one.enabled = false), Bad, "Login Items"),
            (of(|one| (one.clock, one.enabled) = (Clock::Timer, false)), Bad, "systemctl --user enable"),
            (of(|one| one.loaded = false), Bad, "not loaded"),
            (of(|one| one.program = Program::Gone("/old/offsite".into())), Bad, "/old/offsite, which is not there"),
            (of(|one| one.last_exit = Some(78)), Bad, "could not start the program"),
            (of(|one| one.list = None), Note, "ends with the next boot"),
            (of(|one| one.program = Program::Other("/other".into())), Note, "not this program"),
        ] {
            assert!(found.0 == verdict && found.1.contains(words), "{found:?} {words}");
        }
        let none = judged(vec![], None);
        assert!(none[0].verdict == Bad && none[0].fix.as_deref().unwrap().contains("sudo offsite install"));
        let two = judged(vec![installed(), installed()], None);
        assert_eq!((two.len(), two[0].verdict), (3, Note));
        let moved = judged(vec![installed()], Some("02:00"));
        assert_eq!(moved[0].verdict, Note);
        assert_eq!(moved[0].words, "launchd, while you are logged in: it rings at 02:00, and `at:` says 04:30");
        assert!(moved[0].fix.as_deref().unwrap().ends_with("sudo offsite install"));
    }

    #[test]
    fn a_battery_that_is_low_is_worth_a_word_only_off_mains() {
        let of = |power, least| judge_power(power, least)[0].verdict;
        let power = |mains, percent| Some(Power { mains, percent });
        assert_eq!(
            [of(None, 20), of(power(true, 5), 20), of(power(false, 20), 20), of(power(false, 19), 20), of(power(false, 1), 0)],
            [Fine, Fine, Fine, Note, Fine]
        );
    }

    #[test]
    fn somebody_should_be_told() {
        let none = Notify { macos: MacNotices::None, ..Notify::default() };
        assert_eq!(judge_notify(&none, true)[0].verdict, Note);
        let own = Notify { macos: MacNotices::Alarms, ..Notify::default() };
        assert_eq!((judge_notify(&own, true)[0].verdict, judge_notify(&own, false)[0].verdict), (Fine, Note));
    }
}
