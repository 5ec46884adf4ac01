//! `offsite cat`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    ops::Range,
    os::unix::fs::FileExt,
    process::Stdio,
    sync::Arc,
};

use offsite_archive::{Line, Manifest};
use offsite_repository::{LocalStore, Repository};

use crate::place::{NEW, OLD, Place};

fn bytes(place: &Place, arguments: &[&str]) -> Vec<u8> {
    let output = place.command(Some("offsite.yaml")).arg("cat").args(arguments).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    output.stdout
}

#[test]
fn a_file_comes_out_as_it_was_by_each_of_its_names() {
    let place = Place::with(
        |place| {
            place.write("house/photos/a.jpg", &b"a photo, again and again ".repeat(40_000), 0o644);
            fs::hard_link(place.path("house/photos/a.jpg"), place.path("house/photos/z.jpg")).unwrap();
            place.write("house/empty", b"", 0o644);
            place.write("house/log", b"first", 0o644);
            let sparse = File::create(place.path("house/sparse")).unwrap();
            sparse.set_len(20 << 20).unwrap();
            sparse.write_all_at(b"an island", 7 << 20).unwrap();
            std::os::unix::fs::symlink("log", place.path("house/link")).unwrap();
        },
        |place| place.write("house/log", b"first second", 0o644),
    );
    let path = |name: &str| place.path("house").join(name).display().to_string();
    for name in ["photos/a.jpg", "photos/z.jpg", "empty", "log", "sparse"] {
        for from in [&[][..], &["--from", "cold"]] {
            let found = bytes(&place, &[&[NEW, &path(name)], from].concat());
            assert!(found == fs::read(path(name)).unwrap(), "{name} {from:?}");
        }
    }
    assert_eq!(bytes(&place, &[OLD, &path("log")]), b"first");
    place.offsite(&["cat", NEW, &path("photos")]).ended(1).says("it is a folder").says("offsite ls ARCHIVE PATH");
    place.offsite(&["cat", NEW, "/"]).ended(1).says("it is a folder");
    place.offsite(&["cat", NEW, &path("link")]).ended(1).says("it is a symbolic link to log");
    place.offsite(&["cat", NEW, &path("lgo")]).ended(1).says(&format!("did you mean {}?", path("log")));
    // Whoever has enough is not told of it.
    let mut command = place.command(Some("offsite.yaml"));
    let mut child = command.args(["cat", NEW, &path("sparse")]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [1; 1000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
    assert!(start == [0; 1000]);
}

/// Zeroes everything in the Mac's packs but the frames that hold one member of each of `archives`. Returns how many those are.
pub(crate) fn keep_only(place: &Place, name: &str, archives: &[&str]) -> usize {
    let mut packs = BTreeMap::new();
    let kept = archives.iter().map(|archive| frames(place, name, archive, &mut packs)).sum();
    for pack in fs::read_dir(place.path("mac/packs")).unwrap() {
        let pack = pack.unwrap().path();
        let name = format!("packs/{}", pack.file_name().unwrap().to_str().unwrap());
        let mut bytes = vec![0; fs::metadata(&pack).unwrap().len() as usize];
        for (range, good) in packs.remove(&name).unwrap_or_default() {
            bytes[range].copy_from_slice(&good);
        }
        fs::write(&pack, bytes).unwrap();
    }
    kept
}

/// What stays of a pack.
type Good = Vec<(Range<usize>, Vec<u8>)>;

fn frames(place: &Place, name: &str, archive: &str, packs: &mut BTreeMap<String, Good>) -> usize {
    let mac = Arc::new(LocalStore::open(&place.path("mac")).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (object, index) = runtime.block_on(async {
        let mac = Repository::open(mac).await.unwrap();
        let object = mac.manifest(&archive.parse().unwrap()).await.unwrap();
        let index = mac.index_of(&object.manifest).await.unwrap();
        (object, index)
    });
    let path = place.path("house").join(name);
    let entry = Manifest::entries(&object.bytes).unwrap().find_map(|line| match line.unwrap() {
        Line::Entry(entry) if entry.path.to_string() == path.to_str().unwrap() => Some(entry),
        _ => None,
    });
    let entry = entry.unwrap();
    let mut kept = 0;
    let mut start = 0;
    for frame in &object.manifest.frames {
        let end = start + u64::from(frame.raw);
        if start < entry.data + entry.stored && end > entry.at {
            let location = index.locate(&frame.id).unwrap();
            let pack = index.pack_of(&location).unwrap().name.path().to_string();
            let good = fs::read(place.path("mac").join(&pack)).unwrap();
            let range = location.offset as usize..(location.offset + u64::from(location.len)) as usize;
            packs.entry(pack).or_default().push((range.clone(), good[range].to_vec()));
            kept += 1;
        }
        start = end;
    }
    kept
}

#[test]
fn no_frame_is_needed_but_those_that_hold_the_file() {
    let place = Place::new();
    let path = |name: &str| place.path("house").join(name).display().to_string();
    // The header of a large file, and its data in several frames; and one frame for a small file.
    for (name, least, most) in [("photos/a.jpg", 3, 12), ("web/key.pem", 1, 1)] {
        let before = tempfile::tempdir().unwrap();
        for pack in fs::read_dir(place.path("mac/packs")).unwrap() {
            let pack = pack.unwrap();
            fs::copy(pack.path(), before.path().join(pack.file_name())).unwrap();
        }
        let kept = keep_only(&place, name, &[NEW]);
        assert!((least..=most).contains(&kept), "{name}: {kept}");
        assert!(bytes(&place, &[NEW, &path(name)]) == fs::read(path(name)).unwrap());
        // Lists need none at all.
        place.offsite(&["ls", NEW, "-R"]).ended(0);
        place.offsite(&["find", "--all", "index.html"]).ended(0);
        place.offsite(&["diff", "latest"]).ended(0);
        let other = if name == "web/key.pem" { "photos/a.jpg" } else { "web/key.pem" };
        place.offsite(&["cat", NEW, &path(other)]).ended(1).says("is damaged").says("--from CLOUD");
        for pack in fs::read_dir(before.path()).unwrap() {
            let pack = pack.unwrap();
            fs::copy(pack.path(), place.path("mac/packs").join(pack.file_name())).unwrap();
        }
    }
}
