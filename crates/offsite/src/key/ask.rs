//! Asking a person for secrets, without showing them.
//!
//! In order: the environment, for scripts; the terminal with the echo off; a line of standard input, for pipes. An interrupt at the terminal ends
//! the line as any other end does, and counts when the echo is on again: a process that it had ended would leave a shell that shows nothing.

use std::io::{self, BufRead, IsTerminal};

use offsite_repository::seal::RecoveryKey;
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

/// The recovery key as it was typed: from the variable `name`, or asked. It is printed in several lines, so lines are read until all its
/// characters are there; at a terminal an empty line ends it too. What came after the first line would else be run by the shell.
pub(super) fn recovery(what: &'static str, name: &str) -> Result<Zeroizing<String>, AskError> {
    let failed = |source| AskError::Read { what, source };
    if let Ok(value) = std::env::var(name) {
        return Ok(Zeroizing::new(value));
    }
    let typed = if io::stdin().is_terminal() {
        question(&format!("{what}, all of its lines: "), |typed| match RecoveryKey::typed(typed) {
            RecoveryKey::LENGTH.. => None,
            so_far => Some(format!("  {so_far} of {} characters; the next line, or an empty one to end: ", RecoveryKey::LENGTH)),
        })
    } else {
        piped(&mut io::stdin().lock())
    }
    .map_err(failed)?;
    if typed.trim().is_empty() { Err(AskError::Empty { what }) } else { Ok(typed) }
}

fn piped(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut typed = Zeroizing::new(String::new());
    while RecoveryKey::typed(&typed) < RecoveryKey::LENGTH && input.read_line(&mut typed)? > 0 {}
    Ok(typed)
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
    question(prompt, |_| None)
}

fn question(prompt: &str, more: impl Fn(&str) -> Option<String>) -> io::Result<Zeroizing<String>> {
    // In this order: what is typed as soon as the question stands there is neither shown nor lost.
    let quiet = Quiet::start()?;
    say::prompt(prompt);
    let typed = lines(&mut io::stdin().lock(), quiet.interrupt, more);
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

/// What is typed, line after line, as long as `more` has another prompt; up to an empty line, but for the first: it comes along with what is
/// pasted.
fn lines(input: &mut impl BufRead, interrupt: u8, more: impl Fn(&str) -> Option<String>) -> io::Result<Typed> {
    let mut all = Zeroizing::new(String::with_capacity(256));
    for line in 0.. {
        let Typed::Line(typed) = until(input, interrupt)? else { return Ok(Typed::Interrupted) };
        all.push_str(&typed);
        match more(&all) {
            Some(prompt) if line == 0 || !typed.trim().is_empty() => say::prompt(&format!("\n{prompt}")),
            _ => break,
        }
    }
    Ok(Typed::Line(all))
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
        // What was pasted beyond the answer is part of a secret, and the shell would run it. Nothing better can be done about a terminal
        // that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
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

    /// Its lines as `key paper` prints them, and nothing behind them is taken.
    #[test]
    fn a_recovery_key_is_all_of_its_lines() {
        let key = RecoveryKey::from_bytes([7; 32]);
        let rows: Vec<String> = key
            .groups()
            .chunks(5)
            .map(|row| format!("    {}\n", row.iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-")))
            .collect();
        let more = |typed: &str| (RecoveryKey::typed(typed) < RecoveryKey::LENGTH).then(String::new);
        for text in [rows.concat(), format!("\n{}", rows.concat()), format!("{key}\n"), key.to_string().replace('-', "\n") + "\n"] {
            let input = format!("{text}rm -r .\n");
            let mut rest = input.as_bytes();
            let Typed::Line(typed) = lines(&mut rest, 3, more).unwrap() else { panic!("{text}") };
            assert!(typed.parse::<RecoveryKey>().unwrap() == key && rest == b"rm -r .\n", "{text}");
            let mut rest = input.as_bytes();
            assert!(piped(&mut rest).unwrap().parse::<RecoveryKey>().unwrap() == key && rest == b"rm -r .\n", "{text}");
        }
        for (input, wanted) in [("ab\n\nc\n", "ab"), ("\nab\ncd\n", "abcd"), ("\n\nab\n", ""), ("", ""), ("ab", "ab")] {
            assert_eq!(lines(&mut input.as_bytes(), 3, more).unwrap(), Typed::Line(Zeroizing::new(wanted.to_owned())), "{input:?}");
        }
        assert_eq!(lines(&mut "abc\nd\u{3}e".as_bytes(), 3, more).unwrap(), Typed::Interrupted);
        assert_eq!(lines(&mut "abc\nde\n".as_bytes(), 3, |_| None).unwrap(), Typed::Line(Zeroizing::new("abc".to_owned())));
    }

    #[test]
    fn a_line_ends_before_its_newline_and_keeps_its_spaces() {
        for (input, wanted) in [("a b \n", "a b "), ("a\r\nb", "a"), ("", ""), ("no end", "no end")] {
            assert_eq!(*line(&mut input.as_bytes()).unwrap(), wanted);
        }
    }
}
