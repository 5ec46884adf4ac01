//! A Mac whose own files lie on a disk that can lose its power, a Pi, and a cloud that knows nothing of power cuts.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use offsite_tests::{Cmd, Home, Lab, Outcome, Pi, Power};

/// What a disk does with names that nobody synced. Bytes that nobody synced are lost on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// They wait, and are lost.
    Wait,
    /// They are written at once, before the bytes that they name.
    Hurry,
}

pub(crate) struct House<'a> {
    lab: &'a Lab,
    root: PathBuf,
    home: Home<'a>,
    _pi: Pi,
    power: Power,
    names: Names,
    /// What the two `key` verbs printed, oldest first.
    papers: RefCell<Vec<PathBuf>>,
}

impl<'a> House<'a> {
    pub(crate) fn new(lab: &'a Lab, name: &str, names: Names) -> Option<Self> {
        let root = lab.dir(name);
        let home = Home::named(lab, &format!("pi-{name}"));
        let pi = home.pi()?;
        let power = Power::new(lab, &root.join("disk"))?;
        let hour = (jiff::Timestamp::now().as_second() / 3600 + 12) % 24;
        let text = format!(
            "repository: '{0}/disk/repository'\nstate: '{0}/disk/state'\nat: \"{hour:02}:30\"\nkeep: 2\nverify: all\nplain: all\n\
             pis:\n{1}clouds:\n- {{name: far, url: 'file://{0}/cloud/far', keep: 2}}\n",
            root.display(),
            home.entry(&pi)
        );
        std::fs::write(root.join("offsite.yaml"), text).unwrap();
        let house = Self { lab, root, home, _pi: pi, power, names, papers: RefCell::default() };
        let cloud = lab.dir(name).join("cloud");
        std::fs::create_dir(&cloud).unwrap();
        house.run("mount", &["-t", "tmpfs", "tmpfs", cloud.to_str().unwrap()]);
        std::fs::create_dir(house.far()).unwrap();
        house.mounted();
        Some(house)
    }

    /// Not even the file that the disk lies in is synced, which costs time and tells nothing; and ext4 does not sync by itself what takes
    /// another file's place.
    fn mounted(&self) {
        self.run("mount", &["-o", "remount,noauto_da_alloc,commit=600,barrier=0", self.root.join("disk").to_str().unwrap()]);
    }

    fn run(&self, program: &str, args: &[&str]) {
        let _ = self.power.sees(self.lab.cmd(program).args(args)).run().succeeds();
    }

    /// Of what is looked at on one disk only, the half that is this one's.
    pub(crate) fn half(&self) -> usize {
        usize::from(self.names == Names::Hurry)
    }

    /// Another archive on the Pi, all but a quarter of it new.
    pub(crate) fn archive(&self, night: u8) -> String {
        for n in 0..4 {
            let mut bytes = vec![0; 60_000];
            blake3::Hasher::new().update(&[n, if n == 0 { 0 } else { night }]).finalize_xof().fill(&mut bytes);
            std::fs::write(self.home.source().join(format!("file {n}")), bytes).unwrap();
        }
        self.home.archive()
    }

    pub(crate) fn pi_file(&self, archive: &str) -> PathBuf {
        self.home.pi_file(archive)
    }

    /// All that a command could change lies below.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("disk/state")
    }

    pub(crate) fn far(&self) -> PathBuf {
        self.power.path(&self.root.join("cloud/far"))
    }

    /// Where the test itself sees a path of the disk.
    pub(crate) fn on_disk(&self, name: &str) -> PathBuf {
        self.power.path(&self.root.join("disk")).join(name)
    }

    pub(crate) fn cmd(&self, args: &[&str]) -> Cmd {
        self.power.sees(self.lab.offsite().arg("--config").arg(self.root.join("offsite.yaml")).args(args))
    }

    pub(crate) fn offsite(&self, args: &[&str]) -> Outcome {
        self.cmd(args).run()
    }

    /// Keeps what is left if power goes now.
    pub(crate) fn cut(&self, number: usize) {
        if self.names == Names::Hurry {
            // One sync of whatever file writes all names.
            let file = std::fs::File::create(self.on_disk(".names")).unwrap();
            std::io::Write::write_all(&mut &file, number.to_string().as_bytes()).unwrap();
            file.sync_all().unwrap();
        }
        self.power.cut(number);
        self.run("cp", &["-al", &self.cloud("far"), &self.cloud(&format!("far.{number}"))]);
    }

    /// All is as this cut left it.
    pub(crate) fn look(&self, number: usize) {
        self.power.look(number);
        self.mounted();
        std::fs::remove_dir_all(self.far()).unwrap();
        // An object is never changed, so it may have two names.
        self.run("cp", &["-al", &self.cloud(&format!("far.{number}")), &self.cloud("far")]);
    }

    fn cloud(&self, name: &str) -> String {
        self.root.join("cloud").join(name).to_str().unwrap().to_owned()
    }

    /// Writes down the recovery key that was printed.
    pub(crate) fn paper(&self, name: &str, said: &str) -> PathBuf {
        let path = self.root.join(format!("paper {name}"));
        // It is what stands indented.
        let key: Vec<&str> = said.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
        std::fs::write(&path, key.join("\n")).unwrap();
        path
    }

    pub(crate) fn write_down(&self, said: &str) {
        let mut papers = self.papers.borrow_mut();
        let paper = self.paper(&papers.len().to_string(), said);
        papers.push(paper);
    }

    pub(crate) fn papers(&self) -> Vec<PathBuf> {
        self.papers.borrow().clone()
    }
}
