//! One run of a command: its whole output, a limit of time, and nothing of it left behind.
//!
//! The child is in a process group of its own, so that a Ctrl-C which stops the agent does not also cut short the `down` or `up`
//! that the agent is waiting for; and so that, when it takes too long, it can be killed with all that it started.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// What became of a command that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot start {command}: {source}")]
    Start {
        /// The program.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its output or its end could not be had.
    #[error("cannot follow {command}: {source}")]
    Follow {
        /// The program.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with another status than success.
    #[error("{command} failed ({status}): {said}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        said: String,
        /// Its whole standard error.
        errors: Vec<u8>,
        /// Its whole standard output.
        output: Vec<u8>,
    },
    /// It took too long and was killed.
    #[error("{command} did not end within {seconds} s and was killed: {said}")]
    Late {
        /// The program with its arguments.
        command: String,
        /// The limit.
        seconds: u64,
        /// The end of what it wrote to standard error.
        said: String,
    },
}

/// Runs `command` with `input` as its standard input until it ends, `limit` at most. Returns its standard output.
pub(crate) fn output(command: &mut Command, input: Stdio, limit: Duration) -> Result<Vec<u8>, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| CommandError::Start { command: program.clone(), source })?;
    let follow = |source| CommandError::Follow { command: program.clone(), source };
    let (sender, receiver) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|err| Box::new(err) as _)];
    for (number, stream) in streams.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stream.map_or(Ok(0), |mut stream| stream.read_to_end(&mut bytes));
            // Nobody listens any more when the command was too late.
            drop(sender.send((number, read.map(|_| bytes))));
        });
    }
    let end = Instant::now() + limit;
    let mut texts = [Vec::new(), Vec::new()];
    let mut late = false;
    for _ in 0..texts.len() {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((number, read)) => texts[number] = read.map_err(follow)?,
            Err(_) => late = true,
        }
    }
    if late {
        // The group is still there: its leader has not been waited for.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait().map_err(follow)?;
    let command = || {
        std::iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let [out, err] = texts;
    match (late, status.success()) {
        (true, _) => Err(CommandError::Late { command: command(), seconds: limit.as_secs(), said: tail(&err) }),
        (false, false) => Err(CommandError::Failed { command: command(), status, said: tail(&err), errors: err, output: out }),
        (false, true) => Ok(out),
    }
}

/// The last lines of `text` in one line: the cause stands at the end, progress before it.
fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = lines[lines.len().saturating_sub(4)..].join("; ");
    if said.is_empty() { "it said nothing".into() } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Vec<u8>, CommandError> {
        output(Command::new("sh").args(["-c", script]), Stdio::null(), limit)
    }

    #[test]
    fn gives_output_or_the_end_of_what_was_said() {
        let minute = Duration::from_secs(60);
        assert_eq!(sh("echo out; echo err >&2", minute).unwrap(), b"out\n");
        let error = sh("echo 1 >&2; echo 2 >&2; echo 3 >&2; echo 4 >&2; echo why >&2; exit 7", minute).unwrap_err().to_string();
        assert!(error.ends_with("failed (exit status: 7): 2; 3; 4; why"), "{error}");
        let error = output(&mut Command::new("/no/such/docker"), Stdio::null(), minute).unwrap_err().to_string();
        assert_eq!(error, "cannot start /no/such/docker: No such file or directory (os error 2)");
    }

    #[test]
    fn kills_what_does_not_end_with_all_that_it_started() {
        // The inner shell stops itself for ever and holds the output open; only a kill of the whole group ends this test.
        let error = sh("sh -c 'kill -STOP $$' & wait", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, CommandError::Late { .. }), "{error}");
    }
}
