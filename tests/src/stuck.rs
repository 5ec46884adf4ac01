//! A disk that can stop answering: whoever writes to it then cannot even be killed, until it answers again.
//!
//! A frozen file system stands in for a dead disk. It is mounted where everybody sees it, and answers again and goes when this is
//! dropped, or when the test is killed: declare it after whatever has processes that hang on it.

use std::path::Path;
use std::process::Command;

use crate::tied::Tied;

const SCRIPT: &str = r#"
set -e
mkdir -p "$1"
truncate -s 16M "$1.img"
mkfs.ext4 -q -F "$1.img"
trap '' INT TERM
mount -o loop "$1.img" "$1"
echo ready
cat >/dev/null
fsfreeze --unfreeze "$1" || true
umount --lazy "$1"
"#;

/// The disk.
#[derive(Debug)]
pub struct Stuck(#[expect(dead_code, reason = "held for its end")] Tied);

impl Stuck {
    pub(crate) fn mount(at: &Path) -> Self {
        let mut command = Command::new("bash");
        command.args(["-c", SCRIPT, "stuck"]).arg(at);
        Self(Tied::start(command, &at.with_extension("mount.log")).0)
    }

    /// The shell command after which the disk at `at` does not answer any more.
    #[must_use]
    pub fn command(at: &Path) -> String {
        format!("fsfreeze --freeze {}", at.display())
    }
}
