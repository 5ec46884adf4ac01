//! The household: a Mac whose clock, sleep and network follow a script, Pis, a cloud, an owner who is told things; and launchd, as it is.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures::FutureExt as _;
use jiff::{Timestamp, tz::TimeZone};
use offsite::{
    clocks::Clocks,
    config::{Config, Home, Pi, PlaceName},
    daemon::{Answer, Ended, World, watch},
    journal::{Fact, Holding, Outcome, Receipt, Standing, Step},
    lock::Lock,
    night::Tonight,
    notify::{self, News, Told},
    platform::Power,
    state::State,
    status::{Alarm, Facts, Held, Kind, Local, Report},
};
use offsite_archive::{ArchiveName, JobName};

use super::script::{DAY, Die, HOUR, Script, Second, begins, since, within};

/// A Friday, in winter.
const BEGIN: &str = "2027-01-01T00:00:00Z";
/// A host that is not there.
const NOBODY: &str = "nobody.local";
/// What launchd adds to the calendar, as it is installed.
pub const INTERVAL: Second = 600;

/// What the owner was told.
#[derive(Debug, Clone)]
pub struct Message {
    pub at: Second,
    pub begun: Vec<String>,
    pub again: Vec<String>,
    pub well: bool,
}

/// How a start of the daemon ended, and when; `None`: it was killed.
#[derive(Debug)]
pub struct Start {
    pub at: Second,
    pub ended: Option<Result<Ended, String>>,
}

pub struct House {
    pub script: Script,
    pub config: Config,
    pub messages: RefCell<Vec<Message>>,
    pub starts: RefCell<Vec<Start>>,
    now: Cell<Second>,
    uptime: Cell<Second>,
    /// How often the Mac slept.
    sleeps: Cell<u64>,
    die: RefCell<Die>,
    told: RefCell<Told>,
    look: Cell<Option<(Timestamp, u64)>>,
    mac: RefCell<BTreeSet<ArchiveName>>,
    cloud: RefCell<BTreeSet<ArchiveName>>,
    zones: RefCell<BTreeMap<&'static str, TimeZone>>,
    nested: Cell<bool>,
    /// The lock on the state folder, while another verb has it.
    other: RefCell<Option<Lock>>,
    standing: RefCell<(u64, Standing)>,
    _dir: tempfile::TempDir,
}

impl House {
    pub fn new(seed: u64, script: Script) -> Self {
        // The journal is synced at each line, which costs nothing where there is no disk.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let pis = ["pi", "attic"].iter().take(script.away.len());
        let pis: String = pis.map(|name| format!("- {{name: {name}, host: {name}.local, user: u, path: /p}}\n")).collect();
        let text = format!(
            "repository: {0}/repository\nstate: {0}/state\npis:\n{pis}clouds:\n- {{name: cold, url: 's3://bucket'}}\n",
            dir.path().display()
        );
        let config = Config::parse(Path::new("offsite.yaml"), &text, &Home::at(Path::new("/home/owner"))).unwrap();
        Self {
            script,
            config,
            messages: RefCell::default(),
            starts: RefCell::default(),
            now: Cell::new(0),
            uptime: Cell::new(0),
            sleeps: Cell::new(0),
            die: RefCell::new(Die(seed ^ 0x5eed)),
            told: RefCell::default(),
            look: Cell::default(),
            mac: RefCell::default(),
            cloud: RefCell::default(),
            zones: RefCell::default(),
            nested: Cell::new(false),
            other: RefCell::default(),
            standing: RefCell::default(),
            _dir: dir,
        }
    }

    pub fn now(&self) -> Second {
        self.now.get()
    }

    /// What the Mac's clock shows at a moment.
    pub fn wall(&self, at: Second) -> Timestamp {
        let begin: Timestamp = BEGIN.parse().unwrap();
        begin + jiff::SignedDuration::from_secs(at + since(&self.script.clock, at).unwrap())
    }

    pub fn zone_at(&self, at: Second) -> TimeZone {
        let name = since(&self.script.zones, at).unwrap();
        self.zones.borrow_mut().entry(name).or_insert_with(|| TimeZone::posix(name).unwrap()).clone()
    }

    pub fn state(&self) -> State {
        State::open(&self.config.state).unwrap()
    }

    pub fn receipts(&self) -> Vec<Receipt> {
        self.state().journal().read().unwrap().receipts
    }

    fn home(&self, pi: usize, at: Second) -> bool {
        within(&self.script.away[pi], at).is_none() && within(&self.script.offline, at).is_none()
    }

    /// Whether nothing was against a whole run for so long, up to `now`.
    pub fn good_for(&self, length: Second, now: Second) -> bool {
        let from = now - length;
        let script = &self.script;
        let spans = [&script.asleep, &script.off, &script.offline, &script.drained, &script.unplugged];
        let all = spans.into_iter().chain([&script.storm, &script.held, &script.full, &script.wrong]);
        let clear = |spans: &Vec<(Second, Second)>| within(spans, from).is_none() && begins(spans, from) > now;
        let steady = since(&script.clock, from) == since(&script.clock, now) && since(&script.zones, from) == since(&script.zones, now);
        all.chain(&script.away).all(clear) && steady
    }

    /// What a Pi holds: its job's last three nights, each made at three in the morning of a winter's Berlin, and four of a summer's.
    fn offers(&self, pi: usize, at: Second) -> Vec<ArchiveName> {
        let job = ["services", "photos"][pi];
        let mut names = Vec::new();
        let mut day = (at - 2 * HOUR).div_euclid(DAY);
        while names.len() < 3 && day >= -3 {
            let made = day * DAY + 2 * HOUR;
            if within(&self.script.lazy, made).is_none() {
                let begin: Timestamp = BEGIN.parse().unwrap();
                let time = (begin + jiff::SignedDuration::from_secs(made)).strftime("%Y-%m-%dT%H%M%SZ");
                names.push(format!("{job}/{time}").parse().unwrap());
            }
            day -= 1;
        }
        names
    }

    /// Whether the Mac and the cloud hold the newest of what each Pi offered then.
    pub fn has_newest(&self, then: Second) -> bool {
        (0..self.script.away.len()).all(|pi| {
            let newest = self.offers(pi, then).remove(0);
            self.mac.borrow().contains(&newest) && self.cloud.borrow().contains(&newest)
        })
    }

    fn chance(&self, of_a_thousand: u64) -> bool {
        self.die.borrow_mut().below(1000) < of_a_thousand
    }

    /// Lets so much of the Mac's own time pass; it may sleep in it, and it may be the end.
    async fn spend(&self, length: Second) {
        let mut left = length;
        loop {
            self.hold();
            let now = self.now();
            if within(&self.script.off, now).is_some() || self.chance(self.script.kills) && self.chance(200) {
                std::future::pending::<()>().await;
            }
            if let Some((_, end)) = within(&self.script.asleep, now) {
                self.now.set(end);
                self.sleeps.set(self.sleeps.get() + 1);
                continue;
            }
            let step = left.min(begins(&self.script.asleep, now) - now).min(begins(&self.script.off, now) - now);
            self.now.set(now + step);
            self.uptime.set(self.uptime.get() + step);
            left -= step;
            if left == 0 {
                return;
            }
        }
    }

    /// Another verb, which hangs, takes the lock or is killed. It cannot take what a night holds.
    fn hold(&self) {
        let mut other = self.other.borrow_mut();
        if within(&self.script.held, self.now()).is_none() {
            *other = None;
        } else if other.is_none() {
            *other = self.state().lock("verify", self.wall(self.now())).ok();
        }
    }

    fn note(&self, fact: Fact) {
        self.state().journal().append(&Receipt { time: self.wall(self.now()), fact }).unwrap();
    }

    fn fail(&self, step: Step, object: &str, message: &str, failures: &mut usize) {
        *failures += 1;
        self.note(Fact::Failed { step, object: object.to_owned(), message: message.to_owned(), hint: None });
    }

    fn seen(&self, place: &PlaceName, names: &[ArchiveName]) {
        let mut jobs: BTreeMap<JobName, Holding> = BTreeMap::new();
        for name in names {
            let holding = jobs.entry(name.job.clone()).or_insert_with(|| Holding { count: 0, newest: name.clone() });
            holding.count += 1;
            holding.newest = holding.newest.clone().max(name.clone());
        }
        self.note(Fact::Seen { place: place.clone(), jobs });
    }

    /// Ten of each job stay.
    fn retain(&self, place: &PlaceName, held: &RefCell<BTreeSet<ArchiveName>>) {
        let mut archives = Vec::new();
        let jobs: BTreeSet<JobName> = held.borrow().iter().map(|name| name.job.clone()).collect();
        for job in jobs {
            let of_job: Vec<ArchiveName> = held.borrow().iter().filter(|name| name.job == job).cloned().collect();
            archives.extend(of_job.iter().take(of_job.len().saturating_sub(10)).cloned());
        }
        held.borrow_mut().retain(|name| !archives.contains(name));
        if !archives.is_empty() {
            self.note(Fact::Forgot { place: place.clone(), archives });
        }
        let names: Vec<ArchiveName> = held.borrow().iter().cloned().collect();
        self.seen(place, &names);
    }

    /// One Pi of a night.
    async fn pull(&self, index: usize, pi: &Pi, failures: &mut usize) {
        self.spend(5).await;
        if !self.home(index, self.now()) {
            return self.fail(Step::Reach, pi.name.as_str(), "no answer", failures);
        }
        let offers = self.offers(index, self.now());
        self.seen(&pi.name, &offers);
        for archive in offers {
            if self.mac.borrow().contains(&archive) {
                continue;
            }
            let (sleeps, length) = (self.sleeps.get(), self.die.borrow_mut().between(20, 400));
            self.spend(length).await;
            if self.sleeps.get() > sleeps || !self.home(index, self.now()) {
                self.fail(Step::Pull, &archive.to_string(), "the link is lost", failures);
                continue;
            }
            self.mac.borrow_mut().insert(archive.clone());
            self.note(Fact::Pulled { pi: pi.name.clone(), archive, sequence: 1, moved: 1, total: 1, verified: true, complete: Some(true) });
        }
    }

    async fn push(&self, failures: &mut usize) {
        let cold = &self.config.clouds[0].name;
        let fails = || within(&self.script.storm, self.now()).is_some() || within(&self.script.offline, self.now()).is_some();
        self.spend(10).await;
        if fails() {
            return self.fail(Step::Reach, cold.as_str(), "503", failures);
        }
        let newest = |name: &&ArchiveName| self.cloud.borrow().iter().rfind(|other| other.job == name.job).is_none_or(|last| last < name);
        let lacking: Vec<ArchiveName> = self.mac.borrow().iter().filter(newest).cloned().collect();
        for archive in lacking {
            let sleeps = self.sleeps.get();
            self.spend(40).await;
            if self.sleeps.get() > sleeps || fails() {
                self.fail(Step::Push, &archive.to_string(), "the link is lost", failures);
                continue;
            }
            self.cloud.borrow_mut().insert(archive.clone());
            self.note(Fact::Pushed { cloud: cold.clone(), archive, sequence: 1, moved: 1, total: 1 });
        }
        self.retain(cold, &self.cloud);
    }

    /// The status, as the program makes it.
    pub fn report(&self) -> (Facts, Report) {
        let unplugged = within(&self.script.unplugged, self.now()).is_some();
        let local = Local {
            archives: self.mac.borrow().iter().map(|name| Held { name: name.clone(), complete: true }).collect(),
            problem: unplugged.then(|| ("no such folder".to_owned(), None)),
            unplugged,
            ..Local::default()
        };
        let facts = Facts {
            config: self.config.clone(),
            standing: self.standing(),
            damaged_lines: Vec::new(),
            local,
            running: None,
            now: self.wall(self.now()),
            zone: self.zone_at(self.now()),
        };
        let report = Report::of(&facts);
        (facts, report)
    }

    /// Added up again only after something was added.
    fn standing(&self) -> Standing {
        let length = self.journal_length();
        let mut known = self.standing.borrow_mut();
        if known.0 != length {
            *known = (length, self.state().journal().standing().unwrap().standing);
        }
        known.1.clone()
    }

    fn journal_length(&self) -> u64 {
        std::fs::metadata(self.state().journal().path()).map_or(0, |file| file.len())
    }

    /// Starts the daemon, and notes how it ended.
    fn start(&self) {
        self.hold();
        let ended = watch(self).now_or_never().map(|ended| ended.map_err(|error| format!("{error:#}")));
        if let Some(Err(error)) = &ended {
            let why = [within(&self.script.full, self.now()), within(&self.script.wrong, self.now())];
            assert!(why.iter().any(Option::is_some), "{error}");
        }
        self.starts.borrow_mut().push(Start { at: self.now(), ended });
    }

    /// launchd, for so many days. `check` looks after each start that was not killed.
    pub fn live(&self, days: Second, check: &mut dyn FnMut(&Self)) {
        let mut interval = INTERVAL;
        let mut calendar = self.calendar();
        let mut late = false;
        self.start();
        while self.now() < days * DAY {
            let now = self.now();
            let plugged = within(&self.script.unplugged, now).map_or(Second::MAX, |span| span.1);
            let next = calendar.min(interval).min(plugged).max(now);
            let (sleep, off) = (
                within(&self.script.asleep, now).or_else(|| within(&self.script.asleep, begins(&self.script.asleep, now))),
                within(&self.script.off, now).or_else(|| within(&self.script.off, begins(&self.script.off, now))),
            );
            if let Some((_, end)) = off.filter(|off| off.0 <= next && sleep.is_none_or(|sleep| off.0 <= sleep.0)) {
                // A slot that passes while it is off is lost; the job is loaded at boot.
                self.now.set(end);
            } else if let Some((_, end)) = sleep.filter(|sleep| sleep.0 <= next) {
                // A slot that passes in sleep fires once at wake; an interval that does is lost.
                self.now.set(end);
                interval = end + INTERVAL;
                if calendar > end && plugged > end {
                    continue;
                }
            } else {
                self.now.set(next);
            }
            let (twice, slot) = (self.chance(self.script.twice), self.calendar());
            for _ in 0..=u8::from(twice) {
                self.start();
                if matches!(self.starts.borrow().last(), Some(Start { ended: Some(_), .. })) {
                    check(self);
                }
            }
            // A slot that passed while it ran fires once more, as soon as it has ended.
            late = !late && slot < self.now();
            (interval, calendar) = (self.now() + INTERVAL, if late { self.now() + 1 } else { self.calendar() });
        }
    }

    /// When the calendar fires next, by the Mac's clock.
    fn calendar(&self) -> Second {
        let wall = self.wall(self.now()).to_zoned(self.zone_at(self.now()));
        let slot = |date: jiff::civil::Date| date.at(4, 30, 0, 0).to_zoned(wall.time_zone().clone()).unwrap().timestamp();
        let today = slot(wall.date());
        let next = if today > wall.timestamp() { today } else { slot(wall.date().tomorrow().unwrap()) };
        self.now() + next.duration_since(wall.timestamp()).as_secs()
    }
}

impl World for House {
    fn config(&self) -> anyhow::Result<Config> {
        anyhow::ensure!(within(&self.script.wrong, self.now()).is_none(), "unknown key");
        let mut config = self.config.clone();
        if within(&self.script.misnamed, self.now()).is_some() {
            config.pis[0].host = NOBODY.to_owned();
        }
        Ok(config)
    }

    fn last_config(&self) -> Option<Config> {
        Some(self.config.clone())
    }

    fn clocks(&self) -> Clocks {
        Clocks { wall: self.wall(self.now()), uptime: Duration::from_secs(self.uptime.get().unsigned_abs()) }
    }

    fn zone(&self) -> TimeZone {
        self.zone_at(self.now())
    }

    async fn pause(&self, length: Duration) {
        self.spend(length.as_secs().cast_signed()).await;
        // launchd, or a person, starts another one beside it.
        if !self.nested.get() && self.chance(self.script.twice / 10) {
            self.nested.set(true);
            let beside = Box::pin(watch(self)).now_or_never();
            self.nested.set(false);
            assert!(matches!(beside, Some(Ok(Ended::Busy | Ended::Nothing))), "{beside:?}");
        }
    }

    async fn power(&self) -> Option<Power> {
        let drained = within(&self.script.drained, self.now()).is_some();
        Some(Power { mains: !drained, percent: 11 })
    }

    fn is_unplugged(&self, _repository: &Path) -> bool {
        within(&self.script.unplugged, self.now()).is_some()
    }

    async fn answers(&self, _config: &Config, pi: &Pi) -> Answer {
        let index = self.config.pis.iter().position(|other| other.name == pi.name).unwrap();
        let home = self.home(index, self.now()) && pi.host != NOBODY;
        self.spend(if home { 1 } else { 5 }).await;
        if home { Answer::There } else { Answer::Silent }
    }

    fn look_due(&self, _config: &Config) -> bool {
        let (now, journal) = (self.wall(self.now()), self.journal_length());
        self.look.get().is_none_or(|(next, length)| now >= next || length != journal)
    }

    async fn begin(&self, _config: &Config) {
        self.spend(1).await;
    }

    async fn play(&self, config: &Config, tonight: &Tonight) -> anyhow::Result<Outcome> {
        anyhow::ensure!(within(&self.script.full, self.now()).is_none(), "no space left");
        let clocks = self.clocks();
        let mut failures = 0;
        for (index, pi) in config.pis.iter().enumerate().filter(|(_, pi)| !tonight.away.contains(&pi.name)) {
            self.pull(index, pi, &mut failures).await;
        }
        self.retain(&PlaceName::mac(), &self.mac);
        self.push(&mut failures).await;
        let outcome = if failures == 0 && tonight.lacking().is_empty() { Outcome::Fine } else { Outcome::Incomplete };
        let slept = outcome != Outcome::Fine && clocks.slept_until(self.clocks());
        self.note(Fact::Ran { owed: tonight.owed, outcome, began: Some(clocks.wall), away: tonight.lacking(), slept });
        self.spend(0).await;
        Ok(outcome)
    }

    async fn tell(&self, _config: &Config, ran: Option<Outcome>, broke: Option<&anyhow::Error>) {
        let (facts, mut report) = self.report();
        if let Some(error) = broke {
            let message = error.to_string();
            report.alarms.push(Alarm { kind: Kind::Failed, object: "run".to_owned(), message, next: None });
        }
        let (news, told) = notify::news(&report, &self.told.borrow(), ran);
        let keys = |alarms: &[Alarm]| alarms.iter().map(notify::key).collect::<Vec<_>>();
        for news in news {
            let at = self.now();
            self.messages.borrow_mut().extend(match news {
                News::Alarms { begun, again, .. } => Some(Message { at, begun: keys(&begun), again: keys(&again), well: false }),
                News::Well { .. } => Some(Message { at, begun: Vec::new(), again: Vec::new(), well: true }),
                News::Night { .. } => None,
            });
        }
        let next = notify::next_look(&facts, &report);
        let next = notify::reminder(&report, &told).map_or(next, |reminder| next.min(reminder));
        *self.told.borrow_mut() = told;
        let next = if broke.is_some() { facts.now } else { next };
        self.look.set(Some((next, self.journal_length())));
        self.spend(0).await;
    }
}
