//! `offsite init`: a first configuration, and the Mac's repository.
//!
//! Nothing that exists is overwritten: a configuration that is there is kept and only its repository is made. The file that is written is
//! the documentation of the configuration; a test reads it with the real parser.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use offsite_repository::{Layout, LocalStore, Repository};

use crate::{
    cli::Globals,
    config::{CloudUrl, Config},
    exit::Exit,
    platform,
};

/// The commented configuration, with every key.
pub const EXAMPLE: &str = include_str!("init/offsite.example.yaml");

/// Arguments of `offsite init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the commented configuration and change nothing
    #[arg(long)]
    pub print: bool,
    /// The Pi, as user@host or user@host:port
    #[arg(long, value_name = "USER@HOST")]
    pub pi: Option<PiAddress>,
    /// Where the Mac's repository goes
    #[arg(long, value_name = "FOLDER")]
    pub repository: Option<PathBuf>,
}

/// Where a Pi is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PiAddress {
    /// The pulling account.
    pub user: String,
    /// Its host.
    pub host: String,
    /// Its SSH port, where it is not 22.
    pub port: Option<u16>,
}

impl std::str::FromStr for PiAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "a Pi is given as user@host or user@host:port";
        let (user, host) = text.split_once('@').ok_or(wanted)?;
        let (host, port) = match host.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wanted)?)),
            None => (host, None),
        };
        // They go into YAML unquoted.
        let good = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char));
        if good(user) && good(host) && port != Some(0) {
            Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
        } else {
            Err(wanted)
        }
    }
}

/// The configuration for these arguments: the example, with what was given in it.
pub fn configuration(args: &Args) -> String {
    let mut text = EXAMPLE.to_owned();
    if let Some(pi) = &args.pi {
        text = text.replace("host: pi.local", &format!("host: {}", pi.host)).replace("user: offsite", &format!("user: {}", pi.user));
        if let Some(port) = pi.port {
            text = text.replace("# port: 22", &format!("port: {port}"));
        }
    }
    if let Some(folder) = &args.repository {
        // JSON's string is YAML's, whatever is in it.
        let quoted = serde_json::Value::from(folder.to_string_lossy()).to_string();
        text = text.replace("repository: ~/Backups/offsite", &format!("repository: {quoted}"));
    }
    text
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let args = &Args {
        print: args.print,
        pi: args.pi.clone(),
        repository: args.repository.as_deref().map(std::path::absolute).transpose().context("cannot tell the working folder")?,
    };
    let text = configuration(args);
    if args.print {
        print!("{text}");
        return Ok(Exit::Fine);
    }
    let path = globals.config_path()?;
    if write_new(&path, &text).with_context(|| format!("cannot write the configuration {}", path.display()))? {
        println!("wrote {}", path.display());
    } else {
        println!("kept  {}, which is there already", path.display());
    }
    let config = globals.load()?;
    make_repository(&config).await?;
    next_steps(&config);
    Ok(Exit::Fine)
}

/// Writes a file that does not exist yet; `false` if it does.
fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

async fn make_repository(config: &Config) -> anyhow::Result<()> {
    let store = LocalStore::create(&config.repository)?;
    let repository = Repository::open_or_create(Arc::new(store), Layout::Packs).await?;
    if repository.layout() != Layout::Packs {
        anyhow::bail!("{} is a repository of another kind: {}", config.repository.display(), repository.layout());
    }
    println!("the Mac's repository is {}", config.repository.display());
    if let Some(advice) = platform::leave_out(&config.repository) {
        println!("note: {advice}");
    }
    Ok(())
}

fn next_steps(config: &Config) {
    println!("\nnext:");
    println!("  1. look through {}", config.path.display());
    for pi in &config.pis {
        println!(
            "  2. trust the Pi's host key: ssh-keyscan {}{} >> {}  (compare it with the Pi's own)",
            pi.port.map(|port| format!("-p {port} ")).unwrap_or_default(),
            pi.host,
            pi.known_hosts.as_deref().unwrap_or(Path::new("~/.ssh/known_hosts")).display()
        );
    }
    if config.clouds.iter().any(|cloud| matches!(cloud.url, CloudUrl::S3 { .. } | CloudUrl::File(_))) {
        println!("  3. make the key of the sealed copies: offsite key new");
    }
    println!("  4. run once and look: offsite sync, then offsite status");
    println!("  5. let it run every night: offsite install");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Home;

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
    fn what_was_given_is_in_it() {
        let args =
            Args { print: false, pi: Some("me@10.0.0.5:2222".parse().unwrap()), repository: Some("/Volumes/a: \"b\"/offsite".into()) };
        let config = parse(&configuration(&args));
        assert_eq!((config.pis[0].user.as_deref(), config.pis[0].host.as_str(), config.pis[0].port), (Some("me"), "10.0.0.5", Some(2222)));
        assert_eq!(config.repository, Path::new("/Volumes/a: \"b\"/offsite"));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for text in ["pi.local", "@pi", "a@", "a@b:x", "a@b:0", "a b@c", "a@b: c"] {
            assert!(text.parse::<PiAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_configuration_that_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/offsite.yaml");
        assert!(write_new(&path, "first").unwrap());
        assert!(!write_new(&path, "second").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }
}
