//! An archive as a Pi would make it that has fallen into bad hands: every checksum fits, and what it says is a lie.

use std::path::Path;

use offsite_archive::{FrameId, FrameRef, FramesDigest, Line, Manifest, ManifestWriter, compress, decode, write_tail};

/// Makes the archive `archive` of the agent's repository at `repository` another one: `stream` changes the raw tar stream, not its
/// length. Frames, sums and tail are made to fit.
pub fn forge(repository: &Path, archive: &str, stream: impl Fn(&mut [u8])) {
    let file = repository.join("archives").join(format!("{archive}.tar.zst"));
    let object = repository.join("manifests").join(format!("{archive}.zst"));
    let (bytes, old) = (std::fs::read(&file).unwrap(), std::fs::read(&object).unwrap());
    let manifest = Manifest::read(&old).unwrap();
    let mut raw = Vec::new();
    for (frame, at) in manifest.frames.iter().zip(manifest.frame_offsets()) {
        let at = usize::try_from(at).unwrap();
        raw.extend(decode(&bytes[at..at + frame.len as usize], &frame.id, frame.raw).unwrap());
    }
    stream(&mut raw);

    let (mut out, mut frames, mut rest) = (Vec::new(), Vec::new(), raw.as_slice());
    for frame in &manifest.frames {
        let (own, after) = rest.split_at(frame.raw as usize);
        let encoded = compress(own, 3).unwrap();
        frames.push(FrameRef { id: FrameId::of(own), raw: frame.raw, len: u32::try_from(encoded.len()).unwrap() });
        out.extend(encoded);
        rest = after;
    }
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.head(&manifest.head).unwrap();
    let mut fitting = frames.iter();
    let mut new = Vec::new();
    for next in Manifest::entries(&old).unwrap() {
        match next.unwrap() {
            Line::Head(_) => {}
            Line::Entry(entry) => writer.entry(&entry).unwrap(),
            Line::Frame(_) => writer.frame(fitting.next().unwrap()).unwrap(),
            Line::End(mut end) => {
                let mut bound = FramesDigest::new();
                frames.iter().for_each(|frame| bound.push(&frame.id, frame.raw));
                let stream = manifest.head.version == 1;
                (end.bytes, end.digest) = (out.len() as u64, if stream { FrameId::of(&raw) } else { bound.finish() });
                new = writer.end(&end).unwrap();
                break;
            }
        }
    }
    write_tail(&mut out, frames.iter().map(|frame| (frame.len, frame.raw)), &new).unwrap();
    std::fs::write(file, out).unwrap();
    std::fs::write(object, new).unwrap();
}

/// Gives the member called `from` in a raw tar stream the name `to`, as short at most, wherever its header has it, and makes the
/// header's checksum fit.
///
/// # Panics
/// If there is no such member.
pub fn rename_in_tar(raw: &mut [u8], from: &[u8], to: &[u8]) {
    let mut renamed = 0;
    for at in (0..raw.len()).step_by(512) {
        let header = &mut raw[at..at + 512];
        if &header[257..262] != b"ustar" || !header.starts_with(from) || header[from.len()] != 0 {
            continue;
        }
        header[..from.len()].fill(0);
        header[..to.len()].copy_from_slice(to);
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        renamed += 1;
    }
    assert_eq!(renamed, 1, "{:?}", String::from_utf8_lossy(from));
}
