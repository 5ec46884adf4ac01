//! `offsite-agent`: arguments to a command, a command's end to an exit code.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::process::ExitCode;

use clap::Parser;

#[macro_use]
mod say;

mod cli;
mod command;
mod exit;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        // The journal of systemd knows the time, and so does who sits before the terminal.
        .without_time()
        // Told on standard error by a call that panics where that takes nothing.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_max_level(if cli.quiet { tracing::Level::WARN } else { tracing::Level::INFO })
        .init();
    let done = match &cli.verb {
        Verb::Run(run) => command::run::run(&cli, run),
        Verb::Resume(resume) => command::resume::resume(&cli, resume),
        Verb::Check(check) => command::check::check(&cli, check),
        Verb::Archives(archives) => command::archives::archives(&cli, archives),
        Verb::Export(export) => command::export::run(&cli, export),
        Verb::Init => command::init::init(&cli),
        Verb::Install(install) => command::install::install(&cli, install),
        Verb::Uninstall(uninstall) => command::install::uninstall(&cli, uninstall),
    };
    match done {
        // What a run and a resume did is done, and their code says that; of the others what they say is all there is.
        Ok(exit) if matches!(cli.verb, Verb::Run(_) | Verb::Resume(_)) => exit.into(),
        Ok(exit) => match say::finish() {
            None => exit.into(),
            Some(error) => {
                note!("offsite-agent: cannot write to standard output: {error}");
                exit::Exit::Failed.into()
            }
        },
        Err(error) => {
            note!("offsite-agent: {}", offsite_agent::chain(error.as_ref()));
            if let Some(hint) = offsite_agent::hint(error.as_ref()) {
                note!("next: {hint}");
            }
            exit::Exit::of(error.as_ref()).into()
        }
    }
}
