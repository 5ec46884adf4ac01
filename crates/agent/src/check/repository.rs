//! The repository: whether it can be used, what in it is not as it should be, and whether the next archive has room.

use std::{collections::BTreeMap, io::ErrorKind, path::Path};

use offsite_repository::{Archives, PackFacts, PackName, Repository, RepositoryError, lacking, manifest_path};

use super::{Findings, Level};
use crate::{
    config::{Config, JobName, Layout, Quiesce, Snapshot},
    error::RunError,
    groups,
    human::{chain, count, size},
    journal::{self, Event},
    modes, place,
    sources::unmounted,
};

const WHAT: &str = "repository";

pub(super) fn repository(config: &Config, found: &mut Findings) {
    if let Some(group) = &config.group {
        // The run itself reads the same table.
        let table = std::fs::read_to_string("/etc/group").unwrap_or_default();
        if let Err(error) = modes::gid(group, &table) {
            found.add(Level::Bad, "group", error.to_string());
        }
    }
    let looked = place::opened(&config.repository).and_then(|(runtime, repository)| {
        place::agree(&config.repository, repository.layout(), config.layout)?;
        let looked = runtime.block_on(look(&repository, found)).map_err(RunError::Repository)?;
        Ok((repository, looked))
    });
    let (repository, (archives, files, lossy)) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            // The cause, where that can be told.
            let absent = unmounted(&config.repository).ok().flatten();
            let error = absent.map_or(error, |at| RunError::Unmounted { at, root: config.repository.clone() });
            let next = crate::hint(&error).map(|next| format!(" ({next})")).unwrap_or_default();
            return found.add(Level::Bad, WHAT, format!("{}{next}", chain(&error)));
        }
    };
    let layout = repository.layout();
    let stored: u64 = files.iter().map(|file| file.bytes).sum();
    let what = format!("{}: {} in {}, layout {layout}", config.repository.display(), count(archives.good.len(), "archive"), size(stored));
    found.add(Level::Ok, WHAT, what);
    for bad in &archives.unreadable {
        let next = if layout == Layout::Packs.into() && bad.error.is_damage() {
            "; as long as it lies there nothing is given back: take it out"
        } else {
            ""
        };
        found.add(Level::Warning, WHAT, format!("{} cannot be read: {}{next}", bad.object, chain(&bad.error)));
    }
    orphans(config, &archives, found);
    one_pass(config, &archives, found);
    match config.layout {
        Layout::Plain => {
            lonely(&archives, &files, found);
            plain_space(config, &archives, found);
        }
        Layout::Packs => {
            aside(&config.repository.join("damaged"), lossy, found);
            packs_space(config, found);
        }
    }
}

/// Archives and packs, and whether archives lack frames. What is wrong with packs is told at once.
async fn look(repository: &Repository, found: &mut Findings) -> Result<(Archives, Vec<PackFacts>, bool), RepositoryError> {
    let (archives, files) = (repository.archives().await?, repository.packs().await?.0);
    let mut lossy = !archives.unreadable.is_empty();
    if repository.layout() == offsite_repository::Layout::Packs {
        let tables = repository.tables().await?;
        for (facts, table) in tables.good.iter().filter(|(_, table)| table.disowned() > 0) {
            let bad = count(table.disowned(), "bad frame");
            found.add(
                Level::Warning,
                WHAT,
                format!("{} holds {bad} and could not be set aside: see what the runs say, and make room", facts.name),
            );
        }
        for bad in tables.unreadable {
            let next = if matches!(bad.error, RepositoryError::Stray { .. }) { "" } else { "; the next run mends it or makes it anew" };
            found.add(Level::Warning, WHAT, format!("{}{next}", chain(&bad.error)));
        }
        for (name, frames) in lacking(repository).await? {
            lossy = true;
            found.add(Level::Warning, WHAT, format!("{name} lacks {}: it cannot be restored whole from here", count(frames, "frame")));
        }
    }
    Ok((archives, files, lossy))
}

/// Archives of jobs that are no more: nothing here ever removes them, and each Mac goes on fetching them.
fn orphans(config: &Config, archives: &Archives, found: &mut Findings) {
    let mut gone: BTreeMap<&JobName, usize> = BTreeMap::new();
    for info in archives.good.iter().filter(|info| !config.jobs.contains_key(&info.name.job)) {
        *gone.entry(&info.name.job).or_default() += 1;
    }
    let folders: &[&str] = if config.layout == Layout::Plain { &["manifests", "archives"] } else { &["manifests"] };
    for (job, archives) in gone {
        let paths = folders.iter().map(|folder| config.repository.join(folder).join(job.as_str()).display().to_string());
        found.add(
            Level::Warning,
            WHAT,
            format!(
                "{} of {job}, which is no job any more: when you no longer want them: rm -r {}",
                count(archives, "archive"),
                paths.collect::<Vec<_>>().join(" ")
            ),
        );
    }
}

/// Files of archives without a manifest.
fn lonely(archives: &Archives, files: &[PackFacts], found: &mut Findings) {
    for file in files {
        if let PackName::Archive(name) = &file.name
            && archives.good.iter().all(|info| info.name != *name)
            && archives.unreadable.iter().all(|bad| bad.object != manifest_path(name).to_string())
        {
            found.add(Level::Warning, WHAT, format!("{} has no manifest, so nobody fetches it; its tail holds a copy", file.name.path()));
        }
    }
}

/// Packs that a full run set aside.
fn aside(folder: &Path, lossy: bool, found: &mut Findings) {
    let packs = match std::fs::read_dir(folder) {
        Ok(packs) => packs.count(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return found.add(Level::Warning, WHAT, format!("cannot list {}: {error}", folder.display())),
    };
    if packs > 0 {
        let says = format!(
            "{} with damage {} in {}: the disk loses data; {}",
            count(packs, "pack"),
            if packs == 1 { "lies" } else { "lie" },
            folder.display(),
            // Whoever restores by hand may still find something there.
            if lossy { "keep them while archives lack frames or cannot be read" } else { "remove them when you have looked" }
        );
        found.add(Level::Warning, WHAT, says);
    }
}

const SPACE: &str = "space";

fn free(config: &Config, found: &mut Findings) -> Option<u64> {
    place::free(&config.repository).map_err(|error| found.add(Level::Bad, SPACE, chain(&error))).ok()
}

fn plain_space(config: &Config, archives: &Archives, found: &mut Findings) {
    let Some(free) = free(config, found) else { return };
    let newest = |job: &JobName| archives.good.iter().filter(|info| info.name.job == *job).max_by_key(|info| info.sequence);
    let largest = config.jobs.keys().filter_map(newest).map(|info| info.end.bytes).max().unwrap_or(0);
    let says = format!("{} are free", size(free));
    if free < largest {
        found.add(Level::Bad, SPACE, format!("{says}, less than the newest archive needs ({}): keep fewer, or make room", size(largest)));
    } else if free / 2 < largest {
        found.add(Level::Warning, SPACE, format!("{says}, less than twice the newest archive ({})", size(largest)));
    } else {
        found.add(Level::Ok, SPACE, says);
    }
}

/// A run that reads in one pass is refused beforehand, and by no more than the sizes of files.
fn one_pass(config: &Config, archives: &Archives, found: &mut Findings) {
    for (name, job) in config.jobs.iter().filter(|(_, job)| job.quiesce == Quiesce::None && job.snapshot == Snapshot::None) {
        if let Err(error) = place::unread(&config.repository, config.layout, archives, name, groups::whole(job).iter()) {
            found.add(Level::Bad, &format!("job {name}"), chain(&error));
        }
    }
}

/// In packs a night needs room for what is new, twice: in the scratch file and in packs.
fn packs_space(config: &Config, found: &mut Findings) {
    let Some(free) = free(config, found) else { return };
    let records = journal::read(&config.state).unwrap_or_default();
    let usual = |job: &JobName| {
        // Not the first archive, nor one after which all was new.
        let of = |event: &Event| if let Event::Made { fresh, bytes, .. } = event { (fresh * 2 <= *bytes).then_some(*fresh) } else { None };
        records.iter().rev().filter(|record| record.job == *job).find_map(|record| of(&record.event))
    };
    let largest = config.jobs.keys().filter_map(usual).max().unwrap_or(0).saturating_mul(2);
    let says = format!("{} are free", size(free));
    if free < largest {
        found.add(
            Level::Bad,
            SPACE,
            format!("{says}, less than a night needs ({}, by the last one): keep fewer, or make room", size(largest)),
        );
    } else if free / 4 < largest {
        found.add(Level::Warning, SPACE, format!("{says}, less than four nights need ({} each, by the last one)", size(largest)));
    } else {
        found.add(Level::Ok, SPACE, says);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_is_told_and_so_is_that_nobody_can_look() {
        let dir = tempfile::tempdir().unwrap();
        let told = |name: &str| {
            let mut found = Findings::default();
            aside(&dir.path().join(name), false, &mut found);
            found.0.into_iter().map(|finding| finding.says).collect::<Vec<_>>()
        };
        for name in ["none", "two/a", "two/b"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(told("missing").is_empty() && told("none").is_empty());
        assert!(told("two")[0].starts_with("2 packs with damage lie in "), "{:?}", told("two"));
        assert!(told("file")[0].starts_with("cannot list "), "{:?}", told("file"));
    }
}
