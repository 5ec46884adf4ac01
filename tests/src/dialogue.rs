//! A program at a terminal, and somebody who reads what it says before answering.
//!
//! An answer is typed only after the words that ask for it were seen, so nothing depends on how fast either side is. Somebody who waits for
//! words that never come would wait for ever; after three minutes of silence they give up, with all that was said.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::wait::PATIENCE;

/// A terminal: the end of who sits before it, and that of a program. When the former is closed, it is gone for the latter.
///
/// # Panics
/// If there are no terminals.
#[must_use]
pub fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    // Not for the program: as long as it held this end too, its terminal would not be gone.
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let name = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
    let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (File::from(ours), theirs)
}

/// A running program whose terminal we are.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    said: String,
    /// How much of it was looked at.
    seen: usize,
}

impl Dialogue {
    /// Starts `command` with a terminal as its input and outputs.
    ///
    /// # Panics
    /// If there are no terminals, or no such program.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let (keyboard, theirs) = terminal();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        // The screen ends when the last who could write to it is gone.
        drop((command, theirs));
        let mut glass = keyboard.try_clone().unwrap();
        let (show, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = glass.read(&mut bytes) {
                if length == 0 || show.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, screen, said: String::new(), seen: 0 }
    }

    /// Waits for `words`, and gives what was said before them since the last ones.
    ///
    /// # Panics
    /// If the program ends or falls silent without them.
    #[track_caller]
    pub fn hears(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.said[self.seen..].find(words) {
                let before = self.said[self.seen..self.seen + at].to_owned();
                self.seen += at + words.len();
                return before;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes).replace('\r', "")),
                Err(error) => panic!("{words:?} was not said: {error}\n-- said:\n{}", self.said),
            }
        }
    }

    /// Types a line, after `words` were said.
    ///
    /// # Panics
    /// If they are not said.
    #[track_caller]
    pub fn answers(&mut self, words: &str, line: &str) {
        let _ = self.hears(words);
        self.types(&format!("{line}\n"));
    }

    /// Types.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[track_caller]
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the terminal shows what is typed.
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn echoes(&self) -> bool {
        rustix::termios::tcgetattr(&self.keyboard).unwrap().local_modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// The end of the program: its exit code, and all that was on the screen.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn ends(mut self) -> (Option<i32>, String) {
        loop {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes).replace('\r', "")),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end\n-- said:\n{}", self.said),
            }
        }
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // One that has ended already is none to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
