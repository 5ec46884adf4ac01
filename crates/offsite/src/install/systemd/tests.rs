//! What systemd's own checker says about the units, and what is asked of systemctl.

use std::{cell::RefCell, io, process::Command};

use super::*;
use crate::install::{Hands, Kind, RealLaunchctl, Reply, apply, state::Program};

const MOUNTS: &str = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /media/disk rw - ext4 b rw\n";

fn job(program: &Path) -> Job {
    Job {
        program: program.to_owned(),
        config: "/home/owner/a $b %c \"d\".yaml".into(),
        at: "04:30".parse().unwrap(),
        home: "/home/owner".into(),
        xdg: vec![("XDG_STATE_HOME", "/home/owner/a $b %c \"d\"".into())],
        logs: "/home/owner/log".into(),
        notices: "/home/owner/notices".into(),
        kind: Kind::Agent,
    }
}

/// A systemd that knows what a test tells it, and remembers what it was asked.
#[derive(Default)]
struct Fake {
    shows: String,
    refuses: Option<&'static str>,
    asked: RefCell<Vec<String>>,
}

impl Tool for Fake {
    fn run(&self, arguments: &[String]) -> io::Result<Reply> {
        let line = arguments.join(" ");
        let refused = self.refuses.is_some_and(|word| line.starts_with(word));
        self.asked.borrow_mut().push(line);
        let err = if refused { "Failed to connect to bus: No medium found".into() } else { String::new() };
        Ok(Reply { code: refused.into(), out: self.shows.clone(), err })
    }
}

fn ids() -> Ids {
    Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

fn done(steps: &[Step], systemctl: &Fake) -> Result<(), InstallError> {
    apply(steps, &Hands { launchctl: &RealLaunchctl, pmset: systemctl, systemctl }).map(|_| ())
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() && offsite_tests::lacking("systemd-analyze", "not installed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // systemd looks whether the program is there, and that it can be run.
    let program = dir.path().join("a %b (c) $d ü");
    std::fs::copy("/bin/true", &program).unwrap();
    let mut files = Vec::new();
    for (name, text) in units(&job(&program), Path::new("/media/disk/backups"), MOUNTS).unwrap() {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        files.push(file);
    }
    let said = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .args(&files)
        .env("XDG_RUNTIME_DIR", dir.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    let ours: Vec<&str> = words.lines().filter(|line| line.contains("offsite")).collect();
    assert!(said.status.success() && ours.is_empty(), "{words}");
}

#[test]
fn a_program_that_systemd_would_refuse_is_refused_before() {
    for program in ["/a\"b", "/a'b", "/a\\b", "/a\nb"] {
        let refused = units(&job(Path::new(program)), Path::new("/srv"), MOUNTS);
        assert!(matches!(refused, Err(InstallError::OddProgram { .. })), "{program}");
    }
}

#[test]
fn installed_twice_and_removed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("systemd/user");
    let with_disk = units(&job(Path::new("/bin/true")), Path::new("/media/disk/backups"), MOUNTS).unwrap();
    let systemd = Fake::default();
    for _ in 0..2 {
        done(&install(&folder, ids(), &with_disk, true), &systemd).unwrap();
    }
    let wanted = [
        "show-environment",
        "daemon-reload",
        "disable offsite.service offsite.timer",
        "enable offsite.service offsite.timer",
        "restart offsite.timer",
        "start --no-block offsite.service",
    ];
    assert_eq!(*systemd.asked.borrow(), [wanted, wanted].concat());
    let service = std::fs::read_to_string(folder.join(SERVICE)).unwrap();
    // What the shell's variables lead to, the daemon finds too; the configuration is named in any case.
    assert!(
        service.contains("\nEnvironment=\"XDG_STATE_HOME=/home/owner/a $b %%c \\\"d\\\"\"\nExecStart=\"/bin/true\" \"--config\" "),
        "{service}"
    );
    assert!(service.ends_with("[Install]\nWantedBy=media-disk.mount\n"));

    // At home the repository starts nothing.
    let without = units(&job(Path::new("/bin/true")), Path::new("/home/owner/backups"), MOUNTS).unwrap();
    let systemd = Fake::default();
    done(&install(&folder, ids(), &without, false), &systemd).unwrap();
    assert_eq!(systemd.asked.borrow()[3..], ["enable offsite.timer", "restart offsite.timer"]);

    let systemd = Fake { shows: "ActiveState=active".into(), ..Fake::default() };
    done(&uninstall(&folder, &systemd).unwrap(), &systemd).unwrap();
    assert_eq!(systemd.asked.borrow()[2..], ["stop offsite.timer offsite.service", "daemon-reload"]);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(uninstall(&folder, &Fake::default()).unwrap(), []);
}

#[test]
fn half_an_installation_is_removed_and_not_called_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("timers.target.wants/offsite.timer");
    std::fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(dir.path().join(TIMER), &link).unwrap();
    // The files were removed by hand; systemd has the timer still, and it rings.
    let rings = Fake { shows: "ActiveState=active".into(), ..Fake::default() };
    done(&uninstall(dir.path(), &rings).unwrap(), &rings).unwrap();
    assert_eq!(rings.asked.borrow()[2..], ["stop offsite.timer offsite.service", "daemon-reload"]);
    assert!(link.symlink_metadata().is_err());
    // Only the link, or only the service's file.
    std::os::unix::fs::symlink(dir.path().join(TIMER), &link).unwrap();
    let quiet = Fake { shows: "ActiveState=inactive".into(), ..Fake::default() };
    assert_eq!(uninstall(dir.path(), &quiet).unwrap()[0], Step::Remove { path: link.clone() });
    std::fs::remove_file(&link).unwrap();
    assert_eq!(uninstall(dir.path(), &quiet).unwrap(), []);
    std::fs::write(dir.path().join(SERVICE), "").unwrap();
    let steps: Vec<String> = uninstall(dir.path(), &quiet).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(steps[1..], ["systemctl --user daemon-reload"]);
}

#[test]
fn units_lie_where_the_owners_systemd_looks_and_not_where_this_shell_says() {
    let mut home = Home::at(Path::new("/home/owner"));
    let looks = |paths: &str| Fake { shows: format!("UnitPath={paths}"), ..Fake::default() };
    let usual = Path::new("/home/owner/.config/systemd/user");
    assert_eq!(folder(&home, &looks("/elsewhere/systemd/user")), usual);
    home.config = Some("/elsewhere".into());
    assert_eq!(folder(&home, &looks("/home/owner/.config/systemd/user /etc/systemd/user")), usual);
    assert_eq!(folder(&home, &looks("/etc/systemd/user /elsewhere/systemd/user")), Path::new("/elsewhere/systemd/user"));
    assert_eq!(folder(&home, &Fake { refuses: Some("show"), ..Fake::default() }), usual);
}

#[test]
fn where_there_is_no_systemd_the_next_step_says_what_else_would_do() {
    struct Nothing;
    impl Tool for Nothing {
        fn run(&self, _: &[String]) -> io::Result<Reply> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let reload = [Step::Systemctl(vec!["daemon-reload".into()])];
    let error = apply(&reload, &Hands { launchctl: &RealLaunchctl, pmset: &Nothing, systemctl: &Nothing }).unwrap_err();
    let shown = crate::hint::render(&error.into());
    assert!(shown.contains("next:  this system has no systemd") && shown.contains("every ten minutes"), "{shown}");
}

#[test]
fn without_a_bus_nothing_is_written_and_what_is_there_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let units = units(&job(Path::new("/bin/true")), Path::new("/srv"), MOUNTS).unwrap();
    let folder = dir.path().join("systemd/user");
    let deaf = Fake { refuses: Some(""), ..Fake::default() };
    let error = done(&install(&folder, ids(), &units, false), &deaf).unwrap_err();
    let shown = crate::hint::render(&error.into());
    let wanted = "error: systemctl --user show-environment failed with exit code 1: Failed to connect to bus: No medium found\n\
                  next:  log in as this account, not with su or sudo, and do the same again";
    assert_eq!(shown, wanted);
    assert!(!folder.exists());
    done(&install(&folder, ids(), &units, false), &Fake::default()).unwrap();
    let steps = uninstall(&folder, &deaf).unwrap();
    assert!(steps.iter().all(|step| matches!(step, Step::Remove { .. })), "{steps:?}");
    done(&steps, &deaf).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn what_is_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Fake { shows: "LoadState=not-found\nActiveState=inactive\nUnitFileState=".into(), ..Fake::default() };
    assert_eq!(state(dir.path(), &nothing, None), None);

    let this = Path::new("/bin/true");
    for (name, text) in units(&job(this), Path::new("/srv"), MOUNTS).unwrap() {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    // The properties of both units in one answer; each is asked for its own.
    let shows = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=0\nExecMainCode=1\nExecMainStatus=3";
    let systemd = Fake { shows: shows.into(), ..Fake::default() };
    let wanted = Installed {
        clock: Clock::Timer,
        list: Some(dir.path().join(TIMER)),
        loaded: true,
        enabled: true,
        pid: None,
        runs: None,
        last_exit: Some(3),
        program: Program::This,
    };
    assert_eq!(state(dir.path(), &systemd, Some(this)), Some(wanted.clone()));

    // Never run yet, or ended by a signal: no exit code.
    for code in ["0", "2"] {
        let systemd = Fake { shows: shows.replace("ExecMainCode=1", &format!("ExecMainCode={code}")), ..Fake::default() };
        assert_eq!(state(dir.path(), &systemd, Some(this)).unwrap().last_exit, None);
    }
    let deaf = Fake { refuses: Some("show"), ..Fake::default() };
    assert_eq!(state(dir.path(), &deaf, Some(this)), Some(Installed { loaded: false, last_exit: None, ..wanted }));
}
