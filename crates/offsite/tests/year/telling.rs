//! What the owner must hear, and when: worked out from the receipts and the script, without the code that decides it.
//!
//! Of each trouble it is known from when until when it stood. It was told by the first start that ended in that time, again by the first that
//! ended a day after that, never sooner and never while it did not stand; and that all is well was told once, after the last of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use offsite::{
    journal::{Fact, Outcome},
    notify::Ping,
};

use super::{
    house::{House, Message},
    script::{HOUR, Second, Span},
};

/// `overdue_hours`.
const LIMIT: Second = 36 * HOUR;
/// What stands is told again a day later, at the first start from then on; with a night a little sooner.
const SOONER: Second = 22 * HOUR;
const AGAIN: Second = 25 * HOUR;
/// What begins and ends without us, as a disk that others fill, is seen by the next look, and that is no later.
pub const UNSEEN: Second = 6 * HOUR;
/// A year has some.
const LEAST: usize = 3;

/// All of it, of a year that is over.
pub fn told_at_its_time(house: &House, seed: u64) {
    let run = |fact: &Fact, time| matches!(fact, Fact::Ran { outcome: Outcome::Fine, .. }).then_some(time);
    let mut troubles = BTreeMap::from([("overdue run".to_owned(), overdue(house, run))]);
    for job in ["services", "photos"].iter().take(house.config.pis.len()) {
        let newest = |fact: &Fact, _| match fact {
            Fact::Pulled { archive, .. } if archive.job.as_str() == *job => Some(shown(house, archive.time())),
            _ => None,
        };
        troubles.insert(format!("overdue {job}"), overdue(house, newest));
    }
    let late: usize = troubles.values().map(Vec::len).sum();
    troubles.extend(failures(house));
    let all: usize = troubles.values().map(Vec::len).sum();
    assert!(late >= LEAST && all > late, "seed {seed}: {troubles:?}");
    troubles.extend(suspicions(house));
    troubles.insert(format!("space {}", house.config.repository.display()), house.script.full_mac.clone());
    for channel in ["webhook", "ntfy"].into_iter().take(house.script.channels) {
        let messages = house.heard(channel);
        once(house, seed, &messages);
        let mut judged = BTreeMap::<&str, usize>::new();
        for (name, spans) in &troubles {
            *judged.entry(name.split(' ').next().unwrap()).or_default() += told(house, seed, &messages, (name, spans));
        }
        assert!(judged["suspicious"] >= LEAST && judged["space"] > 0, "seed {seed}: {judged:?}");
    }
    pinged(house, seed);
}

/// The true time of what the clock showed, if that was right.
fn shown(house: &House, time: Timestamp) -> Second {
    time.duration_since(house.wall(0)).as_secs()
}

/// Whether the clock was set in so long.
fn set(house: &House, from: Second, to: Second) -> bool {
    house.script.clock.iter().any(|clock| clock.0 > from && clock.0 <= to)
}

/// From when until when something was older than the limit. `fresh`: from when what a receipt tells of is, if it is of this.
fn overdue(house: &House, fresh: impl Fn(&Fact, Second) -> Option<Second>) -> Vec<Span> {
    let mut newest = Vec::<(Second, Second)>::new();
    for receipt in house.receipts() {
        let at = shown(house, receipt.time);
        if let Some(time) = fresh(&receipt.fact, at).filter(|time| newest.last().is_none_or(|last| *time > last.1)) {
            newest.push((at, time));
        }
    }
    let last = newest.last().map(|last| (last.1 + LIMIT, Second::MAX));
    let spans = newest.windows(2).map(|pair| (pair[0].1 + LIMIT, pair[1].0));
    spans.chain(last).filter(|(begins, until)| begins < until).collect()
}

/// From when until when each failure stood: from its receipt to the end of the next run in which it did not come again. What broke in a run
/// that was slept through counts for nothing.
fn failures(house: &House) -> BTreeMap<String, Vec<Span>> {
    let mut spans = BTreeMap::<String, Vec<Span>>::new();
    // From when on each stands, and how many runs have ended since it came last.
    let mut standing = BTreeMap::<String, (Second, usize)>::new();
    for receipt in house.receipts() {
        let at = shown(house, receipt.time);
        match receipt.fact {
            Fact::Failed { step, object, .. } => standing.entry(format!("failed {step} {object}")).or_insert((at, 0)).1 = 0,
            Fact::Ran { slept, .. } => standing.retain(|name, (since, runs)| {
                *runs += 1;
                let stands = !slept && *runs < 2;
                if !stands {
                    spans.entry(name.clone()).or_default().push((*since, at));
                }
                stands
            }),
            _ => {}
        }
    }
    for (name, (since, _)) in standing {
        spans.entry(name).or_default().push((since, Second::MAX));
    }
    spans
}

/// From when until when each archive was suspicious: until the owner accepted it.
fn suspicions(house: &House) -> BTreeMap<String, Vec<Span>> {
    let mut spans = BTreeMap::<String, Vec<Span>>::new();
    for receipt in house.receipts() {
        let at = shown(house, receipt.time);
        match receipt.fact {
            Fact::Suspicious { archive, .. } => spans.entry(format!("suspicious {archive}")).or_default().push((at, Second::MAX)),
            Fact::Accepted { archive } => spans.get_mut(&format!("suspicious {archive}")).unwrap().last_mut().unwrap().1 = at,
            _ => {}
        }
    }
    spans
}

/// One trouble, over one channel: how often it was told of as it had to be.
fn told(house: &House, seed: u64, messages: &[Message], (name, spans): (&str, &[Span])) -> usize {
    let starts = house.starts.borrow();
    let unseen = if name.starts_with("space") { UNSEEN } else { 0 };
    let mut judged = 0;
    // A clock that is set is wrong for some hours, and what it showed stays in the journal until the next night.
    let clear = |from: Second, to: Second| !set(house, from - 3 * LIMIT, to);
    for &(begins, until) in spans.iter().filter(|span| clear(span.0, span.1.min(house.now()))) {
        // What was told, and was not taken back, is not news before its time.
        let before = messages.iter().rfind(|message| message.at < begins && (message.well || message.names(name)));
        let first = begins + unseen + 1;
        let mut due = before.filter(|message| !message.well).map_or(first, |message| first.max(message.at + AGAIN));
        let within = messages.iter().filter(|message| (begins..until).contains(&message.at));
        assert!(
            within.clone().all(|message| !message.well),
            "seed {seed}: all was said to be well, but {name} stood from {begins} to {until}"
        );
        let named = within.filter(|message| message.names(name)).map(|message| message.at);
        for at in named.clone().chain([until]) {
            // No start ended in between and was silent.
            let silent = starts.iter().find(|start| start.ended.is_some() && start.at > due && start.at < at);
            let named: Vec<_> = named.clone().collect();
            assert!(silent.is_none(), "seed {seed}: {name} from {begins} to {until} was told at {named:?}, and not by {silent:?}");
            due = at.saturating_add(AGAIN);
        }
        judged += usize::from(named.count() > 0);
    }
    for message in messages.iter().filter(|message| message.names(name) && clear(message.at, message.at)) {
        let stood = spans.iter().any(|(begins, until)| (*begins..=*until).contains(&message.at));
        assert!(stood, "seed {seed}: {name} was told at {}, when it was not: {spans:?}", message.at);
    }
    judged
}

/// Nothing is told twice within a night, unless it was said to be over, or the Mac's clock was set or it was killed in between; and nothing is
/// said to be over that was not told.
fn once(house: &House, seed: u64, messages: &[Message]) {
    let mut last = BTreeMap::<&str, &Message>::new();
    let mut open = false;
    for message in messages {
        assert!(!message.well || open, "seed {seed}: {message:?} ends nothing");
        if message.well {
            // What returns after that is told at once.
            last.clear();
        }
        open = !message.well || !message.answered;
        for name in message.begun.iter().chain(&message.again) {
            if let Some(before) = last.insert(name, message).filter(|before| before.answered) {
                let soon = message.at - before.at < SOONER && !set(house, before.at, message.at);
                assert!(!soon, "seed {seed}: {name} at {} and again at {}", before.at, message.at);
            }
        }
    }
}

/// Whether the owner has still to hear that all is well, on a Mac of which nothing is wrong and whose last run ended fine at `fine`.
pub fn owes_well(messages: &[Message], fine: Second, now: Second) -> bool {
    let Some(last) = messages.last().filter(|last| !last.well && last.at < fine) else { return false };
    // What returned within the day is not believed to be gone before another has passed.
    let (before, open) = messages.split_at(messages.iter().rposition(|message| message.well).map_or(0, |well| well + 1));
    let returned = |name: &String, at| before.iter().any(|message| message.names(name) && at - message.at < AGAIN);
    let restless = open.iter().any(|message| message.begun.iter().chain(&message.again).any(|name| returned(name, message.at)));
    !restless || now - last.at > AGAIN
}

/// healthchecks heard of each good night's end by the end of the first start that was not killed, whichever start had played it.
fn pinged(house: &House, seed: u64) {
    let (starts, pings) = (house.starts.borrow(), house.pings.borrow());
    let fine = house.receipts().into_iter().filter(|receipt| matches!(receipt.fact, Fact::Ran { outcome: Outcome::Fine, .. }));
    let mut nights = 0;
    for night in fine.map(|receipt| shown(house, receipt.time)) {
        let Some(due) = starts.iter().find(|start| start.at >= night && start.ended.is_some()).map(|start| start.at) else { continue };
        if !set(house, night - 3 * LIMIT, due) {
            nights += 1;
            let heard = pings.iter().any(|(at, ping)| *ping != Ping::Start && (night..=due).contains(at));
            assert!(heard, "seed {seed}: the end of the night at {night} by {due}");
        }
    }
    assert!(nights > LEAST, "seed {seed}: {nights}");
}
