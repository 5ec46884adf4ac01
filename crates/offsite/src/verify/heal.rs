//! Healing from a cloud: the same copy as ever, the other way round; only frames that are lacking move.

use std::collections::BTreeSet;

use offsite_archive::ArchiveName;
use offsite_repository::{CopyOptions, Repository, RepositoryError, copy, lacking};

use super::{Checked, Report, note};
use crate::{
    config::{Cloud, Config, PlaceName},
    hint,
    journal::{Fact, Journal, Step},
    places,
    progress::Bar,
    restore::select::named,
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no cloud of the configuration is called {name} ({})", if known.is_empty() { "it has none" } else { known })]
pub(crate) struct NoCloud {
    name: PlaceName,
    known: String,
}

pub(super) fn find<'a>(config: &'a Config, name: &PlaceName) -> Result<&'a Cloud, NoCloud> {
    let known = || config.clouds.iter().map(|cloud| cloud.name.as_str()).collect::<Vec<_>>().join(", ");
    config.clouds.iter().find(|cloud| cloud.name == *name).ok_or_else(|| NoCloud { name: name.clone(), known: known() })
}

/// Brings back what `report` says is lost, as far as the cloud has it, and notes in `report` what came.
pub(crate) async fn heal(config: &Config, cloud: &Cloud, mac: &Repository, journal: &Journal, report: &mut Report) -> anyhow::Result<()> {
    if !report.archives.iter().any(Checked::is_lost) {
        return Ok(());
    }
    let from = places::cloud(config, cloud, false).await?;
    let mut held = mac.index().await?;
    let mut failed = Vec::new();
    for archive in report.archives.iter().filter(|archive| archive.is_lost()) {
        let bar = Bar::new(&format!("heal {}", archive.archive));
        let copied = copy(&from, mac, &mut held, &archive.archive, &CopyOptions::default(), &|progress| bar.set(progress)).await;
        if let Err(error) = copied {
            let error = anyhow::Error::new(error).context(format!("cannot heal {} from {}", archive.archive, cloud.name));
            failed.push((archive.archive.clone(), hint::message(&error), hint::hint(&error)));
        }
    }
    // Believed only after looking: a copy that found nothing to move has healed nothing.
    let whole = whole(mac).await?;
    for archive in report.archives.iter_mut().filter(|archive| archive.is_lost()) {
        let failure = failed.iter().find(|(name, ..)| *name == archive.archive);
        let name = archive.archive.clone();
        match failure {
            Some((_, message, hint)) => {
                archive.not_healed = Some(message.clone());
                let (message, hint) = (message.clone(), hint.clone());
                note(journal, Fact::Failed { step: Step::Heal, object: name.to_string(), message, hint })?;
            }
            None if archive.curable && whole.contains(&name) => {
                archive.healed = true;
                note(journal, Fact::Healed { place: PlaceName::mac(), archive: name, from: cloud.name.clone() })?;
            }
            None => archive.not_healed = Some("its manifest does not fit its frames, here and there".to_owned()),
        }
    }
    let healed: BTreeSet<&ArchiveName> = report.archives.iter().filter(|archive| archive.healed).map(|archive| &archive.archive).collect();
    report.unreadable.retain(|(object, _)| named(object).is_none_or(|name| !healed.contains(&name)));
    Ok(())
}

/// The archives whose manifest can be read and of which no frame lacks.
pub(crate) async fn whole(mac: &Repository) -> Result<BTreeSet<ArchiveName>, RepositoryError> {
    let lack: BTreeSet<ArchiveName> = lacking(mac).await?.into_iter().map(|(name, _)| name).collect();
    Ok(mac.archives().await?.good.into_iter().map(|info| info.name).filter(|name| !lack.contains(name)).collect())
}
