//! Nights as an agent plays them: in two passes or in one, with what the night before left.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{Capture, CaptureError, CaptureOptions, Captured, ColdPass, HotPass, Manifest, Output, Part, Stock};

use super::support::{bytes, facts, head, skip, touch};

/// As if all had been written an hour ago. Each change in these tests sets another time, so that nothing hangs on the clock's ticks.
pub(super) fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

pub(super) fn stock() -> Stock {
    Stock::new(tempfile::tempfile().unwrap())
}

/// The stock that a night begins with: what the night before left.
pub(super) fn after(night: &Captured<Vec<u8>>) -> Stock {
    let mut stock = stock();
    stock.add(file_of(&night.out), &Manifest::read(&night.manifest).unwrap(), Some(&bytes(&night.cache))).unwrap();
    stock
}

pub(super) fn file_of(archive: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(archive, 0).unwrap();
    file
}

pub(super) fn hot(stock: Stock, source: &Path, audit: bool) -> (Stock, Vec<String>) {
    let options = CaptureOptions { audit, ..CaptureOptions::default() };
    let mut pass = HotPass::new(stock, &options, &later).unwrap();
    pass.part(&Part::whole(source), &mut |_| ()).unwrap();
    pass.finish().unwrap()
}

pub(super) fn cold(stock: Stock, source: &Path) -> Result<Captured<Vec<u8>>, CaptureError> {
    cold_into(stock, source, Vec::new())
}

pub(super) fn cold_into<O: Output>(stock: Stock, source: &Path, out: O) -> Result<Captured<O>, CaptureError> {
    let mut pass = begun(stock, source);
    pass.part(&Part::whole(source), &mut |_| ()).unwrap();
    pass.finish().unwrap().assemble(out, facts())
}

pub(super) fn begun(stock: Stock, source: &Path) -> ColdPass {
    ColdPass::new(stock, &head(&[source]), &CaptureOptions::default()).unwrap()
}

pub(super) fn made(pass: ColdPass) -> Captured<Vec<u8>> {
    pass.finish().unwrap().assemble(Vec::new(), facts()).unwrap()
}

/// A night in two passes, with `meanwhile` between them.
pub(super) fn night(stock: Stock, source: &Path, meanwhile: impl FnOnce()) -> Captured<Vec<u8>> {
    let (stock, wrong) = hot(stock, source, false);
    assert_eq!(wrong, Vec::<String>::new());
    meanwhile();
    cold(stock, source).unwrap()
}

pub(super) fn single(stock: Stock, source: &Path, audit: bool) -> Captured<Vec<u8>> {
    let options = CaptureOptions { audit, ..CaptureOptions::default() };
    let mut pass = Capture::new(Vec::new(), head(&[source]), &options, stock, Some(&later)).unwrap();
    pass.part(&Part::whole(source), &mut |_| ()).unwrap();
    pass.finish(facts()).unwrap()
}

/// Times are relied on only where that was tested; elsewhere everything is read, which is slow and right.
pub(super) fn times_count(path: &Path) -> bool {
    let kind = rustix::fs::statfs(path).unwrap().f_type as u64;
    let known = [0xef53, 0x5846_5342, 0x9123_683e].contains(&kind);
    if !known {
        skip(&format!("a part: nobody relies on the times of the file system of {} (TMPDIR names another)", path.display()));
    }
    known
}

/// Changes a file in place and gives it a new time.
pub(super) fn edit(path: &Path, at: u64, bytes: &[u8], time: i64) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    touch(path, time, 0);
}
