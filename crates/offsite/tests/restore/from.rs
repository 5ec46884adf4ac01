//! From other places than the Mac's repository, with what is left to open them.

use std::fs;

use crate::place::{NEW, OLD, Place, paper, said, tree};

#[test]
fn the_cloud_and_the_paper_are_enough() {
    let place = Place::new();
    let url = format!("file://{}", place.path("cloud").display());
    for gone in ["mac", "state", "backup"] {
        fs::remove_dir_all(place.path(gone)).unwrap();
    }
    fs::remove_file(place.path("offsite.yaml")).unwrap();
    fs::write(place.path("paper"), format!("{}\n", paper().to_lowercase().replace('-', " "))).unwrap();
    let asked = |arguments: &[&str]| said(place.command(None).env("OFFSITE_RECOVERY_KEY", paper()).args(arguments).output().unwrap());
    asked(&["archives", "--from", &url, "--recovery-key", "-"]).ended(0).says(OLD).says(NEW);
    asked(&["restore", "services", "--from", &url, "--recovery-key", "-", "--into", "asked"]).ended(0);
    asked(&["restore", "services", "--from", &url, "--recovery-key", "@paper", "--into", "file"]).ended(0);
    asked(&["restore", "services", "--from", &url, "--recovery-key", &paper(), "--into", "given"]).ended(0);
    for into in ["asked", "file", "given"] {
        assert_eq!(tree(&place.house_in(into)), tree(&place.path("house")), "{into}");
    }
    asked(&["archives", "--from", &url]).ended(1).says("is sealed").says("--recovery-key -");
    asked(&["archives", "--from", "cold"]).ended(2).says("without a configuration");
}

#[test]
fn a_key_that_is_mistyped_is_told_from_one_that_is_wrong() {
    let place = Place::new();
    let tried = |key: &str| place.offsite(&["archives", "--from", "cold", "--recovery-key", key]).ended(1);
    let swapped: String = {
        let mut groups: Vec<String> = paper().split('-').map(str::to_owned).collect();
        groups.swap(0, 1);
        groups.join("-")
    };
    assert_ne!(swapped, paper());
    tried(&swapped).says("cannot use the recovery key");
    let other = offsite_repository::seal::RecoveryKey::from_bytes([4; 32]);
    let other = other.groups().iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-");
    let said = tried(&other).says("wrong recovery key").says("group by group");
    assert!(!said.err.contains(&other[..11]) && !said.err.contains(&paper()[..11]), "{said:#?}");
    // This vault has no slot for a passphrase.
    let output =
        place.command(Some("offsite.yaml")).env("OFFSITE_PASSPHRASE", "x").args(["archives", "--from", "cold", "--passphrase"]).output();
    said_one(output.unwrap(), "no key slot for a passphrase");
}

#[track_caller]
fn said_one(output: std::process::Output, text: &str) {
    said(output).ended(1).says(text);
}

#[test]
fn the_key_file_opens_a_cloud_by_name_and_by_address() {
    let place = Place::new();
    let url = format!("file://{}", place.path("cloud").display());
    place.offsite(&["restore", OLD, "--from", "cold", "--into", "name"]).ended(0).says("from cold into");
    place.offsite(&["restore", OLD, "--from", &url, "--into", "address"]).ended(0);
    assert_eq!(tree(&place.house_in("name")), tree(&place.house_in("address")));
    place.offsite(&["archives", "--from", "warm"]).ended(1).says("no cloud of the configuration is called \"warm\" (cold)");
}

#[test]
fn a_repository_in_the_clear_is_opened_as_it_is() {
    let place = Place::new();
    for (folder, into) in [("mac", "from-mac"), ("backup", "from-pi")] {
        let url = format!("file://{}", place.path(folder).display());
        said(place.command(None).args(["restore", "services", "--from", &url, "--into", into]).output().unwrap()).ended(0);
        assert_eq!(tree(&place.house_in(into)), tree(&place.path("house")), "{folder}");
    }
    let url = format!("file://{}", place.path("unmounted").display());
    said(place.command(None).args(["archives", "--from", &url]).output().unwrap()).ended(1).says("mount the disk");
}
