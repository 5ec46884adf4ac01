//! Whether services that run again are well: the health checks of their compose files, and addresses that have to answer.
//!
//! Addresses are asked by `curl`, an external program as docker is: the agent links no TLS and trusts what the system and the owner's
//! authority say. Health is awaited with a limit and ends in sentences, never in an error: what to do about services that are up but
//! not well is for the caller (decision 14).

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    cancel::Cancel,
    config,
    engine::{self, CommandError, Container, Engine, Health},
    ledger::{Checks, Project},
    plan,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// One address gets so long to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Asks one address.
pub(crate) trait Probe: Sync {
    /// Whether `url` answers with success (2xx or 3xx), its certificate being good, that of `ca` included.
    ///
    /// Errors: one sentence that says why not.
    fn ask(&self, url: &config::Url, ca: Option<&Path>) -> Result<(), String>;

    /// Whether addresses can be asked at all, `ca` being readable.
    ///
    /// Errors: one sentence that says why not.
    fn ready(&self, ca: Option<&Path>) -> Result<String, String>;
}

/// The `curl` command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Curl;

impl Probe for Curl {
    fn ask(&self, url: &config::Url, ca: Option<&Path>) -> Result<(), String> {
        let mut command = Command::new("curl");
        // --disable first: somebody's .curlrc must not decide what is well.
        command.args(["--disable", "--silent", "--show-error", "--globoff", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        command.args(["--proto", "=http,https", "--max-time", &ANSWER.as_secs().to_string()]);
        if let Some(ca) = ca {
            command.arg("--cacert").arg(ca);
        }
        command.args(["--url", url.as_str()]);
        // Longer than curl's own limit: curl says why.
        match engine::output(&mut command, Stdio::null(), ANSWER + Duration::from_secs(5)) {
            Ok(code) if matches!(code.first(), Some(b'2' | b'3')) => Ok(()),
            Ok(code) => Err(format!("{url} answers with {}", String::from_utf8_lossy(&code))),
            Err(CommandError::Failed { errors, status, .. }) => {
                // The cause stands in curl's first line; advice follows it.
                let errors = String::from_utf8_lossy(&errors);
                let said = errors.lines().map(str::trim).find(|line| !line.is_empty());
                Err(format!("{url} does not answer: {}", said.map_or_else(|| status.to_string(), str::to_owned)))
            }
            Err(error) => Err(format!("{url} cannot be asked: {error}")),
        }
    }

    fn ready(&self, ca: Option<&Path>) -> Result<String, String> {
        let said = engine::output(Command::new("curl").args(["--disable", "--version"]), Stdio::null(), ANSWER);
        let said = said.map_err(|error| format!("the addresses of \"health\" cannot be asked: {error}: install curl"))?;
        if let Some(ca) = ca {
            std::fs::File::open(ca).map_err(|error| format!("the certificate {} of \"ca\" cannot be read: {error}", ca.display()))?;
        }
        Ok(String::from_utf8_lossy(&said).split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }
}

/// Whether there is anything to wait for.
pub(crate) fn is_checked(checks: &Checks, projects: &[Project], containers: &[Container]) -> bool {
    !checks.urls.is_empty() || projects.iter().any(|project| members(project, containers).any(|container| container.health.is_some()))
}

/// The running containers of the services that `project` brings back; those in a restart loop are not waited for.
fn members<'a>(project: &'a Project, containers: &'a [Container]) -> impl Iterator<Item = &'a Container> {
    containers.iter().filter(|container| {
        container.compose.as_ref().is_some_and(|compose| {
            let awaited = |name: &str| project.services.iter().any(|service| service.name == name && !service.restarting);
            !compose.oneoff && compose.project == project.name && awaited(&compose.service)
        })
    })
}

/// What of `projects` is not well, each as one sentence: pure.
pub(crate) fn unwell(projects: &[Project], containers: &[Container]) -> Vec<String> {
    let of = |project: &Project| {
        let said = members(project, containers).filter_map(|container| {
            let is = match container.health {
                Some(Health::Unhealthy) => "is unhealthy",
                Some(Health::Starting) => "is not healthy yet",
                Some(Health::Healthy) | None => return None,
            };
            Some(format!("container {} of project {} {is}", container.name, project.name))
        });
        plan::lacking(project, containers).into_iter().chain(said).collect::<Vec<_>>()
    };
    projects.iter().flat_map(of).collect()
}

/// Waits until all is well, until `checks` say that it took too long, or until somebody wants us to stop. Returns what is not well.
pub(crate) fn wait(engine: &dyn Engine, probe: &dyn Probe, checks: &Checks, projects: &[Project], cancel: &Cancel) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(checks.wait);
    loop {
        let found = look(engine, probe, checks, projects);
        if found.is_empty() || cancel.is_set() || Instant::now() >= end {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}

fn look(engine: &dyn Engine, probe: &dyn Probe, checks: &Checks, projects: &[Project]) -> Vec<String> {
    let mut found = match engine.containers() {
        Ok(containers) => unwell(projects, &containers),
        Err(error) => vec![format!("it is not known whether services are healthy: {error}")],
    };
    // An address of services that are not healthy yet is not asked: it would only use up its time.
    if found.is_empty() {
        found.extend(checks.urls.iter().filter_map(|url| probe.ask(url, checks.ca.as_deref()).err()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answers, Fake, project};

    #[test]
    fn only_running_and_healthy_is_well() {
        let engine = Fake::new(&["a", "b"]);
        let projects = [project("a"), project("b")];
        let says = |health: &[Health]| {
            *engine.health.lock().unwrap() = health.to_vec();
            let containers = engine.containers().unwrap();
            (is_checked(&Checks::default(), &projects, &containers), unwell(&projects, &containers))
        };
        assert_eq!(says(&[]), (false, Vec::new()));
        assert_eq!(says(&[Health::Healthy]), (true, Vec::new()));
        assert_eq!(says(&[Health::Starting]).1.len(), 2);
        assert_eq!(says(&[Health::Unhealthy]).1[0], "container a-x-1 of project a is unhealthy");
        // Another project's health is not ours, and one that was in a restart loop before is not waited for.
        assert_eq!(unwell(&[project("c")], &engine.containers().unwrap()), ["service x of project c runs 0 of 1 containers"]);
        let mut looping = project("a");
        looping.services[0].restarting = true;
        assert_eq!(unwell(&[looping], &engine.containers().unwrap()), [""; 0]);
    }

    #[test]
    fn a_wish_to_stop_ends_the_wait_with_what_is_not_well() {
        let engine = Fake::new(&["a"]);
        *engine.health.lock().unwrap() = vec![Health::Starting];
        let cancel = Cancel::default();
        cancel.set();
        let checks = Checks { wait: 3600, ..Checks::default() };
        assert_eq!(wait(&engine, &Answers(Ok(())), &checks, &[project("a")], &cancel).len(), 1);
    }
}
