//! What an interrupted pull costs: what was under way, and nothing that had arrived.
//!
//! The line is cut after so many bytes and not after so many seconds, so that it is cut at the same place every time. What is under way is
//! bounded by the program's own buffers and by those of two sockets.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use offsite_tests::{Cmd, Disk, Home, Lab, Line, Link, Mac, Pi};
use rustix::process::{Pid, Signal, kill_process};

const MB: u64 = 1_000_000;
/// What of an archive may be on its way: 16 MiB of requests and as much again in sockets and in the pipes between threads.
const UNDER_WAY: u64 = 32 << 20;

/// How long a line crawls: longer than a peer may say nothing.
const CRAWL: Duration = Duration::from_secs(25);

/// A Pi with one archive that does not compress, a line to it, and a Mac at its other end.
struct Scene<'a> {
    home: Home<'a>,
    link: Link,
    mac: Mac<'a>,
    _pi: Pi,
    /// The archive's length.
    bytes: u64,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab) -> Option<Self> {
        Self::at(lab, Ipv4Addr::LOCALHOST, None)
    }

    /// A line that begins at `address`, and a Mac with its repository on `disk`.
    fn at(lab: &'a Lab, address: Ipv4Addr, disk: Option<Disk>) -> Option<Self> {
        let home = Home::new(lab);
        let pi = home.pi()?;
        for n in 0..100_u64 {
            fs::write(home.source().join(format!("{n}.bin")), noise(n)).unwrap();
        }
        let archive = home.archive();
        let bytes = fs::metadata(home.pi_file(&archive)).unwrap().len();
        let (link, host) = (Link::at(address, pi.port()), address.to_string());
        let entry = home.entry_on(&pi, &host, link.port(), &pi.known_hosts_at(&host, link.port()));
        let mac = Mac::on(lab, disk, &entry, "", "plain: none\n");
        Some(Self { home, link, mac, _pi: pi, bytes })
    }

    /// The Pi keeps only so many.
    fn forget(&self) {
        let forgotten = self.home.pi_archives().pop().unwrap();
        fs::remove_file(self.home.pi_repository().join("manifests").join(format!("{forgotten}.zst"))).unwrap();
        fs::remove_file(self.home.pi_file(&forgotten)).unwrap();
    }

    fn start(&self) -> Child {
        self.start_by(|command| command)
    }

    fn start_by(&self, by: impl Fn(Cmd) -> Cmd) -> Child {
        let mut command = by(self.mac.cmd().arg("sync")).command();
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    /// A sync that ends at two thirds because the Mac's disk is full. Returns the file that took all the room.
    fn fill_in_the_middle(&self) -> PathBuf {
        self.link.cut_after(self.bytes / 3 * 2);
        let mut child = self.start();
        self.link.wait_until_cut();
        // Somebody else takes all that is left, while the Mac waits for the Pi to come back.
        let filler = self.mac.disk_of_its_own().unwrap().path().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 1 << 16]).is_ok() {}
        drop(file);
        self.link.join();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        filler
    }

    /// The archive on the Mac is the Pi's, byte for byte, and nothing else is left there.
    fn whole(&self, lab: &Lab) {
        let _ = self.mac.offsite(&["verify"]).succeeds();
        assert_eq!(self.mac.receipts_of("pulled").len(), 1);
        let archive = self.home.pi_archives().pop().unwrap();
        let out = lab.join("exported.tar.zst");
        let _ = self.mac.cmd().args(["export", &archive]).arg(&out).run().succeeds();
        assert!(fs::read(out).unwrap() == fs::read(self.home.pi_file(&archive)).unwrap());
        let disk = self.mac.disk_of_its_own().map(|disk| disk.path().join("repository"));
        assert!(arriving(&disk.unwrap_or_else(|| self.mac.repository())).is_empty());
    }
}

/// A megabyte that is the same for the same number, and for no other.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(1 << 20);
    while bytes.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn arriving(repository: &Path) -> Vec<String> {
    let names = fs::read_dir(repository).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".arriving-")).collect()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_kill_at_nine_tenths_costs_what_was_under_way() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    assert!(scene.bytes > 100 * MB);
    scene.link.cut_after(scene.bytes / 10 * 9);
    let mut child = scene.start();
    scene.link.wait_until_cut();
    // It is waiting for the Pi to come back, with what it has in its hands.
    signal(&child, Signal::KILL);
    let _ = child.wait().unwrap();
    let before = scene.link.passed();
    scene.link.join();
    let _ = scene.mac.offsite(&["sync"]).succeeds();
    let known: serde_json::Value = serde_json::from_slice(&fs::read(scene.mac.state().join("addresses.json")).unwrap()).unwrap();
    assert_eq!(known, serde_json::json!({"pi": "127.0.0.1"}), "where it is to be looked for when its name leads nowhere");
    let again = scene.link.passed() - before;
    assert!(again < scene.bytes / 10 + UNDER_WAY, "{again} of {} bytes came after the kill", scene.bytes);
    scene.whole(&lab);
}

#[test]
fn a_line_that_is_cut_and_a_process_that_sleeps_are_no_failures() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    let mut child = scene.start();
    scene.link.cut_after(scene.bytes / 3);
    scene.link.wait_until_cut();
    scene.link.join();
    // The lid is closed; when it is opened, the connection is gone.
    scene.link.cut_after(scene.bytes / 3);
    scene.link.wait_until_cut();
    signal(&child, Signal::STOP);
    scene.link.join();
    signal(&child, Signal::CONT);
    assert!(child.wait().unwrap().success());
    assert!(scene.link.passed() < scene.bytes + 2 * UNDER_WAY, "{} for {}", scene.link.passed(), scene.bytes);
    assert!(scene.mac.receipts_of("failed").is_empty());
    scene.whole(&lab);
}

#[test]
fn an_archive_that_the_pi_forgets_in_the_middle_is_no_failure() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    scene.link.cut_after(scene.bytes / 3);
    let mut child = scene.start();
    scene.link.wait_until_cut();
    scene.forget();
    scene.link.join();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(scene.mac.receipts_of("failed").is_empty());
    assert!(scene.mac.archives(&[]).is_empty());
    let _ = scene.mac.offsite(&["verify"]).succeeds();
}

#[test]
fn a_disk_that_is_filled_in_the_middle_keeps_what_had_arrived() {
    let lab = Lab::new();
    let Some(disk) = lab.disk("disk", 150 * MB) else { return };
    let Some(scene) = Scene::at(&lab, Ipv4Addr::LOCALHOST, Some(disk)) else { return };
    let filler = scene.fill_in_the_middle();
    // And once more, where it is known before anything moves.
    scene.mac.offsite(&["sync"]).exits(1).says("there is no room for");
    fs::remove_file(filler).unwrap();
    let before = scene.link.passed();
    let _ = scene.mac.offsite(&["sync"]).succeeds();
    let again = scene.link.passed() - before;
    // What was under way is lost, and of the rest at most a pack that could not be ended.
    assert!(again < scene.bytes / 4 * 3, "{again} of {} bytes came again", scene.bytes);
    scene.whole(&lab);
}

#[test]
fn what_came_of_an_archive_that_the_pi_forgot_gives_its_room_to_the_next() {
    let lab = Lab::new();
    let Some(disk) = lab.disk("disk", 220 * MB) else { return };
    let Some(scene) = Scene::at(&lab, Ipv4Addr::LOCALHOST, Some(disk)) else { return };
    let filler = scene.fill_in_the_middle();
    let room = fs::metadata(&filler).unwrap().len().checked_sub(100 * MB).unwrap();
    fs::File::options().write(true).open(&filler).unwrap().set_len(room).unwrap();
    // Before the next night the Pi has another archive in its place, with a tenth of what the first had.
    scene.forget();
    for n in (0..100_u64).filter(|n| n % 10 != 0) {
        fs::write(scene.home.source().join(format!("{n}.bin")), noise(1000 + n)).unwrap();
    }
    let _ = scene.home.archive();
    // It fits, and another night like this one would not: that is told.
    scene.mac.offsite(&["sync"]).exits(3).says("pruned mac: ");
    scene.mac.offsite(&["status"]).exits(3).says(" are free on its disk");
    scene.whole(&lab);
}

#[test]
fn a_line_that_goes_silent_in_the_middle_of_a_frame_is_noticed_and_replaced() {
    let lab = Lab::new();
    let Some(mut line) = Line::new(lab.path(), 200, 1) else { return };
    let Some(scene) = Scene::at(&lab, line.near(), None) else { return };
    let mut child = scene.start_by(|command| line.beyond(command));
    scene.link.wait_for(scene.bytes / 3);
    // Nothing says that the line is gone, not even to the Pi: packets are lost, as on a Wi-Fi that went away.
    line.rate(0.0);
    line.wait_until_given_up();
    line.rate(200.0);
    assert!(child.wait().unwrap().success());
    assert_eq!(scene.link.connections(), 2);
    assert!(scene.link.passed() < scene.bytes + 2 * UNDER_WAY, "{} for {}", scene.link.passed(), scene.bytes);
    assert!(scene.mac.receipts_of("failed").is_empty());
    scene.whole(&lab);
}

#[test]
fn a_line_that_crawls_in_the_middle_of_a_frame_is_no_dead_one() {
    let lab = Lab::new();
    let Some(mut line) = Line::new(lab.path(), 200, 20) else { return };
    let Some(scene) = Scene::at(&lab, line.near(), None) else { return };
    let mut child = scene.start_by(|command| line.beyond(command));
    scene.link.wait_for(scene.bytes / 3);
    // A megabyte takes half a minute now, and so does what keeps a connection alive, which is behind it.
    line.rate(0.25);
    std::thread::sleep(CRAWL);
    line.rate(200.0);
    assert!(child.wait().unwrap().success());
    assert_eq!(scene.link.connections(), 1, "what arrives slowly arrives");
    assert!(scene.mac.receipts_of("failed").is_empty());
    scene.whole(&lab);
}
