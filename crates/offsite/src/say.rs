//! What verbs say, on standard output and standard error.
//!
//! Invariant: what cannot be said never ends what is being done. `println!` and `eprintln!` panic when a disk is full behind a redirection, or
//! when whoever read has gone, which would end a night before its receipts; so they are denied in this crate, and these stand in for them.
//! What standard error does not take is lost: there is nowhere else to say so. What standard output does not take is known at the end
//! ([`finish`]), except that a reader who has read enough (`| head`) is no failure, and changes no exit code.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::out::OutError;

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}

/// A line on standard error.
macro_rules! note {
    ($($text:tt)*) => { $crate::say::aside(format_args!($($text)*)) };
}

/// A line of a night on standard output, unless the log is where it goes.
macro_rules! report {
    ($($text:tt)*) => { $crate::say::reported(format_args!($($text)*)) };
}

/// A line of a night on standard error, unless the log is where it goes.
macro_rules! alarm {
    ($($text:tt)*) => { $crate::say::alarmed(format_args!($($text)*)) };
}

/// Why standard output takes nothing any more.
static STOPPED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Whether what a night says is in the log, too.
static LOGGED: AtomicBool = AtomicBool::new(false);

/// Says `text` on standard output as it is.
pub(crate) fn text(text: &str) {
    let mut stopped = STOPPED.lock().unwrap_or_else(PoisonError::into_inner);
    put(&mut stopped, &mut io::stdout(), text);
}

pub(crate) fn line(line: Arguments<'_>) {
    text(&format!("{line}\n"));
}

/// After the first failure nothing more is tried: text with a hole in it is worse than text that ends.
fn put(stopped: &mut Option<io::Error>, out: &mut impl Write, text: &str) {
    if stopped.is_none() {
        *stopped = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
    }
}

/// Says `text` on standard error as it is, without an end of line.
pub(crate) fn prompt(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

pub(crate) fn aside(line: Arguments<'_>) {
    prompt(&format!("{line}\n"));
}

pub(crate) fn reported(said: Arguments<'_>) {
    if !LOGGED.load(Ordering::Relaxed) || io::stdout().is_terminal() {
        line(said);
    }
}

pub(crate) fn alarmed(said: Arguments<'_>) {
    if !LOGGED.load(Ordering::Relaxed) || io::stderr().is_terminal() {
        aside(said);
    }
}

/// Tells whether there is a log that has what a night says. launchd never turns over the file that it keeps of what the daemon prints, so
/// that is for what nothing else has; a terminal gets it either way.
pub(crate) fn logged(is: bool) {
    LOGGED.store(is, Ordering::Relaxed);
}

/// Whether standard output takes nothing any more, so that who would say more without end need not.
pub(crate) fn stopped() -> bool {
    STOPPED.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// How saying it all ended.
///
/// # Errors
/// If standard output did not take something, and not because nobody reads it any more.
pub(crate) fn finish() -> Result<(), OutError> {
    ended(STOPPED.lock().unwrap_or_else(PoisonError::into_inner).take())
}

fn ended(stopped: Option<io::Error>) -> Result<(), OutError> {
    match stopped {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(OutError::Write(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Small(Vec<u8>, usize, ErrorKind);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1 - self.0.len());
            self.0.extend(&bytes[..taken]);
            if taken == 0 { Err(self.2.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_not_taken_is_known_at_the_end_and_a_reader_that_went_is_no_failure() {
        for (kind, good) in [(ErrorKind::StorageFull, false), (ErrorKind::BrokenPipe, true)] {
            let (mut out, mut stopped) = (Small(Vec::new(), 6, kind), None);
            ["one\n", "two\n", "3\n"].iter().for_each(|text| put(&mut stopped, &mut out, text));
            assert_eq!(out.0, b"one\ntw", "nothing more after what was cut off");
            assert_eq!(ended(stopped).is_ok(), good, "{kind:?}");
        }
        assert!(ended(None).is_ok());
    }
}
