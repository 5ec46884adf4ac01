#![allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]

use super::*;
use crate::manifest::tests::entry;

/// Entries of a tiny archive: each a header of one block and `stored` bytes of data.
fn entries(lines: &[(&str, Kind, u64, Option<&str>)]) -> Vec<Entry> {
    let mut at = 0;
    let mut entries = Vec::new();
    for &(path, kind, stored, link) in lines {
        entries.push(Entry {
            path: PathText(path.as_bytes().to_vec()),
            kind,
            link: link.map(|link| PathText(link.as_bytes().to_vec())),
            ..entry(at, stored)
        });
        at = (at + 512 + stored).next_multiple_of(512);
    }
    entries
}

fn tree() -> Vec<Entry> {
    entries(&[
        ("/srv", Kind::Dir, 0, None),                             // 0
        ("/srv/a", Kind::Dir, 0, None),                           // 512
        ("/srv/a/first", Kind::File, 600, None),                  // 1024
        ("/srv/a/other", Kind::File, 512, None),                  // 2560
        ("/srv/ab", Kind::File, 1, None),                         // 3584
        ("/srv/b", Kind::Dir, 0, None),                           // 4608
        ("/srv/b/hard", Kind::Hardlink, 0, Some("/srv/a/first")), // 5120
        ("/srv/b/soft", Kind::Symlink, 0, Some("nowhere")),       // 5632
        ("/srv/b/z", Kind::File, 10, None),                       // 6144 to 7168
    ])
}

fn picked(select: &[&str]) -> Picked {
    let select: Vec<Vec<u8>> = select.iter().map(|path| path.as_bytes().to_vec()).collect();
    pick(tree().into_iter().map(|entry| Ok(Line::Entry(entry))), &select).unwrap()
}

#[test]
fn a_file_comes_with_the_folders_above() {
    assert_eq!(picked(&["/srv/a/other"]), Picked { ranges: vec![0..1024, 2560..3584], missing: vec![] });
}

#[test]
fn a_folder_comes_whole_and_not_its_namesakes() {
    assert_eq!(picked(&["/srv/a"]).ranges, [0..3584]);
    assert_eq!(picked(&["srv/a/"]).ranges, [0..3584]);
    assert_eq!(picked(&["/srv/ab"]).ranges, [0..512, 3584..4608]);
}

#[test]
fn nothing_or_the_root_selects_all() {
    assert_eq!(picked(&[]), Picked { ranges: vec![0..7168], missing: vec![] });
    assert_eq!(picked(&["/"]).ranges, [0..7168]);
}

#[test]
fn a_hard_link_comes_with_its_first_name() {
    // /srv, /srv/a and first lie together; then /srv/b and hard.
    assert_eq!(picked(&["/srv/b/hard"]).ranges, [0..2560, 4608..5632]);
    assert_eq!(picked(&["/srv/b/soft"]).ranges, [0..512, 4608..5120, 5632..6144]);
}

#[test]
fn what_matches_nothing_is_named_as_given() {
    let picked = picked(&["/srv/c/", "/srv/b/z", "/srv/a/fir"]);
    assert_eq!(picked.missing, [b"/srv/c/".to_vec(), b"/srv/a/fir".to_vec()]);
    assert_eq!(picked.ranges, [0..512, 4608..5120, 6144..7168]);
}

#[test]
fn a_hard_link_to_nothing_is_refused_if_selected() {
    let lying = || {
        let lines = [("/a", Kind::File, 0, None), ("/h", Kind::Hardlink, 0, Some("/later")), ("/later", Kind::File, 0, None)];
        entries(&lines).into_iter().map(|entry| Ok(Line::Entry(entry)))
    };
    assert!(matches!(pick(lying(), &[b"/h".to_vec()]), Err(ManifestError::Entry { path, .. }) if path.0 == b"/h"));
    assert_eq!(pick(lying(), &[b"/a".to_vec()]).unwrap().ranges, [0..512]);
}

#[test]
fn an_error_among_the_entries_is_given_on() {
    let lines = tree().into_iter().map(|entry| Ok(Line::Entry(entry))).chain([Err(ManifestError::Truncated)]);
    assert!(matches!(pick(lines, &[]), Err(ManifestError::Truncated)));
}

#[test]
fn the_root_of_the_file_system_is_above_everything() {
    let lines = [("/", Kind::Dir, 0, None), ("/a", Kind::Dir, 0, None), ("/b", Kind::File, 0, None), ("/a/x", Kind::File, 0, None)];
    let lines = entries(&lines).into_iter().map(|entry| Ok(Line::Entry(entry)));
    assert_eq!(pick(lines, &[b"/a/x".to_vec()]).unwrap().ranges, [0..1024, 1536..2048]);
}

#[test]
fn a_folder_is_no_first_name() {
    let lines = [("/a", Kind::Dir, 0, None), ("/h", Kind::Hardlink, 0, Some("/a"))];
    let lines = entries(&lines).into_iter().map(|entry| Ok(Line::Entry(entry)));
    assert!(matches!(pick(lines, &[b"/h".to_vec()]), Err(ManifestError::Entry { .. })));
}
