//! A night as the daemon and a person play it: whoever looks sees what it does, and this computer does not fall asleep over it.

use std::time::Duration;

use jiff::Timestamp;

use super::Tonight;
use crate::{
    awake,
    clocks::Clocks,
    config::Config,
    journal::Outcome,
    live::Live,
    platform::{self, Platform},
    state::State,
};

/// A night that takes longer may be slept through: the machine is worn for nothing if it hangs.
const AWAKE: Duration = Duration::from_secs(12 * 3600);

/// Plays a night in the name of `verb`. The caller holds the lock.
///
/// # Errors
/// When nothing can be begun: the journal or the Mac's repository cannot be opened, or a receipt cannot be written.
pub async fn attended(config: &Config, verb: &str, tonight: &Tonight) -> anyhow::Result<Outcome> {
    attended_on(platform::current(), &Clocks::now, config, verb, tonight).await
}

async fn attended_on(
    platform: &dyn Platform,
    clocks: &(dyn Fn() -> Clocks + Sync),
    config: &Config,
    verb: &str,
    tonight: &Tonight,
) -> anyhow::Result<Outcome> {
    let _live = Live::begin(&State::at(&config.state), verb, Timestamp::now());
    let command = platform.stay_awake(std::process::id());
    awake::through(command, tokio::time::sleep(AWAKE), super::play(config, tonight, clocks)).await
}

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        process::Command,
        sync::{Arc, Mutex},
    };

    use offsite_repository::{Layout, LocalStore, Repository};
    use rustix::process::{Pid, test_kill_process};

    use super::*;
    use crate::{
        home::Home,
        journal::Fact,
        platform::{Linux, Power},
    };

    /// A system whose word against sleep writes down which process it is and whose end it would wait for, and stays.
    struct Wakeful(PathBuf);

    impl Platform for Wakeful {
        fn stay_awake(&self, pid: u32) -> Option<Command> {
            let mut command = Command::new("sh");
            let stays = "echo $$ \"$2\" >\"$1.new\"; mv \"$1.new\" \"$1\"; exec sleep 1000000";
            command.args(["-c", stays, "sh"]).arg(&self.0).arg(pid.to_string());
            Some(command)
        }
        fn state_folder(&self, home: &Home) -> PathBuf {
            Linux.state_folder(home)
        }
        fn log_folder(&self, home: &Home) -> PathBuf {
            Linux.log_folder(home)
        }
        fn launchctl(&self) -> Option<Command> {
            None
        }
        fn systemctl(&self) -> Option<Command> {
            None
        }
        fn pmset(&self) -> Option<Command> {
            None
        }
        fn notice(&self, _title: &str, _message: &str) -> Option<Command> {
            None
        }
        fn leave_out_of_own_backup(&self, _folder: &Path) -> Option<Command> {
            None
        }
        fn power(&self) -> Option<Power> {
            None
        }
        fn is_left_out(&self, _folder: &Path) -> bool {
            true
        }
        fn guards(&self, _folder: &Path, _home: &Home) -> Option<&'static str> {
            None
        }
    }

    /// A Mac with an empty repository, whose one Pi is away: its nights are incomplete.
    async fn mac(dir: &Path) -> (Config, Tonight) {
        let text = format!("repository: {0}/mac\nstate: {0}/state\npi: {{host: h, path: /p}}\n", dir.display());
        let config = Config::parse(Path::new("c.yaml"), &text, &crate::config::Home::at(dir)).unwrap();
        Repository::create(Arc::new(LocalStore::create(&config.repository).unwrap()), Layout::Packs).await.unwrap();
        let away = config.pis.iter().map(|pi| pi.name.clone()).collect();
        (config, Tonight { away, ..Tonight::default() })
    }

    fn clocks(wall: i64) -> Clocks {
        Clocks { wall: Timestamp::from_second(1_000_000 + wall).unwrap(), uptime: Duration::from_secs(500) }
    }

    #[tokio::test]
    async fn a_night_that_was_slept_through_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (config, tonight) = mac(dir.path()).await;
        for (jump, sleeps) in [(2 * 3600, true), (0, false)] {
            // The wall's clock jumps between the night's first look and its last.
            let looks = Mutex::new([clocks(0), clocks(jump)].into_iter());
            let outcome = attended_on(&Linux, &|| looks.lock().unwrap().next().unwrap(), &config, "sync", &tonight).await.unwrap();
            assert_eq!(outcome, Outcome::Incomplete);
            let receipts = State::at(&config.state).journal().read().unwrap().receipts;
            let Some(Fact::Ran { slept, .. }) = receipts.last().map(|receipt| &receipt.fact) else { panic!("no end: {receipts:?}") };
            assert_eq!(*slept, sleeps, "the clocks parted by {jump} s");
        }
    }

    #[tokio::test]
    async fn the_system_is_kept_awake_while_a_night_is_played() {
        let dir = tempfile::tempdir().unwrap();
        let (config, tonight) = mac(dir.path()).await;
        let told = dir.path().join("told");
        let seen = Mutex::new(None);
        // The night's last look at the clocks waits until what keeps awake has said its name.
        let look = || {
            if State::at(&config.state).journal().path().exists() {
                let text = (0..12_000).find_map(|_| {
                    std::fs::read_to_string(&told).ok().or_else(|| {
                        std::thread::sleep(Duration::from_millis(5));
                        None
                    })
                });
                let text = text.unwrap_or_else(|| panic!("nothing keeps the system awake"));
                let (pid, of) = text.trim().split_once(' ').unwrap();
                let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
                assert_eq!(of, std::process::id().to_string(), "it ends with us, however we end");
                assert!(test_kill_process(pid).is_ok(), "to the end of the night");
                *seen.lock().unwrap() = Some(pid);
            }
            clocks(0)
        };
        attended_on(&Wakeful(told.clone()), &look, &config, "sync", &tonight).await.unwrap();
        let pid = seen.into_inner().unwrap().unwrap();
        assert!(test_kill_process(pid).is_err(), "after it");
    }
}
