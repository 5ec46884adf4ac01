//! Manifests: one that is good, and for each defect one that must be refused for that defect.

use std::{collections::BTreeSet, fs, io::Write};

use offsite_archive::{Manifest, ManifestReader};

use crate::{make, making, root, small, vector};

/// Each file, and how its refusal begins. The one of another version says 2, which now is one: its digest is none of that version.
const DEFECTS: [(&str, &str); 27] = [
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
    let files: BTreeSet<String> = fs::read_dir(root().join("v1/manifest"))
        .unwrap()
        .map(|entry| format!("v1/manifest/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert_eq!(files, DEFECTS.iter().map(|(name, _)| (*name).to_owned()).chain(["v1/manifest/good.zst".to_owned()]).collect());
}

pub(crate) fn object(text: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bad(defect: &str, object: &[u8]) {
    make(&format!("v1/manifest/bad-{defect}.zst"), object);
}

#[test]
#[ignore = "makes vectors"]
fn make_manifests() {
    if !making() {
        return;
    }
    let good = small::of_version(1).manifest;
    make("v1/manifest/good.zst", &good);
    bad("cut-short", &good[..good.len() / 2]);
    bad("trailing-bytes", &[&good[..], b"x"].concat());
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    bad("checksum", &damaged);

    let text = String::from_utf8(zstd::stream::decode_all(&good[..]).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    bad("empty", &object(b"", 20));
    bad("window", &object(text.as_bytes(), 24));
    bad("no-end", &object((lines[..lines.len() - 1].join("\n") + "\n").as_bytes(), 20));
    bad("no-head", &object((lines[1..].join("\n") + "\n").as_bytes(), 20));
    bad("trailing-line", &object((text.clone() + lines[1] + "\n").as_bytes(), 20));
    let second = |line: &str| object(format!("{}\n{line}\n", lines[0]).as_bytes(), 20);
    bad("two-heads", &second(lines[0]));
    bad("line-not-json", &second("{\"frame\":"));
    bad("line-unknown", &second("{\"note\":{}}"));
    bad("line-too-long", &second(&" ".repeat((8 << 20) + 1)));

    let change = |defect: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{defect}: {from}");
        bad(defect, &object(text.replacen(from, to, 1).as_bytes(), 20));
    };
    change("version", "{\"version\":1,", "{\"version\":2,");
    change("entry-relative", "\"path\":\"/srv/demo\"", "\"path\":\"srv/demo\"");
    change("entry-upwards", "\"path\":\"/srv/demo\"", "\"path\":\"/srv/../demo\"");
    change("entry-mode", "\"mode\":493", "\"mode\":33261");
    change("entry-link", ",\"link\":\"hello.txt\"", "");
    change("hex-of-utf-8", "\"path\":\"/srv/demo/dump.sql\"", "\"path\":{\"hex\":\"2f61\"}");
    let (_, empty) = lines[3].split_once("\"at\":").unwrap();
    change("entry-before-its-turn", &format!("\"at\":{empty}"), "\"at\":512,\"data\":1024}}");
    let (_, last) = lines[7].split_once("\"at\":").unwrap();
    change("entry-beyond-the-stream", &format!("\"at\":{last}"), "\"at\":1073741824,\"data\":1073742336}}");
    let frame: Vec<&str> = lines[8].split("\"raw\":").collect();
    let id = frame[0].split('"').nth(5).unwrap();
    change("frame-id", id, &id.to_uppercase());
    let (raw, len) = frame[1].trim_end_matches('}').split_once(",\"len\":").unwrap();
    change("frame-raw-zero", &format!("\"raw\":{raw},\"len\":{len}"), &format!("\"raw\":0,\"len\":{len}"));
    change("frame-raw-too-long", &format!("\"raw\":{raw},\"len\":{len}"), &format!("\"raw\":4194305,\"len\":{len}"));
    change("frame-len-too-long", &format!("\"raw\":{raw},\"len\":{len}"), &format!("\"raw\":{raw},\"len\":4294967295"));
    change("sum-entries", "\"entries\":7", "\"entries\":8");
    let (before, _) = lines[lines.len() - 1].split_once(",\"raw\":").unwrap();
    let (_, frames) = before.split_once("\"frames\":").unwrap();
    change("sum-frames", &format!("\"frames\":{frames},"), "\"frames\":99,");

    let long = lines[1].replace("\"user\":\"owner\"", &format!("\"user\":\"{}\"", "u".repeat(4 << 20)));
    let mut bomb = lines[0].to_owned() + "\n";
    for number in 0..24 {
        bomb += &(long.replace("\"at\":0,\"data\":512", &format!("\"at\":{},\"data\":{}", 512 * number, 512 * number + 512)) + "\n");
    }
    bad("bomb", &object(bomb.as_bytes(), 20));
}
