//! Whether something starts the daemon here: what `offsite doctor` and `install` itself ask.

use std::path::{Path, PathBuf};

use super::{
    InstallError, Label, Launchctl, RealLaunchctl, Tool,
    apply::Real,
    mac::{Mac, There},
    owner, systemd,
};
use crate::{
    config::{Home, TimeOfDay},
    platform,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// launchd, from boot on.
    System,
    /// launchd, while the owner is logged in at the screen.
    Agent,
    /// The owner's systemd.
    Timer,
}

impl Clock {
    pub(crate) fn kick(self) -> &'static str {
        match self {
            Self::System => "sudo launchctl kickstart system/offsite.system",
            Self::Agent => "launchctl kickstart gui/$(id -u)/offsite.login",
            Self::Timer => "systemctl --user start offsite.service",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// The one that asks.
    This,
    /// Another file, which is there.
    Other(PathBuf),
    Gone(PathBuf),
    /// The list or unit does not say.
    Unknown,
}

/// One alarm clock that is installed. Two on one machine both fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub clock: Clock,
    /// Its list or unit, if the file is there; without one it is gone after the next boot or login.
    pub list: Option<PathBuf>,
    pub loaded: bool,
    /// Not switched off (Login Items, `launchctl disable`, `systemctl disable`).
    pub enabled: bool,
    /// The daemon's process, while one runs.
    pub pid: Option<u32>,
    /// How often it was started since it was loaded.
    pub runs: Option<u64>,
    /// How the last process ended; `None` if none has yet, or if a signal ended it. 78: launchd could not start it.
    pub last_exit: Option<i32>,
    /// What it starts.
    pub program: Program,
}

impl Installed {
    /// The hour at which it rings, as its list or unit says; `None` if that does not say.
    pub(crate) fn at(&self) -> Option<TimeOfDay> {
        let list = self.list.as_deref()?;
        match self.clock {
            Clock::Timer => hour_of_timer(&std::fs::read_to_string(list).ok()?),
            Clock::System | Clock::Agent => hour_of_list(&plist::Value::from_file(list).ok()?),
        }
    }
}

pub(crate) fn command(launchd: bool) -> &'static str {
    if launchd { "sudo offsite install" } else { "offsite install" }
}

/// What is wrong with the hour of a clock that rings at `rings`, as far as it says, where `at:` of the configuration is `at`; and what to do.
pub(crate) fn wrong_hour(rings: Option<TimeOfDay>, at: TimeOfDay, command: &str) -> Option<(String, String)> {
    let rings = rings.filter(|rings| *rings != at)?;
    let next = format!("an alarm clock rings as it was when it was installed; set it anew: {command}");
    Some((format!("it rings at {rings}, and `at:` says {at}"), next))
}

fn hour_of_timer(text: &str) -> Option<TimeOfDay> {
    text.lines().find_map(|line| line.strip_prefix("OnCalendar=*-*-* ")?.strip_suffix(":00")?.parse().ok())
}

fn hour_of_list(list: &plist::Value) -> Option<TimeOfDay> {
    let slot = list.as_dictionary()?.get("StartCalendarInterval")?.as_dictionary()?;
    let number = |key| u8::try_from(slot.get(key)?.as_unsigned_integer()?).ok();
    TimeOfDay::new(number("Hour")?, number("Minute")?)
}

/// Whether there is a file by which launchd or systemd would start the daemon. Asks no program, so it does not know whether that is switched on;
/// [`state()`] does.
pub(crate) fn has_file(home: &Home) -> bool {
    let files = if platform::current().has_launchd() { lists(Path::new("/Library"), home) } else { systemd::timers(home) };
    files.iter().any(|file| file.exists())
}

fn lists(library: &Path, home: &Home) -> Vec<PathBuf> {
    let (system, login) = (library.join("LaunchDaemons"), home.home.join("Library/LaunchAgents"));
    vec![system.join(format!("{}.plist", Label::System)), login.join(format!("{}.plist", Label::Login))]
}

/// What is installed for the owner with this home folder, who runs this process. Nothing: empty.
pub(crate) fn state(home: &Home) -> Result<Vec<Installed>, InstallError> {
    let this = std::env::current_exe().ok();
    if platform::current().has_launchd() {
        let uid = rustix::process::getuid().as_raw();
        let mut owner = owner::look_up(&owner::Whose::Number(uid))?;
        owner.home.clone_from(&home.home);
        return on_mac(&Mac::of(owner), &RealLaunchctl, this.as_deref());
    }
    let systemctl: &dyn Tool = &Real(|| platform::current().systemctl());
    Ok(systemd::state(&systemd::folder(home, systemctl), systemctl, this.as_deref()).into_iter().collect())
}

pub(super) fn on_mac(mac: &Mac, launchctl: &dyn Launchctl, this: Option<&Path>) -> Result<Vec<Installed>, InstallError> {
    let clock = |label| match label {
        Label::System => Some(Clock::System),
        Label::Login => Some(Clock::Agent),
        Label::Notices => None,
    };
    let there = mac.look(launchctl)?;
    Ok(there.iter().filter_map(|found| Some(installed(clock(found.label)?, found, this))).collect())
}

fn installed(clock: Clock, found: &There, this: Option<&Path>) -> Installed {
    let job = found.job.clone().unwrap_or_default();
    Installed {
        clock,
        list: found.list.clone(),
        loaded: found.job.is_some(),
        enabled: !found.switched_off,
        pid: job.pid,
        runs: job.runs,
        last_exit: job.last_exit,
        program: judge(job.program.or_else(|| found.list.as_deref().and_then(named_in)).as_deref(), this),
    }
}

fn named_in(list: &Path) -> Option<PathBuf> {
    let keys = plist::Value::from_file(list).ok()?.into_dictionary()?;
    keys.get("Program")?.as_string().map(PathBuf::from)
}

pub(super) fn judge(program: Option<&Path>, this: Option<&Path>) -> Program {
    let Some(program) = program else { return Program::Unknown };
    match (program.canonicalize(), this.map(Path::canonicalize)) {
        (Err(_), _) => Program::Gone(program.to_owned()),
        (Ok(one), Some(Ok(other))) if one == other => Program::This,
        (Ok(_), _) => Program::Other(program.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_looked_for_is_the_one_that_is_installed() {
        let home = Home::at(Path::new("/Users/owner"));
        let mac = Mac::of(super::super::Owner { name: "owner".into(), uid: 501, gid: 20, home: home.home.clone() });
        assert_eq!(lists(Path::new("/Library"), &home), [Label::System, Label::Login].map(|label| mac.list(label)));
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let there = || systemd::timers(&home).iter().any(|file| file.exists());
        assert!(!there());
        std::fs::create_dir_all(folder.path().join(".config/systemd/user")).unwrap();
        std::fs::write(folder.path().join(".config/systemd/user/offsite.timer"), "").unwrap();
        assert!(there());
    }

    #[test]
    fn the_hour_is_read_from_what_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let of = |clock, text: &str| {
            let list = dir.path().join("list");
            std::fs::write(&list, text).unwrap();
            let (program, list) = (Program::This, Some(list));
            Installed { clock, list, loaded: true, enabled: true, pid: None, runs: None, last_exit: None, program }.at()
        };
        let golden = include_str!("../../../../launchd/offsite.login.plist");
        let at = |text: &str| Some(text.parse::<TimeOfDay>().unwrap());
        assert_eq!(of(Clock::Agent, golden), at("04:30"));
        assert_eq!(of(Clock::Timer, "[Timer]\nOnCalendar=*-*-* 02:05:00\nPersistent=true\n"), at("02:05"));
        for clock in [Clock::System, Clock::Timer] {
            assert_eq!(of(clock, "OnCalendar=daily"), None);
        }
    }
}
