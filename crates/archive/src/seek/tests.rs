use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::compress;

/// A file of `frames` frames with their tail, its table, and what stands for a manifest.
fn file(frames: usize, manifest: &[u8]) -> (Vec<u8>, Vec<(u32, u32)>) {
    let (mut file, mut table) = (Vec::new(), Vec::new());
    for number in 0..frames {
        let raw = format!("chunk {number} ").repeat(number + 1).into_bytes();
        let frame = compress(&raw, 3).unwrap();
        file.extend_from_slice(&frame);
        table.push((frame.len() as u32, raw.len() as u32));
    }
    let before = file.len();
    let written = write_tail(&mut file, table.iter().copied(), manifest).unwrap();
    assert_eq!(written as usize, file.len() - before);
    (file, table)
}

fn read(bytes: &[u8]) -> Result<Tail, TailError> {
    read_tail(&mut Cursor::new(bytes))
}

#[test]
fn comes_back() {
    for (frames, manifest) in [(0, &b""[..]), (1, b"m"), (30, b"a longer manifest")] {
        let (file, table) = file(frames, manifest);
        let tail = read(&file).unwrap();
        assert_eq!(tail.frames, table);
        assert_eq!(&file[tail.manifest.start as usize..tail.manifest.end as usize], manifest);
    }
}

#[test]
fn the_bytes_are_those_of_the_seekable_format() {
    let mut tail = Vec::new();
    write_tail(&mut tail, [(0x11, 0x22), (0x33, 0x44)].into_iter(), b"MANIFEST").unwrap();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let expected = [
        words(&[0x184D_2A5D, 8]),
        b"MANIFEST".to_vec(),
        words(&[0x184D_2A5E, 33, 0x11, 0x22, 0x33, 0x44, 16, 0, 3]),
        vec![0],
        words(&[0x8F92_EAB1]),
    ];
    assert_eq!(tail, expected.concat());
}

#[test]
fn a_file_cut_short_or_continued_is_refused() {
    let (file, _) = file(3, b"manifest");
    for length in 0..file.len() {
        assert!(read(&file[..length]).is_err(), "cut at {length}");
        assert!(read(&file[file.len() - length..]).is_err(), "the last {length} bytes alone");
    }
    assert!(matches!(read(&[&file[..], b"x"].concat()), Err(TailError::NoTable(_))));
    assert!(matches!(read(&[&file[..], &file].concat()), Err(TailError::Table(_))));
    assert!(matches!(read(b""), Err(TailError::NoTable(0))));
}

#[test]
fn a_changed_bit_in_the_tail_is_refused_or_means_nothing() {
    let (file, table) = file(3, b"manifest");
    let good = read(&file).unwrap();
    let start = good.manifest.start as usize - 8;
    for bit in 8 * start..8 * file.len() {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(tail) = read(&damaged) else { continue };
        // What the table cannot know: the manifest's content, a raw length, and two bits that mean nothing.
        let within_manifest = (good.manifest.start as usize..good.manifest.end as usize).contains(&(bit / 8));
        let unused = bit / 8 == file.len() - 5 && bit % 8 < 2;
        assert!(within_manifest || unused || tail.frames.iter().zip(&table).filter(|(a, b)| a != b).count() == 1, "bit {bit}");
        assert_eq!(tail.manifest, good.manifest, "bit {bit}");
    }
}

#[test]
fn lies_in_the_table_cost_nothing() {
    let footer = |count: u32, descriptor: u8| [&count.to_le_bytes()[..], &[descriptor], &0x8F92_EAB1_u32.to_le_bytes()].concat();
    for (count, descriptor) in [(u32::MAX, 0), (0x800_0000, 0), (1000, 0), (0, 0), (1, 0x80), (1, 0x7c)] {
        let bytes = [vec![0; 100], footer(count, descriptor)].concat();
        assert!(matches!(read(&bytes), Err(TailError::Table(_))), "{count} {descriptor}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strange_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 9..300), count in 0..30_u32) {
        let end = bytes.len();
        bytes[end - 9..end - 5].copy_from_slice(&count.to_le_bytes());
        bytes[end - 5] = 0;
        bytes[end - 4..].copy_from_slice(&0x8F92_EAB1_u32.to_le_bytes());
        prop_assert!(read(&bytes).is_err());
    }
}
