//! End-to-end stories on real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[cfg(target_os = "linux")]
mod agent_faults;
mod bad_input;
mod first_night;
mod harness;
mod killed;
mod owed;
mod packed_pi;
mod pull;
mod second_night;
mod units;
mod world;
