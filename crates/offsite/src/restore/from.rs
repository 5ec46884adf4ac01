//! Where data comes back from: the Mac's repository, or a cloud that is named or addressed, with whatever key is left.
//!
//! On a bad day there may be no configuration, no key file and no Mac; then an address and the recovery key are enough. A folder that holds a
//! repository in the clear (the Mac's on another disk, the Pi's pulled out of it) is opened as it is.

use std::{fmt, io, path::PathBuf, str::FromStr, sync::Arc};

use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use offsite_repository::{
    Repository, RepositoryError,
    seal::{InvalidRecoveryKey, RecoveryKey, SealedOptions, Unlock, VaultError, open_vault},
};
use zeroize::Zeroizing;

use crate::{
    cloud,
    config::{Cloud, CloudUrl, Config, ConfigError, PlaceName},
    globals::Globals,
    journal::Standing,
    key::{self, Key},
    live::Live,
    lock::Lock,
    places,
    state::State,
};

/// Which place to read, and what opens it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct From {
    /// Read a cloud instead of this Mac's repository: its name in the configuration, or file:///folder, or s3://bucket/prefix with AWS_…
    /// in the environment
    #[arg(long, value_name = "CLOUD")]
    pub from: Option<String>,
    /// Open the cloud with the recovery key instead of the key file: `-` asks for it or takes OFFSITE_RECOVERY_KEY, and @FILE reads it. The
    /// key itself works too, but every account here sees it in ps, and it stays in the shell's history
    #[arg(long, value_name = "-|@FILE|KEY", requires = "from", conflicts_with = "passphrase")]
    pub recovery_key: Option<Given>,
    /// Open the cloud with the passphrase: asked, or from OFFSITE_PASSPHRASE
    #[arg(long, requires = "from")]
    pub passphrase: bool,
    /// Another S3 server, for s3:// addresses
    #[arg(long, value_name = "URL", requires = "from")]
    pub endpoint: Option<String>,
    /// S3 region, for s3:// addresses
    #[arg(long, requires = "from")]
    pub region: Option<String>,
}

/// How the recovery key is given. Its `Debug` does not show it.
#[derive(Clone)]
pub(crate) enum Given {
    Ask,
    File(PathBuf),
    Key(Zeroizing<String>),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask => f.write_str("Ask"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Key(_) => f.write_str("Key(…)"),
        }
    }
}

impl FromStr for Given {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Ask,
            None => Self::Key(Zeroizing::new(text.to_owned())),
        })
    }
}

impl Given {
    fn load(&self) -> anyhow::Result<RecoveryKey> {
        match self {
            Self::Ask => key::ask_recovery(),
            Self::Key(text) => Ok(text.parse().map_err(FromError::Recovery)?),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| FromError::RecoveryFile { path: path.clone(), source })?;
                Ok(Zeroizing::new(text).trim().parse().map_err(FromError::Recovery)?)
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FromError {
    #[error("cannot read the recovery key {}", path.display())]
    RecoveryFile { path: PathBuf, source: io::Error },
    #[error("cannot use the recovery key")]
    Recovery(#[source] InvalidRecoveryKey),
    #[error("{place} is sealed, and there is no configuration that names a key file")]
    Locked { place: String },
    #[error("cannot open {place}")]
    Vault { place: String, source: VaultError },
    #[error("cannot open {place}")]
    Repository { place: String, source: RepositoryError },
    #[error("cannot reach {place}")]
    Reach { place: String, source: object_store::Error },
}

#[derive(Debug)]
pub(crate) struct Opened {
    pub repository: Repository,
    /// What people call it: `this Mac`, a cloud's name, an address.
    pub label: String,
    /// Its name, where it has one.
    pub place: Option<PlaceName>,
    /// The folder it lies in, where it is one.
    pub folder: Option<PathBuf>,
    /// The configuration, where there is one.
    pub config: Option<Config>,
    /// What the journal says; nothing without a configuration.
    pub standing: Standing,
}

impl Opened {
    /// Tells for whoever looks that `verb` is at work now, as long as what is given back lives; only where there is a state folder to tell it in.
    pub(crate) fn tell(&self, verb: &str) -> Option<Live> {
        let config = self.config.as_ref()?;
        Some(Live::begin(&State::at(&config.state), verb, Timestamp::now()))
    }

    /// Keeps what the Mac's repository holds from going, as long as what is given back lives: a night would forget the oldest archive under the
    /// one who needs it most. Nothing for another place, or where nobody can lock.
    pub(crate) fn reading(&self) -> Option<Lock> {
        let (config, folder) = (self.config.as_ref()?, self.folder.as_ref()?.canonicalize().ok()?);
        let ours = config.repository.canonicalize().is_ok_and(|repository| repository == folder);
        ours.then(|| State::at(&config.state).reading()).flatten()
    }
}

/// Opens the place that `from` means. Only an address needs no configuration.
///
/// # Errors
/// When the configuration is wrong or wanted and missing, when the place cannot be reached, or what was given does not open it.
pub(crate) async fn open(globals: &Globals, from: &From) -> anyhow::Result<Opened> {
    let Some(text) = &from.from else {
        let config = globals.load()?;
        let mac = places::mac(&config).await?;
        let standing = standing(&config)?;
        let folder = Some(config.repository.clone());
        return Ok(Opened {
            repository: mac.repository,
            label: "this Mac".to_owned(),
            place: Some(PlaceName::mac()),
            folder,
            config: Some(config),
            standing,
        });
    };
    let config = match globals.load() {
        Ok(config) => Some(config),
        // An address is complete in itself; a name is not.
        Err(_) if text.parse::<CloudUrl>().is_ok() => None,
        Err(error) => return Err(missing(error, text)),
    };
    let cloud = key::find(config.as_ref(), text, from.endpoint.as_deref(), from.region.as_deref())?;
    let known = config.as_ref().is_some_and(|config| config.clouds.iter().any(|known| known.name == cloud.name));
    let label = if known { cloud.name.to_string() } else { cloud.url.to_string() };
    let repository = unlock(config.as_ref(), &cloud, known, &label, from).await?;
    let folder = cloud.url.folder().cloned();
    let standing = config.as_ref().map(standing).transpose()?.unwrap_or_default();
    Ok(Opened { repository, label, place: known.then_some(cloud.name), folder, config, standing })
}

async fn unlock(config: Option<&Config>, cloud: &Cloud, known: bool, label: &str, from: &From) -> anyhow::Result<Repository> {
    let place = || label.to_owned();
    let vault = |source| FromError::Vault { place: place(), source };
    let options = SealedOptions::default();
    if let Some(given) = &from.recovery_key {
        let (recovery, store) = (given.load()?, cloud::open(cloud)?);
        return Ok(open_vault(store, Unlock::Recovery(&recovery), &options).await.map_err(vault)?);
    }
    if from.passphrase {
        let (words, store) = (key::ask_passphrase()?, cloud::open(cloud)?);
        return Ok(open_vault(store, Unlock::Passphrase(&words), &options).await.map_err(vault)?);
    }
    if let (Some(config), true) = (config, known) {
        return Ok(places::cloud(config, cloud, false).await?);
    }
    let store = cloud::open(cloud)?;
    if is_clear(&store, label).await? {
        return Ok(Repository::open(store).await.map_err(|source| FromError::Repository { place: place(), source })?);
    }
    let Some(config) = config else { return Err(FromError::Locked { place: place() }.into()) };
    let key = Key::load(&State::at(&config.state).key())?;
    Ok(open_vault(store, Unlock::Master(&key.master), &options).await.map_err(vault)?)
}

async fn is_clear(store: &Arc<dyn ObjectStore>, label: &str) -> Result<bool, FromError> {
    match store.head(&Path::from("repository.json")).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(source) => Err(FromError::Reach { place: label.to_owned(), source }),
    }
}

fn standing(config: &Config) -> anyhow::Result<Standing> {
    Ok(Standing::of(&State::at(&config.state).journal().read()?.receipts))
}

fn missing(error: ConfigError, text: &str) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("{text:?} is no address of a cloud, and without a configuration no name of one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_is_given_in_three_ways_and_shown_in_none() {
        let given = |text: &str| text.parse::<Given>().unwrap();
        assert!(matches!(given("-"), Given::Ask));
        assert!(matches!(given("@/paper"), Given::File(path) if path.as_os_str() == "/paper"));
        assert!(matches!(given("ABC-DEF"), Given::Key(_)));
        assert!(!format!("{:?}", given("ABC-DEF")).contains("ABC"));
    }

    #[test]
    fn a_key_file_may_end_with_a_newline() {
        let dir = tempfile::tempdir().unwrap();
        let key = RecoveryKey::from_bytes([9; 32]);
        let text = key.groups().iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-");
        std::fs::write(dir.path().join("paper"), format!("{text}\n")).unwrap();
        assert!(Given::File(dir.path().join("paper")).load().unwrap() == key);
        let error = Given::File(dir.path().join("none")).load().unwrap_err();
        assert!(error.to_string().contains("cannot read the recovery key"), "{error}");
    }
}
