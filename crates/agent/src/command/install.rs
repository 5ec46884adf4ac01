//! `install`: the units to their folder, and with `--now` into force.
//!
//! Only files that `install` wrote are replaced or removed: somebody's own unit of the same name is an error, not a loss.

use std::{path::Path, process::Command};

use offsite_agent::{Unit, is_ours, timer_job, units};

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn install(cli: &cli::Cli, install: &cli::Install) -> Done {
    let config = load(&cli.config)?;
    let program = std::env::current_exe()?;
    let units = units(&config, &program);
    if install.print {
        for unit in &units {
            println!("# {}/{}\n{}", install.to.display(), unit.name, unit.text);
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
        println!("wrote {}", path.display());
    }
    if install.now {
        for timer in &old {
            systemctl(&["disable", "--now", timer])?;
        }
    }
    for timer in &old {
        let path = install.to.join(timer);
        std::fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        println!("removed {}", path.display());
    }
    let enabled: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).filter(|name| timer_job(name).is_some()).collect();
    if install.now {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "offsite-agent-resume.service"])?;
        if !enabled.is_empty() {
            systemctl(&[&["enable", "--now"], enabled.as_slice()].concat())?;
        }
    } else {
        println!(
            "now: systemctl daemon-reload && systemctl enable offsite-agent-resume.service && systemctl enable --now {}",
            enabled.join(" ")
        );
    }
    Ok(Exit::Fine)
}

/// Timers that an earlier `install` wrote for jobs that are no more, or have no time any more.
fn old_timers(folder: &Path, units: &[Unit]) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut old = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let gone = timer_job(&name).is_some() && units.iter().all(|unit| unit.name != name);
        if gone && std::fs::read_to_string(entry.path()).is_ok_and(|text| is_ours(&text)) {
            old.push(name);
        }
    }
    old.sort();
    Ok(old)
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let shown = format!("systemctl {}", arguments.join(" "));
    println!("{shown}");
    match Command::new("systemctl").args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} failed ({status})")),
        Err(error) => Err(format!("cannot start {shown}: {error}")),
    }
}
