//! Whether the units that are installed look for what is owed where this configuration has it.
//!
//! They name the state folder, because a resume reads no configuration. So a `state:` that was changed since leaves them looking at a folder
//! in which nothing is owed, and after a power cut services would stay away.

use std::{fs, path::Path};

use super::{Findings, Level};
use crate::{
    config::Config,
    units::{self, PROGRAM},
};

/// Where units are, the first one of a name being in force: the owner's, and the package's.
pub(super) const FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

const WHAT: &str = "units";

pub(super) fn installed(config: &Config, folders: &[&Path], found: &mut Findings) {
    let (mut ours, mut stale) = (false, Vec::new());
    for unit in units::units(config, Path::new(PROGRAM)) {
        let Some(path) = folders.iter().map(|folder| folder.join(&unit.name)).find(|path| path.exists()) else { continue };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return found.add(Level::Warning, WHAT, format!("cannot read {}: {error}", path.display())),
        };
        // Those of another configuration are another agent's.
        ours |= units::runs(&text, config);
        if units::states(&text) != units::states(&unit.text) {
            stale.push(path.display().to_string());
        }
    }
    if ours && !stale.is_empty() {
        let (stale, state) = (stale.join(", "), config.state.display());
        found.add(
            Level::Warning,
            WHAT,
            format!("the state folder is {state}, and these look for what is owed elsewhere: {stale}: run offsite-agent install"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_name_another_state_folder_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (own, package) = (dir.path().join("own"), dir.path().join("package"));
        let config = |path: &str, state: &str| {
            Config::parse(Path::new(path), &format!("repository: /b\nstate: {state}\njobs:\n  s: {{sources: [/a], at: \"04:00\"}}\n"))
                .unwrap()
        };
        let write = |folder: &Path, config: &Config| {
            fs::create_dir_all(folder).unwrap();
            units::units(config, Path::new("/opt/agent")).iter().for_each(|unit| fs::write(folder.join(&unit.name), &unit.text).unwrap());
        };
        let says = |config: &Config| {
            let mut found = Findings::default();
            installed(config, &[&own, &package], &mut found);
            found.0
        };
        let (before, after) = (config("/etc/a.yaml", "/var/lib/offsite"), config("/etc/a.yaml", "/disk/my state"));
        assert_eq!(says(&after), []);
        write(&package, &before);
        assert_eq!(says(&before), []);
        let said = says(&after);
        assert_eq!((said.len(), said[0].level, said[0].what.as_str()), (1, Level::Warning, "units"));
        for name in ["offsite-agent@.service", "offsite-agent-resume.service", "offsite-agent-resume.path"] {
            assert!(said[0].says.contains(&package.join(name).display().to_string()), "{said:?}");
        }
        assert!(said[0].says.starts_with("the state folder is /disk/my state") && said[0].says.ends_with("run offsite-agent install"));
        assert!(!said[0].says.contains(".timer"), "{said:?}");
        // Another agent's, and the owner's own beside the package's.
        assert_eq!(says(&config("/etc/b.yaml", "/disk/my state")), []);
        write(&own, &after);
        assert_eq!(says(&after), []);
    }
}
