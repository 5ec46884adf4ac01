use std::io::{self, Write};

use super::*;
use crate::{FrameId, MAX_FRAME_RAW, max_frame_len};

fn path(text: &str) -> PathText {
    PathText(text.as_bytes().to_vec())
}

pub(super) fn head() -> Head {
    Head {
        version: MANIFEST_VERSION,
        archive: "services/2026-11-22T040000Z".parse().unwrap(),
        sequence: 1_795_320_000,
        host: "pi".to_owned(),
        agent: "0.1.0".to_owned(),
        sources: vec![path("/srv/services"), path("/etc/ssh")],
        chunker: Chunker::files_1(),
    }
}

pub(crate) fn entry(at: u64, stored: u64) -> Entry {
    Entry {
        path: path("/srv/services/a"),
        kind: Kind::File,
        mode: 0o640,
        uid: 472,
        gid: 0,
        user: "grafana".to_owned(),
        group: String::new(),
        size: stored,
        mtime: Mtime(-5, 999_999_999),
        link: None,
        device: None,
        class: None,
        at,
        data: at + 512,
        stored,
    }
}

pub(super) fn frame(seed: u32, raw: u32) -> FrameRef {
    FrameRef { id: FrameId::of(&seed.to_le_bytes()), raw, len: raw / 2 + 9 }
}

pub(super) fn end(entries: &[Entry], frames: &[FrameRef]) -> End {
    let mut digest = FramesDigest::new();
    frames.iter().for_each(|frame| digest.push(&frame.id, frame.raw));
    End {
        entries: entries.len() as u64,
        frames: frames.len() as u64,
        raw: frames.iter().map(|frame| u64::from(frame.raw)).sum(),
        bytes: frames.iter().map(|frame| u64::from(frame.len)).sum(),
        digest: digest.finish(),
        finished: "2026-11-22T04:01:07.5Z".parse().unwrap(),
        quiesced: vec![Quiesced { project: "grafana".to_owned(), seconds: 12.25 }],
        warnings: vec!["socket skipped: /srv/services/a/s\u{1b}\n".to_owned()],
        complete: true,
    }
}

/// One of each kind, and a path that is not UTF-8.
fn sample() -> (Vec<Entry>, Vec<FrameRef>) {
    let bare = |number: u64, kind, link: Option<&str>, device| Entry {
        path: PathText([b"/srv/\xff".as_slice(), &[b'a' + number as u8]].concat()),
        kind,
        size: 0,
        stored: 0,
        link: link.map(path),
        device,
        ..entry(512 * number, 0)
    };
    let mut entries = vec![
        bare(0, Kind::Dir, None, None),
        bare(1, Kind::Symlink, Some("../b"), None),
        bare(2, Kind::Hardlink, Some("/srv/x"), None),
        bare(3, Kind::Fifo, None, None),
        bare(4, Kind::Char, None, Some((1, 3))),
        bare(5, Kind::Block, None, Some((8, 0))),
    ];
    entries.push(Entry { class: Some(Class::Page), ..entry(3072, 300_000) });
    (entries, vec![frame(0, 3584), frame(1, 300_032), frame(2, 1024)])
}

pub(super) fn write(head: &Head, entries: &[Entry], frames: &[FrameRef], end: &End) -> io::Result<Vec<u8>> {
    let mut writer = ManifestWriter::new(Vec::new())?;
    writer.head(head)?;
    entries.iter().try_for_each(|entry| writer.entry(entry))?;
    frames.iter().try_for_each(|frame| writer.frame(frame))?;
    writer.end(end)
}

fn sample_object() -> Vec<u8> {
    let (entries, frames) = sample();
    write(&head(), &entries, &frames, &end(&entries, &frames)).unwrap()
}

pub(super) fn lines(object: &[u8]) -> Result<(Head, Vec<Line>), ManifestError> {
    let reader = ManifestReader::new(object)?;
    let head = reader.head().clone();
    Ok((head, reader.collect::<Result<_, _>>()?))
}

pub(super) fn lines_of(entries: &[Entry], frames: &[FrameRef], end: &End) -> Vec<Line> {
    let lines = entries.iter().cloned().map(Line::Entry).chain(frames.iter().copied().map(Line::Frame));
    lines.chain([Line::End(end.clone())]).collect()
}

/// How a reader refuses what the writer, asked to write it, refuses alike.
fn refused_alike(entries: &[Entry], frames: &[FrameRef], end: &End) -> ManifestError {
    let error = write(&head(), entries, frames, end).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let body: String = lines_of(entries, frames, end).iter().map(json).collect();
    let refusal = refusal(&object(&(json(&Line::Head(head())) + &body)));
    assert_eq!(error.to_string(), refusal.to_string());
    refusal
}

/// An object of any text, right or wrong.
fn object(text: &str) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn json(line: &Line) -> String {
    serde_json::to_string(line).unwrap() + "\n"
}

fn refusal(object: &[u8]) -> ManifestError {
    let streamed = lines(object).unwrap_err();
    let whole = Manifest::read(object).unwrap_err();
    assert_eq!(streamed.to_string(), whole.to_string());
    whole
}

#[test]
fn every_kind_comes_back() {
    let (entries, frames) = sample();
    let end = end(&entries, &frames);
    let object = write(&head(), &entries, &frames, &end).unwrap();
    assert_eq!(lines(&object).unwrap(), (head(), lines_of(&entries, &frames, &end)));
    let manifest = Manifest::read(&object).unwrap();
    assert_eq!(manifest.frame_offsets().collect::<Vec<_>>(), [0, 1801, 1801 + 150_025]);
    assert_eq!(manifest, Manifest { head: head(), frames, end });
    assert_eq!(Manifest::entries(&object).unwrap().filter(|line| matches!(line, Ok(Line::Entry(_)))).count(), 7);
}

#[test]
fn the_text_is_what_the_specification_shows() {
    let text = [
        r#"{"head":{"version":2,"archive":"services/2026-11-22T040000Z","sequence":1795320000,"host":"pi","agent":"0.1.0","sources":["/srv/services","/etc/ssh"],"chunker":{"id":"files-1","page":65536,"text":[16384,65536,262144],"data":[262144,1048576,4194304],"bundle":[114688,524288]}}}"#,
        r#"{"entry":{"path":{"hex":"2f7372762fff61"},"kind":"dir","mode":416,"uid":472,"gid":0,"user":"grafana","mtime":[-5,999999999],"at":0,"data":512}}"#,
        r#"{"entry":{"path":"/srv/services/a","kind":"file","mode":416,"uid":472,"gid":0,"user":"grafana","size":300000,"mtime":[-5,999999999],"class":"page","at":3072,"data":3584,"stored":300000}}"#,
        r#"{"frame":{"id":"ec2bd03bf86b935fa34d71ad7ebb049f1f10f87d343e521511d8f9e6625620cd","raw":3584,"len":1801}}"#,
    ];
    let inflated = String::from_utf8(zstd::stream::decode_all(&sample_object()[..]).unwrap()).unwrap();
    let written: Vec<&str> = inflated.lines().collect();
    assert_eq!([written[0], written[1], written[7], written[8]], text);
    assert!(inflated.ends_with("\"complete\":true}}\n"), "{}", written[written.len() - 1]);
}

#[test]
fn cut_short_at_any_byte_it_is_refused() {
    let object = sample_object();
    for length in 0..object.len() {
        assert!(Manifest::read(&object[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn with_any_bit_changed_it_is_refused_or_equal() {
    let object = sample_object();
    let good = lines(&object).unwrap();
    let mut equal = Vec::new();
    for bit in 0..8 * object.len() {
        let mut damaged = object.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = lines(&damaged) {
            assert!(read == good, "bit {bit}");
            equal.push(bit);
        }
    }
    // zstd itself ignores a few: the window's size, an unused flag, the rests of its bit streams.
    assert!(equal.len() * 100 < 8 * object.len(), "{equal:?} of {} bits mean nothing", 8 * object.len());
}

#[test]
fn nothing_may_stand_around_it() {
    let good = sample_object();
    assert!(matches!(refusal(&[&good[..], b"x"].concat()), ManifestError::Trailing));
    assert!(matches!(refusal(&[&good[..], &good].concat()), ManifestError::Trailing));
    assert!(matches!(refusal(&[&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &good[..]].concat()), ManifestError::Truncated));
    let text = String::from_utf8(zstd::stream::decode_all(&good[..]).unwrap()).unwrap();
    for tail in ["\n", " ", "{}\n", text.as_str()] {
        assert!(matches!(refusal(&object(&(text.clone() + tail))), ManifestError::Trailing), "{tail:?}");
    }
    assert!(matches!(refusal(&object(text.trim_end())), ManifestError::Truncated), "no last newline");
}

#[test]
fn the_order_of_lines_is_kept() {
    let (_, frames) = sample();
    let head_line = json(&Line::Head(head()));
    let end_line = json(&Line::End(end(&[], &frames[..1])));
    let frame_line = json(&Line::Frame(frames[0]));
    assert!(matches!(refusal(&object(&(head_line.clone() + &frame_line + &head_line))), ManifestError::Head { line: 3 }));
    assert!(matches!(refusal(&object("\n")), ManifestError::Line { line: 1, .. }));
    assert!(matches!(refusal(&object(&(head_line.clone() + "\n" + &end_line))), ManifestError::Line { line: 2, .. }));
    assert!(Manifest::read(&object(&(head_line + &frame_line + &end_line))).is_ok());
}

#[test]
fn a_later_version_is_called_that_whatever_its_shape() {
    for text in
        ["{\"head\":{\"version\":3}}\n", "{\"head\":{\"version\":3,\"archive\":7}}\n", &json(&Line::Head(Head { version: 3, ..head() }))]
    {
        assert!(matches!(refusal(&object(text)), ManifestError::Version(3)), "{text}");
    }
    assert!(matches!(refusal(&object("{\"head\":{\"version\":0}}\n")), ManifestError::Version(0)));
    for known in ["{\"head\":{\"version\":1}}\n", "{\"head\":{\"version\":2}}\n"] {
        assert!(matches!(refusal(&object(known)), ManifestError::Line { line: 1, .. }), "{known}");
    }
    assert!(ManifestWriter::new(Vec::new()).unwrap().head(&Head { version: 3, ..head() }).is_err());
}

#[test]
fn a_digest_that_is_not_of_its_frames_is_refused_from_version_2_on() {
    let (entries, frames) = sample();
    let good = end(&entries, &frames);
    let stated = FrameId::of(b"the stream");
    let other = End { digest: stated, ..good.clone() };
    let refused = refused_alike(&entries, &frames, &other);
    assert!(matches!(refused, ManifestError::Digest { stated: says, found } if says == stated && found == good.digest));
    // Frames in another order, with all sums as before.
    let turned = [frames[1], frames[0], frames[2]];
    assert!(write(&head(), &entries, &turned, &good).is_err());
    // Version 1 states the digest of a stream that is not seen here.
    let old = Head { version: 1, ..head() };
    let object = write(&old, &entries, &frames, &other).unwrap();
    assert_eq!(Manifest::read(&object).unwrap(), Manifest { head: old, frames, end: other });
}

#[test]
fn sums_that_do_not_agree_are_refused() {
    let (entries, frames) = sample();
    let good = end(&entries, &frames);
    let refuse = |end: End| refused_alike(&entries, &frames, &end);
    assert!(matches!(refuse(End { entries: 8, ..good.clone() }), ManifestError::Sum { what: "entries", counted: 7, stated: 8 }));
    assert!(matches!(refuse(End { frames: 2, ..good.clone() }), ManifestError::Sum { what: "frames", .. }));
    assert!(matches!(refuse(End { raw: good.raw + 1, ..good.clone() }), ManifestError::Sum { what: "raw bytes", .. }));
    assert!(matches!(refuse(End { bytes: 0, ..good.clone() }), ManifestError::Sum { what: "frame bytes", .. }));
    let negative = vec![Quiesced { project: "p".to_owned(), seconds: -1.0 }];
    assert!(matches!(refuse(End { quiesced: negative, ..good.clone() }), ManifestError::Seconds));
    let nothing = vec![Quiesced { project: "p".to_owned(), seconds: f64::NAN }];
    assert!(write(&head(), &entries, &frames, &End { quiesced: nothing, ..good }).is_err());
    let outside = [entry(0, 4000)];
    let frames = [frame(0, 4608 - 512)];
    let error = write(&head(), &outside, &frames, &end(&outside, &frames)).unwrap_err();
    assert_eq!(error.to_string(), "check the manifest's end line: the last entry ends at byte 4608 of a stream of 4096");
}

#[test]
fn entries_that_break_a_rule_are_refused() {
    let file = || entry(512, 1000);
    let bare = |kind| Entry { kind, size: 0, stored: 0, ..file() };
    let bad = [
        Entry { path: path("srv"), ..file() },
        Entry { path: path(""), ..file() },
        Entry { path: path("/srv/../etc"), ..file() },
        Entry { path: path("/.."), ..file() },
        Entry { path: path("/a\0b"), ..file() },
        Entry { path: path(&"/a".repeat(65_537)), ..file() },
        Entry { link: Some(path(&"a".repeat(131_073))), ..bare(Kind::Symlink) },
        Entry { mode: 0o10000, ..file() },
        Entry { mtime: Mtime(0, 1_000_000_000), ..file() },
        Entry { kind: Kind::Dir, ..file() },
        Entry { class: Some(Class::Data), ..bare(Kind::Fifo) },
        Entry { link: Some(path("/x")), ..file() },
        bare(Kind::Symlink),
        bare(Kind::Hardlink),
        Entry { link: Some(path("")), ..bare(Kind::Symlink) },
        Entry { link: Some(path("a\0")), ..bare(Kind::Symlink) },
        Entry { link: Some(path("../etc")), ..bare(Kind::Hardlink) },
        Entry { link: Some(path("/../etc")), ..bare(Kind::Hardlink) },
        Entry { device: Some((1, 3)), ..file() },
        bare(Kind::Char),
        Entry { at: 0, ..file() },
        Entry { at: 513, ..file() },
        Entry { data: 1025, ..file() },
        Entry { data: 512, ..file() },
        Entry { data: 0, ..file() },
        Entry { stored: u64::MAX, ..file() },
        Entry { at: u64::MAX - 1023, data: u64::MAX - 511, stored: 1, ..file() },
    ];
    let before = json(&Line::Head(head())) + &json(&Line::Entry(entry(0, 0)));
    for bad in bad {
        let shown = json(&Line::Entry(bad.clone()));
        assert!(matches!(refusal(&object(&(before.clone() + &shown))), ManifestError::Entry { .. }), "{shown}");
        let mut writer = ManifestWriter::new(Vec::new()).unwrap();
        writer.head(&head()).unwrap();
        writer.entry(&entry(0, 0)).unwrap();
        assert!(writer.entry(&bad).is_err(), "{shown}");
    }
    let fine = lines(&object(&(before + &json(&Line::Entry(file())))));
    assert!(matches!(fine, Err(ManifestError::Truncated)), "the entry all of these are made of is good");
    let sources = Head { sources: vec![path("relative")], ..head() };
    assert!(matches!(refusal(&object(&json(&Line::Head(sources)))), ManifestError::Entry { .. }));
}

#[test]
fn frames_of_impossible_length_are_refused() {
    let id = FrameId::of(b"");
    let most = max_frame_len(MAX_FRAME_RAW);
    for (raw, len) in [(0, 9), (MAX_FRAME_RAW + 1, 9), (u32::MAX, 9), (1, 0), (MAX_FRAME_RAW, most + 1), (1, 514), (100, u32::MAX)] {
        let text = json(&Line::Head(head())) + &json(&Line::Frame(FrameRef { id, raw, len }));
        assert!(matches!(refusal(&object(&text)), ManifestError::Frame { number: 0, .. }), "{raw} {len}");
    }
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    assert!(writer.frame(&frame(0, 1)).is_err(), "no head yet");
    writer.head(&head()).unwrap();
    assert!(writer.head(&head()).is_err(), "a second head");
    assert!(writer.frame(&FrameRef { id, raw: MAX_FRAME_RAW, len: most }).is_ok());
}

#[test]
fn more_than_any_archive_has_to_say_is_neither_written_nor_read_and_the_most_is() {
    let most = |text: &str, count: usize| vec![text.to_owned(); count];
    let write = |head: &Head, end: &End| write(head, &[], &[], end).map(|_| ()).map_err(|error| error.to_string());
    let read = |head: &Head, end: &End| {
        let text = json(&Line::Head(head.clone())) + &json(&Line::End(end.clone()));
        lines(&object(&text)).map(|_| ()).map_err(|error| error.to_string())
    };
    let (head, end) = (head(), end(&[], &[]));
    let sources = |count| Head { sources: vec![path("/"); count], ..head.clone() };
    let host = |length| Head { host: "h".repeat(length), agent: String::new(), sources: Vec::new(), ..head.clone() };
    let warnings = |text: &str, count| End { warnings: most(text, count), quiesced: Vec::new(), ..end.clone() };
    let quiesced = |count| End { quiesced: vec![Quiesced { project: String::new(), seconds: 1.0 }; count], ..end.clone() };
    let id = head.chunker.id.len();
    for (good, bad, what) in [
        ((sources(4096), end.clone()), (sources(4097), end.clone()), "4096 sources"),
        ((sources(4096), end.clone()), (sources(100_000), end.clone()), "4096 sources"),
        ((host((256 << 10) - id), end.clone()), (host((256 << 10) - id + 1), end.clone()), "262144 bytes of text in its head"),
        ((head.clone(), warnings("", 4096)), (head.clone(), warnings("", 4097)), "4096 warnings"),
        ((head.clone(), warnings("", 4096)), (head.clone(), warnings("", 100_000)), "4096 warnings"),
        ((head.clone(), quiesced(4096)), (head.clone(), quiesced(4097)), "4096 stopped projects"),
        (
            (head.clone(), warnings(&"w".repeat(1 << 10), 1 << 10)),
            (head.clone(), warnings(&"w".repeat((1 << 10) + 1), 1 << 10)),
            "1048576 bytes of text in its end",
        ),
    ] {
        assert_eq!((write(&good.0, &good.1), read(&good.0, &good.1)), (Ok(()), Ok(())), "{what}");
        let refusal = Err(format!("read the manifest: it has more than {what}"));
        assert_eq!((write(&bad.0, &bad.1), read(&bad.0, &bad.1)), (refusal.clone(), refusal));
    }
}

/// A few hundred bytes could list a terabyte of one frame. Counted before the frames are, so that none is needed here.
#[test]
fn a_stream_of_version_1_that_takes_hours_to_read_is_refused() {
    let error = |version, raw| write(&Head { version, ..head() }, &[], &[], &End { raw, ..end(&[], &[]) }).unwrap_err().to_string();
    let long = "read the manifest: it has more than 1099511627776 bytes in a stream of version 1";
    assert_eq!(error(1, (1 << 40) + 1), long);
    assert!([error(1, 1 << 40), error(2, (1 << 40) + 1)].iter().all(|error| error.contains("the lines hold 0")));
}

/// What is refused for its length must not have been taken into memory first.
#[test]
fn no_more_of_a_list_is_kept_than_shows_that_it_is_too_long() {
    let text = json(&Line::Head(Head { sources: vec![path("/"); 100_000], ..head() }));
    let Line::Head(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
    assert_eq!(read.sources.len(), 4097);
    assert!(serde_json::from_str::<Line>(&text.replace(r#"["/","/","#, r#"[7,"/","#)).is_err());
}

#[test]
fn a_line_too_long_to_read_is_not_written() {
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.head(&head()).unwrap();
    assert!(writer.entry(&Entry { user: "u".repeat(9 << 20), ..entry(0, 0) }).is_err());
}
