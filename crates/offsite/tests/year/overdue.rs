//! When the owner must hear that something is overdue, and how often: worked out from the receipts, without the code that decides it.

use offsite::journal::{Fact, Outcome};

use super::{
    house::House,
    script::{HOUR, Second},
};

/// `overdue_hours`.
const LIMIT: Second = 36 * HOUR;
/// What stands is told again a day later, at the first start from then on; with a night a little sooner.
const AGAIN: (Second, Second) = (22 * HOUR, 25 * HOUR);
/// A year has some.
const LEAST: usize = 3;

/// The run, and each job, at its time and as often as is right: told by the first start that ends after it has begun, again by the first that
/// ends a day after that, and never while it does not stand.
pub fn told_at_its_time(house: &House, seed: u64) {
    let mut times = told(house, seed, "overdue run", |fact, time| matches!(fact, Fact::Ran { outcome: Outcome::Fine, .. }).then_some(time));
    for job in ["services", "photos"].iter().take(house.config.pis.len()) {
        let newest = |fact: &Fact, _| match fact {
            Fact::Pulled { archive, .. } if archive.job.as_str() == *job => Some(archive.time().duration_since(house.wall(0)).as_secs()),
            _ => None,
        };
        times += told(house, seed, &format!("overdue {job}"), newest);
    }
    assert!(times >= LEAST, "seed {seed}: overdue {times} times");
}

/// `fresh`: from when what a receipt tells of is, if it is of this. Says how often it was overdue.
fn told(house: &House, seed: u64, key: &str, fresh: impl Fn(&Fact, Second) -> Option<Second>) -> usize {
    // While the clock was right, so that what it showed is the true time.
    let set = |from, to| house.script.clock.iter().any(|clock| clock.0 > from && clock.0 <= to);
    let shown = |time: jiff::Timestamp| time.duration_since(house.wall(0)).as_secs();
    let (messages, starts) = (house.messages.borrow(), house.starts.borrow());
    let mut newest = Vec::<(Second, Second)>::new();
    for receipt in house.receipts() {
        let at = shown(receipt.time);
        if let Some(time) = fresh(&receipt.fact, at).filter(|time| newest.last().is_none_or(|last| *time > last.1)) {
            newest.push((at, time));
        }
    }
    let mut stood = Vec::new();
    for pair in newest.windows(2) {
        let ([(since, time), (until, _)], begins) = ([pair[0], pair[1]], pair[0].1 + LIMIT);
        if begins >= until || set(since.min(time), until) {
            continue;
        }
        stood.push((begins, until));
        let named: Vec<Second> = messages
            .iter()
            .filter(|message| (begins..until).contains(&message.at) && message.names(key))
            .map(|message| message.at)
            .collect();
        let mut due = begins + 1;
        for at in named.iter().copied().chain([until]) {
            // No start ended in between and was silent.
            let silent = starts.iter().find(|start| start.ended.is_some() && start.at > due && start.at < at);
            assert!(silent.is_none(), "seed {seed}: {key} from {begins} to {until} was told at {named:?}, and not by {silent:?}");
            due = at + AGAIN.1;
        }
        assert!(named.windows(2).all(|pair| pair[1] - pair[0] >= AGAIN.0), "seed {seed}: {key} was told at {named:?}");
    }
    // A clock that is set is wrong for some hours, and what it showed stays in the journal until the next night.
    for message in messages.iter().filter(|message| message.names(key) && !set(message.at - 3 * LIMIT, message.at)) {
        let stands = stood.iter().any(|(begins, until)| (*begins..=*until).contains(&message.at));
        let last = newest.last().is_some_and(|last| last.1 + LIMIT <= message.at);
        let around =
            newest.windows(2).any(|pair| pair[0].0 <= message.at && message.at <= pair[1].0 && set(pair[0].0.min(pair[0].1), pair[1].0));
        assert!(stands || last || around, "seed {seed}: {key} was told at {}, when it was not: {stood:?}", message.at);
    }
    stood.len()
}
