//! The first night: from the Pi's services to three places, and back from each of them to the byte.

use std::fs;
use std::path::Path;

use offsite_tests::tree::{Tree, assert_same, make_tree};
use offsite_tests::{Cmd, Home, Lab, Mac, S3, is_root, lacking};

const SIZE: u64 = 2_000_000;

/// The services' data, with access control lists where the file system has them.
fn services(lab: &Lab, home: &Home<'_>) {
    make_tree(&home.source(), 7, SIZE);
    let photos = home.source().join("photos");
    let before = fs::metadata(&photos).unwrap().modified().unwrap();
    for acl in [&["-m", "u:472:rx,g:999:r"][..], &["-d", "-m", "u:10001:rwx"]] {
        let set = lab.cmd("setfacl").args(acl).arg(&photos).run();
        assert!(set.code == Some(0) || !is_root(), "{}", set.err);
    }
    fs::File::open(&photos).unwrap().set_modified(before).unwrap();
}

/// Where a path of the Pi lands in a folder that it is restored into.
fn landed(into: &Path, home: &Home<'_>) -> std::path::PathBuf {
    into.join(home.source().strip_prefix("/").unwrap())
}

#[test]
fn services_are_archived_pulled_sealed_pushed_shown_and_restored_from_everywhere() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(s3)) = (home.pi(), lab.s3()) else { return };
    services(&lab, &home);
    let before = Tree::read(&home.source());
    let archive = home.archive();

    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::bucket(&s3, "cold", ", class: DEEP_ARCHIVE"), "").with_env(s3.env());
    let synced = mac.offsite(&["sync"]).succeeds();
    synced.says(&format!("pulled {archive} (pi)"));
    synced.says(&format!("pushed {archive} (cold)"));
    // Another night with nothing new; and neither it nor the first read what lies cold.
    let _ = mac.offsite(&["sync"]).succeeds();
    let read = |(method, path): &(String, String)| method == "GET" && path.contains("/packs/");
    assert_eq!(s3.requests().into_iter().filter(read).collect::<Vec<_>>(), []);
    status_tells_what_is_true(&mac, &archive);
    assert!(Tree::read(&home.source()) == before, "the source itself changed");

    // From the Mac, with owners as only root can give them.
    let into = lab.join("from the mac");
    let owners = if is_root() { &["--owners"][..] } else { &[] };
    let _ = mac.cmd().args(["restore", Home::JOB, "--into"]).arg(&into).args(owners).run().succeeds();
    assert_same(&home.source(), &landed(&into, &home));
    let part = lab.join("a part");
    let loki = home.source().join("loki");
    let _ = mac.cmd().args(["restore", &archive, "--into"]).arg(&part).args(owners).arg(&loki).run().succeeds();
    assert_same(&loki, &landed(&part, &home).join("loki"));
    assert_eq!(fs::read_dir(landed(&part, &home)).unwrap().count(), 1, "only what was asked for");

    // From the cloud, on a machine that has nothing but the paper; its packs must be thawed, and the error says so.
    let into = lab.join("from the cloud");
    let bare = || stranger(&lab, &mac, &s3, &into).args(owners);
    let cold = bare().run().exits(1);
    cold.says("InvalidObjectState");
    cold.says("next:  the packs lie in a cold class: thaw");
    thaw(&lab, &s3);
    let _ = bare().run().succeeds();
    assert_same(&home.source(), &landed(&into, &home));
    assert_eq!(mac.archives(&["--from", "cold"]), [archive]);
}

/// The program of someone who has never had a configuration, in a fresh home folder.
fn stranger(lab: &Lab, mac: &Mac<'_>, s3: &S3, into: &Path) -> Cmd {
    let address = format!("s3://{}/vault", S3::BUCKET);
    let given =
        ["restore", Home::JOB, "--from", &address, "--recovery-key", &mac.recovery(), "--endpoint", &s3.endpoint()].map(str::to_owned);
    let cmd = lab.offsite().env("HOME", lab.dir("a new home")).args(given).arg("--into").arg(into);
    s3.env().into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
}

/// What a person does in the provider's console.
fn thaw(lab: &Lab, s3: &S3) {
    for pack in s3.objects().iter().filter(|object| object.class == "DEEP_ARCHIVE") {
        let url = format!("{}/{}/{}?restore", s3.endpoint(), S3::BUCKET, pack.key);
        let auth = "Authorization: AWS4-HMAC-SHA256 Credential=lab/20250101/us-east-1/s3/aws4_request";
        let days = "<RestoreRequest><Days>1</Days></RestoreRequest>";
        let xml = "Content-Type: application/xml";
        let _ = lab.cmd("curl").args(["-sS", "-f", "-X", "POST", "-H", auth, "-H", xml, "-d", days, &url]).run().succeeds();
    }
}

fn status_tells_what_is_true(mac: &Mac<'_>, archive: &str) {
    let said = mac.offsite(&["status"]).succeeds();
    said.says("fine: every copy is where it should be");
    said.says("holds: 3 fresh copies, 3 media, 1 off site");
    let report = mac.offsite(&["status", "--json"]).succeeds().json();
    assert_eq!((&report["verdict"], &report["alarms"]), (&"fine".into(), &serde_json::json!([])));
    let places = report["jobs"][0]["places"].as_array().unwrap();
    let told: Vec<_> =
        places.iter().map(|place| (place["place"].as_str().unwrap(), place["newest"].as_str(), place["count"].as_u64())).collect();
    assert_eq!(told, ["pi", "mac", "cold"].map(|place| (place, Some(archive), Some(1))));
    assert!(places[1]["verified"].is_string(), "{report}");
}

#[test]
fn anybody_opens_the_plain_files_and_nobody_the_sealed_ones() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(s3)) = (home.pi(), lab.s3()) else { return };
    services(&lab, &home);
    let archive = home.archive();
    let clouds = Mac::bucket(&s3, "cloud", "") + &Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &clouds, "").with_env(s3.env());
    let _ = mac.offsite(&["sync"]).succeeds();

    let exported = lab.join("exported.tar.zst");
    let _ = mac.cmd().args(["export", Home::JOB]).arg(&exported).run().succeeds();
    let copy = mac.repository().join("plain").join(format!("{archive}.tar.zst"));
    for (n, file) in [home.pi_file(&archive), copy, exported].iter().enumerate() {
        let _ = lab.cmd("zstd").arg("-tq").arg(file).run().succeeds();
        let listed = lab.cmd("bsdtar").arg("-tf").arg(file).run().succeeds();
        assert_eq!(listed.out.lines().count(), Tree::read(&home.source()).0.len(), "bsdtar lists every name");
        if !is_root() {
            continue;
        }
        // Exactly the command of docs/restore.md, but beside.
        let into = lab.dir(&format!("by tar {n}"));
        let tar = lab.cmd("tar").args(["--zstd", "--numeric-owner", "-xpf"]).arg(file).arg("-C").arg(&into).args([
            "--xattrs",
            "--xattrs-include=*",
            "--acls",
        ]);
        let _ = tar.run().succeeds();
        assert_same(&home.source(), &landed(&into, &home));
    }

    let pack = fs::read(home.pi_file(&archive)).unwrap();
    let needles: [&[u8]; 5] = [b"loki", b"request ", Home::JOB.as_bytes(), b"http_port", &pack[..64]];
    for (name, bytes) in sealed(&lab, &s3) {
        for needle in needles {
            assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{name} shows {:?}", String::from_utf8_lossy(needle));
        }
        let [kind, id] = *name.split('/').collect::<Vec<_>>() else { panic!("{name} lies elsewhere") };
        let id = id.trim_end_matches(".json");
        let random = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(["packs", "index", "manifests", "slots"].contains(&kind) && random, "{name} tells something");
    }
}

/// Every object of both clouds but the vaults' headers, by its name in the vault.
fn sealed(lab: &Lab, s3: &S3) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for object in s3.objects() {
        let name = object.key.strip_prefix("vault/").unwrap().to_owned();
        let got = lab.join("got");
        let url = format!("{}/{}/{}", s3.endpoint(), S3::BUCKET, object.key);
        let auth = "Authorization: AWS4-HMAC-SHA256 Credential=lab/20250101/us-east-1/s3/aws4_request";
        let _ = lab.cmd("curl").args(["-sf", "-H", auth, "-o"]).arg(&got).arg(&url).run().succeeds();
        found.push((name, fs::read(got).unwrap()));
    }
    let disk = lab.join("disk");
    for folder in ["packs", "index", "manifests", "slots"] {
        for entry in fs::read_dir(disk.join(folder)).unwrap() {
            let entry = entry.unwrap();
            found.push((format!("{folder}/{}", entry.file_name().to_str().unwrap()), fs::read(entry.path()).unwrap()));
        }
    }
    // In the clear by intent: the header, and the program that opens the vault without offsite.
    found.retain(|(name, _)| name != "vault.json" && !name.starts_with("recover/"));
    assert!(found.iter().filter(|(name, _)| name.starts_with("packs/")).count() >= 2);
    found
}

#[test]
fn a_database_that_is_always_written_to_comes_back_with_all_that_was_committed() {
    if !is_root() && lacking("a database's own files", "only root can restore their owner") {
        return;
    }
    let lab = Lab::new();
    let Some(stack) = lab.stack() else { return };
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let folder = stack.folder().display();
    home.configure_agent(&format!("    sources: ['{folder}']\n    quiesce: down\n    projects: '{folder}'\n"));
    stack.up(&["db", "writer", "notes", "web"]);
    let _ = stack.compose(&["stop", "-t", "0", "web"]).succeeds();
    let running: Vec<_> = stack.running().into_iter().collect();
    assert_eq!(running, ["db", "notes", "writer"]);

    let before = (stack.rows("db"), stack.rows("notes"));
    let _ = home.archive();
    assert_eq!(stack.running().into_iter().collect::<Vec<_>>(), running, "exactly what ran");
    let told = home.agent().args(["archives", "--json"]).run().succeeds().json();
    assert_eq!(told[0]["quiesced"][0]["project"], stack.project());
    // Compose waits for health only where it is told to: the database may still be on its way.
    stack.up(&["db", "notes"]);
    let after = (stack.rows("db"), stack.rows("notes"));

    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    let _ = mac.offsite(&["sync"]).succeeds();
    let into = lab.join("restored");
    let _ = mac.cmd().args(["restore", Home::JOB, "--owners", "--into"]).arg(&into).run().succeeds();
    let copy = stack.restored(&into.join(stack.folder().strip_prefix("/").unwrap()));
    copy.up(&["db", "notes"]);
    // The script says so if a row is missing or half. Nothing restarted the database's writer; that of the notes is the service itself.
    assert!((before.0..=after.0).contains(&copy.rows("db")), "{before:?} before, {} restored, {after:?} after", copy.rows("db"));
    assert!(copy.rows("notes") >= before.1);
}
