//! The command line: only the list. Each verb's arguments live with the verb.

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    accept, archives, cat, completions, configuration, daemon, demo, diff, doctor, drill, exit::Exit, export, find, forget,
    globals::Globals, history, init, install, key, log, ls, notices, notify, restore, status, sync, uninstall, verify,
};

/// Pulls archives from the Pi, keeps copies on this Mac, pushes sealed copies to the cloud.
#[derive(Debug, Parser)]
#[command(name = "offsite", version, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Settle what is owed, then end; launchd starts this
    Daemon(daemon::Args),
    /// Pull, keep and push now
    Sync(sync::Args),
    /// Check everything that a night needs, and say what to do about what is not well
    Doctor(doctor::Args),
    /// Show on one screen whether the copies are there, fresh and verified
    Status(status::Args),
    /// Show the nights: one line each, and what went wrong
    History(history::Args),
    /// List archives
    Archives(archives::Args),
    /// List what a folder of an archive holds
    Ls(ls::Args),
    /// Find files by name, and the archives in which they changed
    Find(find::Args),
    /// Write one file of an archive to standard output
    Cat(cat::Args),
    /// Show what changed between two archives of a job
    Diff(diff::Args),
    /// Read back copies and check every frame
    Verify(verify::Args),
    /// Write an archive as a plain .tar.zst
    Export(export::Args),
    /// Extract an archive or some of its paths
    Restore(restore::Args),
    /// Rehearse a restore: compare what comes back with what was archived, and throw it away
    Drill(drill::Args),
    /// Confirm that a suspicious archive is as it should be
    Accept(accept::Args),
    /// Drop archives by name
    Forget(forget::Args),
    /// Make, show or recover the key of the sealed copies
    #[command(subcommand)]
    Key(key::Verb),
    /// Set up this Mac step by step: key, host key, repository, configuration, first night
    Init(init::Args),
    /// Say what the configuration means, or print its schema
    #[command(subcommand)]
    Config(configuration::Verb),
    /// Make the system start the daemon, from boot on
    Install(install::Args),
    /// Remove what starts the daemon; copies, configuration and journal stay
    Uninstall(uninstall::Args),
    /// Try the ways in which the owner is told
    Notify(notify::Args),
    /// Show what the daemon could not show without a screen
    Notices(notices::Args),
    /// Print what makes a shell complete offsite's words
    Completions(completions::Args),
    /// Print the manual page, or write the pages of all verbs
    Man(completions::ManArgs),
    /// Show a whole night on made-up data, in a temporary folder
    Demo(demo::Args),
}

impl Command {
    pub(crate) fn night(&self) -> Option<log::By> {
        match self {
            Self::Daemon(_) => Some(log::By::System),
            Self::Sync(_) => Some(log::By::Person),
            _ => None,
        }
    }

    pub(crate) async fn run(&self, globals: &Globals) -> anyhow::Result<Exit> {
        match self {
            Self::Daemon(args) => daemon::run(globals, args).await,
            Self::Sync(args) => sync::run(globals, args).await,
            Self::Doctor(args) => doctor::run(globals, args).await,
            Self::Status(args) => status::run(globals, args).await,
            Self::History(args) => history::run(globals, args).await,
            Self::Archives(args) => archives::run(globals, args).await,
            Self::Ls(args) => ls::run(globals, args).await,
            Self::Find(args) => find::run(globals, args).await,
            Self::Cat(args) => cat::run(globals, args).await,
            Self::Diff(args) => diff::run(globals, args).await,
            Self::Verify(args) => verify::run(globals, args).await,
            Self::Export(args) => export::run(globals, args).await,
            Self::Restore(args) => restore::run(globals, args).await,
            Self::Drill(args) => drill::run(globals, args).await,
            Self::Accept(args) => accept::run(globals, args).await,
            Self::Forget(args) => forget::run(globals, args).await,
            Self::Key(args) => key::run(globals, args).await,
            Self::Init(args) => init::run(globals, args).await,
            Self::Config(args) => configuration::run(globals, args).await,
            Self::Install(args) => install::run(globals, args).await,
            Self::Uninstall(args) => uninstall::run(globals, args).await,
            Self::Notify(args) => notify::run(globals, args).await,
            Self::Notices(args) => notices::run(globals, args).await,
            Self::Completions(args) => completions::run(Cli::command(), args).await,
            Self::Man(args) => completions::man(Cli::command(), args).await,
            Self::Demo(args) => demo::run(globals, args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
