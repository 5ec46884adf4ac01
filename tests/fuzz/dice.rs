//! Numbers out of a seed, and what is done with bytes by them.
//!
//! The changes are those that defects and attackers make: bits that flip, pieces that are lost, doubled or moved, numbers at the edges
//! of their types. The same seed gives the same changes on every machine, so a case that fails once fails again.

/// An endless row of numbers, the same for the same seed.
pub(crate) struct Dice(blake3::OutputReader);

/// Numbers at which counting goes wrong.
const EDGES: [u64; 14] =
    [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 53, i64::MAX as u64, 1 << 63, u64::MAX];

impl Dice {
    pub(crate) fn new(target: &str, case: u64) -> Self {
        Self(blake3::Hasher::new().update(target.as_bytes()).update(&case.to_le_bytes()).finalize_xof())
    }

    /// A number below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % (end as u64).max(1)) as usize
    }

    /// True once in `times`.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn edge(&mut self) -> u64 {
        let edge = *self.pick(&EDGES);
        match self.below(3) {
            0 => edge,
            1 => edge.wrapping_add(1),
            _ => edge.wrapping_sub(1),
        }
    }

    /// A piece of `len` bytes or less.
    pub(crate) fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let from = self.below(len);
        // Short ones mostly: what is hurt slightly gets further.
        let longest = if self.one_in(4) { len - from } else { (len - from).min(16) };
        from..from + self.below(longest + 1)
    }

    /// Does one to four things to `bytes`; pieces may come from `other`.
    pub(crate) fn hurt(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(9) {
                0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[at] = *self.pick(&[0, b' ', b'"', b'/', b'.', b'9', 0x7f, 0x80, 0xff]),
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(self.range(bytes.len()))),
                5 => {
                    let piece = bytes[self.range(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                6 => {
                    let piece = &other[self.range(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                7 => {
                    let edge = self.edge().to_le_bytes();
                    let len = *self.pick(&[1, 2, 4, 8]);
                    let end = (at + len).min(bytes.len());
                    bytes.splice(at..end, edge[..len].iter().copied());
                }
                _ => {
                    let (from, len) = (self.range(bytes.len()), bytes.len());
                    let to = self.below(len.saturating_sub(from.len()) + 1);
                    bytes.copy_within(from, to);
                }
            }
        }
    }

    /// Does one to three things to lines of JSON: to their order, or to a value in one of them.
    pub(crate) fn hurt_lines(&mut self, lines: &mut Vec<String>) {
        for _ in 0..=self.below(3) {
            let at = self.below(lines.len());
            match self.below(8) {
                0 if !lines.is_empty() => drop(lines.remove(at)),
                1 if !lines.is_empty() => lines.insert(at, lines[self.below(lines.len())].clone()),
                2 if !lines.is_empty() => {
                    let other = self.below(lines.len());
                    lines.swap(at, other);
                }
                _ if !lines.is_empty() => lines[at] = self.hurt_value(&lines[at]),
                _ => {}
            }
        }
    }

    /// Puts another value in the place of one in a line of JSON.
    fn hurt_value(&mut self, line: &str) -> String {
        let mut values: Vec<usize> = line.match_indices([':', '[', ',']).map(|(at, _)| at + 1).collect();
        let mut paths = line.match_indices("\"path\":").map(|(at, key)| at + key.len());
        if let Some(path) = paths.next().filter(|_| self.one_in(3)) {
            values = vec![path];
        }
        if values.is_empty() {
            return line.to_owned();
        }
        let from = *self.pick(&values);
        let quoted = line[from..].starts_with('"');
        let end = line[from..].char_indices().skip(1).find(|(_, letter)| if quoted { *letter == '"' } else { ",}]".contains(*letter) });
        let end = end.map_or(line.len(), |(at, _)| from + at + usize::from(quoted));
        let long;
        let value = match self.below(6) {
            0 => self.edge().to_string(),
            1 => format!("-{}", self.edge()),
            2 => {
                long = format!("\"/{}\"", "a/".repeat(self.below(5000)));
                long
            }
            _ => (*self.pick(&[
                "null",
                "\"\"",
                "\"/\"",
                "\"/..\"",
                "\"/srv/../../etc\"",
                "\"relative\"",
                "\"/a\\u0000b\"",
                "[]",
                "{}",
                "1e308",
                "0.5",
                "\"file\"",
                "\"dir\"",
                "\"hardlink\"",
                "\"symlink\"",
                "\"/srv\"",
                "\"/srv/demo/hello.txt\"",
                "true",
            ]))
            .to_owned(),
        };
        format!("{}{value}{}", &line[..from], &line[end..])
    }
}
