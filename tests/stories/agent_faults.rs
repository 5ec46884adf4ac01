//! The agent under faults: after each of them exactly the right services run, earlier archives are whole, and the outcome is told
//! truthfully.
//!
//! The points of a fault are not a list that somebody keeps, but found: each system call by which the agent or the engine changes a
//! file or another process, in the order in which they come, until a run gets to its end. Between two of them neither the disk nor the
//! engine changes, so there are no others.

mod absent;
mod failing;
mod killed;
mod mute;
mod polite;
mod power;
mod reading;
mod refused;
mod sweep;
mod world;
