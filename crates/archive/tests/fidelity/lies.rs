//! Tars that lie, read: memory stays small, and the error says what is wrong.

use std::fs;
use std::io::{self, Read};

use offsite_archive::{Kind, TarError, TarReader};

use super::hostile::{Forge, record};
use super::support::{capture, noise, raw, scratch, touch};

fn fault(tar: &[u8]) -> TarError {
    read_all(tar).unwrap_err()
}

/// Reads every member and all of its data; gives the names.
fn read_all(tar: impl Read) -> Result<Vec<(Vec<u8>, Kind)>, TarError> {
    let mut tar = TarReader::new(tar);
    let mut buffer = [0; 4096];
    let mut names = Vec::new();
    while let Some(member) = tar.next_member()? {
        while tar.read(&mut buffer)? > 0 {}
        names.push((member.path, member.kind));
    }
    Ok(names)
}

#[test]
fn every_lie_has_its_error() {
    let forge = Forge::default;
    let sparse = |size: &str, data: &[u8]| forge().sparse("real", size, data).end();
    let padded = |text: &str| [text.as_bytes(), &vec![0; 512 - text.len()]].concat();
    let mut damaged = forge().file("a", b"x").end();
    damaged[0] ^= 1;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "without its end mark"),
        ("no end", forge().file("a", b"x").0, "without its end mark"),
        ("half an end", forge().file("a", b"x").data(&[0; 512]).0, "512 bytes are missing"),
        ("after the end", [forge().end(), forge().file("a", b"x").end()].concat(), "data follows its end mark"),
        ("half a header", forge().file("a", b"x").0[..300].to_vec(), "212 bytes are missing"),
        ("checksum", damaged, "checksum does not fit"),
        ("no tar", noise(1, 1024), "checksum does not fit"),
        (
            "huge size",
            forge().header(b"a", b'0', b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", b"").end(),
            "claims 9223372036854775807 bytes",
        ),
        (
            "huger size",
            forge().header(b"a", b'0', b"\x80\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"").end(),
            "size that is no number or out of range",
        ),
        ("negative size", forge().header(b"a", b'0', &[0xff; 12], b"").end(), "size that is no number or out of range"),
        ("letters", forge().header(b"a", b'0', b"00000000zz1", b"").end(), "size that is no number"),
        ("pax size", forge().records(&[("size", "18446744073709551615")]).file("a", b"").end(), "claims 18446744073709551615 bytes"),
        ("truncated", forge().header(b"a", b'0', b"00777777777", b"").end(), "bytes are missing"),
        ("pax too long", forge().header(b"p", b'x', b"00004000001", b"").end(), "more than the 1048576 allowed"),
        ("name too long", forge().header(b"p", b'L', b"77777777777", b"").end(), "more than the 1048576 allowed"),
        ("pax truncated", forge().header(b"p", b'x', b"00000100000", b"").0, "32768 bytes are missing"),
        ("pax record too long", forge().pax(b'x', b"99 a=b\n").file("a", b"").end(), "a record is longer than the header"),
        ("pax record too short", forge().pax(b'x', b"3 a=b\n").file("a", b"").end(), "a record does not end with its line"),
        ("dangling", forge().records(&[("path", "x")]).end(), "describes no member"),
        ("no name", forge().header(b"", b'0', b"0", b"").end(), "it has no name"),
        ("zero byte", forge().records(&[("path", "a\0b")]).file("a", b"").end(), "its name holds a zero byte"),
        ("zero byte in link", forge().records(&[("linkpath", "a\0b")]).link("a", "b").end(), "its name holds a zero byte"),
        ("link to nothing", forge().link("a", "").end(), "it is a link to nothing"),
        ("folder with data", forge().header(b"a", b'5', b"1", b"").data(b"x").end(), "it has data, though it is no file"),
        ("multi-volume", forge().header(b"a", b'M', b"0", b"").end(), "of type 'M', which is not supported"),
        ("old sparse", forge().header(b"a", b'S', b"0", b"").end(), "of type 'S', which is not supported"),
        ("sparse 0.1", forge().records(&[("GNU.sparse.map", "0,1")]).file("a", b"x").end(), "GNU sparse format 0.x is not supported"),
        ("sparse 2.0", forge().records(&[("GNU.sparse.major", "2")]).file("a", b"x").end(), "this GNU sparse format is not supported"),
        ("mtime", forge().records(&[("mtime", "soon")]).file("a", b"x").end(), "mtime is no time"),
        ("uid", forge().records(&[("uid", "4294967296")]).file("a", b"x").end(), "uid is no number or out of range"),
        (
            "map overlaps",
            sparse("9", &[padded("2\n0\n5\n4\n1\n"), vec![0; 6]].concat()),
            "the sparse map of real at byte 0: its pieces overlap",
        ),
        ("map beyond", sparse("9", &[padded("1\n8\n2\n"), vec![0; 2]].concat()), "a piece lies beyond the end of the file"),
        ("map overflows", sparse("9", &[padded("1\n18446744073709551615\n2\n"), vec![0; 2]].concat()), "a piece lies beyond"),
        ("map too short", sparse("9", &[padded("1\n0\n2\n"), vec![0; 3]].concat()), "its pieces are not as long as the data"),
        ("map too long", sparse("9", b"3\n0\n1\n"), "it is longer than the data"),
        ("map endless", sparse("9", &padded(&format!("4000000\n{}", "0\n".repeat(252)))), "it is longer than the data"),
        ("map too many", sparse("9", &padded("4194305\n")), "it has too many pieces"),
        ("real size", sparse("99999999999999999999", &padded("0\n")), "GNU.sparse.realsize is no size"),
        ("real size negative", sparse("9223372036854775808", &padded("0\n")), "GNU.sparse.realsize is no size"),
    ];
    for (name, tar, text) in cases {
        let found = fault(&tar).to_string();
        assert!(found.contains(text), "{name}: {found}");
    }
    let map_of_a_folder =
        forge().records(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "0")]).dir("a").end();
    assert!(matches!(fault(&map_of_a_folder), TarError::Map { .. }));
}

#[test]
fn global_records_are_bounded_together() {
    struct Endless(Vec<u8>, u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                self.1 += 1;
                let text = record(&format!("key{}", self.1), &"v".repeat(500_000));
                self.0 = Forge::default().pax(b'g', text.as_bytes()).0;
            }
            let len = buffer.len().min(self.0.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }
    assert!(matches!(read_all(Endless(vec![], 0)), Err(TarError::Extension { .. })));
}

#[test]
fn a_tar_cut_anywhere_is_an_error() {
    let (_source, source) = scratch();
    fs::write(source.join("a"), noise(1, 700)).unwrap();
    fs::write(source.join("b"), "x").unwrap();
    touch(&source.join("b"), 5, 5);
    let tar = raw(&capture(&[&source]));
    assert_eq!(read_all(&tar[..]).unwrap().len(), 3);
    for len in 0..tar.len() {
        assert!(read_all(&tar[..len]).is_err(), "{len} of {}", tar.len());
    }
}
