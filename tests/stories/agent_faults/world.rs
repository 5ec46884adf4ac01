//! A Pi in small with a fake engine, three archives and a night that is due; and what must hold after whatever happened to that night.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use offsite_repository::{LocalStore, Repository, Scope, verify};
use offsite_tests::tree::compare_trees;
use offsite_tests::{Call, Cmd, Engine, Lab, Outcome, Power};
use serde_json::Value;

const JOB: &str = "services";
const KEEP: usize = 3;

/// The layouts of a repository.
pub(crate) const LAYOUTS: [&str; 2] = ["plain", "packs"];

pub(crate) struct World<'a> {
    lab: &'a Lab,
    root: PathBuf,
    pub(crate) engine: Engine,
    power: Option<Power>,
    running: Vec<String>,
    layout: &'static str,
}

impl<'a> World<'a> {
    /// In the folder `name` of the lab, with a repository of this layout.
    pub(crate) fn new(lab: &'a Lab, name: &str, layout: &'static str) -> Self {
        Self::on(lab, name, None, layout)
    }

    /// As [`World::new`], with repository and state on a disk whose power can be cut.
    pub(crate) fn with_power(lab: &'a Lab, name: &str, layout: &'static str) -> Option<Self> {
        let power = Power::new(lab, &lab.dir(name).join("disk"))?;
        Some(Self::on(lab, name, Some(power), layout))
    }

    fn on(lab: &'a Lab, name: &str, power: Option<Power>, layout: &'static str) -> Self {
        let root = lab.dir(name);
        let engine = Engine::new(&root.join("engine"));
        let mut world = Self { lab, root, engine, power, running: Vec::new(), layout };
        let home = world.source().join("home");
        std::fs::create_dir_all(home.join("data/photos")).unwrap();
        std::fs::create_dir_all(home.join("data/empty")).unwrap();
        std::fs::create_dir_all(world.root.join("disk")).unwrap();
        std::fs::write(home.join("compose.yaml"), "services: {}\n").unwrap();
        std::fs::write(home.join("data/nothing"), "").unwrap();
        std::os::unix::fs::symlink("nothing", home.join("data/link")).unwrap();
        for (name, length) in [("db", 400_000), ("photos/1.jpg", 150_000), ("photos/2.jpg", 70_000), ("small", 900)] {
            let mut bytes = vec![0; length];
            blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
            std::fs::write(home.join("data").join(name), bytes).unwrap();
        }
        // Two of web run, one of db; what was stopped stays stopped.
        world.engine.project("home", &home.join("compose.yaml"), &[("db", 1), ("off", 1), ("web", 2)], &["off"]);
        world.running = world.engine.running();
        world.configure("", "    quiesce: down\n");
        assert_eq!(world.agent(&["init"]).code, Some(0));
        // In packs one night more: the next one then lets a night go whose frames lie in a pack of their own.
        for night in 1..=KEEP + usize::from(world.packs()) {
            world.change(night);
            let said = world.agent(&["run", JOB]);
            assert!(said.code == Some(0) && said.out.contains("away: home "), "{said:?}");
        }
        world.change(0);
        world.keep_base();
        world
    }

    /// Writes the configuration; `more` are lines of its top, `job` of the job.
    pub(crate) fn configure(&self, more: &str, job: &str) {
        let text = format!(
            "repository: {}\nlayout: {}\nstate: {}\ndocker: {}\n{more}jobs:\n  {JOB}:\n    sources: [{}]\n    keep: {KEEP}\n{job}",
            self.repository().display(),
            self.layout,
            self.state().display(),
            self.engine.docker().display(),
            self.source().display()
        );
        std::fs::write(self.root.join("agent.yaml"), text).unwrap();
    }

    /// Something to do for a night.
    pub(crate) fn change(&self, night: usize) {
        std::fs::write(self.source().join("home/data/notes"), format!("night {night}\n").repeat(100)).unwrap();
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("srv/services")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join("disk/repository")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("disk/state")
    }

    /// Everything that an agent could change lies below.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn power(&self) -> &Power {
        self.power.as_ref().unwrap()
    }

    /// The agent with its configuration.
    pub(crate) fn cmd(&self, args: &[&str]) -> Cmd {
        let cmd = self.lab.agent().arg("--config").arg(self.root.join("agent.yaml")).args(args);
        if let Some(power) = &self.power { power.sees(cmd) } else { cmd }
    }

    pub(crate) fn agent(&self, args: &[&str]) -> Outcome {
        self.cmd(args).run()
    }

    /// Where the test itself sees `path`.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.power.as_ref().map_or_else(|| path.to_owned(), |power| power.path(path))
    }

    fn copy(&self, from: &Path, to: &Path) {
        if to.exists() {
            std::fs::remove_dir_all(to).unwrap();
        }
        let copied = self.lab.cmd("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).run();
        assert_eq!(copied.code, Some(0), "{copied:?}");
    }

    fn base(&self, name: &str) -> PathBuf {
        self.root.join("base").join(name)
    }

    /// What [`World::again`] goes back to is as it is now.
    pub(crate) fn keep_base(&self) {
        std::fs::create_dir_all(self.root.join("base")).unwrap();
        for name in ["repository", "state"] {
            self.copy(&self.at(&self.root.join("disk").join(name)), &self.base(name));
        }
        self.copy(&self.engine.containers(), &self.base("containers"));
    }

    /// Whether a night of this layout does `call` otherwise than one of plain archives, in which every point is gone through.
    pub(crate) fn differs(&self, call: &Call) -> bool {
        let unpruned = || call.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("unpruned"));
        !self.packs() || call.path.starts_with(self.repository()) || unpruned()
    }

    fn packs(&self) -> bool {
        self.layout == "packs"
    }

    /// Every frame of every archive is there and good.
    fn all_frames(&self) -> Result<()> {
        let store = LocalStore::open(&self.at(&self.repository()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(async { verify(&Repository::open(Arc::new(store)).await?, &Scope::All, &|_| ()).await })?;
        ensure!(found.archives.iter().all(|(_, damages)| damages.is_empty()), "{found:?}");
        Ok(())
    }

    /// Remembers the engine under this number, for [`World::engine_as`].
    pub(crate) fn keep_engine(&self, number: usize) {
        self.copy(&self.engine.containers(), &self.base(&format!("containers.{number}")));
    }

    /// The engine is as it was then.
    pub(crate) fn engine_as(&self, number: usize) {
        self.copy(&self.base(&format!("containers.{number}")), &self.engine.containers());
    }

    /// Everything is as before the night.
    pub(crate) fn again(&self) {
        for name in ["repository", "state"] {
            self.copy(&self.base(name), &self.at(&self.root.join("disk").join(name)));
        }
        self.copy(&self.base("containers"), &self.engine.containers());
    }

    /// The archives, newest last, as the agent lists them.
    pub(crate) fn listed(&self) -> Result<Vec<Value>> {
        let said = self.agent(&["archives", "--json"]);
        ensure!(said.code == Some(0), "the archives cannot be listed: {said:?}");
        let mut list = said.json().as_array().context("no list")?.clone();
        list.sort_by_key(|archive| archive["sequence"].as_u64());
        Ok(list)
    }

    /// The archives, newest last, as the agent lists them; all of those that were there before, but for what the rule lets go, are
    /// byte for byte what they were, and a new one holds exactly the source.
    pub(crate) fn archives(&self) -> Result<Vec<Value>> {
        let list = self.listed()?;
        let names = names(&list);
        let before = self.archives_before();
        let gone: Vec<&String> = before.iter().filter(|name| !names.contains(name)).collect();
        ensure!(gone.iter().zip(&before).all(|(gone, oldest)| *gone == oldest), "not the oldest are gone: {gone:?}");
        ensure!(gone.is_empty() || names.len() >= KEEP, "{gone:?} went before new ones came: {names:?}");
        for name in &names {
            if before.contains(name) {
                let archive = if self.packs() { None } else { Some(format!("archives/{JOB}/{name}.tar.zst")) };
                for file in archive.into_iter().chain([format!("manifests/{JOB}/{name}.zst")]) {
                    same_file(&self.base("repository").join(&file), &self.at(&self.repository()).join(&file))?;
                }
            } else {
                self.holds_the_source(name)?;
            }
        }
        if self.packs() {
            // What the frames are stands in the manifests, which are the same.
            self.all_frames()?;
        }
        Ok(list)
    }

    /// The archive's content as GNU tar, and not we, unpacks it: the copy of [`World::source`].
    pub(crate) fn unpacked(&self, name: &str) -> Result<PathBuf> {
        let mut file = self.at(&self.repository()).join("archives").join(JOB).join(format!("{name}.tar.zst"));
        if self.packs() {
            file = self.root.join("exported");
            if file.exists() {
                std::fs::remove_file(&file)?;
            }
            let said = self.cmd(&["export", &format!("{JOB}/{name}")]).arg(&file).run();
            ensure!(said.code == Some(0), "{name} is not whole: {said:?}");
        }
        let into = self.root.join("unpacked");
        if into.exists() {
            std::fs::remove_dir_all(&into)?;
        }
        std::fs::create_dir_all(&into)?;
        let said = self.lab.cmd("tar").args(["--zstd", "-xpf"]).arg(&file).arg("-C").arg(&into).run();
        ensure!(said.code == Some(0), "tar cannot open {name}: {}", said.err);
        Ok(into.join(self.source().strip_prefix("/")?))
    }

    fn holds_the_source(&self, name: &str) -> Result<()> {
        let differences = compare_trees(&self.source(), &self.unpacked(name)?);
        ensure!(differences.is_empty(), "{name} is not the source: {}", differences.join("; "));
        Ok(())
    }

    /// Exactly what ran runs, and nothing is owed.
    pub(crate) fn services_are_back(&self) -> Result<()> {
        let running = self.engine.running();
        ensure!(running == self.running, "these run: {running:?}");
        ensure!(!self.owes(), "the ledger is still there");
        Ok(())
    }

    /// Whether there is a ledger.
    pub(crate) fn owes(&self) -> bool {
        self.at(&self.state()).join("ledger.json").exists()
    }

    /// The containers that ran before the night.
    pub(crate) fn all_running(&self) -> &[String] {
        &self.running
    }

    /// The names of the archives that were there before the night, without the job's.
    pub(crate) fn archives_before(&self) -> Vec<String> {
        files(&self.base("repository/manifests").join(JOB)).iter().map(|file| name_of(file)).collect()
    }

    /// As the unit does whatever became of the run.
    pub(crate) fn resume(&self) -> Result<()> {
        let said = self.agent(&["resume", "--wait"]);
        ensure!(said.code == Some(0), "resume: {said:?}");
        self.services_are_back()
    }

    /// A night that nothing disturbs, after which there must be a new archive beside those of `before`, and nothing too much.
    pub(crate) fn next_night(&self, before: &[Value]) -> Result<()> {
        let highest = |list: &[Value]| list.iter().filter_map(|archive| archive["sequence"].as_u64()).max();
        let said = self.agent(&["run", JOB]);
        ensure!(said.code == Some(0), "the next night: {said:?}");
        self.services_are_back()?;
        let list = self.archives()?;
        let names = names(&list);
        ensure!(names.len() == KEEP, "archives {names:?}");
        ensure!(highest(&list) > highest(before), "the number did not grow");
        let newest = names.last().context("none")?;
        ensure!(!self::names(before).contains(newest), "no new archive");
        ensure!(list.last().is_some_and(|archive| archive["complete"] == true), "incomplete");
        ensure!(self.outcomes().last().map(String::as_str) == Some("made"), "journal: {:?}", self.outcomes());
        self.nothing_is_left_over(&names)
    }

    /// No file without a meaning: neither in the repository nor in the state folder.
    fn nothing_is_left_over(&self, names: &[String]) -> Result<()> {
        let repository = self.at(&self.repository());
        let archives = if self.packs() { None } else { Some(("archives", ".tar.zst")) };
        for (folder, ending) in archives.into_iter().chain([("manifests", ".zst")]) {
            let found: BTreeSet<String> = files(&repository.join(folder).join(JOB)).into_iter().collect();
            let wanted: BTreeSet<String> = names.iter().map(|name| format!("{name}{ending}")).collect();
            ensure!(found == wanted, "{folder}: {found:?}");
        }
        for folder in [&repository, &self.at(&self.state())] {
            let left: Vec<String> = files(folder)
                .into_iter()
                .filter(|name| name.starts_with(".tmp-") || name.ends_with(".new") || name == "unfinished.json" || name == "unpruned")
                .collect();
            ensure!(left.is_empty(), "left over: {left:?}");
        }
        let (packs, index) = (files(&repository.join("packs")), files(&repository.join("index")));
        ensure!(packs == index && packs.is_empty() != self.packs(), "packs {packs:?}, index {index:?}");
        ensure!(!repository.join("damaged").exists(), "packs were taken for damaged");
        Ok(())
    }

    /// What the journal says became of the runs, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.at(&self.state()).join("journal.jsonl")).unwrap_or_default();
        // A torn line is nobody's fault after a kill; all the others must be whole.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["event"].as_str().map(str::to_owned)).filter(|event| event == "made" || event == "failed").collect()
    }
}

/// The names of listed archives, without the job's.
pub(crate) fn names(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(|archive| archive["archive"].as_str()?.split_once('/').map(|(_, name)| name.to_owned())).collect()
}

fn name_of(file: &str) -> String {
    file.split('.').next().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn same_file(a: &Path, b: &Path) -> Result<()> {
    let (left, right) = (std::fs::read(a)?, std::fs::read(b).with_context(|| b.display().to_string())?);
    ensure!(left == right, "{} is not what it was", b.display());
    Ok(())
}
