//! Killing a program at an exact place: right before it makes a certain system call on a certain folder.
//!
//! `strace` delivers the signal while the program is stopped at the call, so no clock takes part: what was done before the call is done,
//! the call itself is not. Calls are counted for each thread.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use crate::Cmd;

/// A place to be killed at.
#[derive(Debug, Clone)]
pub struct Kill {
    /// The system call, or several with commas between.
    pub call: &'static str,
    /// Files or folders that the call must touch; all if there is none.
    pub on: Vec<PathBuf>,
    /// The how-manieth such call of a thread, from 1.
    pub nth: u32,
}

impl Kill {
    /// Runs `cmd` until it is killed or, if it never comes to that place, to its end; `true` if it was killed.
    ///
    /// # Panics
    /// If it ended otherwise, with an exit code other than 0.
    #[must_use]
    #[track_caller]
    pub fn run(&self, cmd: Cmd) -> bool {
        // Without --seccomp-bpf, under which strace 6.1 delivers no signal.
        let mut args = ["-f", "-qq", "-o", "/dev/null"].map(str::to_owned).to_vec();
        args.extend(self.on.iter().flat_map(|path| ["-P".to_owned(), path.to_str().unwrap().to_owned()]));
        args.push(format!("--trace={}", self.call));
        args.push(format!("--inject={}:signal=KILL:when={}", self.call, self.nth));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut strace = cmd.under("strace", &args).command();
        let output = strace.output().unwrap();
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "{self:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        killed
    }
}
