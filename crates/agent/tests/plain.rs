//! Stories that need no engine: a job that stops nothing, the retention, the modes, the ways to be refused.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use lab::{Lab, Said, mode, skip};

/// No engine: a job that stops nothing must not ask for one.
const NO_DOCKER: &str = "docker: /nowhere/docker\n";

fn ready(more: &str) -> Lab {
    let lab = Lab::ready("none", &format!("{NO_DOCKER}{more}"));
    lab.write("services/web/index.html", "hello");
    lab
}

#[test]
fn a_run_makes_an_archive_that_tar_reads() {
    let lab = ready("");
    let said = lab.agent(&["run", "services"]).ended(0);
    let archives = lab.archives();
    assert_eq!(archives.len(), 1);
    assert!(
        said.out.starts_with(&format!("{}: ", archives[0])) && said.out.ends_with("; kept 1, forgot 0\n") && said.out.lines().count() == 1,
        "{said:?}"
    );
    assert_eq!(fs::read_to_string(lab.unpack(&archives[0]).join("web/index.html")).unwrap(), "hello");
    assert_eq!(lab.events(), ["made"]);
    assert!(!lab.ledger().exists());
}

#[test]
fn the_newest_three_stay_and_numbers_grow() {
    let lab = ready("");
    for number in 0..5 {
        lab.write("services/web/index.html", &number.to_string());
        lab.agent(&["run", "services"]).ended(0);
    }
    let archives = lab.archives();
    assert_eq!(archives.len(), 3);
    assert_eq!(fs::read_to_string(lab.unpack(&archives[2]).join("web/index.html")).unwrap(), "4");
    let files = |folder: &str| fs::read_dir(lab.path(folder)).unwrap().count();
    assert_eq!((files("repository/archives/services"), files("repository/manifests/services")), (3, 3));
    let journal = fs::read_to_string(lab.path("state/journal.jsonl")).unwrap();
    let numbers: Vec<u64> =
        journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() == 5, "{numbers:?}");
}

#[test]
fn a_run_that_did_not_end_is_told_and_one_that_goes_on_is_not() {
    let lab = ready("");
    lab.agent(&["run", "services"]).ended(0);
    let (path, says) = (lab.path("state/journal.jsonl"), || lab.agent(&["check"]).ended(0).out);
    let journal = fs::read_to_string(&path).unwrap();
    let (began, made) = journal.split_once('\n').unwrap();
    assert!(began.ends_with(r#""job":"services","event":"began"}"#), "{began}");
    let good = "ok       job services: the last run made an archive at ";
    assert!(says().contains(good));
    // As an agent wrote it that did not note beginnings; and one that a killed run left, which nobody holds the lock for.
    fs::write(&path, made).unwrap();
    assert!(says().contains(good));
    fs::write(&path, format!("{made}{began}\n")).unwrap();
    let told = says();
    assert!(told.contains("warning  job services: the run that began at ") && told.contains(" did not end"), "{told}");
    assert!(!told.contains(good), "{told}");
    let lock = fs::File::open(lab.path("state/lock")).unwrap();
    lock.lock().unwrap();
    let told = says();
    assert!(told.contains("ok       job services: a run began at ") && !told.contains("did not end"), "{told}");
    // Another job's goes on, and this one did not.
    fs::write(&path, format!("{made}{began}\n{}\n", began.replace("services", "photos"))).unwrap();
    assert!(says().contains(" did not end"));
}

#[test]
fn the_repository_is_open_to_its_group_alone_whatever_the_umask() {
    let lab = ready("");
    let own = std::os::unix::fs::MetadataExt::gid(&fs::metadata(lab.path("services")).unwrap());
    lab.configure("none", &format!("{NO_DOCKER}group: {own}\n"));
    lab.run_under_a_closed_umask().ended(0);
    let name = lab.archives().remove(0);
    for folder in ["repository", "repository/archives", "repository/archives/services", "repository/manifests/services"] {
        assert_eq!(mode(&lab.path(folder)), 0o750, "{folder}");
    }
    for file in
        [format!("repository/archives/{name}.tar.zst"), format!("repository/manifests/{name}.zst"), "repository/repository.json".into()]
    {
        assert_eq!(mode(&lab.path(&file)), 0o640, "{file}");
    }
    assert_eq!(mode(&lab.path("state")), 0o700);
    lab.configure("none", &format!("{NO_DOCKER}group: no-such-group-here\n"));
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("there is no group \"no-such-group-here\"") && said.err.contains("next: make the group"), "{said:?}");
}

#[test]
fn what_cannot_be_read_makes_an_archive_incomplete_and_it_pushes_no_good_one_out() {
    let lab = ready("");
    let run = || -> Said {
        let mut command = lab.command();
        if rustix::process::geteuid().is_root() {
            // Root reads everything: somebody else does it.
            let said: Said = Command::new("chown").args(["-R", "65534:65534"]).arg(lab.path("")).output().unwrap().into();
            said.ended(0);
            command.uid(65534).gid(65534);
        }
        command.args(["run", "services"]).output().unwrap().into()
    };
    // The program itself may lie where nobody but root may look.
    if rustix::process::geteuid().is_root()
        && !Command::new(lab.command().get_program())
            .arg("--version")
            .uid(65534)
            .gid(65534)
            .output()
            .is_ok_and(|output| output.status.success())
    {
        skip("another user cannot start the agent that was built");
        return;
    }
    run().ended(0);
    let good = lab.archives();
    let secret = lab.write("services/secret", "x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    for _ in 0..4 {
        let said = run().ended(3);
        assert!(said.out.contains(" INCOMPLETE: ") && said.err.contains("secret"), "{said:?}");
    }
    let archives = lab.archives();
    assert!(archives.contains(&good[0]) && archives.len() == 4, "{archives:?}");
}

#[test]
fn what_an_unfinished_run_left_goes_and_what_only_lost_its_manifest_stays() {
    let lab = ready("");
    for _ in 0..2 {
        lab.agent(&["run", "services"]).ended(0);
    }
    let archives = lab.archives();
    let file = |name: &str| lab.path(&format!("repository/archives/{name}.tar.zst"));
    // One was being finished when the power went, one lost its manifest in some other way, and a staged file is left.
    for name in &archives {
        fs::remove_file(lab.path(&format!("repository/manifests/{name}.zst"))).unwrap();
    }
    lab.write("state/unfinished.json", &format!("[\"{}\"]", archives[0]));
    let staged = lab.write("repository/.tmp-left", "half an archive");
    let said = lab.agent(&["check"]);
    assert!(said.out.contains(&format!("archives/{}.tar.zst has no manifest", archives[1])), "{said:?}");
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(
        [file(&archives[0]).exists(), file(&archives[1]).exists(), staged.exists(), lab.path("state/unfinished.json").exists()],
        [false, true, false, false]
    );
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let lab = ready("");
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("sources", "sorces"));
    for arguments in [&["run", "services"][..], &["check"], &["archives"], &["install", "--print"]] {
        let said = lab.agent(arguments).ended(2);
        assert!(said.err.contains("agent.yaml:6: jobs.services: unknown key \"sorces\"; did you mean \"sources\"?"), "{said:?}");
        assert!(said.err.contains("\nnext: correct the file, then: offsite-agent check; nothing was changed"), "{said:?}");
    }
    assert!(!lab.path("state").exists() && !lab.path("repository/archives").exists());
    lab.write("agent.yaml", &text);
    let said = lab.agent(&["run", "servces"]).ended(2);
    assert!(said.err.contains("there is no job \"servces\"") && said.err.contains("there is: services"), "{said:?}");
    assert!(!lab.path("state").exists());
}

#[test]
fn a_missing_disk_is_an_error_and_never_a_new_folder() {
    let lab = ready("");
    fs::rename(lab.path("repository"), lab.path("elsewhere")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("next: mount the repository's disk"), "{said:?}");
    let said = lab.agent(&["export", "services", "-"]).ended(1);
    assert!(said.err.contains("next: mount the repository's disk"), "{said:?}");
    assert!(!lab.path("repository").exists());
    fs::create_dir(lab.path("repository")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("next: mount the repository's disk"), "{said:?}");
    assert_eq!(fs::read_dir(lab.path("repository")).unwrap().count(), 0);
    assert_eq!(lab.events(), ["failed", "failed"]);
}

#[test]
fn an_empty_source_is_told_until_somebody_says_that_it_may_be() {
    let lab = ready("");
    fs::remove_dir_all(lab.path("services/web")).unwrap();
    let says = format!("source {} is empty", lab.path("services").canonicalize().unwrap().display());
    lab.agent(&["run", "services"]).ended(0);
    let warnings = || lab.listed().as_array().unwrap().last().unwrap()["warnings"].clone();
    assert!(warnings()[0].as_str().unwrap().starts_with(&says), "{}", warnings());
    assert!(lab.agent(&["check"]).out.contains(&format!("warning  job services: {says}")));
    lab.agent(&["run", "services", "--accept-empty"]).ended(0);
    assert_eq!(warnings(), serde_json::json!([]));
    assert!(!lab.agent(&["check"]).out.contains(&says));
}

#[test]
fn a_link_in_the_place_of_a_source_is_refused() {
    let lab = ready("");
    fs::rename(lab.path("services"), lab.path("disk")).unwrap();
    std::os::unix::fs::symlink(lab.path("disk"), lab.path("services")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("is a symbolic link, and only the link would be archived: name "), "{said:?}");
    assert!(said.err.contains("next: nothing was stopped; correct \"sources\" in the configuration"), "{said:?}");
    // The repository in a source, seen through a link.
    fs::remove_file(lab.path("services")).unwrap();
    fs::rename(lab.path("disk"), lab.path("services")).unwrap();
    fs::rename(lab.path("repository"), lab.path("services/repository")).unwrap();
    std::os::unix::fs::symlink(lab.path("services/repository"), lab.path("repository")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    let says = ["contains the repository", "agent.yaml:6", "next: nothing was stopped; correct"];
    assert!(says.iter().all(|says| said.err.contains(says)), "{said:?}");
    assert!(lab.agent(&["check"]).ended(1).out.contains("BAD      job services: source "), "{said:?}");
}

/// The command line of a resume in the unit with this name, as `install` writes it for the configuration that is there.
fn resume_of(lab: &Lab, unit: &str) -> Vec<String> {
    let units = lab.path("units");
    fs::create_dir_all(&units).unwrap();
    lab.agent(&["install", "--to", units.to_str().unwrap()]).ended(0);
    let text = fs::read_to_string(units.join(unit)).unwrap();
    let line = text.lines().find(|line| line.contains(" resume ")).unwrap();
    line.split_once('=').unwrap().1.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_is_owed_is_found_by_the_units_though_the_configuration_is_broken() {
    let lab = ready("");
    let commands = ["offsite-agent@.service", "offsite-agent-resume.service"].map(|unit| resume_of(&lab, unit));
    // Says what it was asked, and starts nothing.
    let docker = lab.wrap_docker(&format!("echo \"$call\" >>{}; exit 1", lab.path("asked").display()));
    let project = format!(
        r#"{{"name":"p","folder":"{0}","files":["{0}/compose.yaml"],"environment":[],"services":[{{"name":"x","scale":1}}]}}"#,
        lab.path("services").display()
    );
    let ledger = format!(
        r#"{{"version":1,"job":"services","started":"2026-11-22T04:00:00Z","stage":"reading","docker":"{}","projects":[{project}]}}"#,
        docker.trim().trim_start_matches("docker: ")
    );
    lab.write("agent.yaml", "repositry: /b\n");
    for command in commands {
        lab.write("state/ledger.json", &ledger);
        let said: Said = Command::new(&command[0]).args(&command[1..]).output().unwrap().into();
        assert!(said.ended(1).err.contains("services did not come back"), "{command:?}");
        assert!(fs::read_to_string(lab.path("asked")).unwrap().starts_with("up\n"));
        fs::remove_file(lab.path("asked")).unwrap();
    }
    // Nobody said where to look, and where it usually is there is nothing: that says nothing.
    if !std::path::Path::new("/var/lib/offsite").exists() {
        let said = lab.agent(&["resume"]);
        assert!(said.err.contains("whether something is owed is not known") && said.err.contains("next: "), "{said:?}");
        said.ended(1);
    }
}

#[test]
fn a_ledger_that_nobody_understands_is_kept_until_it_is_forgotten() {
    let lab = ready("");
    lab.write("state/ledger.json", "{");
    let said = lab.agent(&["resume"]).ended(1);
    assert!(said.err.contains("cannot be understood") && said.err.contains("resume --forget"), "{said:?}");
    assert!(lab.ledger().exists());
    let said = lab.agent(&["resume", "--forget"]).ended(0);
    assert!(said.out.contains("forgotten") && said.out.ends_with("ledger.json.bad:\n{\n"), "{said:?}");
    assert!(!lab.ledger().exists() && lab.path("state/ledger.json.bad").exists());
    assert_eq!(lab.agent(&["resume", "--forget"]).ended(0).out, "nothing is owed\n");
    lab.agent(&["run", "services"]).ended(0);
}

#[test]
fn init_writes_an_example_first_and_the_repository_second() {
    let lab = Lab::new();
    let said = lab.agent(&["init"]).ended(0);
    assert!(said.out.contains("wrote an example"), "{said:?}");
    assert!(!lab.path("repository").exists());
    lab.configure("none", NO_DOCKER);
    let said = lab.agent(&["check"]).ended(1);
    assert!(said.out.contains("is its disk mounted?") && said.out.contains("offsite-agent init"), "{said:?}");
    // Whose folder is not there may be on a disk that is not there either.
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("/repository\n", "/usb/repository\n"));
    let (said, usb) = (lab.agent(&["init"]).ended(1), lab.path("usb"));
    assert!(
        said.err.contains(&format!("there is no folder {} to make the repository in (is its disk mounted?)", usb.display())),
        "{said:?}"
    );
    assert!(said.err.contains(&format!("next: mount it; or, if the repository shall lie there: mkdir -p {}", usb.display())), "{said:?}");
    assert!(!usb.exists());
    lab.write("agent.yaml", &text);
    assert!(lab.agent(&["init"]).ended(0).out.starts_with("made the repository: "));
    assert!(lab.agent(&["init"]).ended(0).out.starts_with("the repository is there: "));
    assert_eq!(mode(&lab.path("repository")), 0o750);
}

#[test]
fn archives_of_a_job_that_is_no_more_are_told_with_what_removes_them() {
    for layout in ["plain", "packs"] {
        let lab = ready(&format!("layout: {layout}\n"));
        lab.agent(&["run", "services"]).ended(0);
        assert!(!lab.agent(&["check"]).ended(0).out.contains("no job any more"));
        let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
        lab.write("agent.yaml", &text.replace("  services:\n", "  home:\n"));
        let said = lab.agent(&["check"]).ended(0);
        let says = "1 archive of services, which is no job any more: when you no longer want them: ";
        let line = said.out.lines().find_map(|line| line.split_once(says)).unwrap().1;
        assert_eq!(line.contains("/archives/"), layout == "plain", "{line}");
        // As it stands there.
        assert!(Command::new("sh").args(["-c", line]).status().unwrap().success());
        assert_eq!((lab.archives(), lab.agent(&["check"]).ended(0).out.contains("no job any more")), (vec![], false));
        lab.agent(&["run", "home"]).ended(0);
        assert_eq!(lab.archives().len(), 1);
    }
}

#[test]
fn the_units_are_what_systemd_understands() {
    let lab = ready("");
    let units = lab.path("units");
    fs::create_dir(&units).unwrap();
    let to = ["install", "--to", units.to_str().unwrap()];
    let said = lab.agent(&to).ended(0);
    assert!(said.out.ends_with("systemctl enable --now offsite-agent-resume.path offsite-agent@services.timer\n"), "{said:?}");
    let printed = lab.agent(&["install", "--print"]).ended(0).out;
    let names = ["offsite-agent-resume.path", "offsite-agent-resume.service", "offsite-agent@.service", "offsite-agent@services.timer"];
    for name in names {
        assert!(printed.contains(&fs::read_to_string(units.join(name)).unwrap()), "{name}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_ok() {
        let mut verify = Command::new("systemd-analyze");
        let instances = names.map(|name| units.join(name.replace("@.service", "@services.service")));
        verify.arg("verify").args(instances);
        let said: Said = verify.output().unwrap().into();
        // Units of the machine itself are none of ours.
        let ours: Vec<&str> = said.err.lines().filter(|line| line.contains("offsite")).collect();
        assert_eq!(ours, [""; 0]);
    } else {
        skip("there is no systemd-analyze");
    }
    // A job that lost its time loses its timer; somebody's own unit is not touched.
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("    at: \"04:00\"\n", ""));
    fs::write(units.join("offsite-agent@mine.timer"), "[Timer]\n").unwrap();
    lab.agent(&to).ended(0);
    assert!(!units.join("offsite-agent@services.timer").exists() && units.join("offsite-agent@mine.timer").exists());
    fs::write(units.join("offsite-agent@.service"), "[Service]\n").unwrap();
    let said = lab.agent(&to).ended(1);
    assert!(said.err.contains("was not written by offsite-agent install"), "{said:?}");
    assert_eq!(fs::read_to_string(units.join("offsite-agent@.service")).unwrap(), "[Service]\n");
}

/// The largest resident memory of one run, in KiB, as the kernel counted it.
fn peak_of(lab: &Lab, arguments: &[&str]) -> Option<u64> {
    const ASK: &str = "import resource, subprocess, sys\n\
                       subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
                       print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let agent = lab.command();
    let words = std::iter::once(agent.get_program()).chain(agent.get_args());
    let mut python = std::process::Command::new("python3");
    python.args(["-c", ASK]).args(words).args(arguments);
    let output = python.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}

#[test]
fn memory_does_not_grow_with_the_data() {
    memory_is_bounded("");
}

#[test]
fn memory_does_not_grow_with_the_data_in_packs() {
    memory_is_bounded("layout: packs\n");
}

fn memory_is_bounded(more: &str) {
    let lab = Lab::ready("none", more);
    // No two blocks are alike and none can be compressed: whatever piles up shows in full.
    let mut noise = fs::File::create(lab.path("services/noise")).unwrap();
    let mut random = fs::File::open("/dev/urandom").unwrap();
    std::io::copy(&mut std::io::Read::take(&mut random, 256 << 20), &mut noise).unwrap();
    for arguments in [&["run", "services"][..], &["run", "services", "--full"], &["run", "services"]] {
        let Some(peak) = peak_of(&lab, arguments) else {
            skip("there is no python3");
            return;
        };
        println!("{arguments:?}: {peak} KiB");
        assert!(peak < 160 << 10, "{arguments:?}: {peak} KiB");
    }
}

#[test]
fn no_repository_is_made_on_the_mount_point_of_a_disk_that_is_not_there() {
    let lab = ready("");
    fs::create_dir(lab.path("disk")).unwrap();
    let disk = lab.path("disk").canonicalize().unwrap();
    let config = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    let own = lab.path("repository").display().to_string();
    lab.write("agent.yaml", &config.replace(&own, &disk.join("repository").display().to_string()));
    let fstab = lab.write("fstab", &format!("UUID=1 {} ext4 nofail 0 2\n", disk.display()));
    // A table of its own, and perhaps its disk.
    let agent = |first: &str, words: &[&str]| -> Said {
        let agent = lab.command();
        let mut shell = Command::new("unshare");
        let script = format!("mount --bind {} /etc/fstab && {first} && exec \"$0\" \"$@\"", fstab.display());
        shell.args(["--mount", "sh", "-c", &script]).arg(agent.get_program()).args(agent.get_args()).args(words);
        shell.output().unwrap().into()
    };
    if agent("true", &["--version"]).err.contains("mount") {
        skip("nothing can be mounted here");
        return;
    }
    let next = format!("mount {}", disk.display());
    let said = agent("true", &["init"]).ended(1);
    assert!(
        said.err.contains("is not mounted, and /etc/fstab wants a disk there") && said.err.contains(&format!("next: {next}\n")),
        "{said:?}"
    );
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
    let said = agent("true", &["check"]).ended(1);
    assert!(said.out.contains("is not mounted, and /etc/fstab wants") && said.out.contains(&format!("({next})")), "{said:?}");
    agent(&format!("mount -t tmpfs none {}", disk.display()), &["init"]).ended(0);
}
