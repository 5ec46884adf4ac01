//! What the journal adds up to, without adding up ten years of it each time: `standing.json` beside it, which is only a cache.
//!
//! It says for which bytes it is true, by their hash, and by which program it was made. Anything else than exactly that (a journal that
//! somebody edited, another offsite, a file cut by a power loss) and it is not believed, and everything is added up again. So there is
//! nothing to keep in step, and no harm in removing it. What was appended since is added to it.
//!
//! Ten years are not even hashed for one new receipt: whoever appends it sees that the file still looked as the sum says, and notes how it
//! looks with the new line ([`Journal::carry`]). What this offsite did not append changes the looks, and then the hash is asked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::{BadLine, Journal, JournalError, Standing, parse, standing::Fold};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub standing: Standing,
    /// Numbers of lines that no offsite wrote whole, and that nobody acknowledged.
    pub damaged: Vec<usize>,
}

/// The sum of the first `bytes` bytes, which end with a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cached {
    program: String,
    /// The file as it was then: while it looks the same, it need not even be read.
    looks: Looks,
    bytes: u64,
    hash: String,
    lines: usize,
    damaged: Vec<BadLine>,
    fold: Fold,
}

/// A file's looks. Times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Looks {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Looks {
    fn of(file: &fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

impl Journal {
    /// What it adds up to; an absent file is an empty journal.
    ///
    /// # Errors
    /// [`JournalError::Read`] if it is there and cannot be read. Of the cache nothing is an error.
    pub fn standing(&self) -> Result<Known, JournalError> {
        let read = |source: io::Error| JournalError::Read { path: self.path().to_owned(), source };
        let mut file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::default()),
            Err(error) => return Err(read(error)),
        };
        let looks = Looks::of(&file.metadata().map_err(read)?);
        let program = program();
        let cached = program.as_ref().and_then(|program| self.load(program));
        let mut bytes = Vec::new();
        if let Some(cached) = cached.as_ref().filter(|cached| cached.is_near(&looks)) {
            file.seek(SeekFrom::Start(cached.bytes)).map_err(read)?;
            (&file).take(looks.bytes - cached.bytes).read_to_end(&mut bytes).map_err(read)?;
            let mut sum = cached.clone();
            sum.add(&bytes);
            return Ok(sum.known());
        }
        // One pass over the bytes tells of the old part and of the whole; of the old part nothing is kept in memory.
        let mut hasher = blake3::Hasher::new();
        let mut sum = cached.unwrap_or_default();
        if !sum.is_of(&file, &mut hasher).map_err(read)? {
            file.rewind().map_err(read)?;
            hasher.reset();
            sum = Cached::default();
        }
        file.read_to_end(&mut bytes).map_err(read)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        hasher.update(&bytes[..end]);
        sum.add(&bytes[..end]);
        if let Some(program) = program {
            // Of a file that is being appended to, the looks may be older than what was read; then the next look reads it again.
            (sum.program, sum.looks, sum.bytes, sum.hash) = (program, looks, hasher.count(), hasher.finalize().to_hex().to_string());
            // Where it cannot be written, each look adds up everything.
            let _ = self.save(&sum);
        }
        // The last line may lack its end: it counts if it is whole, and is not kept.
        sum.add(&bytes[end..]);
        Ok(sum.known())
    }

    /// Notes that a file which looked as `before` has nothing but more lines behind it now. The caller holds the file's lock, so no other
    /// offsite appended in between.
    pub(super) fn carry(&self, before: &fs::Metadata, after: &fs::Metadata) {
        let (before, after) = (Looks::of(before), Looks::of(after));
        let Some(mut cached) = program().and_then(|program| self.load(&program)).filter(|cached| cached.looks == before) else { return };
        cached.looks = after;
        // Where it cannot be written, the next look asks the hash.
        let _ = self.save(&cached);
    }

    fn cache(&self) -> PathBuf {
        self.path().with_file_name("standing.json")
    }

    fn load(&self, program: &str) -> Option<Cached> {
        let text = fs::read_to_string(self.cache()).ok()?;
        let (check, body) = text.split_once('\n')?;
        let cached: Cached = (hash(body.as_bytes()) == check).then(|| serde_json::from_str(body).ok())??;
        (cached.program == program).then_some(cached)
    }

    /// Puts it in place in one step. Not synced: what a power cut leaves of it is not believed.
    fn save(&self, cached: &Cached) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let body = serde_json::to_string(cached)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let new = self.path().with_file_name(format!("standing.{}-{number}.new", std::process::id()));
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(format!("{}\n{body}", hash(body.as_bytes())).as_bytes())?;
            fs::rename(&new, self.cache())
        });
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
}

/// How much may be added up anew at each look before the whole is hashed and kept again. Bytes; more than a night's receipts.
const NEAR: u64 = 64 * 1024;

impl Cached {
    /// Whether the file did not change since the sum was made, but for a few lines that were appended.
    fn is_near(&self, looks: &Looks) -> bool {
        self.looks == *looks && looks.bytes.checked_sub(self.bytes).is_some_and(|more| more <= NEAR)
    }

    /// Whether it is the sum of how `file` begins, which `hasher` is fed; after that the rest of the file is read.
    fn is_of(&self, file: &File, hasher: &mut blake3::Hasher) -> io::Result<bool> {
        hasher.update_reader(file.take(self.bytes))?;
        Ok(hasher.count() == self.bytes && hasher.finalize().to_hex().as_str() == self.hash)
    }

    fn add(&mut self, bytes: &[u8]) {
        let read = parse(bytes);
        read.receipts.iter().for_each(|receipt| self.fold.add(receipt));
        let before = self.lines;
        self.damaged.extend(read.damaged.into_iter().map(|damaged| BadLine { line: before + damaged.line, hash: damaged.hash }));
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
    }

    fn known(&self) -> Known {
        let standing = self.fold.clone().standing();
        let damaged = self.damaged.iter().filter(|bad| !standing.acknowledged.contains(bad)).map(|bad| bad.line).collect();
        Known { damaged, standing }
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Which program this is. One that was built anew may add up otherwise, and need not have another version for that.
fn program() -> Option<String> {
    let file = std::env::current_exe().and_then(fs::metadata).ok()?;
    Some(format!("{} {} {}.{:09}", env!("CARGO_PKG_VERSION"), file.len(), file.mtime(), file.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::PlaceName,
        journal::{Fact, Holding, Receipt, Step, Warned},
        tripwire::Why,
    };

    fn archive(day: u8) -> offsite_archive::ArchiveName {
        format!("services/2026-11-{day:02}T040000Z").parse().unwrap()
    }

    fn ran(outcome: &str) -> Fact {
        serde_json::from_value(serde_json::json!({"kind": "ran", "outcome": outcome})).unwrap()
    }

    fn fact() -> impl Strategy<Value = Fact> {
        let place = || prop_oneof![Just("mac"), Just("pi"), Just("cold")].prop_map(|name| name.parse::<PlaceName>().unwrap());
        let name = || (1_u8..5).prop_map(archive);
        prop_oneof![
            prop_oneof![Just("fine"), Just("incomplete")].prop_map(ran),
            (place(), name()).prop_map(|(place, newest)| {
                let jobs = [(newest.job.clone(), Holding { count: 2, newest })].into();
                Fact::Seen { place, jobs }
            }),
            (name(), any::<bool>()).prop_map(|(archive, complete)| Fact::Pulled {
                pi: "pi".parse().unwrap(),
                archive,
                sequence: 1,
                moved: 2,
                total: 3,
                verified: true,
                complete: Some(complete),
                warnings: Warned::of(&["a".to_owned()], &[]),
            }),
            name().prop_map(|archive| Fact::Pushed { cloud: "cold".parse().unwrap(), archive, sequence: 1, moved: 2, total: 3 }),
            (place(), name()).prop_map(|(place, archive)| Fact::Lost { place, archive, frames: Some(1) }),
            (place(), name()).prop_map(|(place, archive)| Fact::Verified { place, archive, since: None }),
            (place(), name(), any::<bool>()).prop_map(|(place, archive, by_hand)| Fact::Forgot { place, archives: vec![archive], by_hand }),
            (place(), name()).prop_map(|(place, archive)| Fact::Drilled { place, archive, files: 1, bytes: 1 }),
            name().prop_map(|archive| Fact::Suspicious { archive, why: Why::Empty }),
            prop_oneof![Just(Step::Push), Just(Step::Drill), Just(Step::Notify)].prop_map(|step| Fact::Failed {
                step,
                object: "services from mac".into(),
                message: "no".into(),
                hint: None
            }),
        ]
    }

    fn lines(facts: &[Fact]) -> Vec<String> {
        let receipt = |(at, fact): (usize, &Fact)| Receipt { time: Timestamp::from_second(at as i64).unwrap(), fact: fact.clone() };
        facts.iter().enumerate().map(|(at, fact)| serde_json::to_string(&receipt((at, fact))).unwrap() + "\n").collect()
    }

    fn bad(line: usize) -> BadLine {
        BadLine { line, hash: String::new() }
    }

    fn whole(text: &str) -> Known {
        let read = parse(text.as_bytes());
        Known { standing: Standing::of(&read.receipts), damaged: read.damaged.iter().map(|damaged| damaged.line).collect() }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_sum_in_parts_is_the_sum_of_all(facts in prop::collection::vec(fact(), 0..24), cuts in prop::collection::vec(0_usize..4000, 0..4)) {
            let dir = tempfile::tempdir().unwrap();
            let journal = Journal::at(dir.path().join("journal.jsonl"));
            let mut text = lines(&facts).concat();
            if text.len() > 900 {
                text.insert_str(0, "no receipt\n");
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([text.len()]).collect();
            cuts.sort_unstable();
            for cut in cuts {
                fs::write(journal.path(), &text[..cut]).unwrap();
                prop_assert_eq!(journal.standing().unwrap(), whole(&text[..cut]));
                prop_assert_eq!(journal.standing().unwrap(), whole(&text[..cut]), "and again");
            }
        }
    }

    #[test]
    fn a_cache_that_is_not_of_this_journal_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        assert_eq!(journal.standing().unwrap(), Known::default(), "no file");
        let fine = lines(&[ran("fine")]).concat();
        let failed = lines(&[ran("failed")]).concat();
        fs::write(journal.path(), &fine).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&fine));
        let good = fs::read_to_string(journal.cache()).unwrap();
        // Edited by hand, and one byte longer.
        fs::write(journal.path(), &failed).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&failed));
        for bad in ["", "\n", "{}", &good[..good.len() - 1], &good.replace("\"lines\":1", "\"lines\":7")] {
            fs::write(journal.cache(), bad).unwrap();
            assert_eq!(journal.standing().unwrap(), whole(&failed), "{bad}");
        }
        // Of another program.
        let other =
            Cached { program: "2".into(), damaged: vec![bad(9)], ..serde_json::from_str(good.split_once('\n').unwrap().1).unwrap() };
        fs::write(journal.path(), &fine).unwrap();
        journal.save(&other).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&fine));
    }

    #[test]
    fn a_journal_that_looks_the_same_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        fs::write(journal.path(), lines(&[Fact::Accepted { archive: archive(1) }]).concat()).unwrap();
        let known = journal.standing().unwrap();
        let mut cached = journal.load(&program().unwrap()).unwrap();
        cached.damaged = vec![bad(7)];
        journal.save(&cached).unwrap();
        assert_eq!(journal.standing().unwrap(), Known { damaged: vec![7], ..known });
    }

    #[test]
    fn what_was_appended_is_added_and_the_rest_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        let at = |fact: Fact| Receipt { time: Timestamp::UNIX_EPOCH, fact };
        journal.append(&at(Fact::Accepted { archive: archive(1) })).unwrap();
        journal.standing().unwrap();
        // Whoever asks this hash does not believe the sum.
        let cached = Cached { hash: "none".into(), damaged: vec![bad(7)], ..journal.load(&program().unwrap()).unwrap() };
        journal.save(&cached).unwrap();
        for day in 2..5 {
            journal.append(&at(Fact::Accepted { archive: archive(day) })).unwrap();
            let known = journal.standing().unwrap();
            assert_eq!((known.standing.accepted.len(), known.damaged), (usize::from(day), vec![7]));
        }
        // Another wrote: all is looked at again, also by the appends that follow.
        let mut text = fs::read_to_string(journal.path()).unwrap().replace("2026-11-01", "2026-11-09");
        text.push_str("no receipt\n");
        fs::write(journal.path(), &text).unwrap();
        journal.append(&at(Fact::Accepted { archive: archive(5) })).unwrap();
        let now = fs::read_to_string(journal.path()).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&now));
        assert_eq!(whole(&now).damaged, [5]);
    }

    #[test]
    fn many_lines_are_kept_and_not_added_up_at_each_look() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        let note = |message: String| Fact::Failed { step: Step::Push, object: "cold".into(), message, hint: None };
        let at = |fact: Fact| Receipt { time: Timestamp::UNIX_EPOCH, fact };
        journal.append(&at(note("a".into()))).unwrap();
        journal.standing().unwrap();
        let first = journal.load(&program().unwrap()).unwrap().bytes;
        journal.append(&at(note("b".repeat(1000)))).unwrap();
        journal.standing().unwrap();
        assert_eq!(journal.load(&program().unwrap()).unwrap().bytes, first);
        journal.append(&at(note("c".repeat(NEAR as usize)))).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&fs::read_to_string(journal.path()).unwrap()));
        let cached = journal.load(&program().unwrap()).unwrap();
        assert_eq!(cached.bytes, fs::metadata(journal.path()).unwrap().len());
    }

    #[test]
    fn a_damaged_line_that_was_acknowledged_is_none_until_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        fs::write(journal.path(), "no receipt\n").unwrap();
        let lines = journal.read().unwrap().damaged.into_iter().map(BadLine::from).collect();
        assert_eq!(journal.standing().unwrap().damaged, [1]);
        journal.append(&Receipt { time: Timestamp::UNIX_EPOCH, fact: Fact::Acknowledged { lines } }).unwrap();
        assert_eq!(journal.standing().unwrap().damaged, [0; 0]);
        let text = fs::read_to_string(journal.path()).unwrap();
        fs::write(journal.path(), text.clone() + "no receipt\n").unwrap();
        assert_eq!(journal.standing().unwrap().damaged, [3], "the same text is another line");
        fs::write(journal.path(), text.replacen("no", "NO", 1)).unwrap();
        assert_eq!(journal.standing().unwrap().damaged, [1], "the same line rots on");
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_only_time() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("journal.jsonl"));
        let text = lines(&[Fact::Accepted { archive: archive(1) }]).concat();
        fs::write(journal.path(), &text).unwrap();
        // A folder in its place stops root, too.
        fs::create_dir(journal.cache()).unwrap();
        assert_eq!(journal.standing().unwrap(), whole(&text));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half written stays");
    }
}
