//! A receipt in words. Pure.

use super::text::ended;
use crate::{
    human::{count, percent, size},
    journal::Fact,
};

pub(super) fn of(fact: &Fact) -> String {
    let share = |moved: u64, total: u64| format!("{} of {} moved ({})", size(moved), size(total), percent(moved, total));
    match fact {
        Fact::Ran { outcome, slept, .. } => {
            let slept = if *slept { "; this computer slept in it" } else { "" };
            format!("ended: {}{slept}", ended(Some(*outcome)))
        }
        Fact::Asked => "asked the daemon for a run".to_owned(),
        Fact::Waited { why, .. } => format!("waited: {why}"),
        Fact::Seen { place, jobs } => {
            let jobs: Vec<String> = jobs.iter().map(|(job, holding)| format!("{job} {}", holding.count)).collect();
            format!("{place} holds {}", if jobs.is_empty() { "nothing".to_owned() } else { jobs.join(", ") })
        }
        Fact::Pulled { pi, archive, moved, total, complete, warnings, .. } => {
            let lacks = if *complete == Some(false) { "; something that should be in it is not" } else { "" };
            let warned = if warnings.is_none() { String::new() } else { format!("; {}", count(warnings.count, "warning", "warnings")) };
            format!("pulled {archive} from {pi}: {}{lacks}{warned}", share(*moved, *total))
        }
        Fact::Pushed { cloud, archive, moved, total, .. } => format!("pushed {archive} to {cloud}: {}", share(*moved, *total)),
        Fact::Verified { place, archive, .. } => format!("verified {archive} in {place}"),
        Fact::Again { archive } => format!("wanted again: {archive}"),
        Fact::Forgot { place, archives, by_hand } => {
            let names: Vec<String> = archives.iter().map(ToString::to_string).collect();
            let who = if *by_hand { " by hand" } else { "" };
            format!("forgot{who} {} in {place}: {}", count(names.len() as u64, "archive", "archives"), names.join(", "))
        }
        Fact::Failed { step, object, message, hint } => {
            let next = hint.as_ref().map(|hint| format!("; next: {hint}")).unwrap_or_default();
            format!("failed: {step} {object}: {message}{next}")
        }
        Fact::Suspicious { archive, why } => format!("suspicious: {archive}: {why}"),
        Fact::Compared { archive, with, change } => format!("compared {archive} with {with}: {} % stayed", change.stays()),
        Fact::Acknowledged { lines } => {
            format!("acknowledged: {} of the journal", count(lines.len() as u64, "damaged line", "damaged lines"))
        }
        Fact::Accepted { archive } => format!("accepted {archive}"),
        Fact::Lost { place, archive, frames: Some(frames) } => {
            format!("lost: {} of {archive} in {place}", count(*frames, "frame", "frames"))
        }
        Fact::Lost { place, archive, frames: None } => format!("lost: all of {archive} in {place}"),
        Fact::Healed { place, archive, from } => format!("healed {archive} in {place} from {from}"),
        Fact::Drilled { place, archive, files, bytes } => {
            format!("drilled: {archive} from {place}, {}, {}, all right", count(*files, "file", "files"), size(*bytes))
        }
        Fact::Notified { channel } => format!("notices get through again: {channel}"),
    }
}
