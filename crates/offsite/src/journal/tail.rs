//! The end of the journal, back to the last run that settled a slot: all that the daemon asks.
//!
//! Read from behind in windows that grow, so that a start with nothing owed costs the same after ten years as on the first day. What stands
//! before that run cannot change what is owed now.

use std::{
    fs::File,
    io::{self, Read as _, Seek, SeekFrom},
};

use super::{Fact, Journal, JournalError, Outcome, Read, parse, read};

/// A night's receipts fit in it many times.
const WINDOW: u64 = 64 * 1024;
const RAN: &[u8] = br#""kind":"ran""#;

impl Journal {
    /// The receipts from the last fine run with a slot on, that one included; all of them if there is none. Line numbers of what is damaged count
    /// from there.
    pub fn tail(&self) -> Result<Read, JournalError> {
        match self.try_tail() {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Read::default()),
            Err(source) => Err(JournalError::Read { path: self.path().to_owned(), source }),
        }
    }

    fn try_tail(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path())?;
        let length = file.metadata()?.len();
        let mut window = WINDOW;
        loop {
            let from = length.saturating_sub(window);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            // What is appended meanwhile may be read along: it is whole lines, or a last one that does not count.
            file.by_ref().take(u64::MAX).read_to_end(&mut bytes)?;
            if from > 0 {
                // The first line of a window began before it.
                let whole = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                bytes.drain(..whole);
            }
            match settling(&bytes) {
                Some(at) => return Ok(bytes.split_off(at)),
                None if from == 0 => return Ok(bytes),
                None => window = window.saturating_mul(8),
            }
        }
    }
}

/// Where the last line begins that is a fine run with a slot.
fn settling(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = &bytes[start..end];
        let fine = line.windows(RAN.len()).any(|part| part == RAN)
            && matches!(read::receipt(line), Ok(Some(receipt)) if matches!(receipt.fact, Fact::Ran { owed: Some(_), outcome: Outcome::Fine, .. }));
        if fine {
            return Some(start);
        }
        end = start.checked_sub(1)?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::journal::Standing;

    const FINE: &str = r#"{"time":"2026-11-22T04:31:00Z","kind":"ran","owed":"2026-11-22","outcome":"fine"}"#;

    fn journal(text: &str) -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.jsonl"), text).unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        (dir, journal)
    }

    #[test]
    fn it_begins_with_the_last_run_that_settled_a_slot() {
        let failed = FINE.replace("fine", "failed");
        let unslotted = FINE.replace("\"owed\":\"2026-11-22\",", "");
        let older = FINE.replace("11-22", "11-21");
        let (_dir, journal) = journal(&format!("{failed}\n{older}\n{FINE}\n{unslotted}\n{failed}\n"));
        let tail = journal.tail().unwrap();
        assert_eq!((tail.receipts.len(), tail.damaged.len(), tail.torn), (3, 0, false));
        let standing = Standing::of(&tail.receipts);
        assert_eq!((standing.settled, standing.last_run.unwrap().1), ("2026-11-22".parse().ok(), Outcome::Failed));
    }

    #[test]
    fn without_such_a_run_it_is_all_of_it() {
        let (dir, all) = journal(&format!("{}\n", FINE.replace("fine", "failed")));
        assert_eq!(all.tail().unwrap(), all.read().unwrap());
        assert_eq!(Journal::at(dir.path().join("none")).tail().unwrap(), Read::default());
    }

    #[test]
    fn a_torn_end_of_any_length_settles_nothing() {
        let older = FINE.replace("11-22", "11-21");
        for cut in 0..FINE.len() {
            let (_dir, journal) = journal(&format!("{older}\n{}", &FINE[..cut]));
            assert_eq!(Standing::of(&journal.tail().unwrap().receipts).settled, "2026-11-21".parse().ok(), "{cut}");
        }
    }

    #[test]
    fn it_is_found_wherever_the_windows_cut() {
        let other = FINE.replace("fine", "incomplete");
        // Around the first window's edge, and far before it.
        for after in [0, 1, 600, 730, 745, 760, 775, 9000] {
            let (_dir, journal) = journal(&format!("{other}\n{other}\n{FINE}\n{}", format!("{other}\n").repeat(after)));
            let tail = journal.tail().unwrap();
            assert_eq!((tail.receipts.len(), tail.damaged.len()), (after + 1, 0), "{after}");
        }
    }
}
