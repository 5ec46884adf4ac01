//! What drills found, for people and for programs.

use std::path::PathBuf;

use offsite_archive::{ArchiveName, JobName};
use serde::Serialize;

use crate::{
    exit::Exit,
    human::{count, plain, size},
};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Where from, as people call it.
    place: String,
    pub(super) drills: Vec<Drill>,
}

#[derive(Debug, Serialize)]
pub(super) struct Drill {
    job: JobName,
    /// None if there was nothing to begin with.
    pub(super) archive: Option<ArchiveName>,
    /// Regular files that were compared.
    pub(super) files: u64,
    /// Their lengths, added up.
    pub(super) bytes: u64,
    /// Devices, which only root makes.
    pub(super) left_out: u64,
    /// Members that this disk cannot hold: their names, or what they are.
    pub(super) unheld: u64,
    /// What the file system would not take, as an attribute.
    pub(super) warnings: u64,
    pub(super) differing: u64,
    pub(super) differences: Vec<String>,
    pub(super) check: Option<bool>,
    /// The folder, if it could not be removed.
    pub(super) left: Option<PathBuf>,
    /// From the first byte to the last comparison.
    pub(super) seconds: f64,
    /// Why it failed; none if it did not.
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
}

impl Drill {
    pub(super) fn of(job: &JobName) -> Self {
        Self {
            job: job.clone(),
            archive: None,
            files: 0,
            bytes: 0,
            left_out: 0,
            unheld: 0,
            warnings: 0,
            differing: 0,
            differences: Vec::new(),
            check: None,
            left: None,
            seconds: 0.0,
            message: None,
            hint: None,
        }
    }

    /// One that went well, on one line.
    pub(super) fn text(&self, place: &str) -> String {
        let archive = self.archive.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut text = format!(
            "drilled {archive} from {}: {}, {}, all as they were on the Pi, in {:.0} s; {}",
            plain(place),
            count(self.files, "file", "files"),
            size(self.bytes),
            self.seconds,
            if self.left.is_none() { "thrown away" } else { "it could not be thrown away" }
        );
        if self.check == Some(true) {
            text.push_str("; the check passed");
        }
        if self.left_out > 0 {
            text.push_str(&format!("; {} left out, which only root makes", count(self.left_out, "device", "devices")));
        }
        if self.unheld > 0 {
            let left_out = count(self.unheld, "member", "members");
            text.push_str(&format!("; {left_out} left out, which this disk cannot hold: the same restore here leaves them out too"));
        }
        if self.warnings > 0 {
            text.push_str(&format!("; {} that this disk does not take", count(self.warnings, "attribute", "attributes")));
        }
        text
    }
}

impl Report {
    pub(super) fn new(place: &str) -> Self {
        Self { place: place.to_owned(), drills: Vec::new() }
    }

    /// Some of several is not all, and none is a failure. A folder that stays is something to be done.
    pub(super) fn exit(&self) -> Exit {
        let failed = self.drills.iter().filter(|drill| drill.message.is_some()).count();
        match failed {
            0 if self.drills.iter().any(|drill| drill.left.is_some()) => Exit::Incomplete,
            0 => Exit::Fine,
            all if all == self.drills.len() => Exit::Failed,
            _ => Exit::Incomplete,
        }
    }
}
