//! What holds for every manifest.

use proptest::prelude::*;

use super::{
    tests::{end, frame, head, lines, lines_of, write},
    *,
};
use crate::FrameId;

#[test]
fn paths_have_one_spelling() {
    let spelt = |path: &[u8]| serde_json::to_string(&PathText(path.to_vec())).unwrap();
    assert_eq!(spelt("/é\n".as_bytes()), r#""/é\n""#);
    assert_eq!(spelt(b"/\xff"), r#"{"hex":"2fff"}"#);
    for bad in [
        r#"{"hex":"2F"}"#,
        r#"{"hex":"2fFF"}"#,
        r#"{"hex":"2f"}"#,
        r#"{"hex":""}"#,
        r#"{"hex":"fff"}"#,
        r#"{}"#,
        r#"{"hix":"ff"}"#,
        r#"{"hex":"ff","hex":"ff"}"#,
        "7",
        "null",
        "[255]",
    ] {
        assert!(serde_json::from_str::<PathText>(bad).is_err(), "{bad}");
    }
    assert_eq!(PathText(b"/a\x1b[2J\xff\n".to_vec()).to_string(), "/a\\u{1b}[2J\u{fffd}\\n");
}

fn arbitrary_path() -> impl Strategy<Value = PathText> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| {
        bytes.retain(|&byte| byte != 0 && byte != b'.');
        PathText([b"/".as_slice(), &bytes].concat())
    })
}

fn arbitrary_entry() -> impl Strategy<Value = Entry> {
    let who = (any::<u32>(), any::<u32>(), ".{0,8}", ".{0,8}");
    let what = (arbitrary_path(), arbitrary_path(), 0..7_usize, 0..0o10000_u32, any::<(u32, u32)>());
    let size = (any::<i64>(), 0..1_000_000_000_u32, 0..400_000_u64, any::<u64>());
    (who, what, size).prop_map(|((uid, gid, user, group), (path, link, kind, mode, device), (seconds, nanos, stored, size))| {
        let kind = [Kind::File, Kind::Dir, Kind::Symlink, Kind::Hardlink, Kind::Fifo, Kind::Char, Kind::Block][kind];
        let file = kind == Kind::File;
        Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            user,
            group,
            size: if file { size } else { 0 },
            mtime: Mtime(seconds, nanos),
            link: matches!(kind, Kind::Symlink | Kind::Hardlink).then_some(link),
            device: matches!(kind, Kind::Char | Kind::Block).then_some(device),
            class: (file && stored >= 262_144).then_some(Class::Text),
            at: 0,
            data: 0,
            stored: if file { stored } else { 0 },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_read(
        mut entries in prop::collection::vec(arbitrary_entry(), 0..20),
        warnings in prop::collection::vec(".{0,20}", 0..4),
        quarters in 0..1_000_000_u32,
        complete in any::<bool>(),
    ) {
        let mut at = 0;
        for entry in &mut entries {
            (entry.at, entry.data) = (at, at + 512);
            at = (entry.data + entry.stored).next_multiple_of(512);
        }
        at += 1024;
        let frames: Vec<FrameRef> =
            (0..).step_by(1 << 20).take_while(|&start| start < at).map(|start| frame(start as u32, (at - start).min(1 << 20) as u32)).collect();
        let quiesced = vec![Quiesced { project: "p".to_owned(), seconds: f64::from(quarters) / 4.0 }];
        let end = End { warnings, quiesced, complete, ..end(&entries, &frames) };
        let object = write(&head(), &entries, &frames, &end).unwrap();
        let (_, read) = lines(&object).unwrap();
        prop_assert_eq!(read, lines_of(&entries, &frames, &end));
        prop_assert_eq!(Manifest::read(&object).unwrap().frames, frames);
    }

    /// A line that is read without serde is what serde reads, whatever became of it on the way.
    #[test]
    fn the_short_way_reads_what_the_long_way_reads(
        entry in arbitrary_entry(),
        frame in (any::<[u8; 32]>(), any::<u32>(), any::<u32>()),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[],:-+.0123456789eE \n"[..])],
    ) {
        let frame = FrameRef { id: FrameId::from_bytes(frame.0), raw: frame.1, len: frame.2 };
        for line in [Line::Entry(entry), Line::Frame(frame)] {
            let good = serde_json::to_vec(&line).unwrap();
            // Only what needs an escape, or is no text, goes the long way.
            let usual = !good.contains(&b'\\') && !good.windows(5).any(|bytes| bytes == b"\"hex\"");
            prop_assert_eq!(usual, plain::entry(&good).is_some() || plain::frame(&good).is_some());
            let (mut other, mut longer) = (good.clone(), good.clone());
            let at = at.index(good.len());
            other[at] = byte;
            longer.insert(at, byte);
            let shorter = [&good[..at], &good[at + 1..]].concat();
            for text in [good, other, longer, shorter] {
                if let Some(facts) = plain::entry(&text) {
                    let Line::Entry(entry) = serde_json::from_slice(&text).unwrap() else { panic!("{text:?}") };
                    prop_assert_eq!(facts, plain::Facts::of(&entry));
                }
                if let Some(frame) = plain::frame(&text) {
                    prop_assert_eq!(serde_json::from_slice::<Line>(&text).unwrap(), Line::Frame(frame));
                }
            }
        }
    }
}
