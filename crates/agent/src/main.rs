//! `offsite-agent`: arguments to a command, a command's end to an exit code.

use std::process::ExitCode;

use clap::Parser;

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
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("offsite-agent: {}", offsite_agent::chain(error.as_ref()));
            if let Some(hint) = offsite_agent::hint(error.as_ref()) {
                eprintln!("next: {hint}");
            }
            exit::Exit::of(error.as_ref()).into()
        }
    }
}
