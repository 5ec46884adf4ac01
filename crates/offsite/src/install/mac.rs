//! One Mac with one owner: where lists lie, and what of offsite's is there now.

use std::path::PathBuf;

use super::{
    Call, Domain, InstallError, Label, Launchctl, Means, Owner, Reply, Target,
    printed::{Printed, disabled, printed},
};

/// The numbers that a file's owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// A Mac; a value, so that tests have one in a temporary folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mac {
    pub library: PathBuf,
    /// Whose backups these are.
    pub owner: Owner,
    /// The administrator, who owns the lists of the system.
    pub root: Ids,
}

impl Mac {
    /// This one, for `owner`.
    pub(crate) fn of(owner: Owner) -> Self {
        Self { library: "/Library".into(), owner, root: Ids { uid: 0, gid: 0 } }
    }

    pub(crate) fn list(&self, label: Label) -> PathBuf {
        let file = format!("{label}.plist");
        match label {
            Label::System => self.library.join("LaunchDaemons").join(file),
            Label::Login | Label::Notices => self.owner.home.join("Library/LaunchAgents").join(file),
        }
    }

    /// Who must own the list: launchd refuses one of anybody else.
    pub(crate) fn owner_of(&self, label: Label) -> Ids {
        match label {
            Label::System => self.root,
            Label::Login | Label::Notices => self.ids(),
        }
    }

    pub(crate) fn ids(&self) -> Ids {
        Ids { uid: self.owner.uid, gid: self.owner.gid }
    }

    pub(crate) fn target(&self, label: Label) -> Target {
        label.target(self.owner.uid)
    }

    /// What of offsite's is there, in any domain: a list, a job, or both.
    pub(crate) fn look(&self, launchctl: &dyn Launchctl) -> Result<Vec<There>, InstallError> {
        let mut there = Vec::new();
        for label in Label::ALL {
            let list = self.list(label);
            let job = job(launchctl, self.target(label))?;
            // A link that leads nowhere is a list too: it must go.
            let has_list = list.symlink_metadata().is_ok();
            if has_list || job.is_some() {
                let switched_off = marked(launchctl, self.target(label).domain, label)?;
                there.push(There { label, list: has_list.then_some(list), job, switched_off });
            }
        }
        Ok(there)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct There {
    pub label: Label,
    pub list: Option<PathBuf>,
    pub job: Option<Printed>,
    /// Whether it is marked not to be loaded.
    pub switched_off: bool,
}

pub(super) fn ask(launchctl: &dyn Launchctl, call: &Call) -> Result<Reply, InstallError> {
    let run = |source| InstallError::Run { program: "launchctl", arguments: call.arguments().join(" "), source };
    launchctl.call(call).map_err(run)
}

/// What launchd knows of `target`; `None` if it has no such job.
pub(super) fn job(launchctl: &dyn Launchctl, target: Target) -> Result<Option<Printed>, InstallError> {
    let call = Call::Print(target);
    let reply = ask(launchctl, &call)?;
    match reply.means() {
        Means::Done => Ok(Some(printed(&reply.out))),
        Means::Absent | Means::NoDomain => Ok(None),
        Means::Ending => Ok(Some(Printed::default())),
        Means::Refused => Err(InstallError::refused(&call, reply)),
    }
}

/// Whether the owner, or an old uninstall, switched the job off. A domain that does not tell has no such mark.
fn marked(launchctl: &dyn Launchctl, domain: Domain, label: Label) -> Result<bool, InstallError> {
    let reply = ask(launchctl, &Call::PrintDisabled(domain))?;
    Ok(reply.means() == Means::Done && disabled(&reply.out, label.as_str()))
}
