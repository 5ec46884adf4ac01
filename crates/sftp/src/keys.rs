//! Keys as people handle them: files, lines, fingerprints.
//!
//! A private key is created readable by its owner only, and never over an existing file: losing a key that a server
//! trusts is worse than an error.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

/// A key that could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum KeyFileError {
    #[error("generate an ed25519 key: {reason}")]
    Generate { reason: String },
    #[error("write key {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("read public key: {reason}")]
    Public { reason: String },
}

/// A fresh ed25519 key.
///
/// # Errors
/// When the key cannot be generated.
pub fn generate() -> Result<PrivateKey, KeyFileError> {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(|error| KeyFileError::Generate { reason: error.to_string() })
}

/// Makes an ed25519 key: the private part in `path` (mode 0600), the public part in `path` + `.pub`.
///
/// Returns the public key, whose [`public_line`] belongs into the server's `authorized_keys`.
///
/// # Errors
/// When a file exists already or cannot be written.
pub fn generate_key_file(path: &Path, comment: &str) -> Result<PublicKey, KeyFileError> {
    let mut key = generate()?;
    key.set_comment(comment);
    let text = key.to_openssh(LineEnding::LF).map_err(|error| KeyFileError::Generate { reason: error.to_string() })?;
    let public = beside(path);
    // A public half without its private one would stand in the way for ever; the other way round it can be made again.
    create(path, 0o600, text.as_bytes())?;
    create(&public, 0o644, format!("{}\n", public_line(key.public_key())).as_bytes())?;
    Ok(key.public_key().clone())
}

/// The public half of the private key in the file at `path`: of the key itself, which tells it also where it is encrypted; if there is no
/// such file, of `path` + `.pub`, which is all that there is of a key that only an agent holds.
///
/// # Errors
/// When neither can be read, or is no key.
pub fn public_of(path: &Path) -> Result<PublicKey, KeyFileError> {
    let failed = |reason: String| KeyFileError::Public { reason };
    match fs::read_to_string(path) {
        Ok(text) => {
            Ok(PrivateKey::from_openssh(text).map_err(|error| failed(format!("{}: {error}", path.display())))?.public_key().clone())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let public = beside(path);
            let line = fs::read_to_string(&public).map_err(|_| failed(format!("{}: {error}", path.display())))?;
            parse_public_line(&line)
        }
        Err(error) => Err(failed(format!("{}: {error}", path.display()))),
    }
}

/// Where the public half of the private key `path` is.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    public.into()
}

fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), KeyFileError> {
    // Whole or not at all: half a key would neither work nor be replaced.
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| KeyFileError::Write { path: path.to_owned(), source })
}

/// The line for `authorized_keys`: type, key, comment.
pub fn public_line(key: &PublicKey) -> String {
    // Encoding a key that exists cannot fail; were it to, an empty line authorises nobody.
    key.to_openssh().unwrap_or_default()
}

/// Reads a line of `authorized_keys` or a `.pub` file (without options in front).
///
/// # Errors
/// When it is not a public key.
pub fn parse_public_line(line: &str) -> Result<PublicKey, KeyFileError> {
    PublicKey::from_openssh(line.trim()).map_err(|error| KeyFileError::Public { reason: error.to_string() })
}

/// The line for known_hosts: host, type, key.
pub fn known_hosts_line(host: &str, port: u16, key: &PublicKey) -> String {
    let bare = PublicKey::new(key.key_data().clone(), "");
    format!("{} {}", host_pattern(host, port), public_line(&bare).trim_end())
}

/// `host`, or `[host]:port` where the port is not 22.
pub(crate) fn host_pattern(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// For a shell: `[` is a pattern there.
pub(crate) fn quote(text: &str) -> String {
    if text.contains(['[', ' ']) { format!("'{text}'") } else { text.to_owned() }
}

/// The fingerprint as OpenSSH prints it: `SHA256:…`.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        let public = generate_key_file(&path, "offsite").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o177, 0);
        let line = fs::read_to_string(folder.path().join("id.pub")).unwrap();
        assert_eq!(parse_public_line(&line).unwrap(), public);
        assert!(line.ends_with(" offsite\n"), "{line}");
        let before = fs::read(&path).unwrap();
        assert!(matches!(generate_key_file(&path, ""), Err(KeyFileError::Write { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left of what was refused");
    }

    #[test]
    fn the_public_half_is_told_by_either_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        let public = generate_key_file(&path, "offsite").unwrap();
        fs::write(folder.path().join("id.pub"), "damaged").unwrap();
        assert_eq!(public_of(&path).unwrap().key_data(), public.key_data());
        fs::write(folder.path().join("id.pub"), public_line(&public)).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(public_of(&path).unwrap().key_data(), public.key_data());
        fs::write(&path, "no key").unwrap();
        assert!(matches!(public_of(&path), Err(KeyFileError::Public { .. })));
        assert!(public_of(&folder.path().join("gone")).unwrap_err().to_string().contains("gone"));
    }

    #[test]
    fn known_hosts_lines_name_the_port_only_where_it_is_not_22() {
        let mut key = generate().unwrap();
        key.set_comment("somebody@somewhere");
        let line = known_hosts_line("pi.home", 22, key.public_key());
        assert!(line.starts_with("pi.home ssh-ed25519 AAAA"), "{line}");
        assert!(!line.contains("somebody"), "{line}");
        assert!(known_hosts_line("pi.home", 2222, key.public_key()).starts_with("[pi.home]:2222 ssh-ed25519 "));
        assert!(fingerprint(key.public_key()).starts_with("SHA256:"));
    }
}
