//! The key file: the vault's master key and its slots, on this Mac only.
//!
//! One file, so that there is never a key without the slots that a vault needs. It is made whole or not at all, another key never takes its
//! place (only other slots of the same key do), and it is not read while others could read it too. Losing it costs nothing as long as the recovery key and one cloud are left.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use offsite_repository::seal::{MasterKey, Slot, SlotId, VaultId};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::config::PlaceName;

#[derive(Debug, Clone)]
pub struct Key {
    /// The vault that every cloud holds a copy of.
    pub vault: VaultId,
    pub master: MasterKey,
    /// The slots that a new copy of the vault begins with, and that each night keeps in every cloud.
    pub slots: Vec<Slot>,
    /// Those that are to go from every cloud, once all have [`Self::slots`].
    pub revoked: BTreeSet<SlotId>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is no key at {}", path.display())]
    None { path: PathBuf },
    /// There was one: `cloud` holds what was sealed with it.
    #[error("the key at {} is gone, and {cloud} holds copies that were sealed with it", path.display())]
    Gone { path: PathBuf, cloud: PlaceName },
    /// There is one, and it is never overwritten.
    #[error("there is a key already at {}; it is left as it is", path.display())]
    Exists { path: PathBuf },
    #[error("the key {} can be read by others: mode {mode:04o}, wanted 0600", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("cannot read the key {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a key file of version 1: {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// It could not be written; what was there is.
    #[error("cannot write the key {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    offsite: String,
    version: u32,
    vault: VaultId,
    master: Secret,
    slots: Vec<Slot>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    revoked: BTreeSet<SlotId>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Secret(String);

const MARK: &str = "key";
const VERSION: u32 = 1;

impl Key {
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => KeyError::None { path: path.to_owned() },
            _ => KeyError::Read { path: path.to_owned(), source },
        };
        let damaged = |problem: &str| KeyError::Damaged { path: path.to_owned(), problem: problem.to_owned() };
        let mode = fs::metadata(path).map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
        // serde's message may quote what it found, and that is the secret; where it was is enough.
        let file: KeyFile =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&format!("line {} column {}", error.line(), error.column())))?;
        if file.offsite != MARK || file.version != VERSION {
            return Err(damaged("it says it is something else"));
        }
        let master = file.master.0.parse().map_err(|_| damaged("its master key is not 128 hexadecimal digits"))?;
        if file.slots.is_empty() || file.slots.iter().any(|slot| *slot.vault() != file.vault) {
            return Err(damaged("its slots are missing or another vault's"));
        }
        Ok(Self { vault: file.vault, master, slots: file.slots, revoked: file.revoked })
    }

    /// Writes a new file at `path`, mode 0600; on return it survives a power cut. An existing one is left as it is.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        self.write(path, |file| file.persist_noclobber(path))
    }

    /// As [`Self::save_new`], in the place of the file with this key's former slots.
    pub(super) fn replace(&self, path: &Path) -> Result<(), KeyError> {
        self.write(path, |file| file.persist(path))
    }

    fn write(
        &self,
        path: &Path,
        put: impl FnOnce(tempfile::NamedTempFile) -> Result<File, tempfile::PersistError>,
    ) -> Result<(), KeyError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => KeyError::Write { path: path.to_owned(), source },
        };
        let file = KeyFile {
            offsite: MARK.to_owned(),
            version: VERSION,
            vault: self.vault,
            master: Secret(self.master.expose_hex().to_string()),
            slots: self.slots.clone(),
            revoked: self.revoked.clone(),
        };
        let mut json = Zeroizing::new(serde_json::to_vec_pretty(&file).map_err(|error| failed(error.into()))?);
        json.push(b'\n');
        let folder = path.parent().unwrap_or(Path::new("/"));
        // tempfile makes its files 0600, whatever the umask.
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        temporary.write_all(&json).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
        put(temporary).map_err(|error| failed(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use offsite_repository::seal::RecoveryKey;

    use super::*;

    fn key() -> Key {
        let (vault, master) = (VaultId::from_bytes([1; 16]), MasterKey::from_bytes([2; 64]));
        let slot = Slot::for_recovery(vault, &master, &RecoveryKey::from_bytes([3; 32])).unwrap();
        Key { vault, master, slots: vec![slot], revoked: BTreeSet::new() }
    }

    #[test]
    fn what_is_saved_is_loaded_and_only_the_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        key().save_new(&path).unwrap();
        let loaded = Key::load(&path).unwrap();
        assert_eq!((loaded.vault, loaded.master.expose(), loaded.slots.len()), (key().vault, key().master.expose(), 1));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(key().save_new(&path), Err(KeyError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        key().save_new(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Key::load(&path), Err(KeyError::Open { mode: 0o644, .. })));
        assert!(matches!(Key::load(&dir.path().join("none")), Err(KeyError::None { .. })));
    }

    #[test]
    fn damage_is_named_without_showing_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        key().save_new(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let secret = key().master.expose_hex();
        for (find, replace) in
            [(secret.as_str(), &secret[1..]), ("\"key\"", "\"lock\""), ("\"version\": 1", "\"version\": 2"), ("{", ""), (&*secret, "9")]
        {
            fs::write(&path, good.replacen(find, replace, 1)).unwrap();
            let error = Key::load(&path).unwrap_err();
            assert!(matches!(error, KeyError::Damaged { .. }), "{find}");
            assert!(!error.to_string().contains(&secret[..16]), "{error}");
        }
    }
}
