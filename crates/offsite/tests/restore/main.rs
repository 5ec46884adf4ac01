//! Getting data back, by the commands that `docs/restore.md` names.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod damage;
mod drill;
mod files;
mod from;
mod place;
