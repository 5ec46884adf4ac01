//! A small archive made by hand, of constant bytes: ustar headers, `Cutter`, frames, manifest, tail. It shows the format without
//! walking any folder, so nothing of the machine it is made on gets in.
#![allow(dead_code, reason = "each test program uses some of it")]

use offsite_archive::{
    Chunker, Class, Compressor, Cutter, End, Entry, FrameId, FrameRef, FramesDigest, Head, Kind, LARGE_MIN, MANIFEST_VERSION,
    ManifestWriter, Mtime, PathText, classify, write_tail,
};

/// The plain file, its manifest object and the raw stream.
pub(crate) struct Small {
    pub(crate) file: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) stream: Vec<u8>,
}

/// Members in stream order: name in the tar, kind, content or link target.
pub(crate) fn members() -> Vec<(&'static str, Kind, Vec<u8>)> {
    let dump: String = (0..7000).map(|row| format!("insert into reading values ({row}, '{}');\n", row * 7919 % 1000)).collect();
    let mut library = b"SQLite format 3\0".to_vec();
    library.extend((0..300_000_u32).map(|place| (place / 4096) as u8));
    vec![
        ("srv/demo/", Kind::Dir, vec![]),
        ("srv/demo/dump.sql", Kind::File, dump.into_bytes()),
        ("srv/demo/empty", Kind::File, vec![]),
        ("srv/demo/hello.txt", Kind::File, b"hello, offsite\n".to_vec()),
        ("srv/demo/library.db", Kind::File, library),
        ("srv/demo/link", Kind::Symlink, b"hello.txt".to_vec()),
        ("srv/demo/second", Kind::Hardlink, b"srv/demo/hello.txt".to_vec()),
    ]
}

const MTIME: i64 = 1_700_000_000;

/// A ustar header of one block.
fn header(name: &str, kind: Kind, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let (letter, mode, link, size) = match kind {
        Kind::Dir => (b'5', "0000755\0", &b""[..], 0),
        Kind::Symlink => (b'2', "0000777\0", content, 0),
        Kind::Hardlink => (b'1', "0000644\0", content, 0),
        _ => (b'0', "0000644\0", &b""[..], content.len()),
    };
    put(0, name.as_bytes());
    put(100, mode.as_bytes());
    put(108, b"0001750\0");
    put(116, b"0001750\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{MTIME:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[letter]);
    put(157, link);
    put(257, b"ustar\x0000");
    put(265, b"owner\0");
    put(297, b"group\0");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The archive as it is written now.
pub(crate) fn small() -> Small {
    of_version(MANIFEST_VERSION)
}

/// The archive with a manifest of that version: the same frames, bound otherwise.
pub(crate) fn of_version(version: u32) -> Small {
    let (mut file, mut stream, mut frames, mut entries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut compressor = Compressor::new(3).unwrap();
    let mut cutter = Cutter::new(|raw: &[u8]| {
        let frame = compressor.compress(raw)?;
        stream.extend_from_slice(raw);
        file.extend_from_slice(&frame);
        frames.push(FrameRef { id: FrameId::of(raw), raw: raw.len() as u32, len: frame.len() as u32 });
        Ok::<(), offsite_archive::FrameError>(())
    });
    let mut at = 0_u64;
    for (name, kind, content) in members() {
        let header = header(name, kind, &content);
        let data = if kind == Kind::File { &content[..] } else { b"" };
        let stored = data.len() as u64;
        let padding = (stored.next_multiple_of(512) - stored) as usize;
        let class = (stored >= LARGE_MIN).then(|| classify(name.as_bytes(), data));
        cutter.header(&header).unwrap();
        match class {
            Some(class) => {
                cutter.large_begin(class).unwrap();
                cutter.large(data).unwrap();
                cutter.large_end(padding).unwrap();
            }
            None => {
                cutter.small(data).unwrap();
                cutter.small(&vec![0; padding]).unwrap();
            }
        }
        cutter.member_end(name.strip_prefix("srv/demo/").unwrap().as_bytes()).unwrap();
        entries.push(entry(name, kind, &content, class, at));
        at += 512 + stored + padding as u64;
    }
    cutter.header(&[0; 1024]).unwrap();
    let _ = cutter.finish().unwrap();

    let manifest = manifest(version, &entries, &frames, &stream);
    write_tail(&mut file, frames.iter().map(|frame| (frame.len, frame.raw)), &manifest).unwrap();
    Small { file, manifest, stream }
}

fn entry(name: &str, kind: Kind, content: &[u8], class: Option<Class>, at: u64) -> Entry {
    let absolute = |name: &[u8]| PathText([b"/", name].concat());
    let stored = if kind == Kind::File { content.len() as u64 } else { 0 };
    Entry {
        path: absolute(name.trim_end_matches('/').as_bytes()),
        kind,
        mode: match kind {
            Kind::Dir => 0o755,
            Kind::Symlink => 0o777,
            _ => 0o644,
        },
        uid: 1000,
        gid: 1000,
        user: "owner".to_owned(),
        group: "group".to_owned(),
        size: stored,
        mtime: Mtime(MTIME, 0),
        link: match kind {
            Kind::Symlink => Some(PathText(content.to_vec())),
            Kind::Hardlink => Some(absolute(content)),
            _ => None,
        },
        device: None,
        class,
        at,
        data: at + 512,
        stored,
    }
}

fn manifest(version: u32, entries: &[Entry], frames: &[FrameRef], stream: &[u8]) -> Vec<u8> {
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer
        .head(&Head {
            version,
            archive: "demo/2026-11-22T040000Z".parse().unwrap(),
            sequence: 1_795_320_000,
            host: "pi".to_owned(),
            agent: "0.1.0".to_owned(),
            sources: vec![PathText(b"/srv/demo".to_vec())],
            chunker: Chunker::files_1(),
        })
        .unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    frames.iter().for_each(|frame| writer.frame(frame).unwrap());
    let end = End {
        entries: entries.len() as u64,
        frames: frames.len() as u64,
        raw: stream.len() as u64,
        bytes: frames.iter().map(|frame| u64::from(frame.len)).sum(),
        digest: if version == 1 { FrameId::of(stream) } else { frames_digest(frames) },
        finished: "2026-11-22T04:00:03Z".parse().unwrap(),
        quiesced: vec![],
        warnings: vec![],
        complete: true,
    };
    writer.end(&end).unwrap()
}

pub(crate) fn frames_digest(frames: &[FrameRef]) -> FrameId {
    let mut digest = FramesDigest::new();
    frames.iter().for_each(|frame| digest.push(&frame.id, frame.raw));
    digest.finish()
}
