//! What is made for the owner and given to them, and what is not.

use std::os::unix::fs::{chown, symlink};

use super::*;
use crate::install::tests::House;

#[test]
fn a_link_or_another_accounts_folder_is_not_given_away() {
    let home = House::new();
    let other = Ids { uid: home.mac.owner.uid + 1, gid: home.mac.owner.gid };
    let (folder, link) = (home.dir.path().join("folder"), home.dir.path().join("link"));
    fs::create_dir(&folder).unwrap();
    symlink(&folder, &link).unwrap();
    // Root does not even look into a folder that is not the owner's.
    let (link_is, folder_is) = match rustix::process::geteuid().is_root() {
        true => ("is another account's", "is another account's"),
        false => ("is a symbolic link", "is not a plain file"),
    };
    let error = home.apply(&[Step::Folder { path: link, owner: other, mode: 0o700 }]).unwrap_err();
    assert!(error.to_string().contains(&format!("{link_is}; nothing was given to")), "{error}");
    let error = home.apply(&[Step::Give { path: folder, owner: other }]).unwrap_err();
    assert!(error.to_string().contains(folder_is), "{error}");
}

#[test]
fn with_root_what_sudo_made_becomes_the_owners() {
    if !offsite_tests::is_root() && offsite_tests::lacking("root", "this test gives files away") {
        return;
    }
    let home = House::new();
    let owner = Ids { uid: 501, gid: 20 };
    let logs = home.dir.path().join("a/b/logs");
    let log = logs.join("launchd.log");
    fs::create_dir_all(home.dir.path().join("a")).unwrap();
    chown(home.dir.path().join("a"), Some(501), Some(20)).unwrap();
    home.apply(&[Step::Folder { path: logs.clone(), owner, mode: 0o700 }]).unwrap();
    // An installation before this one left it to root: launchd could not start the job (exit code 78).
    fs::write(&log, "").unwrap();
    home.apply(&[Step::Give { path: log.clone(), owner }]).unwrap();
    let of = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
    assert_eq!([of(&logs), of(logs.parent().unwrap()), of(&log)], [(501, 20); 3]);
    // What was there before stays whose it was.
    assert_eq!(of(home.dir.path()).0, 0);
    let list = home.dir.path().join("a/list");
    home.apply(&[Step::Write { path: list.clone(), text: "x".into(), owner }]).unwrap();
    assert_eq!(of(&list), (501, 20));
    // A third account's is nobody's to give.
    let third = Ids { uid: 502, gid: 20 };
    let error = home.apply(&[Step::Give { path: log, owner: third }]).unwrap_err();
    assert!(error.to_string().contains("is another account's"), "{error}");
}

#[test]
fn with_root_no_link_of_the_owners_leads_to_a_right_that_the_owner_has_not() {
    if !offsite_tests::is_root() && offsite_tests::lacking("root", "this test gives files away") {
        return;
    }
    let home = House::new();
    let owner = Ids { uid: 501, gid: 20 };
    let (theirs, roots) = (home.dir.path().join("theirs"), home.dir.path().join("roots"));
    for folder in [&theirs, &roots] {
        fs::create_dir(folder).unwrap();
    }
    chown(&theirs, Some(501), Some(20)).unwrap();
    let uid = |path: &Path| fs::metadata(path).unwrap().uid();
    let refused = |step: Step| home.apply(&[step]).unwrap_err().to_string();

    // A second name, in the owner's folder, of a file of root's.
    let (secret, log) = (roots.join("secret"), theirs.join("launchd.log"));
    fs::write(&secret, "").unwrap();
    fs::hard_link(&secret, &log).unwrap();
    let error = refused(Step::Give { path: log, owner });
    assert!(error.contains("is a file with another name elsewhere; nothing was given to 501"), "{error}");
    assert_eq!(uid(&secret), 0);

    // A link in the middle of the path: nothing is made, given away or written beyond it.
    symlink(&roots, theirs.join("Logs")).unwrap();
    fs::create_dir(roots.join("there")).unwrap();
    for step in [
        Step::Folder { path: theirs.join("Logs/new"), owner, mode: 0o700 },
        Step::Folder { path: theirs.join("Logs/there"), owner, mode: 0o700 },
        Step::Folder { path: theirs.join("Logs"), owner, mode: 0o700 },
        Step::Give { path: theirs.join("Logs/secret"), owner },
        Step::Write { path: theirs.join("Logs/list"), text: "x".into(), owner },
    ] {
        let error = refused(step);
        assert!(error.contains("nothing was given to 501"), "{error}");
    }
    assert_eq!([uid(&roots), uid(&secret), uid(&roots.join("there"))], [0; 3]);
    assert!(!roots.join("new").exists() && !roots.join("list").exists());
}
