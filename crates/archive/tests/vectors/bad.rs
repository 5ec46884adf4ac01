//! Manifests: one that is good, and for each defect one that must be refused for that defect. In those of version 2 it is the binding of the
//! frames that is wrong.

use std::{collections::BTreeSet, fs};

use offsite_archive::{Manifest, ManifestReader};

use crate::{root, vector};

/// Each file, and how its refusal begins. The one of another version says 2, which now is one: its digest is none of that version.
const DEFECTS: [(&str, &str); 33] = [
    ("v1/manifest/bad-bomb.zst", "inflate the manifest: "),
    ("v1/manifest/bad-checksum.zst", "read the manifest: "),
    ("v1/manifest/bad-cut-short.zst", "read the manifest: "),
    ("v1/manifest/bad-empty.zst", "read the manifest: it ends before its end line"),
    ("v1/manifest/bad-entry-before-its-turn.zst", "read the manifest's entry /srv/demo/empty: begins before"),
    ("v1/manifest/bad-entry-beyond-the-stream.zst", "check the manifest's end line: the last entry ends"),
    ("v1/manifest/bad-entry-link.zst", "read the manifest's entry /srv/demo/link: link belongs"),
    ("v1/manifest/bad-entry-mode.zst", "read the manifest's entry /srv/demo: mode"),
    ("v1/manifest/bad-entry-relative.zst", "read the manifest's entry srv/demo: path is not absolute"),
    ("v1/manifest/bad-entry-upwards.zst", "read the manifest's entry /srv/../demo: path goes upwards"),
    ("v1/manifest/bad-frame-id.zst", "read line 9 of the manifest: "),
    ("v1/manifest/bad-frame-len-too-long.zst", "read the manifest's frame 0: len"),
    ("v1/manifest/bad-frame-raw-too-long.zst", "read the manifest's frame 0: raw"),
    ("v1/manifest/bad-frame-raw-zero.zst", "read the manifest's frame 0: raw"),
    ("v1/manifest/bad-hex-of-utf-8.zst", "read line 3 of the manifest: "),
    ("v1/manifest/bad-line-not-json.zst", "read line 2 of the manifest: "),
    ("v1/manifest/bad-line-too-long.zst", "read line 2 of the manifest: it is longer"),
    ("v1/manifest/bad-line-unknown.zst", "read line 2 of the manifest: "),
    ("v1/manifest/bad-no-end.zst", "read the manifest: it ends before its end line"),
    ("v1/manifest/bad-no-head.zst", "read line 1 of the manifest: the head"),
    ("v1/manifest/bad-sum-entries.zst", "check the manifest's end line: it states 8 entries"),
    ("v1/manifest/bad-sum-frames.zst", "check the manifest's end line: it states 99 frames"),
    ("v1/manifest/bad-trailing-bytes.zst", "read the manifest: something follows"),
    ("v1/manifest/bad-trailing-line.zst", "read the manifest: something follows"),
    ("v1/manifest/bad-two-heads.zst", "read line 2 of the manifest: the head"),
    ("v1/manifest/bad-version.zst", "check the manifest's end line: it states the digest "),
    ("v1/manifest/bad-window.zst", "read the manifest: "),
    ("v2/manifest/bad-digest.zst", "check the manifest's end line: it states the digest 0000"),
    ("v2/manifest/bad-digest-of-the-stream.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-frame-order.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-frame-raw.zst", "check the manifest's end line: it states the digest "),
    ("v2/manifest/bad-version-0.zst", "read the manifest: its format version is 0"),
    ("v2/manifest/bad-version-3.zst", "read the manifest: its format version is 3"),
];

#[test]
fn the_good_manifest_is_read() {
    let object = vector("v1/manifest/good.zst");
    let manifest = Manifest::read(&object).unwrap();
    assert_eq!(manifest.head.archive.to_string(), "demo/2026-11-22T040000Z");
    assert_eq!(manifest.end.entries, 7);
    assert!(object == vector("v1/archive/small.manifest.zst"));
}

#[test]
fn each_bad_manifest_is_refused_for_its_defect() {
    for (name, reason) in DEFECTS {
        let object = vector(name);
        let whole = Manifest::read(&object).map(|_| ()).expect_err(name).to_string();
        assert!(whole.starts_with(reason), "{name}: {whole}");
        let streamed = ManifestReader::new(&object[..]).and_then(|reader| reader.collect::<Result<Vec<_>, _>>()).expect_err(name);
        assert_eq!(streamed.to_string(), whole, "{name}");
    }
    let files = |version: &str| {
        let names = fs::read_dir(root().join(version).join("manifest")).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| format!("{version}/manifest/{}", name.to_str().unwrap())).collect::<Vec<_>>()
    };
    let good = ["v1/manifest/good.zst", "v2/manifest/good.zst"];
    assert_eq!(
        ["v1", "v2"].into_iter().flat_map(files).collect::<BTreeSet<_>>(),
        DEFECTS.iter().map(|(name, _)| *name).chain(good).map(str::to_owned).collect()
    );
}
