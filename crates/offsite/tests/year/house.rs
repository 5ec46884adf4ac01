//! The household: a Mac whose clock, sleep and network follow a script, Pis, a cloud, an owner who is told things.

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
    config::{Config, Home, Pi},
    daemon::{Answer, Ended, World, watch},
    journal::{Outcome, Receipt, Standing},
    lock::Lock,
    night::Tonight,
    notify::{Channel, Outgoing, Ping, Post, SendError},
    platform::Power,
    state::State,
    status::{Facts, Held, Local, Report},
};
use offsite_archive::ArchiveName;

use super::script::{DAY, Die, HOUR, Script, Second, begins, since, within};

/// A Friday, in winter.
const BEGIN: &str = "2027-01-01T00:00:00Z";
/// A host that is not there.
const NOBODY: &str = "nobody.local";
/// What the owner was told.
#[derive(Debug, Clone)]
pub struct Message {
    pub at: Second,
    pub channel: &'static str,
    pub begun: Vec<String>,
    pub again: Vec<String>,
    pub well: bool,
    /// Whether the Mac came to know that it was taken; it was killed right then otherwise.
    pub answered: bool,
}

impl Message {
    pub fn names(&self, alarm: &str) -> bool {
        self.begun.iter().chain(&self.again).any(|name| name == alarm)
    }
}

/// What an alarm is about, whatever becomes of it: an incomplete try and a failed one are one trouble.
pub fn name(alarm: &serde_json::Value) -> String {
    let kind = alarm["kind"].as_str().unwrap().replace("incomplete", "failed");
    format!("{kind} {}", alarm["object"].as_str().unwrap())
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
    /// What healthchecks heard, and when.
    pub pings: RefCell<Vec<(Second, Ping)>>,
    pub starts: RefCell<Vec<Start>>,
    pub(super) now: Cell<Second>,
    uptime: Cell<Second>,
    /// How often the Mac slept.
    pub(super) sleeps: Cell<u64>,
    pub(super) die: RefCell<Die>,
    /// How often a kill in the middle of telling could have come.
    pub points: Cell<u64>,
    pub(super) mac: RefCell<BTreeSet<ArchiveName>>,
    pub(super) cloud: RefCell<BTreeSet<ArchiveName>>,
    /// What is suspicious, and was not accepted yet.
    pub(super) doubted: RefCell<BTreeSet<ArchiveName>>,
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
            "repository: {0}/repository\nstate: {0}/state\npis:\n{pis}clouds:\n- {{name: cold, url: 's3://bucket'}}\n\
             notify:\n  macos: none\n  webhook: {{url: 'https://hook.example/'}}\n{1}",
            dir.path().display(),
            if script.channels > 1 {
                "  ntfy: {url: 'https://ntfy.example/t'}\n  healthchecks: {url: 'https://hc.example/ping'}\n"
            } else {
                ""
            }
        );
        let config = Config::parse(Path::new("offsite.yaml"), &text, &Home::at(Path::new("/home/owner"))).unwrap();
        Self {
            script,
            config,
            messages: RefCell::default(),
            pings: RefCell::default(),
            starts: RefCell::default(),
            now: Cell::new(0),
            uptime: Cell::new(0),
            sleeps: Cell::new(0),
            die: RefCell::new(Die(seed ^ 0x5eed)),
            points: Cell::new(0),
            mac: RefCell::default(),
            cloud: RefCell::default(),
            doubted: RefCell::default(),
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

    /// What one channel told.
    pub fn heard(&self, channel: &str) -> Vec<Message> {
        self.messages.borrow().iter().filter(|message| message.channel == channel).cloned().collect()
    }

    pub(super) fn home(&self, pi: usize, at: Second) -> bool {
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
    pub(super) fn offers(&self, pi: usize, at: Second) -> Vec<ArchiveName> {
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

    pub(super) fn chance(&self, of_a_thousand: u64) -> bool {
        self.die.borrow_mut().below(1000) < of_a_thousand
    }

    /// Lets so much of the Mac's own time pass; it may sleep in it, and it may be the end.
    pub(super) async fn spend(&self, length: Second) {
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

    /// A moment in the middle of telling; it may be the last.
    async fn point(&self) {
        self.points.set(self.points.get() + 1);
        if self.script.dies_at == Some(self.points.get()) || self.chance(self.script.kills * 10) {
            std::future::pending::<()>().await;
        }
        self.spend(1).await;
    }

    /// Another verb, which hangs, takes the lock or is killed. It cannot take what a night holds.
    pub(super) fn hold(&self) {
        let mut other = self.other.borrow_mut();
        if within(&self.script.held, self.now()).is_none() {
            *other = None;
        } else if other.is_none() {
            *other = self.state().lock("verify", self.wall(self.now())).ok();
        }
    }

    /// The status, as the program makes it.
    pub fn report(&self) -> (Facts, Report) {
        let unplugged = within(&self.script.unplugged, self.now()).is_some();
        let local = Local {
            archives: self.mac.borrow().iter().map(|name| Held { name: name.clone(), complete: true }).collect(),
            problem: unplugged.then(|| ("no such folder".to_owned(), None)),
            unplugged,
            free: (!unplugged).then_some(if within(&self.script.full_mac, self.now()).is_some() { 0 } else { u64::MAX }),
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
            let killed = self.script.kills > 0 && beside.is_none();
            assert!(killed || matches!(beside, Some(Ok(Ended::Busy | Ended::Nothing))), "{beside:?}");
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

    async fn play(&self, config: &Config, tonight: &Tonight) -> anyhow::Result<Outcome> {
        self.night(config, tonight).await
    }

    fn post(&self) -> impl Post {
        self
    }
}

impl Post for &House {
    fn now(&self) -> Timestamp {
        self.wall(House::now(self))
    }

    async fn facts(&self, _config: &Config) -> anyhow::Result<Facts> {
        self.point().await;
        Ok(self.report().0)
    }

    async fn send(&self, _config: &Config, channel: Channel<'_>, out: &Outgoing) -> Result<(), SendError> {
        self.point().await;
        let (at, channel, json) = (House::now(self), channel.name(), out.json());
        let list = |field: &str| json[field].as_array().unwrap().iter().map(name).collect();
        let message = Message { at, channel, begun: list("begun"), again: list("again"), well: json["news"] == "well", answered: false };
        self.messages.borrow_mut().push(message);
        let place = self.messages.borrow().len() - 1;
        self.point().await;
        self.messages.borrow_mut()[place].answered = true;
        Ok(())
    }

    async fn ping(&self, _config: &Config, (ping, _): (Ping, &str)) -> Result<(), SendError> {
        self.point().await;
        self.pings.borrow_mut().push((House::now(self), ping));
        self.point().await;
        Ok(())
    }
}
