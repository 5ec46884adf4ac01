//! The steps, done. Each may find its work done already: an installation that was cut off is finished by the next one.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown, lchown},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Call, InstallError, Label, Launchctl, Means, Reply, Step, Target,
    job::GRACE,
    mac::{Ids, job},
    printed::Printed,
};

/// A program of the system that is asked with arguments.
pub trait Tool {
    /// Its answer.
    ///
    /// # Errors
    /// If it cannot be started.
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

/// What the steps are done with.
pub struct Hands<'a> {
    /// launchd.
    pub launchctl: &'a dyn Launchctl,
    /// The Mac's power schedule.
    pub pmset: &'a dyn Tool,
    /// systemd.
    pub systemctl: &'a dyn Tool,
}

/// Does the steps, in order, up to the first that fails. Gives the jobs that launchd will have only after the owner's next login: nobody is
/// logged in at the screen now.
///
/// # Errors
/// The first step that fails.
pub fn apply(steps: &[Step], hands: &Hands<'_>) -> Result<Vec<Label>, InstallError> {
    let mut later = Vec::new();
    for step in steps {
        match step {
            Step::Folder { path, owner, mode } => folder(path, *owner, *mode)?,
            Step::Give { path, owner } => give(path, *owner)?,
            Step::Write { path, text, owner } => write(path, text, *owner).map_err(|source| failed("write", path, source))?,
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
            Step::Pmset(arguments) => tool(hands.pmset, "pmset", arguments)?,
            Step::Systemctl(arguments) => tool(hands.systemctl, "systemctl --user", arguments)?,
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
        match fs::DirBuilder::new().mode(mode).create(folder) {
            Ok(()) => lchown(folder, Some(owner.uid), Some(owner.gid)).map_err(|source| failed("give away", folder, source))?,
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed("make", folder, source)),
        }
    }
    given(path, owner, "a symbolic link", fs::Metadata::is_symlink)
}

fn give(path: &Path, owner: Ids) -> Result<(), InstallError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    given(path, owner, "not a plain file", |meta| !meta.is_file())
}

/// Nothing is given away through a link, or taken from a third account.
fn given(path: &Path, owner: Ids, what: &'static str, wrong: fn(&fs::Metadata) -> bool) -> Result<(), InstallError> {
    let meta = path.symlink_metadata().map_err(|source| failed("read", path, source))?;
    let in_the_way = |what| Err(InstallError::InTheWay { path: path.to_owned(), what, owner: owner.uid });
    if meta.uid() == owner.uid {
        return Ok(());
    }
    if wrong(&meta) {
        return in_the_way(what);
    }
    if meta.uid() != 0 || !rustix::process::geteuid().is_root() {
        return in_the_way("another account's");
    }
    lchown(path, Some(owner.uid), Some(owner.gid)).map_err(|source| failed("give away", path, source))
}

/// launchd refuses a list that others may write, or that is not its domain's owner's; so both are set and not left to the umask.
fn write(path: &Path, text: &str, owner: Ids) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    fchown(file.as_file(), Some(owner.uid), Some(owner.gid))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn remove(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, source)),
        _ => Ok(()),
    }
}

fn ask(launchctl: &dyn Launchctl, call: &Call) -> Result<Reply, InstallError> {
    launchctl.call(call).map_err(|source| InstallError::run(call, source))
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
fn same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| -> Option<PathBuf> { path.canonicalize().ok() };
    one == other || (whole(one).is_some() && whole(one) == whole(other))
}

fn tool(tool: &dyn Tool, program: &'static str, arguments: &[String]) -> Result<(), InstallError> {
    let joined = || arguments.join(" ");
    let reply = tool.run(arguments).map_err(|source| InstallError::Run { program, arguments: joined(), source })?;
    match reply.code {
        0 => Ok(()),
        _ => Err(InstallError::Refused { program, arguments: joined(), reply }),
    }
}
