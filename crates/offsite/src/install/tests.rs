//! Installing and removing against a recorded launchd, in a temporary folder.

use std::{
    cell::RefCell,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{fake::Fake, mac::There, wake::Remembered, *};
use crate::config::Home;

/// A Mac with its owner, who is whoever runs the tests; so is its administrator.
pub(super) struct House {
    pub(super) dir: tempfile::TempDir,
    pub(super) mac: Mac,
    launchd: Fake,
    pmset: Pmset,
}

/// A power schedule.
#[derive(Default)]
pub(super) struct Pmset {
    sched: RefCell<String>,
    asked: RefCell<Vec<String>>,
}

impl Tool for Pmset {
    fn run(&self, arguments: &[String]) -> io::Result<Reply> {
        let line = arguments.join(" ");
        if line == "-g sched" {
            return Ok(Reply { out: self.sched.borrow().clone(), ..Reply::default() });
        }
        let set = if line == "repeat cancel" { "" } else { "Repeating power events:\n  wakepoweron at 4:28AM every day\n" };
        *self.sched.borrow_mut() = set.to_owned();
        self.asked.borrow_mut().push(line);
        Ok(Reply::default())
    }
}

impl House {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ids = Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let owner = Owner { name: "owner".into(), uid: ids.uid, gid: ids.gid, home: dir.path().join("home") };
        fs::create_dir(&owner.home).unwrap();
        let mac = Mac { library: dir.path().join("Library"), owner, root: ids };
        Self { mac, launchd: Fake::new(ids), pmset: Pmset::default(), dir }
    }

    fn job(&self, kind: Kind) -> Job {
        Job {
            program: "/bin/true".into(),
            config: self.mac.owner.home.join(".config/offsite/offsite.yaml"),
            at: "04:30".parse().unwrap(),
            home: self.mac.owner.home.clone(),
            xdg: Vec::new(),
            logs: self.mac.owner.home.join("Library/Logs/offsite"),
            notices: self.state().join("notices"),
            kind,
        }
    }

    fn state(&self) -> PathBuf {
        self.mac.owner.home.join("state")
    }

    pub(super) fn apply(&self, steps: &[Step]) -> Result<Vec<Label>, InstallError> {
        apply(steps, &Hands { launchctl: &self.launchd, pmset: &self.pmset, systemctl: &self.pmset })
    }

    fn there(&self) -> Vec<There> {
        self.mac.look(&self.launchd).unwrap()
    }

    fn install(&self, kind: Kind) -> Result<Vec<Label>, InstallError> {
        self.apply(&plan::install(&self.mac, &self.job(kind), &self.there(), false)?)
    }

    fn uninstall(&self) -> usize {
        let steps = plan::uninstall(&self.mac, &self.there());
        self.apply(&steps).unwrap();
        steps.len()
    }

    fn target(&self, label: Label) -> Target {
        self.mac.target(label)
    }

    fn lists(&self) -> Vec<Label> {
        Label::ALL.into_iter().filter(|&label| self.mac.list(label).exists()).collect()
    }
}

fn system() -> Kind {
    Kind::System { user: "owner".into() }
}

#[test]
fn a_first_installation_does_these_steps() {
    let home = House::new();
    let steps = plan::install(&home.mac, &home.job(system()), &home.there(), true).unwrap();
    assert_eq!(home.apply(&steps).unwrap(), []);
    let (uid, list) = (home.mac.owner.uid, |label| home.mac.list(label).display().to_string());
    let wanted = [
        "bootout system/offsite.system".to_owned(),
        "enable system/offsite.system".into(),
        format!("bootstrap system {}", list(Label::System)),
        format!("bootout gui/{uid}/offsite.notices"),
        format!("enable gui/{uid}/offsite.notices"),
        format!("bootstrap gui/{uid} {}", list(Label::Notices)),
        "kickstart system/offsite.system".into(),
    ];
    assert_eq!(home.launchd.said(), wanted);
    for label in [Label::System, Label::Notices] {
        assert_eq!(fs::metadata(home.mac.list(label)).unwrap().permissions().mode() & 0o7777, 0o644);
    }
    // The folders that launchd needs are there before it is asked to start anything.
    for folder in [home.job(system()).logs, home.state().join("notices")] {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}

#[test]
fn twice_is_once_also_while_a_night_is_at_work() {
    let home = House::new();
    home.install(system()).unwrap();
    // The first is running, and takes a while to end.
    home.launchd.slow.set(15);
    home.install(system()).unwrap();
    assert_eq!(home.launchd.loaded(), [Label::System, Label::Notices]);
    assert_eq!(home.lists(), [Label::System, Label::Notices]);
}

#[test]
fn a_system_that_refuses_to_boot_out_nothing_is_taken_at_its_job_list() {
    let home = House::new();
    home.launchd.absent.set(5);
    home.install(system()).unwrap();
    assert_eq!(home.launchd.loaded(), [Label::System, Label::Notices]);
}

#[test]
fn a_daemon_that_never_ends_is_an_error_and_nothing_is_loaded_over_it() {
    let home = House::new();
    home.install(system()).unwrap();
    home.launchd.slow.set(u32::MAX);
    let error = home.install(system()).unwrap_err();
    assert_eq!(error.to_string(), "system/offsite.system was told to end and is still there after 30 seconds");
}

#[test]
fn each_kind_takes_the_other_over() {
    let home = House::new();
    home.install(Kind::Agent).unwrap();
    assert_eq!((home.launchd.loaded(), home.lists()), (vec![Label::Login], vec![Label::Login]));
    home.install(system()).unwrap();
    assert_eq!((home.launchd.loaded(), home.lists()), (vec![Label::System, Label::Notices], vec![Label::System, Label::Notices]));
    let said = home.launchd.said();
    // Never a moment with neither.
    let at = |words: &str| said.iter().rposition(|call| call.contains(words)).unwrap();
    assert!(at("bootstrap system") < at("offsite.login"), "{said:?}");
    home.install(Kind::Agent).unwrap();
    assert_eq!((home.launchd.loaded(), home.lists()), (vec![Label::Login], vec![Label::Login]));
}

#[test]
fn removed_whatever_is_left_of_it_and_only_once() {
    let home = House::new();
    assert_eq!(home.uninstall(), 0);
    home.install(system()).unwrap();
    // A list without a job, and a job without a list.
    fs::create_dir_all(home.mac.list(Label::Login).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/nowhere", home.mac.list(Label::Login)).unwrap();
    fs::remove_file(home.mac.list(Label::Notices)).unwrap();
    assert_eq!(home.there().len(), 3);
    home.uninstall();
    assert_eq!((home.launchd.loaded(), home.there()), (vec![], vec![]));
    assert!(home.mac.list(Label::Login).symlink_metadata().is_err());
    let _ = home.launchd.said();
    assert_eq!(home.uninstall(), 0);
    assert_eq!(home.launchd.said(), [""; 0]);
    // What the daemon made stays.
    assert!(home.state().join("notices").exists() && home.job(system()).logs.exists());
}

#[test]
fn without_a_login_at_the_screen_what_belongs_to_it_comes_later() {
    let home = House::new();
    home.launchd.log_out();
    assert_eq!(home.install(system()).unwrap(), [Label::Notices]);
    assert_eq!((home.launchd.loaded(), home.lists()), (vec![Label::System], vec![Label::System, Label::Notices]));
    assert_eq!(home.install(Kind::Agent).unwrap(), [Label::Login]);
    assert_eq!((home.launchd.loaded(), home.lists()), (vec![], vec![Label::Login]));
    // Starting it now is not possible, and no error.
    let steps = plan::install(&home.mac, &home.job(Kind::Agent), &home.there(), true).unwrap();
    assert_eq!(home.apply(&steps).unwrap(), [Label::Login]);
    home.uninstall();
    assert_eq!(home.there(), []);
}

#[test]
fn what_was_switched_off_is_switched_on_by_installing() {
    let home = House::new();
    home.launchd.disabled.borrow_mut().insert(home.target(Label::System));
    home.install(system()).unwrap();
    // And a mark outlives the installation; status must see it.
    home.launchd.disabled.borrow_mut().insert(home.target(Label::System));
    let found = state::on_mac(&home.mac, &home.launchd, None).unwrap();
    assert!(found[0].loaded && !found[0].enabled);
}

#[test]
fn what_the_owner_switched_off_in_settings_is_an_error_with_the_way_there() {
    let home = House::new();
    home.launchd.login_items_off.set(true);
    let error = home.install(system()).unwrap_err();
    assert!(matches!(&error, InstallError::Refused { reply: Reply { code: 5, .. }, .. }), "{error}");
    let shown = crate::hint::render(&error.into());
    assert!(
        shown.contains("Bootstrap failed: 5: Input/output error") && shown.contains("next:  see whether it is switched off"),
        "{shown}"
    );
}

#[test]
fn a_list_that_others_may_write_is_refused_by_launchd_and_mended_by_installing() {
    let home = House::new();
    home.install(system()).unwrap();
    let list = home.mac.list(Label::System);
    fs::set_permissions(&list, fs::Permissions::from_mode(0o666)).unwrap();
    let target = home.target(Label::System);
    home.launchd.call(&Call::Bootout(target)).unwrap();
    assert_eq!(home.launchd.call(&Call::Bootstrap(Domain::System, list.clone())).unwrap().code, 5);
    home.install(system()).unwrap();
    assert_eq!(home.launchd.loaded(), [Label::System, Label::Notices]);
}

#[test]
fn a_job_that_runs_something_else_is_not_called_installed() {
    let home = House::new();
    let list = home.mac.list(Label::System);
    let steps = plan::install(&home.mac, &home.job(system()), &[], false).unwrap();
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|step| match step {
            Step::Write { path, text, owner } if path == list => Step::Write { path, text: text.replace("/bin/true", "/bin/false"), owner },
            step => step,
        })
        .collect();
    let error = home.apply(&steps).unwrap_err();
    assert_eq!(error.to_string(), "launchd does not have system/offsite.system as installed: it runs /bin/false");
}

#[test]
fn the_state_tells_what_is_there() {
    let home = House::new();
    let state = |this: &str| state::on_mac(&home.mac, &home.launchd, Some(Path::new(this))).unwrap();
    assert_eq!(state("/bin/true"), []);
    home.install(system()).unwrap();
    let wanted = Installed {
        clock: Clock::System,
        list: Some(home.mac.list(Label::System)),
        loaded: true,
        enabled: true,
        pid: Some(4711),
        runs: Some(1),
        last_exit: None,
        program: Program::This,
    };
    assert_eq!(state("/bin/true"), [wanted]);
    assert_eq!(state("/bin/false")[0].program, Program::Other("/bin/true".into()));
    home.launchd.call(&Call::Bootout(home.target(Label::System))).unwrap();
    let found = state("/bin/true");
    // The program is then read from the list.
    assert_eq!((found[0].loaded, found[0].runs, &found[0].program), (false, None, &Program::This));
}

#[test]
fn the_mac_is_woken_only_if_nobody_else_wakes_it_and_what_is_ours_is_given_back() {
    let home = House::new();
    let wake = |at: &str| Wake::before(at.parse().unwrap());
    let plan = |at: &str| plan::wake(&home.mac, &home.state(), wake(at), &home.pmset.sched.borrow());
    for _ in 0..2 {
        home.apply(&plan("04:30").unwrap()).unwrap();
    }
    assert_eq!(home.pmset.asked.take(), ["repeat wakeorpoweron MTWRFSU 04:28:00"]);
    // The hour was changed: it is ours to move. Power goes before the system is asked: the old one is still ours, to move and to give back.
    let steps = plan("05:30").unwrap();
    home.apply(&steps[..1]).unwrap();
    assert_eq!(plan("05:30").unwrap(), steps);
    assert_eq!(plan::sleep_on(&home.state(), &home.pmset.sched.borrow())[0], Step::Pmset(vec!["repeat".into(), "cancel".into()]));
    // Or the hour is changed back, and then the old one is remembered alone.
    home.apply(&plan("04:30").unwrap()).unwrap();
    assert_eq!(plan("04:30").unwrap(), []);
    assert_eq!(Remembered::read(&home.state()), Some(Remembered { wake: wake("04:30"), before: None }));
    home.apply(&plan::sleep_on(&home.state(), &sched(&home.pmset).unwrap())).unwrap();
    assert_eq!((home.pmset.asked.take(), Remembered::read(&home.state())), (vec!["repeat cancel".to_owned()], None));

    *home.pmset.sched.borrow_mut() = "Repeating power events:\n  shutdown at 11:00PM weekdays only\n".into();
    let error = plan("04:30").unwrap_err();
    assert_eq!(error.to_string(), "the Mac already has its own schedule for waking: shutdown at 11:00PM weekdays only");
    // Power went between remembering and setting, and then the owner set one: theirs stays.
    fs::write(home.state().join("wake.json"), r#"{"hour":4,"minute":28}"#).unwrap();
    home.apply(&plan::sleep_on(&home.state(), &sched(&home.pmset).unwrap())).unwrap();
    assert_eq!((home.pmset.asked.take(), Remembered::read(&home.state())), (vec![], None));
    assert_eq!(plan::sleep_on(&home.state(), ""), []);
}

fn here(root: bool, same: bool, config: &str) -> Here {
    let owner = Owner { name: "owner".into(), uid: 501, gid: 20, home: "/Users/owner".into() };
    let home = Home::at(&owner.home);
    Here { root, same, owner, home, config: config.into(), program: "/Users/owner/my bin/offsite".into() }
}

#[test]
fn a_command_to_type_is_whole() {
    let here = |config| here(false, false, config);
    let args = Args { now: true, wake: true, user: Some("o'brien".into()), ..Args::default() };
    let usual = here("/Users/owner/.config/offsite/offsite.yaml").sudo(&Globals::default(), &again(&args));
    assert_eq!(usual, r"sudo '/Users/owner/my bin/offsite' install --user 'o'\''brien' --now --wake");
    let other = here("/Users/owner/other.yaml").sudo(&Globals::default(), &["uninstall"]);
    assert_eq!(other, "sudo '/Users/owner/my bin/offsite' --config /Users/owner/other.yaml uninstall");
}

#[test]
fn what_is_said_names_the_next_run_and_what_macos_will_ask() {
    let home = House::new();
    let later = home.install(system()).unwrap();
    let found = state::on_mac(&home.mac, &home.launchd, None).unwrap();
    let text = say::installed(&home.job(system()), &found, &later, Some("Monday 2026-11-23 04:30"), Some(Wake { hour: 4, minute: 28 }));
    let wanted = "\
offsite.system is installed: launchd has it, and runs now as process 4711
  starts    at 04:30, at boot, when a disk is mounted, and every 10 minutes: only what is owed is done
  next run  Monday 2026-11-23 04:30
  wakes     the Mac at 04:28, every day, while it is on mains (not with the lid closed)
  runs as   owner, also while nobody is logged in
macOS says once that an item was added that runs in the background: leave it switched on
";
    assert_eq!(text, wanted);
    let agent = say::installed(&home.job(Kind::Agent), &[], &[Label::Login], None, None);
    assert!(
        agent.starts_with("offsite.login is installed; nobody is logged in at the screen") && agent.contains("local network: say Allow"),
        "{agent}"
    );
}

#[test]
fn how_a_pi_is_reached_is_told_where_it_may_fail_without_a_login() {
    let said = |lines: &str, passphrase| {
        let text = format!("repository: /backups\npis:\n- {{name: attic, host: h, user: u, path: /p{lines}}}\n");
        let config = Config::parse(Path::new("/offsite.yaml"), &text, &Home::at(Path::new("/home/owner"))).unwrap();
        say::keys(&config.pis, passphrase)
    };
    assert!(said(", agent: true", false).starts_with("but attic is reached through the ssh-agent"));
    let usual = said("", false);
    assert!(usual.contains("env -u SSH_AUTH_SOCK -u OFFSITE_SSH_PASSPHRASE offsite doctor\n"), "{usual}");
    assert!(said(", key: ~/k", true).contains("passphrase of attic's key is in this shell only"));
    assert_eq!(said(", key: ~/k", false), "");
}

#[test]
fn a_systemd_of_the_owners_own_is_asked_by_the_owner_alone() {
    let here = |root, same| here(root, same, "/Users/owner/offsite.yaml");
    assert!(here(false, true).not_ours("installed").is_none());
    assert!(matches!(here(true, false).not_ours("installed"), Some(InstallError::NotAsRoot { .. })));
    let shown = crate::hint::render(&here(false, false).not_ours("removed").unwrap().into());
    assert!(shown.contains("only owner can have it removed") && shown.contains("next:  log in as owner"), "{shown}");
}
