//! What the exit code says. 2 is clap's for a wrong command line, and ours for a wrong configuration.

use std::{error::Error, process::ExitCode};

use offsite_agent::{ConfigError, LockError, ResumeError, RunError, SourceError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Fine = 0,
    /// It was not done, or services are away.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was changed.
    Usage = 2,
    /// An archive was made, and something that should be in it is not.
    Incomplete = 3,
    /// Another agent is at work.
    Busy = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code for an error.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let busy = |error: &LockError| matches!(error, LockError::Busy { .. });
        if error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(RunError::UnknownJob { .. })) {
            Self::Usage
        } else if matches!(error.downcast_ref(), Some(RunError::Lock(lock)) if busy(lock))
            || matches!(error.downcast_ref(), Some(RunError::InUse { .. }))
            || matches!(error.downcast_ref(), Some(RunError::Source(SourceError::Lock(lock))) if busy(lock))
            || matches!(error.downcast_ref(), Some(ResumeError::Lock(lock)) if busy(lock))
        {
            Self::Busy
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use offsite_agent::{Config, DurableError};

    use super::*;

    #[test]
    fn each_error_has_its_code() {
        let busy = || LockError::Busy { holder: "run of s, process 7".into() };
        let source = || std::io::Error::from_raw_os_error(5);
        let broken = || LockError::Folder(DurableError { operation: "make folder", path: "/s".into(), source: source() });
        let invalid = Config::parse("/etc/offsite/agent.yaml".as_ref(), "jobs: 7").unwrap_err();
        let in_use = RunError::InUse { root: "/r".into(), holder: "run of s, process 7".into() };
        let unknown = RunError::UnknownJob { job: "x".parse().unwrap(), path: "/a.yaml".into(), known: "s".into() };
        let cases: [(Box<dyn Error>, Exit); 10] = [
            (Box::new(invalid), Exit::Usage),
            (Box::new(unknown), Exit::Usage),
            (Box::new(RunError::Lock(busy())), Exit::Busy),
            (Box::new(in_use), Exit::Busy),
            // Of `run --accept-empty`.
            (Box::new(RunError::Source(SourceError::Lock(busy()))), Exit::Busy),
            (Box::new(ResumeError::Lock(busy())), Exit::Busy),
            (Box::new(RunError::Lock(broken())), Exit::Failed),
            (Box::new(RunError::Source(SourceError::Lock(broken()))), Exit::Failed),
            (Box::new(ResumeError::Lock(broken())), Exit::Failed),
            (Box::new(RunError::Stopped), Exit::Failed),
        ];
        for (error, code) in cases {
            assert_eq!(Exit::of(error.as_ref()), code, "{error:?}");
        }
    }
}
