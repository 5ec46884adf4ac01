//! Whether an account may write is found out at a real sshd, and leaves no trace there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use object_store::path::Path;
use offsite_sftp::Writing;
use support::Sshd;

async fn ask(sshd: &Sshd) -> Writing {
    let file = sshd.root.path().join("there");
    fs::write(&file, "content").unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let said = sshd.store().await.writing(&Path::from("there"), &Path::from("absent")).await.unwrap();
    let names: Vec<_> = fs::read_dir(sshd.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["there"]);
    assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap()), (b"content".to_vec(), SystemTime::UNIX_EPOCH));
    said
}

#[tokio::test]
async fn a_server_that_only_reads_is_told_from_one_that_would_write() {
    let Some(sshd) = Sshd::start_with("ForceCommand internal-sftp -R\n") else { return };
    assert_eq!(ask(&sshd).await, Writing::Refused);
    let Some(sshd) = Sshd::start() else { return };
    assert_eq!(ask(&sshd).await, Writing::Allowed);
}

#[tokio::test]
async fn modes_forbid_what_the_server_would_do() {
    let Some(sshd) = Sshd::start() else { return };
    if sshd.user == "root" {
        println!("skipped: modes forbid root nothing");
        return;
    }
    let file = sshd.root.path().join("there");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let said = sshd.store().await.writing(&Path::from("there"), &Path::from("absent")).await.unwrap();
    assert_eq!(said, Writing::Modes);
}
