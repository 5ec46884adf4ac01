//! Looking into archives without restoring them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod cat;
mod diff;
mod find;
mod ls;
#[allow(dead_code, reason = "shared with the tests of restore, which use the rest")]
#[path = "../restore/place.rs"]
mod place;
mod trees;
