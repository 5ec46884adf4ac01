//! Whose backups these are: the account that the daemon runs as.
//!
//! Never root, also when root installs: with sudo it is who called sudo. A daemon as root would write a repository that its owner cannot read,
//! and would need every right there is for work that needs none.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::InstallError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller<'a> {
    pub(super) uid: u32,
    pub(super) sudo: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    Name(&'a str),
    Number(u32),
}

/// The account: the one named, or who called sudo, or who runs this.
pub(super) fn whose<'a>(named: Option<&'a str>, caller: Caller<'a>) -> Result<Whose<'a>, InstallError> {
    let by_name = |name: &'a str| if name.is_empty() || name == "root" { Err(InstallError::NoAccount) } else { Ok(Whose::Name(name)) };
    match (named, caller.sudo) {
        (Some(name), _) => by_name(name),
        (None, Some(name)) if caller.uid == 0 => by_name(name),
        (None, _) if caller.uid == 0 => Err(InstallError::NoAccount),
        (None, _) => Ok(Whose::Number(caller.uid)),
    }
}

pub(super) fn look_up(whose: &Whose<'_>) -> Result<Owner, InstallError> {
    let (asked, found) = match whose {
        Whose::Name(name) => ((*name).to_owned(), User::from_name(name)),
        Whose::Number(uid) => (uid.to_string(), User::from_uid(Uid::from_raw(*uid))),
    };
    let found = found.map_err(|source| InstallError::Account { name: asked.clone(), source: source.into() })?;
    let user = found.ok_or(InstallError::Unknown { name: asked })?;
    if user.uid.is_root() {
        return Err(InstallError::NoAccount);
    }
    Ok(Owner { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_root() {
        let (plain, sudo, root) = (Caller { uid: 501, sudo: None }, Caller { uid: 0, sudo: Some("owner") }, Caller { uid: 0, sudo: None });
        assert_eq!(whose(None, plain).unwrap(), Whose::Number(501));
        assert_eq!(whose(None, sudo).unwrap(), Whose::Name("owner"));
        assert_eq!(whose(Some("other"), sudo).unwrap(), Whose::Name("other"));
        // A shell that sudo once started hands its variable on to nobody.
        assert_eq!(whose(None, Caller { uid: 501, sudo: Some("other") }).unwrap(), Whose::Number(501));
        for refused in
            [whose(None, root), whose(Some("root"), sudo), whose(Some(""), sudo), whose(None, Caller { uid: 0, sudo: Some("root") })]
        {
            assert!(matches!(refused, Err(InstallError::NoAccount)));
        }
    }

    #[test]
    fn the_system_knows_its_accounts() {
        assert!(matches!(look_up(&Whose::Number(0)), Err(InstallError::NoAccount)));
        assert!(matches!(look_up(&Whose::Name("no such account here")), Err(InstallError::Unknown { .. })));
        // An account of every Unix.
        let nobody = look_up(&Whose::Name("nobody")).unwrap();
        assert_eq!(look_up(&Whose::Number(nobody.uid)).unwrap().name, "nobody");
    }
}
