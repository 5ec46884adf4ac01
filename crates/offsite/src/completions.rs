//! `offsite completions SHELL` and `offsite man`: what a package installs beside the program, made from the command line itself, so that
//! neither can say anything else than `--help`.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_complete::Shell;

use crate::exit::Exit;

/// Arguments of `offsite completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite completions zsh  > ~/.zfunc/_offsite           with fpath+=~/.zfunc before compinit in ~/.zshrc
  offsite completions bash > ~/.local/share/bash-completion/completions/offsite
  offsite completions fish > ~/.config/fish/completions/offsite.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Arguments of `offsite man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite man | man -l -                   the first page
  offsite man --out /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write the pages of all verbs into this folder, instead of the first to standard output
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages into {}", folder.display())]
pub(crate) struct ManError {
    folder: PathBuf,
    source: io::Error,
}

pub(crate) async fn run(program: Command, args: &Args) -> anyhow::Result<Exit> {
    print(&script(args.shell, program));
    Ok(Exit::Fine)
}

pub(crate) async fn man(program: Command, args: &ManArgs) -> anyhow::Result<Exit> {
    match &args.out {
        Some(folder) => pages(folder, program)?,
        None => print(&page(program)?),
    }
    Ok(Exit::Fine)
}

fn print(bytes: &[u8]) {
    crate::say::text(&String::from_utf8_lossy(bytes));
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "offsite", &mut script);
    script
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

fn pages(folder: &Path, command: Command) -> Result<(), ManError> {
    let failed = |source| ManError { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_shell_completes_each_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell, Cli::command())).unwrap();
            for verb in ["status", "history", "restore"] {
                assert!(script.contains(verb), "{shell} {verb}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_each_verb_that_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        pages(&dir.path().join("man1"), Cli::command()).unwrap();
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let path = dir.path().join(format!("man1/offsite-{}.1", verb.get_name()));
            assert!(path.exists(), "{}", path.display());
        }
        let first = std::fs::read(dir.path().join("man1/offsite.1")).unwrap();
        assert!(String::from_utf8(first).unwrap().contains("offsite\\-status(1)"));
    }
}
