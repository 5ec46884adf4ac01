//! The Mac's own notices: shown at once by a process of the owner's graphical session; left for one by any other.
//!
//! A system daemon has no screen, and neither has an ssh session. `launchctl managername` says which it is, so no flag of the installation
//! can be wrong about it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use jiff::Timestamp;

use super::{
    Outgoing, SendError, http,
    spool::{self, Notice},
};
use crate::platform::Platform;

/// What fits on a notice. Bytes.
const LONGEST: usize = 230;

/// Shows it, or leaves it in `folder`.
pub(super) async fn send(platform: &dyn Platform, folder: &Path, out: &Outgoing) -> Result<(), SendError> {
    let text = brief(&out.text);
    deliver(session(platform), platform.notice(&out.title, &text), folder, &out.title, &text).await
}

/// The command that names the kind of session this process belongs to, where there are such.
fn session(platform: &dyn Platform) -> Option<Command> {
    let mut command = platform.launchctl()?;
    command.arg("managername");
    Some(command)
}

/// Whether this process can show anything to the person at the screen.
pub(crate) async fn can_show(platform: &dyn Platform) -> bool {
    has_screen(session(platform)).await
}

/// What is wrong, without what to do: that is in the status, to which there is more room.
fn brief(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("  ")).take(3).collect();
    super::words::cut(&lines.join("\n"), LONGEST)
}

async fn deliver(session: Option<Command>, show: Option<Command>, folder: &Path, title: &str, text: &str) -> Result<(), SendError> {
    if let Some(show) = show
        && has_screen(session).await
    {
        return self::show(show).await;
    }
    let notice = Notice { time: Timestamp::now(), title: title.to_owned(), text: text.to_owned() };
    spool::leave(folder, &notice).map_err(|source| SendError::Spool { folder: folder.to_owned(), source })
}

/// Whether this process belongs to a graphical session. Who cannot say so has none.
async fn has_screen(session: Option<Command>) -> bool {
    let Some(command) = session else { return false };
    tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .is_ok_and(|output| output.stdout.trim_ascii() == b"Aqua")
}

/// Runs the command that shows a notice.
pub(crate) async fn show(command: Command) -> Result<(), SendError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = tokio::process::Command::from(command).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|source| SendError::Run { program, source })?;
    if output.status.success() { Ok(()) } else { Err(SendError::Show { said: http::excerpt(&output.stderr) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Option<Command> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Some(command)
    }

    fn left(folder: &Path) -> usize {
        spool::waiting(folder, Timestamp::now()).unwrap().len()
    }

    #[tokio::test]
    async fn only_a_graphical_session_shows_it_and_all_others_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("notices");
        let shown = dir.path().join("shown");
        let show = || sh(&format!("echo x >>'{}'", shown.display()));
        for (session, show) in
            [(sh("echo System"), show()), (sh("echo Background"), show()), (sh("exit 1"), show()), (None, show()), (sh("echo Aqua"), None)]
        {
            deliver(session, show, &folder, "t", "x").await.unwrap();
        }
        assert_eq!((left(&folder), shown.exists()), (5, false));
        deliver(sh("echo Aqua"), show(), &folder, "t", "x").await.unwrap();
        assert_eq!((left(&folder), std::fs::read_to_string(&shown).unwrap().as_str()), (5, "x\n"));
        let refused = deliver(sh("echo Aqua"), sh("echo not allowed >&2; exit 1"), &folder, "t", "x").await.unwrap_err();
        assert_eq!(refused.to_string(), "cannot show a notice: not allowed");
        let nowhere = deliver(None, None, Path::new("/dev/null/notices"), "t", "x").await.unwrap_err();
        assert!(nowhere.next("macos").contains("disk"), "{nowhere}");
    }
}
