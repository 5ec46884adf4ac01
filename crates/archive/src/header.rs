//! A member's header: ustar, preceded by a pax header for all that ustar cannot say.
//!
//! The same file must give the same bytes each night, so nothing depends on the clock, a process number or the order in which a kernel
//! lists things. A name that is not UTF-8 stands raw in the ustar field where it fits, and behind `hdrcharset=BINARY` where it does not:
//! readers that take pax records for UTF-8 would complain otherwise.

mod pax;

use crate::meta::Attributes;
use crate::meta::sparse::Segment;
use crate::{Kind, Mtime};

/// The unit of a tar stream, in bytes.
pub(crate) const BLOCK: usize = 512;

/// The two zero blocks that end a tar stream. Append them to the members of a partial restore, which come without.
pub const TAR_END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// How many zero bytes follow `len` bytes of data.
pub(crate) fn padding(len: u64) -> usize {
    (len.wrapping_neg() % BLOCK as u64) as usize
}

/// What a header is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// As named in the tar: no slash at either end; empty for the root of the file system.
    pub(crate) path: &'a [u8],
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) user: &'a str,
    pub(crate) group: &'a str,
    /// Bytes as the owner sees them; 0 for all that is not a file.
    pub(crate) size: u64,
    pub(crate) mtime: Mtime,
    /// A symbolic link's target, or the tar name of a hard link's first name.
    pub(crate) link: Option<&'a [u8]>,
    pub(crate) device: (u32, u32),
    pub(crate) attributes: &'a Attributes,
    /// The pieces of a sparse file.
    pub(crate) segments: Option<&'a [Segment]>,
}

/// A member's bytes before its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Headers, then the sparse map if there is one; whole blocks.
    pub(crate) bytes: Vec<u8>,
    /// How many of `bytes` are the sparse map, which a tar counts as data.
    pub(crate) map: u64,
    /// Length of the data as the tar counts it: map and content, without padding.
    pub(crate) stored: u64,
}

/// Writes the headers of `member`.
pub(crate) fn write(member: &Member<'_>) -> Blob {
    let map = member.segments.map(|segments| sparse_map(segments, member.size));
    let content = member.segments.map_or(member.size, |segments| segments.iter().map(|piece| piece.len).sum());
    let map_len = map.as_ref().map_or(0, |map| map.len() as u64);
    let stored = content + map_len;

    let mut name = tar_name(member);
    let records = pax::records(member, &name, stored);
    if member.segments.is_some() {
        // GNU's convention: who does not know sparse files must not take the map for the file.
        name = [b"GNUSparseFile.0/", base(member.path)].concat();
    }
    let mut bytes = Vec::with_capacity(BLOCK * 2 + records.len() + map_len as usize);
    if !records.is_empty() {
        let pax_name = [b"PaxHeaders/", base(member.path)].concat();
        bytes.extend_from_slice(&pax_block(&pax_name, records.len() as u64, member.mtime));
        bytes.extend_from_slice(&records);
        bytes.resize(bytes.len() + padding(records.len() as u64), 0);
    }
    bytes.extend_from_slice(&block(member, &name, stored));
    bytes.extend_from_slice(map.as_deref().unwrap_or_default());
    Blob { bytes, map: map_len, stored }
}

fn tar_name(member: &Member<'_>) -> Vec<u8> {
    match (member.path, member.kind) {
        (b"", _) => b"./".to_vec(),
        (path, Kind::Dir) => [path, b"/"].concat(),
        (path, _) => path.to_vec(),
    }
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// GNU.sparse 1.0: the number of pieces, then each one's place and length, a number a line; zeros to the end of the block.
/// A hole at the end is told by an empty piece there.
fn sparse_map(segments: &[Segment], size: u64) -> Vec<u8> {
    let ends_in_hole = segments.last().is_none_or(|last| last.at + last.len < size);
    let mut text = format!("{}\n", segments.len() + usize::from(ends_in_hole));
    for piece in segments.iter().copied().chain(ends_in_hole.then_some(Segment { at: size, len: 0 })) {
        text.push_str(&format!("{}\n{}\n", piece.at, piece.len));
    }
    let mut map = text.into_bytes();
    map.resize(map.len() + padding(map.len() as u64), 0);
    map
}

fn pax_block(name: &[u8], len: u64, mtime: Mtime) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    text(&mut block[0..100], name);
    octal(&mut block[100..108], 0o644);
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], len);
    octal(&mut block[136..148], seconds(mtime));
    block[156] = b'x';
    seal(block)
}

fn block(member: &Member<'_>, name: &[u8], stored: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    text(&mut block[0..100], name);
    octal(&mut block[100..108], u64::from(member.mode));
    octal(&mut block[108..116], u64::from(member.uid));
    octal(&mut block[116..124], u64::from(member.gid));
    octal(&mut block[124..136], stored);
    octal(&mut block[136..148], seconds(member.mtime));
    block[156] = match member.kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    };
    text(&mut block[157..257], member.link.unwrap_or_default());
    text(&mut block[265..296], member.user.as_bytes());
    text(&mut block[297..328], member.group.as_bytes());
    if matches!(member.kind, Kind::Char | Kind::Block) {
        device(&mut block[329..337], member.device.0);
        device(&mut block[337..345], member.device.1);
    }
    seal(block)
}

/// Magic and checksum.
fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut block[148..155], sum);
    block
}

fn seconds(mtime: Mtime) -> u64 {
    u64::try_from(mtime.0).unwrap_or(0)
}

/// Cuts what does not fit: the pax record beside it holds the whole.
fn text(field: &mut [u8], value: &[u8]) {
    let len = value.len().min(field.len());
    field[..len].copy_from_slice(&value[..len]);
}

/// The largest number an octal field of `width` bytes can hold.
const fn octal_most(width: usize) -> u64 {
    (1 << (3 * (width - 1))) - 1
}

/// Octal digits and a NUL. What does not fit becomes the largest that does: the pax record beside it holds the truth.
fn octal(field: &mut [u8], value: u64) {
    let mut value = value.min(octal_most(field.len()));
    let digits = field.len() - 1;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

/// Device numbers have no pax record; one too large for octal is written in binary, as GNU tar does.
fn device(field: &mut [u8], value: u32) {
    if u64::from(value) <= octal_most(field.len()) {
        octal(field, u64::from(value));
    } else {
        field[0] = 0x80;
        field[4..8].copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::TarReader;

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let letter = prop_oneof![8 => Just(b'a'), 1 => Just(b'/'), 2 => 1..=255_u8];
        prop::collection::vec(letter, 1..260).prop_map(|mut name| {
            let last = name.len() - 1;
            (name[0], name[last]) = (b'n', b'n');
            name
        })
    }

    proptest! {
        /// Also what no test can put on a disk: terabytes, the year 5000, numbers at the limits.
        #[test]
        fn a_reader_finds_what_was_written(
            path in name(),
            link in name(),
            kind in prop::sample::select(vec![Kind::File, Kind::Dir, Kind::Symlink, Kind::Hardlink, Kind::Fifo, Kind::Char, Kind::Block]),
            mode in 0..0o10000_u32,
            (uid, gid) in any::<(u32, u32)>(),
            (user, group) in ("[a-zé]{0,40}", "[a-z]{0,40}"),
            size in prop_oneof![0..10_000_u64, (8_u64 << 30) - 2..(8 << 30) + 2, 0..1_u64 << 62],
            seconds in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3..3_i64, (1_i64 << 33) - 2..(1 << 33) + 2],
            nanos in prop_oneof![Just(0), 0..1_000_000_000_u32],
            device in any::<(u32, u32)>(),
            xattrs in prop::collection::btree_map("user\\.[a-z=% ]{1,20}", prop::collection::vec(any::<u8>(), 0..50), 0..3),
            pieces in prop::option::of(prop::collection::vec((1..1_u64 << 50, 1..1_u64 << 40), 0..60)),
        ) {
            let attributes = Attributes { xattrs: xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect(), ..Attributes::default() };
            let file = kind == Kind::File;
            let mut end = 0;
            let segments: Option<Vec<Segment>> = pieces.filter(|_| file).map(|pieces| pieces.into_iter().map(|(hole, len)| {
                let at = end + hole;
                end = at + len;
                Segment { at, len }
            }).collect());
            let size = if !file { 0 } else if segments.is_some() { end + size % 2 } else { size };
            let is_link = matches!(kind, Kind::Symlink | Kind::Hardlink);
            let is_device = matches!(kind, Kind::Char | Kind::Block);
            let member = Member {
                path: &path, kind, mode, uid, gid, user: &user, group: &group, size, mtime: Mtime(seconds, nanos),
                link: is_link.then_some(&link[..]), device: if is_device { device } else { (0, 0) },
                attributes: &attributes, segments: segments.as_deref(),
            };
            let blob = write(&member);
            prop_assert_eq!(blob.bytes.len() % BLOCK, 0);
            let mut tar = TarReader::new(&blob.bytes[..]);
            let read = tar.next_member().unwrap().unwrap();
            prop_assert_eq!(tar.position(), blob.bytes.len() as u64);
            prop_assert_eq!((&read.path[..], read.kind, read.mode, read.uid, read.gid), (&path[..], kind, mode, uid, gid));
            prop_assert_eq!((read.user, read.group), (user.clone().into_bytes(), group.clone().into_bytes()));
            prop_assert_eq!((read.size, read.mtime, read.stored), (size, Mtime(seconds, nanos), blob.stored));
            prop_assert_eq!((read.at, read.data), (0, blob.bytes.len() as u64 - blob.map));
            prop_assert_eq!(read.link, is_link.then_some(link));
            prop_assert_eq!(read.device, is_device.then_some(device));
            prop_assert_eq!(read.xattrs, attributes.xattrs);
            prop_assert_eq!(read.segments, segments);
        }
    }

    #[test]
    fn map_tells_the_hole_at_the_end() {
        let text = |segments: &[Segment], size| String::from_utf8(sparse_map(segments, size)).unwrap().trim_end_matches('\0').to_owned();
        assert_eq!(text(&[], 9), "1\n9\n0\n");
        assert_eq!(text(&[Segment { at: 4, len: 5 }], 9), "1\n4\n5\n");
        assert_eq!(text(&[Segment { at: 0, len: 5 }], 9), "2\n0\n5\n9\n0\n");
    }

    #[test]
    fn numbers_that_do_not_fit_are_cut_to_the_largest() {
        let mut field = [0; 8];
        octal(&mut field, 0o7_777_777);
        assert_eq!(&field, b"7777777\0");
        octal(&mut field, 1 << 40);
        assert_eq!(&field, b"7777777\0");
        octal(&mut field, 0o644);
        assert_eq!(&field, b"0000644\0");
    }

    #[test]
    fn padding_fills_the_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
        assert_eq!(padding(u64::MAX), 1);
    }
}
