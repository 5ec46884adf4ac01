//! What opens an S3 bucket: from the environment, or from a file that only its owner can read.
//!
//! launchd starts the daemon with an almost empty environment, so a file is the usual way; the plist is world-readable and holds none.

use std::{
    fmt, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::Home;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN` of the process.
    Env,
    /// The same names as `NAME=value` lines in a file of mode 0600.
    File(PathBuf),
}

#[derive(Clone)]
pub struct S3Keys {
    pub access_key_id: String,
    pub secret_access_key: Zeroizing<String>,
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Keys({})", self.access_key_id)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("cannot read the credentials {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the credentials {} can be read by others: mode {mode:04o}, wanted 0600", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{}:{line}: expected {}, then '=' and the value", path.display(), one_of(names))]
    Line { path: PathBuf, line: usize, names: Vec<&'static str> },
    #[error("{name} is not set in {place}")]
    Missing { name: &'static str, place: String },
}

fn one_of(names: &[&str]) -> String {
    match names {
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
        [] => String::new(),
    }
}

/// The `NAME=value` lines of a file that only its owner may read; each name is one of `names`.
pub(super) fn assignments(path: &Path, names: &[&'static str]) -> Result<Vec<(&'static str, Zeroizing<String>)>, CredentialsError> {
    let read = |source| CredentialsError::Read { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(read)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialsError::Open { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(read)?);
    let mut values = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let known = pair.and_then(|(name, value)| Some((*names.iter().find(|known| **known == name.trim())?, value)));
        let Some((name, value)) = known else {
            return Err(CredentialsError::Line { path: path.to_owned(), line: number + 1, names: names.to_vec() });
        };
        let value = value.trim().trim_matches(|char| char == '"' || char == '\'');
        values.push((name, Zeroizing::new(value.to_owned())));
    }
    Ok(values)
}

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

impl Credentials {
    /// What a configuration names; an error has the text, and the problem with it.
    pub(super) fn named<'a>(text: Option<&'a str>, home: &Home) -> Result<Self, (&'a str, String)> {
        let Some(file) = text.filter(|text| *text != "env") else { return Ok(Self::Env) };
        let problem = || (file, format!("expected `env` or an absolute path, not {file:?}"));
        home.expand(file).map(Self::File).ok_or_else(problem)
    }

    /// Reads the key pair. The file is checked each time, because modes change.
    pub fn load(&self) -> Result<S3Keys, CredentialsError> {
        match self {
            Self::Env => S3Keys::from(|name| std::env::var(name).ok().map(Zeroizing::new), "the environment"),
            Self::File(path) => {
                let values = assignments(path, &[ID, SECRET, TOKEN])?;
                let find = |wanted| values.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
                S3Keys::from(find, &path.display().to_string())
            }
        }
    }
}

impl S3Keys {
    fn from(find: impl Fn(&'static str) -> Option<Zeroizing<String>>, place: &str) -> Result<Self, CredentialsError> {
        let find = |name| find(name).filter(|value| !value.is_empty());
        let need = |name| find(name).ok_or_else(|| CredentialsError::Missing { name, place: place.to_owned() });
        Ok(Self { access_key_id: need(ID)?.to_string(), secret_access_key: need(SECRET)?, session_token: find(TOKEN) })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn load(text: &str, mode: u32) -> Result<S3Keys, CredentialsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aws.env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Credentials::File(path).load()
    }

    #[test]
    fn a_file_of_assignments_is_read() {
        let keys = load("# cold\nAWS_ACCESS_KEY_ID=id\nexport AWS_SECRET_ACCESS_KEY=\"se=cret\"\n\n", 0o600).unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.as_str()), ("id", "se=cret"));
        assert!(keys.session_token.is_none());
        assert_eq!(format!("{keys:?}"), "S3Keys(id)");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        assert!(matches!(load("AWS_ACCESS_KEY_ID=id\n", 0o640), Err(CredentialsError::Open { mode: 0o640, .. })));
    }

    #[test]
    fn errors_never_show_the_line() {
        let error = load("AWS_ACCESS_KEY_ID=id\nsecret stuff\n", 0o600).unwrap_err();
        assert!(matches!(error, CredentialsError::Line { line: 2, .. }));
        assert!(!error.to_string().contains("stuff"));
        let error = load("AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=\n", 0o600).unwrap_err();
        assert!(matches!(error, CredentialsError::Missing { name: SECRET, .. }));
    }
}
