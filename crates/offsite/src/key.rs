//! `offsite key`: the key of the sealed copies.
//!
//! `new` makes it once and shows the recovery key once; `paper` makes another recovery key for it; `recover` brings it to a new Mac with nothing
//! but such a paper and a cloud. The vault itself is created at the first push, from the slots kept beside the key, so making a key needs no network.

mod ask;
mod file;
mod paper;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
};

use anyhow::{Context, bail};
use offsite_repository::seal::{self, MasterKey, PassphraseCost, RecoveryKey, Slot, Unlock, VaultId};
use zeroize::Zeroizing;

pub(crate) use self::ask::hidden;
pub(crate) use self::paper::{keep, settle};
pub use self::{
    ask::AskError,
    file::{Key, KeyError},
};
use crate::{
    cloud,
    config::{Cloud, CloudUrl, Config, Credentials, PlaceName, without_user},
    exit::Exit,
    globals::Globals,
    state::State,
};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make the key and show its recovery key, once
    New {
        /// Also let a passphrase open it: asked twice, or from OFFSITE_PASSPHRASE, or a line of standard input
        #[arg(long)]
        passphrase: bool,
        /// Although a cloud holds copies that were sealed with a key that is gone from this Mac: they need that one for ever
        #[arg(long)]
        anew: bool,
    },
    /// Make another recovery key, show it once, and let it open every cloud: when the paper is lost
    Paper {
        /// Let the papers before it open nothing any more, once every cloud has the new one
        #[arg(long)]
        revoke_old: bool,
    },
    /// Show which vault the key is for and what opens it; no secret
    Show,
    /// Get the key back on a new Mac, from a cloud and the recovery key
    Recover {
        /// A cloud's name in the configuration, or file:///folder, or s3://bucket/prefix with AWS_… in the environment
        #[arg(value_name = "CLOUD")]
        cloud: String,
        /// With the passphrase instead: asked, or from OFFSITE_PASSPHRASE
        #[arg(long)]
        passphrase: bool,
        /// Another S3 server, for s3:// addresses
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// S3 region, for s3:// addresses
        #[arg(long)]
        region: Option<String>,
    },
}

const PASSPHRASE: (&str, &str) = ("passphrase", "OFFSITE_PASSPHRASE");
const RECOVERY: (&str, &str) = ("recovery key", "OFFSITE_RECOVERY_KEY");

pub async fn run(globals: &Globals, verb: &Verb) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    match verb {
        Verb::New { passphrase, anew } => new(&config, *passphrase, *anew),
        Verb::Paper { revoke_old } => paper::renew(&config, *revoke_old, &mut Console).await,
        Verb::Show => show(&config),
        Verb::Recover { cloud, passphrase, endpoint, region } => {
            let cloud = find(Some(&config), cloud, endpoint.as_deref(), region.as_deref())?;
            recover(&config, &cloud, *passphrase).await
        }
    }
}

/// The key of `config`; where it is gone, the error names a cloud that has it.
pub(crate) fn load(config: &Config) -> Result<Key, KeyError> {
    match Key::load(&State::at(&config.state).key()) {
        Err(KeyError::None { path }) => Err(match config.clouds.iter().find(|cloud| held(config, &cloud.name)) {
            Some(cloud) => KeyError::Gone { path, cloud: cloud.name.clone() },
            None => KeyError::None { path },
        }),
        loaded => loaded,
    }
}

/// Whether a push made a vault in `cloud`, as the journal knows. What cannot be read is not known; whoever writes to it says so.
pub(crate) fn held(config: &Config, cloud: &PlaceName) -> bool {
    State::at(&config.state).journal().standing().is_ok_and(|known| known.standing.held.contains_key(cloud))
}

fn new(config: &Config, passphrase: bool, anew: bool) -> anyhow::Result<Exit> {
    if let (Err(gone @ KeyError::Gone { .. }), false) = (load(config), anew) {
        return Err(gone.into());
    }
    let path = State::open(&config.state)?.key();
    if path.exists() {
        return Err(KeyError::Exists { path }.into());
    }
    let words = if passphrase { Some(ask::secret(PASSPHRASE.0, PASSPHRASE.1, true)?) } else { None };
    make(config, words.as_deref().map(String::as_str), &mut Console)
}

/// Where a key is made: who reads the recovery key there, and types it back.
pub(crate) trait Desk {
    fn person(&self) -> bool;
    fn show(&mut self, text: &str) -> anyhow::Result<()>;
    /// What is typed; what nobody types any more is an error, or empty.
    fn back(&mut self, question: &str) -> anyhow::Result<Zeroizing<String>>;
}

struct Console;

impl Desk for Console {
    fn person(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn show(&mut self, text: &str) -> anyhow::Result<()> {
        // Shown to nobody, a recovery key would be lost: here a reader that went away is a failure, too.
        let mut out = io::stdout();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    fn back(&mut self, question: &str) -> anyhow::Result<Zeroizing<String>> {
        crate::say::prompt(&format!("{question}: "));
        Ok(ask::line(&mut io::stdin().lock())?)
    }
}

/// Makes the key, and shows its recovery key once at `desk`. A key that is there stays.
pub(crate) fn make(config: &Config, passphrase: Option<&str>, desk: &mut dyn Desk) -> anyhow::Result<Exit> {
    let path = State::open(&config.state)?.key();
    if path.exists() {
        return Err(KeyError::Exists { path }.into());
    }
    let (vault, master) = (VaultId::random()?, MasterKey::random()?);
    let words = passphrase.map(|words| Slot::for_passphrase(vault, &master, words, PassphraseCost::default())).transpose()?;
    // Shown before the key exists: if it is lost now, nothing was sealed with it.
    let mut slots = vec![paper::write_down(desk, |recovery| Slot::for_recovery(vault, &master, recovery))?];
    slots.extend(words);
    Key { vault, master, slots, revoked: BTreeSet::new() }.save_new(&path).context(paper::USELESS)?;
    desk.show(&format!("The key of vault {vault} is in {}.", path.display()))?;
    desk.show("Without that file and without the paper, nobody can read the sealed copies, you included.")?;
    Ok(Exit::Fine)
}

/// Two different groups, from 0.
fn pick() -> anyhow::Result<[usize; 2]> {
    let random = getrandom::u64().context("cannot get randomness from the operating system")?;
    let groups = RecoveryKey::from_bytes([0; 32]).groups().len() as u64;
    let (first, step) = (random % groups, (random >> 32) % (groups - 1) + 1);
    let mut picked = [first as usize, ((first + step) % groups) as usize];
    picked.sort_unstable();
    Ok(picked)
}

/// Asks for two groups until both are right, three times at most: paper that was not written is no recovery.
fn ask_back(recovery: &RecoveryKey, picked: [usize; 2], desk: &mut dyn Desk) -> anyhow::Result<()> {
    let groups = recovery.groups();
    for _ in 0..3 {
        let typed = desk.back(&format!("From your paper, type group {} and group {}", picked[0] + 1, picked[1] + 1))?;
        let words: Vec<String> =
            typed.split(|char: char| char.is_whitespace() || char == '-').filter(|word| !word.is_empty()).map(str::to_uppercase).collect();
        if words.len() == 2 && words.iter().zip(picked).all(|(word, group)| *word == *groups[group]) {
            return Ok(());
        }
        desk.show("That is not what is shown above.")?;
    }
    bail!("the recovery key was not written down, so it was not put to use, and nothing was changed")
}

fn show(config: &Config) -> anyhow::Result<Exit> {
    let path = State::at(&config.state).key();
    let key = load(config)?;
    say!("vault  {}", key.vault);
    say!("key    {}", path.display());
    for slot in &key.slots {
        say!("slot   {}  opens with a {}", slot.id(), slot.kind());
    }
    Ok(Exit::Fine)
}

/// The cloud called `text`, or at it. Without a configuration only addresses are understood.
pub(crate) fn find(config: Option<&Config>, text: &str, endpoint: Option<&str>, region: Option<&str>) -> anyhow::Result<Cloud> {
    let clouds = config.map_or(&[][..], |config| &config.clouds);
    if let Some(cloud) = clouds.iter().find(|cloud| cloud.name.as_str() == text) {
        return Ok(cloud.clone());
    }
    let url: CloudUrl = text.parse().with_context(|| {
        let names: Vec<&str> = clouds.iter().map(|cloud| cloud.name.as_str()).collect();
        format!(
            "no cloud of the configuration is called {:?} ({})",
            without_user(text),
            if names.is_empty() { "it has none".to_owned() } else { names.join(", ") }
        )
    })?;
    if endpoint.is_some_and(|endpoint| endpoint.contains('@')) {
        bail!("an address has no user and no password in it: they belong into the environment");
    }
    Ok(Cloud {
        name: "given".parse::<PlaceName>()?,
        url,
        endpoint: endpoint.map(str::to_owned),
        region: region.map(str::to_owned),
        class: None,
        keep: std::num::NonZeroUsize::MIN,
        credentials: Credentials::Env,
    })
}

pub(crate) fn ask_recovery() -> anyhow::Result<RecoveryKey> {
    Ok(ask::recovery(RECOVERY.0, RECOVERY.1)?.parse()?)
}

pub(crate) fn ask_passphrase() -> Result<zeroize::Zeroizing<String>, AskError> {
    ask::secret(PASSPHRASE.0, PASSPHRASE.1, false)
}

async fn recover(config: &Config, cloud: &Cloud, passphrase: bool) -> anyhow::Result<Exit> {
    let path = State::open(&config.state)?.key();
    if path.exists() {
        return Err(KeyError::Exists { path }.into());
    }
    let store = cloud::open(cloud)?;
    let (vault, master) = if passphrase {
        let words = ask_passphrase()?;
        seal::unlock_vault(&*store, Unlock::Passphrase(&words)).await?
    } else {
        let recovery = ask_recovery()?;
        seal::unlock_vault(&*store, Unlock::Recovery(&recovery)).await?
    };
    let (slots, bad) = seal::slots(&*store).await?;
    // Damaged slots stay in the cloud; those that are whole and of this vault will begin further copies of it.
    let slots: Vec<Slot> = slots.into_iter().filter(|slot| *slot.vault() == vault).collect();
    Key { vault, master, slots, revoked: BTreeSet::new() }.save_new(&path)?;
    say!("The key of vault {vault} is back, in {}.", path.display());
    for slot in &bad {
        say!("note: key slot {} in {} is damaged: {}", slot.object, cloud.url, slot.error);
    }
    Ok(if bad.is_empty() { Exit::Fine } else { Exit::Incomplete })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Paper<'a>(std::str::Lines<'a>);

    impl Desk for Paper<'_> {
        fn person(&self) -> bool {
            true
        }

        fn show(&mut self, _: &str) -> anyhow::Result<()> {
            Ok(())
        }

        fn back(&mut self, _: &str) -> anyhow::Result<Zeroizing<String>> {
            Ok(Zeroizing::new(self.0.next().unwrap_or_default().to_owned()))
        }
    }

    #[test]
    fn two_groups_are_asked_back_and_a_slip_may_be_corrected() {
        let recovery = RecoveryKey::from_bytes([7; 32]);
        let groups = recovery.groups();
        let right = format!("{} {}\n", groups[3].to_lowercase(), groups[10].as_str());
        ask_back(&recovery, [3, 10], &mut Paper(right.lines())).unwrap();
        ask_back(&recovery, [3, 10], &mut Paper(format!("wrong\n\n{right}").lines())).unwrap();
        let swapped = format!("{} {}\n", groups[10].as_str(), groups[3].as_str());
        assert!(ask_back(&recovery, [3, 10], &mut Paper(swapped.repeat(3).lines())).is_err());
        assert!(ask_back(&recovery, [3, 10], &mut Paper("".lines())).is_err());
    }

    /// Takes the state folder away once the key was shown, as a disk does that is full just then.
    struct Trap(std::path::PathBuf);

    impl Desk for Trap {
        fn person(&self) -> bool {
            false
        }

        fn show(&mut self, _: &str) -> anyhow::Result<()> {
            Ok(std::fs::remove_dir_all(&self.0)?)
        }

        fn back(&mut self, _: &str) -> anyhow::Result<Zeroizing<String>> {
            unreachable!("nobody is asked")
        }
    }

    #[tokio::test]
    async fn a_paper_that_could_not_be_put_to_use_is_said_to_open_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("repository: {0}/r\nstate: {0}/state\npi: {{host: pi.invalid, user: u, path: /p}}\n", dir.path().display());
        let config = Config::parse(&dir.path().join("c.yaml"), &text, &crate::home::Home::at(dir.path())).unwrap();
        let mut trap = Trap(dir.path().join("state"));
        let made = make(&config, None, &mut trap).unwrap_err();
        let (vault, master) = (VaultId::from_bytes([1; 16]), MasterKey::from_bytes([2; 64]));
        let slots = vec![Slot::for_recovery(vault, &master, &RecoveryKey::from_bytes([3; 32])).unwrap()];
        let key = Key { vault, master, slots, revoked: BTreeSet::new() };
        key.save_new(&State::open(&config.state).unwrap().key()).unwrap();
        let renewed = paper::renew(&config, true, &mut trap).await.unwrap_err();
        for error in [made, renewed] {
            let said = crate::hint::render(&error);
            assert!(said.contains("the recovery key just shown opens nothing: destroy it") && said.contains("key.json"), "{said}");
        }
    }

    #[test]
    fn the_groups_asked_for_differ_and_exist() {
        let groups = RecoveryKey::from_bytes([0; 32]).groups().len();
        for _ in 0..200 {
            let [first, second] = pick().unwrap();
            assert!(first < second && second < groups);
        }
    }
}
