//! `offsite demo`: the whole way on made-up data, in a temporary folder, without root, docker or network.
//!
//! Three nights from a house of services over SFTP to a Mac and sealed to a cloud; then a tired disk, a dead Pi, a stolen Mac, and the way back
//! each time, compared byte for byte. It uses the verbs themselves and has no shortcut of its own, so it is a test as much as a show: any
//! difference ends it with exit code 1.

mod compare;
mod house;
mod stage;

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use self::{
    compare::{Tree, differences},
    stage::Stage,
};
use crate::{
    exit::Exit,
    globals::Globals,
    human::{Align, count, percent, size, table},
    journal::Fact,
    restore::{self, from},
    state::State,
    status, sync, verify,
};

/// Arguments of `offsite demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Play in this folder, new or empty, and leave everything there to look at
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

const NIGHTS: u64 = 3;

pub(crate) async fn run(_globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let (root, temporary) = folder(args.keep.as_deref())?;
    play(&root).await?;
    match temporary {
        Some(folder) => folder.close().context("cannot remove the demo's folder")?,
        None => say!("\neverything is left in {}", root.display()),
    }
    Ok(Exit::Fine)
}

/// The folder, resolved, since archives name it; and what removes it.
fn folder(keep: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    let Some(keep) = keep else {
        let folder = tempfile::Builder::new().prefix("offsite-demo-").tempdir().context("cannot make a temporary folder")?;
        let root = folder.path().canonicalize().context("cannot find the temporary folder")?;
        return Ok((root, Some(folder)));
    };
    let path = restore::target::check(keep, &[], false)?;
    restore::target::make(&path)?;
    Ok((path, None))
}

async fn play(root: &Path) -> anyhow::Result<()> {
    // The last night is the latest 04:00 that has passed, so that the status is a usual morning's.
    let last = last_four(Timestamp::now())?;
    let night = |number: u64| last.checked_sub(((NIGHTS - number) as i64 * 24).hours());
    let mut stage = Stage::build(root, night(1)?).await?;
    let tree = Tree::read(&stage.house())?;
    let files = count(tree.files, "file", "files");
    step(1, &format!("A house of services on a Pi: {files}, {}", size(tree.bytes)));
    drop(tree);

    step(2, "Three nights: the agent archives at 04:00, the Mac pulls over SFTP and pushes a sealed copy to a cloud");
    for number in 1..=NIGHTS {
        if number > 1 {
            stage.live(number - 1, night(number)?).context("cannot live in the house")?;
        }
        stage.agent_run(night(number)?).await?;
        well(sync::run(&stage.globals(), &sync::Args::default()).await?, "offsite sync")?;
    }
    crate::say::text(&format!("\n{}", moved(&stage)?));

    step(3, "The morning after: offsite status");
    // Its exit is the alarm's; a house with one cloud and no verified cloud copy may well have something to say.
    status::run(&stage.globals(), &status::Args::default()).await?;
    say!("\n(The demo's cloud is a folder on this machine, so nothing is off site. With s3:// the rule holds.)");

    step(4, "A tired disk flips one bit on the Mac: offsite verify finds it and heals from the cloud");
    stage.damage()?;
    let check =
        |heal: bool| verify::Args { archive: None, heal_from: heal.then(|| "cold".parse()).transpose().ok().flatten(), json: false };
    if verify::run(&stage.globals(), &check(false)).await? != Exit::Incomplete {
        bail!("offsite verify did not find a damaged pack");
    }
    well(verify::run(&stage.globals(), &check(true)).await?, "offsite verify --heal-from cold")?;
    well(verify::run(&stage.globals(), &check(false)).await?, "offsite verify")?;

    step(5, "The Pi's disk dies: everything comes back from the Mac");
    stage.lose_the_pi().context("cannot lose the Pi")?;
    back(&stage, &stage.globals(), "mac", from::From::default()).await?;

    step(6, "The Mac is stolen too: everything comes back from the cloud, with the recovery key on paper and nothing else");
    stage.lose_the_mac().context("cannot lose the Mac")?;
    say!("on the paper: {}\n", stage.recovery.as_str());
    let from = from::From { from: Some(stage.cloud_url()), recovery_key: stage.recovery.parse().ok(), ..from::From::default() };
    // This names a configuration that is gone, so that the demo never looks at that of whoever runs it.
    back(&stage, &stage.globals(), "cloud", from).await?;
    say!("\nEverything came back, twice.");
    Ok(())
}

async fn back(stage: &Stage, globals: &Globals, name: &str, from: from::From) -> anyhow::Result<()> {
    let into = stage.restored(name);
    let args = restore::Args {
        what: "services".parse()?,
        paths: Vec::new(),
        into: into.clone(),
        owners: false,
        overwrite: false,
        dry_run: false,
        json: false,
        from,
    };
    well(restore::run(globals, &args).await?, "offsite restore")?;
    let trees = || -> io::Result<(Tree, Tree)> { Ok((Tree::read(&stage.aside())?, Tree::read(&stage.house_in(&into))?)) };
    let (was, is) = trees().context("cannot read what came back")?;
    let found = differences(&was, &is);
    if !found.is_empty() {
        found.iter().take(20).for_each(|difference| note!("  {difference}"));
        bail!("what came back from the {name} is not what was lost: {}", count(found.len() as u64, "difference", "differences"));
    }
    say!("compared {}: every byte, mode, time and link is as it was", count(was.files, "file", "files"));
    Ok(())
}

fn moved(stage: &Stage) -> anyhow::Result<String> {
    let config = stage.globals().load()?;
    let mut rows = vec![["night", "the archive is", "Pi to Mac", "", "Mac to cloud", ""].map(str::to_owned).to_vec()];
    for receipt in State::at(&config.state).journal().read()?.receipts {
        match receipt.fact {
            Fact::Pulled { archive, moved, total, .. } => {
                rows.push(vec![archive.time_text(), size(total), size(moved), percent(moved, total)]);
            }
            Fact::Pushed { archive, moved, total, .. } => {
                let row = rows.iter_mut().find(|row| row.first() == Some(&archive.time_text()));
                row.context("pushed before it was pulled")?.extend([size(moved), percent(moved, total)]);
            }
            _ => {}
        }
    }
    if rows.len() as u64 != NIGHTS + 1 || rows.iter().any(|row| row.len() != 6) {
        bail!("not every night was pulled and pushed once");
    }
    Ok(table(&[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right], &rows))
}

/// The latest 04:00, in the time zone of whoever looks, that is not in the future.
fn last_four(now: Timestamp) -> anyhow::Result<Timestamp> {
    let here = now.to_zoned(TimeZone::system());
    let four = here.date().at(4, 0, 0, 0).to_zoned(TimeZone::system())?;
    Ok(if four > here { four.checked_sub(1.day())?.timestamp() } else { four.timestamp() })
}

fn step(number: u32, text: &str) {
    say!("\n{number}. {text}\n");
}

fn well(exit: Exit, what: &str) -> anyhow::Result<()> {
    if exit == Exit::Fine { Ok(()) } else { bail!("{what} ended with exit code {}", exit.code()) }
}
