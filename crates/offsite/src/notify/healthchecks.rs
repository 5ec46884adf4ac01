//! healthchecks: it is told that a run began, and how it ended. Its own alarm clock does the rest, so overdue is no business of ours there.
//!
//! A run that only waited is neither. "Success" means what `offsite status` calls fine; a broken channel does not count.

use jiff::Timestamp;
use reqwest::{Client, Url};

use super::{SendError, http, http::Bounds, words};
use crate::{
    config::{Healthchecks, NotifySecrets},
    journal::{Fact, Receipt},
    status::{Kind, Report},
};

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// A run began.
    Start,
    /// It ended, and all is well.
    Success,
    /// It ended, and not all is well.
    Fail,
    /// Nothing about any run: a test.
    Log,
}

/// Longest body; servers cut what is longer. Bytes.
const LONGEST: usize = 10_000;

pub(super) async fn send(
    config: &Healthchecks,
    secrets: &NotifySecrets,
    client: &Client,
    bounds: &Bounds,
    (ping, run, body): (Ping, Option<&str>, &str),
) -> Result<(), SendError> {
    let check = super::address(config.url.as_ref(), secrets, "HEALTHCHECKS_URL", "notify.healthchecks.url")?;
    let url = address(&check, ping, run);
    let body = words::cut(body, LONGEST);
    http::post(&url, bounds, |url| client.post(url).header("content-type", "text/plain; charset=utf-8").body(body.clone())).await
}

fn address(check: &Url, ping: Ping, run: Option<&str>) -> Url {
    let mut url = check.clone();
    let what = match ping {
        Ping::Success => "",
        Ping::Start => "/start",
        Ping::Fail => "/fail",
        Ping::Log => "/log",
    };
    url.set_path(&format!("{}{what}", check.path().trim_end_matches('/')));
    if let Some(run) = run {
        url.query_pairs_mut().append_pair("rid", run);
    }
    url
}

/// Whether all is well after a run that ended fine.
pub(super) fn is_well(report: &Report) -> bool {
    report.alarms.iter().all(|alarm| alarm.kind == Kind::Untold)
}

/// What a ping says besides: what is wrong, and the last run's receipts.
pub(super) fn body(report: &Report, receipts: &[Receipt]) -> String {
    let mut text = format!("{}\n", report.verdict);
    for alarm in &report.alarms {
        text.push_str(&words::line(alarm));
    }
    text.push('\n');
    for receipt in run(receipts) {
        // A receipt that was read can be written.
        text.push_str(&serde_json::to_string(receipt).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// The receipts of the last run that ended: from after the end of the one before.
fn run(receipts: &[Receipt]) -> &[Receipt] {
    let is_end = |receipt: &Receipt| matches!(receipt.fact, Fact::Ran { .. });
    let Some(end) = receipts.iter().rposition(is_end) else { return &[] };
    let begin = receipts[..end].iter().rposition(is_end).map_or(0, |before| before + 1);
    &receipts[begin..=end]
}

/// A new run's id: a random UUID.
pub(super) fn new_run(now: Timestamp) -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // An id need only differ from the runs before.
        bytes[..8].copy_from_slice(&now.as_nanosecond().to_be_bytes()[8..]);
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_api() {
        let check = Url::parse("https://hc.example.org/ping/5f5a/").unwrap();
        let at = |ping, run| address(&check, ping, run).to_string();
        assert_eq!(at(Ping::Success, None), "https://hc.example.org/ping/5f5a");
        assert_eq!(at(Ping::Start, Some("1-2")), "https://hc.example.org/ping/5f5a/start?rid=1-2");
        assert_eq!(at(Ping::Fail, Some("1-2")), "https://hc.example.org/ping/5f5a/fail?rid=1-2");
        assert_eq!(at(Ping::Log, None), "https://hc.example.org/ping/5f5a/log");
    }

    #[test]
    fn ids_are_uuids_and_differ() {
        let (one, other) = (new_run(Timestamp::UNIX_EPOCH), new_run(Timestamp::UNIX_EPOCH));
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15], one.matches('-').count()), (36, "4", 4));
    }
}
