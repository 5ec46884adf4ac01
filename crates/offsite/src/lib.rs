//! The Mac's half of offsite: a daemon that pulls, keeps and pushes, and the command line around it.
//!
//! Decisions (what is owed, what looks wrong, what stands in the status) are pure functions of the configuration, the journal and the
//! clock; the verbs around them do the work. The journal is the memory: nothing counts as done before its receipt is on disk.

use std::process::ExitCode;

use clap::Parser;

pub mod accept;
pub mod archives;
pub mod awake;
pub mod browse;
pub mod cat;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod diff;
pub mod exit;
pub mod export;
pub mod find;
pub mod forget;
pub mod hint;
pub mod human;
pub mod init;
pub mod install;
pub mod journal;
pub mod key;
pub mod lock;
pub mod ls;
pub mod night;
pub mod owed;
pub mod places;
pub mod platform;
pub mod progress;
pub mod restore;
pub mod state;
pub mod status;
pub mod sync;
pub mod tripwire;
pub mod verify;

/// The program: reads the command line, runs the verb, prints an error with its next step.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start the asynchronous runtime")),
    };
    match runtime.block_on(cli.command.run(&cli.globals)) {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

/// Events go to standard error: warnings by default, what `OFFSITE_LOG` says otherwise.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("OFFSITE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second initialisation can only come from a test harness that has its own; ours then has nothing to add.
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).with_target(false).try_init();
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", hint::render(error));
    hint::exit(error).into()
}
