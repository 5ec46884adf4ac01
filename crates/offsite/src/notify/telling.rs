//! One look: gather, decide for each channel, send to all at once, remember what got through.
//!
//! The memory is written after each channel that took its message, so a signal in the middle makes nobody hear it twice but those whose
//! answer was on its way.

use std::{collections::BTreeMap, fs::File, io, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    News, Outgoing, SendError, Told,
    channel::{Channel, HEALTHCHECKS},
    healthchecks::{self, Ping},
    mac, mark,
    news::news,
    post::Post,
    told::{self, Failing, Look, Memory},
};
use crate::{
    config::Config,
    hint,
    human::look,
    journal::{Fact, Journal, Outcome, Receipt, Standing, Step},
    state::State,
    status::{Alarm, Facts, Kind, Local, Report, screen},
};

/// What the memory itself is called where its failure is noted.
const MEMORY: &str = "told.json";
/// Between two looks at a lock that another has.
const PAUSE: Duration = Duration::from_millis(100);

/// A look that has begun.
pub(super) struct Telling<'a, P> {
    config: &'a Config,
    post: &'a P,
    state: State,
    memory: Memory,
    _lock: Option<File>,
}

/// What became of a message: the channel, what it remembers if the message got through, and whether it did.
type Sent = (&'static str, Option<(Told, String)>, Result<(), SendError>);

/// What is to be sent to whom, and what is remembered if it gets through.
struct Sending<'a> {
    channel: Channel<'a>,
    out: Outgoing,
    told: Told,
    /// What stands, as [`mark`] has it.
    stands: String,
}

impl<'a, P: Post> Telling<'a, P> {
    /// Waits so long for its turn; `None` if it does not come.
    pub(super) async fn begin(config: &'a Config, post: &'a P, patience: Duration) -> anyhow::Result<Option<Self>> {
        // A state folder that takes no file is a reason to tell, and none to be silent: what cannot be kept there says so at the end.
        let state = State::open(&config.state).unwrap_or_else(|_| State::at(&config.state));
        let turn = async {
            loop {
                match told::lock(&state.told_lock()) {
                    Ok(None) => tokio::time::sleep(PAUSE).await,
                    Ok(lock) => return lock,
                    Err(_) => return None,
                }
            }
        };
        let Ok(lock) = tokio::time::timeout(patience, turn).await else { return Ok(None) };
        let memory = Memory::read(&state.told());
        Ok(Some(Self { config, post, state, memory, _lock: lock }))
    }

    /// Tells what is news. `broke`: why nothing could be run, or what ran left no receipt.
    pub(super) async fn tell(mut self, ran: Option<Outcome>, broke: Option<&anyhow::Error>) -> anyhow::Result<()> {
        let length = told::journal_length(&self.state);
        let (facts, mut report) = self.look(ran.is_none() && broke.is_none()).await;
        if let Some(error) = broke {
            add(&mut report, &facts, error);
        }
        let path = self.state.told();
        // Before anything is sent: what cannot be remembered would be sent at each start.
        let keeps = self.memory.write(&path);
        if let Err(error) = &keeps
            && facts.local.state.is_none()
            && !facts.standing.silent.contains_key(MEMORY)
        {
            let (message, next) = unkept(error);
            report.alarms.push(Alarm { kind: Kind::Untold, object: MEMORY.to_owned(), message, next });
        }
        let mac = mac();
        let channels = Channel::all(self.config);
        self.memory.failing.retain(|name, _| self.config.notify.has(name));
        // A run's end is rare, and the network was there. What breaks at each start is not.
        let patient = ran.is_none() || broke.is_some();
        let held = |failing: &BTreeMap<String, Failing>, name| {
            patient && failing.get(name).is_some_and(|failing: &Failing| failing.holds(report.time))
        };
        let (mut sends, mut doubt) = (FuturesUnordered::<LocalBoxFuture<'_, Sent>>::new(), false);
        self.memory.channels.retain(|name, _| channels.iter().any(|channel| channel.name() == name));
        for channel in channels {
            let told = self.memory.channels.entry(channel.name().to_owned()).or_default();
            match decide(channel, &facts, &report, told, ran, &mac) {
                Err(next) => {
                    *told = next;
                    self.memory.failing.remove(channel.name());
                }
                Ok(Sending { channel, .. }) if held(&self.memory.failing, channel.name()) => {}
                Ok(Sending { channel, stands, .. }) if keeps.is_err() && mark::holds(&path, channel.name(), &stands, report.time) => {}
                Ok(Sending { channel, out, told: next, stands }) => {
                    // Whose end may have been heard is told at once if it returns, though we be killed before we know.
                    told.doubtful |= next.open.is_empty() && !told.open.is_empty();
                    doubt |= told.doubtful;
                    let (config, post) = (self.config, self.post);
                    sends.push(Box::pin(async move { (channel.name(), Some((next, stands)), post.send(config, channel, &out).await) }));
                }
            }
        }
        if self.config.notify.healthchecks.is_none() {
            self.memory.pinged = None;
        } else if let Some(outcome) = ran.or_else(|| unheard(&facts.standing, self.memory.pinged)) {
            if !held(&self.memory.failing, HEALTHCHECKS) {
                let receipts = self.state.journal().read().map(|read| read.receipts).unwrap_or_default();
                let body = healthchecks::body(&report, &receipts);
                let fine = outcome == Outcome::Fine && healthchecks::is_well(&report);
                let (config, post, ping) = (self.config, self.post, if fine { Ping::Success } else { Ping::Fail });
                sends.push(Box::pin(async move { (HEALTHCHECKS, None, post.ping(config, (ping, &body)).await) }));
            }
        } else {
            self.memory.failing.remove(HEALTHCHECKS);
        }
        if doubt {
            // Where it cannot be kept, that is told of already.
            let _ = self.memory.write(&path);
        }
        let mut noted = Ok(());
        while let Some((name, told, sent)) = sends.next().await {
            // A journal that takes no receipt must not make anybody forget what was told.
            noted = noted.and(note(&self.state.journal(), &facts.standing, name, &sent, self.post.now()));
            let mut stands = None;
            match (&sent, told) {
                (Err(_), _) => {
                    let failing = Failing::once_more(self.memory.failing.get(name), report.time);
                    self.memory.failing.insert(name.to_owned(), failing);
                }
                (Ok(()), Some((told, stood))) => {
                    self.memory.channels.insert(name.to_owned(), told);
                    stands = Some(stood);
                }
                (Ok(()), None) => self.memory.pinged = facts.standing.last_run.map(|(time, _)| time),
            }
            if sent.is_ok() {
                self.memory.failing.remove(name);
            }
            let kept = self.memory.write(&path);
            // Where no mark can be left either, it is for the reason that is told of.
            let _ = match (&kept, stands) {
                (Ok(()), _) => mark::clear(&path, name),
                (Err(_), Some(stands)) => mark::leave(&path, name, &stands, report.time),
                (Err(_), None) => Ok(()),
            };
        }
        // What broke leaves no trace in the journal, so whether it still does is asked at the next start.
        self.memory.look = Some(Look::of(&facts, &report, &self.memory, broke.is_some(), length));
        let kept = self.memory.write(&path);
        noted.and(self.remembered(&facts.standing, kept))
    }

    /// The status. Where there is none, that is the one alarm. `between`: nothing of ours has ended just now.
    async fn look(&self, between: bool) -> (Facts, Report) {
        match self.post.facts(self.config).await {
            Ok(mut facts) => {
                if between && facts.running.is_some() {
                    // What fails in a run that is going on may be nobody's failure in the end: a link that broke in a sleep.
                    let run = facts.standing.last_run.map(|(time, _)| time);
                    facts.standing.failures.retain(|failure| run.is_some_and(|run| failure.time <= run));
                }
                let report = Report::of(&facts);
                (facts, report)
            }
            Err(error) => {
                let facts = Facts {
                    config: self.config.clone(),
                    standing: Standing::default(),
                    damaged_lines: Vec::new(),
                    running: None,
                    local: Local::default(),
                    now: self.post.now(),
                    zone: TimeZone::system(),
                };
                let mut report = Report::of(&facts);
                let (message, next) = (hint::message(&error), hint::hint(&error));
                report.alarms = vec![Alarm { kind: Kind::Failed, object: "status".to_owned(), message, next }];
                (facts, report)
            }
        }
    }

    /// A memory that cannot be kept makes alarms come again at each look: that has to be known.
    fn remembered(&self, standing: &Standing, kept: Result<(), told::ToldError>) -> anyhow::Result<()> {
        let journal = self.state.journal();
        let error = match kept {
            Ok(()) if standing.silent.contains_key(MEMORY) => {
                return receipt(&journal, self.post.now(), Fact::Notified { channel: MEMORY.to_owned() });
            }
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !standing.silent.contains_key(MEMORY) {
            let (message, hint) = unkept(&error);
            receipt(&journal, self.post.now(), Fact::Failed { step: Step::Notify, object: MEMORY.to_owned(), message, hint })?;
        }
        Err(error.into())
    }
}

/// What is wrong with a memory that cannot be kept, and what to do.
fn unkept(error: &told::ToldError) -> (String, Option<String>) {
    let message = format!("{error}: {}", error.source);
    (crate::human::plain(&message), Some("see that the disk of the state folder is neither full nor read-only".to_owned()))
}

/// Adds what broke to the alarms, unless it is why there is no status, or is what the status says of the state folder.
fn add(report: &mut Report, facts: &Facts, error: &anyhow::Error) {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let refused = |cause: &io::Error| matches!(cause.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull);
    let known = facts.local.state.is_some() && error.chain().any(|cause| cause.downcast_ref().is_some_and(refused));
    let (message, next) = (hint::message(error), hint::hint(error));
    if !known && !report.alarms.iter().any(|alarm| alarm.message == message) {
        report.alarms.push(Alarm { kind: Kind::Failed, object: "run".to_owned(), message, next });
        report.alarms.sort_by_key(|alarm| alarm.kind);
    }
}

/// How the last run ended, if healthchecks has not heard of it: it was not there, or we were killed before. A run that lacks but a Pi, or was
/// slept through, is not over.
fn unheard(standing: &Standing, pinged: Option<Timestamp>) -> Option<Outcome> {
    let (_, outcome) = standing.last_run.filter(|(time, _)| pinged != Some(*time))?;
    let over = outcome == Outcome::Fine || standing.tried.as_ref().is_some_and(|tried| tried.failed > 0 && !tried.slept);
    over.then_some(outcome)
}

/// What to send to a channel, or what it is to remember if there is nothing.
fn decide<'a>(
    channel: Channel<'a>,
    facts: &Facts,
    report: &Report,
    told: &Told,
    ran: Option<Outcome>,
    mac: &str,
) -> Result<Sending<'a>, Told> {
    let mut heard = report.clone();
    // It cannot be told that it does not work; and if it can, it does.
    heard.alarms.retain(|alarm| alarm.kind != Kind::Untold || alarm.object != channel.name());
    let (mut found, told) = news(&heard, told, ran);
    found.retain(|news| channel.every_night() || !matches!(news, News::Night { .. }));
    // What it missed may be over by now. That it takes something again ends what the status says of it.
    if found.is_empty() && heard.alarms.is_empty() && facts.standing.silent.contains_key(channel.name()) {
        found.push(News::Well { ended: vec![format!("{} {}", Kind::Untold.word(), channel.name())] });
    }
    // All that is new makes one message.
    let Some(news) = found.first() else { return Err(told) };
    let status = screen(report, &facts.zone, look::Look::PLAIN);
    Ok(Sending { channel, out: Outgoing::of(news, &heard, mac, status), told, stands: mark::stands(&heard.alarms) })
}

/// A channel's failure gets a receipt when it begins, and one when it ends.
pub(super) fn note(
    journal: &Journal,
    standing: &Standing,
    channel: &str,
    sent: &Result<(), SendError>,
    now: Timestamp,
) -> anyhow::Result<()> {
    match (sent, standing.silent.contains_key(channel)) {
        (Ok(()), true) => receipt(journal, now, Fact::Notified { channel: channel.to_owned() }),
        (Err(error), false) => {
            let (message, hint) = (words(error), Some(error.next(channel)));
            receipt(journal, now, Fact::Failed { step: Step::Notify, object: channel.to_owned(), message, hint })
        }
        (Ok(()), false) | (Err(_), true) => Ok(()),
    }
}

/// The error with its causes, on one line.
pub(super) fn words(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    crate::human::plain(&text)
}

fn receipt(journal: &Journal, time: Timestamp, fact: Fact) -> anyhow::Result<()> {
    journal.append(&Receipt { time, fact }).context("cannot note what became of a notice")
}
