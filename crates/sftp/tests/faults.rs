//! What happens to a real sshd while it is read from: killed, hung, gone.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::time::Duration;

use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use offsite_sftp::{Retry, SftpError, SftpStore, Target};
use rustix::process::{Pid, Signal, kill_process};
use support::{Sshd, content};

const BYTES: usize = 32 << 20;

/// An sshd whose sessions can be found.
fn sshd() -> Option<Sshd> {
    if !std::path::Path::new("/proc/self/stat").exists() {
        println!("skipped: no /proc here that tells whose child a process is");
        return None;
    }
    Sshd::start()
}

fn hasty(sshd: &Sshd) -> Target {
    let mut target = sshd.target();
    target.retry = Retry { first: Duration::from_millis(1), longest: Duration::from_millis(2), tries: 5 };
    target.timeouts.request = Duration::from_secs(3600);
    target.timeouts.keepalive = Duration::from_secs(1);
    target.timeouts.keepalive_max = 2;
    target
}

/// The processes that serve connections: all below the one that listens.
fn sessions(sshd: &Sshd) -> Vec<Pid> {
    let mut family = vec![sshd.pid()];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        at += 1;
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            // The name of the program stands in brackets and may hold anything; behind it come state and parent.
            let above = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<i32>().ok());
            if above == Some(parent) {
                family.push(pid);
            }
        }
    }
    family[1..].iter().filter_map(|pid| Pid::from_raw(*pid)).collect()
}

/// Reads the file, and does something to the server after the first piece of it arrived.
async fn read_while(target: &Target, meddle: impl FnOnce()) -> object_store::Result<Vec<u8>> {
    let store = SftpStore::connect(target).await.unwrap();
    let mut stream = store.get(&Path::from("file")).await?.into_stream();
    let mut all = stream.next().await.unwrap()?.to_vec();
    meddle();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// Fails a test that would otherwise hang.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("hangs")
}

#[tokio::test]
async fn a_session_that_is_killed_is_taken_up_again() {
    let Some(sshd) = sshd() else { return };
    let bytes = content(BYTES, 5);
    fs::write(sshd.root.path().join("file"), &bytes).unwrap();
    let read = soon(read_while(&hasty(&sshd), || {
        for pid in sessions(&sshd) {
            // One that ended with its parent is as gone as it should be.
            let _ = kill_process(pid, Signal::KILL);
        }
    }))
    .await;
    assert!(read.unwrap() == bytes);
}

#[tokio::test]
async fn a_session_that_hangs_is_left() {
    let Some(sshd) = sshd() else { return };
    let bytes = content(BYTES, 6);
    fs::write(sshd.root.path().join("file"), &bytes).unwrap();
    let mut stopped = Vec::new();
    let read = soon(read_while(&hasty(&sshd), || {
        stopped = sessions(&sshd);
        stopped.iter().for_each(|pid| kill_process(*pid, Signal::STOP).unwrap());
    }))
    .await;
    // Otherwise they would outlive the test.
    for pid in stopped {
        let _ = kill_process(pid, Signal::KILL);
    }
    assert!(read.unwrap() == bytes);
}

#[tokio::test]
async fn a_server_that_is_gone_for_good_is_an_error() {
    let Some(mut sshd) = sshd() else { return };
    fs::write(sshd.root.path().join("file"), content(BYTES, 7)).unwrap();
    let target = hasty(&sshd);
    let error = soon(read_while(&target, || {
        let sessions = sessions(&sshd);
        sshd.end();
        for pid in sessions {
            let _ = kill_process(pid, Signal::KILL);
        }
    }))
    .await
    .unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::Refused { .. })), "{error}");
}
