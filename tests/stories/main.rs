//! End-to-end stories on real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod first_night;
mod harness;
mod killed;
mod second_night;
