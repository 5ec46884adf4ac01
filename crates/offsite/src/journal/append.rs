//! Appending receipts: one write per line, synced, under a lock of the file itself.
//!
//! The daemon's own lock is not enough: `accept` writes while a sync runs, and must not wait for hours. The lock here is held for one
//! line. A torn line that an earlier crash left is removed first (it never counted), so no receipt is ever glued to half of another.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Fact, Read, Receipt, parse, read};

/// Whose events are receipts, for the log of nights.
pub(crate) const TARGET: &str = "offsite::receipt";

/// The journal's file; it need not exist to be read.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot read the journal {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A receipt could not be made durable; what it says does not count.
    #[error("cannot append to the journal {}", path.display())]
    Append { path: PathBuf, source: io::Error },
}

impl Journal {
    /// The journal at `path`, whose folder exists.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All receipts; an absent file is an empty journal.
    pub fn read(&self) -> Result<Read, JournalError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Read::default()),
            Err(source) => Err(JournalError::Read { path: self.path.clone(), source }),
        }
    }

    /// Writes a receipt; on return it survives a power cut.
    pub fn append(&self, receipt: &Receipt) -> Result<(), JournalError> {
        self.try_append(receipt).map_err(|source| JournalError::Append { path: self.path.clone(), source })?;
        tell(receipt);
        Ok(())
    }

    fn try_append(&self, receipt: &Receipt) -> io::Result<()> {
        let mut line = serde_json::to_vec(receipt)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        file.lock()?;
        let looked = file.metadata()?;
        if looked.len() == 0 {
            // A new file's name must be as durable as its lines.
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()?;
        }
        mend(&mut file)?;
        let before = file.metadata()?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            // A full disk may have taken half of the line; the next append would mend it, yet a reader should not meet it at all.
            let _ = file.set_len(before);
        } else if let Ok(looks) = file.metadata() {
            self.carry(&looked, &looks);
        }
        written
    }
}

/// Makes the file end with a newline: completes a whole receipt that lacks only that, removes anything less.
fn mend(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut start = length;
    let mut tail = Vec::new();
    while start > 0 && !tail.contains(&b'\n') {
        let step = start.min(4096);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; usize::try_from(step).map_err(io::Error::other)?];
        file.read_exact(&mut block)?;
        block.append(&mut tail);
        tail = block;
    }
    let torn = &tail[tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)..];
    if torn.is_empty() {
        return Ok(());
    }
    if read::receipt(torn).is_ok() {
        return file.write_all(b"\n");
    }
    file.set_len(length - torn.len() as u64)
}

fn tell(receipt: &Receipt) {
    // A fact is text and numbers in maps with names, and cannot fail to be told; if it did, the journal has it.
    let Ok(told) = serde_json::to_string(&receipt.fact) else { return };
    match receipt.fact {
        Fact::Failed { .. } => tracing::error!(target: TARGET, receipt = told),
        Fact::Suspicious { .. } | Fact::Lost { .. } => tracing::warn!(target: TARGET, receipt = told),
        _ => tracing::info!(target: TARGET, receipt = told),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::journal::{Fact, Outcome, Step};

    fn receipt(second: i64) -> Receipt {
        let fact = Fact::Failed { step: Step::Pull, object: "services".into(), message: format!("no {second}"), hint: None };
        Receipt { time: jiff::Timestamp::from_second(second).unwrap(), fact }
    }

    #[test]
    fn what_is_appended_is_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        assert_eq!(journal.read().unwrap(), Read::default());
        for second in 0..5 {
            journal.append(&receipt(second)).unwrap();
        }
        assert_eq!(journal.read().unwrap().receipts, (0..5).map(receipt).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_torn_at_any_length_is_mended_by_the_next_append() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        journal.append(&receipt(1)).unwrap();
        let one = fs::read(journal.path()).unwrap().len();
        journal.append(&receipt(2)).unwrap();
        let two = fs::read(journal.path()).unwrap();
        for length in 0..=two.len() {
            fs::write(journal.path(), &two[..length]).unwrap();
            journal.append(&receipt(3)).unwrap();
            let whole = usize::from(length + 1 >= one) + usize::from(length + 1 >= two.len());
            let read = journal.read().unwrap();
            let wanted: Vec<Receipt> = [1, 2][..whole].iter().copied().chain([3]).map(receipt).collect();
            assert_eq!((read.receipts, read.damaged.len(), read.torn), (wanted, 0, false), "{length}");
        }
    }

    #[test]
    fn a_long_torn_line_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        journal.append(&receipt(1)).unwrap();
        let mut bytes = fs::read(journal.path()).unwrap();
        bytes.extend(vec![0; 10_000]);
        fs::write(journal.path(), bytes).unwrap();
        journal.append(&receipt(2)).unwrap();
        assert_eq!(journal.read().unwrap().receipts, [receipt(1), receipt(2)]);
    }

    #[test]
    fn writers_beside_each_other_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let journal = &journal;
                scope.spawn(move || (0..10).for_each(|at| journal.append(&receipt(writer * 10 + at)).unwrap()));
            }
        });
        let read = journal.read().unwrap();
        let mut seconds: Vec<i64> = read.receipts.iter().map(|receipt| receipt.time.as_second()).collect();
        seconds.sort_unstable();
        assert_eq!((seconds, read.damaged.len()), ((0..40).collect(), 0));
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("gone/journal.jsonl"));
        let ran = Receipt {
            time: jiff::Timestamp::UNIX_EPOCH,
            fact: Fact::Ran { owed: None, outcome: Outcome::Fine, began: None, away: Default::default(), slept: false },
        };
        assert!(journal.append(&ran).unwrap_err().to_string().ends_with("gone/journal.jsonl"));
    }
}
