//! The alarm clock that `offsite install` sets with systemd, for real: it starts the daemon, also when the disk with the repository appears,
//! it can be set twice, and it goes away.
//!
//! The owner's systemd runs as a service of the lab's booted machine, as a login would start it.

use offsite_tests::{Lab, Outcome, PiBox, until};

const SERVICE: &str = "offsite.service";
const TIMER: &str = "offsite.timer";
const DISK: &str = "/media/disk";

/// A machine on which its owner is logged in.
struct Desk<'a> {
    lab: &'a Lab,
    machine: PiBox,
}

impl<'a> Desk<'a> {
    fn new(lab: &'a Lab) -> Option<Self> {
        let machine = lab.pibox()?;
        let home = lab.home();
        let _ = lab.file("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\nowner:x:1000:1000::{}:/bin/sh\n", home.display()));
        let _ = lab.file("etc/group", "root:x:0:\nowner:x:1000:\n");
        let login = format!(
            "[Service]\nType=notify\nUser=1000\nGroup=1000\nDelegate=yes\nKillMode=mixed\n\
             Environment=HOME={} XDG_RUNTIME_DIR=/run/user/1000\n\
             ExecStartPre=+/usr/bin/install -d -m 700 -o 1000 -g 1000 /run/user/1000\nExecStart=/lib/systemd/systemd --user\n",
            home.display()
        );
        let _ = lab.file("etc/systemd/system/login.service", &login);
        let config =
            format!("repository: {DISK}/backups/offsite\nat: \"04:30\"\npis:\n- {{name: pi, host: pi.invalid, path: /srv/offsite}}\n");
        let _ = lab.file("home/.config/offsite/offsite.yaml", &config);
        let _ = lab.cmd("chown").args(["-R", "1000:1000"]).arg(&home).run().succeeds();
        let _ = lab.cmd("chmod").arg("755").arg(lab.path()).run().succeeds();
        let _ = machine.systemctl(&["daemon-reload"]).succeeds();
        let _ = machine.systemctl(&["start", "login.service"]).succeeds();
        let _ = machine.run(&["mkdir", "-p", DISK]).succeeds();
        Some(Self { lab, machine })
    }

    /// A program, as the owner.
    fn owner(&self, words: &[&str]) -> Outcome {
        let home = format!("HOME={}", self.lab.home().display());
        let user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", &home, "XDG_RUNTIME_DIR=/run/user/1000"];
        self.machine.run(&[&user, words].concat())
    }

    fn offsite(&self, words: &[&str]) -> Outcome {
        self.owner(&[&[self.machine.program("offsite").to_str().unwrap()], words].concat())
    }

    fn property(&self, unit: &str, name: &str) -> String {
        self.owner(&["systemctl", "--user", "show", "--value", "--property", name, unit]).succeeds().out.trim().to_owned()
    }

    fn mount(&self) {
        let _ = self.machine.run(&["mount", "-t", "tmpfs", "none", DISK]).succeeds();
    }

    /// Waits until the daemon has been started since `before`, and has ended well.
    fn rings(&self, before: &str) -> String {
        let mut run = String::new();
        until("the daemon is started and has ended", || {
            run = self.property(SERVICE, "InvocationID");
            run != before && self.property(SERVICE, "ActiveState") != "activating"
        });
        assert_eq!(self.property(SERVICE, "Result"), "success");
        run
    }
}

#[test]
fn a_timer_of_the_owner_rings_by_itself_and_when_the_disk_appears_and_goes_away() {
    let lab = Lab::new();
    let Some(desk) = Desk::new(&lab) else { return };
    let program = desk.machine.program("offsite");
    let root = |words: &[&str]| desk.machine.run(&[&[program.to_str().unwrap()], words].concat());
    root(&["install"]).exits(1).says("it must not be root");
    root(&["install", "--user", "owner"]).exits(1).says("cannot be installed as root");

    desk.mount();
    let said = desk.offsite(&["install", "--now"]).succeeds();
    said.says("sudo loginctl enable-linger owner");
    let _ = desk.rings("");
    assert_eq!((desk.property(TIMER, "ActiveState"), desk.property(TIMER, "UnitFileState")), ("active".into(), "enabled".into()));
    assert_ne!(desk.property(TIMER, "NextElapseUSecRealtime"), "");

    // A person leaves a night to it, and is told how to begin at once.
    desk.offsite(&["sync", "--by-daemon"]).succeeds().says("at once: systemctl --user start offsite.service");

    // The disk goes, and comes back.
    let _ = desk.machine.run(&["umount", DISK]).succeeds();
    let before = desk.property(SERVICE, "InvocationID");
    desk.mount();
    let before = desk.rings(&before);

    // The hour has come, and the installation is done once more.
    let _ = desk.owner(&["mkdir", "-p", &format!("{}/.config/systemd/user/offsite.timer.d", lab.home().display())]).succeeds();
    let _ = lab.file("home/.config/systemd/user/offsite.timer.d/now.conf", "[Timer]\nOnActiveSec=0\n");
    let _ = desk.offsite(&["install"]).succeeds();
    let _ = desk.rings(&before);

    // Half of it removed by hand: the timer still rings, so it is not called nothing.
    let units = |name: &str| format!("{}/.config/systemd/user/{name}", lab.home().display());
    let _ = desk.owner(&["rm", &units(SERVICE), &units(TIMER)]).succeeds();
    desk.offsite(&["uninstall"]).succeeds().says("nothing starts the daemon any more");
    assert_ne!(desk.property(TIMER, "ActiveState"), "active");
    desk.offsite(&["uninstall"]).succeeds().says("nothing of offsite's is installed here");

    // This shell's variables: the units lie where systemd looks, the daemon finds the state where the shell does.
    let (config, state) = (lab.home().join("shell/config"), lab.home().join("shell/state"));
    let _ = desk.owner(&["mkdir", "-p", &format!("{}/offsite", config.display())]).succeeds();
    let from = lab.home().join(".config/offsite/offsite.yaml");
    let _ = desk.owner(&["cp", from.to_str().unwrap(), &format!("{}/offsite/", config.display())]).succeeds();
    let variables = [format!("XDG_CONFIG_HOME={}", config.display()), format!("XDG_STATE_HOME={}", state.display())];
    let before = desk.property(SERVICE, "InvocationID");
    let _ = desk.owner(&["env", &variables[0], &variables[1], program.to_str().unwrap(), "install", "--now"]).succeeds();
    let _ = desk.rings(&before);
    assert!(state.join("offsite/journal.jsonl").exists());

    // A shell that systemd does not answer: nothing is installed from it, and what is there goes.
    let deaf = |verb: &str| desk.owner(&["env", "-u", "XDG_RUNTIME_DIR", program.to_str().unwrap(), verb]);
    deaf("install").exits(1).says("log in as this account, not with su or sudo, and do the same again");
    deaf("uninstall").succeeds().says("systemd does not answer here");
    assert_eq!(desk.property(TIMER, "ActiveState"), "active", "it has it still");

    let _ = desk.offsite(&["uninstall"]).succeeds();
    desk.offsite(&["uninstall"]).succeeds().says("nothing of offsite's is installed here");
    assert_eq!(desk.owner(&["systemctl", "--user", "list-unit-files", "--no-legend", "offsite*"]).out, "");
    let folder = format!("{}/.config/systemd", lab.home().display());
    let left = desk.machine.run(&["find", &folder, "-name", "offsite*", "-not", "-name", "*.d"]).succeeds();
    assert_eq!(left.out, "");
    // What it did is remembered: it was started with the disk there, and without a repository on it.
    assert!(lab.home().join(".local/state/offsite/journal.jsonl").exists());
}
