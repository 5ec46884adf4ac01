//! `install` and `uninstall`: the units to their folder and into force, and away again.
//!
//! Only files that `install` wrote are replaced or removed: somebody's own unit of the same name is an error, not a loss. What brings
//! services back is not removed while services are away.

use std::{path::Path, process::Command};

use offsite_agent::{Enabled, Ledger, Unit, enabled, is_ours, timer_job, units};

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn install(cli: &cli::Cli, install: &cli::Install) -> Done {
    let config = load(&cli.config)?;
    let program = std::env::current_exe()?;
    let units = units(&config, &program);
    if install.print {
        for unit in &units {
            say!("# {}/{}\n{}", install.to.display(), unit.name, unit.text);
        }
        return Ok(Exit::Fine);
    }
    let old = old_timers(&install.to, &units)?;
    for unit in &units {
        let path = install.to.join(&unit.name);
        match std::fs::read_to_string(&path) {
            Ok(text) if !is_ours(&text) => {
                return Err(format!("{} is there and was not written by offsite-agent install: move it away first", path.display()).into());
            }
            _ => {}
        }
    }
    for unit in &units {
        let path = install.to.join(&unit.name);
        std::fs::write(&path, &unit.text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        say!("wrote {}", path.display());
    }
    if install.now {
        for timer in &old {
            systemctl(&["disable", "--now", timer])?;
        }
    }
    for timer in &old {
        remove(&install.to, timer)?;
    }
    let names = |wanted| units.iter().map(|unit| unit.name.as_str()).filter(move |name| enabled(name) == wanted).collect::<Vec<_>>();
    let steps =
        [vec!["daemon-reload"], [vec!["enable"], names(Enabled::AtBoot)].concat(), [vec!["enable", "--now"], names(Enabled::Now)].concat()];
    if install.now {
        steps.iter().try_for_each(|step| systemctl(step))?;
    } else {
        say!("now: {}", steps.map(|step| format!("systemctl {}", step.join(" "))).join(" && "));
    }
    Ok(Exit::Fine)
}

/// Takes everything out of force and away that `install` wrote. Nothing of the configuration, the archives or the journal goes.
pub(crate) fn uninstall(cli: &cli::Cli, uninstall: &cli::Uninstall) -> Done {
    // A broken configuration is no reason to keep the units.
    let (state, doubt) = super::resume::state(cli);
    if let Some(error) = doubt {
        note!("offsite-agent: {error}\nlooking for services that are away in {} only", state.display());
    }
    if let Some(ledger) = Ledger::read(&state)? {
        let text = format!("services are away for a run of {}, and the units bring them back", ledger.job);
        return Err(format!("{text}: wait for the run, or: offsite-agent resume").into());
    }
    let ours = listed(&uninstall.to, |name| name.starts_with("offsite-agent"))?;
    for name in ours.iter().filter(|name| uninstall.now && enabled(name) != Enabled::ByAnother) {
        systemctl(&["disable", "--now", name])?;
    }
    for name in &ours {
        remove(&uninstall.to, name)?;
    }
    match (ours.is_empty(), uninstall.now) {
        (true, _) => say!("{} holds nothing that offsite-agent install wrote", uninstall.to.display()),
        (false, true) => systemctl(&["daemon-reload"])?,
        (false, false) => say!("now: systemctl daemon-reload"),
    }
    Ok(Exit::Fine)
}

/// Timers that an earlier `install` wrote for jobs that are no more, or have no time any more.
fn old_timers(folder: &Path, units: &[Unit]) -> Result<Vec<String>, String> {
    listed(folder, |name| timer_job(name).is_some() && units.iter().all(|unit| unit.name != name))
}

/// The files in `folder` that `install` wrote and whose names are `wanted`, sorted.
fn listed(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if wanted(&name) && std::fs::read_to_string(entry.path()).is_ok_and(|text| is_ours(&text)) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn remove(folder: &Path, name: &str) -> Result<(), String> {
    let path = folder.join(name);
    std::fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    say!("removed {}", path.display());
    Ok(())
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let shown = format!("systemctl {}", arguments.join(" "));
    say!("{shown}");
    match Command::new("systemctl").args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} failed ({status})")),
        Err(error) => Err(format!("cannot start {shown}: {error}")),
    }
}
