//! What a night leaves where it is, what it clears away, and what a small disk keeps it from.

use std::fs;

use super::{Scene, list};

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_copy_of_what_is_lost_stays_when_a_better_archive_comes() {
    let scene = Scene::new().await;
    let path = scene.path("offsite.yaml");
    let text = fs::read_to_string(&path).unwrap();
    // No cloud to be healed from.
    fs::write(&path, text.split("clouds:").next().unwrap()).unwrap();
    fs::write(scene.path("house/precious.txt"), "what the Pi has not any more\n".repeat(300)).unwrap();
    let precious = scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    for folder in ["backup/manifests/services", "backup/archives/services"] {
        fs::remove_dir_all(scene.path(folder)).unwrap();
    }
    for pack in list(&scene.path("mac/packs")) {
        fs::remove_file(scene.path("mac/packs").join(pack)).unwrap();
    }
    fs::remove_file(scene.path("house/precious.txt")).unwrap();
    let newest = scene.night(2).await;
    scene.offsite(&["sync"], 3).await;
    let mut copies = list(&scene.path("mac/plain/services"));
    copies.sort();
    assert_eq!(copies, [&precious, &newest].map(|name| format!("{}.tar.zst", name.time_text())));
}

impl Scene {
    /// Nights 4 and 3 are on the Mac; of night 2 the packs are, as after a kill before its manifest came. Gives the pack that
    /// only night 4 needs, and all packs.
    async fn interrupted(&self) -> (String, Vec<String>) {
        fs::write(self.path("house/old.txt"), "what is gone the next day\n".repeat(200)).unwrap();
        self.night(4).await;
        self.offsite(&["sync"], 0).await;
        let first = self.packs().pop().unwrap();
        fs::remove_file(self.path("house/old.txt")).unwrap();
        self.night(3).await;
        self.offsite(&["sync"], 0).await;
        let journal = fs::read(self.path("state/journal.jsonl")).unwrap();
        fs::write(self.path("house/new.txt"), "what was under way\n".repeat(900)).unwrap();
        let under_way = self.night(2).await;
        self.offsite(&["sync"], 0).await;
        fs::write(self.path("state/journal.jsonl"), journal).unwrap();
        for name in self.archives("mac").iter().filter(|name| name.starts_with(&under_way.time_text())) {
            fs::remove_file(self.path("mac/manifests/services").join(name)).unwrap();
        }
        assert_eq!((self.archives("mac").len(), self.packs().len()), (2, 3));
        (first, self.packs())
    }

    fn packs(&self) -> Vec<String> {
        let mut packs = list(&self.path("mac/packs"));
        packs.sort();
        packs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_pull_brought_waits_while_the_pi_is_away() {
    let scene = Scene::new().await;
    let (_, packs) = scene.interrupted().await;
    fs::rename(scene.path("known_hosts"), scene.path("away")).unwrap();
    fs::write(scene.path("known_hosts"), "").unwrap();
    scene.offsite(&["sync"], 3).await;
    assert_eq!(scene.packs(), packs);
    fs::rename(scene.path("away"), scene.path("known_hosts")).unwrap();
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains("(pi): 0 B of "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_does_not_take_what_an_interrupted_pull_brought() {
    let scene = Scene::new().await;
    let (first, mut packs) = scene.interrupted().await;
    let oldest = format!("services/{}", scene.archives("mac")[0].trim_end_matches(".zst"));
    let said = scene.offsite(&["forget", &oldest], 0).await;
    assert!(said.contains("waits here for the next night"), "{said}");
    // What only the forgotten archive needed is gone all the same.
    packs.retain(|pack| *pack != first);
    assert_eq!((scene.packs(), scene.archives("mac").len()), (packs, 1));
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains("(pi): 0 B of "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_prunes_nothing_where_it_could_not_be_told_what_waits() {
    // Also where a night reads back, and nobody is there who could heal.
    for verify in ["verify: none\n", ""] {
        let scene = Scene::new().await;
        let (_, packs) = scene.interrupted().await;
        fs::rename(scene.path("known_hosts"), scene.path("away")).unwrap();
        fs::write(scene.path("known_hosts"), "").unwrap();
        fs::rename(scene.path("cloud"), scene.path("carried away")).unwrap();
        let config = scene.path("offsite.yaml");
        fs::write(&config, format!("{verify}{}", fs::read_to_string(&config).unwrap())).unwrap();
        // As long as it is there no plan can be made; without it one can, and of that nobody knows any more what waited.
        let oldest = scene.archives("mac")[0].clone();
        fs::write(scene.path("mac/manifests/services").join(&oldest), "no manifest").unwrap();
        let said = scene.offsite(&["sync"], 1).await;
        assert!(!said.contains("healed"), "{said}");
        let oldest = format!("services/{}", oldest.trim_end_matches(".zst"));
        let said = scene.offsite(&["forget", &oldest], 1).await;
        assert!(said.contains(&format!("forgot {oldest} (mac)")) && said.contains("nothing is pruned while "), "{said}");
        assert_eq!((scene.packs(), scene.archives("mac").len()), (packs, 1));
        fs::rename(scene.path("away"), scene.path("known_hosts")).unwrap();
        fs::rename(scene.path("carried away"), scene.path("cloud")).unwrap();
        let said = scene.offsite(&["sync"], 0).await;
        assert!(said.contains("(pi): 0 B of "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_clears_what_a_killed_one_left_half_written() {
    let scene = Scene::new().await;
    scene.night(2).await;
    fs::write(scene.path("mac/.tmp-0123456789abcdef"), "a plain copy, half").unwrap();
    scene.offsite(&["sync"], 0).await;
    assert!(!list(&scene.path("mac")).iter().any(|name| name.starts_with(".tmp-")));
}
