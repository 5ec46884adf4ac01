//! Manifests of version 2: the same archive bound by its frames, and each way in which the binding can be wrong.

use std::{collections::BTreeSet, fs};

use offsite_archive::{FrameId, Manifest, ManifestReader};

use crate::{bad::object, listing, make, making, root, small, stream_of, vector};

/// Each file, and how its refusal begins.
const DEFECTS: [(&str, &str); 6] = [
    ("v2/manifest/bad-digest.zst", "check the manifest's end line: it states the digest 0000"),
    ("v2/manifest/bad-digest-of-the-stream.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-frame-order.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-frame-raw.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-version-0.zst", "read the manifest: its format version is 0"),
    ("v2/manifest/bad-version-3.zst", "read the manifest: its format version is 3"),
];

#[test]
fn the_archive_of_version_2_reads_as_ever() {
    let (file, object) = (vector("v2/archive/small.tar.zst"), vector("v2/archive/small.manifest.zst"));
    let stream = stream_of(&file, &object);
    assert_eq!(listing(&object, &stream), String::from_utf8(vector("v2/archive/small.listing")).unwrap());
    assert!(vector("v2/manifest/good.zst") == object);
}

#[test]
fn both_versions_hold_the_same_frames() {
    let [one, two] = ["v1", "v2"].map(|version| Manifest::read(&vector(&format!("{version}/archive/small.manifest.zst"))).unwrap());
    assert_eq!((one.head.version, two.head.version), (1, 2));
    let ids = |manifest: &Manifest| manifest.frames.iter().map(|frame| (frame.id, frame.raw)).collect::<Vec<_>>();
    assert_eq!(ids(&one), ids(&two));
    assert_ne!(one.end.digest, two.end.digest);
    // Spelt out, not by the library: 32 bytes of id and 4 of raw length, little-endian, for each frame.
    let bytes: Vec<u8> = ids(&two).iter().flat_map(|(id, raw)| id.as_bytes().iter().copied().chain(raw.to_le_bytes())).collect();
    assert_eq!(two.end.digest, FrameId::of(&bytes));
}

#[test]
fn each_manifest_that_is_bound_wrongly_is_refused_for_it() {
    for (name, reason) in DEFECTS {
        let object = vector(name);
        let whole = Manifest::read(&object).map(|_| ()).expect_err(name).to_string();
        assert!(whole.starts_with(reason), "{name}: {whole}");
        let streamed = ManifestReader::new(&object[..]).and_then(|reader| reader.collect::<Result<Vec<_>, _>>()).expect_err(name);
        assert_eq!(streamed.to_string(), whole, "{name}");
    }
    let files: BTreeSet<String> = fs::read_dir(root().join("v2/manifest"))
        .unwrap()
        .map(|entry| format!("v2/manifest/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert_eq!(files, DEFECTS.iter().map(|(name, _)| (*name).to_owned()).chain(["v2/manifest/good.zst".to_owned()]).collect());
}

#[test]
#[ignore = "makes vectors"]
fn make_version_2() {
    if !making() {
        return;
    }
    let small = small::of_version(2);
    make("v2/archive/small.tar.zst", &small.file);
    make("v2/archive/small.manifest.zst", &small.manifest);
    make("v2/archive/small.listing", listing(&small.manifest, &small.stream).as_bytes());
    make("v2/manifest/good.zst", &small.manifest);

    let text = String::from_utf8(zstd::stream::decode_all(&small.manifest[..]).unwrap()).unwrap();
    let bad = |defect: &str, text: &str| make(&format!("v2/manifest/bad-{defect}.zst"), &object(text.as_bytes(), 20));
    let change = |defect: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{defect}: {from}");
        bad(defect, &text.replacen(from, to, 1));
    };
    let digest = Manifest::read(&small.manifest).unwrap().end.digest.to_string();
    change("digest", &digest, &"0".repeat(64));
    change("digest-of-the-stream", &digest, &FrameId::of(&small.stream).to_string());
    change("version-0", "{\"version\":2,", "{\"version\":0,");
    change("version-3", "{\"version\":2,", "{\"version\":3,");

    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let frames: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].starts_with("{\"frame\"")).collect();
    let (first, second) = (frames[0], frames[1]);
    lines.swap(first, second);
    bad("frame-order", &(lines.join("\n") + "\n"));
    lines.swap(first, second);
    // One byte moves from the second frame to the first: all sums stay.
    for (at, less) in [(first, -1), (second, 1)] {
        let (before, rest) = lines[at].split_once("\"raw\":").unwrap();
        let (raw, after) = rest.split_once(',').unwrap();
        lines[at] = format!("{before}\"raw\":{},{after}", raw.parse::<i64>().unwrap() - less);
    }
    bad("frame-raw", &(lines.join("\n") + "\n"));
}
