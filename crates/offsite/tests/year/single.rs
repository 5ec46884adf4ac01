//! One mishap at a time, in a household where nothing else happens: what exactly the journal and the owner get of it.

use offsite::{
    daemon::Ended,
    journal::{Fact, Outcome, Waiting},
};

use super::{
    House,
    script::{BERLIN, DAY, HOUR, Script, Second},
};

/// The slot of a day in winter's Berlin.
const SLOT: Second = 3 * HOUR + 1800;
const MINUTE: Second = 60;

/// Forty days, of which the first that are of interest are about the twentieth.
fn lives(script: Script) -> House {
    let house = House::new(7, script.sorted());
    house.live(40, &mut |_| {});
    house
}

/// True times and outcomes of the runs from the twentieth day on, those of quiet nights at their usual time left out.
fn unusual(house: &House) -> Vec<(Second, Outcome)> {
    let runs = house.receipts().into_iter().filter_map(|receipt| {
        let Fact::Ran { outcome, began, .. } = receipt.fact else { return None };
        let at = began.unwrap().duration_since(house.wall(0)).as_secs();
        Some((at, outcome))
    });
    runs.filter(|(at, outcome)| *at > 19 * DAY && !(*outcome == Outcome::Fine && (at.rem_euclid(DAY) - SLOT).abs() < 2 * MINUTE)).collect()
}

fn waits(house: &House) -> Vec<Waiting> {
    let why = house.receipts().into_iter().filter_map(|receipt| if let Fact::Waited { why, .. } = receipt.fact { Some(why) } else { None });
    why.collect()
}

fn waits_for(pi: &str) -> Waiting {
    Waiting::Away { pis: [pi.parse().unwrap()].into(), no_route: Default::default() }
}

fn failures(house: &House) -> usize {
    house.receipts().iter().filter(|receipt| matches!(receipt.fact, Fact::Failed { .. })).count()
}

#[test]
fn a_quiet_year_is_a_run_a_night_at_half_past_four_and_not_a_word() {
    let house = House::new(1, Script { twice: 100, ..Script::quiet(2) });
    house.live(366, &mut |_| {});
    let receipts = house.receipts();
    let mut runs = 0;
    for receipt in &receipts {
        let Fact::Ran { owed, outcome, began, .. } = &receipt.fact else { continue };
        runs += 1;
        assert_eq!(*outcome, Outcome::Fine);
        let local = began.unwrap().to_zoned(jiff::tz::TimeZone::posix(BERLIN).unwrap());
        if runs > 1 {
            assert_eq!((local.hour(), local.minute()), (4, 30), "{local}");
            assert_eq!(Some(offsite::owed::OwedId::new(local.date())), *owed);
        }
    }
    assert_eq!(runs, 366 + 1, "the first is for the day before");
    assert!(house.messages.borrow().is_empty() && waits(&house).is_empty(), "{:?}", house.messages.borrow());
}

#[test]
fn a_week_without_the_pi_is_told_when_it_is_overdue_and_made_good_by_one_run() {
    let away = (20 * DAY + 12 * HOUR, 27 * DAY + 12 * HOUR);
    let house = lives(Script { away: vec![vec![away]], ..Script::quiet(1) });
    assert_eq!(failures(&house), 0, "to be away is no failure");
    assert_eq!(waits(&house), vec![waits_for("pi"); 7], "once for each slot");
    let [(at, Outcome::Fine)] = unusual(&house)[..] else { panic!("{:?}", unusual(&house)) };
    assert!((away.1..away.1 + 12 * MINUTE).contains(&at), "a start that waits, or the next one: {at}");

    let messages = house.messages.borrow();
    // The newest archive is from 02:00 of that day, the last run from an hour and a half later.
    let first = &messages[0];
    assert!(first.names("overdue services") || first.names("overdue run"), "{first:?}");
    let begins = 20 * DAY + 2 * HOUR + 36 * HOUR;
    assert!((begins..begins + 70 * MINUTE).contains(&first.at), "a start that waits ends: {first:?}");
    let last = messages.last().unwrap();
    assert!(last.well && (at..at + 30 * MINUTE).contains(&last.at), "{last:?}");
    assert_eq!(messages.iter().filter(|message| message.well).count(), 1);
    let overdue: Vec<Second> = messages.iter().filter(|message| message.names("overdue run")).map(|message| message.at).collect();
    assert!((5..=7).contains(&overdue.len()) && overdue.windows(2).all(|pair| pair[1] - pair[0] >= 22 * HOUR), "{overdue:?}");
}

#[test]
fn a_day_without_the_cloud_is_some_tries_and_one_message() {
    let storm = (20 * DAY, 20 * DAY + 11 * HOUR);
    let house = lives(Script { storm: vec![storm], ..Script::quiet(1) });
    let runs = unusual(&house);
    // Each pause from the end of a run, and then the next start.
    let pauses: Vec<Second> = runs.windows(2).map(|pair| (pair[1].0 - pair[0].0) / MINUTE).collect();
    let right = pauses.iter().zip([30, 60, 120, 240]).all(|(pause, least)| (least..=least + 10).contains(pause));
    assert!(pauses.len() == 4 && right, "{pauses:?}");
    assert!(runs.iter().all(|run| (run.1 == Outcome::Fine) == (run.0 > storm.1)), "{runs:?}");
    let messages = house.messages.borrow();
    let [told, well] = &messages[..] else { panic!("{messages:?}") };
    assert!(told.begun == ["failed reach cold"] && told.at < 20 * DAY + SLOT + 10 * MINUTE, "{told:?}");
    assert!(well.well && well.at < storm.1 + 5 * HOUR, "{well:?}");
    assert!(waits(&house).is_empty());
}

#[test]
fn an_agent_that_makes_nothing_for_three_days_is_told_of() {
    let lazy = (20 * DAY + 12 * HOUR, 23 * DAY + 12 * HOUR);
    let house = lives(Script { lazy: vec![lazy], ..Script::quiet(1) });
    assert_eq!((failures(&house), unusual(&house).len()), (0, 0), "its runs are fine");
    let messages = house.messages.borrow();
    let (first, last) = (&messages[0], messages.last().unwrap());
    assert_eq!(first.begun, ["overdue services"]);
    let begins = 20 * DAY + 2 * HOUR + 36 * HOUR;
    assert!((begins..begins + 10 * MINUTE + 1).contains(&first.at), "{first:?}");
    assert!(last.well && (24 * DAY..24 * DAY + 5 * HOUR).contains(&last.at), "{last:?}");
    assert!(messages.len() <= 4, "{messages:?}");
}

#[test]
fn a_battery_and_a_disk_are_waited_for_without_a_word() {
    let night = (20 * DAY, 20 * DAY + 10 * HOUR);
    let drained = lives(Script { drained: vec![night], ..Script::quiet(1) });
    assert_eq!(waits(&drained), [Waiting::Battery { percent: 11 }]);
    let [(at, Outcome::Fine)] = unusual(&drained)[..] else { panic!("{:?}", unusual(&drained)) };
    assert!((night.1..night.1 + 10 * MINUTE + 1).contains(&at), "the next start: {at}");

    let unplugged = lives(Script { unplugged: vec![night], ..Script::quiet(1) });
    assert_eq!(waits(&unplugged), [Waiting::Disk { folder: unplugged.config.repository.clone() }]);
    let [(at, Outcome::Fine)] = unusual(&unplugged)[..] else { panic!("{:?}", unusual(&unplugged)) };
    assert!((night.1..night.1 + MINUTE).contains(&at), "launchd starts us when it is mounted: {at}");
    for house in [drained, unplugged] {
        assert!(house.messages.borrow().is_empty(), "{:?}", house.messages.borrow());
        assert_eq!(failures(&house), 0);
    }
}

#[test]
fn a_configuration_that_is_corrected_is_heard_by_a_start_that_waits() {
    let corrected = 20 * DAY + SLOT + 7 * MINUTE;
    let house = lives(Script { misnamed: vec![(20 * DAY, corrected)], ..Script::quiet(1) });
    let [(at, Outcome::Fine)] = unusual(&house)[..] else { panic!("{:?}", unusual(&house)) };
    assert!((corrected..corrected + 6 * MINUTE).contains(&at), "at its next question: {at}");
    assert!(waits(&house).is_empty());
}

#[test]
fn a_disk_that_is_ejected_between_two_nights_is_nobodys_news() {
    let days = (19..30).map(|day| (day * DAY + 6 * HOUR, day * DAY + 22 * HOUR)).collect();
    let house = lives(Script { unplugged: days, lazy: vec![(20 * DAY, 24 * DAY)], ..Script::quiet(1) });
    let told: Vec<String> = house.messages.borrow().iter().flat_map(|message| message.begun.clone()).collect();
    // Though there is another reason to look.
    assert!(!told.is_empty() && told.iter().all(|alarm| alarm == "overdue services"), "{told:?}");
}

#[test]
fn a_disk_that_stays_away_is_told_when_the_run_is_overdue() {
    let house = lives(Script { unplugged: vec![(20 * DAY, 23 * DAY)], ..Script::quiet(1) });
    assert_eq!(waits(&house).len(), 3);
    let messages = house.messages.borrow();
    assert!(messages[0].names("overdue run") || messages[0].names("overdue services"), "{messages:?}");
    assert!(messages[0].at > 20 * DAY + 10 * HOUR && messages.last().unwrap().well, "{messages:?}");
}

#[test]
fn a_night_that_is_slept_through_is_played_again_at_the_wake_and_is_no_failure() {
    // Asleep from the middle of the pull on, until the morning; and the network comes a minute after the wake.
    let (from, until) = (20 * DAY + SLOT + 8, 20 * DAY + 8 * HOUR);
    let house = lives(Script { asleep: vec![(from, until)], offline: vec![(until, until + MINUTE)], ..Script::quiet(1) });
    let runs = unusual(&house);
    assert!(matches!(runs[..], [(_, Outcome::Incomplete), (at, Outcome::Fine)] if (until..until + 15 * MINUTE).contains(&at)), "{runs:?}");
    let slept = house.receipts().iter().filter(|receipt| matches!(receipt.fact, Fact::Ran { slept: true, .. })).count();
    assert_eq!(slept, 1);
    assert!(failures(&house) > 0, "the journal keeps what broke");
    assert!(house.messages.borrow().is_empty(), "{:?}", house.messages.borrow());
}

#[test]
fn one_of_two_that_is_away_costs_the_other_five_minutes() {
    let away = (20 * DAY, 20 * DAY + 10 * HOUR);
    let house = lives(Script { away: vec![vec![], vec![away]], ..Script::quiet(2) });
    let runs = unusual(&house);
    let [(half, Outcome::Incomplete), (whole, Outcome::Fine)] = runs[..] else { panic!("{runs:?}") };
    assert!((5 * MINUTE..10 * MINUTE).contains(&(half - 20 * DAY - SLOT)), "{half}");
    assert!((away.1..away.1 + 12 * MINUTE).contains(&whole), "{whole}");
    assert_eq!(waits(&house), [waits_for("attic")]);
    assert_eq!((failures(&house), house.messages.borrow().len()), (0, 0));
}

#[test]
fn two_that_are_never_home_together_are_both_settled() {
    // The one is there by day, the other by night.
    let days: Vec<_> = (19..35).map(|day| (day * DAY + 6 * HOUR, day * DAY + 18 * HOUR)).collect();
    let nights: Vec<_> = (19..35).map(|day| (day * DAY + 18 * HOUR, day * DAY + 30 * HOUR)).collect();
    let house = lives(Script { away: vec![days, nights], ..Script::quiet(2) });
    let fine = unusual(&house).iter().filter(|run| run.1 == Outcome::Fine).count();
    assert!((14..=17).contains(&fine), "{:?}", unusual(&house));
    assert_eq!((failures(&house), house.messages.borrow().len()), (0, 0));
}

#[test]
fn days_off_are_one_run_at_boot() {
    let off = (20 * DAY - 2 * HOUR, 25 * DAY + 9 * HOUR);
    let house = lives(Script { off: vec![off], ..Script::quiet(1) });
    let runs = unusual(&house);
    assert!(matches!(runs[..], [(at, Outcome::Fine)] if (off.1..off.1 + MINUTE).contains(&at)), "{runs:?}");
}

#[test]
fn flying_west_over_the_date_line_leaves_no_hole_and_no_run_is_overdue() {
    let flights = [(Second::MIN, "NZST-12NZDT,M9.5.0,M4.1.0/3"), (25 * DAY, "EST5EDT,M3.2.0,M11.1.0"), (32 * DAY, BERLIN)];
    let house = lives(Script { zones: flights.to_vec(), ..Script::quiet(1) });
    let fine = house.receipts().into_iter().filter(|receipt| matches!(receipt.fact, Fact::Ran { outcome: Outcome::Fine, .. }));
    let times: Vec<_> = fine.map(|receipt| receipt.time).collect();
    let gaps: Vec<_> = times[1..].windows(2).map(|pair| pair[1].duration_since(pair[0]).as_hours()).collect();
    // 04:30 of the same day comes again 18 hours later, and in the third zone the next is 18 hours after the last.
    assert_eq!(gaps.iter().filter(|gap| **gap < 23).count(), 2, "{gaps:?}");
    assert!(gaps.iter().all(|gap| (17..25).contains(gap)), "{gaps:?}");
    // What the Pi makes at four in the morning of Berlin is old when the night of the other side of the world comes; a run is not.
    assert!(house.messages.borrow().iter().all(|message| !message.names("overdue run")), "{:?}", house.messages.borrow());
}

#[test]
fn a_clock_that_was_years_ahead_silences_nothing() {
    let wrong = (20 * DAY, 20 * DAY + 6 * HOUR);
    let house = lives(Script { clock: vec![(Second::MIN, 0), (wrong.0, 800 * DAY), (wrong.1, 0)], ..Script::quiet(1) });
    let fine: Vec<_> =
        house.receipts().into_iter().filter(|receipt| matches!(receipt.fact, Fact::Ran { outcome: Outcome::Fine, .. })).collect();
    assert!(fine.len() >= 41, "{}", fine.len());
    assert!(house.starts.borrow().iter().all(|start| start.ended.is_some()));
    let ran = house.starts.borrow().iter().filter(|start| matches!(start.ended, Some(Ok(Ended::Ran(_))))).count();
    assert_eq!(ran, fine.len());
}

#[test]
fn a_verb_that_hangs_with_the_lock_keeps_nobody_from_hearing_what_is_overdue() {
    let house = lives(Script { held: vec![(20 * DAY, 23 * DAY)], ..Script::quiet(1) });
    let messages = house.messages.borrow();
    let first = &messages[0];
    assert!(first.names("overdue services") || first.names("overdue run"), "{first:?}");
    // As for a Pi that is away: the last run is from the nineteenth day.
    let begins = 19 * DAY + 2 * HOUR + 36 * HOUR;
    assert!((begins..begins + 70 * MINUTE).contains(&first.at), "{first:?}");
    assert!(messages.last().unwrap().well && messages.last().unwrap().at < 23 * DAY + 30 * MINUTE, "{messages:?}");
    assert_eq!((failures(&house), waits(&house).len()), (0, 0));
}

#[test]
fn what_leaves_no_receipt_is_told_at_once_once_a_day_and_ends_with_a_run() {
    let span = (20 * DAY, 22 * DAY + 12 * HOUR);
    let full = lives(Script { full: vec![span], ..Script::quiet(1) });
    let wrong = lives(Script { wrong: vec![span], ..Script::quiet(1) });
    for (house, begins) in [(full, 20 * DAY + SLOT), (wrong, 20 * DAY)] {
        let messages = house.messages.borrow();
        assert!(messages[0].begun == ["failed run"] && (begins..begins + 10 * MINUTE + 1).contains(&messages[0].at), "{messages:?}");
        let told = messages.iter().filter(|message| message.names("failed run")).count();
        assert!((3..=4).contains(&told), "{messages:?}");
        let last = messages.last().unwrap();
        assert!(last.well && last.at < span.1 + 20 * MINUTE, "{last:?}");
        assert_eq!(failures(&house), 0);
    }
}

#[test]
fn a_kill_at_any_moment_of_telling_loses_nothing_and_repeats_only_what_was_not_known_to_be_taken() {
    let life = |dies_at| {
        let house = House::new(7, Script { storm: vec![(2 * DAY, 2 * DAY + 4 * HOUR)], channels: 2, dies_at, ..Script::quiet(1) });
        house.live(3, &mut |_| {});
        house
    };
    let moments = life(None).points.get();
    assert!(moments > 20, "{moments}");
    let mut repeated = 0;
    for dies_at in (1..=moments).map(Some).chain([None]) {
        let house = life(dies_at);
        assert_eq!(house.starts.borrow().iter().filter(|start| start.ended.is_none()).count(), usize::from(dies_at.is_some()));
        for channel in ["webhook", "ntfy"] {
            let (taken, doubtful): (Vec<_>, Vec<_>) = house.heard(channel).into_iter().partition(|message| message.answered);
            let told: Vec<_> = taken.iter().map(|message| (message.begun.join(" "), message.again.len(), message.well)).collect();
            assert_eq!(told, [("failed reach cold".to_owned(), 0, false), (String::new(), 0, true)], "{channel}, {dies_at:?}");
            assert!(taken[0].at < 2 * DAY + SLOT + 15 * MINUTE && taken[1].at < 2 * DAY + 6 * HOUR, "{channel}, {dies_at:?}: {taken:?}");
            repeated += doubtful.len();
        }
    }
    assert_eq!(repeated, 4, "each of two messages to two channels, once");
}
