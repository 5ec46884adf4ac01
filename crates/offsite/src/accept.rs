//! `offsite accept ARCHIVE…`: a person says that suspicious archives are as they should be. `--journal`: that damaged lines of the journal are
//! known; they stay damaged, and say nothing.
//!
//! Only what is suspicious can be accepted: a typing error must not bless an archive that the tripwire has yet to see.

use std::collections::BTreeSet;

use jiff::Timestamp;
use offsite_archive::ArchiveName;

use crate::{
    exit::Exit,
    globals::Globals,
    human,
    journal::{BadLine, Fact, Journal, Receipt, Standing},
    state::State,
};

/// Arguments of `offsite accept`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archives, as `offsite status` names them
    #[arg(required_unless_present = "journal", value_name = "ARCHIVE")]
    pub archives: Vec<ArchiveName>,
    /// The lines of the journal that are damaged: you know of them, and what they said stays lost
    #[arg(long, conflicts_with = "archives")]
    pub journal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error("{archive} is not suspicious{}", others_text(others))]
    NotSuspicious { archive: ArchiveName, others: Vec<ArchiveName> },
}

fn others_text(others: &[ArchiveName]) -> String {
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    if names.is_empty() { "; nothing is".to_owned() } else { format!("; these are: {}", names.join(", ")) }
}

/// What to write when `archive` is accepted; `None` if it already was.
pub(crate) fn decide(standing: &Standing, archive: &ArchiveName) -> Result<Option<Fact>, AcceptError> {
    if standing.suspicious.contains_key(archive) {
        Ok(Some(Fact::Accepted { archive: archive.clone() }))
    } else if standing.accepted.contains(archive) {
        Ok(None)
    } else {
        Err(AcceptError::NotSuspicious { archive: archive.clone(), others: standing.suspicious.keys().cloned().collect() })
    }
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let journal = State::open(&config.state)?.journal();
    if args.journal {
        say!("{}", acknowledge(&journal)?);
        return Ok(Exit::Fine);
    }
    let mut standing = Standing::of(&journal.read()?.receipts);
    // All or none: one mistyped name must not leave the others half done.
    let facts = args.archives.iter().map(|archive| decide(&standing, archive)).collect::<Result<Vec<_>, _>>()?;
    for (archive, fact) in args.archives.iter().zip(facts) {
        match fact {
            Some(fact) => {
                journal.append(&Receipt { time: Timestamp::now(), fact })?;
                say!("{archive} is accepted: it counts from the next run on, and is the new measure for its job");
            }
            None => say!("{archive} was accepted already"),
        }
    }
    standing.suspicious.retain(|name, _| !args.archives.contains(name));
    let left = still_frozen(&standing, &args.archives);
    if !left.is_empty() {
        say!("nothing of the job is forgotten before these are accepted too: offsite accept {}", names(&left));
    }
    Ok(Exit::Fine)
}

/// Notes that a person knows of the damaged lines. What was done, in words.
fn acknowledge(journal: &Journal) -> anyhow::Result<String> {
    let read = journal.read()?;
    let known = Standing::of(&read.receipts).acknowledged;
    let lines: BTreeSet<BadLine> = read.damaged.into_iter().map(BadLine::from).filter(|line| !known.contains(line)).collect();
    if lines.is_empty() {
        return Ok("the journal has no damaged line that was not accepted already".to_owned());
    }
    let count = human::count(lines.len() as u64, "damaged line", "damaged lines");
    journal.append(&Receipt { time: Timestamp::now(), fact: Fact::Acknowledged { lines } })?;
    Ok(format!("accepted: {count} of the journal; what they said stays lost, and `offsite history` and `offsite doctor` go on saying so"))
}

/// What else is suspicious of the jobs of `accepted`.
fn still_frozen(standing: &Standing, accepted: &[ArchiveName]) -> Vec<ArchiveName> {
    let same = |name: &&ArchiveName| accepted.iter().any(|archive| archive.job == name.job);
    standing.suspicious.keys().filter(same).cloned().collect()
}

fn names(archives: &[ArchiveName]) -> String {
    archives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tripwire::Why;

    #[test]
    fn only_the_suspicious_can_be_accepted_and_twice_is_well() {
        let (odd, fine): (ArchiveName, ArchiveName) =
            ("services/2026-11-22T040000Z".parse().unwrap(), "services/2026-11-21T040000Z".parse().unwrap());
        let mut receipts = vec![Receipt { time: Timestamp::UNIX_EPOCH, fact: Fact::Suspicious { archive: odd.clone(), why: Why::Empty } }];
        let error = decide(&Standing::of(&receipts), &fine).unwrap_err();
        assert_eq!(error.to_string(), "services/2026-11-21T040000Z is not suspicious; these are: services/2026-11-22T040000Z");
        let fact = decide(&Standing::of(&receipts), &odd).unwrap().unwrap();
        receipts.push(Receipt { time: Timestamp::UNIX_EPOCH, fact });
        assert_eq!(decide(&Standing::of(&receipts), &odd), Ok(None));
        assert!(Standing::of(&receipts).suspicious.is_empty());
    }

    #[test]
    fn damaged_lines_are_accepted_once() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        assert!(acknowledge(&journal).unwrap().contains("no damaged line"), "none at all");
        std::fs::write(journal.path(), "no receipt\nnor this\n").unwrap();
        assert!(acknowledge(&journal).unwrap().starts_with("accepted: 2 damaged lines"));
        assert_eq!(journal.standing().unwrap().damaged, [0; 0]);
        assert!(acknowledge(&journal).unwrap().contains("no damaged line"), "twice is well");
        assert_eq!(journal.read().unwrap().receipts.len(), 1);
    }

    #[test]
    fn others_of_the_job_are_named() {
        let [odd, second, other]: [ArchiveName; 3] =
            ["services/2026-11-22T040000Z", "services/2026-11-23T040000Z", "photos/2026-11-22T040000Z"].map(|name| name.parse().unwrap());
        let suspicious = [(second.clone(), Why::Empty), (other, Why::Empty)].into();
        let standing = Standing { suspicious, ..Standing::default() };
        assert_eq!(still_frozen(&standing, &[odd]), [second]);
    }
}
