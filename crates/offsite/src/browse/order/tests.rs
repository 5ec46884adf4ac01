use offsite_archive::{Chunker, End, FrameId, FrameRef, FramesDigest, Head, ManifestWriter, Mtime};
use offsite_repository::ManifestObject;
use proptest::prelude::*;

use super::*;

fn path(text: &str) -> PathText {
    PathText(text.as_bytes().to_vec())
}

/// An archive of empty files; one called `a=b` is a further name of `b`.
fn night(names: &[String]) -> Night {
    let archive: offsite_archive::ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
    let (finished, chunker) = (archive.time(), Chunker::files_1());
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    let head = Head { version: 2, archive, sequence: 1, host: "pi".into(), agent: "0".into(), sources: vec![], chunker };
    writer.head(&head).unwrap();
    for (number, name) in names.iter().enumerate() {
        let (name, link) = name.split_once('=').map_or((name.as_str(), None), |(name, link)| (name, Some(path(link))));
        let at = number as u64 * 512;
        let kind = if link.is_some() { Kind::Hardlink } else { Kind::File };
        let (user, group) = (String::new(), String::new());
        let entry = Entry {
            path: path(name),
            kind,
            mode: 0o644,
            uid: number as u32,
            gid: 0,
            user,
            group,
            size: 0,
            mtime: Mtime(0, 0),
            link,
            device: None,
            class: None,
            at,
            data: at + 512,
            stored: 0,
        };
        writer.entry(&entry).unwrap();
    }
    let raw = (names.len() as u32 * 512).max(512);
    let frame = FrameRef { id: FrameId::of(b"x"), raw, len: 20 };
    writer.frame(&frame).unwrap();
    let mut digest = FramesDigest::new();
    digest.push(&frame.id, raw);
    let (entries, digest) = (names.len() as u64, digest.finish());
    let (quiesced, warnings) = (vec![], vec![]);
    let end = End { entries, frames: 1, raw: raw.into(), bytes: 20, digest, finished, quiesced, warnings, complete: true };
    let bytes = writer.end(&end).unwrap();
    Night::new(ManifestObject { manifest: Manifest::read(&bytes).unwrap(), bytes: bytes.into() })
}

fn keys(ordered: Ordered<'_>) -> Vec<String> {
    ordered.map(|item| String::from_utf8_lossy(item.unwrap().key()).into_owned()).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_folder_comes_before_what_it_holds_and_that_before_its_siblings() {
    let order = ["", "a", "a/x", "a/x/y", "a/y", "a b", "a-b", "a.d", "a.d/z", "ab"];
    for (i, a) in order.iter().enumerate() {
        for (j, b) in order.iter().enumerate() {
            assert_eq!(compare(a.as_bytes(), b.as_bytes()), i.cmp(&j), "{a} {b}");
        }
    }
}

#[test]
fn parts_that_follow_each_other_become_one_order_streamed_or_held() {
    let night = night(&names(&["/srv/m", "/srv/m/1", "/srv/z", "/srv/m/0", "/srv/m/0/x", "/etc/b", "/srv/m/2", "/dump", "/etc/a"]));
    let wanted = ["dump", "etc/a", "etc/b", "srv/m", "srv/m/0", "srv/m/0/x", "srv/m/1", "srv/m/2", "srv/z"];
    for short in [0, 1, 2, 100] {
        assert_eq!(keys(Ordered::with(&night, short).unwrap()), wanted, "{short}");
    }
}

#[test]
fn of_two_with_one_path_the_later_counts() {
    let night = night(&names(&["/a", "/b", "/a/", "/c", "/b"]));
    for short in [0, 100] {
        let owners: Vec<u32> = Ordered::with(&night, short).unwrap().map(|item| item.unwrap().entry.uid).collect();
        assert_eq!(owners, [2, 4, 3], "{short}");
    }
}

#[test]
fn a_further_name_has_the_data_of_the_first() {
    let night = night(&names(&["/z", "/y=/z", "/x=/nowhere"]));
    for short in [0, 100] {
        let data: Vec<_> = Ordered::with(&night, short).unwrap().map(|item| item.unwrap().data.map(|data| data.path.to_string())).collect();
        assert_eq!(data, [None, Some("/z".to_owned()), Some("/z".to_owned())], "{short}");
    }
}

#[test]
fn archives_side_by_side_give_each_path_once() {
    let nights = [night(&names(&["/b", "/c", "/a"])), night(&names(&["/c", "/d"])), night(&names(&[]))];
    let joined: Vec<_> = Joined::of(&nights).unwrap().map(|items| items.unwrap().iter().map(Option::is_some).collect::<Vec<_>>()).collect();
    assert_eq!(joined, [[true, false, false], [true, false, false], [true, true, false], [false, true, false]]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_order_becomes_the_one_order(found in prop::collection::vec("/[ab./]{1,5}[a.]", 0..40), short in 0..6_u64) {
        let found: Vec<String> = found.into_iter().filter(|path| !path.split('/').any(|part| part == "..")).collect();
        let night = night(&found);
        let Ok(ordered) = Ordered::with(&night, short) else { return Err(TestCaseError::fail("refused")) };
        let mut wanted: Vec<Vec<u8>> = found.iter().map(|path| trim(path.as_bytes()).to_vec()).collect();
        wanted.sort_by(|a, b| compare(a, b));
        wanted.dedup();
        let found: Vec<Vec<u8>> = ordered.map(|item| item.unwrap().key().to_vec()).collect();
        prop_assert_eq!(found, wanted);
    }
}
