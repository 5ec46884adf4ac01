//! OpenSSH's own client against the embedded server.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use offsite_sftp::server::Access;
use support::{Embedded, content};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

async fn run(program: &str, embedded: &Embedded, options: &[&str], input: &str) -> Option<std::process::Output> {
    let port = embedded.server.port().to_string();
    let known_hosts = &embedded.client.known_hosts;
    let child = Command::new(program)
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o"])
        .arg(format!("Port={port}"))
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .arg("-i")
        .arg(&embedded.client.key)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: no {program} here");
        return None;
    };
    // A child that does not read its input is no error.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    Some(child.wait_with_output().await.unwrap())
}

fn local(embedded: &Embedded, name: &str) -> std::path::PathBuf {
    embedded.client.dir.path().join(name)
}

#[tokio::test]
async fn sftp_gets_more_than_a_window_and_may_not_write() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let _known = embedded.target();
    let bytes = content(64 << 20, 11);
    fs::create_dir(embedded.root.path().join("folder")).unwrap();
    fs::write(embedded.root.path().join("folder/big"), &bytes).unwrap();
    let got = local(&embedded, "got");
    let batch = format!("ls -l folder\nget /folder/../folder/big {}\n", got.display());
    let Some(output) = run("sftp", &embedded, &["-b", "-", "anyone@127.0.0.1"], &batch).await else { return };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("67108864"), "{said}");
    assert!(fs::read(&got).unwrap() == bytes);

    for command in [format!("put {} folder/new", got.display()), "rm folder/big".into(), "mkdir made".into(), "rename folder/big x".into()]
    {
        let output = run("sftp", &embedded, &["-b", "-", "anyone@127.0.0.1"], &format!("{command}\n")).await.unwrap();
        assert!(!output.status.success(), "{command}");
    }
    assert_eq!(names(embedded.root.path()), ["folder"]);
    assert_eq!(names(&embedded.root.path().join("folder")), ["big"]);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn there_is_no_shell() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let _known = embedded.target();
    let Some(output) = run("ssh", &embedded, &["anyone@127.0.0.1", "echo hello"], "").await else { return };
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}
