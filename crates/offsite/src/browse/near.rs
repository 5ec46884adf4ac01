//! What a person may have meant by a path that is not there: names like it where it leaves what exists, or the same name elsewhere.

use std::fmt::Write;

use offsite_agent::distance;

use super::absolute;

/// Suggestions of each sort.
const MOST: usize = 3;

/// Looks at every path that there is for those near the one wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nearest {
    wanted: Vec<String>,
    /// How many of its parts exist.
    depth: usize,
    /// The folder that they make.
    folder: Vec<u8>,
    /// Names in that folder with their distance, the nearest first.
    names: Vec<(usize, Vec<u8>)>,
    /// Paths that end as the wanted one does.
    elsewhere: Vec<Vec<u8>>,
}

impl Nearest {
    /// For `wanted`, which is trimmed.
    pub(crate) fn to(wanted: &[u8]) -> Self {
        let wanted = wanted.split(|&byte| byte == b'/').map(|part| String::from_utf8_lossy(part).to_lowercase()).collect();
        Self { wanted, ..Self::default() }
    }

    /// Shows it a path that exists, trimmed.
    pub(crate) fn see(&mut self, path: &[u8]) {
        let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let common = parts.iter().zip(&self.wanted).take_while(|(part, wanted)| same(part, wanted)).count();
        if common > self.depth {
            (self.depth, self.folder) = (common, parts[..common].join(&b'/'));
            self.names.clear();
        }
        if let (true, Some(name), Some(wanted)) = (common == self.depth, parts.get(common), self.wanted.get(common)) {
            let candidate = parts[..=common].join(&b'/');
            let name = String::from_utf8_lossy(name).to_lowercase();
            if !self.names.iter().any(|(_, known)| *known == candidate) {
                let steps = distance(&name, wanted);
                if steps <= name.chars().count().max(wanted.chars().count()).div_ceil(3) {
                    self.names.push((steps, candidate));
                    self.names.sort_by_key(|(steps, _)| *steps);
                    self.names.truncate(MOST);
                }
            }
        }
        if self.elsewhere.len() < MOST && parts.last().zip(self.wanted.last()).is_some_and(|(part, wanted)| same(part, wanted)) {
            self.elsewhere.push(path.to_vec());
        }
    }

    /// The end of an error: `; did you mean /srv/services?`, or nothing.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut paths: Vec<&Vec<u8>> = self.names.iter().map(|(_, path)| path).chain(&self.elsewhere).collect();
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| seen.insert(*path));
        for (number, path) in paths.iter().take(MOST).enumerate() {
            let before = if number == 0 { "; did you mean" } else { " or" };
            // Writing to a text cannot fail.
            let _ = write!(text, "{before} {}", absolute(path));
        }
        match (text.is_empty(), self.depth) {
            (true, 0) => text,
            (true, _) => format!("; of that there is {}", absolute(&self.folder)),
            (false, _) => text + "?",
        }
    }
}

/// Whether a name is one that was typed, but for capitals. `wanted` has none.
fn same(part: &[u8], wanted: &str) -> bool {
    part == wanted.as_bytes() || String::from_utf8_lossy(part).to_lowercase() == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(wanted: &str) -> String {
        let mut near = Nearest::to(wanted.as_bytes());
        for path in ["srv/services", "srv/services/grafana", "srv/services/grafana/grafana.db", "srv/services/loki", "etc/Hosts"] {
            near.see(path.as_bytes());
        }
        near.text()
    }

    #[test]
    fn slips_capitals_and_other_folders() {
        assert_eq!(near("srv/servces/grafana"), "; did you mean /srv/services or /srv/services/grafana?");
        assert_eq!(near("srv/services/Grafana/grafana.bd"), "; did you mean /srv/services/grafana/grafana.db?");
        assert_eq!(near("etc/hosts"), "; did you mean /etc/Hosts?");
        assert_eq!(near("grafana.db"), "; did you mean /srv/services/grafana/grafana.db?");
        assert_eq!(near("srv/services/elephants"), "; of that there is /srv/services");
        assert_eq!(near("quite/elsewhere"), "");
    }
}
