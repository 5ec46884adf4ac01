//! Trees in, archives between, the same trees out: by our own reader and by everybody else's.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod capture;
mod hostile;
mod in_place;
mod laws;
mod lies;
mod lost;
mod mapped;
mod museum;
mod nights;
mod others;
mod passes;
mod restore;
mod support;
