//! `check`: one line for each thing that was looked at.

use offsite_agent::Level;

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn check(cli: &cli::Cli, check: &cli::Json) -> Done {
    let config = load(&cli.config)?;
    let findings = offsite_agent::check(&config);
    if check.json {
        say!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        for finding in findings.iter().filter(|finding| !cli.quiet || finding.level != Level::Ok) {
            let mark = match finding.level {
                Level::Ok => "ok     ",
                Level::Warning => "warning",
                Level::Bad => "BAD    ",
            };
            say!("{mark}  {}: {}", finding.what, finding.says);
        }
    }
    Ok(if findings.iter().any(|finding| finding.level == Level::Bad) { Exit::Failed } else { Exit::Fine })
}
