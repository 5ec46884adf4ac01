//! One look: gather, decide for each channel, send to all at once, remember what got through.
//!
//! The memory is written after each channel that took its message, so a signal in the middle makes nobody hear it twice but those whose
//! answer was on its way.

use std::{fs::File, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    News, Outgoing, SendError, Told,
    channel::{self, Channel, HEALTHCHECKS},
    healthchecks::{self, Ping},
    http::Bounds,
    mac, news,
    told::{self, Look, Memory},
};
use crate::{
    config::Config,
    hint,
    human::look,
    journal::{Fact, Journal, Outcome, Receipt, Standing, Step},
    state::State,
    status::{Alarm, Facts, Kind, Local, Report, gather, screen},
};

/// What the memory itself is called where its failure is noted.
const MEMORY: &str = "told.json";
/// Between two looks at a lock that another has.
const PAUSE: Duration = Duration::from_millis(100);

/// A look that has begun.
pub(super) struct Telling<'a> {
    config: &'a Config,
    bounds: &'a Bounds,
    state: State,
    memory: Memory,
    _lock: File,
}

/// What became of a message: the channel, what it remembers if the message got through, and whether it did.
type Sent = (&'static str, Option<Told>, Result<(), SendError>);

/// What is to be sent to whom, and what is remembered if it gets through.
struct Sending<'a> {
    channel: Channel<'a>,
    out: Outgoing,
    told: Told,
}

impl<'a> Telling<'a> {
    /// Waits for its turn, for as long as one channel may take; `None` if it does not come.
    pub(super) async fn begin(config: &'a Config, bounds: &'a Bounds) -> anyhow::Result<Option<Self>> {
        let state = State::open(&config.state)?;
        let turn = async {
            loop {
                if let Some(lock) = told::lock(&state.told_lock())? {
                    return anyhow::Ok(lock);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let Ok(lock) = tokio::time::timeout(bounds.total, turn).await else { return Ok(None) };
        let (lock, memory) = (lock?, Memory::read(&state.told()));
        Ok(Some(Self { config, bounds, state, memory, _lock: lock }))
    }

    /// Tells what is news.
    pub(super) async fn tell(mut self, ran: Option<Outcome>) -> anyhow::Result<()> {
        let length = told::journal_length(&self.state);
        let (facts, report) = self.look().await;
        let mac = mac();
        let channels = Channel::all(self.config);
        let mut sends: FuturesUnordered<LocalBoxFuture<'_, Sent>> = FuturesUnordered::new();
        self.memory.channels.retain(|name, _| channels.iter().any(|channel| channel.name() == name));
        for channel in channels {
            let told = self.memory.channels.entry(channel.name().to_owned()).or_default();
            match decide(channel, &facts, &report, told, ran, &mac) {
                Err(next) => *told = next,
                Ok(Sending { channel, out, told }) => {
                    let (config, bounds) = (self.config, self.bounds);
                    sends.push(Box::pin(async move { (channel.name(), Some(told), channel.send(config, bounds, &out).await) }));
                }
            }
        }
        if let Some(check) = &self.config.notify.healthchecks {
            let pings = &mut self.memory.pings;
            pings.ended = ran.map(|outcome| outcome == Outcome::Fine && healthchecks::is_well(&report)).or(pings.ended);
            if let Some(fine) = pings.ended {
                let run = pings.run.clone();
                let receipts = self.state.journal().read().map(|read| read.receipts).unwrap_or_default();
                let body = healthchecks::body(&report, &receipts);
                let (config, bounds, ping) = (self.config, self.bounds, if fine { Ping::Success } else { Ping::Fail });
                sends.push(Box::pin(async move {
                    let sent = channel::ping(check, config, bounds, (ping, run.as_deref(), &body));
                    (HEALTHCHECKS, None, channel::bounded(bounds, sent).await)
                }));
            }
        } else {
            self.memory.pings = told::Pings::default();
        }
        let mut pending = false;
        let (mut kept, mut noted) = (Ok(()), Ok(()));
        while let Some((name, told, sent)) = sends.next().await {
            // A journal that takes no receipt must not make anybody forget what was told.
            noted = noted.and(note(&self.state.journal(), &facts.standing, name, &sent));
            match (sent, told) {
                (Err(_), _) => pending = true,
                (Ok(()), Some(told)) => drop(self.memory.channels.insert(name.to_owned(), told)),
                (Ok(()), None) => self.memory.pings = told::Pings::default(),
            }
            kept = self.memory.write(&self.state.told());
        }
        self.memory.look = Some(Look::of(&facts, &report, &self.memory.channels, pending, length));
        kept = self.memory.write(&self.state.told()).or(kept);
        noted.and(self.remembered(&facts.standing, kept))
    }

    /// The status. Where there is none, that is the one alarm.
    async fn look(&self) -> (Facts, Report) {
        match gather(self.config).await {
            Ok(facts) => {
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
                    now: Timestamp::now(),
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
            Ok(()) if standing.silent.contains_key(MEMORY) => return receipt(&journal, Fact::Notified { channel: MEMORY.to_owned() }),
            Ok(()) => return Ok(()),
            Err(error) => anyhow::Error::new(error),
        };
        if !standing.silent.contains_key(MEMORY) {
            let (message, hint) = (hint::message(&error), hint::hint(&error));
            receipt(&journal, Fact::Failed { step: Step::Notify, object: MEMORY.to_owned(), message, hint })?;
        }
        Err(error)
    }
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
    // All that is new makes one message.
    let Some(news) = found.first() else { return Err(told) };
    let status = screen(report, &facts.zone, look::Look::PLAIN);
    Ok(Sending { channel, out: Outgoing::of(news, &heard, mac, status), told })
}

/// A channel's failure gets a receipt when it begins, and one when it ends.
pub(super) fn note(journal: &Journal, standing: &Standing, channel: &str, sent: &Result<(), SendError>) -> anyhow::Result<()> {
    match (sent, standing.silent.contains_key(channel)) {
        (Ok(()), true) => receipt(journal, Fact::Notified { channel: channel.to_owned() }),
        (Err(error), false) => {
            let (message, hint) = (words(error), Some(error.next(channel)));
            receipt(journal, Fact::Failed { step: Step::Notify, object: channel.to_owned(), message, hint })
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

fn receipt(journal: &Journal, fact: Fact) -> anyhow::Result<()> {
    journal.append(&Receipt { time: Timestamp::now(), fact }).context("cannot note what became of a notice")
}
