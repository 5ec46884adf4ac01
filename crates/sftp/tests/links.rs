//! Links that break, servers that fall silent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::io::Write;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use offsite_sftp::server::Access;
use offsite_sftp::{Retry, SftpError, SftpStore, Target};
use support::{Embedded, Fate, Relay, content};

const MIB: u64 = 1 << 20;

/// A server with one file of 20 MiB, reached over a relay.
async fn over(fates: Vec<Fate>) -> (Embedded, Relay, Vec<u8>) {
    let embedded = Embedded::start(Access::ReadWrite, true).await;
    let bytes = content(20 << 20, 7);
    fs::write(embedded.root.path().join("file"), &bytes).unwrap();
    let relay = Relay::start(embedded.server.port(), fates).await;
    (embedded, relay, bytes)
}

fn file() -> Path {
    Path::from("file")
}

async fn read(store: &SftpStore) -> object_store::Result<Vec<u8>> {
    Ok(store.get(&file()).await?.bytes().await?.to_vec())
}

/// Fails a test that would otherwise hang.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("hangs")
}

#[tokio::test]
async fn one_break_is_mended() {
    let (embedded, relay, bytes) = over(vec![Fate::Cut(6 * MIB), Fate::Lives]).await;
    let store = embedded.store_over(&relay).await;
    assert!(soon(read(&store)).await.unwrap() == bytes);

    let (embedded, relay, bytes) = over(vec![Fate::Cut(6 * MIB), Fate::Lives]).await;
    let store = embedded.store_over(&relay).await;
    let ranges: Vec<_> = (0..10).map(|n| n * 2 * MIB..n * 2 * MIB + MIB).collect();
    let read = soon(store.get_ranges(&file(), &ranges)).await.unwrap();
    for (range, read) in ranges.iter().zip(read) {
        assert!(read == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
}

/// Pauses that a test need not wait for.
fn hasty(embedded: &Embedded, relay: &Relay, tries: u32) -> Target {
    let mut target = embedded.client.target(relay.port, embedded.server.host_key(), "anyone", "/");
    target.retry = Retry { first: Duration::from_millis(1), longest: Duration::from_millis(2), tries };
    // A request that the library forgot in the moment of the end would hang the test.
    target.timeouts.request = Duration::from_secs(3600);
    target
}

#[tokio::test]
async fn breaks_are_mended_as_long_as_something_arrives() {
    // 20 MiB in pieces of 3, each with a handshake: seven breaks in one read.
    let (embedded, relay, bytes) = over(vec![Fate::Cut(3 * MIB)]).await;
    let store = SftpStore::connect(&hasty(&embedded, &relay, 0)).await.unwrap();
    assert!(soon(read(&store)).await.unwrap() == bytes);
    let traffic = store.traffic().read;
    assert!(traffic < 2 * bytes.len() as u64, "what had arrived came again: {traffic}");
}

#[tokio::test]
async fn breaks_without_gain_are_reported() {
    // Enough for the handshake, for nothing else.
    let (embedded, relay, _) = over(vec![Fate::Cut(6 * MIB), Fate::Cut(10_000)]).await;
    let store = SftpStore::connect(&hasty(&embedded, &relay, 1000)).await.unwrap();
    let error = soon(read(&store)).await.unwrap_err();
    assert!(SftpError::find(&error).is_some_and(SftpError::is_lost_link), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let away = [Fate::Cut(6 * MIB), Fate::Cut(0), Fate::Cut(0), Fate::Cut(0), Fate::Cut(0), Fate::Cut(0), Fate::Cut(0), Fate::Lives];
    let (embedded, relay, bytes) = over(away.to_vec()).await;
    let store = SftpStore::connect(&hasty(&embedded, &relay, 6)).await.unwrap();
    assert!(soon(read(&store)).await.unwrap() == bytes);

    let (embedded, relay, _) = over(away.to_vec()).await;
    let store = SftpStore::connect(&hasty(&embedded, &relay, 4)).await.unwrap();
    let error = soon(read(&store)).await.unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::Handshake { .. })), "{error}");
    // The next operation starts afresh: two refused, then it lives.
    assert!(soon(store.get_range(&file(), 0..10)).await.is_err());
    assert_eq!(soon(store.get_range(&file(), 0..10)).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let (embedded, relay, _) = over(vec![Fate::Cut(6 * MIB), Fate::Lives]).await;
    let target = hasty(&embedded, &relay, 1000);
    let store = SftpStore::connect(&target).await.unwrap();
    // The key that the server shows is known no more.
    fs::write(&target.known_hosts, "").unwrap();
    let error = soon(read(&store)).await.unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::HostKeyUnknown { .. })), "{error}");
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let (embedded, _relay, bytes) = over(vec![Fate::Lives]).await;
    let store = embedded.store().await;
    for _ in 0..5 {
        embedded.server.disconnect_all();
        assert_eq!(soon(store.head(&file())).await.unwrap().size, bytes.len() as u64);
        embedded.server.disconnect_all();
        assert_eq!(soon(store.list(None).try_collect::<Vec<_>>()).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_not_patched_together() {
    let (embedded, relay, _) = over(vec![Fate::Cut(6 * MIB), Fate::Lives]).await;
    let store = embedded.store_over(&relay).await;
    let result = store.get(&file()).await.unwrap();
    fs::File::options().append(true).open(embedded.root.path().join("file")).unwrap().write_all(b"more").unwrap();
    let error = soon(result.bytes()).await.unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::Changed { .. })), "{error}");
}

#[tokio::test]
async fn a_file_that_shrank_is_truncated_not_short() {
    let (embedded, relay, _) = over(vec![Fate::Lives]).await;
    let store = embedded.store_over(&relay).await;
    let result = store.get(&file()).await.unwrap();
    fs::File::options().write(true).open(embedded.root.path().join("file")).unwrap().set_len(1000).unwrap();
    let error = soon(result.bytes()).await.unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::Truncated { at: 1000, .. })), "{error}");
}

#[tokio::test]
async fn silence_is_noticed_by_keepalive() {
    let (embedded, relay, bytes) = over(vec![Fate::Frozen(6 * MIB), Fate::Lives]).await;
    let mut target = embedded.client.target(relay.port, embedded.server.host_key(), "anyone", "/");
    target.timeouts.keepalive = Duration::from_secs(1);
    target.timeouts.keepalive_max = 2;
    target.timeouts.request = Duration::from_secs(3600);
    let store = SftpStore::connect(&target).await.unwrap();
    assert!(soon(read(&store)).await.unwrap() == bytes);
}

#[tokio::test]
async fn an_answer_overdue_ends_the_link() {
    let (embedded, relay, _) = over(vec![Fate::Frozen(6 * MIB), Fate::Cut(0)]).await;
    let mut target = hasty(&embedded, &relay, 1);
    target.timeouts.keepalive = Duration::from_secs(3600);
    target.timeouts.request = Duration::from_millis(500);
    let store = SftpStore::connect(&target).await.unwrap();
    let error = soon(read(&store)).await.unwrap_err();
    assert!(matches!(SftpError::find(&error), Some(SftpError::Handshake { .. } | SftpError::RequestTimeout { .. })), "{error}");
}

/// Wherever within a put or a delete the link breaks, the operation is done once, wholly, and said to be done.
#[tokio::test]
async fn a_break_anywhere_in_a_put_or_delete_is_mended() {
    let embedded = Embedded::start(Access::ReadWrite, true).await;
    let relay = Relay::start(embedded.server.port(), vec![Fate::Lives]).await;
    let store = embedded.store_over(&relay).await;
    let connected = store.traffic().read;
    let bytes = content(300_000, 9);
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&Path::from("f/first"), PutPayload::from(bytes.clone()), create()).await.unwrap();
    store.delete(&Path::from("f/first")).await.unwrap();
    let all = store.traffic().read;
    let mut broken = 0;
    for cut in (connected..all).step_by(24) {
        let relay = Relay::start(embedded.server.port(), vec![Fate::Cut(cut), Fate::Lives]).await;
        let name = Path::from(format!("f/{cut}"));
        // The handshake is not always of the same length to the byte.
        let target = embedded.client.target(relay.port, embedded.server.host_key(), "anyone", "/");
        let Ok(store) = SftpStore::connect(&target).await else { continue };
        broken += 1;
        soon(store.put_opts(&name, PutPayload::from(bytes.clone()), create())).await.unwrap();
        assert!(fs::read(embedded.root.path().join(name.as_ref())).unwrap() == bytes, "{cut}");
        assert_eq!(soon(store.list(None).try_collect::<Vec<_>>()).await.unwrap().len(), 1, "{cut}");
        soon(store.delete(&name)).await.unwrap();
        assert!(soon(store.list(None).try_collect::<Vec<_>>()).await.unwrap().is_empty(), "{cut}");
    }
    assert!(broken > 10, "{broken} of {}", (all - connected) / 24);
}

/// A server that answers nothing before it got thirty requests or so would wait for ever if they came one by one.
#[tokio::test]
async fn requests_do_not_wait_for_answers() {
    let (embedded, relay, bytes) = over(vec![Fate::Lives]).await;
    let connected = embedded.store_over(&relay).await.traffic();
    // A read request is some 64 bytes; looking at the file and opening it takes 200 either way.
    let up = connected.written + 2000;

    let relay = Relay::start(embedded.server.port(), vec![Fate::Held { down: connected.read + MIB, up }]).await;
    let store = embedded.store_over(&relay).await;
    assert!(soon(read(&store)).await.unwrap() == bytes);

    let relay = Relay::start(embedded.server.port(), vec![Fate::Held { down: connected.read + 1000, up }]).await;
    let store = embedded.store_over(&relay).await;
    let ranges: Vec<_> = (0..100).map(|n| n * 100_000..n * 100_000 + 1000).collect();
    let read = soon(store.get_ranges(&file(), &ranges)).await.unwrap();
    assert!(ranges.iter().zip(read).all(|(range, read)| read == bytes[range.start as usize..range.end as usize]));
}
