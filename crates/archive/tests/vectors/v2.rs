//! Manifests of version 2: the same archive bound by its frames.

use offsite_archive::{FrameId, Manifest};

use crate::{listing, stream_of, vector};

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
