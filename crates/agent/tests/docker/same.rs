//! Services come back as they ran: on their data, from their image, each by itself; and what could not is not stopped.

use super::*;

fn docker(arguments: &[&str]) -> String {
    let said: Said = lab::docker().args(arguments).output().unwrap().into();
    said.ended(0).out.trim().to_owned()
}

/// Starts the project `p` as its owner does: in its folder, with these variables.
fn up(lab: &Lab, variables: &[(&str, &Path)]) {
    let folder = lab.path("services/p");
    let mut command = lab::docker();
    command.args(["compose", "up", "--detach"]).current_dir(&folder).env("PWD", &folder).envs(variables.iter().copied());
    Said::from(command.output().unwrap()).ended(0);
}

/// What the only container sees of the machine, sorted: the engine tells it in any order.
fn mounts(lab: &Lab) -> Vec<String> {
    let name = format!("{}-{}", lab.project_name("p"), lab.containers("{{.Names}}")[0]);
    let mut seen: Vec<String> =
        docker(&["inspect", "--format", "{{range .Mounts}}{{println .Source}}{{end}}", &name]).lines().map(str::to_owned).collect();
    seen.sort();
    seen
}

fn warnings(lab: &Lab) -> serde_json::Value {
    lab.listed().as_array().unwrap().last().unwrap()["warnings"].clone()
}

/// The lines of `check` that are bad or warnings about the job.
fn checked(lab: &Lab) -> String {
    let said = lab.agent(&["check"]);
    said.out.lines().filter(|line| line.contains("job services: ") && !line.starts_with("ok")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn data_that_variables_name_are_the_same_ones_or_nothing_is_stopped() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    let name =
        lab.project("p", &format!("services:\n  x:\n{SERVICE}    volumes: ['${{PWD}}/data:/data', '${{DATA_ROOT:-/nowhere}}/own:/own']\n"));
    let (folder, root) = (lab.path("services/p"), lab.path("services/root"));
    up(&lab, &[("DATA_ROOT", &root)]);
    let (before, seen) = (lab.ids(), mounts(&lab));
    // A variable of the owner's shell is nobody else's: of no run by hand either, which would be the last one that is well.
    for mut run in [lab.command(), lab.command()].into_iter().zip([None, Some(&root)]).map(|(mut run, root)| {
        run.args(["run", "services"]).current_dir("/").env("PWD", "/").envs(root.map(|root| ("DATA_ROOT", root)));
        run
    }) {
        let said = Said::from(run.output().unwrap()).ended(1);
        let has = format!("service x of project {name} has {}/own at /own, and would come back with /nowhere/own there", root.display());
        assert!(said.err.contains(&has) && said.err.contains("nothing was stopped"), "{said:?}");
        assert!(!said.err.contains("/data"), "{said:?}");
        assert_eq!(lab.ids(), before);
    }
    assert!(checked(&lab).contains("BAD      job services: service x of project"), "{}", checked(&lab));
    // Where it is told to do it, it is the owner's word for all.
    lab.write("services/p/.env", &format!("DATA_ROOT={}\n", root.display()));
    lab.command().args(["run", "services"]).current_dir("/").env("PWD", "/").output().map(Said::from).unwrap().ended(0);
    assert_eq!((mounts(&lab), warnings(&lab)), (seen, serde_json::json!([])));
    assert_eq!(mounts(&lab), [folder.join("data"), root.join("own")].map(|path| path.display().to_string()));
}

/// A name for an image, for as long as it is needed.
struct Tag(String);

impl Tag {
    fn new(lab: &Lab) -> Self {
        let tag = Self(format!("{}:1", lab.project_name("image")));
        docker(&["tag", lab::IMAGE, &tag.0]);
        tag
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        drop(lab::docker().args(["image", "rm", "--force", &self.0]).output());
    }
}

#[test]
fn another_image_is_told_by_day_and_a_shared_network_is_not_taken_for_a_change() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    let tag = Tag::new(&lab);
    let shares = format!("  app:\n{SERVICE}    network_mode: 'service:vpn'\n  reader:\n{SERVICE}    volumes_from: [vpn]\n");
    let vpn = format!("  vpn:\n{}    volumes: ['./data:/data']\n", SERVICE.replace("IMAGE", &tag.0));
    let name = lab.project("p", &format!("services:\n{vpn}{shares}"));
    up(&lab, &[]);
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!((lab.running(), warnings(&lab)), (["app", "reader", "vpn"].map(String::from).into(), serde_json::json!([])));
    // As a `pull` without an `up` leaves it.
    docker(&["commit", "--change", "LABEL again=yes", &format!("{name}-vpn-1"), &tag.0]);
    let says = format!("service vpn of project {name} comes back with another image: {} was pulled or built anew", tag.0);
    let found = checked(&lab);
    assert!(found.starts_with(&format!("warning  job services: {says}")) && found.lines().count() == 1, "{found}");
    lab.agent(&["run", "services"]).ended(0);
    assert!(warnings(&lab)[0].as_str().unwrap().starts_with(&says) && warnings(&lab).as_array().unwrap().len() == 1, "{}", warnings(&lab));
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(warnings(&lab), serde_json::json!([]));
}

#[test]
fn what_lacks_its_image_secret_or_folder_is_not_stopped() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    let tag = Tag::new(&lab);
    let image = format!("  img:\n{}", SERVICE.replace("IMAGE", &tag.0));
    let secret = format!("  sec:\n{SERVICE}    secrets: [pw]\n");
    let bind = format!("  bnd:\n{SERVICE}    volumes: [{{type: bind, source: ./data, target: /data}}]\n");
    lab.write("services/p/pw.txt", "secret");
    fs::create_dir(lab.path("services/p/data")).unwrap();
    lab.project("p", &format!("services:\n{image}{secret}{bind}secrets: {{pw: {{file: ./pw.txt}}}}\n"));
    up(&lab, &[]);
    assert_eq!(checked(&lab).matches("BAD").count(), 0, "{}", checked(&lab));
    docker(&["image", "rm", "--force", &tag.0]);
    fs::remove_file(lab.path("services/p/pw.txt")).unwrap();
    fs::rename(lab.path("services/p/data"), lab.path("services/p/renamed")).unwrap();
    let before = lab.ids();
    let said = lab.agent(&["run", "services"]).ended(1);
    let found = checked(&lab);
    for lacks in [
        format!("needs the image {}, which is not on this machine", tag.0),
        format!("needs {}, which is not there any more", lab.path("services/p/pw.txt").display()),
        format!("needs {}, which is not there any more", lab.path("services/p/data").display()),
    ] {
        assert!(said.err.contains(&lacks) && found.contains(&lacks), "{lacks}: {said:?} {found}");
    }
    assert_eq!((found.matches("BAD").count(), lab.ids()), (3, before));
}

#[test]
fn one_service_that_cannot_start_keeps_no_other_one_down() {
    let Some(mut lab) = Lab::real() else { return };
    // Gone in the very moment in which nobody looks any more.
    let (data, renamed) = (lab.path("services/p/data"), lab.path("services/p/renamed"));
    let docker = lab.wrap_docker(&format!("[ $call = down ] && mv {} {}", data.display(), renamed.display()));
    lab.set_up("down", &docker);
    fs::create_dir_all(&data).unwrap();
    let bind = "    volumes: [{type: bind, source: ./data, target: /data}]\n";
    lab.project("p", &format!("services:\n  x:\n{SERVICE}{bind}  y:\n{SERVICE}    network_mode: 'service:z'\n  z:\n{SERVICE}"));
    up(&lab, &[]);
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("service x of project") && !said.err.contains("service y of project"), "{said:?}");
    assert_eq!(lab.running(), ["y", "z"]);
    assert!(lab.ledger().exists());
    fs::rename(&renamed, &data).unwrap();
    lab.agent(&["resume"]).ended(0);
    assert_eq!(lab.running(), ["x", "y", "z"]);
}

#[test]
fn whom_a_job_does_not_stop_spoils_its_archive_and_folders_without_projects_are_refused() {
    let Some(mut lab) = Lab::real() else { return };
    let projects = lab.path("elsewhere");
    lab.set_up(&format!("down\n    projects: {}", projects.display()), "");
    let name = lab.project("p", &format!("services:\n  x:\n{SERVICE}    volumes: ['./data:/data']\n"));
    up(&lab, &[]);
    let before = lab.ids();
    let said = lab.agent(&["run", "services"]).ended(1);
    let says = format!("\"projects\" names {}, which is no folder of this machine", projects.display());
    assert!(said.err.contains(&says) && said.err.contains("agent.yaml:7)"), "{said:?}");
    assert!(checked(&lab).contains(&format!("BAD      job services: {says} (")), "{}", checked(&lab));
    // A folder in which there is none of those that write into the sources.
    fs::create_dir(&projects).unwrap();
    lab.agent(&["run", "services"]).ended(3);
    let says = format!(
        "container {name}-x-1 of project {name} is not stopped by this job and may write to {}",
        lab.path("services/p/data").display()
    );
    assert_eq!(warnings(&lab)[0], format!("not all was at rest while files were read, so this archive replaces no good one: {says}"));
    assert!(checked(&lab).contains(&says), "{}", checked(&lab));
    assert_eq!(lab.ids(), before);
}

#[test]
fn what_only_other_files_say_comes_back_as_it_was() {
    let Some(mut lab) = Lab::real() else { return };
    let docker_of_agent =
        lab.wrap_docker(&format!("[ $call = up ] && rm {} 2>/dev/null && kill -KILL $PPID && exit 1", lab.path("at").display()));
    lab.set_up("down", &docker_of_agent);
    let name = lab.project("p", &format!("services:\n  x:\n{SERVICE}"));
    lab.write("services/p/extra.yaml", "services:\n  x:\n    hostname: ${NAME:-nobody}\n    volumes: ['${KEPT:-./lost}:/kept']\n");
    lab.write("services/p/home.env", "NAME=kitchen\nKEPT=./kept\n");
    let (folder, container) = (lab.path("services/p"), format!("{name}-x-1"));
    let mut owner = lab::docker();
    owner.args(["compose", "--env-file", "home.env", "-f", "compose.yaml", "-f", "extra.yaml", "up", "--detach"]);
    Said::from(owner.current_dir(&folder).env("PWD", &folder).output().unwrap()).ended(0);
    let is = || (mounts(&lab), docker(&["exec", &container, "hostname"]));
    assert_eq!(is(), (vec![folder.join("kept").display().to_string()], "kitchen".to_owned()));
    let (before, was) = (lab.ids(), is());
    lab.command().args(["run", "services"]).current_dir("/").output().map(Said::from).unwrap().ended(0);
    assert_ne!(lab.ids(), before);
    assert_eq!((is(), warnings(&lab)), (was.clone(), serde_json::json!([])));
    // And where only the ledger on the disk still knows it.
    lab.write("at", "");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    assert_eq!(lab.running(), [""; 0]);
    lab.command().arg("resume").current_dir("/").output().map(Said::from).unwrap().ended(0);
    assert_eq!(is(), was);
}

/// A network that goes with the test.
struct Network(String);

impl Drop for Network {
    fn drop(&mut self) {
        drop(lab::docker().args(["network", "rm", &self.0]).output());
    }
}

#[test]
fn what_a_night_would_lose_is_told_by_day_and_in_the_archive() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    // Dropped after what is in it.
    let network = Network(lab.project_name("by-hand"));
    docker(&["network", "create", &network.0]);
    let mounts = "    tmpfs: [/scratch]\n    volumes: ['./data:/data', 'bare:/bare']\n";
    let name = lab.project("p", &format!("services:\n  x:\n{SERVICE}{mounts}volumes: {{bare: {{}}}}\n"));
    up(&lab, &[]);
    let bare = format!("service x of project {name} writes to volume {name}_bare, which is in no job's sources");
    let never = "warning  job services: it has never run\n";
    // What a container is made with is nothing that it keeps.
    assert_eq!(checked(&lab), format!("{never}warning  job services: {bare}\n"));
    let container = format!("{name}-x-1");
    docker(&[
        "exec",
        &container,
        "sh",
        "-c",
        "mkdir -p /var/lib/app && echo mine >/var/lib/app/settings.db && echo >/data/a && echo >/tmp/b",
    ]);
    docker(&["network", "connect", &network.0, &container]);
    let says = [
        format!(
            "service x of project {name} comes back without the network {}, which its compose files do not name: name it there",
            network.0
        ),
        format!(
            "service x of project {name} keeps files in its container, /var/lib/app/settings.db for one: down removes them; give that folder a volume, or the job quiesce: stop"
        ),
        bare.clone(),
    ];
    let lines = says.each_ref().map(|says| format!("warning  job services: {says}\n")).concat();
    assert_eq!(checked(&lab), format!("{never}{lines}"));
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(warnings(&lab), serde_json::json!(says));
    // As it was said.
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(warnings(&lab), serde_json::json!([bare]));
}
