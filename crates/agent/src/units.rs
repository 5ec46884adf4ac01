//! The systemd units of a configuration: pure text, from the same files that the package installs.
//!
//! A timer is written for each job that has a time, because a template's time is the same for all. Each file that is written says so
//! in its first line: only such files are ever replaced or removed.

use std::path::Path;

use crate::config::{Config, DEFAULT_CONFIG, DEFAULT_STATE, Day, Job};

const SERVICE: &str = include_str!("../../../packaging/systemd/offsite-agent@.service");
const RESUME: &str = include_str!("../../../packaging/systemd/offsite-agent-resume.service");
const NOTICE: &str = include_str!("../../../packaging/systemd/offsite-agent-resume.path");
const TIMER: &str = include_str!("../../../packaging/systemd/offsite-agent@.timer");
const RESUME_NAME: &str = "offsite-agent-resume.service";
const NOTICE_NAME: &str = "offsite-agent-resume.path";
/// Where the package puts the agent.
pub(crate) const PROGRAM: &str = "/usr/bin/offsite-agent";
const MARK: &str = "# Written by `offsite-agent install`; changes here are lost.\n";

/// One unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its file name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The units for `config`, whose runs are made by `program`.
pub fn units(config: &Config, program: &Path) -> Vec<Unit> {
    let fit = |text: &str| {
        let text = text.replace(PROGRAM, &word(program)).replace(DEFAULT_CONFIG, &word(&config.path));
        // A resume reads no configuration: one that is broken by then must not hide what is owed.
        let text = text.replace(&format!("--state {DEFAULT_STATE}"), &format!("--state {}", word(&config.state)));
        // ConditionPathExists of the service and PathExists of the path unit.
        let text = text.replace(&format!("PathExists={DEFAULT_STATE}"), &format!("PathExists={}", condition(&config.state)));
        // Another state folder is made by the agent itself.
        let own = config.state == Path::new(DEFAULT_STATE);
        text.lines().filter(|line| own || !line.starts_with("StateDirectory")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let unit = |name: &str, text: String| Unit { name: name.into(), text: format!("{MARK}{text}") };
    let mut units = vec![unit("offsite-agent@.service", fit(SERVICE)), unit(RESUME_NAME, fit(RESUME)), unit(NOTICE_NAME, fit(NOTICE))];
    for (name, job) in &config.jobs {
        if let Some(calendar) = calendar(job) {
            let text = TIMER.split_once("[Unit]").map_or(TIMER, |(_, rest)| rest);
            let text = format!("[Unit]{}", text.replace("%i", name.as_str()).replace("*-*-* 04:00:00", &calendar));
            units.push(unit(&format!("offsite-agent@{name}.timer"), text));
        }
    }
    units
}

/// How a unit comes into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// From the next boot on: it acts once, then.
    AtBoot,
    /// At once.
    Now,
    /// By another unit.
    ByAnother,
}

/// How the unit with the file name `name` comes into force.
pub fn enabled(name: &str) -> Enabled {
    match name {
        RESUME_NAME => Enabled::AtBoot,
        NOTICE_NAME => Enabled::Now,
        _ if timer_job(name).is_some() => Enabled::Now,
        _ => Enabled::ByAnother,
    }
}

/// Whether the unit file with this text was written by `install`.
pub fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

/// Whether the unit with this text makes the runs of `config`.
pub(crate) fn runs(text: &str, config: &Config) -> bool {
    text.contains(&format!(" --config {} run ", word(&config.path)))
}

/// Each state folder that the unit with this text names, as it is written there.
pub(crate) fn states(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once(" --state ").or_else(|| line.split_once("PathExists="))?.1)).collect()
}

/// The job whose timer has the file name `name`, where it is such a file.
pub fn timer_job(name: &str) -> Option<&str> {
    name.strip_prefix("offsite-agent@")?.strip_suffix(".timer").filter(|job| !job.is_empty())
}

/// When the job runs, as systemd writes it; `None` for a job without a time.
fn calendar(job: &Job) -> Option<String> {
    let at = job.at?;
    let day = |day: &Day| match day {
        Day::Mon => "Mon",
        Day::Tue => "Tue",
        Day::Wed => "Wed",
        Day::Thu => "Thu",
        Day::Fri => "Fri",
        Day::Sat => "Sat",
        Day::Sun => "Sun",
    };
    let days = job.days.iter().map(day).collect::<Vec<_>>().join(",");
    let space = if days.is_empty() { "" } else { " " };
    Some(format!("{days}{space}*-*-* {at}:00"))
}

/// A path as one word of a command line in a unit.
fn word(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains(|c: char| c.is_whitespace() || "\"'\\$".contains(c)) {
        let inner = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
        format!("\"{inner}\"")
    } else {
        text
    }
}

/// A path as the whole value of a condition, where only specifiers mean something.
fn condition(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(Path::new(DEFAULT_CONFIG), text).unwrap()
    }

    fn text(units: &[Unit], name: &str) -> String {
        units.iter().find(|unit| unit.name == name).map(|unit| unit.text.clone()).unwrap()
    }

    #[test]
    fn the_default_units_are_those_of_the_package() {
        let units = units(&config("repository: /b\njobs:\n  services: {sources: [/a], at: \"04:00\"}\n"), Path::new(PROGRAM));
        assert_eq!(text(&units, "offsite-agent@.service"), format!("{MARK}{SERVICE}"));
        assert_eq!(text(&units, "offsite-agent-resume.service"), format!("{MARK}{RESUME}"));
        assert_eq!(text(&units, "offsite-agent-resume.path"), format!("{MARK}{NOTICE}"));
        assert!(units.iter().all(|unit| is_ours(&unit.text)));
    }

    #[test]
    fn a_timer_for_each_job_that_has_a_time() {
        let units = units(
            &config("repository: /b\njobs:\n  by-hand: {sources: [/a]}\n  weekly: {sources: [/c], at: \"23:05\", days: [sun, wed]}\n"),
            Path::new(PROGRAM),
        );
        assert_eq!(units.iter().filter_map(|unit| timer_job(&unit.name)).collect::<Vec<_>>(), ["weekly"]);
        let expected = "[Unit]\nDescription=offsite: when job weekly is archived\n\n[Timer]\nOnCalendar=Sun,Wed *-*-* 23:05:00\n# The night was spent without power: the run is made up for at the next start.\nPersistent=true\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n";
        assert_eq!(text(&units, "offsite-agent@weekly.timer"), format!("{MARK}{expected}"));
    }

    #[test]
    fn other_places_are_named_everywhere() {
        let config = Config::parse(
            Path::new("/my etc/a.yaml"),
            "repository: /b\nstate: /opt/my state\njobs:\n  s: {sources: [/a], at: \"04:00\"}\n",
        )
        .unwrap();
        let units = units(&config, Path::new("/opt/100%/agent"));
        assert!(text(&units, "offsite-agent-resume.path").contains("\nPathExists=/opt/my state/ledger.json\n"));
        assert!(text(&units, "offsite-agent-resume.service").contains("\nConditionPathExists=/opt/my state/ledger.json\n"));
        assert!(text(&units, "offsite-agent@.service").contains("=/opt/100%%/agent --config \"/my etc/a.yaml\" run"));
        for unit in units.iter().filter(|unit| unit.name.ends_with("service")) {
            assert!(unit.text.contains("=/opt/100%%/agent resume --wait --state \"/opt/my state\"\n"), "{}", unit.text);
            assert!(
                [PROGRAM, DEFAULT_CONFIG, DEFAULT_STATE, "StateDirectory"].iter().all(|gone| !unit.text.contains(gone)),
                "{}",
                unit.text
            );
        }
    }

    #[test]
    fn only_timers_of_jobs_are_timers_of_jobs() {
        assert_eq!(
            [
                timer_job("offsite-agent@.timer"),
                timer_job("offsite-agent@a.timer"),
                timer_job("other@a.timer"),
                timer_job("offsite-agent@a.service")
            ],
            [None, Some("a"), None, None]
        );
    }
}
