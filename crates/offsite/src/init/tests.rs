//! The example, and somebody who answers. Whole conversations are in `tests/first_minutes.rs` and in the stories.

use std::{cell::RefCell, collections::VecDeque, fs, path::Path, rc::Rc};

use zeroize::Zeroizing;

use super::{ask::Question, talk::write_new, *};
use crate::config::Config;

/// Somebody who answers from a list and remembers what was said and asked. When the list is over, the terminal is closed.
#[derive(Default)]
pub(super) struct Scripted {
    answers: VecDeque<String>,
    said: Rc<RefCell<String>>,
}

impl Scripted {
    pub(super) fn answers(answers: &[&str]) -> Self {
        Self { answers: answers.iter().map(|answer| (*answer).to_owned()).collect(), said: Rc::default() }
    }

    pub(super) fn said(&self) -> String {
        self.said.borrow().clone()
    }

    fn next(&mut self, question: &Question<'_>) -> Result<String, AskError> {
        self.said.borrow_mut().push_str(&format!("? {} [{}]\n", question.text, question.proposal.unwrap_or("-")));
        let answer = self.answers.pop_front().ok_or_else(|| AskError::Ended { question: question.text.to_owned() })?;
        Ok(if answer.is_empty() { question.proposal.unwrap_or_default().to_owned() } else { answer })
    }
}

impl Ask for Scripted {
    fn person(&self) -> bool {
        true
    }

    fn say(&mut self, text: &str) {
        self.said.borrow_mut().push_str(&format!("{text}\n"));
    }

    fn line(&mut self, question: &Question<'_>) -> Result<String, AskError> {
        self.next(question)
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<Zeroizing<String>, AskError> {
        self.next(question).map(Zeroizing::new)
    }
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("offsite.yaml"), text, &Home::at(Path::new("/home/owner"))).unwrap()
}

#[test]
fn the_example_is_valid_and_says_the_defaults() {
    let config = parse(EXAMPLE);
    let short = parse("repository: ~/Backups/offsite\npi: {host: pi.local, user: offsite, path: /srv/backup/offsite}\n");
    assert_eq!(config, short);
}

#[test]
fn every_line_that_is_commented_out_is_valid_too() {
    // Values are behind "# ", prose behind "## ".
    let all: String = EXAMPLE
        .lines()
        .filter(|line| !line.trim_start().starts_with("##"))
        .map(|line| format!("{}\n", line.replacen("# ", "", 1)))
        .collect();
    let config = parse(&all);
    assert_eq!((config.clouds.len(), config.jobs.len()), (2, 1));
    assert!(config.clouds[0].class.is_some() && config.clouds[0].endpoint.is_some());
}

#[test]
fn what_was_given_is_printed() {
    let home = Home::at(Path::new("/home/owner"));
    let args = Args {
        pi: Some("me@10.0.0.5:2222".parse().unwrap()),
        repository: Some("/Volumes/a: \"b\"/offsite".into()),
        key: Some(LoginKey::New),
        given: Given { destination: Some("file:///Volumes/disk/offsite".parse().unwrap()), ..Given::default() },
        ..Args::default()
    };
    let config = parse(&configuration(&args, &home).unwrap());
    assert_eq!((config.pis[0].user.as_deref(), config.pis[0].host.as_str(), config.pis[0].port), (Some("me"), "10.0.0.5", Some(2222)));
    assert_eq!((config.repository.as_path(), config.clouds.len()), (Path::new("/Volumes/a: \"b\"/offsite"), 1));
    assert_eq!(configuration(&Args::default(), &home).unwrap(), EXAMPLE);
}

#[test]
fn a_configuration_that_is_there_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/offsite.yaml");
    assert!(write_new(&path, "first").unwrap());
    assert!(!write_new(&path, "second").unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
}
