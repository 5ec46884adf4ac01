//! `archives`: what lies in the repository.

use offsite_agent::{
    Listed,
    human::{count, size},
};
use offsite_repository::Layout;

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn archives(cli: &cli::Cli, archives: &cli::Json) -> Done {
    let config = load(&cli.config)?;
    let Listed { archives: found, layout, packs, stored } = offsite_agent::archives(&config)?;
    if archives.json {
        let list: Vec<_> = found
            .good
            .iter()
            .map(|info| {
                serde_json::json!({
                    "archive": info.name,
                    "sequence": info.sequence,
                    "complete": info.end.complete,
                    "entries": info.end.entries,
                    "raw": info.end.raw,
                    "bytes": info.end.bytes,
                    "finished": info.end.finished,
                    "quiesced": info.end.quiesced,
                    "warnings": info.end.warnings,
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        for info in &found.good {
            let incomplete = if info.end.complete { "" } else { "  incomplete" };
            say!("{}  {:>9} in {:>9}  {} entries{incomplete}", info.name, size(info.end.raw), size(info.end.bytes), info.end.entries);
        }
        if layout == Layout::Packs && !found.good.is_empty() {
            // Most frames belong to all of them, so their sizes do not add up.
            say!("together they take {}, in {}", size(stored), count(packs, "pack"));
        }
    }
    for bad in &found.unreadable {
        note!("offsite-agent: {} cannot be read: {}", bad.object, offsite_agent::chain(&bad.error));
    }
    Ok(if found.unreadable.is_empty() { Exit::Fine } else { Exit::Failed })
}
