//! `offsite config`: what the configuration means, in words, and its schema.
//!
//! `check` reads the file as the daemon does and changes nothing. What is legal and unwise is a note and no error: the owner may know better.

mod unwise;
mod words;

use std::{path::Path, time::Duration};

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};

pub(crate) use self::{
    unwise::{Ground, notes},
    words::words,
};
use crate::{
    config::{Config, Home, SCHEMA, TimeOfDay},
    exit::Exit,
    globals::Globals,
    install,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Read it, and say in words what it means and what is unwise; exits with 2 if it is wrong
    Check {
        /// Print one JSON object: the file, what is wrong with it, and the notes
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema, for editors
    Schema,
}

/// The system's programs are waited for no longer; a clock that they do not tell of is doctor's business.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(globals: &Globals, verb: &Verb) -> anyhow::Result<Exit> {
    let (text, exit) = match verb {
        Verb::Schema => (SCHEMA.to_owned(), Exit::Fine),
        &Verb::Check { json } => match globals.load() {
            Ok(config) => (check(&config, json).await?, Exit::Fine),
            Err(error) if json => (object(&globals.config_path()?, Some(error.to_string()), &[]), Exit::Usage),
            Err(error) => return Err(error.into()),
        },
    };
    crate::say::text(&text);
    Ok(exit)
}

async fn check(config: &Config, json: bool) -> anyhow::Result<String> {
    let home = Home::of_process_if_any();
    // It was read a moment ago; this is for what only the text shows.
    let source = std::fs::read_to_string(&config.path).with_context(|| format!("cannot read {}", config.path.display()))?;
    let ground = Ground { rings: rings(&home).await, ..Ground::of(config, &home) };
    let notes = notes(config, &source, &ground);
    if json {
        return Ok(object(&config.path, None, &notes));
    }
    let mut text = words(config, &home, Timestamp::now(), &TimeZone::system());
    for note in &notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    Ok(text)
}

async fn rings(home: &Home) -> Vec<TimeOfDay> {
    let home = home.clone();
    let asked = tokio::task::spawn_blocking(move || install::state(&home));
    let Ok(Ok(Ok(found))) = tokio::time::timeout(PATIENCE, asked).await else { return Vec::new() };
    found.iter().filter_map(install::Installed::at).collect()
}

fn object(path: &Path, error: Option<String>, notes: &[String]) -> String {
    let path = path.display().to_string();
    format!("{}\n", serde_json::json!({ "version": 1, "config": path, "error": error, "notes": notes }))
}
