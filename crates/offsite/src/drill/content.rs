//! What a file holds, as one hash, whatever of it is a hole on which disk.
//!
//! A disk image of a terabyte may hold three megabytes. So that neither side ever reads a hole, blocks of zeros do not count, nor do the zeros
//! at the end of a block; where each other block lies does. The length is compared beside it.

use std::{
    fs::File,
    io::{self, Read},
};

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};

/// Bytes that are zero or not together.
const BLOCK: u64 = 64 << 10;

pub(super) struct Hasher {
    hash: blake3::Hasher,
    /// The number of the block that is being filled, and its bytes so far.
    block: u64,
    bytes: Vec<u8>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { hash: blake3::Hasher::new(), block: 0, bytes: Vec::new() }
    }

    /// Adds what stands at `at`, which is never before what was added already.
    pub(super) fn put(&mut self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if at / BLOCK != self.block {
                self.flush();
                self.block = at / BLOCK;
            }
            let within = (at % BLOCK) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK as usize - within));
            self.bytes.resize(within, 0);
            self.bytes.extend_from_slice(now);
            (at, bytes) = (at + now.len() as u64, later);
        }
    }

    fn flush(&mut self) {
        if let Some(last) = self.bytes.iter().rposition(|byte| *byte != 0) {
            self.hash.update(&self.block.to_le_bytes()).update(&(last as u64).to_le_bytes()).update(&self.bytes[..=last]);
        }
        self.bytes.clear();
    }

    pub(super) fn finish(mut self) -> blake3::Hash {
        self.flush();
        self.hash.finalize()
    }
}

/// The hash of what `file` holds, past its holes.
pub(super) fn of_file(file: &mut File) -> io::Result<blake3::Hash> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match seek(&*file, SeekFrom::Data(at)) {
            Ok(data) => at = data,
            // Nothing but a hole follows.
            Err(Errno::NXIO) => return Ok(hasher.finish()),
            // The file system does not tell.
            Err(_) => at = seek(&*file, SeekFrom::Start(at))?,
        }
        // A piece at a time: in what is asked next, holes are looked for again.
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.put(at, &buffer[..count]);
                at += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_zeros() {
        let of = |pieces: &[(u64, &[u8])]| {
            let mut hasher = Hasher::new();
            pieces.iter().for_each(|(at, bytes)| hasher.put(*at, bytes));
            hasher.finish()
        };
        let zeros = [0; 200_000];
        assert_eq!(of(&[]), of(&[(7, &zeros)]));
        let written = [&zeros[..150_000], b"x", &zeros[..50_000], b"y", &zeros].concat();
        assert_eq!(of(&[(150_000, b"x"), (200_001, b"y\0")]), of(&[(0, &written[..1_000]), (1_000, &written[1_000..])]));
        // Where the bytes are matters, and what they are, wherever that is in its block.
        for other in [&[(150_001, &b"x"[..]), (200_001, b"y")][..], &[(150_000, b"x")], &[(150_000, b"x"), (200_001, b"z")]] {
            assert_ne!(of(other), of(&[(150_000, b"x"), (200_001, b"y")]));
        }
        assert_ne!(of(&[(0, b"x")]), of(&[(BLOCK, b"x")]));
    }
}
