//! A real engine that stops answering: the docker commands are real, and so are the containers; between them lies a socket that can fall silent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use lab::{Lab, PATIENCE, SERVICE, Said};

/// The engine's socket, with something between it and its callers.
#[derive(Default)]
struct State {
    /// What a request must hold for the engine to fall silent at it.
    at: Option<&'static str>,
    silent: bool,
    /// Who called while it was silent.
    called: u32,
}

#[derive(Clone, Default)]
struct Between(Arc<(Mutex<State>, Condvar)>);

impl Between {
    /// Listens at `path` for the engine's callers.
    fn listen(path: &Path) -> Self {
        let between = Self::default();
        let (listener, own) = (UnixListener::bind(path).unwrap(), between.clone());
        thread::spawn(move || {
            for near in listener.incoming() {
                own.tell(|state| state.called += u32::from(state.silent));
                let (near, far) = (near.unwrap(), UnixStream::connect(engine()).unwrap());
                let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (to, from) = (own.clone(), own.clone());
                thread::spawn(move || to.pass(near, far, true));
                thread::spawn(move || from.pass(far2, near2, false));
            }
        });
        between
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let (_state, over) = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), PATIENCE, |state| !until(state)).unwrap();
        assert!(!over.timed_out(), "the engine's callers were waited for in vain");
    }

    /// Passes bytes on as long as the engine speaks. What came before it fell silent is answered when it speaks again, as by a real one.
    fn pass(&self, mut from: UnixStream, mut to: UnixStream, asks: bool) {
        let mut buffer = [0; 16 << 10];
        while let Ok(got) = from.read(&mut buffer)
            && got > 0
        {
            if asks {
                let text = String::from_utf8_lossy(&buffer[..got]);
                self.tell(|state| state.silent |= state.at.take_if(|at| text.contains(*at)).is_some());
            }
            self.wait(|state| !state.silent);
            if to.write_all(&buffer[..got]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// The engine's own socket.
fn engine() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok().and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
    named.unwrap_or_else(|| "/var/run/docker.sock".into())
}

/// A service runs while the engine falls silent at a request that holds `at`, until somebody calls again: only one, so that the docker command
/// itself has nothing to ask beside what is not answered.
fn silent(at: &'static str) {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down\n    budget: 6s", "");
    lab.project("p", &format!("services:\n  web:\n{SERVICE}"));
    lab.compose("p", &["up", "--detach"]);
    let between = Between::listen(&lab.path("docker.sock"));
    between.tell(|state| state.at = Some(at));
    let mut command = lab.command();
    command.args(["run", "services"]).env("DOCKER_HOST", format!("unix://{}", lab.path("docker.sock").display()));
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has given up what it waited for, and asks for something else.
    between.wait(|state| state.silent && state.called > 0);
    between.tell(|state| state.silent = false);
    let said: Said = run.wait_with_output().unwrap().into();
    assert!(said.code.is_some_and(|code| code != 0), "{said:?}");
    assert!(said.err.contains("docker"), "it says what did not answer: {said:?}");
    assert!(lab.archives().is_empty(), "no archive of that night counts");
    lab.agent(&["resume", "--wait"]).ended(0);
    assert_eq!((lab.running(), lab.ledger().exists()), (vec!["web".to_owned()], false));
    // An ordinary night again, on a machine that may be slow.
    lab.configure("down", "");
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(lab.running(), ["web"]);
}

#[test]
fn an_engine_that_falls_silent_while_services_stop() {
    silent("/stop");
}

#[test]
fn an_engine_that_falls_silent_when_services_have_been_stopped() {
    silent("DELETE /");
}
