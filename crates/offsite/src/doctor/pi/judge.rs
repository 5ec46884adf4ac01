//! From what the probes of a Pi found to lines. Pure.

use jiff::{SignedDuration, Timestamp};
use offsite_repository::Layout;
use offsite_sftp::Writing;

use super::{Facts, Failed, Newest, Pulled, Stage, Way};
use crate::{
    config::{Config, Pi},
    doctor::{
        PATIENCE,
        line::{Line, Lines},
        route::Neighbours,
    },
    hint::no_route,
    human::{age, ago, count, size},
};

/// How far a Pi's clock may be ahead before it is worth a word.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// What is checked once the connection stands.
const BEHIND: [&str; 4] = ["repository", "archives", "test pull", "read-only"];

/// The lines of one Pi. `launchd` is whether this is a Mac.
pub(crate) fn judge(config: &Config, pi: &Pi, facts: &Facts, now: Timestamp, launchd: bool) -> Vec<Line> {
    let mut lines = Lines::of(&pi.name);
    let way = match &facts.way {
        Some(Ok(way)) => way,
        Some(Err(trouble)) => {
            lines.trouble("ssh", trouble);
            Stage::ALL.iter().map(|stage| stage.name()).chain(BEHIND).for_each(|check| lines.skipped(check, "ssh configuration"));
            return lines.all;
        }
        None => {
            ["ssh"].into_iter().chain(Stage::ALL.iter().map(|stage| stage.name())).chain(BEHIND).for_each(|check| lines.off(check));
            return lines.all;
        }
    };
    let jumps = if way.jumps > 0 { format!(", through {}", count(way.jumps as u64, "host", "hosts")) } else { String::new() };
    lines.ok("ssh", format!("{}@{} port {}{jumps}, with {}", way.user, way.host, way.port, way.proof));
    match &facts.connected {
        Some(Err(failed)) => {
            broken(way, pi, failed, launchd, &mut lines);
            BEHIND.iter().for_each(|check| lines.skipped(check, failed.stage.name()));
            return lines.all;
        }
        connected => {
            let address = connected.as_ref().and_then(|done| done.as_ref().ok()).and_then(|address| *address);
            Stage::ALL.iter().for_each(|stage| lines.ok(stage.name(), passed(*stage, way, pi, address.map(|address| address.to_string()))));
        }
    }
    behind(config, facts, now, &mut lines);
    lines.all
}

fn passed(stage: Stage, way: &Way, pi: &Pi, address: Option<String>) -> String {
    match stage {
        Stage::Name => match address {
            Some(address) if address != way.host => format!("{} is {address}", way.host),
            Some(_) => format!("{} is an address", way.host),
            None => "is found".to_owned(),
        },
        Stage::Port => format!("{} answers", way.port),
        Stage::HostKey => "is the one that is known".to_owned(),
        Stage::Login => format!("{} is let in", way.user),
        Stage::Sftp => "works".to_owned(),
        Stage::Folder => format!("{} is there", pi.path),
    }
}

fn broken(way: &Way, pi: &Pi, failed: &Failed, launchd: bool, lines: &mut Lines) {
    for stage in Stage::ALL {
        match stage.cmp(&failed.stage) {
            std::cmp::Ordering::Less => lines.ok(stage.name(), passed(stage, way, pi, None)),
            std::cmp::Ordering::Equal => match failed.neighbours {
                Some(neighbours) => {
                    let may = match neighbours {
                        Neighbours::Answer => Some(true),
                        Neighbours::NoRoute => Some(false),
                        Neighbours::Unknown => None,
                    };
                    lines.bad(stage.name(), failed.trouble.message.clone(), no_route(&way.host, launchd, may));
                }
                None => lines.trouble(stage.name(), &failed.trouble),
            },
            std::cmp::Ordering::Greater => lines.skipped(stage.name(), failed.stage.name()),
        }
    }
}

fn behind(config: &Config, facts: &Facts, now: Timestamp, lines: &mut Lines) {
    match &facts.repository {
        Some(Ok(Layout::Plain)) => lines.ok("repository", "the agent's, layout plain"),
        Some(Ok(Layout::Packs)) => lines.ok("repository", "the agent's, layout packs"),
        Some(Ok(layout)) => lines.bad(
            "repository",
            format!("its layout is {layout}, which no agent makes"),
            "`path:` must name the agent's own repository: on the Pi, offsite-agent init",
        ),
        Some(Err(trouble)) => lines.trouble("repository", trouble),
        None => lines.skipped("repository", "connection"),
    }
    match &facts.archives {
        Some(Ok((newest, unreadable))) => archives(config, newest, *unreadable, now, lines),
        Some(Err(trouble)) => lines.trouble("archives", trouble),
        None => lines.skipped("archives", "repository"),
    }
    match (&facts.pulled, &facts.archives) {
        (Some(Ok(pulled)), _) if pulled.raw == 0 && pulled.seconds >= PATIENCE as f64 => lines.note(
            "test pull",
            format!("the line is very slow, or stands still: not one piece of {} came whole in {PATIENCE} s", pulled.archive),
            "try again when nothing else uses the line; nights wait longer than this",
        ),
        (Some(Ok(pulled)), _) => lines.ok("test pull", pulled_text(pulled)),
        (Some(Err(trouble)), _) => lines.trouble("test pull", trouble),
        (None, Some(Ok(_))) => lines.skipped("test pull", "first archive"),
        (None, _) => lines.skipped("test pull", "archives"),
    }
    match &facts.writing {
        Some(Ok(Writing::Refused)) => lines.ok("read-only", "the Pi refuses every write of this account"),
        Some(Ok(Writing::Modes)) => lines.note(
            "read-only",
            "the files cannot be written, but the Pi's SFTP would write",
            "give the account `ForceCommand internal-sftp -R` in the Pi's sshd_config: then whoever has this Mac cannot harm the Pi's archives",
        ),
        Some(Ok(Writing::Allowed)) => lines.note(
            "read-only",
            "this account may write the Pi's archives, and so may whoever gets hold of this Mac",
            "use an account of its own with `ForceCommand internal-sftp -R`: offsite init prints the line for the Pi",
        ),
        Some(Err(trouble)) => lines.trouble("read-only", trouble),
        None => lines.skipped("read-only", "connection"),
    }
}

fn pulled_text(pulled: &Pulled) -> String {
    let rate = if pulled.seconds > 0.0 { format!(", {}/s", size((pulled.bytes as f64 / pulled.seconds) as u64)) } else { String::new() };
    format!("{} of {} fetched, unpacked, checked and thrown away{rate}", size(pulled.raw), pulled.archive)
}

fn archives(config: &Config, newest: &[Newest], unreadable: usize, now: Timestamp, lines: &mut Lines) {
    const CHECK: &str = "archives";
    if unreadable > 0 {
        lines.bad(
            CHECK,
            format!("{} cannot be read", count(unreadable as u64, "manifest", "manifests")),
            "on the Pi: check its disk, then sudo offsite-agent run JOB --full makes a good one",
        );
    }
    if newest.is_empty() {
        lines.bad(CHECK, "there is none", "on the Pi: sudo offsite-agent run JOB, then see that its timer is on: systemctl list-timers");
        return;
    }
    for Newest { job, archive, finished, complete } in newest {
        let old = now.duration_since(archive.time());
        if finished.duration_since(now) > AHEAD {
            let ahead = age(finished.duration_since(now));
            lines.note(
                CHECK,
                format!("{archive} was finished {ahead} from now"),
                "one of the two clocks is wrong: run date here and on the Pi",
            );
        } else if old > config.overdue_of(job) {
            lines.bad(
                CHECK,
                format!("the newest of {job} is from {}", ago(old)),
                "see why: on the Pi, sudo offsite-agent check; systemctl list-timers; journalctl -u 'offsite-agent*'",
            );
        } else if !complete {
            lines.note(
                CHECK,
                format!("{archive} is incomplete: the agent could not read everything"),
                "see what: on the Pi, sudo offsite-agent check; the next run may be whole",
            );
        } else {
            lines.ok(CHECK, format!("the newest of {job} is from {}", ago(old)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::Home,
        doctor::line::{Trouble, Verdict},
    };

    fn config() -> Config {
        let text = "repository: /b\npi: {host: 192.168.1.7, user: offsite, path: /srv}\n";
        Config::parse(Path::new("/o.yaml"), text, &Home::at(Path::new("/home/owner"))).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-22T06:00:00Z".parse().unwrap()
    }

    fn good() -> Facts {
        let archive = || "services/2026-11-22T040000Z".parse().unwrap();
        let finished = "2026-11-22T04:02:00Z".parse().unwrap();
        Facts {
            way: Some(Ok(Way { host: "192.168.1.7".into(), port: 22, user: "offsite".into(), proof: "key /k".into(), jumps: 1 })),
            connected: Some(Ok(None)),
            repository: Some(Ok(Layout::Plain)),
            archives: Some(Ok((vec![Newest { job: "services".parse().unwrap(), archive: archive(), finished, complete: true }], 0))),
            pulled: Some(Ok(Pulled { archive: archive(), raw: 8_000_000, bytes: 4_000_000, seconds: 2.0 })),
            writing: Some(Ok(Writing::Refused)),
        }
    }

    fn lines(facts: &Facts, launchd: bool) -> Vec<Line> {
        let config = config();
        judge(&config, &config.pis[0], facts, now(), launchd)
    }

    #[track_caller]
    fn odd(change: impl Fn(&mut Facts)) -> (&'static str, Verdict, String) {
        let mut facts = good();
        change(&mut facts);
        let mut odd = lines(&facts, true).into_iter().filter(|line| !matches!(line.verdict, Verdict::Ok | Verdict::Skipped));
        let line = odd.next().unwrap();
        assert!(odd.next().is_none() && line.fix.is_some(), "{line:?}");
        (line.check, line.verdict, line.words)
    }

    fn newest(facts: &mut Facts) -> &mut Newest {
        &mut facts.archives.as_mut().unwrap().as_mut().unwrap().0[0]
    }

    #[test]
    fn a_pi_that_is_well_has_only_good_lines() {
        let lines = lines(&good(), true);
        assert!(lines.iter().all(|line| line.verdict == Verdict::Ok), "{lines:#?}");
        let said = |check| lines.iter().find(|line| line.check == check).unwrap().words.clone();
        assert_eq!(said("ssh"), "offsite@192.168.1.7 port 22, through 1 host, with key /k");
        assert_eq!(said("archives"), "the newest of services is from 2 h ago");
        assert_eq!(said("test pull"), "8.0 MB of services/2026-11-22T040000Z fetched, unpacked, checked and thrown away, 2.0 MB/s");
    }

    #[test]
    fn what_is_behind_the_connection_has_each_its_own_line() {
        use Verdict::{Bad, Note};
        let trouble = || Trouble { message: "x".into(), fix: Some("y".into()) };
        let old = odd(|facts| newest(facts).archive = "services/2026-11-19T040000Z".parse().unwrap());
        assert_eq!(old, ("archives", Bad, "the newest of services is from 3 days ago".to_owned()));
        let ahead = odd(|facts| newest(facts).finished = "2026-11-22T09:00:00Z".parse().unwrap());
        assert_eq!(ahead, ("archives", Note, "services/2026-11-22T040000Z was finished 3 h from now".to_owned()));
        assert_eq!(odd(|facts| newest(facts).complete = false).1, Note);
        let slow = odd(|facts| {
            let pulled = facts.pulled.as_mut().unwrap().as_mut().unwrap();
            (pulled.raw, pulled.bytes, pulled.seconds) = (0, 0, 15.0);
        });
        assert_eq!((slow.0, slow.1), ("test pull", Note));
        let none = odd(|facts| (facts.archives, facts.pulled) = (Some(Ok((vec![], 0))), None));
        assert_eq!(none, ("archives", Bad, "there is none".to_owned()));
        assert_eq!(odd(|facts| facts.archives.as_mut().unwrap().as_mut().unwrap().1 = 2).2, "2 manifests cannot be read");
        assert_eq!(odd(|facts| facts.pulled = Some(Err(trouble()))).0, "test pull");
        assert_eq!(odd(|facts| facts.writing = Some(Ok(Writing::Allowed))).0, "read-only");
        assert_eq!(odd(|facts| facts.writing = Some(Ok(Writing::Modes))).1, Note);
        assert_eq!(odd(|facts| facts.repository = Some(Ok(Layout::Sealed))).0, "repository");
        let broken = odd(|facts| {
            *facts = Facts { way: good().way, connected: good().connected, repository: Some(Err(trouble())), ..Facts::default() }
        });
        assert_eq!(broken.0, "repository");
        assert_eq!(odd(|facts| *facts = Facts { way: Some(Err(trouble())), ..Facts::default() }).0, "ssh");
    }

    #[test]
    fn no_route_is_read_by_what_the_neighbours_say() {
        let fix = |neighbours, launchd| {
            let trouble = Trouble { message: "no route to host".into(), fix: None };
            let failed = Failed { stage: Stage::Port, trouble, neighbours: Some(neighbours) };
            let lines = lines(&Facts { way: good().way, connected: Some(Err(failed)), ..Facts::default() }, launchd);
            let bad: Vec<&Line> = lines.iter().filter(|line| line.verdict == Verdict::Bad).collect();
            assert_eq!((bad.len(), bad[0].check), (1, "port"));
            assert!(lines.iter().skip_while(|line| line.check != "host key").all(|line| line.verdict == Verdict::Skipped));
            bad[0].fix.clone().unwrap()
        };
        let [absent, forbidden, either] = [Neighbours::Answer, Neighbours::NoRoute, Neighbours::Unknown].map(|said| fix(said, true));
        assert!(absent.contains("Pi is on") && !absent.contains("System Settings"), "{absent}");
        assert!(forbidden.contains("Local Network") && forbidden.contains("sudo offsite install"), "{forbidden}");
        assert!(either.contains("Local Network") && either.contains("Pi is on"), "{either}");
        assert!(!fix(Neighbours::NoRoute, false).contains("System Settings"));
    }

    #[test]
    fn what_nobody_wanted_is_off_and_ends_well() {
        let lines = lines(&Facts::default(), true);
        assert!(lines.len() == 11 && lines.iter().all(|line| line.verdict == Verdict::Off));
        assert_eq!(crate::doctor::exit(&lines), crate::exit::Exit::Fine);
    }
}
