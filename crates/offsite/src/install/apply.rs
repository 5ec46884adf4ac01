//! The steps, done. Each may find its work done already: an installation that was cut off is finished by the next one.

use std::{
    ffi::OsStr,
    fs, io,
    io::Write,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawMode},
    io::Errno,
};

use super::{
    Call, InstallError, Label, Launchctl, Means, Reply, Step, Target,
    job::GRACE,
    mac::{Ids, ask, job},
    printed::Printed,
};

pub(crate) trait Tool {
    /// Its answer.
    fn run(&self, arguments: &[String]) -> io::Result<Reply>;
}

/// One that the platform has, or has not.
pub(super) struct Real(pub(super) fn() -> Option<Command>);

impl Tool for Real {
    fn run(&self, arguments: &[String]) -> io::Result<Reply> {
        let mut command = (self.0)().ok_or(io::ErrorKind::Unsupported)?;
        command.args(arguments);
        Reply::of(command)
    }
}

pub(crate) struct Hands<'a> {
    pub launchctl: &'a dyn Launchctl,
    pub pmset: &'a dyn Tool,
    pub systemctl: &'a dyn Tool,
}

/// Does the steps, in order, up to the first that fails. Gives the jobs that launchd will have only after the owner's next login: nobody is
/// logged in at the screen now.
pub(crate) fn apply(steps: &[Step], hands: &Hands<'_>) -> Result<Vec<Label>, InstallError> {
    let mut later = Vec::new();
    for step in steps {
        match step {
            Step::Folder { path, owner, mode } => folder(path, *owner, *mode)?,
            Step::Give { path, owner } => give(path, *owner)?,
            Step::Write { path, text, owner } => write(path, text, *owner)?,
            Step::Remove { path } => remove(path)?,
            Step::Stop(target) => stop(hands.launchctl, *target)?,
            Step::Enable(target) => enable(hands.launchctl, *target)?,
            Step::Load { target, list, program } => {
                if !load(hands.launchctl, *target, list, program)? {
                    later.push(target.label);
                }
            }
            Step::Start(target) if later.contains(&target.label) => {}
            Step::Start(target) => start(hands.launchctl, *target)?,
            Step::Pmset(arguments) => drop(tool(hands.pmset, "pmset", arguments)?),
            Step::Systemctl(arguments) => drop(tool(hands.systemctl, "systemctl --user", arguments)?),
        }
    }
    Ok(later)
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> InstallError {
    InstallError::File { what, path: path.to_owned(), source }
}

/// With sudo everything made here would be root's, and the daemon could not write it.
fn folder(path: &Path, owner: Ids, mode: u32) -> Result<(), InstallError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| folder.symlink_metadata().is_err()).collect();
    for folder in missing.into_iter().rev() {
        let (above, name) = above(folder, owner)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode as RawMode)) {
            Ok(()) => given(&above, name, folder, owner, OFlags::DIRECTORY)?,
            Err(Errno::EXIST) => {}
            Err(source) => return Err(failed("make", folder, source.into())),
        }
    }
    let meta = path.metadata().map_err(|source| failed("read", path, source))?;
    if meta.uid() == owner.uid {
        return Ok(());
    }
    let (above, name) = above(path, owner)?;
    given(&above, name, path, owner, OFlags::DIRECTORY)
}

fn give(path: &Path, owner: Ids) -> Result<(), InstallError> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(meta) if meta.uid() == owner.uid => Ok(()),
        Ok(_) => {
            let (above, name) = above(path, owner)?;
            given(&above, name, path, owner, OFlags::NONBLOCK)
        }
    }
}

/// The folder that `path` lies in, held open, and the name there. Root goes only into one of the owner's own: a link of the owner's could lead to
/// any other, and what is made or given away there would be a right that the owner never had.
fn above(path: &Path, owner: Ids) -> Result<(OwnedFd, &OsStr), InstallError> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(folder, flags, Mode::empty()).map_err(|source| failed("open", folder, source.into()))?;
    let meta = rustix::fs::fstat(&open).map_err(|source| failed("read", folder, source.into()))?;
    if rustix::process::geteuid().is_root() && meta.st_uid != owner.uid {
        return Err(InstallError::InTheWay { path: folder.to_owned(), what: "another account's", owner: owner.uid });
    }
    Ok((open, name))
}

/// Gives what root left in the owner's folder to the owner. Nothing is given away through a link of either sort: a second name of a file may be
/// the owner's for a file that is not. It is looked at by its name first and held open then, so that it cannot be exchanged in between.
fn given(above: &OwnedFd, name: &OsStr, path: &Path, owner: Ids, kind: OFlags) -> Result<(), InstallError> {
    let in_the_way = |what| Err(InstallError::InTheWay { path: path.to_owned(), what, owner: owner.uid });
    let unread = |source: Errno| failed("read", path, source.into());
    let seen = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unread)?;
    match FileType::from_raw_mode(seen.st_mode) {
        FileType::Symlink => return in_the_way("a symbolic link"),
        _ if seen.st_uid == owner.uid => return Ok(()),
        FileType::Directory if kind == OFlags::DIRECTORY => {}
        _ if kind == OFlags::DIRECTORY => return in_the_way("not a folder"),
        FileType::RegularFile if seen.st_nlink == 1 => {}
        FileType::RegularFile => return in_the_way("a file with another name elsewhere"),
        _ => return in_the_way("not a plain file"),
    }
    if seen.st_uid != 0 || !rustix::process::geteuid().is_root() {
        return in_the_way("another account's");
    }
    let open =
        rustix::fs::openat(above, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind, Mode::empty()).map_err(unread)?;
    let held = rustix::fs::fstat(&open).map_err(unread)?;
    if (held.st_dev, held.st_ino) != (seen.st_dev, seen.st_ino) {
        return in_the_way("being exchanged for something else");
    }
    fchown(&open, Some(owner.uid), Some(owner.gid)).map_err(|source| failed("give away", path, source))
}

/// launchd refuses a list that others may write, or that is not its domain's owner's; so both are set and not left to the umask.
fn write(path: &Path, text: &str, owner: Ids) -> Result<(), InstallError> {
    let (above, name) = above(path, owner)?;
    let mut new = name.to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let written = || -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(&above, &new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        fchown(&file, Some(owner.uid), Some(owner.gid))?;
        file.sync_all()?;
        Ok(rustix::fs::renameat(&above, &new, &above, name)?)
    };
    written().map_err(|source| {
        // Best effort: the failure to write is what is told.
        let _ = rustix::fs::unlinkat(&above, &new, AtFlags::empty());
        failed("write", path, source)
    })
}

fn remove(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, source)),
        _ => Ok(()),
    }
}

/// One that runs already, because it was just loaded, is started too.
fn start(launchctl: &dyn Launchctl, target: Target) -> Result<(), InstallError> {
    let call = Call::Kickstart(target);
    let reply = ask(launchctl, &call)?;
    match reply.means() {
        Means::Done | Means::Ending => Ok(()),
        Means::Absent | Means::NoDomain | Means::Refused => Err(InstallError::refused(&call, reply)),
    }
}

/// A running daemon may take its grace to end, and until then launchd answers "in progress" and refuses to take on the new one.
fn stop(launchctl: &dyn Launchctl, target: Target) -> Result<(), InstallError> {
    let call = Call::Bootout(target);
    let reply = ask(launchctl, &call)?;
    if reply.means() == Means::Refused {
        // Some systems refuse to boot out what is not there.
        return if job(launchctl, target)?.is_none() { Ok(()) } else { Err(InstallError::refused(&call, reply)) };
    }
    let seconds = GRACE + 10;
    for _ in 0..seconds * 4 {
        if job(launchctl, target)?.is_none() {
            return Ok(());
        }
        launchctl.pause();
    }
    Err(InstallError::StillThere { target, seconds })
}

fn enable(launchctl: &dyn Launchctl, target: Target) -> Result<(), InstallError> {
    let call = Call::Enable(target);
    let reply = ask(launchctl, &call)?;
    match reply.means() {
        // Where nobody is logged in, the mark is looked at when somebody does, and `Load` says so.
        Means::Done | Means::NoDomain | Means::Absent => Ok(()),
        Means::Ending | Means::Refused => Err(InstallError::refused(&call, reply)),
    }
}

/// Whether launchd has the job now; not if its domain does not exist.
fn load(launchctl: &dyn Launchctl, target: Target, list: &Path, program: &Path) -> Result<bool, InstallError> {
    let call = Call::Bootstrap(target.domain, list.to_owned());
    let mut reply = ask(launchctl, &call)?;
    if reply.means() == Means::NoDomain && target.domain != super::Domain::System {
        return Ok(false);
    }
    if reply.means() != Means::Done {
        // One of the meanings of a refusal is that the old job, after all, was not quite gone.
        stop(launchctl, target)?;
        enable(launchctl, target)?;
        reply = ask(launchctl, &call)?;
    }
    if reply.means() != Means::Done {
        return Err(InstallError::refused(&call, reply));
    }
    let not = |found: String| Err(InstallError::NotLoaded { target, found });
    match job(launchctl, target)? {
        None => not("it has no such job".into()),
        Some(Printed { list: Some(other), .. }) if !same(&other, list) => not(format!("it read {}", other.display())),
        Some(Printed { program: Some(other), .. }) if !same(&other, program) => not(format!("it runs {}", other.display())),
        Some(_) => Ok(true),
    }
}

/// Two names of one file count as one.
pub(super) fn same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| -> Option<PathBuf> { path.canonicalize().ok() };
    one == other || (whole(one).is_some() && whole(one) == whole(other))
}

pub(super) fn tool(tool: &dyn Tool, program: &'static str, arguments: &[String]) -> Result<Reply, InstallError> {
    let joined = || arguments.join(" ");
    let reply = tool.run(arguments).map_err(|source| InstallError::Run { program, arguments: joined(), source })?;
    match reply.code {
        0 => Ok(reply),
        _ => Err(InstallError::Refused { program, arguments: joined(), reply }),
    }
}

#[cfg(test)]
mod tests;
