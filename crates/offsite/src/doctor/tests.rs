//! The README's screen, held against the program's lines about a Mac that nothing starts the daemon of.

use std::path::{Path, PathBuf};

use offsite_repository::{
    Layout,
    seal::{MasterKey, SlotKind, SlotState, VaultId},
};
use offsite_sftp::Writing;

use super::*;
use crate::{journal::Moved, key::Key, platform::Power};

const NOW: &str = "2026-11-22T06:00:00Z";

/// All lines of it, as the verb makes them.
fn lines() -> Vec<Line> {
    let text = "repository: ~/Backups/offsite\npi: {host: pi.local, user: offsite, path: /srv/backup/offsite}\n\
                clouds: [{name: cold, url: 's3://bucket'}]\nnotify: {macos: alarms}\n";
    let home = Home::at(Path::new("/Users/owner"));
    let config = Config::parse(Path::new("/Users/owner/.config/offsite/offsite.yaml"), text, &home).unwrap();
    let (now, archive): (Timestamp, offsite_archive::ArchiveName) = (NOW.parse().unwrap(), "services/2026-11-22T040000Z".parse().unwrap());
    let mut standing = Standing::default();
    let moved = Moved { time: now, archive: archive.clone(), moved: 3_200_000, total: 3_200_000, over: true };
    standing.pulled.insert(archive.job.clone(), moved);
    let state = local::StateFacts {
        path: "/s".into(),
        folder: Some(Ok((0o700, true))),
        trouble: None,
        journal: Ok((Box::new(standing.clone()), Some(now), 0)),
        drills: Vec::new(),
    };
    let repository = local::RepositoryFacts {
        path: PathBuf::from("/b"),
        opened: Ok(()),
        refuses: None,
        exposed: false,
        guard: None,
        network: None,
        left_out: true,
        free: Some(30_000_000_000),
    };
    let key =
        Key { vault: VaultId::from_bytes([1; 16]), master: MasterKey::from_bytes([1; 64]), slots: Vec::new(), revoked: Default::default() };
    let way = pi::Way {
        host: "pi.local".into(),
        port: 22,
        user: "offsite".into(),
        proof: "key /Users/owner/.ssh/offsite_ed25519".into(),
        jumps: 0,
    };
    let newest = pi::Newest { job: archive.job.clone(), archive: archive.clone(), finished: archive.time(), complete: true };
    let at_the_pi = pi::Facts {
        way: Some(Ok(way)),
        connected: Some(Ok(None)),
        repository: Some(Ok(Layout::Plain)),
        archives: Some(Ok((vec![newest], 0))),
        pulled: Some(Ok(pi::Pulled { archive: archive.clone(), raw: 3_400_000, bytes: 3_500_000, seconds: 0.02 })),
        writing: Some(Ok(Writing::Refused)),
    };
    let in_the_cloud = cloud::Facts {
        door: Some(Ok(())),
        key: true,
        vault: Some(Ok(true)),
        slots: Some(Ok(vec![(SlotKind::Recovery, SlotState::Same)])),
        archives: Some(Ok(cloud::Held { many: 1, newest: Some(archive), unreadable: 0 })),
    };
    // The machine's own zone need not know a name.
    let schedule = Schedule { at: config.at, zone: TimeZone::UTC };
    let mut first = Lines::of("mac");
    first.ok("configuration", config.path.display().to_string());
    [
        first.all,
        local::judge_state(&state),
        local::judge_repository(&repository, &standing, true),
        local::judge_clock(&schedule, now, Some(now)),
        local::judge_key(&Ok(key), 1),
        local::judge_log(Path::new("/l"), Ok(())),
        alarm::judge_clock(&Ok(Vec::new()), config.at, |_| None, true),
        alarm::judge_power(Some(Power { mains: true, percent: 80 }), config.battery),
        alarm::judge_notify(&config.notify, true),
        pi::judge(&config, &config.pis[0], &at_the_pi, now, true),
        cloud::judge(&config, &config.clouds[0], &in_the_cloud, &standing, now),
    ]
    .concat()
}

#[test]
fn the_readmes_screen_is_the_programs() {
    let lines = lines();
    let mut said = String::new();
    for (at, line) in lines.iter().enumerate() {
        said += &shown(at.checked_sub(1).map(|last| &lines[last]), line, Paint { on: false });
        said.push('\n');
    }
    let said = format!("{said}{}", summary(&lines)).replace("time zone UTC", "time zone Europe/Berlin");
    let (_, after) = include_str!("../../../../README.md").split_once("\nIf something does not work, `offsite doctor` checks").unwrap();
    let block = after.lines().skip(2).take_while(|line| line.starts_with("    ")).map(|line| &line[4..]);
    let (mut left, mut may_skip) = (said.lines(), false);
    for line in block {
        if line.trim() == "…" {
            may_skip = true;
            continue;
        }
        let next = if may_skip { left.find(|said| *said == line) } else { left.next() };
        assert_eq!(next, Some(line), "the README has another screen than\n{said}");
        may_skip = false;
    }
    assert_eq!(left.next(), None, "the README leaves this out of\n{said}");
}
