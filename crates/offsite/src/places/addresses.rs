//! Where each Pi was found last: a `.local` name is unknown for some seconds after a wake, and its router may have another idea of it.
//!
//! Only ever a second try, and whoever answers there must still show the Pi's key. So a file that is lost, old or wrong costs nothing.

use std::{collections::BTreeMap, fs, io, net::IpAddr, path::PathBuf};

use crate::{config::PlaceName, state};

#[derive(Debug)]
pub(super) struct Addresses(PathBuf);

impl Addresses {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    fn read(&self) -> BTreeMap<PlaceName, IpAddr> {
        // What cannot be read is not known.
        fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(super) fn of(&self, pi: &PlaceName) -> Option<IpAddr> {
        self.read().get(pi).copied()
    }

    /// Remembers an address; nothing is written where it is the same.
    pub(super) fn note(&self, pi: &PlaceName, address: IpAddr) -> io::Result<()> {
        let mut all = self.read();
        if all.insert(pi.clone(), address) == Some(address) {
            return Ok(());
        }
        state::replace(&self.0, &serde_json::to_vec(&all)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_remembered_until_there_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let addresses = Addresses::at(dir.path().join("addresses.json"));
        let (pi, attic): (PlaceName, PlaceName) = ("pi".parse().unwrap(), "attic".parse().unwrap());
        assert_eq!(addresses.of(&pi), None);
        addresses.note(&pi, "10.0.0.7".parse().unwrap()).unwrap();
        addresses.note(&attic, "fe80::1".parse().unwrap()).unwrap();
        addresses.note(&pi, "10.0.0.8".parse().unwrap()).unwrap();
        assert_eq!((addresses.of(&pi), addresses.of(&attic)), ("10.0.0.8".parse().ok(), "fe80::1".parse().ok()));
        fs::write(dir.path().join("addresses.json"), "rubbish").unwrap();
        assert_eq!(addresses.of(&pi), None);
        addresses.note(&pi, "10.0.0.9".parse().unwrap()).unwrap();
        assert_eq!(addresses.of(&pi), "10.0.0.9".parse().ok());
    }
}
