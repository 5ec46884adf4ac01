//! `offsite config`: what the configuration means, in words, and its schema.
//!
//! `check` reads the file as the daemon does and changes nothing. What is legal and unwise is a note and no error: the owner may know better.

mod unwise;
mod words;

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};

pub use self::{
    unwise::{Ground, notes},
    words::words,
};
use crate::{
    cli::Globals,
    config::{Config, Home, SCHEMA},
    exit::Exit,
};

/// Arguments of `offsite config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Read it, and say in words what it means and what is unwise; exits with 2 if it is wrong
    Check,
    /// Print the JSON schema, for editors
    Schema,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let text = match args.verb {
        Verb::Schema => SCHEMA.to_owned(),
        Verb::Check => {
            let config = globals.load()?;
            let home = Home::of_process_if_any();
            // It was read a moment ago; this is for what only the text shows.
            let source = std::fs::read_to_string(&config.path).with_context(|| format!("cannot read {}", config.path.display()))?;
            check(&config, &source, &home)
        }
    };
    crate::say::text(&text);
    Ok(Exit::Fine)
}

fn check(config: &Config, source: &str, home: &Home) -> String {
    let mut text = words(config, home, Timestamp::now(), &TimeZone::system());
    for note in notes(config, source, &Ground::of(config, home)) {
        text.push_str(&format!("\nnote: {note}"));
    }
    if text.contains("\nnote: ") {
        text.push('\n');
    }
    text
}
