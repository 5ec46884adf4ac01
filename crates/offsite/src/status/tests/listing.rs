//! The Mac's repository as it is listed: what the screen still knows although no manifest is opened.

use offsite_repository::{Layout, LocalStore, Repository, manifest_path};

use super::*;

/// A folder with a repository and a state folder, and the configuration that names both.
async fn house() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("repository");
    let store = LocalStore::create(&root).unwrap();
    Repository::create(std::sync::Arc::new(store), Layout::Packs).await.unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let text = CONFIG.replace("/backups", &root.display().to_string());
    let config = Config { state: dir.path().join("state"), ..config(&text) };
    (dir, config)
}

fn put(config: &Config, archive: &str, bytes: &[u8]) {
    let path = config.repository.join(manifest_path(&name(archive)).to_string());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn pulled(archive: &str, complete: Option<bool>) -> Receipt {
    let fact = Fact::Pulled {
        pi: place("pi"),
        archive: name(archive),
        sequence: 1,
        moved: 1,
        total: 1,
        verified: true,
        complete,
        warnings: Default::default(),
    };
    receipt("2026-11-22T03:32:00Z", fact)
}

async fn look(config: &Config, receipts: &[Receipt]) -> Local {
    let journal = crate::state::State::at(&config.state).journal();
    let _ = std::fs::remove_file(journal.path());
    receipts.iter().for_each(|receipt| journal.append(receipt).unwrap());
    gather_at(config, "2026-11-22T08:12:00Z".parse().unwrap(), TimeZone::UTC).await.unwrap().local
}

#[tokio::test]
async fn what_the_receipts_tell_needs_no_manifest() {
    let (_dir, config) = house().await;
    // Nothing that could be read: whoever opened one would stumble.
    TWO.iter().for_each(|archive| put(&config, archive, b"no manifest"));
    let local = look(&config, &[pulled(TWO[0], None), pulled(TWO[1], Some(false))]).await;
    let said: Vec<(String, bool)> = local.archives.iter().map(|held| (held.name.to_string(), held.complete)).collect();
    assert_eq!(said, [(TWO[0].to_owned(), true), (TWO[1].to_owned(), false)]);
    assert_eq!(local.unreadable, []);
}

#[tokio::test]
async fn where_no_receipt_tells_the_newest_manifest_is_asked() {
    let (_dir, config) = house().await;
    TWO.iter().for_each(|archive| put(&config, archive, b"no manifest"));
    let local = look(&config, &[]).await;
    let objects: Vec<&str> = local.unreadable.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(objects, ["manifests/services/2026-11-22T030000Z.zst"]);
    // And so it is when a newer receipt does not tell.
    assert_eq!(look(&config, &[pulled(TWO[1], Some(false)), pulled(TWO[1], None)]).await.unreadable.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_a_manifest_is_shown() {
    let (_dir, config) = house().await;
    put(&config, TWO[0], b"");
    put(&config, TWO[1], b"x");
    std::fs::write(config.repository.join("manifests/services/copy-of-it"), b"x").unwrap();
    std::fs::write(config.repository.join("manifests/.DS_Store"), b"x").unwrap();
    let local = look(&config, &[pulled(TWO[0], Some(true)), pulled(TWO[1], Some(true))]).await;
    let mut objects: Vec<&str> = local.unreadable.iter().map(|(object, _)| object.as_str()).collect();
    objects.sort_unstable();
    assert_eq!(objects, ["manifests/services/2026-11-21T030000Z.zst", "manifests/services/copy-of-it"]);
    assert_eq!(local.archives.len(), 1);
}

#[test]
fn an_archive_of_which_a_night_found_no_manifest_is_no_copy() {
    let mut receipts = night("2026-11-22");
    receipts.push(receipt("2026-11-22T03:40:00Z", Fact::Lost { place: place("mac"), archive: name(TWO[1]), frames: None }));
    let facts = facts(config(CONFIG), &receipts, held(&TWO), "2026-11-22T08:12:00Z");
    let report = Report::of(&facts);
    let mac = &report.jobs[0].places[1];
    assert_eq!((mac.count, mac.newest.as_ref().map(ToString::to_string)), (1, Some(TWO[0].to_owned())));
    assert_eq!(report.exit(), Exit::Failed);
}

/// The receipts of a night whose archive has these warnings, `new` of them new.
fn warned(day: &str, texts: &[&str], new: u64) -> Vec<Receipt> {
    let mut receipts = night(day);
    for receipt in &mut receipts {
        if let Fact::Pulled { warnings, .. } = &mut receipt.fact {
            let first = texts.iter().take(3).map(|text| (*text).to_owned()).collect();
            *warnings = Warned { count: texts.len() as u64, new, first };
        }
    }
    receipts
}

#[test]
fn the_newest_archives_warnings_are_a_line_and_no_alarm() {
    let line = |receipts: &[Receipt], columns: Option<usize>| {
        let facts = morning(receipts, held(&TWO));
        let report = Report::of(&facts);
        assert_eq!(report.exit(), Exit::Fine);
        let text = screen(&report, &facts.zone, Look { width: columns, ..Look::PLAIN });
        text.lines().find(|line| line.contains("warnings:")).map(str::to_owned)
    };
    let odd = "db writes to\nvolume dbdata, which is in no job's sources";
    let two = [warned("2026-11-21", &[odd], 1), warned("2026-11-22", &[odd, "b"], 0)].concat();
    let wanted = "  warnings: db writes to\\nvolume dbdata, which is in no job's sources (and 1 more: offsite archives)";
    assert_eq!(line(&two, None).unwrap(), wanted);
    assert_eq!(line(&two, Some(80)).unwrap(), "  warnings: db writes to\\nvolume dbdata, which i… (and 1 more: offsite archives)");
    assert_eq!(line(&warned("2026-11-22", &[odd], 1), None).unwrap(), wanted.replace("and 1 more: ", ""));
    assert_eq!(line(&[warned("2026-11-21", &[odd], 1), night("2026-11-22")].concat(), None), None, "the newest has none");
    let warnings = Report::of(&morning(&two, held(&TWO))).jobs[0].warnings.clone().unwrap();
    assert_eq!((warnings.archive, warnings.new_in), (name(TWO[1]), Some(name(TWO[0]))));
}

#[test]
fn where_nothing_starts_the_daemon_no_run_is_promised() {
    let facts = morning(&night("2026-11-22"), Local { unstarted: true, ..held(&TWO) });
    let said = text(&facts);
    assert!(said.ends_with("\nnext run  none: nothing starts the daemon: offsite install\n"), "{said}");
    assert_eq!(Report::of(&facts).exit(), Exit::Fine);
}

#[test]
fn a_job_that_a_person_forgot_is_nobodys_worry_though_the_pi_still_has_it() {
    let old = "odd/2026-10-01T030000Z";
    let mut receipts = [vec![super::pulled("2026-10-02T03:30:00Z", &name(old), 1, 1)], night("2026-11-22")].concat();
    receipts.push(seen("2026-11-22T03:30:05Z", "pi", "odd", 1, old));
    let jobs =
        |receipts: &[Receipt]| Report::of(&morning(receipts, held(&TWO))).jobs.iter().map(|job| job.job.to_string()).collect::<Vec<_>>();
    assert!(jobs(&receipts).contains(&"odd".to_owned()));
    receipts.push(receipt("2026-11-22T04:00:00Z", Fact::Forgot { place: PlaceName::mac(), archives: vec![name(old)], by_hand: true }));
    assert!(!jobs(&receipts).contains(&"odd".to_owned()));
}
