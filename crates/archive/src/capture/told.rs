//! What a pass has to tell: warnings, and whether the archive lacks something.

use crate::notes::{Notes, shown};

/// Warnings of a pass.
#[derive(Debug, Default)]
pub(super) struct Told {
    notes: Notes,
    lacks: bool,
}

impl Told {
    /// What a person should know.
    pub(super) fn warn(&mut self, path: &[u8], text: &str) {
        self.note(format!("/{}: {text}", shown(path)));
    }

    /// What a person should know, and what makes this archive incomplete.
    pub(super) fn lack(&mut self, path: &[u8], text: &str) {
        self.lacks = true;
        self.warn(path, text);
    }

    /// A warning about no path in particular.
    pub(super) fn note(&mut self, text: String) {
        self.notes.add(text);
    }

    /// Something is lacking.
    pub(super) fn incomplete(&mut self, text: String) {
        self.lacks = true;
        self.note(text);
    }

    /// Whether nothing is lacking, and the warnings.
    pub(super) fn into_parts(self) -> (bool, Vec<String>) {
        (!self.lacks, self.notes.into_texts())
    }
}
