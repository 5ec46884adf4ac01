//! Where sealed copies go, asked for and tried before it is written down.

use std::{
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use offsite_repository::seal::{self, VaultError};

use super::ask::{Ask, Question};
use crate::{
    cloud,
    config::{Cloud, CloudUrl, Credentials, Home},
    hint,
    key::Key,
};

const FLAG: &str = "--cloud";
const CREDENTIALS: &str = "~/.config/offsite/aws.env";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    None,
    Url(CloudUrl),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            url => url.parse().map(Self::Url).map_err(|error: crate::config::InvalidCloud| format!("{error}, or none")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudDraft {
    pub name: &'static str,
    pub url: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub class: Option<String>,
    pub credentials: Option<String>,
}

/// What the options say of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Given {
    /// Where sealed copies go: s3://bucket/prefix, file:///folder or none
    #[arg(long = "cloud", value_name = "URL")]
    pub destination: Option<Destination>,
    /// Another S3 server than Amazon's
    #[arg(long, value_name = "URL", requires = "destination")]
    pub endpoint: Option<String>,
    /// S3 region
    #[arg(long, requires = "destination")]
    pub region: Option<String>,
    /// Storage class of the packs, as DEEP_ARCHIVE
    #[arg(long, requires = "destination")]
    pub class: Option<String>,
    /// `env`, or a file of mode 0600 with AWS_ACCESS_KEY_ID=... and AWS_SECRET_ACCESS_KEY=... lines
    #[arg(long, value_name = "FILE", requires = "destination")]
    pub credentials: Option<String>,
}

/// Asks where. `None` for nowhere. `written` are the files of credentials that this conversation has made, which alone it may make anew.
pub(super) fn choose(ask: &mut dyn Ask, home: &Home, given: &Given, written: &mut Vec<PathBuf>) -> anyhow::Result<Option<CloudDraft>> {
    let destination = match &given.destination {
        Some(destination) => destination.clone(),
        None => asked(ask)?,
    };
    Ok(match destination {
        Destination::None => None,
        Destination::Url(url @ CloudUrl::File(_)) => {
            Some(CloudDraft { name: "disk", url: url.to_string(), endpoint: None, region: None, class: None, credentials: None })
        }
        Destination::Url(url @ CloudUrl::S3 { .. }) => Some(bucket(ask, home, given, written, &url)?),
    })
}

fn asked(ask: &mut dyn Ask) -> anyhow::Result<Destination> {
    if ask.person() {
        ask.say(
            "\nSealed copies can go elsewhere as well: s3://BUCKET/PREFIX at any S3 store, or file:///FOLDER on another disk, which is\n\
             away from home only if you carry it there. Nobody there can read them. `none` for now: it can be added later.",
        );
    }
    loop {
        let answer = ask.line(&Question { text: "Sealed copies", proposal: Some("none"), flag: FLAG })?;
        match answer.parse() {
            Ok(destination) => return Ok(destination),
            Err(problem) => ask.say(&format!("{problem}.")),
        }
    }
}

fn bucket(ask: &mut dyn Ask, home: &Home, given: &Given, written: &mut Vec<PathBuf>, url: &CloudUrl) -> anyhow::Result<CloudDraft> {
    let mut optional = |given: &Option<String>, text: &str, proposal: &str, flag: &'static str| match given {
        Some(value) => Ok(value.clone()),
        None if !ask.person() => Ok(String::new()),
        None => ask.line(&Question { text, proposal: Some(proposal), flag }),
    };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let endpoint = some(optional(&given.endpoint, "Server, if it is not Amazon's (https://…)", "", "--endpoint")?);
    let region = some(optional(&given.region, "Region", "us-east-1", "--region")?);
    let class = some(optional(
        &given.class,
        "Storage class of the packs, as DEEP_ARCHIVE (cheapest, and a day away); empty is the store's usual one",
        "",
        "--class",
    )?);
    let credentials = match &given.credentials {
        Some(credentials) => credentials.clone(),
        None if !ask.person() => "env".to_owned(),
        None => {
            let text = "File with the credentials, or env";
            let file = ask.line(&Question { text, proposal: Some(CREDENTIALS), flag: "--credentials" })?;
            if file != "env" {
                write_credentials(
                    ask,
                    &home.expand(&file).with_context(|| format!("{file:?} is neither absolute nor below ~/"))?,
                    written,
                )?;
            }
            file
        }
    };
    Ok(CloudDraft { name: "cold", url: url.to_string(), endpoint, region, class, credentials: Some(credentials) })
}

/// Asks for the credentials and writes the file. One that is there stays, unless it was `written` a moment ago with a slip in it.
fn write_credentials(ask: &mut dyn Ask, path: &Path, written: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let own = written.iter().any(|own| own == path);
    if path.exists() && !(own && ask.yes(&format!("Type the credentials in {} once more", path.display()), true, "--credentials")?) {
        return Ok(());
    }
    if !own {
        ask.say(&format!("{} is not there yet, and is made of two answers. Give that key no right to delete versions.", path.display()));
    }
    let id = ask.line(&Question { text: "Access key ID", proposal: None, flag: "--credentials" })?;
    let secret = ask.secret(&Question { text: "Secret access key", proposal: None, flag: "--credentials" })?;
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)?;
        // Whole or not at all, and 0600 from the first moment.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={}", secret.as_str())?;
        file.as_file().sync_all()?;
        if own { file.persist(path) } else { file.persist_noclobber(path) }.map(|_| ()).map_err(|error| error.error)
    };
    write().with_context(|| format!("cannot write the credentials {}", path.display()))?;
    written.push(path.to_owned());
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    /// A vault that the key of this Mac opens, as far as its name tells.
    Ours,
    /// A vault of another key; `true` if this Mac has a key at all.
    Others(bool),
}

/// Reaches a destination and looks for a vault. The folder of a `file://` one is made if the folder above it is there: then its disk is, too.
pub(super) async fn look(cloud: &Cloud, key: Option<&Key>) -> anyhow::Result<There> {
    if let CloudUrl::File(folder) = &cloud.url {
        make(folder)?;
    }
    let store = cloud::open(cloud)?;
    match seal::slots(&*store).await {
        Err(VaultError::NoVault { .. }) => Ok(There::Nothing),
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot look into {}", cloud.url))),
        Ok((slots, _)) => {
            let same = |key: &Key| slots.iter().any(|slot| *slot.vault() == key.vault);
            Ok(if key.is_some_and(same) { There::Ours } else { There::Others(key.is_some()) })
        }
    }
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let above: PathBuf = folder.parent().unwrap_or(Path::new("/")).to_owned();
    if !folder.exists() && above.is_dir() {
        std::fs::create_dir(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    Ok(())
}

/// Tries a destination; whether it is to be used.
pub(super) async fn reaches(ask: &mut dyn Ask, cloud: &Cloud, key: Option<&Key>) -> anyhow::Result<bool> {
    match look(cloud, key).await {
        Ok(There::Nothing) => ask.say(&format!("{} can be reached, and is empty.", cloud.url)),
        Ok(There::Ours) => ask.say(&format!("{} can be reached, and holds copies that this Mac's key opens.", cloud.url)),
        Ok(There::Others(false)) => ask.say(&format!(
            "{} holds sealed copies already. If they are yours, get their key back: offsite key recover {}",
            cloud.url, cloud.name
        )),
        Ok(There::Others(true)) if ask.person() => {
            ask.say(&format!("{} holds copies that another key seals. Choose an empty place, or another prefix.", cloud.url));
            return Ok(false);
        }
        Ok(There::Others(true)) => anyhow::bail!("{} holds copies that another key seals", cloud.url),
        Err(error) if ask.person() => {
            ask.say(&hint::render(&error));
            if let Credentials::File(path) = &cloud.credentials {
                ask.say(&format!("(The credentials are those in {}.)", path.display()));
            }
            return Ok(ask.yes("Use it all the same", false, FLAG)?);
        }
        Err(error) => return Err(error),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::init::{ask::Nobody, tests::Scripted};

    #[test]
    fn a_bucket_is_asked_for_with_its_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let answers = ["onedrive://x", "s3://bucket/offsite", "", "eu-central-1", "DEEP_ARCHIVE", "", "AKIA", "secret"];
        let mut ask = Scripted::answers(&answers);
        let draft = choose(&mut ask, &home, &Given::default(), &mut Vec::new()).unwrap().unwrap();
        assert_eq!((draft.name, draft.url.as_str(), draft.endpoint), ("cold", "s3://bucket/offsite", None));
        assert_eq!((draft.region.as_deref(), draft.class.as_deref()), (Some("eu-central-1"), Some("DEEP_ARCHIVE")));
        assert_eq!(draft.credentials.as_deref(), Some(CREDENTIALS));
        assert!(ask.said().contains("a cloud is at s3://") && !ask.said().contains("secret\n"), "{}", ask.said());
        let file = dir.path().join(".config/offsite/aws.env");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = Credentials::File(file).load().unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.as_str()), ("AKIA", "secret"));
    }

    #[test]
    fn credentials_with_a_slip_are_typed_once_more_and_older_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let file = dir.path().join(".config/offsite/aws.env");
        let mut written = Vec::new();
        let mut turn = |answers: &[&str]| {
            let mut ask = Scripted::answers(&[&["s3://bucket", "", "", "", ""], answers].concat());
            choose(&mut ask, &home, &Given::default(), &mut written).unwrap();
            let keys = Credentials::File(file.clone()).load().unwrap();
            (keys.access_key_id.to_string(), keys.secret_access_key.to_string())
        };
        let pair = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        assert_eq!(turn(&["AKIA", "slip"]), pair("AKIA", "slip"));
        assert_eq!(turn(&["no"]), pair("AKIA", "slip"));
        assert_eq!(turn(&["yes", "AKIB", "right"]), pair("AKIB", "right"));
        written.clear();
        let mut ask = Scripted::answers(&["s3://bucket", "", "", "", ""]);
        choose(&mut ask, &home, &Given::default(), &mut written).unwrap();
        assert!(!ask.said().contains("once more"), "{}", ask.said());
    }

    #[test]
    fn without_a_person_it_is_none_or_as_given() {
        let home = Home::at(Path::new("/home/owner"));
        assert_eq!(choose(&mut Nobody, &home, &Given::default(), &mut Vec::new()).unwrap(), None);
        let given = Given { destination: Some("s3://bucket".parse().unwrap()), region: Some("eu-west-1".to_owned()), ..Given::default() };
        let draft = choose(&mut Nobody, &home, &given, &mut Vec::new()).unwrap().unwrap();
        assert_eq!((draft.region.as_deref(), draft.credentials.as_deref(), draft.class), (Some("eu-west-1"), Some("env"), None));
    }

    #[tokio::test]
    async fn a_disk_is_there_if_the_folder_above_is() {
        let dir = tempfile::tempdir().unwrap();
        let cloud = |below: &str| crate::key::find(None, &format!("file://{}/{below}", dir.path().display()), None, None).unwrap();
        assert!(look(&cloud("disk/offsite"), None).await.is_err());
        assert!(!dir.path().join("disk").exists());
        assert_eq!(look(&cloud("disk"), None).await.unwrap(), There::Nothing);
        assert_eq!(look(&cloud("disk"), None).await.unwrap(), There::Nothing);
        let mut ask = Scripted::answers(&["no"]);
        assert!(!reaches(&mut ask, &cloud("gone/offsite"), None).await.unwrap());
        assert!(reaches(&mut Nobody, &cloud("gone/offsite"), None).await.is_err());
    }
}
