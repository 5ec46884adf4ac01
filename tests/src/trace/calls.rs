//! Which system calls are looked at, and what each of them is about to touch.
//!
//! The table is of what the kernel offers, not of what our programs happen to use: a call that changes files, or starts or ends a
//! process, and is missing here would be a step that no test of faults stops at.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Pid;

/// A system call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name, without the `at` and `2` of newer forms.
    pub name: &'static str,
    /// The file, folder or program; of two (a rename, a link) the new name. Empty where the call has none.
    pub path: PathBuf,
    /// Whether it changes something outside the program's memory: files, or other processes.
    pub changes: bool,
    /// Whether the program itself makes it, and not one that it started.
    pub own: bool,
    /// The number of the thread that makes it.
    pub thread: i32,
}

/// Where a call names what it touches: by the number of its argument.
#[derive(Clone, Copy)]
enum By {
    /// An open file.
    Fd(usize),
    /// A path from the working folder.
    Path(usize),
    /// A folder, and after it a path from there.
    At(usize),
    Nothing,
}

/// Opening: whether it changes anything depends on its flags, which are this argument.
const OPENS: &[(libc::c_long, By, usize)] = &[
    (libc::SYS_openat, By::At(0), 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, By::Path(0), 1),
];

#[rustfmt::skip]
const READS: &[(libc::c_long, &str, By)] = &[
    (libc::SYS_read, "read", By::Fd(0)), (libc::SYS_pread64, "read", By::Fd(0)), (libc::SYS_readv, "read", By::Fd(0)),
    (libc::SYS_preadv, "read", By::Fd(0)), (libc::SYS_preadv2, "read", By::Fd(0)),
    (libc::SYS_getdents64, "getdents", By::Fd(0)), (libc::SYS_mmap, "mmap", By::Fd(4)),
    (libc::SYS_statx, "stat", By::At(0)), (libc::SYS_newfstatat, "stat", By::At(0)), (libc::SYS_fstat, "stat", By::Fd(0)),
    (libc::SYS_readlinkat, "readlink", By::At(0)),
];

#[rustfmt::skip]
const CHANGES: &[(libc::c_long, &str, By)] = &[
    (libc::SYS_write, "write", By::Fd(0)), (libc::SYS_pwrite64, "write", By::Fd(0)), (libc::SYS_writev, "write", By::Fd(0)),
    (libc::SYS_pwritev, "write", By::Fd(0)), (libc::SYS_pwritev2, "write", By::Fd(0)),
    (libc::SYS_copy_file_range, "copy_file_range", By::Fd(2)), (libc::SYS_sendfile, "sendfile", By::Fd(0)),
    (libc::SYS_splice, "splice", By::Fd(2)), (libc::SYS_ioctl, "ioctl", By::Fd(0)),
    (libc::SYS_ftruncate, "ftruncate", By::Fd(0)), (libc::SYS_truncate, "truncate", By::Path(0)),
    (libc::SYS_fallocate, "fallocate", By::Fd(0)),
    (libc::SYS_fsync, "fsync", By::Fd(0)), (libc::SYS_fdatasync, "fdatasync", By::Fd(0)), (libc::SYS_syncfs, "syncfs", By::Fd(0)),
    (libc::SYS_sync_file_range, "sync_file_range", By::Fd(0)), (libc::SYS_msync, "msync", By::Nothing), (libc::SYS_sync, "sync", By::Nothing),
    (libc::SYS_renameat, "rename", By::At(2)), (libc::SYS_renameat2, "rename", By::At(2)),
    (libc::SYS_linkat, "link", By::At(2)), (libc::SYS_symlinkat, "symlink", By::At(1)),
    (libc::SYS_unlinkat, "unlink", By::At(0)), (libc::SYS_mkdirat, "mkdir", By::At(0)), (libc::SYS_mknodat, "mknod", By::At(0)),
    (libc::SYS_fchmod, "chmod", By::Fd(0)), (libc::SYS_fchmodat, "chmod", By::At(0)),
    (libc::SYS_fchown, "chown", By::Fd(0)), (libc::SYS_fchownat, "chown", By::At(0)),
    (libc::SYS_utimensat, "utimens", By::At(0)), (libc::SYS_fsetxattr, "setxattr", By::Fd(0)), (libc::SYS_setxattr, "setxattr", By::Path(0)),
    (libc::SYS_execve, "execve", By::Path(0)), (libc::SYS_execveat, "execve", By::At(0)),
    (libc::SYS_kill, "kill", By::Nothing), (libc::SYS_pidfd_send_signal, "kill", By::Nothing), (libc::SYS_exit_group, "exit", By::Nothing),
    #[cfg(target_arch = "x86_64")] (libc::SYS_rename, "rename", By::Path(1)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_link, "link", By::Path(1)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_symlink, "symlink", By::Path(1)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_unlink, "unlink", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_rmdir, "unlink", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_mkdir, "mkdir", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_creat, "open", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_chmod, "chmod", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_chown, "chown", By::Path(0)),
    #[cfg(target_arch = "x86_64")] (libc::SYS_lchown, "chown", By::Path(0)),
];

/// The call that the stopped thread `tid` is entering, if it is one of the tables.
pub(super) fn entering(tid: Pid, own: bool) -> Option<Call> {
    // "number argument... stack counter", the arguments in base 16; "running" where the thread was killed meanwhile.
    let text = std::fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let arguments: Vec<u64> = words.filter_map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()).collect();
    let call =
        |name, by, changes| Call { name, path: touched(tid, by, &arguments).unwrap_or_default(), changes, own, thread: tid.as_raw() };
    if let Some((_, by, flags)) = OPENS.iter().find(|(n, ..)| *n == number) {
        let flags = i32::try_from(arguments[*flags] & 0x7fff_ffff).ok()?;
        return Some(call("open", *by, flags & (libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY) != 0));
    }
    let find = |table: &[(libc::c_long, &'static str, By)]| table.iter().find(|(n, ..)| *n == number).map(|(_, name, by)| (*name, *by));
    find(CHANGES).map(|(name, by)| call(name, by, true)).or_else(|| find(READS).map(|(name, by)| call(name, by, false)))
}

fn touched(tid: Pid, by: By, arguments: &[u64]) -> Option<PathBuf> {
    let open = |fd: u64| match fd as u32 as i32 {
        libc::AT_FDCWD => std::fs::read_link(format!("/proc/{tid}/cwd")).ok(),
        fd => std::fs::read_link(format!("/proc/{tid}/fd/{fd}")).ok(),
    };
    match by {
        By::Nothing => None,
        By::Fd(n) => open(arguments[n]),
        By::Path(n) => Some(open(libc::AT_FDCWD as u64)?.join(text(tid, arguments[n])?)),
        By::At(n) => {
            let path = text(tid, arguments[n + 1])?;
            // An absolute path does without the folder, which may then be none.
            if path.is_absolute() { Some(path) } else { Some(joined(&open(arguments[n])?, &path)) }
        }
    }
}

fn joined(folder: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(path) }
}

/// The text at an address of the thread's memory.
fn text(tid: Pid, address: u64) -> Option<PathBuf> {
    let memory = std::fs::File::open(format!("/proc/{tid}/mem")).ok()?;
    let mut found = Vec::new();
    loop {
        let mut piece = [0; 256];
        // A piece ends at a page's end, beyond which there may be nothing.
        let here = address + found.len() as u64;
        let room = (4096 - usize::try_from(here % 4096).ok()?).min(piece.len());
        let read = memory.read_at(&mut piece[..room], here).ok().filter(|read| *read > 0)?;
        match piece[..read].iter().position(|byte| *byte == 0) {
            Some(end) => {
                found.extend(&piece[..end]);
                return Some(OsString::from_vec(found).into());
            }
            None => found.extend(&piece[..read]),
        }
    }
}
