//! The lab itself: a story may rely on it only if it is known to notice.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use offsite_tests::tree::{Tree, assert_same, compare_trees, make_tree, mutate};
use offsite_tests::{Lab, Link, Pi};
use serde_json::json;

const SIZE: u64 = 200_000;

#[test]
fn the_same_seed_makes_and_changes_the_same_tree() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        make_tree(&lab.join(name), 1, SIZE);
    }
    // The roots' own times follow their names, so that what lies below is compared.
    let below = |name: &str| Tree::read(&lab.join(name)).0.split_off(Path::new("a"));
    assert_eq!(below("a"), below("b"));
    for night in [1, 2, 3] {
        let before = below("a");
        mutate(&lab.join("a"), night);
        mutate(&lab.join("b"), night);
        assert_ne!(before, below("a"), "night {night} changed nothing");
        assert_eq!(below("a"), below("b"));
    }
    make_tree(&lab.join("c"), 2, SIZE);
    assert_ne!(below("b"), below("c"));
}

#[test]
fn every_difference_is_noticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 9] = [
        ("content", |r| rewrite(&r.join("loki/wal"), |bytes| bytes[100] ^= 1)),
        ("content", |r| rewrite(&r.join("odd/sparse"), |bytes| bytes[5 << 20] = 1)),
        ("mode", |r| fs::set_permissions(r.join("odd/program"), fs::Permissions::from_mode(0o755)).unwrap()),
        ("mtime", |r| fs::File::options().write(true).open(r.join("loki/wal")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap()),
        ("only in the first", |r| fs::remove_file(r.join("odd/pipe")).unwrap()),
        ("only in the second", |r| fs::write(r.join("odd/more"), "").unwrap()),
        ("attributes", |r| rustix::fs::removexattr(r.join("odd/tagged"), "user.offsite.note").unwrap()),
        ("same as", |r| {
            fs::copy(r.join("photos/one.jpg"), r.join("photos/copy")).unwrap();
            fs::rename(r.join("photos/copy"), r.join("photos/the same.jpg")).unwrap();
        }),
        ("content", |r| {
            fs::remove_file(r.join("odd/link")).unwrap();
            std::os::unix::fs::symlink("elsewhere", r.join("odd/link")).unwrap();
        }),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        let lab = Lab::new();
        let (a, b) = (lab.join("1/tree"), lab.join("2/tree"));
        make_tree(&a, 1, SIZE);
        make_tree(&b, 1, SIZE);
        assert_same(&a, &b);
        change(&b);
        let found = compare_trees(&a, &b).join("\n");
        assert!(found.contains(what), "change {n} ({what}) was not noticed: {found:?}");
    }
}

fn rewrite(path: &Path, change: fn(&mut Vec<u8>)) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn owners_are_noticed() {
    if !offsite_tests::is_root() && offsite_tests::lacking("owners of files", "only root can give them") {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.join("1/tree"), lab.join("2/tree"));
    make_tree(&a, 1, SIZE);
    make_tree(&b, 1, SIZE);
    std::os::unix::fs::lchown(b.join("grafana/grafana.db"), Some(473), None).unwrap();
    assert_eq!(compare_trees(&a, &b), ["grafana/grafana.db: owner (472, 472) / (473, 472)"]);
    assert_eq!(Tree::read(&a).without_owners(), Tree::read(&b).without_owners());
    assert_eq!(Tree::read(&a).below(Path::new("loki")).0.len(), 43);
}

#[test]
fn tar_and_cp_bring_back_the_same_tree() {
    let lab = Lab::new();
    let (a, b) = (lab.join("1/tree"), lab.join("2/tree"));
    make_tree(&a, 1, SIZE);
    fs::create_dir(lab.join("2")).unwrap();
    let _ = lab.cmd("cp").arg("-a").arg(&a).arg(&b).run().succeeds();
    assert_same(&a, &b);
    let tar = "mkdir 3 && tar -C 1 --format=pax --xattrs -S -cf - tree | tar -C 3 --xattrs -p -xf -";
    let _ = lab.cmd("sh").args(["-c", tar]).run().succeeds();
    assert_same(&a, &lab.join("3/tree"));
}

#[test]
fn programs_are_judged_by_exit_code_and_words() {
    let lab = Lab::new();
    let outcome = lab.cmd("sh").args(["-c", "echo $HOME; echo oh >&2; exit 3"]).run().exits(3);
    assert_eq!(outcome.out, format!("{}\n", lab.home().display()));
    outcome.says("oh");
    assert!(std::panic::catch_unwind(|| outcome.says("nothing of the kind")).is_err());
    assert!(std::panic::catch_unwind(|| lab.cmd("false").run().succeeds().code).is_err());
    assert_eq!(lab.cmd("sh").args(["-c", "kill -9 $$"]).run().code, None);
    let _ = lab.offsite().arg("--help").run().succeeds();
    let _ = lab.agent().arg("--help").run().succeeds();
}

#[test]
fn the_pi_lets_its_account_read_one_folder_and_nothing_else() {
    let lab = Lab::new();
    let repository = lab.dir("pi/repository");
    fs::write(repository.join("a"), "an archive").unwrap();
    let Some(mut pi) = lab.pi(&repository) else { return };
    let got = lab.join("got");
    let get = format!("get {}/a {}\n", Pi::ROOT, got.display());

    let _ = sftp(&lab, &pi, &get).succeeds();
    assert_eq!(fs::read_to_string(&got).unwrap(), "an archive");
    for refused in ["put home /repository/b", "rm /repository/a", "get /etc/passwd", "rename /repository/a /repository/b"] {
        assert_ne!(sftp(&lab, &pi, &format!("{refused}\n")).code, Some(0), "{refused}");
    }
    ssh(&lab, &pi).arg("id").run().says("sftp connections only");
    assert_eq!(fs::read_dir(&repository).unwrap().count(), 1);

    pi.power_off();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, pi.port())).is_err());
    pi.power_on();
    let _ = sftp(&lab, &pi, &get).succeeds();
    pi.impostor();
    sftp(&lab, &pi, &get).exits(255).says("Host key verification failed");
}

fn options(pi: &Pi) -> [String; 8] {
    let option = |name: &str, value: &str| [String::from("-o"), format!("{name}={value}")];
    let [a, b] = option("UserKnownHostsFile", pi.known_hosts().to_str().unwrap());
    let [c, d] = option("StrictHostKeyChecking", "yes");
    let [e, f] = option("IdentityFile", pi.key().to_str().unwrap());
    let [g, h] = option("Port", &pi.port().to_string());
    [a, b, c, d, e, f, g, h]
}

fn ssh(lab: &Lab, pi: &Pi) -> offsite_tests::Cmd {
    lab.cmd("ssh").args(options(pi)).arg("offsite@127.0.0.1")
}

fn sftp(lab: &Lab, pi: &Pi, batch: &str) -> offsite_tests::Outcome {
    let batch = lab.file("batch", batch);
    lab.cmd("sftp").args(options(pi)).arg("-b").arg(batch).arg(format!("{}@{}", Pi::USER, Pi::HOST)).run()
}

#[test]
fn a_link_is_cut_after_exactly_so_many_bytes() {
    let lab = Lab::new();
    let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let link = Link::to(far.local_addr().unwrap().port());
    let serve = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = far.accept().unwrap();
            // The line is cut on the way: what does not go through any more is the point.
            let _ = stream.write_all(&vec![7; 300_000]);
        }
    });
    let all = || {
        let mut bytes = Vec::new();
        // A cut may arrive as an end or as a reset.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap().read_to_end(&mut bytes);
        bytes.len()
    };
    link.cut_after(100_000);
    assert_eq!(all(), 100_000);
    assert!(link.is_cut());
    assert_eq!(all(), 0);
    link.join();
    assert_eq!(all(), 300_000);
    assert_eq!(link.passed(), 400_000);
    serve.join().unwrap();
    drop(lab);
}

#[test]
fn the_pi_is_reached_through_a_link_as_well() {
    let lab = Lab::new();
    let repository = lab.dir("repository");
    fs::write(repository.join("a"), "an archive").unwrap();
    let Some(pi) = lab.pi(&repository) else { return };
    let link = Link::to(pi.port());
    let pinned = fs::read_to_string(pi.known_hosts_through(link.port())).unwrap();
    assert!(pinned.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", link.port())), "{pinned}");
    let mut greeting = [0; 8];
    TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
}

#[test]
fn the_cloud_is_cold_and_can_fail_and_lie() {
    let lab = Lab::new();
    let Some(s3) = lab.s3() else { return };
    let curl = |method: &str, path: &str, more: &[&str]| {
        let key = "Authorization: AWS4-HMAC-SHA256 Credential=lab/20250101/us-east-1/s3/aws4_request";
        let plain = ["-s", "-H", key, "-H", "Content-Type: application/octet-stream", "-w", " %{http_code}", "-X", method];
        lab.cmd("curl").args(plain).args(more).arg(format!("{}/offsite/{path}", s3.endpoint())).run()
    };
    let stored = curl("PUT", "packs/a", &["-H", "x-amz-storage-class: DEEP_ARCHIVE", "--data-binary", "hello"]).succeeds();
    stored.says("200");
    assert_eq!(s3.objects().len(), 1);
    assert_eq!((s3.objects()[0].size, s3.objects()[0].class.as_str()), (5, "DEEP_ARCHIVE"));
    curl("GET", "packs/a", &[]).says("InvalidObjectState");

    curl("PUT", "index/a", &["--data-binary", "hello"]).says("200");
    s3.fault(&json!({ "method": "GET", "match": "index", "status": 503 }));
    curl("GET", "index/a", &[]).says("SlowDown");
    curl("GET", "index/a", &[]).says("hello 200");
    s3.damage("index/a", 0);
    curl("GET", "index/a", &[]).says("iello 200");
    s3.lose("index/a");
    curl("GET", "index/a", &[]).says("404");
    let asked: Vec<_> = s3.requests().into_iter().map(|(method, _)| method).collect();
    assert_eq!(asked, ["PUT", "GET", "PUT", "GET", "GET", "GET", "GET"]);
}

#[test]
fn containers_write_and_are_gone_with_their_stack() {
    let lab = Lab::new();
    let Some(stack) = lab.stack() else { return };
    stack.up(&["db", "writer", "notes", "web"]);
    let running: Vec<_> = stack.running().into_iter().collect();
    assert_eq!(running, ["db", "notes", "web", "writer"]);
    let _ = stack.compose(&["stop"]).succeeds();
    stack.up(&["db", "notes"]);
    assert!(stack.running().contains("db"));
    let _ = (stack.rows("db"), stack.rows("notes"));
    let project = stack.project().to_owned();
    drop(stack);
    let left = lab.cmd("docker").args(["ps", "-aq", "--filter", &format!("label=com.docker.compose.project={project}")]).run().succeeds();
    assert_eq!(left.out, "");
}
