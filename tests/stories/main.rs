//! End-to-end stories on real parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[cfg(target_os = "linux")]
mod agent_faults;
#[cfg(target_os = "linux")]
mod alarm_clock;
mod bad_input;
mod doctor;
mod first_minutes;
mod first_night;
mod harness;
mod killed;
#[cfg(target_os = "linux")]
mod mac_power;
mod notices;
mod owed;
mod owners;
mod packed_pi;
mod pull;
mod second_night;
mod units;
mod world;
