//! The Lab: real parts for end-to-end stories.
//!
//! A story takes a [`Lab`] (a folder of its own and the two programs), adds the parts that it needs ([`Pi`], a real sshd; [`S3`], a
//! server that behaves as cold storage; [`Stack`], real containers; [`Link`], a line that can be cut; [`Line`], one that is slow or silent) and judges the outcome by
//! [`tree::Tree`]s. The invariant: what a part started is gone when the part is dropped, after a panic too, and even when the whole
//! test process is killed, because every helper process ends with its standard input ([`tied`]).
//!
//! A part that this machine lacks is `None`, and the story is skipped with a line that says why; `OFFSITE_LAB=require` makes that a
//! failure, so that a run which skipped something cannot be taken for one that proved it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test bench: whatever goes wrong here is the failure of a test")]

mod cmd;
mod dialogue;
mod disk;
#[cfg(target_os = "linux")]
mod engine;
mod forge;
mod held;
mod home;
mod http;
mod kill;
mod lab;
mod line;
mod link;
mod newpi;
mod part;
mod pi;
mod pibox;
mod power;
mod s3;
mod sinks;
mod stack;
mod stuck;
mod tied;
#[cfg(target_os = "linux")]
mod trace;
pub mod tree;
mod wait;

pub use cmd::{Cmd, Outcome};
pub use dialogue::{Dialogue, terminal};
pub use disk::Disk;
#[cfg(target_os = "linux")]
pub use engine::Engine;
pub use forge::{forge, rename_in_tar};
pub use held::Held;
pub use home::{Home, Mac};
pub use kill::Kill;
pub use lab::Lab;
pub use line::Line;
pub use link::Link;
pub use newpi::NewPi;
pub use part::{is_root, lacking};
pub use pi::Pi;
pub use pibox::PiBox;
pub use power::Power;
pub use s3::{S3, Stored};
pub use sinks::{Ntfy, Sink};
pub use stack::Stack;
pub use stuck::Stuck;
#[cfg(target_os = "linux")]
pub use trace::{Call, Then, can_fail, trace};
pub use wait::until;
