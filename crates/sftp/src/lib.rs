//! An [`object_store::ObjectStore`] over SFTP, and a small SFTP server to try it against.
//!
//! [`SftpStore`] reads (and, where the server allows it, writes) objects below one remote folder over
//! one SSH connection. The host must be known beforehand: a key that is not on file is refused with the
//! line to add, never accepted silently. Many reads are kept in flight, because over a real link the rate is the
//! bytes in flight divided by the round trip.
//!
//! [`server::EmbeddedServer`] serves one folder on the loop-back address; the demo and the tests use it.

mod auth;
mod connect;
mod error;
mod gate;
pub mod keys;
mod known_hosts;
mod link;
mod list;
mod meter;
pub mod openssh;
mod put;
mod read;
pub mod server;
mod session;
mod store;
mod target;
mod translate;

pub use error::SftpError;
pub use known_hosts::{KnownHosts, Recorded, Verdict};
pub use meter::Traffic;
pub use russh::keys::{PrivateKey, PublicKey};
pub use store::{SftpStore, Writing};
pub use target::{Auth, Hop, Retry, Target, Timeouts};
