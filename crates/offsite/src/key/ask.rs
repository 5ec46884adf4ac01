//! Asking a person for secrets, without showing them.
//!
//! In order: the environment, for scripts; the terminal with the echo off; a line of standard input, for pipes. An interrupt at the terminal ends
//! the line as any other end does, and counts when the echo is on again: a process that it had ended would leave a shell that shows nothing.

use std::io::{self, BufRead, IsTerminal};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::say;

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot ask for the {what}")]
    Read { what: &'static str, source: io::Error },
    #[error("no {what} was given")]
    Empty { what: &'static str },
    #[error("the two {what}s differ")]
    Differ { what: &'static str },
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

pub(super) fn line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    input.read_line(&mut text)?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

pub(crate) fn hidden(prompt: &str) -> io::Result<Zeroizing<String>> {
    // In this order: what is typed as soon as the question stands there is neither shown nor lost.
    let quiet = Quiet::start()?;
    say::prompt(prompt);
    let typed = until(&mut io::stdin().lock(), quiet.interrupt);
    drop(quiet);
    say::prompt("\n");
    match typed? {
        Typed::Line(text) => Ok(text),
        Typed::Interrupted => {
            // As if nothing had held it back: whoever waits for us sees how we ended.
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)?;
            Err(io::ErrorKind::Interrupted.into())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Line(Zeroizing<String>),
    Interrupted,
}

/// What is typed up to the end of a line, which is not part of it, or up to the key that interrupts.
fn until(input: &mut impl BufRead, interrupt: u8) -> io::Result<Typed> {
    let mut typed = Zeroizing::new(Vec::new());
    loop {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let end = bytes.iter().position(|byte| *byte == b'\n' || *byte == interrupt);
        typed.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let (length, last) = (bytes.len(), end.map(|end| bytes[end]));
        input.consume(end.map_or(length, |end| end + 1));
        match last {
            Some(byte) if byte == interrupt => return Ok(Typed::Interrupted),
            None if length > 0 => {}
            _ => return line(&mut typed.as_slice()).map(Typed::Line),
        }
    }
}

/// Echo is off while this lives, and the key that interrupts ends a line.
struct Quiet {
    before: Termios,
    interrupt: u8,
}

impl Quiet {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let interrupt = before.special_codes[SpecialCodeIndex::VINTR];
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before, interrupt })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_ends_what_is_typed_and_is_no_part_of_it() {
        let typed = |text: &str| until(&mut io::BufReader::with_capacity(2, text.as_bytes()), 3).unwrap();
        let line = |text: &str| Typed::Line(Zeroizing::new(text.to_owned()));
        for (input, wanted) in [("a b \nc", "a b "), ("abc\r\n", "abc"), ("", ""), ("no end", "no end")] {
            assert_eq!(typed(input), line(wanted), "{input:?}");
        }
        assert_eq!((typed("\u{3}"), typed("abc\u{3}d\n")), (Typed::Interrupted, Typed::Interrupted));
    }

    #[test]
    fn a_line_ends_before_its_newline_and_keeps_its_spaces() {
        for (input, wanted) in [("a b \n", "a b "), ("a\r\nb", "a"), ("", ""), ("no end", "no end")] {
            assert_eq!(*line(&mut input.as_bytes()).unwrap(), wanted);
        }
    }
}
