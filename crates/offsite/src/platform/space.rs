//! How much may still be written.
//!
//! macOS has two figures: what is free, and what it would make free for something important (old local snapshots, caches), which the Finder
//! shows. A backup is important, so the second counts. Volumes that know no such thing (network, FAT) answer nothing or nought: there the first does.

use std::{io, path::Path};

/// Bytes that may still be written below `folder` by who is not the administrator.
pub fn free(folder: &Path) -> io::Result<u64> {
    let (blocks, length) = blocks(folder)?;
    Ok(promised(blocks.saturating_mul(length), important(folder)))
}

fn promised(free: u64, important: Option<u64>) -> u64 {
    free.max(important.unwrap_or(0))
}

/// Free blocks and their length. macOS counts them in 32 bits for `statvfs`, which ends at 16 TB.
#[cfg(target_os = "macos")]
fn blocks(folder: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statfs(folder)?;
    Ok((facts.f_bavail, facts.f_bsize.into()))
}

#[cfg(not(target_os = "macos"))]
fn blocks(folder: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok((facts.f_bavail, facts.f_frsize))
}

/// What the system would make free for something important. Bytes.
#[cfg(target_os = "macos")]
fn important(folder: &Path) -> Option<u64> {
    use objc2_foundation::{NSArray, NSNumber, NSString, NSURL};
    // By its name, which is its value: the constant of that name is a foreign static, and not to be had without `unsafe`.
    let key = NSString::from_str("NSURLVolumeAvailableCapacityForImportantUsageKey");
    let url = NSURL::fileURLWithPath(&NSString::from_str(folder.to_str()?));
    let values = url.resourceValuesForKeys_error(&NSArray::from_slice(&[&*key])).ok()?;
    let bytes = values.objectForKey(&key)?.downcast::<NSNumber>().ok()?;
    u64::try_from(bytes.longLongValue()).ok()
}

/// No other system promises more than what is free.
#[cfg(not(target_os = "macos"))]
fn important(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_made_free_counts_and_its_lack_does_not() {
        let of = |important| promised(500, important);
        assert_eq!([None, Some(0), Some(400), Some(9000)].map(of), [500, 500, 500, 9000]);
    }
}
