//! `offsite doctor`: everything a night needs, from the configuration to a test pull, one line each with what to do about it.
//!
//! Nothing is changed, here or elsewhere. What a check needs comes before it, and where that is bad it is skipped and says so: one cause,
//! one red line. Probes ask and are bounded in time; what their answers mean is judged purely, so that every red line has a test.

mod alarm;
pub(crate) mod cloud;
mod line;
pub(crate) mod local;
pub(crate) mod pi;
pub(crate) mod route;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io::{IsTerminal, Write},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

pub(crate) use self::line::{Line, Lines, Trouble, exit, summary, text};
use crate::{
    config::{Config, Home, Pi, PlaceName},
    exit::Exit,
    globals::Globals,
    human::look::{ColorArg, Look, Paint},
    install,
    journal::Standing,
    key,
    out::OutError,
    owed::Schedule,
    platform,
};

/// Longest wait for one answer, in seconds.
pub(crate) const PATIENCE: u64 = 15;

/// Arguments of `offsite doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ask neither Pis nor clouds, only what is on this machine
    #[arg(long)]
    pub offline: bool,
    /// Only this Pi, and what every Pi needs
    #[arg(long, value_name = "NAME", conflicts_with = "offline")]
    pub pi: Option<PlaceName>,
    /// Print one JSON object: `exit`, and `checks` with `place`, `check`, `verdict` (ok, note, bad, skipped, off), `words`, `fix`
    #[arg(long)]
    pub json: bool,
    /// When to use colours.
    #[command(flatten)]
    pub color: ColorArg,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let mut said = Said::new(args);
    let config = match globals.load() {
        Ok(config) => config,
        Err(error) => {
            let mut lines = Lines::of("mac");
            lines.trouble("configuration", &Trouble::of(error));
            said.all(lines.all);
            return said.end();
        }
    };
    if let Some(name) = args.pi.as_ref().filter(|name| config.pis.iter().all(|pi| pi.name != **name)) {
        let known: Vec<&str> = config.pis.iter().map(|pi| pi.name.as_str()).collect();
        note!("error: there is no Pi called {name} in {}; there is: {}", config.path.display(), known.join(", "));
        return Ok(Exit::Usage);
    }
    let mut lines = Lines::of("mac");
    lines.ok("configuration", config.path.display().to_string());
    said.all(lines.all);
    let standing = here(&config, args, &mut said).await;
    let launchd = platform::current().has_launchd();
    for pi in config.pis.iter().filter(|pi| args.pi.as_ref().is_none_or(|name| pi.name == *name)) {
        said.doing(&pi.name);
        let facts = probe(&config, pi, args.offline).await;
        said.all(pi::judge(&config, pi, &facts, Timestamp::now(), launchd));
    }
    if args.pi.is_none() {
        let key = key::load(&config);
        for cloud in &config.clouds {
            said.doing(&cloud.name);
            let facts = cloud::probe(cloud, &key, args.offline).await;
            said.all(cloud::judge(&config, cloud, &facts, &standing, Timestamp::now()));
        }
    }
    said.end()
}

async fn probe(config: &Config, pi: &Pi, offline: bool) -> pi::Facts {
    if offline { pi::Facts::default() } else { pi::probe(config, pi).await }
}

/// What is on this machine. With `--pi` only what a pull needs.
async fn here(config: &Config, args: &Args, said: &mut Said) -> Standing {
    let platform = platform::current();
    let launchd = platform.has_launchd();
    let home = Home::of_process().ok();
    let now = Timestamp::now();
    let state = local::state(config);
    said.all(local::judge_state(&state));
    let (standing, last) = match &state.journal {
        Ok((standing, last, _)) => ((**standing).clone(), *last),
        Err(_) => (Standing::default(), None),
    };
    let repository = local::repository(config, home.as_ref()).await;
    said.all(local::judge_repository(&repository, &standing, launchd));
    let schedule = Schedule { at: config.at, zone: TimeZone::system() };
    said.all(local::judge_clock(&schedule, now, last));
    if args.pi.is_some() {
        return standing;
    }
    said.all(local::judge_key(&key::load(config), config.clouds.len()));
    if let Some(home) = &home {
        let folder = platform.log_folder(home);
        said.all(local::judge_log(&folder, local::log(&folder).as_ref().copied()));
        let asked = home.clone();
        let state = async { anyhow::Ok(tokio::task::spawn_blocking(move || install::state(&asked)).await??) };
        let found = within("ask what starts the daemon", state).await;
        said.all(alarm::judge_clock(&found, config.at, install::Installed::at, launchd));
    }
    let power = within("ask for the battery", tokio::task::spawn_blocking(|| platform::current().power())).await;
    said.all(alarm::judge_power(power.ok().flatten(), config.battery));
    said.all(alarm::judge_notify(&config.notify, launchd));
    standing
}

async fn within<T, E: Into<anyhow::Error>>(what: &str, asked: impl Future<Output = Result<T, E>>) -> Result<T, Trouble> {
    let answer = tokio::time::timeout(Duration::from_secs(PATIENCE), asked).await;
    answer.map_err(|_| Trouble::late(what, PATIENCE))?.map_err(Trouble::of)
}

/// Notes as a fact what `told` makes of an answer, or why there is none, and gives the answer on.
fn noted<T, U, E: Clone>(answer: Result<T, E>, fact: &mut Option<Result<U, E>>, told: impl FnOnce(&T) -> U) -> Option<T> {
    *fact = Some(answer.as_ref().map(told).map_err(Clone::clone));
    answer.ok()
}

/// What was said so far: each line as soon as it is known, or all at the end as JSON.
struct Said {
    json: bool,
    paint: Paint,
    lines: Vec<Line>,
    /// Why nothing more is shown; the checks go on, because how it ends counts too.
    stopped: Option<OutError>,
}

impl Said {
    fn new(args: &Args) -> Self {
        let paint = Look::of(&std::io::stdout(), args.color.color).paint;
        Self { json: args.json, paint, lines: Vec::new(), stopped: None }
    }

    fn doing(&self, what: &PlaceName) {
        if !self.json && std::io::stderr().is_terminal() {
            crate::say::prompt(&format!("  …     {what}\r"));
        }
    }

    fn all(&mut self, lines: Vec<Line>) {
        for line in lines {
            if !self.json {
                self.line(&shown(self.lines.last(), &line, self.paint));
            }
            self.lines.push(line);
        }
    }

    fn line(&mut self, text: &str) {
        if self.stopped.is_none() {
            self.stopped = writeln!(std::io::stdout(), "{text}").err().map(OutError::from);
        }
    }

    fn end(mut self) -> anyhow::Result<Exit> {
        let exit = exit(&self.lines);
        if self.json {
            let told = serde_json::to_string(&serde_json::json!({ "exit": exit.code(), "checks": self.lines }))?;
            self.line(&told);
        } else {
            self.line(&summary(&self.lines));
        }
        match self.stopped {
            Some(OutError::Write(error)) => Err(OutError::Write(error).into()),
            Some(OutError::Closed) | None => Ok(exit),
        }
    }
}

/// A line as it is shown after `last`: the first of a place stands below its name.
fn shown(last: Option<&Line>, line: &Line, paint: Paint) -> String {
    let place = if line.place == crate::config::MAC { "this machine" } else { line.place.as_str() };
    let head = if last.is_none_or(|last| last.place != line.place) { format!("{place}\n") } else { String::new() };
    head + &text(line, paint)
}
