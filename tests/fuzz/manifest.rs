//! Manifests. Their bytes end with a checksum, so most hurt is done to the lines inside, and often the sums are made right again: then it
//! is the rules that must hold, not the arithmetic.

use offsite_archive::{FrameId, FrameRef, FramesDigest, Line, Manifest, ManifestReader, ManifestWriter};
use serde_json::{Value, json};

use crate::{cases, dice::Dice, vector};

#[test]
fn manifest() {
    let seeds = ["v1/manifest/good.zst", "v2/archive/small.manifest.zst"].map(vector);
    let texts = seeds.clone().map(|bytes| String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap());
    let mut accepted = 0_u32;
    cases("manifest", 100, |dice| {
        let which = dice.below(2);
        let bytes = if dice.one_in(4) {
            let mut bytes = seeds[which].clone();
            dice.hurt(&mut bytes, &seeds[1 - which]);
            bytes
        } else {
            let mut lines: Vec<String> = texts[which].lines().map(str::to_owned).collect();
            if dice.one_in(16) {
                swell(dice, &mut lines);
            } else {
                dice.hurt_lines(&mut lines);
            }
            if !dice.one_in(3) {
                mend(&mut lines);
            }
            zstd::encode_all((lines.join("\n") + "\n").as_bytes(), 1).unwrap()
        };
        let whole = Manifest::read(&bytes);
        let lines = ManifestReader::new(&bytes[..]).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        assert_eq!(whole.is_ok(), lines.is_ok(), "two readers, two opinions");
        if let (Ok(manifest), Ok(lines)) = (whole, lines) {
            accepted += 1;
            let (head, end) = (&manifest.head, &manifest.end);
            let texts = end.warnings.iter().map(String::len).sum::<usize>() + head.sources.iter().map(|path| path.0.len()).sum::<usize>();
            assert!(
                head.sources.len().max(end.warnings.len()).max(end.quiesced.len()) <= 4096 && texts <= 5 << 18,
                "more than listings hold"
            );
            for line in &lines {
                if let Line::Entry(entry) = line {
                    let path = &entry.path.0;
                    assert!(
                        path.starts_with(b"/") && !path.contains(&0) && path.split(|byte| *byte == b'/').all(|name| name != b".."),
                        "{entry:?}"
                    );
                }
            }
            assert_eq!(written(&manifest, &lines), lines, "what is read can be written");
        }
    });
    assert!(std::env::var_os("FUZZ_CASE").is_some() || accepted > 20, "only {accepted} were accepted: nothing is tested beyond the door");
}

/// The lines of the manifest that is written of these.
fn written(manifest: &Manifest, lines: &[Line]) -> Vec<Line> {
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.head(&manifest.head).unwrap();
    for line in lines {
        match line {
            Line::Entry(entry) => writer.entry(entry).unwrap(),
            Line::Frame(frame) => writer.frame(frame).unwrap(),
            Line::End(end) => {
                let bytes = writer.end(end).unwrap();
                return ManifestReader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
            }
            Line::Head(_) => panic!("a head in the middle"),
        }
    }
    panic!("no end line")
}

/// Makes a list or a text in the first or the last line a long one.
fn swell(dice: &mut Dice, lines: &mut [String]) {
    let (first, last) = (0, lines.len() - 1);
    let choices = [
        (first, "sources", json!(["/srv"])),
        (first, "host", json!("h")),
        (last, "warnings", json!(["w"])),
        (last, "quiesced", json!([{"project": "p", "seconds": 1.0}])),
    ];
    let (line, key, list) = dice.pick(&choices);
    let mut value: Value = serde_json::from_str(&lines[*line]).unwrap();
    let count = 4096 * (1 << dice.below(3)) + dice.below(3) - 1;
    let long = match list {
        Value::Array(one) => json!(vec![one[0].clone(); count]),
        text => json!(text.as_str().unwrap().repeat(count)),
    };
    let object = value.as_object_mut().unwrap().values_mut().next().unwrap();
    object[*key] = long;
    lines[*line] = value.to_string();
}

/// Makes the sums in the last line those of the lines before, as far as these can be understood.
fn mend(lines: &mut [String]) {
    let Some((last, before)) = lines.split_last_mut() else { return };
    let Ok(mut end) = serde_json::from_str::<Value>(last) else { return };
    let parsed: Vec<Value> = before.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let frame = |line: &Value| -> Option<FrameRef> {
        let frame = line.get("frame")?;
        let number = |key| frame.get(key)?.as_u64()?.try_into().ok();
        Some(FrameRef { id: frame.get("id")?.as_str()?.parse::<FrameId>().ok()?, raw: number("raw")?, len: number("len")? })
    };
    let frames: Vec<FrameRef> = parsed.iter().filter_map(frame).collect();
    let Some(sums) = end.get_mut("end").and_then(Value::as_object_mut) else { return };
    let mut digest = FramesDigest::new();
    frames.iter().for_each(|frame| digest.push(&frame.id, frame.raw));
    sums.insert("entries".into(), json!(parsed.iter().filter(|line| line.get("entry").is_some()).count()));
    sums.insert("frames".into(), json!(frames.len()));
    sums.insert("raw".into(), json!(frames.iter().map(|frame| u64::from(frame.raw)).sum::<u64>()));
    sums.insert("bytes".into(), json!(frames.iter().map(|frame| u64::from(frame.len)).sum::<u64>()));
    sums.insert("digest".into(), json!(digest.finish().to_string()));
    *last = end.to_string();
}
