//! The texts of the two units.

use std::path::PathBuf;

use super::super::job::{GRACE, NICE, RETRY};
use crate::config::TimeOfDay;

/// The service, started by the timer and, where there is one, by the disk with the repository.
///
/// Without `RequiresMountsFor=`: a disk that is away is a state that the daemon records and waits out, not a failed unit.
pub(super) fn service(arguments: &[String], variables: &[String], disk: Option<&str>) -> String {
    let command: Vec<String> = arguments.iter().enumerate().map(|(at, word)| quoted(word, at == 0)).collect();
    // As in a program's name, `$` stands for itself here.
    let environment: String = variables.iter().map(|set| format!("Environment={}\n", quoted(set, true))).collect();
    let wanted = disk.map(|disk| format!("\n[Install]\nWantedBy={disk}\n")).unwrap_or_default();
    format!(
        "\
[Unit]
Description=offsite: pull, keep, push what is owed

[Service]
Type=oneshot
{environment}ExecStart={command}
TimeoutStopSec={GRACE}
Nice={NICE}
UMask=0077
{wanted}",
        command = command.join(" ")
    )
}

/// The timer. `OnStartupSec=` is what `RunAtLoad` is to launchd, `OnUnitInactiveSec=` its `StartInterval`; `Persistent=` settles at once what
/// passed while the machine was off.
pub(super) fn timer(at: TimeOfDay) -> String {
    format!(
        "\
[Unit]
Description=offsite: every day at {at}, and every {minutes} minutes in case something was not there

[Timer]
OnCalendar=*-*-* {at}:00
OnStartupSec=1min
OnUnitInactiveSec={minutes}min
Persistent=true

[Install]
WantedBy=timers.target
",
        minutes = RETRY / 60
    )
}

/// One word of a command line. `%` begins a specifier everywhere, `$` a variable everywhere but in the program's name.
fn quoted(word: &str, program: bool) -> String {
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '%' => text.push_str("%%"),
            '$' if !program => text.push_str("$$"),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

pub(super) fn program(service: &str) -> Option<PathBuf> {
    let mut letters = service.lines().find_map(|line| line.strip_prefix("ExecStart=\""))?.chars();
    let mut path = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(path.into()),
            '\\' => path.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                letter => letter,
            }),
            '%' => path.push(letters.next()?),
            letter => path.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_come_back() {
        for path in ["/usr/local/bin/offsite", "/a b/\"c\"/50%/$HOME/\\n\n\t/offsite"] {
            let text = service(&[path.to_owned(), "--config".into(), "/x $y.yaml".into(), "daemon".into()], &[], None);
            assert_eq!(program(&text), Some(path.into()), "{text}");
            assert!(text.contains("\"/x $$y.yaml\" \"daemon\"\n"), "{text}");
        }
        assert_eq!(program("[Service]\nExecStart=/bin/true\n"), None);
    }
}
