//! `offsite find`.

use std::fs;

use serde_json::Value;

use crate::place::{NEW, OLD, Place};

#[test]
fn a_file_is_found_by_its_name_and_its_history_leads_to_the_night_before() {
    let place = Place::with(
        |place| {
            place.write("house/app/app.db", &b"rows and rows ".repeat(40_000), 0o644);
            place.write("house/app/gone.txt", b"here", 0o644);
            place.write("house/app/Same.TXT", b"same", 0o644);
        },
        |place| {
            place.write("house/app/app.db", b"broken", 0o644);
            fs::remove_file(place.path("house/app/gone.txt")).unwrap();
            place.write("house/app/new.txt", b"new", 0o644);
        },
    );
    let app = place.path("house/app").display().to_string();
    place.offsite(&["find", "app.db"]).ended(0).says(&format!("  {app}/app.db\n")).says(" 6 B ");
    let said = place.offsite(&["find", "*.txt"]).ended(0);
    assert_eq!(said.out.lines().count(), 1, "{said:#?}");
    assert_eq!(place.offsite(&["find", "-i", "*.txt"]).ended(0).out.lines().count(), 2);
    place.offsite(&["find", "gone.txt"]).ended(1).says("nothing is called gone.txt in 1 archive of this Mac").says("--all");
    place.offsite(&["find", "x", "--job", "photos"]).ended(1).says("there is: services");
    place.offsite(&["find", "["]).ended(2);

    let said = place.offsite(&["find", "--all", "app.db", "gone.txt", "Same.TXT", "new.txt"]).ended(0);
    let lines: Vec<&str> = said.out.lines().map(str::trim).collect();
    let at = |path: &str| lines.iter().position(|line| *line == format!("{app}/{path}")).unwrap();
    assert!(at("Same.TXT") < at("app.db") && at("app.db") < at("gone.txt") && at("gone.txt") < at("new.txt"), "{said:#?}");
    let line = |path: &str, number: usize| lines[at(path) + number];
    assert!(line("app.db", 1).starts_with(OLD) && line("app.db", 1).contains(" 1 archive  560 kB  "), "{said:#?}");
    assert!(line("app.db", 2).starts_with(NEW) && line("app.db", 2).contains(" 1 archive     6 B  "), "{said:#?}");
    assert!(line("gone.txt", 2).starts_with(NEW) && line("gone.txt", 2).ends_with("gone"), "{said:#?}");
    assert!(line("Same.TXT", 1).starts_with(&format!("{OLD}  to {NEW}  2 archives  ")), "{said:#?}");
    assert!(line("new.txt", 1).starts_with(NEW) && line("new.txt", 1).contains("1 archive"), "{said:#?}");

    let said = place.offsite(&["find", "--all", "--json", "/**/app/*"]).ended(0);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find =
        |name: &str| lines.iter().find(|line| line["path"].as_str().unwrap().ends_with(name)).unwrap()["versions"].as_array().unwrap();
    let db = find("app.db");
    assert_eq!((db.len(), &db[0]["last"], &db[1]["first"]), (2, &OLD.into(), &NEW.into()));
    assert_eq!((&db[0]["content"], &db[1]["content"], &db[1]["size"]), (&Value::Null, &"different".into(), &6.into()));
    assert_eq!((&find("gone.txt")[1]["gone"], &find("Same.TXT")[0]["archives"]), (&true.into(), &2.into()));
}

#[test]
fn what_cannot_be_looked_into_is_said() {
    let place = Place::new();
    let manifest = place.path("mac/manifests").join(format!("{NEW}.zst"));
    fs::write(&manifest, b"damage").unwrap();
    place.offsite(&["find", "--all", "index.html"]).ended(3).says("cannot be read, and was not looked into").says(OLD);
}
