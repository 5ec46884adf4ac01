//! The order of the conversation: the Pi, this Mac, a place for sealed copies, the first night, every night.
//!
//! Nothing is undone and nothing is done twice: a key, a host key, the configuration, a repository that are there are used. So whatever ends
//! this (an interrupt, a power cut, a no), the next `offsite init` uses what was made. Answers are kept from when the configuration is written.

use std::{collections::BTreeMap, fs, io, io::Write as _, path::Path, path::PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use offsite_archive::JobName;
use offsite_repository::ArchiveInfo;
use offsite_sftp::openssh::SshHost;
use zeroize::Zeroizing;

use super::{
    Args,
    address::{self, ACCOUNT, PiAddress},
    also,
    ask::{Ask, AskError, Question},
    destination::{self, Given},
    draft::Draft,
    login,
    meet::{self, Met},
    place, repository,
};
use crate::{
    config::{Config, Home, Pi},
    exit::Exit,
    globals::Globals,
    human::{ago, quoted, size},
    journal::Standing,
    key::{self, Desk, Key, KeyError},
    places::Reached,
    platform,
    state::State,
};

const PATH: &str = "/srv/backup/offsite";

pub(super) struct Talk<'a> {
    pub(super) ask: &'a mut dyn Ask,
    pub(super) globals: &'a Globals,
    pub(super) args: &'a Args,
    pub(super) home: Home,
    pub(super) path: PathBuf,
}

#[derive(Debug, Default, Clone, Copy)]
struct Stock {
    archives: usize,
    /// Of each job's newest archive together.
    newest: u64,
}

impl Talk<'_> {
    pub(super) async fn run(mut self) -> anyhow::Result<Exit> {
        let there = self.path.try_exists().with_context(|| format!("cannot look for the configuration {}", self.path.display()))?;
        let (config, stock) = if there { self.again().await? } else { self.first().await? };
        if !self.thorough() {
            self.next_steps(&config);
            return Ok(Exit::Fine);
        }
        let key = self.key(&config).await?;
        let first = self.first_night(&config, stock).await?;
        let every = self.every_night(&config).await?;
        Ok(key.worst(first).worst(every))
    }

    /// Whether to go through all of it, the Pi and the first night too: with a person, or told to.
    fn thorough(&self) -> bool {
        self.ask.person() || self.args.yes
    }

    fn meets(&self) -> bool {
        self.thorough() || self.args.fingerprint.is_some()
    }

    async fn again(&mut self) -> anyhow::Result<(Config, Option<Stock>)> {
        self.ask.say(&format!("kept  {}, which is there already", self.path.display()));
        if self.args.pi.is_some() || self.args.path.is_some() || self.args.repository.is_some() || self.args.given.destination.is_some() {
            self.ask.say("note: what it says counts, not the options of this command; edit it to change something");
        }
        let config = Config::load(&self.path, &self.home)?;
        let mut stock = None;
        if self.meets() {
            for pi in &config.pis {
                if let Met::Here(reached) = meet::meet(self.ask, &config, pi, self.args.fingerprint.as_deref(), false, false).await? {
                    stock = Some(self.look(pi, &reached).await?);
                }
            }
        } else {
            // Whoever lost the line for the Pi has it from here; whether it was pasted is not asked.
            config.pis.iter().filter(|pi| login::public(pi).is_some()).for_each(|pi| meet::show_line(self.ask, pi));
        }
        repository::open(self.ask, &config).await?;
        Ok((config, stock))
    }

    async fn first(&mut self) -> anyhow::Result<(Config, Option<Stock>)> {
        if self.ask.person() {
            self.ask.say(
                "This sets up the Mac's side: it makes a key for the Pi, a folder for the archives and a configuration, and runs a first\n\
                 night. Interrupt it whenever you like: what was made is kept, and the next offsite init uses it.\n",
            );
        }
        let mut draft = Draft::default();
        self.pi(&mut draft)?;
        draft.path = Some(self.agent_path(self.args.path.clone())?);
        draft.key = login::choose(self.ask, &self.home, self.args.key.as_ref())?;
        let stock = self.reach(&mut draft).await?;
        let expected = stock.map(|stock| stock.newest);
        draft.repository = Some(place::choose(self.ask, &self.home, self.args.repository.as_deref(), expected)?);
        self.destination(&mut draft).await?;
        // It is read as the daemon will read it, before it is there to be read.
        let text = draft.text();
        let config = Config::parse(&self.path, &text, &self.home)?;
        // Before the file, too: a folder that cannot be the repository may then be named anew.
        repository::open(self.ask, &config).await?;
        let written = write_new(&self.path, &text).with_context(|| format!("cannot write the configuration {}", self.path.display()))?;
        if !written {
            anyhow::bail!("{} was made by somebody else in the meantime, and is kept: run offsite init again", self.path.display());
        }
        self.ask.say(&format!("\nwrote {}", self.path.display()));
        Ok((config, stock))
    }

    fn pi(&mut self, draft: &mut Draft) -> anyhow::Result<()> {
        let address = match &self.args.pi {
            Some(address) => address.clone(),
            None => loop {
                let text = "The Pi, as USER@HOST, HOST:PORT, or as ~/.ssh/config calls it";
                let answer = self.ask.line(&Question { text, proposal: self.ask.person().then_some("offsite@pi.local"), flag: "--pi" })?;
                match answer.parse::<PiAddress>() {
                    Ok(address) => break address,
                    Err(problem) => self.ask.say(&format!("{problem}.")),
                }
            },
        };
        draft.pi = Some(address.clone());
        if address.user.is_some() {
            return Ok(());
        }
        if let Some(found) = account_of_ssh(&self.path, &self.home, draft)? {
            self.ask.say(&format!("ssh knows {}: {}@{} port {}.", address.host, found.user, found.host, found.port));
            draft.user_of_ssh = true;
            return Ok(());
        }
        let user = loop {
            let text = "Account on the Pi (offsite is made for this; or one that you have)";
            let answer = self.ask.line(&Question { text, proposal: Some(ACCOUNT), flag: "--pi" })?;
            match format!("{answer}@{}", address.host).parse::<PiAddress>() {
                Ok(PiAddress { user: Some(user), .. }) => break user,
                Ok(_) => {}
                Err(problem) => self.ask.say(&format!("{problem}.")),
            }
        };
        draft.pi = Some(PiAddress { user: Some(user), ..address });
        Ok(())
    }

    fn agent_path(&mut self, given: Option<String>) -> anyhow::Result<String> {
        match given {
            Some(path) => Ok(path),
            None => Ok(self.ask.line(&Question { text: "The agent's repository on the Pi", proposal: Some(PATH), flag: "--path" })?),
        }
    }

    async fn reach(&mut self, draft: &mut Draft) -> anyhow::Result<Option<Stock>> {
        let mut shown = false;
        loop {
            let config = Config::parse(&self.path, &draft.text(), &self.home)?;
            let Some(pi) = config.pis.first() else { return Ok(None) };
            // A key that was just made is let in by no Pi yet: no need to try first.
            if draft.key.is_some() && self.args.key != Some(login::LoginKey::Ssh) && !shown {
                meet::show_line(self.ask, pi);
                shown = true;
                if self.ask.person() {
                    let text = "Press Enter when it is done, or if it was done before";
                    self.ask.line(&Question { text, proposal: Some(""), flag: "--yes" })?;
                }
            }
            if !self.meets() {
                return Ok(None);
            }
            match meet::meet(self.ask, &config, pi, self.args.fingerprint.as_deref(), true, shown).await? {
                Met::Here(reached) => return Ok(Some(self.look(pi, &reached).await?)),
                Met::NotThere => draft.path = Some(self.agent_path(None)?),
            }
        }
    }

    async fn look(&mut self, pi: &Pi, reached: &Reached) -> anyhow::Result<Stock> {
        let archives = reached.repository.archives().await.with_context(|| format!("cannot list the archives of {}", pi.name))?;
        let mut jobs: BTreeMap<&JobName, Vec<&ArchiveInfo>> = BTreeMap::new();
        for info in &archives.good {
            jobs.entry(&info.name.job).or_default().push(info);
        }
        let mut stock = Stock { archives: archives.good.len(), newest: 0 };
        if jobs.is_empty() {
            self.ask.say(&format!("{} answers, and has no archive yet. On the Pi: sudo offsite-agent run JOB", pi.name));
        }
        let now = Timestamp::now();
        for (job, infos) in jobs {
            let Some(newest) = infos.iter().max_by_key(|info| info.sequence) else { continue };
            stock.newest = stock.newest.saturating_add(newest.end.bytes);
            self.ask.say(&format!(
                "{} answers: {} of {job}, the newest is {} of {} ({})",
                pi.name,
                infos.len(),
                newest.name,
                size(newest.end.bytes),
                ago(now.duration_since(newest.end.finished))
            ));
        }
        for unreadable in &archives.unreadable {
            self.ask.say(&format!("note: {} on {} cannot be read", unreadable.object, pi.name));
        }
        Ok(stock)
    }

    /// Asks where sealed copies go until that can be reached, or is nowhere.
    async fn destination(&mut self, draft: &mut Draft) -> anyhow::Result<()> {
        let mut given = self.args.given.clone();
        let mut written = Vec::new();
        loop {
            draft.cloud = destination::choose(self.ask, &self.home, &given, &mut written)?;
            given = Given::default();
            let parsed = Config::parse(&self.path, &draft.text(), &self.home);
            let config = match parsed {
                Err(error) if self.ask.person() && draft.cloud.is_some() => {
                    self.ask.say(&crate::hint::render(&error.into()));
                    continue;
                }
                parsed => parsed?,
            };
            let Some(cloud) = config.clouds.first().filter(|_| self.thorough()) else { return Ok(()) };
            let key = load_key(&config)?;
            if destination::reaches(self.ask, cloud, key.as_ref()).await? {
                return Ok(());
            }
        }
    }

    /// Makes the key of the sealed copies, if there is to be one and none that a cloud already has. A cloud that cannot be asked may have one:
    /// a second key would open nothing of what lies there, and the first would then be refused here.
    async fn key(&mut self, config: &Config) -> anyhow::Result<Exit> {
        if config.clouds.is_empty() || load_key(config)?.is_some() {
            return Ok(Exit::Fine);
        }
        let mut unknown = None;
        for cloud in &config.clouds {
            match destination::look(cloud, None).await {
                Ok(destination::There::Others(_)) => {
                    let back = self.command(&format!("key recover {}", cloud.name));
                    self.ask.say(&format!("note: {} holds sealed copies already; no key was made. Get theirs back: {back}", cloud.url));
                    return Ok(Exit::Fine);
                }
                Ok(_) => {}
                Err(error) => unknown = unknown.or(Some((cloud, error))),
            }
        }
        if let Some((cloud, error)) = unknown {
            let (again, new) = (self.command("init"), self.command("key new"));
            self.ask.say(&format!(
                "note: no key was made, because {} cannot be asked whether it holds sealed copies already, which need the key that they have:\n      {}\n\
                 when it can: {again}; if it never held any: {new}",
                cloud.url,
                crate::human::plain(&crate::hint::message(&error))
            ));
            return Ok(Exit::Incomplete);
        }
        self.ask.say("");
        key::make(config, None, &mut AtTheDesk(self.ask))
    }

    async fn first_night(&mut self, config: &Config, stock: Option<Stock>) -> anyhow::Result<Exit> {
        let fine = Standing::of(&State::at(&config.state).journal().read()?.receipts).last_fine;
        let nothing = stock.is_some_and(|stock| stock.archives == 0);
        let mut exit = Exit::Fine;
        if fine.is_none() && !nothing && !self.args.no_sync {
            self.ask.say("");
            if self.ask.yes("Run the first night now", true, "--no-sync")? {
                exit = also(self.globals, &["sync"]).await?;
            }
        }
        self.ask.say("");
        // What it shows is no failure of this command: an archive may be old, and nothing may have been run yet.
        also(self.globals, &["status"]).await?;
        Ok(exit)
    }

    async fn every_night(&mut self, config: &Config) -> anyhow::Result<Exit> {
        let root = rustix::process::geteuid().is_root();
        let by_sudo = platform::current().has_launchd() && !root;
        let command = self.command("install");
        if self.args.no_install {
            return Ok(Exit::Fine);
        }
        let text = format!("\nLet it run every night at {}", config.at);
        if !self.args.install && (!self.ask.person() || !self.ask.yes(&text, true, "--install")?) {
            self.ask.say(&format!("When it shall run every night: {}{command}", if by_sudo { "sudo " } else { "" }));
            return Ok(Exit::Fine);
        }
        if by_sudo {
            self.ask.say(&format!("That needs an administrator, once. Type:\n\n    sudo {command}\n"));
            return Ok(Exit::Fine);
        }
        also(self.globals, &["install"]).await
    }

    fn command(&self, verb: &str) -> String {
        let program = std::env::current_exe().map_or_else(|_| "offsite".to_owned(), |path| quoted(&path.to_string_lossy()));
        match &self.globals.config {
            Some(_) => format!("{program} --config {} {verb}", quoted(&self.path.to_string_lossy())),
            None => format!("{program} {verb}"),
        }
    }

    fn next_steps(&mut self, config: &Config) {
        let sudo = if platform::current().has_launchd() { "sudo " } else { "" };
        let command = |verb: &str| self.command(verb);
        let mut steps = vec![format!("look through {}", config.path.display())];
        steps.push(format!("trust the Pi's host key, and see whether it lets this Mac in: {}, at a terminal", command("init")));
        if !config.clouds.is_empty() && load_key(config).is_ok_and(|key| key.is_none()) {
            steps.push(format!("make the key of the sealed copies: {}", command("key new")));
        }
        steps.push(format!("run once and look: {}, then {}", command("sync"), command("status")));
        steps.push(format!("let it run every night: {sudo}{}", command("install")));
        let steps: Vec<_> = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}", at + 1)).collect();
        self.ask.say(&format!("\nnext:\n{}", steps.join("\n")));
    }
}

/// What ssh's own configuration says of the Pi of a draft that names no account, if it says who logs in there.
pub(super) fn account_of_ssh(path: &Path, home: &Home, draft: &Draft) -> anyhow::Result<Option<SshHost>> {
    let Some(address) = &draft.pi else { return Ok(None) };
    let parsed = Config::parse(path, &Draft { user_of_ssh: true, ..draft.clone() }.text(), home)?;
    let me = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
    Ok(parsed.pis.first().and_then(login::ssh).filter(|found| address::is_alias(address, Some(found), me.as_deref())))
}

fn load_key(config: &Config) -> Result<Option<Key>, KeyError> {
    match Key::load(&State::at(&config.state).key()) {
        Ok(key) => Ok(Some(key)),
        Err(KeyError::None { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

struct AtTheDesk<'a>(&'a mut dyn Ask);

impl Desk for AtTheDesk<'_> {
    fn person(&self) -> bool {
        self.0.person()
    }

    fn show(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.say(text);
        Ok(())
    }

    fn back(&mut self, question: &str) -> anyhow::Result<Zeroizing<String>> {
        let line: Result<String, AskError> = self.0.line(&Question { text: question, proposal: Some(""), flag: "--cloud" });
        Ok(Zeroizing::new(line?))
    }
}

/// Writes a file that does not exist yet; `false` if it does.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            fs::File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}
