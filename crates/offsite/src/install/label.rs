//! Names in launchd: which job, in which domain.
//!
//! A target cannot be made without one of our labels. That is the point of these types: `launchctl bootout system/` without a label would
//! throw out everything that runs on the Mac.

use std::fmt;

/// A job of offsite's. The two daemons must not share a label, or installing one would replace half of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Label {
    /// The daemon, started with the Mac, as the owner's account.
    System,
    /// The daemon, started with the owner's login.
    Login,
    /// Shows what a daemon of the system cannot show; started with the owner's login.
    Notices,
}

impl Label {
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Login, Self::Notices];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "offsite.system",
            Self::Login => "offsite.login",
            Self::Notices => "offsite.notices",
        }
    }

    /// The job in the domain it belongs to; `uid` is the owner's.
    pub(crate) const fn target(self, uid: u32) -> Target {
        let domain = match self {
            Self::System => Domain::System,
            Self::Login | Self::Notices => Domain::Gui(uid),
        };
        Target { domain, label: self }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Domain {
    /// From boot on.
    System,
    /// While the user with this number is logged in at the screen.
    Gui(u32),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Gui(uid) => write!(f, "gui/{uid}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    pub domain: Domain,
    pub label: Label,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_is_a_whole_domain() {
        for label in Label::ALL {
            let target = label.target(501).to_string();
            let (domain, name) = target.rsplit_once('/').unwrap();
            assert!(name.starts_with("offsite.") && name.len() > "offsite.".len(), "{target}");
            assert!(["system", "gui/501"].contains(&domain), "{target}");
        }
    }
}
