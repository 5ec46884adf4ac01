//! The journal: what happened, one receipt per line, appended and synced before anything counts as done.
//!
//! Nothing in it is ever changed, so a crash can hurt only the last line; whoever appends next mends that. Readers of an older offsite
//! skip kinds they do not know, so the file outlives versions. It is the only memory of the daemon: what is owed, what is suspicious
//! and what the status says are all computed from it.

mod append;
mod cache;
mod pairs;
mod read;
mod receipt;
mod standing;
mod tail;

pub(crate) use self::append::TARGET;
pub use self::{
    append::{Journal, JournalError},
    cache::Known,
    read::{Damaged, Read, parse},
    receipt::{BadLine, Fact, Holding, Outcome, Receipt, Step, Waiting, Warned},
    standing::{Compared, Drilled, Failure, Moved, Standing, Tried, Waited},
};
