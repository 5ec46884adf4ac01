//! `run`: one archive, one line of summary.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use offsite_agent::{
    Cancel, Made, RunOptions,
    human::{count, size},
};

use super::{Done, load};
use crate::{cli, exit::Exit};

/// Warnings shown; the manifest holds all.
const SHOWN: usize = 20;

pub(crate) fn run(cli: &cli::Cli, run: &cli::Run) -> Done {
    let config = load(&cli.config)?;
    let cancel = Cancel::default();
    cancel.on_signals()?;
    if run.accept_empty {
        let wait = run.wait.then_some(&cancel);
        for absent in offsite_agent::accept_empty(&config, &run.job, wait).map_err(offsite_agent::RunError::Source)? {
            note!("accepted: {absent}");
        }
    }
    let mut meter = Meter::new(cli.quiet);
    let start = if run.after_boot { offsite_agent::run_after_boot } else { offsite_agent::run };
    let result = start(
        &config,
        &run.job,
        RunOptions {
            wait: run.wait,
            full: run.full,
            cancel,
            clock: &Timestamp::now,
            progress: &mut |progress| meter.show(progress.entries, progress.raw, progress.written),
        },
    );
    meter.end();
    let made = result?;
    for warning in made.end.warnings.iter().take(SHOWN) {
        note!("warning: {warning}");
    }
    if made.end.warnings.len() > SHOWN {
        note!("warning: {} more are in the manifest", made.end.warnings.len() - SHOWN);
    }
    for note in &made.notes {
        note!("warning: {note}");
    }
    say!("{}", summary(&made));
    if let Some(reason) = made.degraded.as_ref().filter(|_| made.unhealthy.is_empty()) {
        note!("offsite-agent: {reason}");
    }
    for unwell in &made.unhealthy {
        note!("offsite-agent: it is back, and not well: {unwell}");
    }
    if made.owed {
        note!("next: {}", offsite_agent::NOT_BACK);
    }
    // A complete archive of a run that counts for less: services were away for too long.
    let over = made.end.complete && made.degraded.is_some();
    if made.owed || over || !made.died.is_empty() || !made.unhealthy.is_empty() {
        for died in &made.died {
            note!("offsite-agent: it was back, and then it ended: {died}");
        }
        return Ok(Exit::Failed);
    }
    Ok(if made.end.complete { Exit::Fine } else { Exit::Incomplete })
}

fn summary(made: &Made) -> String {
    let mut parts = vec![
        format!("{} in {}", size(made.end.raw), size(made.bytes)),
        format!("{} new", size(made.fresh)),
        count(usize::try_from(made.end.entries).unwrap_or(usize::MAX), "entry").replace("entrys", "entries"),
    ];
    let away = made.end.quiesced.iter().map(|quiesced| format!("{} {:.1} s", quiesced.project, quiesced.seconds)).collect::<Vec<_>>();
    if !away.is_empty() {
        parts.push(format!("away: {}", away.join(", ")));
    }
    if !made.end.warnings.is_empty() {
        parts.push(count(made.end.warnings.len(), "warning"));
    }
    parts.push(format!("kept {}, forgot {}", made.kept, made.forgotten.len()));
    let incomplete = if made.end.complete { "" } else { " INCOMPLETE" };
    format!("{}{incomplete}: {}", made.archive, parts.join("; "))
}

/// How far reading has come: a line that is written over on a terminal, one now and then elsewhere.
struct Meter {
    terminal: bool,
    quiet: bool,
    began: Instant,
    next: Duration,
    drawn: bool,
}

impl Meter {
    fn new(quiet: bool) -> Self {
        Self { terminal: std::io::stderr().is_terminal(), quiet, began: Instant::now(), next: Duration::ZERO, drawn: false }
    }

    fn show(&mut self, entries: u64, raw: u64, written: u64) {
        let elapsed = self.began.elapsed();
        if self.quiet || elapsed < self.next {
            return;
        }
        let first = self.next.is_zero();
        self.next = elapsed + if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(60) };
        let rate = raw.checked_div(elapsed.as_secs()).map(|rate| format!(", {}/s", size(rate))).unwrap_or_default();
        let text = format!("read {} in {entries} entries{rate}, wrote {}", size(raw), size(written));
        if self.terminal {
            self.drawn = true;
            // A terminal that is gone is no reason to stop.
            drop(write!(std::io::stderr(), "\r\x1b[K{text}"));
        } else if !first {
            tracing::info!("{text}");
        }
    }

    fn end(&mut self) {
        if self.drawn {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
    }
}

#[cfg(test)]
mod tests {
    use offsite_archive::{End, FrameId, Quiesced};

    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let end = End {
            entries: 1234,
            frames: 9,
            raw: 1288490189,
            bytes: 1,
            digest: FrameId::of(b""),
            finished: Timestamp::UNIX_EPOCH,
            quiesced: vec![Quiesced { project: "home".into(), seconds: 48.04 }],
            warnings: Vec::new(),
            complete: true,
        };
        let archive = "services/2026-11-22T040000Z".parse().unwrap();
        let mut made = Made {
            archive,
            sequence: 1,
            end,
            bytes: 340 << 20,
            read: 5 << 20,
            fresh: 3 << 20,
            full: false,
            notes: Vec::new(),
            kept: 3,
            forgotten: Vec::new(),
            died: Vec::new(),
            degraded: None,
            unhealthy: Vec::new(),
            starting: None,
            owed: false,
        };
        assert_eq!(
            summary(&made),
            "services/2026-11-22T040000Z: 1.1 GiB in 340 MiB; 3.0 MiB new; 1234 entries; away: home 48.0 s; kept 3, forgot 0"
        );
        made.end.complete = false;
        made.end.warnings = vec!["x".into()];
        made.end.quiesced.clear();
        made.end.entries = 1;
        assert_eq!(
            summary(&made),
            "services/2026-11-22T040000Z INCOMPLETE: 1.1 GiB in 340 MiB; 3.0 MiB new; 1 entry; 1 warning; kept 3, forgot 0"
        );
    }
}
