//! What a restore says of itself, and a dry run of one: what is there, what is left out, why, and how to have it all the same.

use std::iter;

use offsite_archive::{ArchiveName, Around, Cannot, Extracted, Kind, Manifest, PathText, Unmade};
use offsite_repository::{FetchError, Index, Layout, not_held};
use serde_json::json;

use super::{
    Args, Plan, RestoreError,
    from::Opened,
    packs,
    select::{Chosen, Flaw},
};
use crate::{
    browse::absolute,
    config::PlaceName,
    exit::Exit,
    human::{count, plain, size},
};

/// Warnings shown, and members that are left out; after these only their number.
const SHOWN: usize = 20;

/// Says what a restore would be, as far as lists tell it: the packs of a cloud that it would read (those of a cold class must be thawed first),
/// and what is known to be lost.
pub(super) async fn would(opened: &Opened, chosen: &Chosen, plan: &Plan, json: bool) -> anyhow::Result<Exit> {
    let name = &chosen.info.name;
    let index = opened.repository.index_of(&plan.manifest).await?;
    let lost = lost(name, plan, &index)?;
    let sealed = opened.repository.layout() == Layout::Sealed;
    let packs = if sealed {
        packs::needed(&plan.manifest, &plan.ranges, |frame| index.pack_of(&index.locate(frame)?).cloned())
    } else {
        Vec::new()
    };
    let whole = lost.is_none() && !(plan.whole() && chosen.flaw == Some(Flaw::NotWhole));
    if json {
        let left_out: Vec<_> = lost.iter().flatten().map(|(path, why)| json!({ "path": path, "why": why.to_string() })).collect();
        let packs: Vec<String> = packs.iter().map(|facts| facts.name.path().to_string()).collect();
        let into = plan.into.display().to_string();
        let bytes = plan.raw();
        say!(
            "{}",
            json!({ "dry_run": true, "archive": name, "place": opened.label, "into": into, "bytes": bytes, "whole": whole, "left_out": left_out, "packs": packs })
        );
    } else {
        let entries = count(plan.manifest.end.entries, "entry", "entries");
        let what = if plan.whole() { entries } else { format!("a part of {entries}") };
        say!("would restore {what}, {}, of {name} from {} into {}", size(plan.raw()), opened.label, plan.into.display());
        if sealed {
            let bytes = packs.iter().map(|facts| facts.bytes).sum();
            say!("would read from {}, {} in all:", count(packs.len() as u64, "pack", "packs"), size(bytes));
            packs.iter().for_each(|facts| say!("  {}", facts.name.path()));
        }
    }
    if let Some(lost) = &lost {
        tell_left_out("would leave out", lost.iter().map(|(path, why)| (path.to_string(), why.to_string())), lost.len() as u64);
        tell_steps(&lost_steps(name, opened));
    }
    Ok(if whole && chosen.info.end.complete { Exit::Fine } else { Exit::Incomplete })
}

/// What no frame of the place holds, and a restore would leave out; none if all is held. Further names of it are not among it.
fn lost(archive: &ArchiveName, plan: &Plan, index: &Index) -> anyhow::Result<Option<Vec<(PathText, FetchError)>>> {
    let failed = |source| RestoreError::Entries { archive: archive.clone(), source };
    let mut holes = not_held(&plan.manifest, &plan.ranges, index).peekable();
    if holes.peek().is_none() {
        return Ok(None);
    }
    let mut around = Around::new(Manifest::entries(&plan.bytes).map_err(failed)?);
    let mut lost = Vec::new();
    for (frame, range) in holes {
        let members = around.lose(&range).map_err(failed)?.into_iter().filter(|entry| entry.kind != Kind::Dir);
        lost.extend(members.map(|entry| (entry.path, FetchError::Lacking { frame })));
    }
    Ok(Some(lost))
}

/// Says what was restored, and says how it ended.
pub(super) fn done(extracted: &Extracted, chosen: &Chosen, opened: &Opened, plan: &Plan, args: &Args) -> Exit {
    let Extracted { entries, bytes, warnings, unmade, gaps } = extracted;
    let name = &chosen.info.name;
    for warning in warnings.iter().take(SHOWN) {
        note!("warning: {}", plain(warning));
    }
    if warnings.len() > SHOWN {
        note!("warning: and {} more", warnings.len() - SHOWN);
    }
    let checked = match (gaps, plan.whole()) {
        (0, true) => "the whole stream is as the agent read it",
        (0, false) => "every frame checked",
        (..) => "every frame of it checked; the rest cannot be read here, so the whole is not affirmed",
    };
    if args.json {
        let left_out: Vec<_> = unmade.iter().map(|(path, why)| json!({ "path": absolute(path), "why": why.to_string() })).collect();
        let below = unmade.count() - left_out.len() as u64;
        let (into, whole) = (plan.into.display().to_string(), *gaps == 0);
        say!(
            "{}",
            json!({ "dry_run": false, "archive": name, "place": opened.label, "into": into, "entries": entries, "bytes": bytes, "whole": whole, "left_out": left_out, "left_out_below": below, "warnings": warnings })
        );
    } else {
        say!(
            "restored {}, {}, of {name} from {} into {}; {checked}",
            count(*entries, "entry", "entries"),
            size(*bytes),
            opened.label,
            plan.into.display()
        );
    }
    tell_unmade(unmade, name, opened);
    if !args.owners && !args.json {
        say!("all files belong to you; as root, --owners gives them back to their owners by number");
    }
    let all = *gaps == 0 && warnings.is_empty() && unmade.count() == 0 && chosen.info.end.complete;
    if all { Exit::Fine } else { Exit::Incomplete }
}

/// Names what could not be read, and what this disk did not take, and how to have it all the same.
fn tell_unmade(unmade: &Unmade, archive: &ArchiveName, opened: &Opened) {
    if unmade.count() == 0 {
        return;
    }
    let named = unmade.iter().map(|(path, why)| (String::from_utf8_lossy(path).into_owned(), why.to_string()));
    tell_left_out("left out", named, unmade.count());
    let is = |like: fn(&Cannot) -> bool| unmade.iter().any(|(_, why)| like(why));
    let why = match (is(is_lost), is(|why| !matches!(why, Cannot::Lost { .. } | Cannot::First { .. }))) {
        (true, true) => "read, or made here",
        (true, false) => "read",
        (false, _) => "made here",
    };
    note!("{} could not be {why}; the rest is restored", count(unmade.count(), "member", "members"));
    tell_steps(&steps(unmade, archive, opened));
}

fn tell_left_out(word: &str, named: impl Iterator<Item = (String, String)>, all: u64) {
    let mut more = all;
    for (path, why) in named.take(SHOWN) {
        note!("{word}: {}: {}", plain(&path), plain(&why));
        more -= 1;
    }
    if more > 0 {
        note!("{word}: and {more} more, all that lies below such folders among them");
    }
}

fn tell_steps(steps: &[String]) {
    for (step, word) in steps.iter().zip(iter::once("next:  ").chain(iter::repeat("or:    "))) {
        note!("{word}{step}");
    }
}

fn is_lost(why: &Cannot) -> bool {
    matches!(why, Cannot::Lost { .. })
}

fn lost_steps(archive: &ArchiveName, opened: &Opened) -> [String; 2] {
    let whole = if opened.place == Some(PlaceName::mac()) {
        format!("mend this Mac from a cloud that holds it whole, then restore those: offsite verify {archive} --heal-from CLOUD")
    } else {
        format!("another place may hold it whole: offsite restore {archive} --into OTHER PATH, without --from or --from CLOUD")
    };
    [whole, "an older archive may hold them as they were then: offsite find --all PATH".to_owned()]
}

fn steps(unmade: &Unmade, archive: &ArchiveName, opened: &Opened) -> Vec<String> {
    let is = |like: fn(&Cannot) -> bool| unmade.iter().any(|(_, why)| like(why));
    let mut steps = Vec::new();
    if is(is_lost) {
        steps.extend(lost_steps(archive, opened));
    }
    if is(|why| matches!(why, Cannot::Folder)) {
        steps.push("move those folders aside, then restore what belongs there: offsite restore … --overwrite PATH".to_owned());
    }
    if is(|why| matches!(why, Cannot::Together { .. })) {
        steps.push(format!("have those alone, in a folder of their own: offsite restore {archive} --into OTHER PATH"));
        steps.push("restore to a disk that tells upper from lower case: docs/restore.md, section 1, makes one".to_owned());
    }
    // A stream leaves nothing out.
    if !is(is_lost) && is(|why| !matches!(why, Cannot::Folder)) {
        steps.push(format!(
            "carry all of it to the Pi, which holds it: offsite export {archive} - | ssh root@pi 'cd / && tar --zstd --numeric-owner -xpf - --xattrs --xattrs-include=\"*\" --acls'"
        ));
    }
    steps
}
