//! Whether a folder is on a disk of this machine, or comes over a network.
//!
//! A repository over a network loses what a local disk promises: a sync that means something, a lock that the kernel lifts, and being there
//! at 04:30. Where the system does not tell, the folder counts as local.

use std::path::Path;

/// What carries `folder` over a network, in the system's own word; `None` if it is on a disk of this machine, or nobody knows.
pub fn network(folder: &Path) -> Option<String> {
    let facts = rustix::fs::statfs(folder).ok()?;
    kind(&facts)
}

/// `MNT_LOCAL` of `sys/mount.h`: the flag of what is on this machine.
#[cfg(target_os = "macos")]
const LOCAL: u32 = 0x1000;

#[cfg(target_os = "macos")]
fn kind(facts: &rustix::fs::StatFs) -> Option<String> {
    let name = || facts.f_fstypename.iter().map(|letter| *letter as u8).take_while(|letter| *letter != 0).map(char::from).collect();
    (facts.f_flags & LOCAL == 0).then(name)
}

#[cfg(not(target_os = "macos"))]
fn kind(facts: &rustix::fs::StatFs) -> Option<String> {
    // The numbers of statfs(2); the field's type differs from one architecture to the next.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "they are 32 bits wide")]
    let kind = match facts.f_type as u32 {
        0x6969 => "nfs",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x5346_414f => "afs",
        0x0102_1997 => "9p",
        0x00c3_6400 => "ceph",
        _ => return None,
    };
    Some(kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_this_machine_comes_over_no_network() {
        assert_eq!(network(Path::new("/")), None);
        assert_eq!(network(Path::new("/nowhere at all")), None);
    }
}
