//! What a night would do: `offsite sync --dry-run`. Reads every place, changes none.

use std::collections::BTreeSet;

use offsite_repository::{ArchiveInfo, Repository};

use super::{Night, retain};
use crate::{
    config::{Config, PlaceName},
    exit::Exit,
    hint,
    journal::Journal,
    places,
    state::State,
};

/// Prints what would be pulled, pushed and forgotten. Places that cannot be reached are told, and make the exit incomplete.
///
/// # Errors
/// If the journal or the Mac's repository cannot be read.
pub async fn preview(config: &Config) -> anyhow::Result<Exit> {
    let journal: Journal = State::at(&config.state).journal();
    let mut night = Night::new(config, &journal, places::mac(config).await?);
    night.reread()?;
    let mut exit = Exit::Fine;
    let mut mine = night.mac.repository.archives().await?.good;
    for pi in &config.pis {
        match listed(places::pi(config, pi, &[]).await.map(|reached| reached.repository)).await {
            Ok((_, theirs)) => {
                let wanted = night.wanted(&night.not_refused(theirs, &mine), &mine);
                wanted.iter().for_each(|info| say!("would pull {} from {}", info.name, pi.name));
                let new: Vec<ArchiveInfo> = wanted.into_iter().filter(|info| !mine.contains(info)).collect();
                mine.extend(new);
            }
            Err(error) => exit = told(&error),
        }
    }
    let mut gone = retain::dropped(config, None, &night.standing, &PlaceName::mac(), mine.iter());
    retain::freeze(&mut gone, &night.standing);
    // As many as one night takes.
    let said = |place: &PlaceName| night.forgot.iter().filter(|(at, _)| at == place).map(|(_, archive)| archive.clone()).collect();
    let (gone, _) = retain::limited(&gone, &said(&PlaceName::mac()), |job| config.keep_of(job).get());
    gone.iter().for_each(|archive| say!("would forget {archive} (mac)"));
    mine.retain(|info| !gone.contains(&info.name));
    for cloud in &config.clouds {
        match listed(places::cloud(config, cloud, false).await).await {
            Ok((_, theirs)) => {
                let wanted = night.missing(cloud, &theirs, &mine);
                wanted.iter().for_each(|info| say!("would push {} to {}", info.name, cloud.name));
                let names: BTreeSet<_> = theirs.iter().map(|info| info.name.clone()).collect();
                let all = theirs.iter().chain(wanted.iter().filter(|info| !names.contains(&info.name)));
                let mut gone = retain::dropped(config, Some(cloud.keep), &night.standing, &cloud.name, all);
                retain::freeze(&mut gone, &night.standing);
                let (gone, _) = retain::limited(&gone, &said(&cloud.name), |_| cloud.keep.get());
                gone.iter().for_each(|archive| say!("would forget {archive} ({})", cloud.name));
            }
            Err(error) if !night.standing.held.contains_key(&cloud.name) => {
                say!("would make a vault in {} and push {} archives, unless: {}", cloud.name, mine.len(), hint::message(&error));
            }
            Err(error) => exit = told(&error),
        }
    }
    Ok(exit)
}

async fn listed(place: Result<Repository, places::PlaceError>) -> anyhow::Result<(Repository, Vec<ArchiveInfo>)> {
    let repository = place?;
    let archives = repository.archives().await?.good;
    Ok((repository, archives))
}

fn told(error: &anyhow::Error) -> Exit {
    note!("{}", hint::render(error));
    Exit::Incomplete
}
