//! `offsite diff`.

use std::{
    fs::{self, FileTimes, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{
    cat::keep_only,
    place::{NEW, OLD, Place},
};

fn set_time(place: &Place, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(place.path("house").join(name)).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn changed() -> Place {
    let large = |letter: u8| [letter, b'\n'].repeat(200_000);
    Place::with(
        |place| {
            for (name, bytes) in [("large-touched", large(b'a')), ("large-stealthy", large(b'b'))] {
                place.write(&format!("house/{name}"), &bytes, 0o644);
            }
            for name in ["small-touched", "small-edited", "small-quiet", "grown", "removed", "mode", "becomes"] {
                place.write(&format!("house/{name}"), b"some bytes", 0o644);
            }
            for name in
                ["large-touched", "large-stealthy", "small-touched", "small-edited", "small-quiet", "grown", "removed", "mode", "becomes"]
            {
                set_time(place, name, 1_763_000_000);
            }
        },
        |place| {
            set_time(place, "large-touched", 1_763_000_001);
            place.write("house/large-stealthy", &large(b'c'), 0o644);
            set_time(place, "large-stealthy", 1_763_000_000);
            set_time(place, "small-touched", 1_763_000_001);
            place.write("house/small-edited", b"more bytes", 0o644);
            set_time(place, "small-edited", 1_763_000_001);
            place.write("house/grown", b"some bytes more", 0o644);
            set_time(place, "grown", 1_763_000_001);
            fs::remove_file(place.path("house/removed")).unwrap();
            fs::set_permissions(place.path("house/mode"), Permissions::from_mode(0o600)).unwrap();
            fs::remove_file(place.path("house/becomes")).unwrap();
            place.write("house/becomes/added\n\u{1b}[31m", b"new", 0o644);
        },
    )
}

#[test]
fn each_change_is_called_what_it_is_and_no_more() {
    let place = changed();
    let house = place.path("house").display().to_string();
    let said = place.offsite(&["diff", "latest"]).ended(0);
    let wanted = [
        format!("{OLD} -> {NEW}"),
        format!("M           10 B  {house}/becomes/  (was a file, is a folder)"),
        format!("+            3 B  {house}/becomes/added\\n\\u{{1b}}[31m"),
        format!("M   10 B -> 15 B  {house}/grown"),
        format!("M         400 kB  {house}/large-stealthy  (its time and length are as before)"),
        format!("m         400 kB  {house}/large-touched  (time)"),
        format!("m           10 B  {house}/mode  (mode 0644 -> 0600, its content was not read)"),
        format!("-           10 B  {house}/removed"),
        format!("?           10 B  {house}/small-edited"),
        format!("?           10 B  {house}/small-touched"),
        "1 added (3 B), 1 removed (10 B), 3 modified (400 kB -> 400 kB), 2 perhaps modified (20 B), 2 with another mode, owner or time; \
         2 entries unchanged"
            .to_owned(),
    ];
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = said.out.lines().map(squeezed).collect();
    assert_eq!(lines, wanted.iter().map(|line| squeezed(line)).collect::<Vec<_>>());
    assert_eq!(place.offsite(&["diff", OLD, NEW]).ended(0).out, said.out);
    assert_eq!(place.offsite(&["diff", "2026-11-21", "services", "--from", "cold"]).ended(0).out, said.out);

    // Who reads, knows.
    let read = place.offsite(&["diff", "latest", "--content"]).ended(0);
    read.says(&format!("M          10 B  {house}/small-edited\n")).says(&format!("m          10 B  {house}/small-touched  (time)\n"));
    let said = place.offsite(&["diff", "latest", "--content", "--json"]).ended(0);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |name: &str| lines.iter().find(|line| line["path"].as_str().is_some_and(|path| path.ends_with(name))).unwrap();
    assert_eq!((&find("small-edited")["change"], &find("small-touched")["change"]), (&"modified".into(), &"metadata".into()));
    assert_eq!((&find("grown")["before"]["size"], &find("grown")["after"]["size"]), (&10.into(), &15.into()));
    assert_eq!((&lines.last().unwrap()["summary"]["maybe"], &lines.last().unwrap()["summary"]["modified"]), (&0.into(), &4.into()));

    let said = place.offsite(&["diff", OLD, NEW, &format!("{house}/becomes")]).ended(0);
    assert_eq!(said.out.lines().count(), 4, "{said:#?}");
    assert_eq!(place.offsite(&["diff", "latest", &format!("{house}/becomes/")]).ended(0).out, said.out);
    assert_eq!(place.offsite(&["diff", "latest", "--stat"]).ended(0).out.lines().count(), 2);
    place.offsite(&["diff", "latest", "--exit-code"]).ended(5);
    place.offsite(&["diff", OLD, OLD, "--exit-code"]).ended(0).says("0 added (0 B), 0 removed (0 B), 0 modified (0 B -> 0 B); ");
    place.offsite(&["diff", OLD]).ended(1).says("cannot compare").says("offsite archives");
    place.offsite(&["diff", "latest", &format!("{house}/remove")]).ended(1).says(&format!("did you mean {house}/removed?"));
}

#[test]
fn no_frame_is_read_but_those_that_tell() {
    let place = changed();
    let whole = place.offsite(&["diff", "latest", "--content"]).ended(0).out;
    // The small files are neighbours in one frame of each night; what the large ones are is known by their frames' names.
    assert_eq!(keep_only(&place, "small-edited", &[OLD, NEW]), 2);
    assert_eq!(place.offsite(&["diff", "latest", "--content"]).ended(0).out, whole);
    assert_eq!(keep_only(&place, "small-edited", &[OLD]), 1);
    place.offsite(&["diff", "latest", "--content"]).ended(1).says("is damaged");
}

/// The change that `--json` prints of a file.
fn line(said: &str, name: &str) -> Option<Value> {
    let mut lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["path"].as_str().is_some_and(|path| path.ends_with(name)))
}

#[test]
fn what_was_not_read_is_not_called_the_same() {
    let (same, other) = ([b'a'; 3000], [b'b'; 3000]);
    let place = Place::with(
        |place| {
            for name in ["edited", "neighbour", "same"] {
                place.write(&format!("house/{name}"), &same, 0o600);
                set_time(place, name, 1_763_000_000);
            }
        },
        |place| {
            for (name, bytes) in [("edited", other), ("same", same)] {
                place.write(&format!("house/{name}"), &bytes, 0o644);
                set_time(place, name, 1_763_000_000);
            }
        },
    );
    let unread = format!("{}  (mode 0600 -> 0644, its content was not read)", place.path("house/edited").display());
    place.offsite(&["diff", "latest"]).ended(0).says(&unread);
    let said = place.offsite(&["diff", "latest", "--json"]).ended(0).out;
    let edited = line(&said, "/edited").unwrap();
    assert_eq!((&edited["change"], &edited["content"]), (&"metadata".into(), &"unknown".into()), "{said}");
    assert_eq!(edited["notes"], serde_json::json!(["mode 0600 -> 0644"]));

    let said = place.offsite(&["diff", "latest", "--content", "--json"]).ended(0).out;
    let (edited, same) = (line(&said, "/edited").unwrap(), line(&said, "/same").unwrap());
    assert_eq!((&edited["change"], &edited["content"]), (&"modified".into(), &"different".into()), "{said}");
    assert_eq!((&same["change"], &same["content"]), (&"metadata".into(), &"same".into()), "{said}");
    assert_eq!(line(&said, "/neighbour"), None);
    place
        .offsite(&["diff", "latest", "--content"])
        .ended(0)
        .says(&format!("{}  (mode 0600 -> 0644)\n", place.path("house/same").display()));
}

#[test]
fn a_sparse_file_is_compared_by_its_bytes_and_not_by_its_holes() {
    let names = ["edited", "filled", "moved"];
    let open = |place: &Place, name: &str| fs::File::options().write(true).open(place.path("house").join(name)).unwrap();
    let place = Place::with(
        |place| {
            for name in names {
                place.write(&format!("house/{name}"), b"", 0o644);
                open(place, name).set_len(20 << 20).unwrap();
                open(place, name).write_all_at(b"an island", 7 << 20).unwrap();
                set_time(place, name, 1_763_000_000);
            }
        },
        |place| {
            open(place, "edited").write_all_at(b"AN ISLAND", 7 << 20).unwrap();
            open(place, "filled").write_all_at(&[0; 1 << 20], 2 << 20).unwrap();
            place.write("house/moved", b"", 0o644);
            open(place, "moved").set_len(20 << 20).unwrap();
            open(place, "moved").write_all_at(b"an island", 6 << 20).unwrap();
            names.iter().for_each(|name| set_time(place, name, 1_763_000_000));
            set_time(place, "filled", 1_763_000_001);
        },
    );
    let said = place.offsite(&["diff", "latest", "--content", "--json"]).ended(0).out;
    for name in ["edited", "moved"] {
        let line = line(&said, name).unwrap_or_else(|| panic!("{name} is said to be unchanged: {said}"));
        assert_eq!((&line["change"], &line["content"]), (&"modified".into(), &"different".into()), "{said}");
    }
    let filled = line(&said, "filled").unwrap();
    assert_eq!((&filled["change"], &filled["content"]), (&"metadata".into(), &"same".into()), "{said}");
}
