//! Stories with a real engine: the ways to stop, one project at a time, health, and a docker command that hangs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lab::{Lab, SERVICE, Said, skip};

/// A job of one project `p` with one service `x`; `service` are more lines of it, `job` more lines of the job.
fn one(lab: &mut Lab, service: &str, job: &str, docker: &str) -> String {
    lab.set_up(job, docker);
    let name = lab.project("p", &format!("services:\n  x:\n{SERVICE}{service}"));
    lab.compose("p", &["up", "--detach"]);
    name
}

#[test]
fn stop_brings_the_same_containers_back() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("stop", "");
    // A volume without a name would be lost to a `down`; a container that is only stopped keeps it.
    lab.project("p", &format!("services:\n  web:\n{SERVICE}    volumes: [/kept]\n  off:\n{SERVICE}"));
    lab.compose("p", &["up", "--detach", "--scale", "web=2"]);
    lab.compose("p", &["stop", "off"]);
    let before = lab.ids();
    let said = lab.agent(&["run", "services"]).ended(0);
    assert!(said.out.contains("away: "), "{said:?}");
    assert_eq!(lab.ids(), before);
    assert_eq!(lab.running(), ["web", "web"]);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.listed()[0]["warnings"], serde_json::json!([]));
}

#[test]
fn each_project_is_away_only_while_its_own_data_is_read() {
    let Some(mut lab) = Lab::real() else { return };
    let log = lab.path("log");
    let docker = lab.wrap_docker(&format!(
        "case $call in down|up) echo \"$call $(echo \"$*\" | sed 's/.*--project-name [^ ]*-\\([^ -]*\\) .*/\\1/')\" >>{};; esac",
        log.display()
    ));
    lab.configure("down\n    scope: each", &docker);
    let services = lab.path("services").display().to_string();
    // What belongs to no project is archived too.
    lab.write("services/notes/plan", "for everybody");
    lab.agent(&["init"]).ended(0);
    // c writes where a does, so they go together.
    let shared = format!("    volumes: ['{services}/a/shared:/data']\n");
    for (name, more) in [("a", shared.as_str()), ("b", "    volumes: ['./own:/data']\n"), ("c", &shared)] {
        lab.project(name, &format!("services:\n  {name}:\n{SERVICE}{more}"));
        lab.compose(name, &["up", "--detach"]);
    }
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(fs::read_to_string(&log).unwrap().lines().collect::<Vec<_>>(), ["down a", "down c", "up c", "up a", "down b", "up b"]);
    assert_eq!(lab.running(), ["a", "b", "c"]);
    let list = lab.listed();
    assert_eq!((list[0]["complete"].as_bool(), list[0]["quiesced"].as_array().unwrap().len()), (Some(true), 3));
    assert!(list[0]["warnings"][0].as_str().unwrap().contains("are away together, because they write to the same place"), "{list}");
    let unpacked = lab.unpack(&lab.archives()[0]);
    assert!(["a/shared", "a/compose.yaml", "b/own", "c/compose.yaml", "notes/plan"].iter().all(|path| unpacked.join(path).exists()));
}

/// A project `p` whose volume `ext` is the folder `name` below the sources' own parent, and where the engine mounts that.
fn with_volume(lab: &mut Lab, name: &str) -> PathBuf {
    let folder = lab.path(name);
    fs::create_dir_all(&folder).unwrap();
    let options = format!("{{type: none, o: bind, device: '{}'}}", folder.display());
    let text = format!("services:\n  x:\n{SERVICE}    volumes: ['ext:/data']\nvolumes:\n  ext:\n    driver_opts: {options}\n");
    let full = lab.project("p", &text);
    lab.compose("p", &["up", "--detach"]);
    let format = ["volume", "inspect", "--format", "{{.Mountpoint}}", &format!("{full}_ext")];
    let said: Said = lab::docker().args(format).output().unwrap().into();
    said.ended(0).out.trim().into()
}

#[test]
fn a_volume_that_goes_with_its_service_is_not_taken_for_empty() {
    for quiesce in ["down", "stop"] {
        let Some(mut lab) = Lab::real() else { return };
        lab.set_up(quiesce, "");
        lab.write("ext/photo", "seen only while the service runs");
        let volume = with_volume(&mut lab, "ext");
        if fs::read_dir(&volume).is_err() {
            skip("the engine's volumes can be read by root only");
            return;
        }
        let source = volume.parent().unwrap().to_owned();
        let config = fs::read_to_string(lab.path("agent.yaml")).unwrap();
        lab.write("agent.yaml", &config.replace("/services]", &format!("/services, {}]", source.display())));
        let checked = lab.agent(&["check"]).ended(0);
        assert!(checked.out.contains("_ext is mounted only while its service runs"), "{checked:?}");
        lab.agent(&["run", "services"]).ended(3);
        let list = lab.listed();
        assert_eq!(list[0]["complete"], false);
        assert!(list[0]["warnings"][0].as_str().unwrap().contains(&format!("_ext ({})", volume.display())), "{list}");
        assert_eq!(lab.running(), ["x"]);
        // The service goes for good: what the engine mounted for it is missed by nobody.
        lab.compose("p", &["down"]);
        lab.agent(&["run", "services"]).ended(0);
    }
}

#[test]
fn a_project_is_away_while_what_it_writes_by_way_of_a_volume_is_read() {
    let Some(mut lab) = Lab::real() else { return };
    let last = lab.path("services/ext/last");
    // What a service writes when it is told to end.
    let docker = lab.wrap_docker(&format!("[ $call = down ] && echo now >{}", last.display()));
    lab.configure("down\n    scope: each", &docker);
    lab.write("services/ext/last", "before");
    lab.agent(&["init"]).ended(0);
    with_volume(&mut lab, "services/ext");
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(lab.listed()[0]["complete"], true);
    let unpacked = lab.unpack(&lab.archives()[0]);
    assert_eq!(fs::read_to_string(unpacked.join("ext/last")).unwrap(), "now\n");
}

#[test]
fn up_but_not_healthy_fails_the_run_and_replaces_no_good_archive() {
    let Some(mut lab) = Lab::real() else { return };
    let sick = lab.path("services/p/data/sick");
    // Gets ill whenever it is stopped, as long as the test wants it to.
    let docker = lab.wrap_docker(&format!("[ $call = down ] && [ -e {} ] && echo >{}", lab.path("ill").display(), sick.display()));
    let check = "    volumes: ['./data:/data']\n    healthcheck: {test: [CMD, test, '!', -e, /data/sick], interval: 1s, retries: 1, timeout: 60s}\n";
    fs::create_dir_all(sick.parent().unwrap()).unwrap();
    let name = one(&mut lab, check, "down\n    keep: 1\n    health_wait: 2m", &docker);
    // Healthy is awaited, not only running.
    lab.agent(&["run", "services"]).ended(0);
    let config = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &config.replace("health_wait: 2m", "health_wait: 3s"));
    lab.write("ill", "");
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains(&format!("it is back, and not well: container {name}-x-1 of project {name}")), "{said:?}");
    assert!(said.out.contains(" INCOMPLETE: "), "{said:?}");
    assert_eq!(lab.running(), ["x"]);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.events(), ["made", "unhealthy", "made"]);
    let list = lab.listed();
    let complete: Vec<_> = list.as_array().unwrap().iter().map(|archive| archive["complete"].as_bool().unwrap()).collect();
    assert_eq!(complete.iter().filter(|complete| **complete).count(), 1, "the good one stays: {list}");
    let checked = lab.agent(&["check"]);
    assert!(checked.out.contains("replace no good one") && checked.out.contains("warning  job services: the last run, at "), "{checked:?}");
    // Well again, and its own archive is the good one.
    fs::remove_file(lab.path("ill")).unwrap();
    fs::remove_file(&sick).unwrap();
    lab.write("agent.yaml", &config);
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(lab.listed().as_array().unwrap().iter().filter(|archive| archive["complete"] == true).count(), 1);
}

#[test]
fn resume_asks_whether_what_it_brought_back_is_well() {
    let Some(mut lab) = Lab::real() else { return };
    let (at, sick) = (lab.path("at"), lab.path("services/p/data/sick"));
    // Falls ill while it is away, and the agent is killed before it could bring it back.
    let docker = lab.wrap_docker(&format!(
        "[ $call = up ] && rm {} 2>/dev/null && {{ echo >{}; kill -KILL $PPID; exit 1; }}",
        at.display(),
        sick.display()
    ));
    fs::create_dir_all(sick.parent().unwrap()).unwrap();
    let check = "    volumes: ['./data:/data']\n    healthcheck: {test: [CMD, test, '!', -e, /data/sick], interval: 1s, retries: 1, timeout: 60s}\n";
    let name = one(&mut lab, check, "down\n    health_wait: 2s", &docker);
    lab.write("at", "");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    assert_eq!((lab.running(), lab.ledger().exists()), (vec![], true));
    let said = lab.agent(&["resume"]).ended(1);
    assert!(said.out.starts_with("brought back what a run of services left stopped: "), "{said:?}");
    assert!(said.err.contains(&format!("it is back, and not well: container {name}-x-1 of project {name}")), "{said:?}");
    assert_eq!((lab.running(), lab.ledger().exists()), (vec!["x".to_owned()], false));
    assert_eq!(lab.events(), ["unhealthy", "resumed"]);
}

/// A server at https://127.0.0.1 whose certificate is signed by an authority that nobody knows.
struct Https {
    child: Child,
    port: u16,
}

impl Https {
    fn start(dir: &Path) -> Self {
        let said: Said = Command::new("sh")
            .args([
                "-ec",
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=home -days 2
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1
echo subjectAltName=IP:127.0.0.1 >extensions
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -set_serial 1 -days 2 -extfile extensions -out cert.pem",
            ])
            .current_dir(dir)
            .output()
            .unwrap()
            .into();
        said.ended(0);
        let program = "import http.server, ssl\n\
            class Up(http.server.BaseHTTPRequestHandler):\n\
            \x20   def do_GET(self):\n\
            \x20       self.send_response(200 if self.path == '/up' else 503); self.end_headers()\n\
            \x20   def log_message(self, *words): pass\n\
            server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Up)\n\
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('cert.pem', 'key.pem')\n\
            server.socket = context.wrap_socket(server.socket, server_side=True)\n\
            print(server.server_address[1], flush=True)\n\
            server.serve_forever()\n";
        let mut child = Command::new("python3").args(["-c", program]).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn addresses_are_asked_with_an_authority_of_one_s_own() {
    let Some(mut lab) = Lab::real() else { return };
    for (program, argument) in [("curl", "--version"), ("openssl", "version"), ("python3", "--version")] {
        if Command::new(program).arg(argument).output().is_err() {
            skip(&format!("there is no {program}"));
            return;
        }
    }
    let server = Https::start(lab.path("services").parent().unwrap());
    let url = format!("https://127.0.0.1:{}", server.port);
    let job = |path: &str, ca: &str| format!("down\n    health: ['{url}{path}']\n    health_wait: 1s{ca}");
    let ca = format!("\n    ca: {}", lab.path("ca.pem").display());
    one(&mut lab, "", &job("/up", &ca), "");
    lab.agent(&["run", "services"]).ended(0);
    let checked = lab.agent(&["check"]).ended(0);
    assert!(checked.out.contains(&format!("{url}/up answers\n")), "{checked:?}");
    // Without the authority, and where it answers that it is not well.
    for (path, ca, says) in [("/up", "", "does not answer: curl: (60) SSL certificate problem"), ("/down", ca.as_str(), "answers with 503")]
    {
        lab.configure(&job(path, ca), "");
        let said = lab.agent(&["run", "services"]).ended(1);
        assert!(said.err.contains(&format!("it is back, and not well: {url}{path} {says}")), "{said:?}");
        assert_eq!(lab.running(), ["x"]);
        let checked = lab.agent(&["check"]).ended(0);
        let line = checked.out.lines().find(|line| line.starts_with(&format!("warning  job services: {url}{path} {says}"))).unwrap();
        assert!(line.ends_with("agent.yaml:7)"), "{line}");
    }
    let before = lab.ids();
    lab.configure(&job("/up", "\n    ca: /nowhere/ca.pem"), "");
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("the certificate /nowhere/ca.pem of \"ca\" cannot be read"), "{said:?}");
    lab.agent(&["check"]).ended(1);
    assert_eq!(lab.ids(), before);
}

#[test]
fn a_docker_that_hangs_stops_nothing_or_all_is_back() {
    let Some(mut lab) = Lab::real() else { return };
    let docker = lab.wrap_docker(&format!("[ \"$call\" = \"$(cat {} 2>/dev/null)\" ] && exec sleep 10000", lab.path("hangs").display()));
    one(&mut lab, "", "down", &docker);
    let before = lab.ids();
    lab.configure("down", &format!("{docker}docker_patience: 1s\n"));
    for call in ["version", "ls", "inspect", "config"] {
        lab.write("hangs", call);
        let said = lab.agent(&["run", "services"]).ended(1);
        assert!(said.err.contains("did not end within 1 s and was killed"), "{call}: {said:?}");
        assert_eq!(lab.ids(), before, "{call}");
        assert!(!lab.ledger().exists(), "{call}");
        lab.agent(&["check"]).ended(1);
    }
    // The stop itself hangs: it is given up when the budget is over.
    lab.configure("down\n    budget: 4s", &docker);
    lab.write("hangs", "down");
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("stopping took longer than services may be away (4 s)") && said.err.contains("next: raise"), "{said:?}");
    assert_eq!(lab.running(), ["x"]);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.archives(), [""; 0]);
}

#[test]
fn a_start_that_hangs_is_begun_anew_and_a_budget_that_was_exceeded_is_told() {
    let Some(mut lab) = Lab::real() else { return };
    // What hangs has all that is left of the budget, and so it is exceeded whatever the rest takes.
    let docker = lab.wrap_docker("[ $call.$number = up.1 ] && exec sleep 10000");
    one(&mut lab, "", "down\n    budget: 10s", &format!("{docker}docker_patience: 5s\n"));
    let said = lab.agent(&["run", "services"]).ended(1);
    let reason = "services were away for ";
    assert!(said.err.contains(&format!("offsite-agent: {reason}")) && said.err.contains("and the job allows 10 s"), "{said:?}");
    assert_eq!((lab.running(), lab.ledger().exists()), (vec!["x".to_owned()], false));
    let list = lab.listed();
    assert_eq!(list[0]["complete"], true);
    assert!(list[0]["warnings"].as_array().unwrap().iter().any(|said| said.as_str().unwrap().starts_with(reason)), "{list}");
    let checked = lab.agent(&["check"]);
    assert!(checked.out.contains(reason), "{checked:?}");
}

#[test]
fn what_cannot_come_back_ends_no_nights_and_comes_back_when_it_can() {
    let Some(mut lab) = Lab::real() else { return };
    let taken = lab.path("taken");
    let docker = lab.wrap_docker(&format!("[ $call = up ] && [ -e {} ] && {{ echo the port is taken >&2; exit 1; }}", taken.display()));
    one(&mut lab, "", "down", &docker);
    lab.agent(&["run", "services"]).ended(0);
    lab.write("taken", "");
    for (night, reason) in [(2, "runs 0 of 1"), (3, "so nothing was stopped")] {
        let said = lab.agent(&["run", "services"]).ended(1);
        let says = [reason, "services did not come back", "service x of project", "the port is taken"];
        assert!(says.iter().all(|says| said.err.contains(says)), "{night}: {said:?}");
        assert!(said.err.contains("next: repair what docker compose complains of"), "{night}: {said:?}");
        assert!(lab.running().is_empty() && lab.ledger().exists());
        let checked = lab.agent(&["check"]).ended(1);
        assert!(checked.out.contains("left stopped"), "{checked:?}");
        let list = lab.listed();
        let complete = list.as_array().unwrap().iter().filter(|archive| archive["complete"] == true).count();
        assert_eq!((lab.archives().len(), complete), (night, 1), "{list}");
    }
    fs::remove_file(taken).unwrap();
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!((lab.running(), lab.ledger().exists()), (vec!["x".to_owned()], false));
    assert_eq!(lab.events(), ["made", "made", "made", "resumed", "made"]);
}

#[test]
fn check_tells_of_jobs_that_stop_the_same_and_of_paths_inside_containers() {
    let Some(mut lab) = Lab::real() else { return };
    let name = one(&mut lab, "    volumes: ['./data:/only/inside']\n", "down", "");
    let config = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    let services = lab.path("services");
    let other = format!("  again:\n    sources: [/etc/hostname]\n    projects: {}\n", services.display());
    lab.write("agent.yaml", &format!("{config}{other}"));
    let checked = lab.agent(&["check"]).ended(0);
    let says = format!("stops project {name} as job again does: it is away twice");
    let line = checked.out.lines().find(|line| line.contains(&says)).unwrap();
    assert!(line.starts_with("warning  job services: ") && line.ends_with("agent.yaml:5)"), "{line}");
    let before = lab.ids();
    lab.write("agent.yaml", &config.replace("/services]", "/services, /only/inside/deep]"));
    let checked = lab.agent(&["check"]).ended(1);
    let here = services.join("p/data/deep");
    let says =
        format!("BAD      job services: /only/inside/deep is a path inside container {name}-x-1; on this machine it is {}", here.display());
    assert!(checked.out.contains(&says) && checked.out.contains("agent.yaml:5)"), "{checked:?}");
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("cannot read source /only/inside/deep ") && said.err.contains("agent.yaml:5)"), "{said:?}");
    // Two jobs that archive the same are refused as a whole, and nothing is stopped.
    lab.write("agent.yaml", &format!("{config}  twice:\n    sources: [{}/p]\n", services.display()));
    for arguments in [["check"].as_slice(), &["run", "services"]] {
        let said = lab.agent(arguments).ended(2);
        assert!(said.err.contains("of job \"services\" and would be archived twice"), "{said:?}");
    }
    assert_eq!(lab.ids(), before);
}
