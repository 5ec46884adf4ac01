//! `offsite ls`.

use serde_json::Value;

use crate::place::{NEW, OLD, Place, Said, is_root};

/// The names in the last column of what a folder's listing printed.
fn names(said: &Said) -> Vec<String> {
    said.out.lines().map(|line| line.rsplit("  ").next().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_is_shown_one_level_deep_however_it_is_typed() {
    let place = Place::new();
    let web = place.path("house/web");
    let web = web.to_str().unwrap();
    let said = place.offsite(&["ls", "services", web]).ended(0);
    assert_eq!(names(&said), ["front -> index.html", "index.html", "key.pem"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("lrwx") && lines[1].starts_with("-rw-r--r--  ") && lines[2].starts_with("-rw-------  "), "{said:#?}");
    assert!(lines[1].contains(" 23 B  2025-11-13 02:13:20  index.html"), "{said:#?}");
    if is_root() {
        assert!(lines[2].contains("  472:10001  "), "{said:#?}");
    }
    for typed in [&web[1..], &format!("{web}/"), &format!("//{}/.", &web[1..])] {
        assert_eq!(place.offsite(&["ls", NEW, typed]).ended(0).out, said.out, "{typed}");
    }
    assert_eq!(place.offsite(&["ls", "2026-11-22", web, "--from", "cold"]).ended(0).out, said.out);
    place.offsite(&["ls", OLD, web]).ended(0).says(" 22 B  ");
    place
        .offsite(&["ls", NEW, &format!("{web}/index.html"), "--bytes"])
        .ended(0)
        .says(&format!(" 23  2025-11-13 02:13:20  {web}/index.html"));
}

#[test]
fn without_a_path_every_source_is_shown_and_above_it_the_way_down() {
    let place = Place::new();
    let house = place.path("house").display().to_string();
    let said = place.offsite(&["ls", "latest"]).ended(0);
    assert_eq!(said.out.lines().next(), Some(&*format!("{house}:")));
    assert_eq!(names(&said)[1..], ["empty", "photos", "web"]);
    let first = house.split('/').nth(1).unwrap();
    assert_eq!(place.offsite(&["ls", "latest", "/"]).ended(0).out, format!("d?????????  -  -  -  -  {first}\n"));
    let said = place.offsite(&["ls", "latest", "-R"]).ended(0);
    assert_eq!(said.out.lines().count(), 9);
    said.says(&format!("  {house}/photos/z.jpg link to {house}/photos/a.jpg\n")).says("  4.0 MB  ");
}

#[test]
fn what_is_not_there_is_answered_with_what_is_near() {
    let place = Place::new();
    let house = place.path("house").display().to_string();
    let said = place.offsite(&["ls", NEW, &format!("{house}/wep")]).ended(1);
    said.says(&format!("{NEW} holds nothing called {house}/wep; did you mean {house}/web?")).says("offsite find NAME");
    place.offsite(&["ls", NEW, "/photos"]).ended(1).says(&format!("; did you mean {house}/photos?"));
    place.offsite(&["ls", NEW, &format!("{house}/elephants")]).ended(1).says(&format!("; of that there is {house}\n"));
    place.offsite(&["ls", "services/2026-11-2"]).ended(1).says("is not one archive");
}

#[test]
fn json_has_the_keys_of_the_manifest() {
    let place = Place::new();
    let said = place.offsite(&["ls", NEW, "-R", "--json"]).ended(0);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 9);
    let find = |end: &str| lines.iter().find(|line| line["path"].as_str().unwrap().ends_with(end)).unwrap();
    let index = find("index.html");
    assert_eq!(
        (&index["kind"], &index["size"], &index["mode"], &index["archive"]),
        (&"file".into(), &23.into(), &0o644.into(), &NEW.into())
    );
    assert_eq!(index["mtime"], serde_json::json!([1_763_000_000, 123_456_789]));
    assert_eq!((&find("front")["link"], &find("z.jpg")["kind"]), (&"index.html".into(), &"hardlink".into()));
    assert_eq!(find("z.jpg")["size"], 4_000_000);
    let said = place.offsite(&["ls", NEW, "/", "--json"]).ended(0);
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap()["implied"], true);
}
