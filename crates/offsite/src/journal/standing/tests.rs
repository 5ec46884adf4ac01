use super::*;

fn at(second: i64, fact: Fact) -> Receipt {
    Receipt { time: Timestamp::from_second(second).unwrap(), fact }
}

fn failed(object: &str, message: &str) -> Fact {
    Fact::Failed { step: Step::Push, object: object.into(), message: message.into(), hint: None }
}

fn ran(day: &str, outcome: Outcome) -> Fact {
    Fact::Ran { owed: Some(day.parse().unwrap()), outcome, began: None, away: BTreeSet::new(), slept: false }
}

fn messages(receipts: &[Receipt]) -> Vec<String> {
    Standing::of(receipts).failures.into_iter().map(|failure| failure.message).collect()
}

fn archive(day: u32) -> ArchiveName {
    format!("services/2026-11-{day:02}T040000Z").parse().unwrap()
}

fn cold() -> PlaceName {
    "cold".parse().unwrap()
}

#[test]
fn failures_stand_until_a_run_ends_without_them() {
    let mut receipts = vec![at(1, failed("cold", "a")), at(2, ran("2026-11-22", Outcome::Incomplete))];
    assert_eq!(messages(&receipts), ["a"]);
    receipts.push(at(3, failed("cold", "b")));
    assert_eq!(messages(&receipts), ["a", "b"], "the next run is not over");
    receipts.push(at(4, failed("cold", "c")));
    assert_eq!(messages(&receipts), ["a", "c"], "the same thing again is one failure");
    receipts.push(at(5, ran("2026-11-22", Outcome::Failed)));
    assert_eq!(messages(&receipts), ["c"]);
    receipts.push(at(6, ran("2026-11-22", Outcome::Fine)));
    assert_eq!(messages(&receipts), [""; 0]);
}

#[test]
fn what_was_to_be_forgotten_is_remembered_until_a_run_ends() {
    let forgot = |place, day| Fact::Forgot { place, archives: vec![archive(day)], by_hand: false };
    let pulled = |pi: &str, day| Fact::Pulled {
        pi: pi.parse().unwrap(),
        archive: archive(day),
        sequence: 1,
        moved: 1,
        total: 1,
        verified: true,
        complete: None,
        warnings: Warned::default(),
    };
    let receipts = [
        pulled("old", 22),
        forgot(PlaceName::mac(), 20),
        ran("2026-11-22", Outcome::Fine),
        pulled("new", 23),
        forgot(PlaceName::mac(), 21),
        forgot(cold(), 21),
        ran("2026-11-23", Outcome::Fine),
    ]
    .map(|fact| at(1, fact));
    let days =
        |upto: usize| Standing::of(&receipts[..upto]).forgot.into_iter().map(|(place, name)| (place, name.time())).collect::<Vec<_>>();
    let of = |place, day| (place, archive(day).time());
    assert_eq!(days(2), [of(PlaceName::mac(), 20)]);
    assert_eq!(days(6), [of(cold(), 21), of(PlaceName::mac(), 21)]);
    assert_eq!((days(3).len(), days(7).len()), (0, 0));
    let origin = |upto: usize| Standing::of(&receipts[..upto]).origins[&archive(22).job].to_string();
    assert_eq!((origin(3).as_str(), origin(4).as_str()), ("old", "new"));
}

#[test]
fn only_a_fine_run_settles_its_slot() {
    let mut receipts = vec![at(1, ran("2026-11-21", Outcome::Fine)), at(2, ran("2026-11-22", Outcome::Incomplete))];
    let standing = Standing::of(&receipts);
    assert_eq!((standing.settled, standing.last_fine), (Some("2026-11-21".parse().unwrap()), Some(Timestamp::from_second(1).unwrap())));
    receipts.push(at(3, Fact::Ran { owed: None, outcome: Outcome::Fine, began: None, away: BTreeSet::new(), slept: false }));
    let standing = Standing::of(&receipts);
    assert_eq!((standing.settled, standing.last_fine), (Some("2026-11-21".parse().unwrap()), Some(Timestamp::from_second(3).unwrap())));
}

#[test]
fn who_asks_for_a_run_owes_it_anew_until_one_is_fine() {
    let owes = |receipts: &[Receipt]| {
        let standing = Standing::of(receipts);
        (standing.settled.is_none(), standing.tried.is_none(), standing.last_fine.is_some())
    };
    let mut receipts = vec![at(1, ran("2026-11-22", Outcome::Fine))];
    assert_eq!(owes(&receipts), (false, true, true));
    receipts.push(at(2, Fact::Asked));
    assert_eq!(owes(&receipts), (true, true, true));
    receipts.push(at(3, ran("2026-11-22", Outcome::Failed)));
    assert_eq!(owes(&receipts), (true, false, true), "it is tried again as any other, after a pause");
    receipts.push(at(4, Fact::Asked));
    assert_eq!(owes(&receipts), (true, true, true), "who asks does not wait for the pause");
    receipts.push(at(5, ran("2026-11-22", Outcome::Fine)));
    assert_eq!(owes(&receipts), (false, true, true));
}

#[test]
fn what_a_run_moved_is_the_sum_of_it_and_its_newest_archive() {
    let pulled = |second, day, moved, total| {
        let (pi, archive) = ("pi".parse().unwrap(), archive(day));
        at(second, Fact::Pulled { pi, archive, sequence: 1, moved, total, verified: true, complete: None, warnings: Warned::default() })
    };
    let pushed = |second, day, moved| at(second, Fact::Pushed { cloud: cold(), archive: archive(day), sequence: 1, moved, total: 9 });
    let of = |receipts: &[Receipt]| {
        let standing = Standing::of(receipts);
        let short = |moved: &Moved| (moved.time.as_second(), moved.archive.to_string()[17..19].to_owned(), moved.moved, moved.total);
        (standing.pulled.values().map(short).collect::<Vec<_>>(), standing.pushed.values().map(|moved| moved.moved).collect::<Vec<_>>())
    };
    // The newest is pulled first, and pushed last.
    let mut receipts = vec![pulled(1, 22, 700, 766), pulled(2, 21, 60, 765), pulled(3, 20, 1, 6)];
    receipts.extend([pushed(4, 20, 5), pushed(5, 21, 50), pushed(6, 22, 500)]);
    let first = (vec![(3, "22".to_owned(), 761, 766)], vec![555]);
    assert_eq!(of(&receipts), first);
    receipts.push(at(7, ran("2026-11-22", Outcome::Fine)));
    receipts.push(at(8, ran("2026-11-23", Outcome::Fine)));
    assert_eq!(of(&receipts), first, "a run that brought nothing moved nothing");
    // A run that is killed is one with the next, in whichever order they bring what.
    receipts.extend([pulled(9, 23, 10, 770), pulled(10, 24, 20, 780)]);
    assert_eq!(of(&receipts), (vec![(10, "24".to_owned(), 30, 780)], vec![555]));
}

#[test]
fn suspicion_ends_by_acceptance_and_does_not_come_back() {
    let suspicious = Fact::Suspicious { archive: archive(22), why: Why::Empty };
    let mut receipts = vec![at(1, suspicious.clone())];
    assert!(Standing::of(&receipts).suspicious.contains_key(&archive(22)));
    receipts.push(at(2, Fact::Accepted { archive: archive(22) }));
    receipts.push(at(3, suspicious));
    let standing = Standing::of(&receipts);
    assert!(standing.suspicious.is_empty() && standing.accepted.contains(&archive(22)));
}

#[test]
fn suspicion_stands_until_no_place_holds_the_archive_any_more() {
    let forgot = |place| Fact::Forgot { place, archives: vec![archive(22)], by_hand: false };
    let receipts = [
        Fact::Suspicious { archive: archive(22), why: Why::Empty },
        Fact::Pulled {
            pi: "pi".parse().unwrap(),
            archive: archive(22),
            sequence: 1,
            moved: 1,
            total: 1,
            verified: false,
            complete: None,
            warnings: Warned::default(),
        },
        Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 },
        forgot(PlaceName::mac()),
        forgot(PlaceName::mac()),
        forgot(cold()),
    ]
    .map(|fact| at(1, fact));
    let held = |upto: usize| Standing::of(&receipts[..upto]).suspicious.contains_key(&archive(22));
    assert_eq!([held(3), held(4), held(5), held(6)], [true, true, true, false]);
}

#[test]
fn loss_ends_by_healing_or_by_being_seen_whole_in_that_place_only() {
    let lost = |place| Fact::Lost { place, archive: archive(22), frames: Some(2) };
    let base = vec![at(1, lost(cold())), at(2, lost(PlaceName::mac()))];
    let left = |fact| {
        let mut receipts = base.clone();
        receipts.push(at(3, fact));
        Standing::of(&receipts).lost.into_keys().map(|(place, _)| place.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(left(Fact::Verified { place: PlaceName::mac(), archive: archive(22), since: None }), ["cold"]);
    assert_eq!(left(Fact::Healed { place: cold(), archive: archive(22), from: PlaceName::mac() }), ["mac"]);
    assert_eq!(left(Fact::Forgot { place: cold(), archives: vec![archive(22)], by_hand: false }), ["mac"]);
    assert_eq!(left(Fact::Verified { place: PlaceName::mac(), archive: archive(21), since: None }), ["cold", "mac"]);
    assert_eq!(left(Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 }), ["mac"]);
}

#[test]
fn what_a_place_holds_is_its_last_listing_and_what_came_since() {
    let job: JobName = "services".parse().unwrap();
    let seen = Fact::Seen { place: cold(), jobs: [(job.clone(), Holding { count: 2, newest: archive(21) })].into() };
    let pushed = Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 };
    let forgot = Fact::Forgot { place: cold(), archives: vec![archive(19)], by_hand: false };
    let receipts = [at(1, pushed.clone()), at(2, seen), at(3, pushed), at(4, forgot)];
    let holding = |upto: usize| Standing::of(&receipts[..upto]).held[&cold()][&job].clone();
    assert_eq!(holding(1), Holding { count: 1, newest: archive(22) });
    assert_eq!(holding(2), Holding { count: 2, newest: archive(21) });
    assert_eq!(holding(3), Holding { count: 3, newest: archive(22) });
    assert_eq!(holding(4), Holding { count: 2, newest: archive(22) });
}

#[test]
fn a_lost_archive_counts_as_verified_no_more() {
    let verified = Fact::Verified { place: PlaceName::mac(), archive: archive(22), since: None };
    let lost = Fact::Lost { place: PlaceName::mac(), archive: archive(22), frames: None };
    assert!(Standing::of(&[at(1, verified), at(2, lost)]).verified.is_empty());
}

#[test]
fn a_failed_drill_stands_until_the_same_one_goes_well() {
    let failed =
        |message: &str| Fact::Failed { step: Step::Drill, object: "services from cold".into(), message: message.into(), hint: None };
    let drilled = |place| Fact::Drilled { place, archive: archive(22), files: 1, bytes: 1 };
    let mut receipts = vec![at(1, failed("a")), at(2, ran("2026-11-22", Outcome::Fine)), at(3, ran("2026-11-23", Outcome::Fine))];
    assert_eq!(messages(&receipts), ["a"], "nights say nothing about it");
    receipts.push(at(4, failed("b")));
    assert_eq!(messages(&receipts), ["b"]);
    receipts.push(at(5, drilled(PlaceName::mac())));
    assert_eq!(messages(&receipts), ["b"], "that was another place");
    receipts.push(at(6, drilled(cold())));
    assert_eq!(messages(&receipts), [""; 0]);
    let last = Drilled { time: Timestamp::from_second(6).unwrap(), place: cold(), archive: archive(22) };
    assert_eq!(Standing::of(&receipts).drilled, [("services".parse().unwrap(), last)].into());
}

#[test]
fn every_kind_is_read_back_as_written_and_known() {
    let place = cold;
    let facts = [
        ran("2026-11-22", Outcome::Fine),
        Fact::Ran { owed: None, outcome: Outcome::Failed, began: None, away: BTreeSet::new(), slept: false },
        Fact::Seen { place: place(), jobs: [("services".parse().unwrap(), Holding { count: 1, newest: archive(1) })].into() },
        Fact::Pulled {
            pi: place(),
            archive: archive(1),
            sequence: 1,
            moved: 2,
            total: 3,
            verified: true,
            complete: None,
            warnings: Warned::default(),
        },
        Fact::Pulled {
            pi: place(),
            archive: archive(1),
            sequence: 1,
            moved: 2,
            total: 3,
            verified: true,
            complete: Some(true),
            warnings: Warned::of(&["a".to_owned()], &[]),
        },
        Fact::Pushed { cloud: place(), archive: archive(1), sequence: 1, moved: 2, total: 3 },
        Fact::Verified { place: place(), archive: archive(1), since: None },
        Fact::Verified { place: place(), archive: archive(1), since: Some(Timestamp::UNIX_EPOCH) },
        Fact::Compared { archive: archive(2), with: archive(1), change: Change::default() },
        Fact::Forgot { place: place(), archives: vec![archive(1)], by_hand: false },
        Fact::Forgot { place: place(), archives: vec![archive(1)], by_hand: true },
        Fact::Again { archive: archive(1) },
        Fact::Failed { step: Step::Plain, object: "a".into(), message: "line\nbreak".into(), hint: Some("b".into()) },
        Fact::Suspicious { archive: archive(1), why: Why::Empty },
        Fact::Suspicious { archive: archive(1), why: Why::Fewer { now: 1, usual: 2 } },
        Fact::Suspicious { archive: archive(1), why: Why::Replaced { stays: 3, usual: 98, least: 49 } },
        Fact::Suspicious { archive: archive(1), why: Why::Scrambled { stays: 3, least: 49, was: 40, is: 100 } },
        Fact::Accepted { archive: archive(1) },
        Fact::Acknowledged { lines: [BadLine { line: 7, hash: "ab".into() }].into() },
        Fact::Lost { place: place(), archive: archive(1), frames: None },
        Fact::Healed { place: place(), archive: archive(1), from: PlaceName::mac() },
        Fact::Drilled { place: place(), archive: archive(1), files: 2, bytes: 3 },
    ];
    let receipts: Vec<Receipt> = facts.into_iter().map(|fact| at(1, fact)).collect();
    let text: String = receipts.iter().map(|receipt| serde_json::to_string(receipt).unwrap() + "\n").collect();
    let read = crate::journal::parse(text.as_bytes());
    assert_eq!((read.receipts, read.unknown, read.damaged), (receipts, 0, vec![]));
}

fn tried(owed: &str, outcome: Outcome, away: &[&str], slept: bool) -> Fact {
    let away = away.iter().map(|name| name.parse().unwrap()).collect();
    Fact::Ran { owed: owed.parse().ok(), outcome, began: None, away, slept }
}

#[test]
fn tries_of_a_slot_are_counted_until_one_is_fine() {
    let count = |receipts: &[Receipt]| Standing::of(receipts).tried.map(|tried| (tried.failed, tried.slept, tried.away.len()));
    let mut receipts = vec![at(1, tried("2026-11-22", Outcome::Failed, &[], false))];
    assert_eq!(count(&receipts), Some((1, false, 0)));
    receipts.extend([at(2, failed("a", "no")), at(3, tried("2026-11-22", Outcome::Incomplete, &["pi"], false))]);
    assert_eq!(count(&receipts), Some((2, false, 1)));
    // Slept through: what failed in it is nobody's failure, and the count stays.
    receipts.extend([at(4, failed("b", "no")), at(5, tried("2026-11-22", Outcome::Incomplete, &[], true))]);
    assert_eq!((count(&receipts), messages(&receipts).len()), (Some((2, true, 0)), 0));
    // Nothing lacks but a Pi.
    receipts.push(at(6, tried("2026-11-22", Outcome::Incomplete, &["pi"], false)));
    assert_eq!(count(&receipts), Some((0, false, 1)));
    receipts.push(at(7, tried("2026-11-23", Outcome::Failed, &[], false)));
    assert_eq!(count(&receipts), Some((1, false, 0)), "another slot begins anew");
    receipts.push(at(8, tried("2026-11-23", Outcome::Fine, &[], false)));
    assert_eq!(count(&receipts), None);
}

#[test]
fn what_is_waited_for_stands_since_it_was_noted_first_and_ends_with_a_run() {
    let waited = |owed: &str, why: Waiting| Fact::Waited { owed: owed.parse().ok(), why };
    let away = || Waiting::Away { pis: ["pi".parse().unwrap()].into(), no_route: BTreeSet::new() };
    let mut receipts = vec![at(1, waited("2026-11-22", away())), at(2, waited("2026-11-23", away()))];
    let standing = |receipts: &[Receipt]| Standing::of(receipts).waiting.map(|waited| (waited.since.as_second(), waited.why.to_string()));
    assert_eq!(standing(&receipts), Some((1, "not at home: pi does not answer".to_owned())));
    receipts.push(at(3, waited("2026-11-23", Waiting::Battery { percent: 12 })));
    receipts.push(at(4, waited("2026-11-24", Waiting::Battery { percent: 7 })));
    assert_eq!(standing(&receipts), Some((3, "on battery, 7 %".to_owned())));
    receipts.push(at(5, waited("2026-11-24", Waiting::Disk { folder: "/Volumes/disk/offsite".into() })));
    assert_eq!(standing(&receipts), Some((5, "the disk with /Volumes/disk/offsite is not mounted".to_owned())));
    receipts.push(at(6, tried("2026-11-24", Outcome::Failed, &[], false)));
    assert_eq!(standing(&receipts), None);
}

#[test]
fn what_a_person_forgot_here_is_refused_until_it_is_wanted_or_comes() {
    let forgot = |place, by_hand| Fact::Forgot { place, archives: vec![archive(22)], by_hand };
    let pulled = Fact::Pulled {
        pi: "pi".parse().unwrap(),
        archive: archive(22),
        sequence: 1,
        moved: 1,
        total: 1,
        verified: true,
        complete: None,
        warnings: Warned::default(),
    };
    let refused = |facts: &[Fact]| {
        let receipts: Vec<Receipt> = facts.iter().map(|fact| at(1, fact.clone())).collect();
        Standing::of(&receipts).refused.contains(&archive(22))
    };
    let by_hand = forgot(PlaceName::mac(), true);
    assert!(refused(std::slice::from_ref(&by_hand)));
    assert!(!refused(&[forgot(PlaceName::mac(), false)]), "the rule refuses nothing");
    assert!(!refused(&[forgot(cold(), true)]), "a cloud's copy is another matter");
    assert!(!refused(&[by_hand.clone(), Fact::Again { archive: archive(22) }]));
    assert!(!refused(&[by_hand, pulled]));
}

#[test]
fn warnings_are_new_where_the_archive_before_had_them_not() {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let long = "ä".repeat(300);
    let before = texts(&["a", "b", "/x: it changed while it was read"]);
    let warned = Warned::of(&texts(&["a", "/y: it changed while it was read", "b", &long]), &before);
    assert_eq!((warned.count, warned.new, warned.first.len()), (4, 1, 3));
    assert_eq!((warned.first[0].chars().count(), &warned.first[1][..]), (200, "a"), "new ones first, and cut");
    assert_eq!(Warned::of(&texts(&["/y: it changed while it was read"]), &[]).new, 1);
    let old: Receipt = serde_json::from_str(
        r#"{"time":"1970-01-01T00:00:00Z","kind":"pulled","pi":"pi","archive":"services/2026-11-22T040000Z","sequence":1,"moved":2,"total":3,"verified":true}"#,
    )
    .unwrap();
    assert!(Standing::of(&[old]).warned.is_empty());
}
