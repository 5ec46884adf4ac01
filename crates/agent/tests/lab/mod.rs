//! What the agent's tests share: a folder with a configuration, the built agent, and compose projects that clean up after themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// A folder with sources, repository, state and configuration of one test.
pub struct Lab {
    dir: tempfile::TempDir,
    projects: Vec<String>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// How long anything is waited for: many times what the slowest machine was seen to take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `done`, and fails where that never comes: a test that hangs tells nothing.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap(), projects: Vec::new() };
        fs::create_dir(lab.path("services")).unwrap();
        lab
    }

    /// One that has a job and a repository: see [`Lab::configure`].
    pub fn ready(quiesce: &str, more: &str) -> Self {
        let lab = Self::new();
        lab.set_up(quiesce, more);
        lab
    }

    /// One beside a real engine; `None` where there is none, and that is said.
    pub fn real() -> Option<Self> {
        has_docker().then(Self::new)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a configuration whose one job, `services`, archives the folder of that name; `more` are further top-level lines.
    pub fn configure(&self, quiesce: &str, more: &str) {
        let (repository, state, services) = (self.path("repository"), self.path("state"), self.path("services"));
        let text = format!(
            "repository: {}\nstate: {}\n{more}jobs:\n  services:\n    sources: [{}]\n    quiesce: {quiesce}\n    at: \"04:00\"\n",
            repository.display(),
            state.display(),
            services.display()
        );
        self.write("agent.yaml", &text);
    }

    /// [`Lab::configure`], and the repository.
    pub fn set_up(&self, quiesce: &str, more: &str) {
        self.configure(quiesce, more);
        self.agent(&["init"]).ended(0);
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite-agent"));
        command.arg("--config").arg(self.path("agent.yaml"));
        command
    }

    pub fn agent(&self, arguments: &[&str]) -> Said {
        self.command().args(arguments).output().unwrap().into()
    }

    /// `run services`, whatever the umask of whoever begins it.
    pub fn run_under_a_closed_umask(&self) -> Said {
        let agent = self.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(agent.get_program()).args(agent.get_args()).args(["run", "services"]);
        shell.output().unwrap().into()
    }

    /// What the agent lists.
    pub fn listed(&self) -> serde_json::Value {
        serde_json::from_str(&self.agent(&["archives", "--json"]).ended(0).out).unwrap()
    }

    /// The archives' names, as the agent lists them.
    pub fn archives(&self) -> Vec<String> {
        self.listed().as_array().unwrap().iter().map(|archive| archive["archive"].as_str().unwrap().to_owned()).collect()
    }

    /// The kinds of the journal's events, oldest first, without the beginnings of runs.
    pub fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("state/journal.jsonl")).unwrap_or_default();
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        text.lines().map(event).filter(|event| event != "began").collect()
    }

    /// Unpacks the archive `name` with tar, and returns the folder.
    pub fn unpack(&self, name: &str) -> PathBuf {
        let into = self.path("unpacked");
        fs::create_dir(&into).unwrap();
        let file = self.path("repository/archives").join(format!("{name}.tar.zst"));
        let said: Said = Command::new("tar").args(["--zstd", "-xf"]).arg(file).arg("-C").arg(&into).output().unwrap().into();
        said.ended(0);
        into.join(self.path("services").strip_prefix("/").unwrap())
    }

    pub fn ledger(&self) -> PathBuf {
        self.path("state/ledger.json")
    }

    /// Writes the compose project `name` below the sources; returns its full name, which no other test has.
    pub fn project(&mut self, name: &str, compose: &str) -> String {
        let full = self.project_name(name);
        self.write(&format!("services/{name}/compose.yaml"), &format!("name: {full}\n{}", compose.replace("IMAGE", IMAGE)));
        self.projects.push(full.clone());
        full
    }

    /// The full name of the project `name` of this lab.
    pub fn project_name(&self, name: &str) -> String {
        let own = self.dir.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let own: String = own.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("offsite-{own}-{name}")
    }

    pub fn compose(&self, name: &str, arguments: &[&str]) {
        let file = self.path("services").join(name).join("compose.yaml");
        let said: Said = docker().args(["compose", "--profile", "*", "-f"]).arg(file).args(arguments).output().unwrap().into();
        said.ended(0);
    }

    /// The service of each running container of the projects, sorted.
    pub fn running(&self) -> Vec<String> {
        let all = self.containers("{{.Label \"com.docker.compose.service\"}} {{.State}}");
        all.into_iter().filter_map(|line| line.strip_suffix(" running").map(str::to_owned)).collect()
    }

    /// The names in the folder `name`, sorted.
    pub fn listing(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path(name)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Containers by id: the same ids mean that nothing was stopped.
    pub fn ids(&self) -> Vec<String> {
        self.containers("{{.Names}} {{.ID}} {{.State}}")
    }

    /// The containers of the projects in the given format, sorted.
    pub fn containers(&self, format: &str) -> Vec<String> {
        let mut all = Vec::new();
        for project in &self.projects {
            let filter = format!("label=com.docker.compose.project={project}");
            let said: Said = docker().args(["ps", "--all", "--no-trunc", "--filter", &filter, "--format", format]).output().unwrap().into();
            all.extend(said.ended(0).out.lines().map(|line| line.replace(&format!("{project}-"), "")));
        }
        all.sort();
        all
    }

    /// A docker command for the configuration that runs `script` before the real one; `$call` is the verb, and `$number` says how
    /// often it was called.
    pub fn wrap_docker(&self, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let verb = "call=other; for word; do case $word in version|ls|inspect|config|down|up) call=$word; break;; esac; done";
        let number =
            format!("file={}-$call; number=$(($(cat $file 2>/dev/null || echo 0) + 1)); echo $number >$file", self.path("calls").display());
        let text = format!("#!/bin/sh\n{verb}\n{number}\n{script}\nexec docker \"$@\"\n");
        let path = self.write("docker", &text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("docker: {}\n", path.display())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for project in &self.projects {
            // Containers of `compose run` first: `down` leaves them, and with them the network.
            let filter = format!("label=com.docker.compose.project={project}");
            if let Ok(left) = docker().args(["ps", "-aq", "--filter", &filter]).output() {
                for id in String::from_utf8_lossy(&left.stdout).split_whitespace() {
                    drop(docker().args(["rm", "--force", "--volumes", id]).output());
                }
            }
            drop(docker().args(["compose", "-p", project, "--profile", "*", "down", "--volumes"]).current_dir("/").output());
        }
    }
}

/// The image that `tests/lab/images.sh` makes.
pub const IMAGE: &str = "offsite-lab/busybox:1";

/// The beginning of a service that ends at once when it is told to.
pub const SERVICE: &str = "    image: IMAGE\n    pull_policy: never\n    command: [sleep, '10000']\n    stop_grace_period: 0s\n";

pub fn docker() -> Command {
    Command::new("docker")
}

/// Whether the lab has an engine with compose and the image. Says why not, or fails where it is required.
fn has_docker() -> bool {
    let works = |arguments: &[&str]| docker().args(arguments).output().is_ok_and(|output| output.status.success());
    let lacks = [
        ("no docker engine answers", &["version"][..]),
        ("there is no docker compose", &["compose", "version"]),
        ("there is no image offsite-lab/busybox:1 (tests/lab/images.sh)", &["image", "inspect", IMAGE]),
    ]
    .into_iter()
    .find(|(_, arguments)| !works(arguments));
    lacks.is_none_or(|(reason, _)| skip(reason))
}

/// Says that a test is skipped and why; fails where everything is required.
pub fn skip(reason: &str) -> bool {
    assert!(std::env::var_os("OFFSITE_LAB").is_none_or(|value| value != "require"), "{reason}, and OFFSITE_LAB=require");
    eprintln!("skipped: {reason}");
    false
}

/// Mode bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode() & 0o7777
}
