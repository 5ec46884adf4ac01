//! What happens to a household in a year, as spans of time; chosen by a seed, or written by a test.
//!
//! Times are true seconds since the year began; what the Mac's clock shows is another matter.

/// A second of the true time.
pub type Second = i64;
pub const HOUR: Second = 3600;
pub const DAY: Second = 24 * HOUR;

/// From, and up to.
pub type Span = (Second, Second);

/// A year.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The Mac sleeps: its work stands, the clock on the wall does not.
    pub asleep: Vec<Span>,
    /// It is off.
    pub off: Vec<Span>,
    /// It has no network.
    pub offline: Vec<Span>,
    /// It is not where the Pis are, or these are off: for each Pi.
    pub away: Vec<Vec<Span>>,
    /// It runs on what is left in its battery.
    pub drained: Vec<Span>,
    /// The repository's disk is not there.
    pub unplugged: Vec<Span>,
    /// The cloud fails.
    pub storm: Vec<Span>,
    /// Another verb has the lock on the state folder, and hangs.
    pub held: Vec<Span>,
    /// The state folder's disk takes no receipt.
    pub full: Vec<Span>,
    /// The configuration does not hold.
    pub wrong: Vec<Span>,
    /// It names a Pi by a name that nobody has.
    pub misnamed: Vec<Span>,
    /// The agents make nothing.
    pub lazy: Vec<Span>,
    /// Somebody meddles with the Pis: what is made then is suspicious, until the owner, who sees to it at its end, accepts it.
    pub tampered: Vec<Span>,
    /// Others fill the repository's disk.
    pub full_mac: Vec<Span>,
    /// From when on the Mac is in which zone.
    pub zones: Vec<(Second, &'static str)>,
    /// From when on its clock is wrong by how much.
    pub clock: Vec<(Second, Second)>,
    /// Of a thousand steps of work, how many end in a kill.
    pub kills: u64,
    /// The moment of telling that is the end of its start, counted from the first of the year.
    pub dies_at: Option<u64>,
    /// How many channels tell the owner; with two, healthchecks hears of the runs besides.
    pub channels: usize,
    /// Of a thousand starts, how many launchd makes twice.
    pub twice: u64,
}

/// The span of `spans` (ascending, apart) that `at` is in.
pub fn within(spans: &[Span], at: Second) -> Option<Span> {
    let next = spans.partition_point(|span| span.0 <= at);
    let span = *spans.get(next.checked_sub(1)?)?;
    (at < span.1).then_some(span)
}

/// When the next of `spans` begins after `at`.
pub fn begins(spans: &[Span], at: Second) -> Second {
    spans.get(spans.partition_point(|span| span.0 <= at)).map_or(Second::MAX, |span| span.0)
}

/// What stands from the last entry at or before `at` on.
pub fn since<T: Copy>(entries: &[(Second, T)], at: Second) -> Option<T> {
    entries.get(entries.partition_point(|entry| entry.0 <= at).checked_sub(1)?).map(|entry| entry.1)
}

/// A die that falls the same way for the same seed, everywhere.
#[derive(Debug, Clone)]
pub struct Die(pub u64);

impl Die {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub fn between(&mut self, from: Second, to: Second) -> Second {
        from + self.below((to - from).unsigned_abs()).cast_signed()
    }

    fn often(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

// Rules instead of names, so that no machine's time zone database decides a test.
pub const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const ZONES: [&str; 4] = ["EST5EDT,M3.2.0,M11.1.0", "JST-9", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "NZST-12NZDT,M9.5.0,M4.1.0/3"];

impl Script {
    /// A year in which nothing goes wrong, of a Mac that is always on.
    pub fn quiet(pis: usize) -> Self {
        Self {
            channels: 1,
            away: vec![Vec::new(); pis],
            zones: vec![(Second::MIN, BERLIN)],
            clock: vec![(Second::MIN, 0)],
            ..Self::default()
        }
    }

    /// A year of everything.
    pub fn wild(seed: u64, days: Second) -> Self {
        let mut die = Die(seed);
        let pis = if seed.is_multiple_of(2) { 1 } else { 2 };
        let mut script = Self { kills: die.below(4), twice: 30, channels: 2, ..Self::quiet(pis) };
        // A desktop that never sleeps, a laptop that is closed at night, one that is switched off.
        let kind = die.below(3);
        let mut day = 1;
        while day < days {
            let night = day * DAY;
            let (evening, morning) = (night - die.between(1, 3 * HOUR), night + die.between(5 * HOUR, 9 * HOUR));
            match (kind, die.below(20)) {
                (_, 0) => {
                    // Some days of nothing at all.
                    let until = night + die.between(DAY, 6 * DAY);
                    script.off.push((evening, until));
                    day = until / DAY + 1;
                }
                (1, 1..15) if die.often(30) => {
                    // The lid is open: woken in the dark for a moment, right when the run is due, by the clock of winter or of summer.
                    let dark = night + 3 * HOUR - 1800 + HOUR * die.between(0, 2) + die.between(0, 90);
                    script.asleep.extend([(evening, dark), (dark + die.between(3, 200), morning)]);
                }
                (1, 1..15) => script.asleep.push((evening, morning)),
                (2, 1..15) => script.off.push((evening, morning)),
                // Closed for a nap at any time, right through whatever is going on.
                (_, 15..18) => {
                    let nap = night + die.between(2 * HOUR, 20 * HOUR);
                    script.asleep.push((nap, nap + die.between(120, 3 * HOUR)));
                }
                _ => {}
            }
            day += 1;
        }
        // The network comes late after a wake or a start, or very late.
        let ends = script.asleep.iter().chain(&script.off).map(|span| span.1);
        script.offline = ends.map(|end| (end, end + if die.often(10) { die.between(60, 2 * HOUR) } else { die.between(1, 60) })).collect();
        for pi in 0..pis {
            script.away[pi].extend((0..4).map(|_| span(&mut die, days, HOUR, 2 * DAY)));
        }
        let week = span(&mut die, days, 7 * DAY, 8 * DAY);
        script.away.iter_mut().for_each(|away| away.push(week));
        // Travel, with the Mac and without the Pis.
        for _ in 0..3 {
            let trip = span(&mut die, days, DAY, 6 * DAY);
            script.zones.extend([(trip.0, ZONES[usize::try_from(die.below(4)).unwrap()]), (trip.1, BERLIN)]);
            script.away.iter_mut().for_each(|away| away.push(trip));
        }
        script.drained.extend((0..10).map(|_| span(&mut die, days, HOUR, 10 * HOUR)));
        script.unplugged.extend((0..6).map(|_| span(&mut die, days, HOUR, 3 * DAY)));
        script.storm.extend((0..3).map(|_| span(&mut die, days, 20 * HOUR, 30 * HOUR)));
        script.lazy.push(span(&mut die, days, 3 * DAY, 4 * DAY));
        script.held.extend((0..2).map(|_| span(&mut die, days, HOUR, 3 * DAY)));
        for _ in 0..3 {
            let wrong = span(&mut die, days, HOUR, 5 * HOUR);
            script.clock.extend([(wrong.0, die.between(-12 * HOUR, 12 * HOUR)), (wrong.1, 0)]);
        }
        script.tampered.extend((0..2).map(|_| span(&mut die, days, 2 * DAY, 4 * DAY)));
        script.full_mac.extend((0..3).map(|_| span(&mut die, days, DAY, 3 * DAY)));
        script.sorted()
    }

    /// Spans in order and apart, as the look-ups want them.
    pub fn sorted(mut self) -> Self {
        let hardware = [&mut self.asleep, &mut self.off, &mut self.offline, &mut self.drained, &mut self.unplugged];
        let all = hardware.into_iter().chain([
            &mut self.storm,
            &mut self.held,
            &mut self.full,
            &mut self.wrong,
            &mut self.misnamed,
            &mut self.lazy,
            &mut self.tampered,
            &mut self.full_mac,
        ]);
        for spans in all.chain(&mut self.away) {
            spans.sort_unstable();
            let mut apart: Vec<Span> = Vec::new();
            for span in spans.drain(..) {
                match apart.last_mut() {
                    Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
                    _ => apart.push(span),
                }
            }
            *spans = apart;
        }
        // Off wins over asleep.
        let off = self.off.clone();
        self.asleep.retain(|span| within(&off, span.0).is_none() && begins(&off, span.0) > span.1);
        // Nobody knows how full a disk is that is not there.
        let unplugged = self.unplugged.clone();
        self.full_mac.retain(|span| within(&unplugged, span.0).is_none() && begins(&unplugged, span.0) > span.1);
        self.zones.sort_by_key(|zone| zone.0);
        self.clock.sort_by_key(|clock| clock.0);
        self
    }
}

/// Somewhere in the year, not in its first or last ten days.
fn span(die: &mut Die, days: Second, shortest: Second, longest: Second) -> Span {
    let from = die.between(10 * DAY, (days - 10) * DAY);
    (from, from + die.between(shortest, longest))
}
