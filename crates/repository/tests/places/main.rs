//! Repositories as places: opened, read out, damaged and found damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::single_range_in_vec_init, missing_docs, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod local;
mod opening;
mod out;
