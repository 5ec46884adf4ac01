//! End-to-end stories on real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bad_input;
mod first_night;
mod harness;
mod killed;
mod owed;
mod second_night;
mod world;
