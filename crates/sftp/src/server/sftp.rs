//! The SFTP side of the server: requests in, answers out.
//!
//! Requests of one session are handled one at a time, so plain file calls are good enough for a demo and for tests. Handles
//! are decimal numbers and their count is bounded.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, File as Named, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::Limits;
use super::folder::{Folder, Write, components};

/// Names in one answer.
const BATCH: usize = 64;

pub(super) struct Sftp {
    folder: Arc<Folder>,
    extensions: bool,
    limits: Limits,
    files: HashMap<String, File>,
    folders: HashMap<String, std::vec::IntoIter<(String, Stat)>>,
    next: u64,
}

impl Sftp {
    pub(super) fn new(folder: Arc<Folder>, extensions: Option<Limits>) -> Self {
        let (extensions, limits) = (extensions.is_some(), extensions.unwrap_or_default());
        Self { folder, extensions, limits, files: HashMap::new(), folders: HashMap::new(), next: 0 }
    }

    fn handle(&mut self) -> Result<String, StatusReply> {
        if self.files.len() + self.folders.len() >= self.limits.handles {
            return Err(StatusCode::Failure.with_message("too many open files"));
        }
        self.next += 1;
        Ok(self.next.to_string())
    }

    fn file(&self, handle: &str) -> Result<&File, StatusReply> {
        self.files.get(handle).ok_or_else(|| StatusCode::Failure.with_message("no such handle"))
    }

    /// Refuses what is longer than one request may ask; a shorter answer would be no fault that anybody had to notice.
    fn bears(&self, len: usize) -> Result<(), StatusReply> {
        if len > self.limits.longest as usize {
            return Err(StatusCode::Failure.with_message("longer than this server takes"));
        }
        Ok(())
    }

    fn look(&self, id: u32, path: &str) -> Result<Attrs, StatusReply> {
        Ok(Attrs { id, attrs: attributes(&self.folder.stat(path).map_err(refusal)?) })
    }
}

fn refusal(error: Errno) -> StatusReply {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => StatusCode::NoSuchFile.into(),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => StatusCode::PermissionDenied.into(),
        other => StatusCode::Failure.with_message(std::io::Error::from(other).to_string()),
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Ok".to_owned(), language_tag: "en-US".to_owned() }
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "these types differ between systems")]
fn attributes(stat: &Stat) -> FileAttributes {
    FileAttributes {
        size: Some(u64::try_from(stat.st_size).unwrap_or(0)),
        uid: Some(stat.st_uid),
        gid: Some(stat.st_gid),
        permissions: Some(stat.st_mode as u32),
        atime: Some(u32::try_from(stat.st_atime).unwrap_or(0)),
        mtime: Some(u32::try_from(stat.st_mtime).unwrap_or(0)),
        ..FileAttributes::empty()
    }
}

impl Handler for Sftp {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        if self.extensions {
            for name in ["posix-rename@openssh.com", "fsync@openssh.com", "limits@openssh.com"] {
                version.extensions.insert(name.to_owned(), "1".to_owned());
            }
        }
        Ok(version)
    }

    async fn open(&mut self, id: u32, path: String, flags: OpenFlags, _: FileAttributes) -> Result<Handle, StatusReply> {
        let handle = self.handle()?;
        let file = if flags.intersects(OpenFlags::WRITE | OpenFlags::APPEND | OpenFlags::CREATE | OpenFlags::TRUNCATE) {
            let how = Write {
                create: flags.contains(OpenFlags::CREATE),
                exclusive: flags.contains(OpenFlags::EXCLUDE),
                truncate: flags.contains(OpenFlags::TRUNCATE),
                read: flags.contains(OpenFlags::READ),
            };
            self.folder.write(&path, how)
        } else {
            self.folder.read(&path)
        };
        self.files.insert(handle.clone(), file.map_err(refusal)?);
        Ok(Handle { id, handle })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        if self.files.remove(&handle).is_none() && self.folders.remove(&handle).is_none() {
            return Err(StatusCode::Failure.with_message("no such handle"));
        }
        Ok(done(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusReply> {
        self.bears(len as usize)?;
        let mut data = vec![0; len as usize];
        let got = self.file(&handle)?.read_at(&mut data, offset).map_err(failure)?;
        if got == 0 {
            return Err(StatusCode::Eof.into());
        }
        data.truncate(got);
        Ok(Data { id, data })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusReply> {
        self.bears(data.len())?;
        self.file(&handle)?.write_all_at(&data, offset).map_err(failure)?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.look(id, &path)
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let attrs = self.look(id, &path)?;
        // What a link points to is not to be had here.
        if attrs.attrs.file_type().is_symlink() { Err(StatusCode::NoSuchFile.into()) } else { Ok(attrs) }
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let stat = rustix::fs::fstat(self.file(&handle)?).map_err(refusal)?;
        Ok(Attrs { id, attrs: attributes(&stat) })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        let handle = self.handle()?;
        let names = self.folder.names(&path).map_err(refusal)?;
        self.folders.insert(handle.clone(), names.into_iter());
        Ok(Handle { id, handle })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let names = self.folders.get_mut(&handle).ok_or_else(|| StatusCode::Failure.with_message("no such handle"))?;
        let files: Vec<_> = names.take(BATCH).map(|(name, stat)| Named::new(name, attributes(&stat))).collect();
        if files.is_empty() { Err(StatusCode::Eof.into()) } else { Ok(Name { id, files }) }
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        Ok(Name { id, files: vec![Named::dummy(format!("/{}", components(&path).join("/")))] })
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let stat = self.folder.stat(&path).map_err(refusal)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(StatusCode::Failure.with_message("is a folder"));
        }
        self.folder.remove(&path, AtFlags::empty()).map_err(refusal)?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, _: FileAttributes) -> Result<Status, StatusReply> {
        self.folder.make_folder(&path).map_err(refusal)?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        self.folder.remove(&path, AtFlags::REMOVEDIR).map_err(refusal)?;
        Ok(done(id))
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusReply> {
        self.folder.rename(&from, &to, false).map_err(refusal)?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusReply> {
        let mut words = data.as_slice();
        match request.as_str() {
            _ if !self.extensions => Err(StatusCode::OpUnsupported.into()),
            "limits@openssh.com" => {
                let longest = u64::from(self.limits.longest);
                let limits = [256 << 10, longest, longest, self.limits.handles as u64];
                let data = limits.iter().flat_map(|limit: &u64| limit.to_be_bytes()).collect();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            "fsync@openssh.com" => {
                self.file(&word(&mut words)?)?.sync_all().map_err(failure)?;
                Ok(Packet::Status(done(id)))
            }
            "posix-rename@openssh.com" => {
                let (from, to) = (word(&mut words)?, word(&mut words)?);
                self.folder.rename(&from, &to, true).map_err(refusal)?;
                Ok(Packet::Status(done(id)))
            }
            _ => Err(StatusCode::OpUnsupported.into()),
        }
    }
}

fn failure(error: std::io::Error) -> StatusReply {
    StatusCode::Failure.with_message(error.to_string())
}

/// The next length-prefixed text of an extended request.
fn word(data: &mut &[u8]) -> Result<String, StatusReply> {
    let bad = || StatusReply::from(StatusCode::BadMessage);
    let (len, rest) = data.split_first_chunk::<4>().ok_or_else(bad)?;
    let len = u32::from_be_bytes(*len) as usize;
    let (word, rest) = rest.split_at_checked(len).ok_or_else(bad)?;
    *data = rest;
    String::from_utf8(word.to_vec()).map_err(|_| bad())
}
