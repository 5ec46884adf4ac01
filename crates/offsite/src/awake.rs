//! Keeps the Mac from idle sleep while a night runs: a favour of the system, whose failure never fails a backup.

use std::{
    pin::pin,
    process::{Child, Command, Stdio},
};

/// Does `work` while `command` runs, which keeps the system awake, where there is such a command: until `enough`, and no longer than the work,
/// however that ends.
pub(crate) async fn through<T>(command: Option<Command>, enough: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    let awake = Awake::keep(command);
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = enough => {
            drop(awake);
            work.await
        }
    }
}

/// Keeps the system awake until dropped.
struct Awake(Option<Child>);

impl Awake {
    fn keep(command: Option<Command>) -> Self {
        let child = command.and_then(|mut command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok());
        Self(child)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Whether it was there to be ended makes no difference now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, path::Path};

    use rustix::process::{Pid, test_kill_process};
    use tokio::sync::oneshot;

    use super::*;

    /// A command that says which process it is, and stays.
    fn stays(file: &Path) -> Option<Command> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("echo $$ >'{0}.new'; mv '{0}.new' '{0}'; exec sleep 1000000", file.display()));
        Some(command)
    }

    async fn begun(file: &Path) -> Pid {
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return Pid::from_raw(text.trim().parse().unwrap()).unwrap();
            }
            tokio::task::yield_now().await;
        }
    }

    fn runs(pid: Pid) -> bool {
        test_kill_process(pid).is_ok()
    }

    #[tokio::test]
    async fn it_is_held_for_the_whole_of_a_night_and_not_a_moment_longer() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("short");
        let night = async {
            let pid = begun(&file).await;
            assert!(runs(pid), "to the end of a night");
            pid
        };
        let pid = through(stays(&file), pending(), night).await;
        assert!(!runs(pid), "after it");

        // One that hangs is not held for ever, and goes on.
        let file = dir.path().join("long");
        let (enough, heard) = oneshot::channel();
        let hangs = async {
            let pid = begun(&file).await;
            enough.send(()).unwrap();
            while runs(pid) {
                tokio::task::yield_now().await;
            }
            7
        };
        assert_eq!(through(stays(&file), async { heard.await.unwrap() }, hangs).await, 7);

        // A signal drops it.
        let file = dir.path().join("stopped");
        let (begins, begun_as) = oneshot::channel();
        let never = async {
            begins.send(begun(&file).await).unwrap();
            pending::<()>().await;
        };
        let pid = tokio::select! {
            () = through(stays(&file), pending(), never) => None,
            pid = begun_as => pid.ok(),
        };
        assert!(!runs(pid.unwrap()), "a night that was stopped");

        // Nor does a system that knows no such command keep a night from being played.
        assert_eq!(through(None, pending(), async { 7 }).await, 7);
        assert_eq!(through(Some(Command::new(dir.path().join("none"))), pending(), async { 7 }).await, 7);
    }
}
