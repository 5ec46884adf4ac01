//! The Mac's repository, made once.
//!
//! Where the journal knows archives here, a folder that is empty or gone is a disk that is not mounted, and no place for a new repository: what
//! is then missing would count as lost, and only what the Pi still has would come back. So it is opened then, and made anew only by a person's
//! word.

use std::{path::PathBuf, sync::Arc};

use offsite_repository::{Layout, LocalError, LocalStore, Repository, RepositoryError};

use super::ask::Ask;
use crate::{
    config::{Config, MAC},
    journal::Standing,
    places::PlaceError,
    platform,
    state::State,
};

#[derive(Debug, thiserror::Error)]
#[error("{} holds no repository, and the journal tells of the one that was there: no empty one was made", folder.display())]
pub(crate) struct RepositoryAway {
    pub folder: PathBuf,
}

/// Opens the repository, or makes it if it is not there and never was.
pub(super) async fn open(ask: &mut dyn Ask, config: &Config) -> anyhow::Result<()> {
    let folder = &config.repository;
    if was_here(&Standing::of(&State::at(&config.state).journal().read()?.receipts)) && !is_here(config).await? {
        let away = RepositoryAway { folder: folder.clone() };
        ask.say(&format!("note: {away}. Is its disk mounted?"));
        if !ask.person() || !ask.yes("Is it gone for good, so that an empty one is to be made", false, "--repository")? {
            return Err(away.into());
        }
    }
    let store = Arc::new(LocalStore::create(folder)?);
    let mut opened = Repository::open_or_create(store.clone(), Layout::Packs).await;
    if let Err(lost @ RepositoryError::MarkerLost { .. }) = &opened {
        ask.say(&format!("note: {lost}"));
        if ask.person() && ask.yes("Is that this Mac's repository, so that the file is to be written anew", true, "--repository")? {
            opened = Repository::adopt(store).await;
        }
    }
    let repository = opened.map_err(|source| PlaceError::Repository { path: folder.clone(), source })?;
    if repository.layout() != Layout::Packs {
        anyhow::bail!("{} is a repository of another kind: {}", folder.display(), repository.layout());
    }
    ask.say(&format!("the Mac's repository is {}", folder.display()));
    if let Some(advice) = platform::leave_out(folder) {
        ask.say(&format!("note: {advice}"));
    }
    Ok(())
}

fn was_here(standing: &Standing) -> bool {
    let held = standing.held.iter().any(|(place, jobs)| place.as_str() == MAC && !jobs.is_empty());
    standing.last_fine.is_some() || !standing.pulled.is_empty() || held
}

async fn is_here(config: &Config) -> anyhow::Result<bool> {
    let store = match LocalStore::open(&config.repository) {
        Err(LocalError::NoFolder { .. }) => return Ok(false),
        store => store?,
    };
    match Repository::open(Arc::new(store)).await {
        Err(RepositoryError::NotARepository { .. }) => Ok(false),
        // The folder is the right one, and what it lacks is written anew below.
        Err(RepositoryError::MarkerLost { .. }) => Ok(true),
        repository => Ok(repository.map(|_| true)?),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        config::Home,
        init::{ask::Nobody, tests::Scripted},
        journal::{Fact, Outcome, Receipt},
    };

    #[tokio::test]
    async fn a_repository_that_was_there_is_made_anew_only_by_a_persons_word() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        let text = format!("repository: {}\nstate: {}\npi: {{host: h, path: /p}}\n", at("b/offsite").display(), at("s").display());
        let config = Config::parse(Path::new("c.yaml"), &text, &Home::at(dir.path())).unwrap();
        // It never was: made, and opened.
        open(&mut Nobody, &config).await.unwrap();
        open(&mut Nobody, &config).await.unwrap();
        let owed = "2026-11-22".parse().unwrap();
        let fact = Fact::Ran { owed: Some(owed), outcome: Outcome::Fine, began: None, away: [].into(), slept: false };
        State::open(&config.state).unwrap().journal().append(&Receipt { time: jiff::Timestamp::UNIX_EPOCH, fact }).unwrap();
        open(&mut Nobody, &config).await.unwrap();
        // Its disk is away: the folder is not there, or an empty one.
        fs::rename(at("b/offsite"), at("away")).unwrap();
        for _ in 0..2 {
            let error = open(&mut Nobody, &config).await.unwrap_err();
            assert!(crate::hint::render(&error).contains("next:  mount its disk"), "{error:#}");
            assert!(open(&mut Scripted::answers(&[""]), &config).await.unwrap_err().is::<RepositoryAway>());
            assert!(!at("b/offsite/repository.json").exists());
            fs::create_dir_all(at("b/offsite")).unwrap();
        }
        let mut ask = Scripted::answers(&["yes"]);
        open(&mut ask, &config).await.unwrap();
        assert!(at("b/offsite/repository.json").exists() && ask.said().contains("Is its disk mounted?"), "{}", ask.said());
        // Its data is there, and the file that says what it is was lost: written anew by a person's word.
        fs::create_dir_all(at("b/offsite/packs")).unwrap();
        fs::write(at("b/offsite/packs/00"), "").unwrap();
        fs::remove_file(at("b/offsite/repository.json")).unwrap();
        let error = open(&mut Nobody, &config).await.unwrap_err();
        assert!(crate::hint::render(&error).contains("is lost\nnext:  offsite init, at a terminal, writes it anew"), "{error:#}");
        open(&mut Scripted::answers(&["no"]), &config).await.unwrap_err();
        assert!(!at("b/offsite/repository.json").exists());
        open(&mut Scripted::answers(&[""]), &config).await.unwrap();
        open(&mut Nobody, &config).await.unwrap();
    }
}
