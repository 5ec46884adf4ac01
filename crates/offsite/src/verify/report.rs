//! What a check found, for people and for programs. Pure.

use std::collections::BTreeSet;

use offsite_archive::ArchiveName;
use offsite_repository::{Damage, Verified};
use serde::Serialize;

use super::{lost_frames, lost_whole};
use crate::{
    config::Config,
    human::{count, plain, size},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Checked {
    pub archive: ArchiveName,
    /// What is lost: `Some(Some(n))` frames, `Some(None)` all of it, `None` nothing.
    #[serde(serialize_with = "lost")]
    pub lost: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damages: Vec<String>,
    /// Whether frames from elsewhere could help; a manifest that lies about their lengths is beyond that.
    #[serde(skip)]
    pub curable: bool,
    pub healed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_healed: Option<String>,
}

#[expect(clippy::ref_option, clippy::option_option, reason = "serde's signature")]
fn lost<S: serde::Serializer>(lost: &Option<Option<u64>>, serializer: S) -> Result<S::Ok, S::Error> {
    match lost {
        None => serializer.serialize_u64(0),
        Some(Some(frames)) => serializer.serialize_u64(*frames),
        Some(None) => serializer.serialize_str("all"),
    }
}

impl Checked {
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some() && !self.healed
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Copy {
    pub archive: ArchiveName,
    pub damage: String,
    /// Whether it was removed, to be made again; that of a lost archive stays.
    pub removed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub frames: u64,
    /// Read.
    pub bytes: u64,
    pub archives: Vec<Checked>,
    pub set_aside: Vec<String>,
    /// Index objects that were written anew or removed.
    pub mended: usize,
    /// Objects that cannot be read or understood, with why; manifests of lost archives among them, and damaged packs that could not be set aside.
    pub unreadable: Vec<(String, String)>,
    pub copies: u64,
    #[serde(rename = "damaged_copies")]
    pub plain: Vec<Copy>,
    /// Archives that are here and of which the journal does not tell how they came, so that nobody has judged them.
    pub untold: Vec<ArchiveName>,
    /// Numbers of the journal's lines that are no receipts, and that nobody acknowledged.
    pub damaged_lines: Vec<usize>,
    /// Whether bad frames still count as held, so that nothing can be said to have come back.
    #[serde(skip)]
    pub offered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Stays {
    objects: Vec<(String, String)>,
    pub(super) offered: bool,
}

impl Stays {
    pub(super) fn add(&mut self, object: String, how: &str, error: &(dyn std::error::Error + 'static)) {
        self.objects.push((object, format!("{how}: {}", offsite_agent::chain(error))));
    }
}

/// Damages shown for one archive.
const SHOWN: usize = 3;

impl Report {
    /// What `found` amounts to; its unreadable objects are those that still are. Of the archives in `gone` not even a manifest is left.
    pub(crate) fn of(found: &Verified, mended: usize, gone: &BTreeSet<ArchiveName>) -> Self {
        let checked =
            |archive: ArchiveName, lost, damages, curable| Checked { archive, lost, damages, curable, healed: false, not_healed: None };
        let mut archives: Vec<Checked> = found
            .archives
            .iter()
            .map(|(name, damages)| {
                let lost = (!damages.is_empty()).then(|| Some(lost_frames(damages)));
                let curable = damages.iter().all(|damage| matches!(damage, Damage::Frame { .. } | Damage::Lacking { .. }));
                checked(name.clone(), lost, damages.iter().map(damage_text).collect(), curable)
            })
            .collect();
        let mut whole = lost_whole(&found.unreadable);
        whole.extend(gone.iter().filter(|name| !found.archives.iter().any(|(known, _)| known == *name)).cloned());
        archives.extend(whole.into_iter().map(|name| checked(name, Some(None), Vec::new(), true)));
        archives.sort_by(|a, b| a.archive.cmp(&b.archive));
        Self {
            frames: found.frames,
            bytes: found.bytes,
            archives,
            set_aside: found.damaged_packs.iter().map(ToString::to_string).collect(),
            mended,
            unreadable: found.unreadable.iter().map(|bad| (bad.object.clone(), offsite_agent::chain(&bad.error))).collect(),
            copies: 0,
            plain: Vec::new(),
            untold: Vec::new(),
            damaged_lines: Vec::new(),
            offered: false,
        }
    }

    /// Adds what could not be put in order. Where bad frames still count as held, a look at what lacks would find all well.
    pub(super) fn add_stays(&mut self, stays: Stays) {
        self.unreadable.extend(stays.objects);
        self.offered = stays.offered;
        if stays.offered {
            self.archives.iter_mut().for_each(|archive| archive.curable = false);
        }
    }

    pub(crate) fn add_lacking(&mut self, lacking: Vec<(ArchiveName, usize)>) {
        for (archive, frames) in lacking {
            if !self.archives.iter().any(|known| known.archive == archive) {
                let lost = Some(Some(frames as u64));
                self.archives.push(Checked { archive, lost, damages: Vec::new(), curable: true, healed: false, not_healed: None });
            }
        }
        self.archives.sort_by(|a, b| a.archive.cmp(&b.archive));
    }

    pub(crate) fn whole(&self) -> bool {
        !self.archives.iter().any(Checked::is_lost) && self.unreadable.is_empty() && self.plain.is_empty() && self.damaged_lines.is_empty()
    }

    pub(crate) fn text(&self, config: &Config) -> String {
        let mut lines = Vec::new();
        for archive in self.archives.iter().filter(|archive| archive.lost.is_some()) {
            let lost = match archive.lost {
                Some(Some(frames)) if archive.healed => format!("{} lost", count(frames, "frame was", "frames were")),
                Some(Some(frames)) => format!("{} lost", count(frames, "frame is", "frames are")),
                _ => "its manifest is gone or cannot be read".to_owned(),
            };
            let healed = if archive.healed { "; healed" } else { "" };
            lines.push(format!("damaged: {}: {lost}{healed}", archive.archive));
            if archive.healed {
                continue;
            }
            lines.extend(archive.damages.iter().take(SHOWN).map(|damage| format!("  {}", plain(damage))));
            if archive.damages.len() > SHOWN {
                lines.push(format!("  and {} more", archive.damages.len() - SHOWN));
            }
            lines.extend(archive.not_healed.iter().map(|why| format!("  not healed: {}", plain(why))));
        }
        lines.extend(self.unreadable.iter().map(|(object, error)| format!("unreadable: {}: {}", plain(object), plain(error))));
        for copy in &self.plain {
            let then = if copy.removed { "removed, to be made again" } else { "it stays, because the archive is lost" };
            lines.push(format!("damaged: the plain copy of {}: {}; {then}", copy.archive, plain(&copy.damage)));
        }
        if let Some(line) = self.damaged_lines.first() {
            let lines_are = count(self.damaged_lines.len() as u64, "line is", "lines are");
            lines.push(format!("damaged: the journal: {lines_are} no receipt, the first is line {line}"));
        }
        if !self.untold.is_empty() {
            let archives = count(self.untold.len() as u64, "archive here", "archives here");
            lines.push(format!(
                "note: the journal does not tell how {archives} came: a sync was killed, or the journal was lost or cut; the next sync judges them"
            ));
        }
        if !self.set_aside.is_empty() {
            let packs = count(self.set_aside.len() as u64, "damaged pack", "damaged packs");
            lines.push(format!("set aside {packs}, in {}", config.repository.join("damaged").display()));
            lines.extend(self.set_aside.iter().take(SHOWN).map(|pack| format!("  {pack}")));
        }
        if self.mended > 0 {
            lines.push(format!("mended {}", count(self.mended as u64, "index object", "index objects")));
        }
        let lost = self.archives.iter().filter(|archive| archive.is_lost()).count() as u64;
        let (read, archives) = (count(self.frames, "frame", "frames"), count(self.archives.len() as u64, "archive", "archives"));
        let verdict = match (self.whole(), lost) {
            (true, _) => "all whole".to_owned(),
            (false, 0) if self.unreadable.is_empty() => "all archives whole".to_owned(),
            (false, 0) => "not all can be read".to_owned(),
            (false, _) => format!("{lost} not whole"),
        };
        let copies = if self.copies > 0 { format!(" and {}", count(self.copies, "plain copy", "plain copies")) } else { String::new() };
        lines.push(format!("verified {archives}: {read}{copies} good, {} read; {verdict}", size(self.bytes)));
        lines.extend(self.next_step(config));
        lines.push(String::new());
        lines.join("\n")
    }

    fn next_step(&self, config: &Config) -> Option<String> {
        if !self.archives.iter().any(Checked::is_lost) {
            if self.unreadable.is_empty() && !self.plain.is_empty() {
                return Some("next:  offsite sync".to_owned());
            }
            if self.unreadable.is_empty() && !self.damaged_lines.is_empty() {
                return Some(
                    "next:  check the disk; what those lines said is lost; when you have looked: offsite accept --journal".to_owned(),
                );
            }
            return (!self.whole())
                .then(|| "next:  look at what cannot be read; what has no name of offsite's can be moved away".to_owned());
        }
        let from_the_pi = "next:  offsite sync brings the frames back from the Pi if it still has the archive";
        let clouds: Vec<&str> = config.clouds.iter().map(|cloud| cloud.name.as_str()).collect();
        Some(match clouds.as_slice() {
            [] => from_the_pi.to_owned(),
            names => format!("{from_the_pi}; otherwise: offsite verify --heal-from {}", names.join(" or ")),
        })
    }
}

fn damage_text(damage: &Damage) -> String {
    match damage {
        // The cause names the frame and the pack.
        Damage::Frame { cause, .. } => cause.clone(),
        Damage::Lacking { frame } => format!("frame {frame} is in no pack"),
        Damage::Length { frame, expected, found } => format!("frame {frame} has {found} raw bytes, the manifest says {expected}"),
        Damage::Tail { pack } => format!("{} does not end as it should", pack.path()),
        other => format!("{other:?}"),
    }
}
