//! Asking a person for secrets, without showing them.
//!
//! In order: the environment, for scripts; the terminal with the echo off; a line of standard input, for pipes.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// A secret that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The terminal or the pipe failed.
    #[error("cannot ask for the {what}")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nothing was typed.
    #[error("no {what} was given")]
    Empty {
        /// What was asked for.
        what: &'static str,
    },
    /// The two did not agree.
    #[error("the two {what}s differ")]
    Differ {
        /// What was asked for.
        what: &'static str,
    },
}

/// The secret called `what`: from the variable `name`, or asked; twice on a terminal if `twice`.
pub(super) fn secret(what: &'static str, name: &str, twice: bool) -> Result<Zeroizing<String>, AskError> {
    let failed = |source| AskError::Read { what, source };
    let secret = match std::env::var(name) {
        Ok(value) => Zeroizing::new(value),
        Err(_) if io::stdin().is_terminal() => {
            let first = hidden(&format!("{what}: ")).map_err(failed)?;
            if twice && *first != *hidden(&format!("{what} again: ")).map_err(failed)? {
                return Err(AskError::Differ { what });
            }
            first
        }
        Err(_) => line(&mut io::stdin().lock()).map_err(failed)?,
    };
    if secret.is_empty() { Err(AskError::Empty { what }) } else { Ok(secret) }
}

/// A line without its end.
pub(super) fn line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    input.read_line(&mut text)?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

/// A line that is not shown while it is typed.
pub(crate) fn hidden(prompt: &str) -> io::Result<Zeroizing<String>> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let _quiet = Quiet::start()?;
    let text = line(&mut io::stdin().lock());
    eprintln!();
    text
}

/// Echo is off while this lives.
struct Quiet(Termios);

impl Quiet {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_before_its_newline_and_keeps_its_spaces() {
        for (input, wanted) in [("a b \n", "a b "), ("a\r\nb", "a"), ("", ""), ("no end", "no end")] {
            assert_eq!(*line(&mut input.as_bytes()).unwrap(), wanted);
        }
    }
}
