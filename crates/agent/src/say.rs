//! What verbs say, on standard output and standard error.
//!
//! Invariant: what cannot be said ends nothing that is being done. `println!` and `eprintln!` panic when nobody reads any more (`| head`, a
//! journal that died), which could end a night; so they are denied in this crate. What standard error does not take is lost: there is
//! nowhere else to say so. The first line that standard output does not take is known at the end ([`finish`]).

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    sync::OnceLock,
};

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}

/// A line on standard error.
macro_rules! note {
    ($($text:tt)*) => { $crate::say::aside(format_args!($($text)*)) };
}

/// Why standard output takes nothing any more.
static STOPPED: OnceLock<io::Error> = OnceLock::new();

/// After the first failure nothing more is tried: text with a hole in it is worse than text that ends.
pub(crate) fn line(line: Arguments<'_>) {
    if STOPPED.get().is_none() {
        let mut out = io::stdout();
        if let Err(error) = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
            let _ = STOPPED.set(error);
        }
    }
}

pub(crate) fn aside(line: Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Why not all was said, if not because a reader had read enough.
pub(crate) fn finish() -> Option<&'static io::Error> {
    STOPPED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
