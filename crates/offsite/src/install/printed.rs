//! What `launchctl print` and `print-disabled` say, as values.
//!
//! Their output is for people and Apple promises nothing about it. So only a few lines of the outermost block are read, and what is not
//! there is `None`, never a guess: the blocks inside have lines of the same names about other things.

use std::path::PathBuf;

/// What launchd knows of a job, since it was loaded or the Mac was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Printed {
    /// The list it was read from.
    pub list: Option<PathBuf>,
    /// "running", "not running", "spawn scheduled", …
    pub state: Option<String>,
    pub program: Option<PathBuf>,
    pub runs: Option<u64>,
    pub pid: Option<u32>,
    /// How the last process ended; `None` if none has, or a signal ended it.
    pub last_exit: Option<i32>,
    /// The signal that ended the last process, as launchd names it.
    pub last_signal: Option<String>,
}

pub(crate) fn printed(text: &str) -> Printed {
    let mut found = Printed::default();
    let mut depth = 0_usize;
    for line in text.lines().map(str::trim) {
        if line.ends_with('{') {
            depth += 1;
            continue;
        }
        if line == "}" {
            depth = depth.saturating_sub(1);
            continue;
        }
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if depth != 1 {
            continue;
        }
        // "78: EX_CONFIG" has its number in front, "(never exited)" has none.
        let number = value.split(':').next().unwrap_or(value).trim();
        match key {
            "path" => found.list = Some(value.into()),
            "state" => found.state = Some(value.to_owned()),
            "program" => found.program = Some(value.into()),
            "runs" => found.runs = number.parse().ok(),
            "pid" => found.pid = number.parse().ok(),
            "last exit code" => found.last_exit = number.parse().ok(),
            "last terminating signal" => found.last_signal = Some(value.to_owned()),
            _ => {}
        }
    }
    found
}

/// Whether `launchctl print-disabled DOMAIN` marks `label`; no line about it means no.
pub(crate) fn disabled(text: &str, label: &str) -> bool {
    let wanted = format!("\"{label}\"");
    text.lines()
        .filter_map(|line| line.split_once("=>"))
        // "true" is what systems before 13 say.
        .any(|(name, mark)| name.trim() == wanted && ["disabled", "true"].contains(&mark.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The form is that of public logs (wazuh-packages issue 2206, macOS 10.14; the keys are the same on 15 and 26, where more stand
    // between them), with our names.
    const RUNNING: &str = "\
system/offsite.system = {
	active count = 1
	path = /Library/LaunchDaemons/offsite.system.plist
	type = LaunchDaemon
	state = running

	program = /usr/local/bin/offsite
	arguments = {
		/usr/local/bin/offsite
		--config
		/Users/owner/a = b.yaml
		daemon
	}

	stdout path = /Users/owner/Library/Logs/offsite/launchd.log
	default environment = {
		PATH => /usr/bin:/bin:/usr/sbin:/sbin
	}

	environment = {
		HOME => /Users/owner
		XPC_SERVICE_NAME => offsite.system
		state = not running
	}

	domain = system
	username = owner
	minimum runtime = 10
	exit timeout = 20
	runs = 3
	pid = 1486
	immediate reason = non-ipc demand
	forks = 3
	execs = 1
	last exit code = 0

	event triggers = {
		com.apple.launchd.calendarinterval => {
			state = active
			runs = 99
		}
	}
	properties = runatload | inferred program
}";

    #[test]
    fn a_running_job_with_blocks_that_have_lines_of_the_same_names() {
        let wanted = Printed {
            list: Some("/Library/LaunchDaemons/offsite.system.plist".into()),
            state: Some("running".into()),
            program: Some("/usr/local/bin/offsite".into()),
            runs: Some(3),
            pid: Some(1486),
            last_exit: Some(0),
            last_signal: None,
        };
        assert_eq!(printed(RUNNING), wanted);
    }

    #[test]
    fn ends_that_are_no_plain_number() {
        // These three forms are in public logs of macOS 13 to 26.
        let job = |lines: &str| printed(&format!("gui/501/offsite.login = {{\n{lines}\n}}"));
        assert_eq!(job("\truns = 0\n\tlast exit code = (never exited)"), Printed { runs: Some(0), ..Printed::default() });
        assert_eq!(job("\tlast exit code = 78: EX_CONFIG").last_exit, Some(78));
        let killed = job("\tlast terminating signal = Killed: 9");
        assert_eq!((killed.last_exit, killed.last_signal.as_deref()), (None, Some("Killed: 9")));
    }

    #[test]
    fn nothing_is_guessed_from_anything_else() {
        for text in ["", "Could not find service \"offsite.system\" in domain for system", "}\n}\n}\nstate = running", "{{{{"] {
            assert_eq!(printed(text), Printed::default(), "{text}");
        }
    }

    #[test]
    fn marks_of_old_and_new_systems() {
        let new = "disabled services = {\n\t\t\"com.apple.ftpd\" => disabled\n\t\t\"offsite.login\" => disabled\n\t\t\"offsite.system\" => enabled\n\t}";
        let old = "disabled services = {\n\t\"offsite.login\" => true\n\t\"offsite.system\" => false\n}";
        for text in [new, old] {
            assert!(disabled(text, "offsite.login") && !disabled(text, "offsite.system") && !disabled(text, "offsite.notices"), "{text}");
        }
        assert!(!disabled("\"offsite.login.other\" => disabled", "offsite.login"));
    }
}
