//! The conversation of `offsite init`, behind a trait: a terminal, nobody, or a test.
//!
//! A question never changes anything. Whoever stops answering leaves what was finished before the question, and `offsite init` goes on from
//! there: so an interrupt may come at any time. Only where the echo is off it is held back until it is on again (`key/ask.rs`).

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use crate::key::hidden;

#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// What is asked, without a mark at its end.
    pub text: &'a str,
    /// What counts if nothing is typed.
    pub proposal: Option<&'a str>,
    /// The option of the command line that answers it.
    pub flag: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the answers ended at the question {question:?}")]
    Ended { question: String },
    #[error("there is no terminal to ask at, and no {flag} was given: {question}")]
    Lacking { question: String, flag: &'static str },
    #[error("cannot ask: {question}")]
    Terminal { question: String, source: io::Error },
}

pub(super) trait Ask {
    /// Whether there is somebody who can do something and come back.
    fn person(&self) -> bool;
    fn say(&mut self, text: &str);
    /// An answer without spaces around it: what was typed, or the proposal. Never empty without an empty proposal.
    fn line(&mut self, question: &Question<'_>) -> Result<String, AskError>;
    /// As [`line`](Self::line), without showing what is typed.
    fn secret(&mut self, question: &Question<'_>) -> Result<Zeroizing<String>, AskError>;

    /// Yes or no.
    fn yes(&mut self, text: &str, proposal: bool, flag: &'static str) -> Result<bool, AskError> {
        loop {
            let proposal = Some(if proposal { "yes" } else { "no" });
            match self.line(&Question { text, proposal, flag })?.to_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("Please type yes or no."),
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Terminal;

impl Ask for Terminal {
    fn person(&self) -> bool {
        true
    }

    fn say(&mut self, text: &str) {
        say!("{text}");
    }

    fn line(&mut self, question: &Question<'_>) -> Result<String, AskError> {
        typed(question, &mut io::stdin().lock(), &mut io::stdout())
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<Zeroizing<String>, AskError> {
        let failed = |source| AskError::Terminal { question: question.text.to_owned(), source };
        let text = hidden(&format!("{}: ", question.text)).map_err(failed)?;
        if text.is_empty() { Err(AskError::Ended { question: question.text.to_owned() }) } else { Ok(text) }
    }
}

fn typed(question: &Question<'_>, input: &mut impl BufRead, output: &mut impl Write) -> Result<String, AskError> {
    let failed = |source| AskError::Terminal { question: question.text.to_owned(), source };
    let prompt = match question.proposal {
        Some("") => format!("{}: ", question.text),
        Some(proposal) => format!("{} [{proposal}]: ", question.text),
        None => format!("{}: ", question.text),
    };
    loop {
        write!(output, "{prompt}").and_then(|()| output.flush()).map_err(failed)?;
        let mut text = String::new();
        if input.read_line(&mut text).map_err(failed)? == 0 {
            // The shell's prompt shall not stand behind the question.
            writeln!(output).map_err(failed)?;
            return Err(AskError::Ended { question: question.text.to_owned() });
        }
        match (text.trim(), question.proposal) {
            ("", Some(proposal)) => return Ok(proposal.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}

/// Nobody: proposals count, and what has none must be said by an option.
#[derive(Debug)]
pub(super) struct Nobody;

impl Ask for Nobody {
    fn person(&self) -> bool {
        false
    }

    fn say(&mut self, text: &str) {
        say!("{text}");
    }

    fn line(&mut self, question: &Question<'_>) -> Result<String, AskError> {
        let lacking = || AskError::Lacking { question: question.text.to_owned(), flag: question.flag };
        question.proposal.map(str::to_owned).ok_or_else(lacking)
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<Zeroizing<String>, AskError> {
        Err(AskError::Lacking { question: question.text.to_owned(), flag: question.flag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(proposal: Option<&str>, input: &str) -> (Result<String, AskError>, String) {
        let mut output = Vec::new();
        let answer = typed(&Question { text: "Where", proposal, flag: "--where" }, &mut input.as_bytes(), &mut output);
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn an_empty_line_is_the_proposal_and_an_end_is_no_answer() {
        let (answer, shown) = ask(Some("here"), "\n");
        assert_eq!((answer.unwrap().as_str(), shown.as_str()), ("here", "Where [here]: "));
        assert_eq!(ask(Some("here"), " there \r\n").0.unwrap(), "there");
        assert_eq!(ask(None, "\n\nthere").0.unwrap(), "there");
        assert!(matches!(ask(Some("here"), "").0, Err(AskError::Ended { .. })));
        assert!(matches!(ask(None, "\n").0, Err(AskError::Ended { .. })));
    }

    #[test]
    fn nobody_takes_proposals_and_names_the_option_that_lacks() {
        let mut nobody = Nobody;
        assert_eq!(nobody.line(&Question { text: "Where", proposal: Some("here"), flag: "--where" }).unwrap(), "here");
        let error = nobody.line(&Question { text: "Where", proposal: None, flag: "--where" }).unwrap_err();
        assert_eq!(error.to_string(), "there is no terminal to ask at, and no --where was given: Where");
        assert!(nobody.yes("Go", true, "--go").unwrap() && !nobody.yes("Go", false, "--go").unwrap());
        assert!(nobody.secret(&Question { text: "Secret", proposal: None, flag: "--file" }).is_err());
    }
}
