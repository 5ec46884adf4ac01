//! The Mac's half of offsite: a daemon that pulls, keeps and pushes, and the command line around it.
//!
//! Decisions (what is owed, what looks wrong, what stands in the status) are pure functions of the configuration, the journal and the
//! clock; the verbs around them do the work. The journal is the memory: nothing counts as done before its receipt is on disk.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// A library for the program and its tests alone: a comment says what a name and a message do not.
#![allow(missing_docs, reason = "no crate is built on this one")]

use std::process::ExitCode;

use clap::Parser;

// First, because the others say things with its macros.
#[macro_use]
mod say;

mod accept;
mod archives;
mod awake;
mod browse;
mod cat;
mod cli;
pub mod clocks;
mod cloud;
mod completions;
pub mod config;
mod configuration;
pub mod daemon;
mod demo;
mod diff;
mod doctor;
mod drill;
mod exit;
mod export;
mod find;
mod fit;
mod forget;
mod globals;
mod hint;
mod history;
mod home;
mod human;
mod init;
mod install;
pub mod journal;
pub mod key;
pub mod live;
pub mod lock;
mod log;
mod ls;
mod newest;
pub mod night;
mod notices;
pub mod notify;
mod out;
pub mod owed;
mod places;
pub mod platform;
mod progress;
mod restore;
pub mod state;
pub mod status;
mod sync;
pub mod tripwire;
mod uninstall;
mod verify;

/// The program: reads the command line, runs the verb, prints an error with its next step.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if !matches!(cli.command, cli::Command::Man(_)) {
        // What is made here holds the Pi's keys and databases, whoever makes it: a person at a terminal, or the daemon, whose job says the same.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    log::start(&cli.globals, cli.command.night());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start the asynchronous runtime")),
    };
    let ended = runtime.block_on(cli.command.run(&cli.globals));
    // What a verb has given up may sit in a system call on a thread of its own, and must not keep us: nobody waits for what it does.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match ended.and_then(|exit| Ok(say::finish().map(|()| exit)?)) {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    note!("{}", hint::render(error));
    hint::exit(error).into()
}
