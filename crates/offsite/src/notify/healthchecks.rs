//! healthchecks: it is told that a run began, and how it ended. Its own alarm clock does the rest, so overdue is no business of ours there.
//!
//! A run that only waited is neither. "Success" means what `offsite status` calls fine; a broken channel does not count.
//!
//! Pings bear no run id (`rid`). Runs never overlap, and with one the server believes a run to go on that another's success does not end: whose
//! beginning was heard, and was killed, would be an alarm after the next one ended well, if the beginning of that was lost.

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
    (ping, body): (Ping, &str),
) -> Result<(), SendError> {
    let check = super::address(config.url.as_ref(), secrets, "HEALTHCHECKS_URL", "notify.healthchecks.url")?;
    let url = address(&check, ping);
    let body = words::cut(body, LONGEST);
    http::post(&url, bounds, |url| client.post(url).header("content-type", "text/plain; charset=utf-8").body(body.clone())).await
}

fn address(check: &Url, ping: Ping) -> Url {
    let mut url = check.clone();
    let what = match ping {
        Ping::Success => "",
        Ping::Start => "/start",
        Ping::Fail => "/fail",
        Ping::Log => "/log",
    };
    url.set_path(&format!("{}{what}", check.path().trim_end_matches('/')));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_api() {
        let at = |check: &str, ping| address(&Url::parse(check).unwrap(), ping).to_string();
        let (uuid, slug) = ("https://hc.example.org/ping/5f5a/", "https://hc-ping.com/key/mac?create=1");
        assert_eq!(at(uuid, Ping::Success), "https://hc.example.org/ping/5f5a");
        assert_eq!(at(uuid, Ping::Start), "https://hc.example.org/ping/5f5a/start");
        assert_eq!(at(slug, Ping::Fail), "https://hc-ping.com/key/mac/fail?create=1");
        assert_eq!(at(slug, Ping::Log), "https://hc-ping.com/key/mac/log?create=1");
    }
}
