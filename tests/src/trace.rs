//! Running a program with a hand on each of its steps: at each system call it stands still, and the test looks, goes on, kills it, or
//! lets the call fail.
//!
//! Unlike `strace`, which counts calls for each thread, this sees all threads and all programs that it starts in one row, so "the
//! n-th change" is every change there is, whichever thread makes it. While a thread stands still nothing of the call is done yet; a
//! kill there leaves exactly what the calls before it made. No clock takes part.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _};
use std::process::Stdio;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{Cmd, Outcome, lacking};

mod calls;

pub use calls::Call;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is made.
    Go,
    /// It is not made: the program is killed. What it had started goes on.
    Kill,
    /// It is not made: the program is killed with all that it had started.
    KillAll,
    /// It is not made, and fails with this error.
    Fail(i32),
}

/// Whether calls can be made to fail on this machine; if not, says that the test is skipped. Killing works on all.
#[must_use]
pub fn can_fail() -> bool {
    cfg!(target_arch = "x86_64") || !lacking("failing system calls", "they can be had only on x86-64")
}

struct Traced {
    main: Pid,
    /// Those that are followed and have not ended.
    alive: HashSet<Pid>,
    /// Of each thread the process that it belongs to.
    threads: HashMap<Pid, Pid>,
    /// Threads in a call, with the error that it is to end with.
    inside: HashMap<Pid, Option<i32>>,
    started: bool,
    killed: bool,
    status: Option<(Option<i32>, Option<Signal>)>,
}

/// Runs `cmd` to the end of it and of all that it started, asking `then` about each call. The outcome's code is none if it was killed.
///
/// # Panics
/// If the program cannot be followed.
#[expect(clippy::zombie_processes, reason = "it is waited for as one that is followed")]
pub fn trace(cmd: Cmd, mut then: impl FnMut(&Call) -> Then) -> Outcome {
    // It waits until a hand is on it. Its output goes to files: a pipe that nobody reads meanwhile would stop it for ever.
    let mut command = cmd.under("sh", &["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).command();
    let line = format!("{command:?}");
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let child = command.spawn().unwrap_or_else(|e| panic!("cannot run {line}: {e}"));
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap());
    assert!(matches!(waitpid(main, Some(WaitPidFlag::WUNTRACED)).unwrap(), WaitStatus::Stopped(..)), "{line}");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options).unwrap();
    kill(main, Signal::SIGCONT).unwrap();
    let mut traced = Traced {
        main,
        alive: HashSet::from([main]),
        threads: HashMap::new(),
        inside: HashMap::new(),
        started: false,
        killed: false,
        status: None,
    };
    traced.follow(&mut then);
    let text = |file: &mut std::fs::File| {
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Outcome { line, code: traced.status.unwrap().0, out: text(&mut out), err: text(&mut err) }
}

impl Traced {
    fn follow(&mut self, then: &mut dyn FnMut(&Call) -> Then) {
        // Only what this thread follows: other tests of this process have children of their own.
        let which = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        while !self.alive.is_empty() || followed() {
            let (tid, signal) = match waitpid(None, Some(which)) {
                Err(Errno::EINTR) => continue,
                Err(error) => panic!("cannot wait: {error}"),
                Ok(WaitStatus::Exited(tid, code)) => {
                    self.ended(tid, (Some(code), None));
                    continue;
                }
                Ok(WaitStatus::Signaled(tid, signal, _)) => {
                    self.ended(tid, (None, Some(signal)));
                    continue;
                }
                Ok(WaitStatus::PtraceSyscall(tid)) => {
                    self.at_call(tid, then);
                    (tid, None)
                }
                Ok(WaitStatus::PtraceEvent(tid, _, event)) => {
                    self.started |= tid == self.main && event == libc::PTRACE_EVENT_EXEC;
                    (tid, None)
                }
                Ok(WaitStatus::Stopped(tid, signal)) => (tid, Some(signal)),
                Ok(_) => continue,
            };
            self.alive.insert(tid);
            match ptrace::syscall(tid, signal) {
                // It was killed while it stood still; its end is told later.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("cannot go on with {tid}: {error}"),
            }
        }
    }

    fn ended(&mut self, tid: Pid, how: (Option<i32>, Option<Signal>)) {
        self.alive.remove(&tid);
        self.threads.remove(&tid);
        self.inside.remove(&tid);
        if tid == self.main {
            self.status = Some(how);
        }
    }

    fn at_call(&mut self, tid: Pid, then: &mut dyn FnMut(&Call) -> Then) {
        if let Some(error) = self.inside.remove(&tid) {
            if let Some(error) = error {
                fail(tid, error);
            }
            return;
        }
        self.inside.insert(tid, None);
        if !self.started || self.killed {
            return;
        }
        let own = *self.threads.entry(tid).or_insert_with(|| process(tid)) == self.main;
        let Some(call) = calls::entering(tid, own) else { return };
        match then(&call) {
            Then::Go => {}
            Then::Kill => self.kill(&[self.main]),
            Then::KillAll => self.kill(&self.threads.values().copied().collect::<Vec<_>>()),
            Then::Fail(error) => {
                skip(tid);
                self.inside.insert(tid, Some(error));
            }
        }
    }

    fn kill(&mut self, who: &[Pid]) {
        self.killed = true;
        for process in who {
            // One of them may have ended by itself.
            let _ = kill(*process, Signal::SIGKILL);
        }
        let _ = kill(self.main, Signal::SIGKILL);
    }
}

/// Is anything followed by this thread that has not shown itself yet? A process that was being started when its parent was killed.
fn followed() -> bool {
    let us = format!("TracerPid:\t{}\n", nix::unistd::gettid());
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("status")));
    processes.filter_map(|status| std::fs::read_to_string(status).ok()).any(|status| status.contains(&us))
}

/// The process of a thread.
fn process(tid: Pid) -> Pid {
    let text = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let group = text.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    group.map_or(tid, Pid::from_raw)
}

/// Lets the kernel make no call at all.
#[cfg(target_arch = "x86_64")]
fn skip(tid: Pid) {
    let mut registers = ptrace::getregs(tid).unwrap();
    registers.orig_rax = u64::MAX;
    ptrace::setregs(tid, registers).unwrap();
}

/// What the program sees as the call's answer.
#[cfg(target_arch = "x86_64")]
fn fail(tid: Pid, error: i32) {
    let mut registers = ptrace::getregs(tid).unwrap();
    registers.rax = (-i64::from(error)) as u64;
    ptrace::setregs(tid, registers).unwrap();
}

#[cfg(not(target_arch = "x86_64"))]
fn skip(_: Pid) {
    panic!("calls can be made to fail only on x86-64");
}

#[cfg(not(target_arch = "x86_64"))]
fn fail(_: Pid, _: i32) {}
