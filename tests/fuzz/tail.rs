//! The tail of a plain archive: where it says that the manifest lies must be inside the file, and the frames must fill what is before.

use std::io::Cursor;

use offsite_archive::read_tail;

use crate::{cases, vector};

#[test]
fn tail() {
    let seed = vector("v2/archive/small.tar.zst");
    let other = vector("v1/archive/small.tar.zst");
    let from = read_tail(&mut Cursor::new(&seed)).unwrap().manifest.start as usize - 8;
    let mut accepted = 0_u32;
    cases("tail", 400, |dice| {
        // Frames are not looked at, so only their length matters; what is hurt lies behind them.
        let mut bytes = seed[from..].to_vec();
        let end = bytes.len();
        match dice.below(3) {
            0 => dice.hurt(&mut bytes, &other),
            _ => {
                // The table alone, often only one number of it.
                let mut table = bytes.split_off(end - dice.below(200).min(end));
                dice.hurt(&mut table, &other[other.len() - 200..]);
                bytes.extend(table);
            }
        }
        bytes.splice(..0, seed[..from].iter().copied());
        if let Ok(tail) = read_tail(&mut Cursor::new(&bytes)) {
            accepted += 1;
            let frames: u64 = tail.frames.iter().map(|(len, _)| u64::from(*len)).sum();
            assert!(tail.manifest.start == frames + 8 && tail.manifest.end <= bytes.len() as u64, "{tail:?} of {} bytes", bytes.len());
        }
    });
    assert!(std::env::var_os("FUZZ_CASE").is_some() || accepted > 0, "nothing was accepted");
}
