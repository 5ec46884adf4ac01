//! Waiting for what somebody else does, and failing with a word of it where it never comes.
//!
//! A story that hangs tells nothing and costs a whole run of the others. The bound judges no speed: it is many times what the slowest
//! machine was seen to take.

use std::time::{Duration, Instant};

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until the condition holds, looking from time to time.
///
/// # Panics
/// If it does not for three minutes, with the condition as it is written.
#[macro_export]
macro_rules! until {
    ($done:expr) => {
        $crate::until(stringify!($done), || $done)
    };
}

/// Waits until `done`, looking from time to time; `what` says what that is.
///
/// # Panics
/// If it is not for three minutes.
#[track_caller]
pub fn until(what: &str, done: impl FnMut() -> bool) {
    within(PATIENCE, what, done);
}

#[track_caller]
fn within(patience: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < patience, "waited {} s, and in vain: {what}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "waited 0 s, and in vain: the sun")]
    fn what_never_comes_is_not_waited_for_for_ever() {
        within(Duration::ZERO, "the sun", || false);
    }
}
