//! Progress of long work: a bar on a terminal, nothing elsewhere. Where it is not seen, `offsite status` shows the same.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use offsite_repository::Progress;

use crate::live;

/// One bar; gone from the screen when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for `label`, with bytes, rate and the time that is left. Draws on standard error, and only on a terminal.
    pub(crate) fn new(label: &str) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{msg} [{bar:24}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        live::label(label);
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn set(&self, progress: Progress) {
        live::progress(progress);
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }

    pub(crate) fn line(&self, text: &str) {
        self.0.suspend(|| report!("{text}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
