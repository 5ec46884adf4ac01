//! What callers may expect of the store, on the embedded server and on a real sshd.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod support;

use std::fs;
use std::path::Path as FsPath;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use offsite_sftp::server::{Access, Limits};
use offsite_sftp::{SftpError, SftpStore};
use support::{Embedded, Sshd, content};

fn path(text: &str) -> Path {
    Path::from(text)
}

async fn names(store: &SftpStore, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(Path::from);
    store.list(prefix.as_ref()).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap()
}

async fn get(store: &SftpStore, name: &str) -> Bytes {
    store.get(&path(name)).await.unwrap().bytes().await.unwrap()
}

async fn create(store: &SftpStore, name: &str, bytes: &[u8]) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&path(name), PutPayload::from(bytes.to_vec()), options).await.map(|_| ())
}

fn write(root: &FsPath, name: &str, bytes: &[u8]) {
    let file = root.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

/// Reading what lies there.
async fn reading(store: &SftpStore, root: &FsPath) {
    let big = content(3 * 1024 * 1024 + 17, 1);
    write(root, "archives/immich/one", &big);
    write(root, "archives/immich/two", b"two");
    write(root, "archives/web/three", b"");
    write(root, "archives/immich-files/four", b"four");
    write(root, "top", b"0123456789");
    write(root, "archives/.tmp-0123", b"half");
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(root.join("top")).unwrap().set_modified(when).unwrap();

    let all = ["archives/immich-files/four", "archives/immich/one", "archives/immich/two", "archives/web/three", "top"];
    assert_eq!(names(store, None).await, all);
    assert_eq!(names(store, Some("archives/immich")).await, ["archives/immich/one", "archives/immich/two"]);
    assert_eq!(names(store, Some("archives/immi")).await, [""; 0]);
    assert_eq!(names(store, Some("nowhere")).await, [""; 0]);
    assert_eq!(names(store, Some("top")).await, [""; 0], "a prefix is a folder, not an object");
    let listed = store.list_with_delimiter(Some(&path("archives"))).await.unwrap();
    assert!(listed.objects.is_empty());
    let folders: Vec<_> = listed.common_prefixes.iter().map(Path::to_string).collect();
    assert_eq!(folders, ["archives/immich", "archives/immich-files", "archives/web"]);
    let listed = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(listed.objects.iter().map(|meta| meta.location.as_ref()).collect::<Vec<_>>(), ["top"]);
    assert_eq!(listed.common_prefixes, [path("archives")]);

    let meta = store.head(&path("top")).await.unwrap();
    assert_eq!((meta.size, SystemTime::from(meta.last_modified)), (10, when));
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(listed.last().unwrap(), &meta);

    assert_eq!(get(store, "archives/immich/one").await, big);
    assert_eq!(get(store, "archives/web/three").await, Bytes::new());
    assert_eq!(store.get_range(&path("top"), 2..5).await.unwrap(), "234");
    assert_eq!(store.get_range(&path("top"), 8..50).await.unwrap(), "89");
    for (range, expected) in [(GetRange::Offset(7), "789"), (GetRange::Suffix(4), "6789"), (GetRange::Suffix(40), "0123456789")] {
        let result = store.get_opts(&path("top"), GetOptions { range: Some(range), ..GetOptions::default() }).await.unwrap();
        assert_eq!(result.meta, meta);
        assert_eq!(result.bytes().await.unwrap(), expected);
    }
    for range in [10..12, 3..3] {
        let error = store.get_range(&path("top"), range).await.unwrap_err();
        assert!(matches!(SftpError::find(&error), Some(SftpError::Range { .. })), "{error}");
    }

    let ranges = [0..10, 5..400_000, 3_000_000..3_145_728, 3_145_740..9_000_000, 5..6, 131_071..131_073];
    let read = store.get_ranges(&path("archives/immich/one"), &ranges).await.unwrap();
    for (range, bytes) in ranges.iter().zip(&read) {
        let (start, end) = (range.start as usize, (range.end as usize).min(big.len()));
        assert!(bytes == &big[start..end], "{range:?}");
    }
    assert!(store.get_ranges(&path("top"), &[]).await.unwrap().is_empty());
    assert!(store.get_ranges(&path("top"), &[0..1, 10..11]).await.is_err());

    for missing in ["missing", "archives/missing", "nowhere/missing", "archives/immich", "top/below"] {
        assert!(matches!(store.get(&path(missing)).await, Err(Error::NotFound { .. })), "{missing}");
        assert!(matches!(store.head(&path(missing)).await, Err(Error::NotFound { .. })), "{missing}");
    }
    assert!(store.traffic().read > big.len() as u64);
    assert!(store.traffic().written > 0);
}

/// Writing and removing.
async fn writing(store: &SftpStore, root: &FsPath) {
    let big = content(1024 * 1024 + 5, 2);
    create(store, "a/b/c", &big).await.unwrap();
    assert!(fs::read(root.join("a/b/c")).unwrap() == big);
    assert!(matches!(create(store, "a/b/c", b"other").await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(create(store, "a/b", b"other").await, Err(Error::AlreadyExists { .. })));
    assert!(get(store, "a/b/c").await == big);
    create(store, "a/empty", b"").await.unwrap();
    store.put(&path("a/d"), PutPayload::from_iter([Bytes::from_static(b"one "), Bytes::from_static(b"two")])).await.unwrap();
    assert_eq!(get(store, "a/d").await, "one two");
    store.put(&path("a/d"), "two one".into()).await.unwrap();
    assert_eq!(get(store, "a/d").await, "two one", "same size, same second, other bytes");
    assert_eq!(names(store, None).await, ["a/b/c", "a/d", "a/empty"]);
    let left = |folder: &str| fs::read_dir(root.join(folder)).unwrap().count();
    assert_eq!((left("a"), left("a/b")), (3, 1), "no temporary file is left");
    store.delete(&path("a/d")).await.unwrap();
    assert!(matches!(store.get(&path("a/d")).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.delete(&path("a/d")).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.copy(&path("a/empty"), &path("x")).await, Err(Error::NotSupported { .. })));
    assert!(matches!(store.rename(&path("a/empty"), &path("x")).await, Err(Error::NotSupported { .. })));
    assert!(matches!(store.put_multipart(&path("x")).await, Err(Error::NotSupported { .. })));
}

/// Ten times two writers want one name: one gets it.
async fn one_winner(store: &SftpStore) {
    for round in 0..10 {
        let name = format!("race/{round}");
        let (a, b) = tokio::join!(create(store, &name, b"a"), create(store, &name, b"b"));
        let winner: &[u8] = match (&a, &b) {
            (Ok(()), Err(Error::AlreadyExists { .. })) => b"a",
            (Err(Error::AlreadyExists { .. }), Ok(())) => b"b",
            _ => panic!("{a:?} {b:?}"),
        };
        assert_eq!(get(store, &name).await, winner);
    }
}

/// More readers than handles, readers that stop half-way, readers that wait for one another.
async fn many_readers(store: &SftpStore, root: &FsPath) {
    for number in 0..200 {
        write(root, &format!("many/{number}"), format!("number {number}").as_bytes());
    }
    let all: Vec<_> = stream::iter(0..200)
        .map(|number| async move { (number, get(store, &format!("many/{number}")).await) })
        .buffer_unordered(200)
        .collect()
        .await;
    for (number, bytes) in all {
        assert_eq!(bytes, format!("number {number}"));
    }

    // Each more than the pipeline holds, so that neither is finished before the other is asked.
    let (a, b) = (content(10 << 20, 3), content(10 << 20, 4));
    write(root, "big/a", &a);
    write(root, "big/b", &b);
    let mut left = store.get(&path("big/a")).await.unwrap().into_stream();
    let mut right = store.get(&path("big/b")).await.unwrap().into_stream();
    let (mut got_a, mut got_b) = (Vec::new(), Vec::new());
    while let Some(piece) = left.try_next().await.unwrap() {
        got_a.extend(piece);
        got_b.extend(right.try_next().await.unwrap().unwrap());
    }
    assert!(got_a == a && got_b == b);

    for _ in 0..100 {
        let mut half = store.get(&path("big/a")).await.unwrap().into_stream();
        assert!(half.try_next().await.unwrap().is_some());
    }
    assert_eq!(get(store, "many/7").await, "number 7", "abandoned readers give their handles back");
}

#[tokio::test]
async fn reading_from_the_embedded_server() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    reading(&embedded.store().await, embedded.root.path()).await;
}

#[tokio::test]
async fn reading_from_a_server_without_extensions() {
    let embedded = Embedded::start(Access::ReadOnly, false).await;
    reading(&embedded.store().await, embedded.root.path()).await;
}

#[tokio::test]
async fn reading_from_sshd() {
    let Some(sshd) = Sshd::start() else { return };
    reading(&sshd.store().await, sshd.root.path()).await;
}

#[tokio::test]
async fn writing_to_the_embedded_server() {
    let embedded = Embedded::start(Access::ReadWrite, true).await;
    let store = embedded.store().await;
    writing(&store, embedded.root.path()).await;
    one_winner(&store).await;
}

#[tokio::test]
async fn writing_to_sshd() {
    let Some(sshd) = Sshd::start() else { return };
    let store = sshd.store().await;
    writing(&store, sshd.root.path()).await;
    one_winner(&store).await;
}

#[tokio::test]
async fn overwriting_needs_an_atomic_rename() {
    let embedded = Embedded::start(Access::ReadWrite, false).await;
    let store = embedded.store().await;
    store.put(&path("a"), "one".into()).await.unwrap();
    assert!(matches!(store.put(&path("a"), "two".into()).await, Err(Error::NotSupported { .. })));
    assert_eq!(get(&store, "a").await, "one");
    assert!(matches!(create(&store, "a", b"two").await, Err(Error::AlreadyExists { .. })));
    assert_eq!(fs::read_dir(embedded.root.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_read_only_server_refuses_to_be_written() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    write(embedded.root.path(), "a", b"a");
    let store = embedded.store().await;
    assert!(matches!(store.put(&path("b"), "b".into()).await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(store.put(&path("f/b"), "b".into()).await, Err(Error::PermissionDenied { .. } | Error::NotFound { .. })));
    assert!(matches!(store.delete(&path("a")).await, Err(Error::PermissionDenied { .. })));
    assert_eq!(names(&store, None).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_the_embedded_server() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    many_readers(&embedded.store().await, embedded.root.path()).await;
}

/// What a server announces is kept: beyond it this one refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_a_server_that_bears_little() {
    let embedded = Embedded::start_with(Access::ReadWrite, Some(Limits { longest: 16 << 10, handles: 4 })).await;
    let store = embedded.store().await;
    reading(&store, embedded.root.path()).await;
    many_readers(&store, embedded.root.path()).await;
    let bytes = content(100_000, 3);
    create(&store, "put", &bytes).await.unwrap();
    assert_eq!(get(&store, "put").await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_sshd() {
    let Some(sshd) = Sshd::start() else { return };
    many_readers(&sshd.store().await, sshd.root.path()).await;
}

/// Pipes, links and mangled names: never opened, never followed, never listed.
#[cfg(target_os = "linux")]
async fn oddities(store: &SftpStore, root: &FsPath) {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    write(root, "odd/plain", b"p");
    mknodat(CWD, root.join("odd/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    symlink("plain", root.join("odd/link")).unwrap();
    symlink("..", root.join("odd/circle")).unwrap();
    fs::write(root.join("odd").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), b"x").unwrap();
    assert_eq!(names(store, Some("odd")).await, ["odd/plain"]);
    for name in ["odd/pipe", "odd/link"] {
        assert!(matches!(store.get(&path(name)).await, Err(Error::NotFound { .. })), "{name}");
    }
    assert_eq!(get(store, "odd/plain").await, "p");
    // It was listed as a file, and is none any more.
    fs::rename(root.join("odd/plain"), root.join("odd/moved")).unwrap();
    symlink("moved", root.join("odd/plain")).unwrap();
    for _ in 0..2 {
        assert!(matches!(store.get(&path("odd/plain")).await, Err(Error::NotFound { .. })));
    }
    fs::remove_file(root.join("odd/plain")).unwrap();
    write(root, "odd/plain", b"anew");
    assert_eq!(get(store, "odd/plain").await, "anew");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn oddities_on_the_embedded_server() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    oddities(&embedded.store().await, embedded.root.path()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn oddities_on_sshd() {
    let Some(sshd) = Sshd::start() else { return };
    oddities(&sshd.store().await, sshd.root.path()).await;
}

#[tokio::test]
async fn a_root_that_vanished_is_not_an_empty_repository() {
    let embedded = Embedded::start(Access::ReadOnly, true).await;
    let disk = embedded.root.path().join("disk");
    write(embedded.root.path(), "disk/a", b"a");
    let mut target = embedded.target();
    target.root = "/disk".into();
    let store = SftpStore::connect(&target).await.unwrap();
    assert_eq!(names(&store, None).await, ["a"]);
    fs::remove_dir_all(disk).unwrap();
    for prefix in [None, Some(path("archives"))] {
        let error = store.list(prefix.as_ref()).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(SftpError::find(&error).is_some(), "{error}");
        assert!(store.list_with_delimiter(prefix.as_ref()).await.is_err());
    }
    assert!(matches!(SftpStore::connect(&target).await, Err(SftpError::RootMissing { .. })));
}
