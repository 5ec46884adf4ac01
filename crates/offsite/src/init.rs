//! `offsite init`: from nothing to a first night, as a conversation or by options.
//!
//! Nothing that exists is overwritten, and what is there is used: so it can be interrupted at any question and run again. Without a terminal
//! nothing is asked: options answer, proposals stand, and without `--yes` it stops at the configuration and the Mac's repository. The file that
//! is written is the documentation of the configuration; a test reads it with the real parser.

mod address;
mod ask;
mod authorise;
mod destination;
mod draft;
mod login;
mod meet;
mod place;
mod repository;
mod talk;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    pin::Pin,
};

use anyhow::Context;
use clap::Parser;

pub(crate) use self::{address::PiAddress, ask::AskError, login::LoginKey, repository::RepositoryAway, trust::TrustError};
use self::{
    ask::{Ask, Nobody, Terminal},
    destination::Given,
    draft::Draft,
};
use crate::{cli::Cli, config::Home, exit::Exit, globals::Globals};

pub(crate) const EXAMPLE: &str = include_str!("init/offsite.example.yaml");

/// Arguments of `offsite init`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Args {
    /// Print the commented configuration, with what the other options say, and change nothing
    #[arg(long)]
    pub print: bool,
    /// The Pi: user@host, user@host:port, or as ~/.ssh/config calls it
    #[arg(long, value_name = "[USER@]HOST[:PORT]")]
    pub pi: Option<PiAddress>,
    /// The agent's repository on the Pi
    #[arg(long, value_name = "FOLDER")]
    pub path: Option<String>,
    /// Where the Mac's repository goes
    #[arg(long, value_name = "FOLDER")]
    pub repository: Option<PathBuf>,
    /// The key to log in with: `new` makes ~/.ssh/offsite_ed25519, `ssh` is what ssh would use, or a private key
    #[arg(long, value_name = "new|ssh|FILE")]
    pub key: Option<LoginKey>,
    /// Trust the Pi's host key without a question if this is its fingerprint
    #[arg(long = "host-key-fingerprint", value_name = "SHA256:...")]
    pub fingerprint: Option<String>,
    #[command(flatten)]
    pub given: Given,
    /// Ask nothing: take what is proposed, reach the Pi, run the first night
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Leave out the first night
    #[arg(long)]
    pub no_sync: bool,
    /// Let it run every night, without a question
    #[arg(long, conflicts_with = "no_install")]
    pub install: bool,
    /// Do not offer to let it run every night
    #[arg(long)]
    pub no_install: bool,
}

/// The configuration for these arguments: the example, with what was given in it.
pub(crate) fn configuration(args: &Args, home: &Home) -> anyhow::Result<String> {
    let key = match &args.key {
        Some(LoginKey::File(file)) => Some(file.clone()),
        Some(LoginKey::New) => Some(login::OWN.to_owned()),
        Some(LoginKey::Ssh) | None => None,
    };
    let mut draft = Draft {
        pi: args.pi.clone(),
        user_of_ssh: false,
        path: args.path.clone(),
        key,
        repository: args.repository.as_deref().map(|folder| folder.to_string_lossy().into_owned()),
        cloud: destination::choose(&mut Nobody, home, &args.given, &mut Vec::new())?,
    };
    // As the conversation does: the account is left to ssh only where ssh has one.
    if args.pi.as_ref().is_some_and(|pi| pi.user.is_none()) {
        draft.user_of_ssh = talk::account_of_ssh(&home.default_config(), home, &draft)?.is_some();
    }
    Ok(draft.text())
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let mut args = args.clone();
    args.repository = args.repository.as_deref().map(absolute).transpose().context("cannot tell the working folder")?;
    let home = Home::of_process()?;
    if args.print {
        crate::say::text(&configuration(&args, &home)?);
        return Ok(Exit::Fine);
    }
    let mut ask: Box<dyn Ask> = if io::stdin().is_terminal() && !args.yes { Box::new(Terminal) } else { Box::new(Nobody) };
    let path = std::path::absolute(globals.config_path()?).context("cannot tell the working folder")?;
    talk::Talk { ask: &mut *ask, globals, args: &args, home, path }.run().await
}

/// A tilde that the shell left alone is the configuration's to read.
fn absolute(folder: &Path) -> io::Result<PathBuf> {
    if folder.starts_with("~") { Ok(folder.to_owned()) } else { std::path::absolute(folder) }
}

/// Another verb, as if it was typed.
async fn also(globals: &Globals, words: &[&str]) -> anyhow::Result<Exit> {
    let cli = Cli::try_parse_from(["offsite"].iter().chain(words))?;
    // In a box, because that verb may be this one as far as the compiler can tell.
    let run: Pin<Box<dyn Future<Output = anyhow::Result<Exit>> + '_>> = Box::pin(cli.command.run(globals));
    run.await
}
