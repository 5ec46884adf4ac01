//! `offsite install`: makes the system start the daemon.
//!
//! launchd or systemd is only the alarm clock; what is owed is decided by the journal. So it may ring too often, and does: at the hour, at boot
//! or login, when a disk is mounted, and every ten minutes in case the Pi or the network was not there.
//!
//! On a Mac the daemon belongs to the system and runs as the owner: a program of the owner's login may not reach the local network, and so the Pi,
//! until the owner allows it, and is not there at all after a restart while nobody is logged in (decision 0023).

mod apply;
mod error;
mod here;
mod job;
mod label;
mod launchctl;
mod mac;
mod owner;
mod plan;
mod printed;
mod program;
mod say;
mod state;
mod systemd;
mod wake;

use jiff::{Timestamp, tz::TimeZone};

pub(crate) use self::here::Here;
use self::{apply::Real, wake::Remembered};
pub(crate) use self::{
    apply::{Hands, Tool, apply},
    error::InstallError,
    job::{Job, Kind},
    label::{Domain, Label, Target},
    launchctl::{Call, Launchctl, Means, RealLaunchctl, Reply},
    mac::{Ids, Mac},
    owner::Owner,
    plan::Step,
    state::{Clock, Installed, Program, command, has_file, state, wrong_hour},
    wake::Wake,
};
use crate::{config::Config, exit::Exit, globals::Globals, owed::Schedule, platform};

/// Arguments of `offsite install`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Args {
    /// With your login instead of with the Mac: no sudo, but macOS must be asked once for the local network
    #[arg(long)]
    pub agent: bool,
    /// The account the daemon runs as [default: yours, or who called sudo; never root]
    #[arg(long, value_name = "NAME", conflicts_with = "agent")]
    pub user: Option<String>,
    /// Start the daemon at once, for what is owed
    #[arg(long)]
    pub now: bool,
    /// Also wake the Mac two minutes before, every day, while it is on mains
    #[arg(long)]
    pub wake: bool,
    /// Print what would be installed, and change nothing
    #[arg(long)]
    pub print: bool,
    /// Print the steps, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let here = Here::find(globals, args.user.as_deref())?;
    let config = Config::load(&here.config, &here.home)?;
    if platform::current().has_launchd() { on_mac(globals, args, &here, &config) } else { on_systemd(args, &here, &config) }
}

fn on_mac(globals: &Globals, args: &Args, here: &Here, config: &Config) -> anyhow::Result<Exit> {
    let kind = if args.agent { Kind::Agent } else { Kind::System { user: here.owner.name.clone() } };
    let job = here.job(config, kind);
    let mac = Mac::of(here.owner.clone());
    if args.print {
        for (label, text) in job.lists()? {
            crate::say::text(&format!("# {}\n{text}", mac.list(label).display()));
        }
        return Ok(Exit::Fine);
    }
    let pmset = Real(|| platform::current().pmset());
    let there = mac.look(&RealLaunchctl)?;
    let mut steps = plan::install(&mac, &job, &there, args.now)?;
    let (usual, _) = here.leftovers();
    let wake = Some(Wake::before(config.at)).filter(|_| args.wake || Remembered::read(&usual).is_some());
    let waking = match wake.map(|wake| plan::wake(&mac, &usual, wake, &sched(&pmset)?)).transpose() {
        // Once asked for, it moves with the hour; but what the owner has set since is not in the way of an installation that does not ask.
        Err(InstallError::OtherWake { .. }) if !args.wake => None,
        planned => planned?,
    };
    let what = if !args.agent {
        Some("a daemon that starts with the Mac")
    } else if there.iter().any(|found| found.label == Label::System) {
        Some("removing the daemon that starts with the Mac")
    } else {
        waking.as_ref().filter(|steps| !steps.is_empty()).map(|_| "waking the Mac")
    };
    let wake = wake.filter(|_| waking.is_some());
    steps.extend(waking.unwrap_or_default());
    if args.dry_run {
        say::steps(&steps, what.filter(|_| !here.root).map(|_| here.sudo(globals, &again(args))).as_deref());
        return Ok(Exit::Fine);
    }
    if let Some(what) = what.filter(|_| !here.root) {
        return Err(InstallError::NeedsRoot { what, command: here.sudo(globals, &again(args)) }.into());
    }
    let hands = Hands { launchctl: &RealLaunchctl, pmset: &pmset, systemctl: &Real(|| None) };
    let later = apply(&steps, &hands)?;
    let found = state::on_mac(&mac, &RealLaunchctl, std::env::current_exe().ok().as_deref())?;
    crate::say::text(&say::installed(&job, &found, &later, next(config).as_deref(), wake));
    if !args.agent {
        crate::say::text(&say::keys(&config.pis, std::env::var_os("OFFSITE_SSH_PASSPHRASE").is_some()));
    }
    Ok(Exit::Fine)
}

fn on_systemd(args: &Args, here: &Here, config: &Config) -> anyhow::Result<Exit> {
    let systemctl = Real(|| platform::current().systemctl());
    let folder = systemd::folder(&here.home, &systemctl);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let units = systemd::units(&here.job(config, Kind::Agent), &config.repository, &mounts)?;
    if args.print {
        for (name, text) in units {
            say!("# {}\n{text}", folder.join(name).display());
        }
        return Ok(Exit::Fine);
    }
    if args.wake {
        anyhow::bail!("waking the machine is for macOS; with systemd, WakeSystem=true in a timer of the system does it");
    }
    let owner = Ids { uid: here.owner.uid, gid: here.owner.gid };
    let steps = systemd::install(&folder, owner, &units, args.now);
    if args.dry_run {
        say::steps(&steps, None);
        return Ok(Exit::Fine);
    }
    if let Some(error) = here.not_ours("installed") {
        return Err(error.into());
    }
    apply(&steps, &Hands { launchctl: &RealLaunchctl, pmset: &Real(|| None), systemctl: &systemctl })?;
    crate::say::text(&say::timer(&here.owner.name, next(config).as_deref(), systemd::lingers(&here.owner.name)));
    Ok(Exit::Fine)
}

fn again(args: &Args) -> Vec<&str> {
    let mut words = vec!["install"];
    words.extend(args.user.as_deref().map(|name| ["--user", name]).into_iter().flatten());
    for (given, word) in [(args.agent, "--agent"), (args.now, "--now"), (args.wake, "--wake")] {
        words.extend(given.then_some(word));
    }
    words
}

fn next(config: &Config) -> Option<String> {
    let zone = TimeZone::system();
    let next = Schedule { at: config.at, zone: zone.clone() }.next(Timestamp::now())?;
    Some(next.to_zoned(zone).strftime("%A %Y-%m-%d %H:%M").to_string())
}

fn sched(pmset: &dyn Tool) -> Result<String, InstallError> {
    let arguments = ["-g".to_owned(), "sched".to_owned()];
    Ok(apply::tool(pmset, "pmset", &arguments)?.out)
}

/// What `offsite uninstall` takes here, and what it says where it has not the rights.
pub(crate) fn removal(globals: &Globals, here: &Here) -> anyhow::Result<(Vec<Step>, Option<InstallError>)> {
    if !platform::current().has_launchd() {
        // Another account's systemd would answer for its own units.
        if let Some(error) = here.not_ours("removed") {
            return Ok((Vec::new(), Some(error)));
        }
        let systemctl = Real(|| platform::current().systemctl());
        return Ok((systemd::uninstall(&systemd::folder(&here.home, &systemctl), &systemctl)?, None));
    }
    let mac = Mac::of(here.owner.clone());
    let there = mac.look(&RealLaunchctl)?;
    let mut steps = plan::uninstall(&mac, &there);
    let (usual, _) = here.leftovers();
    let woken = Remembered::read(&usual).is_some();
    if woken {
        steps.extend(plan::sleep_on(&usual, &sched(&Real(|| platform::current().pmset()))?));
    }
    let system = there.iter().any(|found| found.label == Label::System);
    let refused = (!here.root && (system || woken))
        .then(|| InstallError::NeedsRoot { what: "removing what starts with the Mac", command: here.sudo(globals, &["uninstall"]) });
    Ok((steps, refused))
}

pub(crate) fn remove(steps: &[Step]) -> Result<(), InstallError> {
    let (pmset, systemctl) = (Real(|| platform::current().pmset()), Real(|| platform::current().systemctl()));
    apply(steps, &Hands { launchctl: &RealLaunchctl, pmset: &pmset, systemctl: &systemctl }).map(|_| ())
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
