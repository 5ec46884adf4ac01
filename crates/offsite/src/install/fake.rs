//! A launchd for tests: a state machine that answers as the real one does where its answers surprise.
//!
//! Codes and words are those of public logs: 3 for booting out what is not there, 5 for a bootstrap of what is there already, of what is
//! switched off and of a list with a bad owner or mode, 36 while a process ends, 37 for starting what runs, 113 for asking about nothing, 112 for
//! asking about a domain that does not exist, 125 for doing something in it. The mark "switched off" outlives everything.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Call, Domain, Ids, Label, Launchctl, Reply, Target};

#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) list: PathBuf,
    pub(super) program: String,
    pub(super) runs: u64,
    pub(super) running: bool,
    /// Pauses that it still takes to end, once told to.
    ending: Option<u32>,
}

pub(super) struct Fake {
    pub(super) domains: RefCell<BTreeSet<Domain>>,
    pub(super) jobs: RefCell<BTreeMap<Target, Loaded>>,
    pub(super) disabled: RefCell<BTreeSet<Target>>,
    pub(super) calls: RefCell<Vec<String>>,
    /// Pauses that a running process takes to end.
    pub(super) slow: Cell<u32>,
    /// System Settings, Login Items: what is off there cannot be enabled from here.
    pub(super) login_items_off: Cell<bool>,
    /// What booting out answers for a job that is not there: 3, or 5 on some systems.
    pub(super) absent: Cell<i32>,
    owner: Ids,
}

fn says(code: i32, err: &str) -> Reply {
    Reply { code, out: String::new(), err: err.to_owned() }
}

impl Fake {
    /// One where the owner is logged in; `owner` owns every list that may be loaded.
    pub(super) fn new(owner: Ids) -> Self {
        Self {
            domains: RefCell::new([Domain::System, Domain::Gui(owner.uid)].into()),
            jobs: RefCell::default(),
            disabled: RefCell::default(),
            calls: RefCell::default(),
            slow: Cell::new(0),
            login_items_off: Cell::new(false),
            absent: Cell::new(3),
            owner,
        }
    }

    pub(super) fn log_out(&self) {
        self.domains.borrow_mut().retain(|domain| *domain == Domain::System);
        self.jobs.borrow_mut().retain(|target, _| target.domain == Domain::System);
    }

    pub(super) fn loaded(&self) -> Vec<Label> {
        self.jobs.borrow().keys().map(|target| target.label).collect()
    }

    /// Of this verb, since the last time.
    pub(super) fn said(&self) -> Vec<String> {
        self.calls.take().into_iter().filter(|call| !call.starts_with("print")).collect()
    }

    fn bootstrap(&self, domain: Domain, list: &Path) -> Reply {
        let five = || says(5, "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.");
        if !self.domains.borrow().contains(&domain) {
            return says(125, "Bootstrap failed: 125: Domain does not support specified action");
        }
        let Some(keys) = plist::Value::from_file(list).ok().and_then(plist::Value::into_dictionary) else { return five() };
        let text = |key: &str| keys.get(key).and_then(plist::Value::as_string).map(str::to_owned);
        let (Some(label), Some(program)) = (text("Label"), text("Program")) else { return five() };
        let Some(label) = Label::ALL.into_iter().find(|known| known.as_str() == label) else { return five() };
        let target = Target { domain, label };
        let meta = list.symlink_metadata().unwrap();
        let trusted = meta.is_file() && meta.mode() & 0o022 == 0 && (meta.uid(), meta.gid()) == (self.owner.uid, self.owner.gid);
        let off = self.disabled.borrow().contains(&target) || self.login_items_off.get();
        if !trusted || off || self.jobs.borrow().contains_key(&target) {
            return five();
        }
        let running = keys.get("RunAtLoad").and_then(plist::Value::as_boolean).unwrap_or(false);
        let job = Loaded { list: list.to_owned(), program, runs: running.into(), running, ending: None };
        self.jobs.borrow_mut().insert(target, job);
        says(0, "")
    }

    fn bootout(&self, target: Target) -> Reply {
        if !self.domains.borrow().contains(&target.domain) {
            return says(125, "Boot-out failed: 125: Domain does not support specified action");
        }
        let mut jobs = self.jobs.borrow_mut();
        match jobs.get_mut(&target) {
            None => says(self.absent.get(), "Boot-out failed: 3: No such process"),
            Some(job) if job.running && self.slow.get() > 0 => {
                job.ending.get_or_insert(self.slow.get());
                says(36, "Boot-out failed: 36: Operation now in progress")
            }
            Some(_) => {
                jobs.remove(&target);
                says(0, "")
            }
        }
    }

    fn print(&self, target: Target) -> Reply {
        if !self.domains.borrow().contains(&target.domain) {
            return says(112, &format!("Could not find domain for {}", target.domain));
        }
        match self.jobs.borrow().get(&target) {
            None => says(113, &format!("Bad request.\nCould not find service \"{}\" in domain", target.label)),
            Some(job) => {
                let (state, pid) = if job.running { ("running", "\tpid = 4711\n") } else { ("not running", "") };
                let out = format!(
                    "{target} = {{\n\tpath = {}\n\tstate = {state}\n\n\tprogram = {}\n\truns = {}\n{pid}\tlast exit code = (never exited)\n}}",
                    job.list.display(),
                    job.program,
                    job.runs
                );
                Reply { code: 0, out, err: String::new() }
            }
        }
    }
}

impl Launchctl for Fake {
    fn call(&self, call: &Call) -> io::Result<Reply> {
        self.calls.borrow_mut().push(call.arguments().join(" "));
        Ok(match call {
            Call::Bootstrap(domain, list) => self.bootstrap(*domain, list),
            Call::Bootout(target) => self.bootout(*target),
            Call::Enable(target) => {
                self.disabled.borrow_mut().remove(target);
                says(0, "")
            }
            Call::Kickstart(target) => match self.jobs.borrow_mut().get_mut(target) {
                None => says(113, "Could not find service"),
                Some(job) if job.running => says(37, "Operation already in progress"),
                Some(job) => {
                    job.runs += 1;
                    job.running = true;
                    says(0, "")
                }
            },
            Call::Print(target) => self.print(*target),
            Call::PrintDisabled(domain) => {
                let marks = self.disabled.borrow();
                let lines: Vec<_> =
                    marks.iter().filter(|mark| mark.domain == *domain).map(|mark| format!("\t\"{}\" => disabled", mark.label)).collect();
                Reply { code: 0, out: format!("disabled services = {{\n{}\n}}", lines.join("\n")), err: String::new() }
            }
        })
    }

    fn pause(&self) {
        for job in self.jobs.borrow_mut().values_mut() {
            job.ending = job.ending.map(|left| left.saturating_sub(1));
        }
        self.jobs.borrow_mut().retain(|_, job| job.ending != Some(0));
    }
}
