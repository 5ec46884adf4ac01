//! Tar streams, ours and GNU tar's: whatever a header says, nothing outside the target folder changes, and reading ends.

use std::{fs, path::Path, process::Command};

use offsite_archive::{ExtractOptions, TarReader, extract};

use crate::{Dice, cases, vector};

/// Streams that are good: ours, and GNU tar's in both of its formats, with holes, links and long names.
fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let deep = tree.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("n".repeat(120)), b"long name\n").unwrap();
    fs::write(tree.join("file"), b"hello\n".repeat(300)).unwrap();
    fs::hard_link(tree.join("file"), tree.join("second")).unwrap();
    std::os::unix::fs::symlink("../".repeat(60) + "etc", tree.join("link")).unwrap();
    let holes = fs::File::create(tree.join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, &[7; 4096], 1 << 20).unwrap();
    holes.set_len(4 << 20).unwrap();
    let tar = |format: &str| {
        let options = ["--sparse", "--sort=name", "--mtime=@1700000000", "--owner=a:1", "--group=b:1", "--mode=u+rw"];
        let pax = if format == "posix" { &["--pax-option=exthdr.name=%d/x/%f,delete=atime,delete=ctime"][..] } else { &[] };
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).args(options).args(pax).args(["-C"]).arg(folder.path()).args(["-cf", "-", "tree"]);
        let made = tar.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    };
    let ours = zstd::decode_all(&vector("v2/archive/small.tar.zst")[..]).unwrap();
    // Only its beginning: most of it is content.
    vec![tar("posix"), tar("gnu"), ours[..16 << 10].to_vec()]
}

/// Hurts one header block and makes its checksum right, or hurts the stream anywhere.
fn hurt(dice: &mut Dice, stream: &mut Vec<u8>, other: &[u8]) {
    if dice.one_in(5) {
        return dice.hurt(stream, other);
    }
    let headers: Vec<usize> =
        (0..stream.len() / 512).map(|block| block * 512).filter(|at| stream[at + 257..].starts_with(b"ustar")).collect();
    for _ in 0..=dice.below(2) {
        let Some(at) = headers.get(dice.below(headers.len())) else { return };
        let header = &mut stream[*at..at + 512];
        // Name, mode, owner, group, size, time, type, link, magic, device, prefix; and GNU's map of holes.
        let (from, len) = *dice.pick(&[
            (0, 100),
            (100, 8),
            (108, 8),
            (116, 8),
            (124, 12),
            (136, 12),
            (156, 1),
            (157, 100),
            (257, 8),
            (329, 16),
            (345, 155),
            (386, 97),
        ]);
        match dice.below(5) {
            0 => {
                let octal = format!("{:0width$o}\0", dice.edge(), width = len - 1);
                header[from..from + len].copy_from_slice(&octal.as_bytes()[octal.len().saturating_sub(len)..][..len.min(octal.len())]);
            }
            1 => {
                // Base 256, as GNU tar writes what is too large for octal.
                let number = dice.edge().to_be_bytes();
                header[from..from + len].fill(if dice.one_in(2) { 0xff } else { 0 });
                let width = len.min(8);
                header[from + len - width..from + len].copy_from_slice(&number[8 - width..]);
                header[from] |= 0x80;
            }
            2 => {
                let text =
                    *dice.pick(&["../../outside", "/../outside", "/", "", "tree/link/passwd", "tree/link", "a\0b", "tree/file/x", "."]);
                let text = &text.as_bytes()[..text.len().min(len)];
                header[from..from + len].fill(0);
                header[from..from + text.len()].copy_from_slice(text);
            }
            3 if len == 1 => header[from] = *dice.pick(b"0123456789xgLKSVMDN\0 "),
            _ => header[from + dice.below(len)] ^= 1 << dice.below(8),
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    if dice.one_in(3) {
        // What stands in pax records, keeping their length.
        let Some(at) = headers.iter().find(|at| stream[**at + 156] == b'x') else { return };
        let at = at + 512 + dice.below(256);
        if let Some(byte) = stream.get_mut(at) {
            *byte = *dice.pick(b"0123456789=\n/.\0-");
        }
    }
}

#[test]
fn tar() {
    let seeds = seeds();
    let outer = tempfile::tempdir().unwrap();
    let into = outer.path().join("deep/er/into");
    fs::create_dir_all(&into).unwrap();
    for sentinel in ["outside", "deep/outside", "deep/er/outside", "passwd"] {
        fs::write(outer.path().join(sentinel), sentinel).unwrap();
    }
    let before = around(outer.path(), &into);
    let mut whole = 0_u32;
    cases("tar", 50, |dice| {
        let mut stream = dice.pick(&seeds).clone();
        let other = dice.pick(&seeds).clone();
        hurt(dice, &mut stream, &other);
        let mut reader = TarReader::new(&stream[..]);
        let mut at = 0;
        while let Ok(Some(member)) = reader.next_member() {
            assert!(member.at >= at && member.data > member.at && reader.position() <= stream.len() as u64);
            at = member.data;
        }
        let overwrite = dice.one_in(2);
        let done = extract(&stream[..], &into, &ExtractOptions { overwrite, ..ExtractOptions::default() }, &mut |_| {});
        whole += u32::from(done.is_ok());
        assert_eq!(around(outer.path(), &into), before, "something outside the target was changed");
        fs::remove_dir_all(&into).unwrap();
        fs::create_dir(&into).unwrap();
    });
    assert!(std::env::var_os("FUZZ_CASE").is_some() || whole > 10, "only {whole} were extracted whole");
}

/// All that lies below `folder` but not below `except`: paths, types, lengths and modes.
fn around(folder: &Path, except: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        found.push(format!(
            "{} {:?} {:?} {}",
            path.display(),
            meta.file_type(),
            meta.permissions(),
            if meta.is_dir() { 0 } else { meta.len() }
        ));
        if meta.is_dir() && path != except {
            found.extend(around(&path, except));
        }
    }
    found.sort();
    found
}
