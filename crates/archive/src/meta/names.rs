//! Owners' names, from `/etc/passwd` and `/etc/group`.
//!
//! The files are read directly, not through the C library: a static binary has no name services, and a lookup that asks a directory
//! server in the night could hang while services are down. Names are for people; restoring goes by number.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::notes::Notes;

/// Names by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// The names this host knows; a file that cannot be read is noted and gives none.
    pub(crate) fn of_host(notes: &mut Notes) -> Self {
        Self { users: read(Path::new("/etc/passwd"), notes), groups: read(Path::new("/etc/group"), notes) }
    }

    /// The number of a user's name.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        self.users.iter().filter(|(_, known)| *known == name).map(|(&number, _)| number).min()
    }

    /// The number of a group's name.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().filter(|(_, known)| *known == name).map(|(&number, _)| number).min()
    }

    /// The names in the bytes of a passwd and a group file.
    #[cfg(test)]
    pub(crate) fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self { users: parse(passwd), groups: parse(group) }
    }

    /// The user's name, empty where unknown.
    pub(crate) fn user(&self, uid: u32) -> &str {
        self.users.get(&uid).map_or("", String::as_str)
    }

    /// The group's name, empty where unknown.
    pub(crate) fn group(&self, gid: u32) -> &str {
        self.groups.get(&gid).map_or("", String::as_str)
    }
}

fn read(path: &Path, notes: &mut Notes) -> HashMap<u32, String> {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => HashMap::new(),
        Err(cause) => {
            notes.add(format!("cannot read {} for the owners' names: {cause}", path.display()));
            HashMap::new()
        }
    }
}

/// Both files have the form `name:password:number:…`; the first name of a number wins, as in the C library.
fn parse(bytes: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in bytes.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(number))) = (fields.next(), fields.next(), fields.next().map(str::parse)) {
            // Past 255 bytes it is no login name; a header should not carry it.
            if !name.is_empty() && name.len() <= 255 && !name.starts_with(['#', '+', '-']) {
                names.entry(number).or_insert_with(|| name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_name_wins_and_what_is_no_line_is_passed_over() {
        let names =
            parse(b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# x:y:5\n+::::\nbroken\ngrafana:x:472:0\nbad:x:many:1\n\xff:x:9:9\n");
        let mut sorted: Vec<_> = names.into_iter().collect();
        sorted.sort();
        assert_eq!(sorted, [(0, "root".to_owned()), (472, "grafana".to_owned())]);
    }
}
