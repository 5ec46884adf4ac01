//! The tripwire by content, with a real agent: what encrypts, swaps or empties a tree is held, and a busy night is not.

use std::fs;

use super::{Scene, list};

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}

/// Words, as a log or a dump has them.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let words = ["select", "insert", "into", "values", "kitchen", "21.5", "null", "2026-11-22", "garden", "update", "where"];
    noise(seed, len / 2).iter().flat_map(|byte| [words[*byte as usize % words.len()].as_bytes(), b" "].concat()).take(len).collect()
}

impl Scene {
    /// Forty photos, and what else a house has.
    fn photos(&self, seed: u64) {
        fs::create_dir_all(self.path("house/photos")).unwrap();
        for photo in 0..40 {
            fs::write(self.path(&format!("house/photos/{photo:02}.jpg")), noise(seed + photo, 200_000)).unwrap();
        }
    }

    /// The letter changes a little, as something does every day; then the agent and the Mac have their nights.
    async fn usual(&self, days: &[i64]) {
        for day in days {
            fs::write(self.path("house/letter.txt"), format!("a letter of day {day}\n").repeat(400)).unwrap();
            self.night(*day).await;
            self.offsite(&["sync"], 0).await;
        }
    }

    /// Rewrites each photo, with the length and the time it had.
    fn rewrite(&self, change: impl Fn(usize, Vec<u8>) -> Vec<u8>) {
        let mut names = list(&self.path("house/photos"));
        names.sort();
        for (at, name) in names.iter().enumerate() {
            let path = self.path("house/photos").join(name);
            let (bytes, time) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
            let changed = change(at, bytes.clone());
            assert_eq!(bytes.len(), changed.len());
            fs::write(&path, changed).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }

    fn configure(&self, from: &str, to: &str) {
        let path = self.path("offsite.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    fn clouded(&self) -> usize {
        list(&self.path("cloud/manifests")).len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_that_were_encrypted_in_place_stop_the_rotation_everywhere_until_accepted() {
    let scene = Scene::new().await;
    scene.configure("keep: 6", "keep: 2");
    scene.photos(1);
    scene.usual(&[9, 8, 7]).await;
    assert_eq!((scene.archives("mac").len(), scene.clouded()), (2, 2));

    // The same names, lengths and times; not a byte is what it was.
    let back: Vec<Vec<u8>> = (0..40).map(|photo| fs::read(scene.path(&format!("house/photos/{photo:02}.jpg"))).unwrap()).collect();
    scene.rewrite(|_, bytes| bytes.into_iter().map(|byte| byte ^ 0x5a).collect());
    let odd = scene.night(6).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {odd}: only ")) && said.contains(&format!("offsite accept {odd}")), "{said}");
    let said = scene.offsite(&["status"], 1).await;
    assert!(said.contains(&format!("{odd}: only ")) && said.contains("usually ") && said.contains("is suspicious"), "{said}");
    assert!(said.contains(&format!("offsite accept {odd} (nothing of services is forgotten anywhere until then)")), "{said}");

    // The backup of the photos is put back, and nights are good again: still nothing goes, here and in the cloud.
    scene.rewrite(|at, _| back[at].clone());
    for day in [5, 4] {
        scene.night(day).await;
        scene.offsite(&["sync"], 3).await;
    }
    assert_eq!((scene.archives("mac").len(), scene.clouded()), (5, 5));
    assert!(!scene.offsite(&["sync", "--dry-run"], 0).await.contains("would forget"));
    scene.offsite(&["accept", &odd.to_string()], 0).await;
    scene.offsite(&["sync"], 3).await;
    assert_eq!((scene.archives("mac").len(), scene.clouded()), (4, 4), "one a night, as ever where keep is two");
}

impl Scene {
    /// Three nights that nobody fetched, and one in which the photos were encrypted; oldest first.
    async fn backlog(&self) -> Vec<offsite_archive::ArchiveName> {
        self.photos(1);
        let mut names = Vec::new();
        for day in [9, 8, 7, 6] {
            fs::write(self.path("house/letter.txt"), format!("a letter of day {day}\n").repeat(400)).unwrap();
            if day == 6 {
                self.rewrite(|_, bytes| bytes.into_iter().map(|byte| byte ^ 0x5a).collect());
            }
            names.push(self.night(day).await);
        }
        names
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_once_comes_newest_first_and_is_judged_oldest_first() {
    let scene = Scene::new().await;
    let names = scene.backlog().await;
    let said = scene.offsite(&["sync"], 3).await;
    let pulled: Vec<_> = names.iter().map(|name| said.find(&format!("pulled {name}")).unwrap()).collect();
    assert!(pulled.is_sorted_by(|older, newer| older > newer), "{said}");
    assert!(said.contains(&format!("suspicious: {}: only ", names[3])), "{said}");
    assert_eq!(said.matches("suspicious: ").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_judged_before_the_older_ones_arrived_is_judged_again() {
    let scene = Scene::new().await;
    let names = scene.backlog().await;
    // As after a night that was killed, or of which only the newest archive arrived.
    let manifest = |name| scene.path("backup/manifests").join(format!("{name}.zst"));
    let away = |name: &offsite_archive::ArchiveName| scene.path(&format!("{}.away", name.time_text()));
    names[..3].iter().for_each(|name| fs::rename(manifest(name), away(name)).unwrap());
    let said = scene.offsite(&["sync"], 0).await;
    assert!(!said.contains("suspicious: "), "nothing is there to compare it with: {said}");
    names[..3].iter().for_each(|name| fs::rename(away(name), manifest(name)).unwrap());
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {}: only ", names[3])), "{said}");
    // And that is told once.
    assert!(!scene.offsite(&["sync"], 3).await.contains("suspicious: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_was_encrypted_is_known_by_what_compression_leaves_of_it() {
    let scene = Scene::new().await;
    // One small database, of which nothing ever stays: its share says nothing.
    let dump = scene.path("house/dump.sql");
    for day in [9, 8, 7] {
        fs::write(&dump, text(day as u64, 700_000)).unwrap();
        scene.usual(&[day]).await;
    }
    fs::write(&dump, noise(1, 700_000)).unwrap();
    let odd = scene.night(6).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {odd}: it looks encrypted")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_disk_an_empty_one_and_half_of_one_are_held() {
    let scene = Scene::new().await;
    scene.photos(1);
    scene.usual(&[9, 8]).await;
    // Data of like size and number below the same mount point.
    scene.photos(1000);
    let odd = scene.night(7).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {odd}: only ")), "{said}");
    // Half of the right one: each second photo is gone.
    scene.photos(1);
    for photo in (0..40).step_by(2) {
        fs::remove_file(scene.path(&format!("house/photos/{photo:02}.jpg"))).unwrap();
    }
    let odd = scene.night(6).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {odd}: it holds ")) && said.contains("less than two thirds"), "{said}");
    fs::remove_dir_all(scene.path("house")).unwrap();
    // The agent itself refuses a folder that is suddenly empty; a fresh disk has something on it.
    fs::create_dir_all(scene.path("house/lost+found")).unwrap();
    let odd = scene.night(5).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {odd}: it holds ")), "{said}");
    assert_eq!(list(&scene.path("mac/plain/services")).len(), 1, "the plain copy of the last good one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_night_is_no_alarm() {
    let scene = Scene::new().await;
    scene.photos(1);
    fs::write(scene.path("house/dump.sql"), text(1, 2_000_000)).unwrap();
    for service in ["music", "wiki"] {
        fs::create_dir(scene.path("house").join(service)).unwrap();
        fs::write(scene.path("house").join(service).join("data"), noise(service.len() as u64, 2_000_000)).unwrap();
    }
    scene.usual(&[9, 8]).await;
    // The library doubles.
    for photo in 40..90 {
        fs::write(scene.path(&format!("house/photos/{photo:02}.jpg")), noise(5000 + photo, 200_000)).unwrap();
    }
    scene.usual(&[7]).await;
    // An upgrade rewrites one service as a whole, and the dump is written in another order.
    fs::write(scene.path("house/music/data"), noise(77, 2_000_000)).unwrap();
    fs::write(scene.path("house/dump.sql"), text(2, 2_000_000)).unwrap();
    scene.usual(&[6]).await;
    // The dump is packed from now on.
    fs::write(scene.path("house/dump.sql"), noise(78, 400_000)).unwrap();
    scene.usual(&[5]).await;
    assert!(scene.offsite(&["status"], 4).await.contains("tripwire: "), "the newest is days old, and nothing else is wrong");
}
