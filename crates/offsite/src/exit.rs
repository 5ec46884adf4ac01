//! What the process tells its caller, in one file.
//!
//! Scripts and monitors read these numbers, so they never change meaning. The worse of two outcomes wins where a command does several
//! things ([`Exit::worst`]); "overdue" is a failure to have happened, and is shadowed by a failure that did happen.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: all that was asked was done and verified.
    Fine,
    /// 1: it failed.
    Failed,
    /// 2: the command line or the configuration is wrong; nothing was done.
    Usage,
    /// 3: part of it was done; the rest is named.
    Incomplete,
    /// 4: `status`: a run is overdue. Other commands: another offsite is at work here.
    Overdue,
    /// 5: `diff --exit-code`: the archives differ.
    Differs,
}

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Overdue => 4,
            Self::Differs => 5,
        }
    }

    /// The worse of two: failed, usage, overdue, incomplete, differs, fine.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Fine => 0,
            Self::Differs => 1,
            Self::Incomplete => 2,
            Self::Overdue => 3,
            Self::Usage => 4,
            Self::Failed => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_wins_from_either_side() {
        let order = [Exit::Fine, Exit::Differs, Exit::Incomplete, Exit::Overdue, Exit::Usage, Exit::Failed];
        for (low, a) in order.iter().enumerate() {
            for (high, b) in order.iter().enumerate() {
                assert_eq!(a.worst(*b), order[low.max(high)]);
            }
        }
    }
}
