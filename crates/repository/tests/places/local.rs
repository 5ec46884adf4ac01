//! The folder as an object store: names, order, links, leftovers, and the errors that callers ask about.

use std::{
    fs, io,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    path::Path as FilePath,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use offsite_repository::{LocalError, LocalStore, is_disk_full};
use tempfile::{TempDir, tempdir};

use crate::common::noise;

fn store() -> (TempDir, LocalStore) {
    let folder = tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    (folder, store)
}

async fn create(store: &LocalStore, path: &str, bytes: &[u8]) -> object_store::Result<()> {
    let payload = PutPayload::from(Bytes::copy_from_slice(bytes));
    store.put_opts(&Path::from(path), payload, PutOptions::from(PutMode::Create)).await.map(drop)
}

async fn read(store: &LocalStore, path: &str) -> Bytes {
    store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
}

async fn listed(store: &LocalStore, prefix: Option<&str>) -> Vec<(String, u64)> {
    let prefix = prefix.map(Path::from);
    let all: Vec<_> = store.list(prefix.as_ref()).try_collect().await.unwrap();
    all.into_iter().map(|object| (object.location.to_string(), object.size)).collect()
}

fn names(folder: &FilePath) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_put_is_read_listed_and_deleted() {
    let (folder, store) = store();
    create(&store, "packs/b", b"bytes").await.unwrap();
    create(&store, "packs/a", b"").await.unwrap();
    create(&store, "index/deep/er/c", b"12345678").await.unwrap();
    create(&store, "d", b"d").await.unwrap();
    assert_eq!(names(folder.path()), ["d", "index", "packs"], "and no temporary file");
    assert_eq!(read(&store, "packs/b").await, "bytes");
    assert_eq!(read(&store, "packs/a").await, "");
    let all = [("d", 1), ("index/deep/er/c", 8), ("packs/a", 0), ("packs/b", 5)].map(|(path, size)| (path.to_owned(), size));
    assert_eq!(listed(&store, None).await, all);
    assert_eq!(listed(&store, Some("packs")).await, all[2..]);
    assert_eq!(listed(&store, Some("pack")).await, []);
    assert_eq!(listed(&store, Some("packs/b")).await, [], "a prefix is a folder, not an object");
    assert_eq!(listed(&store, Some("nowhere")).await, []);
    let level = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(level.common_prefixes, [Path::from("index"), Path::from("packs")]);
    assert_eq!(level.objects.iter().map(|object| object.location.clone()).collect::<Vec<_>>(), [Path::from("d")]);
    store.delete(&Path::from("packs/b")).await.unwrap();
    assert_eq!(listed(&store, Some("packs")).await, all[2..3]);
    assert!(matches!(store.delete(&Path::from("packs/b")).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.get(&Path::from("packs/b")).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.head(&Path::from("no/where")).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_object_is_created_once_and_only_replaced_when_asked() {
    let (folder, store) = store();
    create(&store, "a/b", b"first").await.unwrap();
    assert!(matches!(create(&store, "a/b", b"second").await, Err(Error::AlreadyExists { .. })));
    assert_eq!(read(&store, "a/b").await, "first");
    store.put(&Path::from("a/b"), PutPayload::from_static(b"third")).await.unwrap();
    assert_eq!(read(&store, "a/b").await, "third");
    assert_eq!((names(folder.path()), names(&folder.path().join("a"))), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[tokio::test]
async fn ranges_are_what_other_stores_make_of_them() {
    let (_folder, store) = store();
    let reference = object_store::memory::InMemory::new();
    let path = Path::from("packs/a");
    // Longer than one step of reading.
    let bytes = Bytes::from(noise(1, (9 << 20) + 3));
    create(&store, "packs/a", &bytes).await.unwrap();
    reference.put(&path, bytes.clone().into()).await.unwrap();
    let size = bytes.len() as u64;
    assert_eq!(read(&store, "packs/a").await, bytes);
    for range in [0..1, 5..500, 0..size, size - 1..size, size - 5..size + 5, (8 << 20) - 1..(8 << 20) + 1] {
        assert_eq!(
            store.get_range(&path, range.clone()).await.unwrap(),
            reference.get_range(&path, range.clone()).await.unwrap(),
            "{range:?}"
        );
    }
    for range in [size..size + 1, size + 9..size + 10, 7..7] {
        assert_eq!(
            store.get_range(&path, range.clone()).await.is_err(),
            reference.get_range(&path, range.clone()).await.is_err(),
            "{range:?}"
        );
    }
    let ranges = [size - 3..size, 0..4, 100..200];
    assert_eq!(store.get_ranges(&path, &ranges).await.unwrap(), reference.get_ranges(&path, &ranges).await.unwrap());
    let head = store.head(&path).await.unwrap();
    assert_eq!((head.size, head.location), (size, path));
}

#[tokio::test]
async fn odd_names_are_refused_before_anything_is_touched() {
    let (folder, store) = store();
    for name in ["", "a b", "ä", ".hidden", "a/.tmp-1", "a%2e%2e/b", "a//b", "a:b"] {
        let path = Path::from(name);
        if path.as_ref().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/') && !path.as_ref().is_empty() {
            continue; // object_store made it an honest name.
        }
        let payload = PutPayload::from_static(b"x");
        assert!(store.put_opts(&path, payload, PutOptions::from(PutMode::Create)).await.is_err(), "{name}");
        assert!(store.get(&path).await.is_err(), "{name}");
        assert!(store.delete(&path).await.is_err(), "{name}");
        assert!(matches!(store.file(&path), Err(LocalError::Name { .. })), "{name}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn links_pipes_and_folders_are_no_objects() {
    let (folder, store) = store();
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    fs::create_dir(folder.path().join("packs")).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("packs/a")).unwrap();
    symlink(outside.path(), folder.path().join("index")).unwrap();
    fs::create_dir(folder.path().join("packs/folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("packs/pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(listed(&store, None).await, []);
    assert_eq!(listed(&store, Some("index")).await, []);
    for path in ["packs/a", "packs/folder", "packs/pipe", "index/secret"] {
        assert!(store.get(&Path::from(path)).await.is_err(), "{path}");
        assert!(store.delete(&Path::from(path)).await.is_err(), "{path}");
        assert!(create(&store, path, b"x").await.is_err(), "{path}");
    }
    assert!(create(&store, "index/new", b"x").await.is_err());
    assert_eq!(names(outside.path()), ["secret"]);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(names(folder.path()), ["index", "packs"]);
}

#[tokio::test]
async fn litter_is_not_listed() {
    let (folder, store) = store();
    create(&store, "packs/a", b"a").await.unwrap();
    for name in [".DS_Store", "packs/._a", ".tmp-0011", "packs/a copy"] {
        fs::write(folder.path().join(name), b"litter").unwrap();
    }
    assert_eq!(listed(&store, None).await, [("packs/a".to_owned(), 1)]);
}

#[test]
fn a_missing_folder_is_not_made_by_opening() {
    let folder = tempdir().unwrap();
    let root = folder.path().join("srv/backup");
    assert!(matches!(LocalStore::open(&root), Err(LocalError::NoFolder { .. })));
    assert_eq!(names(folder.path()), [""; 0]);
    LocalStore::create(&root).unwrap();
    LocalStore::create(&root).unwrap();
    assert_eq!(LocalStore::open(&root).unwrap().root(), root);
    fs::write(folder.path().join("file"), b"").unwrap();
    assert!(LocalStore::open(&folder.path().join("file")).is_err());
    assert!(LocalStore::create(&folder.path().join("file/below")).is_err());
}

#[tokio::test]
async fn a_folder_that_went_away_is_an_error_and_not_made_again() {
    let folder = tempdir().unwrap();
    let root = folder.path().join("repository");
    let store = LocalStore::create(&root).unwrap();
    create(&store, "packs/a", b"a").await.unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert!(create(&store, "packs/b", b"b").await.is_err());
    assert!(store.get(&Path::from("packs/a")).await.is_err());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn only_old_temporary_files_are_cleaned() {
    let (folder, _) = store();
    let old = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
    for (name, modified) in [(".tmp-old", old), (".tmp-new", SystemTime::now()), ("other-old", old), (".old", old)] {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    fs::create_dir(folder.path().join(".tmp-folder")).unwrap();
    symlink("nowhere", folder.path().join(".tmp-link")).unwrap();
    LocalStore::open(folder.path()).unwrap();
    assert_eq!(names(folder.path()), [".old", ".tmp-folder", ".tmp-link", ".tmp-new", "other-old"]);
}

#[tokio::test]
async fn a_staged_file_is_nowhere_until_it_is_published_and_gone_when_dropped() {
    let (folder, store) = store();
    let mut staged = store.stage().unwrap();
    staged.write_all(b"hello, world").unwrap();
    staged.seek(SeekFrom::Start(0)).unwrap();
    staged.write_all(b"J").unwrap();
    assert_eq!(staged.len().unwrap(), 12);
    assert_eq!(listed(&store, None).await, []);
    store.publish(staged, &Path::from("archives/s/a")).unwrap();
    assert_eq!(read(&store, "archives/s/a").await, "Jello, world");
    let mut dropped = store.stage().unwrap();
    dropped.write_all(b"x").unwrap();
    assert!(dropped.is_empty().is_ok_and(|empty| !empty));
    drop(dropped);
    let late = store.stage().unwrap();
    assert!(matches!(store.publish(late, &Path::from("archives/s/a")), Err(LocalError::Exists { .. })));
    let other = tempdir().unwrap();
    let elsewhere = LocalStore::open(other.path()).unwrap().stage().unwrap();
    assert!(matches!(store.publish(elsewhere, &Path::from("b")), Err(LocalError::Elsewhere { .. })));
    assert_eq!((names(folder.path()), names(other.path())), (vec!["archives".to_owned()], vec![]));
}

#[tokio::test]
async fn renaming_moves_and_replaces_nothing() {
    let (_folder, store) = store();
    create(&store, "packs/a", b"a").await.unwrap();
    create(&store, "damaged/b", b"b").await.unwrap();
    let (a, b, c) = (Path::from("packs/a"), Path::from("damaged/b"), Path::from("aside/deep/a"));
    assert!(matches!(store.rename_if_not_exists(&a, &b).await, Err(Error::AlreadyExists { .. })));
    store.rename_if_not_exists(&a, &c).await.unwrap();
    assert!(matches!(store.rename_if_not_exists(&a, &c).await, Err(Error::NotFound { .. })));
    store.copy_if_not_exists(&c, &a).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&b, &a).await, Err(Error::AlreadyExists { .. })));
    let all = [("aside/deep/a", 1), ("damaged/b", 1), ("packs/a", 1)].map(|(path, size)| (path.to_owned(), size));
    assert_eq!(listed(&store, None).await, all);
    store.rename(&b, &a).await.unwrap();
    assert_eq!(read(&store, "packs/a").await, "b");
}

#[tokio::test]
async fn errors_name_the_file_and_keep_the_cause() {
    let (folder, store) = store();
    fs::write(folder.path().join("packs"), b"in the way").unwrap();
    let error = create(&store, "packs/a", b"a").await.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
    assert!(!is_disk_full(&error));
    assert_eq!(names(folder.path()), ["packs"]);
    let full = Error::Generic { store: "x", source: Box::new(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())) };
    assert!(is_disk_full(&full));
}

/// `/dev/full`'s file system way: a file system of one page that is really full. Needs root.
#[tokio::test]
async fn a_full_disk_is_recognised_and_leaves_nothing_behind() {
    let (folder, _) = store();
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path()).output();
    if !mount.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a small file system needs root");
        return;
    }
    let store = LocalStore::open(folder.path()).unwrap();
    let written = create(&store, "packs/a", &noise(1, 1 << 20)).await;
    let left = names(folder.path());
    drop(store);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
    let error = written.unwrap_err();
    assert!(is_disk_full(&error), "{error:?}");
    assert_eq!(left, [""; 0]);
}
