//! One stream, two readers: what is extracted is also hashed, file by file, as it came out of the archive.
//!
//! A manifest has the hashes of frames, not of files. So that files on the disk can be held against the archive without fetching it twice,
//! the stream is read beside the extraction. Invariant: neither reader waits for the other beyond a short queue, and an end that one of them
//! did not see is an error.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use offsite_archive::{ExtractError, ExtractOptions, Extracted, Kind, Member, Segment, TarError, TarReader, extract};
use offsite_repository::Progress;

use super::{content::Hasher, stop::Hand};
use crate::restore::{
    BridgeError,
    bridge::{Load, Queue, Stopped, over},
};

/// Pieces that wait between the readers.
const WAITING: usize = 8;
/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// Half of the BLAKE3 of a path without slashes at its ends: a stranger cannot make two paths meet, and a million files cost little.
pub(super) type Key = [u8; 16];

pub(super) type Contents = HashMap<Key, Content>;

/// What the stream says of a member that no manifest does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// Of a file's content.
    pub(super) hash: Option<blake3::Hash>,
    /// Whether an ACL says what its permission bits are.
    pub(super) acl: bool,
}

pub(super) fn key(path: &[u8]) -> Key {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(start, |at| at + 1);
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(&path[start..end]).as_bytes()[..16]);
    key
}

/// Extracts what `load` names into `into`, and hashes it on the way, until `hand` is told to end. `progress` is told the raw bytes.
pub(super) async fn carry(
    load: Load<'_>,
    into: &Path,
    hand: Hand,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Extracted, Contents), BridgeError> {
    let into = into.to_owned();
    over(load, progress, move |queue| both(queue, &into, &hand)).await.map_err(|stopped| match stopped {
        Stopped::Read(error) => BridgeError::Read(error),
        Stopped::Taken(error) => BridgeError::Extract(error),
        Stopped::Thread(error) => BridgeError::Thread(error),
    })
}

fn both(queue: &mut Queue, into: &Path, hand: &Hand) -> Result<(Extracted, Contents), ExtractError> {
    let (send, receive) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || contents(Beside { receive, piece: Vec::new(), at: 0 }));
        // As it is without root's rights: owners are not restored, so nothing of a drill gets more rights than a copy has.
        let extracted = extract(Tee { input: queue, hand, send, piece: Vec::new() }, into, &ExtractOptions::default(), &mut |_| {});
        let contents = reading.join();
        let extracted = extracted?;
        // The second reader cannot know where the stream goes on, and there is nothing good to be said of it any more.
        if extracted.gaps > 0 {
            return Ok((extracted, Contents::new()));
        }
        let died = || TarError::Read { at: 0, cause: io::Error::other("the second reader did not end as it should") };
        let contents = contents.map_err(|_| died()).and_then(|read| read).map_err(ExtractError::Tar)?;
        Ok((extracted, contents))
    })
}

fn contents(tar: impl Read) -> Result<Contents, TarError> {
    let mut tar = TarReader::new(tar);
    let mut contents = Contents::new();
    let mut buffer = vec![0; PIECE];
    while let Some(member) = tar.next_member()? {
        let hash = (member.kind == Kind::File).then(|| hash(&member, &mut tar, &mut buffer)).transpose()?;
        let acl = member.access.is_some() || member.xattrs.iter().any(|(name, _)| name == b"system.posix_acl_access");
        contents.insert(key(&member.path), Content { hash, acl });
    }
    Ok(contents)
}

fn hash<R: Read>(member: &Member, tar: &mut TarReader<R>, buffer: &mut [u8]) -> Result<blake3::Hash, TarError> {
    let all = [Segment { at: 0, len: member.size }];
    let mut hasher = Hasher::new();
    for piece in member.segments.as_deref().unwrap_or(&all) {
        let (mut at, end) = (piece.at, piece.at.saturating_add(piece.len));
        while at < end {
            let len = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            match tar.read(&mut buffer[..len])? {
                0 => break,
                count => {
                    hasher.put(at, &buffer[..count]);
                    at += count as u64;
                }
            }
        }
    }
    Ok(hasher.finish())
}

struct Tee<'q, R> {
    input: &'q mut R,
    hand: &'q Hand,
    send: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
}

impl<R> Tee<'_, R> {
    fn flush(&mut self) {
        // A second reader that has gone has an error of its own to tell, after the first.
        let _ = self.send.send(std::mem::take(&mut self.piece));
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.hand.go_on()?;
        let count = self.input.read(into)?;
        self.piece.extend_from_slice(&into[..count]);
        if self.piece.len() >= PIECE || count == 0 {
            self.flush();
        }
        Ok(count)
    }
}

struct Beside {
    receive: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Beside {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Ok(piece) = self.receive.recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_key_however_its_ends_are_written() {
        assert_eq!([key(b"/srv/a"), key(b"srv/a/")], [key(b"srv/a"); 2]);
        assert_ne!(key(b"srv/a"), key(b"srv//a"));
        assert_eq!(key(b"/"), key(b""));
    }

    #[tokio::test]
    async fn nothing_is_read_on_for_a_drill_that_is_told_to_end() {
        let (ask, stop) = super::super::stop::Stop::new();
        let (hand, (send, _receive)) = (stop.hand().await, sync_channel(WAITING));
        let mut tee = Tee { input: &mut io::repeat(7), hand: &hand, send, piece: Vec::new() };
        assert_eq!(tee.read(&mut [0; 4]).unwrap(), 4);
        ask.send(true).unwrap();
        assert!(tee.read(&mut [0; 4]).is_err());
    }
}
