//! What a lost frame costs: what lies in it, and nothing else.
#![allow(clippy::single_range_in_vec_init, reason = "the whole stream is one range")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use offsite_archive::{Around, Captured, ExtractOptions, Extracted, Kind, Lost, Manifest, TAR_END, extract, pick};
use proptest::prelude::*;

use super::laws::{build, spec};
use super::support::{Node, all, below, capture, chmod, entries, frames, look, noise, os, raw, scratch};

/// A stream with gaps, as a reader has it.
struct Gaps(VecDeque<Result<Vec<u8>, Lost>>);

impl Read for Gaps {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.pop_front() {
            None => Ok(0),
            Some(Err(lost)) => Err(io::Error::other(lost)),
            Some(Ok(mut bytes)) => {
                let len = bytes.len().min(into.len());
                into[..len].copy_from_slice(&bytes[..len]);
                let rest = bytes.split_off(len);
                if !rest.is_empty() {
                    self.0.push_front(Ok(rest));
                }
                if len == 0 { self.read(into) } else { Ok(len) }
            }
        }
    }
}

/// Where each lost frame lies in the stream.
fn holes(captured: &Captured<Vec<u8>>, lost: &[bool]) -> Vec<Range<u64>> {
    let mut at = 0;
    let place = |raw: u32| {
        at += u64::from(raw);
        at - u64::from(raw)..at
    };
    let places: Vec<Range<u64>> = frames(captured).iter().map(|frame| frame.raw).map(place).collect();
    places.into_iter().zip(lost.iter().cycle()).filter(|(_, lost)| **lost).map(|(place, _)| place).collect()
}

fn stream(captured: &Captured<Vec<u8>>, ranges: &[Range<u64>], holes: &[Range<u64>]) -> Gaps {
    let raw = raw(captured);
    let mut around = Around::new(Manifest::entries(&captured.manifest).unwrap());
    let mut pieces = VecDeque::new();
    let mut at = 0;
    for frame in frames(captured) {
        let place = at..at + u64::from(frame.raw);
        at = place.end;
        for range in ranges {
            let slice = range.start.max(place.start)..range.end.min(place.end);
            if slice.start >= slice.end {
                continue;
            }
            pieces.push_back(if holes.contains(&place) {
                Err(Lost { cause: "a bad spot".into(), members: around.lose(&slice).unwrap() })
            } else {
                Ok(raw[(slice.start + around.passed(&slice)) as usize..slice.end as usize].to_vec())
            });
        }
    }
    pieces.push_back(Ok(TAR_END.to_vec()));
    Gaps(pieces)
}

fn meets(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Names that are left out, without the slash at the beginning.
fn left_out(extracted: &Extracted) -> BTreeSet<Vec<u8>> {
    extracted.unmade.iter().map(|(path, _)| path.to_vec()).collect()
}

/// Extracts what is left of `ranges`, and holds it against the tree `before` at `source`.
fn check(captured: &Captured<Vec<u8>>, ranges: &[Range<u64>], lost: &[bool], source: &Path, before: &BTreeMap<Vec<u8>, Node>) {
    let (_into, into) = scratch();
    let holes = holes(captured, lost);
    let extracted = extract(stream(captured, ranges, &holes), &into, &all(), &mut |_| ()).unwrap();
    let (mut gone, mut there) = (BTreeSet::new(), 0);
    for entry in entries(captured) {
        let bytes = entry.at..entry.data + entry.stored;
        let path = entry.path.0[1..].to_vec();
        let place = into.join(os(&path));
        if !ranges.iter().any(|range| meets(range, &bytes)) {
            assert!(place.symlink_metadata().is_err(), "{} is not wanted", entry.path);
            continue;
        }
        let first = entry.link.as_ref().filter(|_| entry.kind == Kind::Hardlink).map(|link| &link.0[1..]);
        let missed = holes.iter().any(|hole| meets(hole, &bytes)) || first.is_some_and(|first| gone.contains(first));
        if missed && entry.kind != Kind::Dir {
            assert!(place.symlink_metadata().is_err(), "{} is half there", entry.path);
            gone.insert(path);
            continue;
        }
        there += 1;
        let key = entry.path.0[source.as_os_str().len()..].strip_prefix(b"/").unwrap_or_default().to_vec();
        let found = look(&place).remove(&b""[..]).unwrap();
        let same = |node: &Node| Node { first: None, ..node.clone() };
        assert_eq!(same(&before[&key]), same(&found), "{}", entry.path);
        if let Some(first) = first {
            assert_eq!(fs::metadata(into.join(os(first))).unwrap().ino(), fs::metadata(&place).unwrap().ino());
        }
    }
    assert_eq!((left_out(&extracted), extracted.entries), (gone, there));
    assert_eq!(extracted.gaps > 0, holes.iter().any(|hole| ranges.iter().any(|range| meets(range, hole))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_the_rest_comes_whole(
        spec in spec(),
        lost in prop::collection::vec(prop::bool::weighted(0.3), 1..12),
        one in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_source, source) = scratch();
        build(&source, &spec);
        let before = look(&source);
        let captured = capture(&[&source]);
        let select: Vec<Vec<u8>> = one.map(|one| one.get(&entries(&captured)).path.0.clone()).into_iter().collect();
        let mut ranges = pick(Manifest::entries(&captured.manifest).unwrap(), &select).unwrap().ranges;
        if select.is_empty() {
            ranges = vec![0..captured.end.raw];
        }
        check(&captured, &ranges, &lost, &source, &before);
    }
}

#[test]
fn each_frame_alone_and_all_but_each() {
    let (_source, source) = scratch();
    fs::create_dir(source.join("closed")).unwrap();
    fs::write(source.join("closed/large"), noise(1, 3_000_000)).unwrap();
    fs::write(source.join("closed/small"), "x").unwrap();
    fs::hard_link(source.join("closed/large"), source.join("large too")).unwrap();
    fs::write(source.join("sparse"), "").unwrap();
    fs::File::options().write(true).open(source.join("sparse")).unwrap().set_len(5_000_000).unwrap();
    fs::write(source.join("z"), noise(2, 400_000)).unwrap();
    chmod(&source.join("closed"), 0o700);
    let before = look(&source);
    let captured = capture(&[&source]);
    let count = frames(&captured).len();
    assert!(count > 4, "{count}");
    for lost in 0..count {
        for but in [false, true] {
            let lost: Vec<bool> = (0..count).map(|frame| (frame == lost) != but).collect();
            check(&captured, &[0..captured.end.raw], &lost, &source, &before);
        }
    }
}

#[test]
fn what_stood_in_the_place_of_a_lost_file_stays() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    fs::write(source.join("large"), noise(1, 3_000_000)).unwrap();
    let captured = capture(&[&source]);
    let place = below(&into, &source);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("large"), "the last copy").unwrap();
    let mut lost = vec![false; frames(&captured).len()];
    let last = lost.len() - 2;
    lost[last] = true;
    let options = ExtractOptions { overwrite: true, ..all() };
    let extracted = extract(stream(&captured, &[0..captured.end.raw], &holes(&captured, &lost)), &into, &options, &mut |_| ()).unwrap();
    assert_eq!(extracted.unmade.count(), 1);
    assert_eq!(fs::read(place.join("large")).unwrap(), b"the last copy");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
}
