//! A household: a Pi with the agent, a Mac with its repository and key, configured to know each other and the clouds that a story names.
//!
//! Everything is by files in the lab and by the real programs, as a person would set it up. The Mac's slot lies half a day away from
//! the moment of the test, so that no slot passes while a story runs, whenever it runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Cmd, Disk, Lab, Outcome, Pi, S3};

/// A Pi and a Mac of one lab.
#[derive(Debug)]
pub struct Home<'a> {
    lab: &'a Lab,
    name: String,
    layout: &'static str,
}

impl<'a> Home<'a> {
    /// The job that [`Home::new`] configures.
    pub const JOB: &'static str = "services";

    /// A Pi with a job `services` of the (new) folder [`Home::source`], of which nothing is stopped; and a Mac that knows nobody yet.
    #[must_use]
    pub fn new(lab: &'a Lab) -> Self {
        Self::named(lab, "pi")
    }

    /// As [`Home::new`], with a name of its own, which the Mac may call it by.
    #[must_use]
    pub fn named(lab: &'a Lab, name: &str) -> Self {
        Self::made(lab, name, "plain")
    }

    /// As [`Home::new`], with a repository of layout `packs` on the Pi.
    #[must_use]
    pub fn in_packs(lab: &'a Lab) -> Self {
        Self::made(lab, "pi", "packs")
    }

    fn made(lab: &'a Lab, name: &str, layout: &'static str) -> Self {
        let home = Self { lab, name: name.to_owned(), layout };
        std::fs::create_dir_all(home.source()).unwrap();
        home.configure_agent(&format!("    sources: [{}]\n    quiesce: none\n", home.source().display()));
        let _ = home.agent().arg("init").run().succeeds();
        home
    }

    /// Writes the agent's configuration; `job` are the indented lines of the job.
    pub fn configure_agent(&self, job: &str) {
        let text = format!(
            "repository: {}\nlayout: {}\nstate: {}\njobs:\n  {}:\n{job}",
            self.pi_repository().display(),
            self.layout,
            self.path("state").display(),
            Self::JOB
        );
        std::fs::write(self.agent_config(), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.dir(&self.name).join(name)
    }

    /// What the job archives.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.path("srv/services")
    }

    /// The agent's repository.
    #[must_use]
    pub fn pi_repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// The agent's configuration.
    #[must_use]
    pub fn agent_config(&self) -> PathBuf {
        self.path("agent.yaml")
    }

    /// The agent with its configuration.
    #[must_use]
    pub fn agent(&self) -> Cmd {
        self.lab.agent().arg("--config").arg(self.agent_config())
    }

    /// Runs the job, and gives the new archive's name.
    #[must_use]
    #[track_caller]
    pub fn archive(&self) -> String {
        let _ = self.agent().args(["run", Self::JOB]).run().succeeds();
        self.pi_archives().pop().unwrap()
    }

    /// The same, though a source has lost all that it had: its owner says that it shall be so.
    #[must_use]
    #[track_caller]
    pub fn archive_of_nothing(&self) -> String {
        let _ = self.agent().args(["run", Self::JOB, "--accept-empty"]).run().succeeds();
        self.pi_archives().pop().unwrap()
    }

    /// The Pi's archives, oldest first.
    #[must_use]
    #[track_caller]
    pub fn pi_archives(&self) -> Vec<String> {
        let mut names = names(&self.agent().args(["archives", "--json"]).run().succeeds().json());
        names.sort();
        names
    }

    /// The archive's file on the Pi, which one of layout `packs` does not have.
    #[must_use]
    pub fn pi_file(&self, archive: &str) -> PathBuf {
        self.pi_repository().join("archives").join(format!("{archive}.tar.zst"))
    }

    /// The sshd over the agent's repository.
    #[must_use]
    pub fn pi(&self) -> Option<Pi> {
        self.lab.pi(&self.pi_repository())
    }

    /// This Pi as an entry of the Mac's configuration.
    #[must_use]
    pub fn entry(&self, pi: &Pi) -> String {
        self.entry_at(pi, pi.port(), &pi.known_hosts())
    }

    /// This Pi as an entry, reached at another port, with another file of known hosts.
    #[must_use]
    pub fn entry_at(&self, pi: &Pi, port: u16, known_hosts: &Path) -> String {
        self.entry_on(pi, Pi::HOST, port, known_hosts)
    }

    /// The same at another address.
    #[must_use]
    pub fn entry_on(&self, pi: &Pi, host: &str, port: u16, known_hosts: &Path) -> String {
        format!(
            "- {{name: {}, host: {host}, port: {port}, user: {}, path: {}, key: '{}', known_hosts: '{}'}}\n",
            self.name,
            Pi::USER,
            Pi::ROOT,
            pi.key().display(),
            known_hosts.display()
        )
    }
}

/// The Mac.
#[derive(Debug)]
pub struct Mac<'a> {
    lab: &'a Lab,
    env: Vec<(String, String)>,
    disk: Option<Disk>,
}

impl<'a> Mac<'a> {
    /// A Mac that pulls from `pis` and pushes to `clouds` (entries of those lists), with an empty repository and a new key whose recovery
    /// key is written to [`Mac::paper`]. `more` are further lines of the configuration.
    #[must_use]
    #[track_caller]
    pub fn new(lab: &'a Lab, pis: &str, clouds: &str, more: &str) -> Self {
        Self::on(lab, None, pis, clouds, more)
    }

    /// As [`Mac::new`], with its repository on `disk`.
    #[must_use]
    #[track_caller]
    pub fn on(lab: &'a Lab, disk: Option<Disk>, pis: &str, clouds: &str, more: &str) -> Self {
        let mac = Self { lab, env: Vec::new(), disk };
        mac.configure(pis, clouds, more);
        let _ = mac.offsite(&["init"]).succeeds();
        let said = mac.offsite(&["key", "new"]).succeeds().out;
        // The key is what stands indented.
        let key: Vec<&str> = said.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
        std::fs::write(mac.paper(), key.join("\n")).unwrap();
        mac
    }

    /// Writes the configuration anew.
    pub fn configure(&self, pis: &str, clouds: &str, more: &str) {
        let list = |name: &str, entries: &str| if entries.is_empty() { String::new() } else { format!("{name}:\n{entries}") };
        let hour = (jiff::Timestamp::now().as_second() / 3600 + 12) % 24;
        let text = format!(
            "repository: '{}'\nstate: '{}'\nat: \"{hour:02}:30\"\n{more}{}{}",
            self.repository().display(),
            self.state().display(),
            list("pis", pis),
            list("clouds", clouds)
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// A folder in the lab as an entry of the configuration's clouds.
    #[must_use]
    pub fn disk(lab: &Lab, name: &str, more: &str) -> String {
        format!("- {{name: {name}, url: 'file://{}'{more}}}\n", lab.dir(name).display())
    }

    /// A server as an entry of the clouds.
    #[must_use]
    pub fn bucket(s3: &S3, name: &str, more: &str) -> String {
        format!("- {{name: {name}, url: 's3://{}/vault', endpoint: '{}', region: us-east-1{more}}}\n", S3::BUCKET, s3.endpoint())
    }

    /// With these variables in the environment of every command.
    #[must_use]
    pub fn with_env<K: Into<String>>(mut self, env: impl IntoIterator<Item = (K, String)>) -> Self {
        self.env.extend(env.into_iter().map(|(name, value)| (name.into(), value)));
        self
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.lab.dir("mac").join("offsite.yaml")
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.lab.dir("mac"), |disk| disk.at().to_owned()).join("repository")
    }

    /// The disk that the repository is on, if it has one of its own.
    #[must_use]
    pub fn disk_of_its_own(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// The folder of journal, lock and key.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.lab.dir("mac").join("state")
    }

    /// The file with the recovery key: the paper.
    #[must_use]
    pub fn paper(&self) -> PathBuf {
        self.lab.join("paper")
    }

    /// The paper, as an argument of `--recovery-key`.
    #[must_use]
    pub fn recovery(&self) -> String {
        format!("@{}", self.paper().display())
    }

    /// The program with its configuration.
    #[must_use]
    pub fn cmd(&self) -> Cmd {
        let cmd = self.lab.offsite().arg("--config").arg(self.config());
        let cmd = if let Some(disk) = &self.disk { disk.sees(cmd) } else { cmd };
        self.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    }

    /// Runs a command.
    #[must_use]
    #[track_caller]
    pub fn offsite(&self, args: &[&str]) -> Outcome {
        self.cmd().args(args).run()
    }

    /// The receipts of the journal, oldest first.
    #[must_use]
    pub fn receipts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state().join("journal.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The receipts of one kind.
    #[must_use]
    pub fn receipts_of(&self, kind: &str) -> Vec<Value> {
        self.receipts().into_iter().filter(|receipt| receipt["kind"] == kind).collect()
    }

    /// The archives in the Mac's repository or, with `--from`, elsewhere; oldest first.
    #[must_use]
    #[track_caller]
    pub fn archives(&self, from: &[&str]) -> Vec<String> {
        let mut names = names(&self.offsite(&[&["archives", "--json"], from].concat()).succeeds().json());
        names.sort();
        names
    }
}

/// The names in a list of archives.
fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().or_else(|| list["archives"].as_array()).unwrap_or_else(|| panic!("no list of archives: {list}"));
    list.iter().map(|archive| archive["archive"].as_str().or(archive["name"].as_str()).unwrap().to_owned()).collect()
}
