//! The paper opens every cloud, on each morning: what happens to its slot there, to the paper itself, and to the key.

use std::{fs, process::Command};

use super::{Scene, list};

impl Scene {
    /// What a verb says that shows a recovery key, and that key.
    async fn paper(&self, arguments: &[&str], code: i32) -> (String, String) {
        let said = self.offsite(arguments, code).await;
        let key: String = said.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| format!("{line}-")).collect();
        (said, key)
    }

    /// Whether `paper` alone opens the vault in `folder`.
    async fn opens(&self, folder: &str, paper: &str) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        command.args(["archives", "--from", &format!("file://{}", self.path(folder).display()), "--recovery-key", paper]);
        command.env_clear().env("HOME", self.dir.path()).stdin(std::process::Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap().status.success()).await.unwrap()
    }

    /// The doctor's verdict and words about the vault of the first cloud.
    async fn vault(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        command.arg("--config").arg(self.path("offsite.yaml")).args(["doctor", "--offline"]).env_clear().env("HOME", self.dir.path());
        let said = tokio::task::spawn_blocking(move || command.output().unwrap().stdout).await.unwrap();
        let said = String::from_utf8(said).unwrap();
        said.lines().find(|line| line.contains(" vault  ")).unwrap_or(&said).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_papers_slot_is_put_back_and_a_doubtful_one_is_told() {
    let scene = Scene::new().await;
    let (_, paper) = scene.paper(&["key", "paper"], 0).await;
    scene.night(1).await;
    let said = scene.offsite(&["sync"], 0).await;
    assert!(!said.contains("slot"), "{said}");
    assert!(scene.vault().await.contains("opens with this key, and with the paper"), "{}", scene.vault().await);
    let slots = scene.path("cloud/slots");
    assert_eq!(list(&slots).len(), 2);
    let each = |change: &dyn Fn(String) -> String| {
        for name in list(&slots) {
            let text = fs::read_to_string(slots.join(&name)).unwrap();
            fs::write(slots.join(&name), change(text)).unwrap();
        }
    };
    for damage in 0..2 {
        assert!(scene.opens("cloud", &paper).await);
        if damage == 0 {
            fs::remove_dir_all(&slots).unwrap();
        } else {
            each(&|text| text[..text.len() / 2].to_owned());
        }
        assert!(!scene.opens("cloud", &paper).await);
        let vault = scene.vault().await;
        assert!(vault.contains("BAD") && vault.contains("not with the paper"), "{vault}");
        let said = scene.offsite(&["sync"], 0).await;
        assert_eq!(said.matches("put the recovery key's slot back in cold").count(), 2, "{said}");
    }
    assert!(scene.opens("cloud", &paper).await);

    // A slot all the same, but another: whether this or the key file's has rotted cannot be told here, so neither is replaced.
    each(&|text| {
        let at = text.find("\"wrapped\":\"").unwrap() + 11;
        let digit = if text[at..].starts_with('0') { "1" } else { "0" };
        format!("{}{digit}{}", &text[..at], &text[at + 1..])
    });
    let before = list(&slots).into_iter().map(|name| fs::read(slots.join(name)).unwrap()).collect::<Vec<_>>();
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("one of the two is damaged") && said.contains("next:  make a new paper"), "{said}");
    assert!(before.iter().all(|slot| list(&slots).into_iter().any(|name| fs::read(slots.join(name)).unwrap() == *slot)));
    let vault = scene.vault().await;
    assert!(vault.contains("BAD") && vault.contains("one of them is damaged"), "{vault}");
    let (_, fresh) = scene.paper(&["key", "paper", "--revoke-old"], 0).await;
    assert!(scene.opens("cloud", &fresh).await && !scene.opens("cloud", &paper).await);
    scene.offsite(&["sync"], 0).await;
    assert_eq!(list(&slots).len(), 1);
}

/// At each moment one of the two papers opens both clouds.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_paper_goes_when_every_cloud_has_the_new_one() {
    let scene = Scene::new().await;
    let (far, away) = (scene.path("far"), scene.path("away"));
    fs::create_dir(&far).unwrap();
    let text = fs::read_to_string(scene.path("offsite.yaml")).unwrap();
    fs::write(scene.path("offsite.yaml"), format!("{text}- {{name: far, url: 'file://{}', keep: 6}}\n", far.display())).unwrap();
    let (said, old) = scene.paper(&["key", "paper"], 0).await;
    assert!(said.contains("far: the new paper opens what lies there") && said.contains("--revoke-old"), "{said}");
    scene.night(1).await;
    scene.offsite(&["sync"], 0).await;
    let (said, also) = scene.paper(&["key", "paper"], 0).await;
    assert!(said.contains("papers before it open the copies as well"), "{said}");
    for paper in [&old, &also] {
        assert!(scene.opens("cloud", paper).await && scene.opens("far", paper).await);
    }

    fs::rename(&far, &away).unwrap();
    let (said, new) = scene.paper(&["key", "paper", "--revoke-old"], 3).await;
    assert!(said.contains("valid until every cloud has the new one") && said.contains("cold: the new paper opens"), "{said}");
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("revoked papers (far)"), "{said}");
    assert!(scene.opens("cloud", &old).await && scene.opens("away", &old).await, "the old one opens all");
    assert!(scene.opens("cloud", &new).await && !scene.opens("away", &new).await);

    fs::rename(&away, &far).unwrap();
    scene.offsite(&["sync"], 0).await;
    for folder in ["cloud", "far"] {
        assert!(scene.opens(folder, &new).await && !scene.opens(folder, &old).await && !scene.opens(folder, &also).await, "{folder}");
        assert_eq!(list(&scene.path(folder).join("slots")).len(), 1);
    }
    assert!(!fs::read_to_string(scene.path("state/key.json")).unwrap().contains("revoked"));
    assert!(scene.offsite(&["key", "show"], 0).await.matches("recovery key").count() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_vault_that_are_gone_are_not_made_anew_by_the_way() {
    let scene = Scene::new().await;
    let key = scene.path("state/key.json");
    let aside = scene.path("key.json");
    fs::rename(&key, &aside).unwrap();
    assert!(scene.offsite(&["key", "show"], 1).await.contains("on the first Mac: offsite key new"), "nothing was sealed with it");
    fs::rename(&aside, &key).unwrap();
    // Nothing was pushed yet, so nothing is lost.
    assert!(!scene.offsite(&["archives", "--from", "cold"], 1).await.contains("held copies"));

    scene.night(1).await;
    scene.offsite(&["sync"], 0).await;
    fs::rename(&key, &aside).unwrap();
    for (arguments, code) in [(&["sync"][..], 3), (&["key", "new"], 1), (&["key", "paper"], 1)] {
        let said = scene.offsite(arguments, code).await;
        assert!(said.contains("cold holds copies that were sealed with it"), "{said}");
        assert!(said.contains("next:  offsite key recover cold\n") && !said.contains("key new"), "{said}");
        assert!(!key.exists());
    }
    scene.offsite(&["key", "new", "--anew"], 0).await;
    assert!(scene.offsite(&["sync"], 3).await.contains("another vault's"));
    fs::rename(&aside, &key).unwrap();

    fs::rename(scene.path("cloud"), scene.path("elsewhere")).unwrap();
    fs::create_dir(scene.path("cloud")).unwrap();
    for (arguments, code) in [(&["sync"][..], 3), (&["archives", "--from", "cold"], 1)] {
        let said = scene.offsite(arguments, code).await;
        assert!(said.contains("next:  is it the right address, is the disk mounted? To begin anew there on purpose"), "{said}");
    }
    assert!(list(&scene.path("cloud")).is_empty());
}

/// A state folder out of Time Machine knows a paper that was revoked because it is in wrong hands.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_paper_opens_nothing_again_after_an_older_key_file_came_back() {
    let scene = Scene::new().await;
    let (_, old) = scene.paper(&["key", "paper"], 0).await;
    scene.night(1).await;
    scene.offsite(&["sync"], 0).await;
    let (key, slots) = (scene.path("state/key.json"), scene.path("cloud/slots"));
    let before = fs::read(&key).unwrap();
    let (_, new) = scene.paper(&["key", "paper", "--revoke-old"], 0).await;
    fs::write(&key, &before).unwrap();

    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("the key is older than the papers") && said.contains("next:  with the newest paper at hand"), "{said}");
    assert!(!said.contains("slot back") && list(&slots).len() == 1, "{said}");
    let vault = scene.vault().await;
    assert!(vault.contains("BAD") && vault.contains("key.json is older than the papers in cold"), "{vault}");
    // Beside it a further one would not be put there, so none is shown.
    let (said, shown) = scene.paper(&["key", "paper"], 1).await;
    assert!(said.contains("the key is older than the papers") && shown.is_empty() && fs::read(&key).unwrap() == before, "{said}");
    assert!(scene.opens("cloud", &new).await && !scene.opens("cloud", &old).await);

    // The one way: a paper that counts alone. The one that the key file did not know goes as well.
    let (_, last) = scene.paper(&["key", "paper", "--revoke-old"], 0).await;
    for (paper, opens) in [(&last, true), (&new, false), (&old, false)] {
        assert_eq!(scene.opens("cloud", paper).await, opens);
    }
    scene.offsite(&["sync"], 0).await;
    assert_eq!(list(&slots).len(), 1);

    // The other: the key file comes anew, and brings what counts.
    fs::write(&key, &before).unwrap();
    fs::rename(&key, scene.path("older.json")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
    command.arg("--config").arg(scene.path("offsite.yaml")).args(["key", "recover", "cold"]).env_clear().env("HOME", scene.path(""));
    command.env("OFFSITE_RECOVERY_KEY", &last).stdin(std::process::Stdio::null());
    let came = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(came.status.success(), "{}", String::from_utf8_lossy(&came.stderr));
    assert!(!scene.offsite(&["sync"], 0).await.contains("slot"));
}
