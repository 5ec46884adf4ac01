//! `offsite archives`: every archive of a place, with its number.
//!
//! What cannot be read is listed too, after the rest, and makes the exit code say so: an archive that is missing from a list is noticed by
//! nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Unreadable};
use serde::Serialize;

use crate::{
    exit::Exit,
    globals::Globals,
    human::{self, Align, count, number, plain, size, table},
    restore::{
        from::{self, From, Opened},
        select,
    },
};

/// Arguments of `offsite archives`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON array
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
}

/// One archive, or what should be one, as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Row {
    Archive {
        archive: ArchiveName,
        sequence: u64,
        host: String,
        finished: Timestamp,
        /// Of the tar stream, in bytes.
        raw: u64,
        /// Of the frames, in bytes.
        bytes: u64,
        entries: u64,
        complete: bool,
        warnings: u64,
        /// All of them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warned: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        flaw: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        verified: Option<Timestamp>,
    },
    Unreadable {
        object: String,
        error: String,
    },
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let opened = from::open(globals, &args.from).await?;
    let archives = opened.repository.archives().await?;
    let rows: Vec<Row> = archives.good.iter().map(|info| row(info, &opened)).chain(archives.unreadable.iter().map(unreadable)).collect();
    if args.json {
        say!("{}", serde_json::to_string(&rows)?);
    } else {
        crate::say::text(&text(&rows, &opened.label, Timestamp::now()));
    }
    Ok(if archives.unreadable.is_empty() { Exit::Fine } else { Exit::Incomplete })
}

fn row(info: &ArchiveInfo, opened: &Opened) -> Row {
    let flaw = select::flaw(info, opened.place.as_ref(), &opened.standing);
    let verified = opened.place.as_ref().and_then(|place| opened.standing.verified.get(&(place.clone(), info.name.clone())));
    Row::Archive {
        archive: info.name.clone(),
        sequence: info.sequence,
        host: info.head.host.clone(),
        finished: info.end.finished,
        raw: info.end.raw,
        bytes: info.end.bytes,
        entries: info.end.entries,
        complete: info.end.complete,
        warnings: info.end.warnings.len() as u64,
        warned: info.end.warnings.clone(),
        flaw: flaw.map(|flaw| flaw.to_string()),
        verified: verified.copied(),
    }
}

fn unreadable(bad: &Unreadable) -> Row {
    Row::Unreadable { object: bad.object.clone(), error: offsite_agent::chain(&bad.error) }
}

/// The warnings stand below the table: of the newest archive of each job, since most nights say what the night before said; of all in JSON.
fn text(rows: &[Row], label: &str, now: Timestamp) -> String {
    let names = rows.iter().filter_map(|row| if let Row::Archive { archive, .. } = row { Some((&archive.job, archive)) } else { None });
    // By name, so the last of a job is its newest.
    let newest: BTreeSet<&ArchiveName> = names.collect::<BTreeMap<_, _>>().into_values().collect();
    let mut cells = vec![["ARCHIVE", "NUMBER", "ENTRIES", "SIZE", "FRAMES", "VERIFIED", ""].map(str::to_owned).to_vec()];
    let (mut bad, mut said) = (String::new(), String::new());
    for row in rows {
        match row {
            Row::Archive { archive, sequence, raw, bytes, entries, warnings, warned, flaw, verified, .. } => {
                let verified = verified.map_or_else(|| "-".to_owned(), |then| human::ago(now.duration_since(then)));
                let notes = [flaw.clone(), (*warnings > 0).then(|| count(*warnings, "warning", "warnings"))];
                let notes = notes.into_iter().flatten().collect::<Vec<_>>().join("; ");
                cells.push(vec![
                    archive.to_string(),
                    sequence.to_string(),
                    number(*entries),
                    size(*raw),
                    size(*bytes),
                    verified,
                    plain(&notes),
                ]);
                if !warned.is_empty() && newest.contains(archive) {
                    said.push_str(&format!("warnings of {archive}:\n"));
                    warned.iter().for_each(|text| said.push_str(&format!("  {}\n", plain(text))));
                }
            }
            Row::Unreadable { object, error } => bad.push_str(&format!("unreadable: {}: {}\n", plain(object), plain(error))),
        }
    }
    if cells.len() == 1 {
        return format!("there are no archives in {label}\n{bad}");
    }
    let align = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left, Align::Left];
    format!("{}{bad}{said}", table(&align, &cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(day: u8, flaw: Option<&str>, verified: Option<Timestamp>) -> Row {
        let archive: ArchiveName = format!("services/2026-11-{day:02}T040000Z").parse().unwrap();
        Row::Archive {
            sequence: u64::from(day),
            host: "pi".to_owned(),
            finished: archive.time(),
            archive,
            raw: 9_400_000_000,
            bytes: 1_200_000_000,
            entries: 12_345,
            complete: flaw.is_none(),
            warnings: u64::from(flaw.is_some()),
            warned: flaw.map(|_| "a\nwarning".to_owned()).into_iter().collect(),
            flaw: flaw.map(str::to_owned),
            verified,
        }
    }

    #[test]
    fn the_list_is_a_table_and_hides_nothing() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let bad = Row::Unreadable { object: "manifests/x\n".to_owned(), error: "it is damaged".to_owned() };
        let rows = [archive(21, None, Some("2026-11-22T04:31:00Z".parse().unwrap())), archive(22, Some("it is incomplete"), None), bad];
        let wanted = "\
ARCHIVE                      NUMBER  ENTRIES    SIZE  FRAMES  VERIFIED
services/2026-11-21T040000Z      21   12,345  9.4 GB  1.2 GB  4 h ago
services/2026-11-22T040000Z      22   12,345  9.4 GB  1.2 GB  -         it is incomplete; 1 warning
unreadable: manifests/x\\n: it is damaged
warnings of services/2026-11-22T040000Z:
  a\\nwarning
";
        assert_eq!(text(&rows, "this Mac", now), wanted);
        assert_eq!(text(&[], "cold", now), "there are no archives in cold\n");
    }

    #[test]
    fn json_says_the_same() {
        let json = serde_json::to_value([archive(22, None, None)]).unwrap();
        assert_eq!(json[0]["archive"], "services/2026-11-22T040000Z");
        assert_eq!((json[0]["raw"].as_u64(), json[0]["complete"].as_bool(), json[0].get("flaw")), (Some(9_400_000_000), Some(true), None));
    }
}
