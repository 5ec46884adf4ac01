//! The file that launchd opens for what the daemon prints, kept from growing: nothing else ever turns it over.
//!
//! A configuration with a mistake is told there by every start, and there is one every ten minutes until somebody mends it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// From how many bytes on it is cut, and how many of the newest stay.
const MOST: u64 = 1_000_000;
const STAYS: u64 = 250_000;

/// Cuts `file` to its newest whole lines if it is too long. In place, as launchd has it open already, to append, for this very start; a power cut
/// in the middle costs old words. What is not there, or is no file, is left alone.
pub(super) fn cut(file: &Path) -> io::Result<()> {
    match fs::symlink_metadata(file) {
        Ok(now) if now.is_file() && now.len() > MOST => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(()),
    }
    let mut open = OpenOptions::new().read(true).append(true).open(file)?;
    let mut tail = Vec::new();
    open.seek(SeekFrom::End(-STAYS.cast_signed()))?;
    open.read_to_end(&mut tail)?;
    let line = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    open.set_len(0)?;
    open.write_all(&tail[line..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_keeps_its_newest_lines_and_who_had_it_open_goes_on_below_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("launchd.log");
        cut(&file).unwrap();
        assert!(!file.exists());
        let line = |number: u64| format!("{number:09}\n");
        let text: String = (0..MOST / 10).map(line).collect();
        fs::write(&file, &text).unwrap();
        cut(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "as long as it may be");
        let mut launchd = OpenOptions::new().append(true).open(&file).unwrap();
        launchd.write_all(b"x\n").unwrap();
        cut(&file).unwrap();
        launchd.write_all(b"y\n").unwrap();
        let left = fs::read_to_string(&file).unwrap();
        assert!(left.len() as u64 <= STAYS, "{}", left.len());
        assert!(left.ends_with(&format!("{}x\ny\n", line(MOST / 10 - 1))));
        assert!(left.starts_with(&line((MOST - STAYS) / 10 + 1)), "begins with a whole line: {:?}", &left[..20]);
    }
}
