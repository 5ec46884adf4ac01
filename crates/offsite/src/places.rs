//! The three kinds of place, opened: the Mac's folder, a Pi over SFTP, a cloud as a vault.
//!
//! Opening never makes anything that could hide a loss: a folder that is not there may be an unmounted disk, and a cloud that is suddenly
//! empty is an alarm, not a new beginning. Only a cloud that was never pushed to gets a new vault.

mod addresses;
mod reach;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use object_store::path::Path;
use offsite_archive::JobName;
use offsite_repository::{
    Layout, LocalError, LocalStore, Repository, RepositoryError,
    seal::{SealedOptions, Unlock, VaultError, create_vault, open_vault},
};
use offsite_sftp::{SftpError, SftpStore, Target};

use crate::{
    cloud::{self, CloudError},
    config::{Cloud, Config, Pi, PlaceName},
    key::{self, KeyError},
    state::State,
};
use addresses::Addresses;

#[derive(Debug, Clone)]
pub(crate) struct Mac {
    pub local: LocalStore,
    pub repository: Repository,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot open the repository {}", path.display())]
    Folder { path: PathBuf, source: LocalError },
    #[error("cannot open the repository {}", path.display())]
    Repository { path: PathBuf, source: RepositoryError },
    #[error("{} is a repository of layout {layout}, the Mac's has the layout packs", path.display())]
    Layout { path: PathBuf, layout: Layout },
    #[error("cannot reach {pi} ({host})")]
    Reach { pi: PlaceName, host: String, source: SftpError },
    #[error("cannot open the repository {path} on {pi}")]
    Pi { pi: PlaceName, path: String, source: RepositoryError },
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("cannot open the cloud {cloud}")]
    Key { cloud: PlaceName, source: KeyError },
    #[error("cannot open the cloud {cloud}")]
    Vault { cloud: PlaceName, source: VaultError },
    #[error("the cloud {cloud} held copies, and now it holds no vault")]
    VaultLost { cloud: PlaceName, source: VaultError },
}

/// Opens the Mac's repository, which `offsite init` made.
pub(crate) async fn mac(config: &Config) -> Result<Mac, PlaceError> {
    let path = || config.repository.clone();
    let local = LocalStore::open(&config.repository).map_err(|source| PlaceError::Folder { path: path(), source })?;
    let opened = Repository::open(Arc::new(local.clone())).await;
    let repository = opened.map_err(|source| PlaceError::Repository { path: path(), source })?;
    match repository.layout() {
        Layout::Packs => Ok(Mac { local, repository }),
        layout => Err(PlaceError::Layout { path: path(), layout }),
    }
}

/// Connects to a Pi and opens its repository. The host key must be known. `jobs` are those that it had before: what it has of them is listed at
/// once.
pub(crate) async fn pi(config: &Config, pi: &Pi, jobs: &[JobName]) -> Result<Reached, PlaceError> {
    let reach = |source| PlaceError::Reach { pi: pi.name.clone(), host: pi.host.clone(), source };
    let target = target(config, pi).await.map_err(reach)?;
    let store = SftpStore::connect(&target).await.map_err(reach)?;
    let address = store.address();
    store.expect(&Path::from("repository.json"));
    let opened = Repository::open_and_list(Arc::new(store), jobs).await;
    let repository = opened.map_err(|source| PlaceError::Pi { pi: pi.name.clone(), path: pi.path.clone(), source })?;
    Ok(Reached { repository, address })
}

/// The way to a Pi: what is configured, what ssh says, and where it was the last time.
pub(crate) async fn target(config: &Config, pi: &Pi) -> Result<Target, SftpError> {
    let asked = pi.clone();
    let target = tokio::task::spawn_blocking(move || reach::target(&asked)).await;
    let unasked = |error: tokio::task::JoinError| SftpError::SshConfig { host: pi.host.clone(), reason: error.to_string() };
    let mut target = target.unwrap_or_else(|error| Err(unasked(error)))?;
    let addresses = Addresses::at(State::at(&config.state).addresses());
    target.addresses.extend(addresses.of(&pi.name));
    Ok(target)
}

#[derive(Debug)]
pub(crate) struct Reached {
    pub repository: Repository,
    /// Where it is, if that was ours to find out.
    address: Option<IpAddr>,
}

impl Reached {
    /// Remembers where the Pi was found, for nights on which its name leads nowhere.
    pub(crate) fn remember(&self, config: &Config, pi: &Pi) {
        let addresses = Addresses::at(State::at(&config.state).addresses());
        if let Some(Err(error)) = self.address.map(|address| addresses.note(&pi.name, address)) {
            // A second try less, next time; nothing that anybody should be woken for.
            tracing::debug!(%error, "cannot remember the Pi's address");
        }
    }
}

/// Opens a cloud's vault with the key in the state folder. One that was never pushed to is made, if `fresh`.
///
/// # Errors
/// All that concern clouds; [`PlaceError::VaultLost`] if there is no vault although there was one, by the journal.
pub(crate) async fn cloud(config: &Config, cloud: &Cloud, fresh: bool) -> Result<Repository, PlaceError> {
    let name = || cloud.name.clone();
    let key = key::load(config).map_err(|source| PlaceError::Key { cloud: name(), source })?;
    let store = cloud::open(cloud)?;
    let mut options = SealedOptions::default();
    options.pack_class = cloud.class.as_ref().map(|class| class.as_str().to_owned());
    match open_vault(store.clone(), Unlock::Master(&key.master), &options).await {
        Err(VaultError::NoVault { .. }) if fresh => {
            let made = create_vault(store, &key.master, &key.slots, &options).await;
            made.map_err(|source| PlaceError::Vault { cloud: name(), source })
        }
        Err(source @ VaultError::NoVault { .. }) if key::held(config, &cloud.name) => Err(PlaceError::VaultLost { cloud: name(), source }),
        opened => opened.map_err(|source| PlaceError::Vault { cloud: name(), source }),
    }
}
