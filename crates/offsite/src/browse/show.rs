//! How entries look to people: modes, owners, times. Pure.

use jiff::{Timestamp, tz::TimeZone};
use offsite_archive::{Entry, Kind, Mtime};

use super::item::Item;
use crate::{
    human::{Align, number, plain, size},
    restore::from::From,
};

pub(crate) const COLUMNS: &[Align] = &[Align::Left, Align::Left, Align::Left, Align::Right, Align::Left, Align::Left];

/// What every list of entries takes: how it is shown, and from where.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Sizes in bytes
    #[arg(long, conflicts_with = "json")]
    pub bytes: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) bytes: bool,
    pub(crate) zone: TimeZone,
}

impl Style {
    pub(crate) fn new(bytes: bool) -> Self {
        Self { bytes, zone: TimeZone::system() }
    }

    pub(crate) fn size(&self, bytes: u64) -> String {
        if self.bytes { number(bytes) } else { size(bytes) }
    }

    /// A time of modification, to the second.
    pub(crate) fn time(&self, mtime: Mtime) -> String {
        match Timestamp::from_second(mtime.0) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            // Further away than a calendar goes.
            Err(_) => format!("@{}", mtime.0),
        }
    }
}

/// `-rw-r--r--`, with `h` for a further name of a file.
pub(crate) fn mode(kind: Kind, mode: u32) -> String {
    let mut text = String::from(match kind {
        Kind::File => '-',
        Kind::Dir => 'd',
        Kind::Symlink => 'l',
        Kind::Hardlink => 'h',
        Kind::Fifo => 'p',
        Kind::Char => 'c',
        Kind::Block => 'b',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// `grafana:grafana`; numbers where names are not known.
pub(crate) fn owner(entry: &Entry) -> String {
    let name = |name: &str, id: u32| if name.is_empty() { id.to_string() } else { plain(name) };
    format!("{}:{}", name(&entry.user, entry.uid), name(&entry.group, entry.gid))
}

/// `472:472`.
pub(crate) fn ids(entry: &Entry) -> String {
    format!("{}:{}", entry.uid, entry.gid)
}

pub(crate) fn cells(item: &Item, name: &str, style: &Style) -> Vec<String> {
    let entry = &item.entry;
    let length = match (entry.device, item.kind()) {
        (Some((major, minor)), _) => format!("{major}, {minor}"),
        (None, Kind::File) => style.size(item.size()),
        (None, _) => "-".to_owned(),
    };
    let name = match (&entry.link, entry.kind) {
        (Some(link), Kind::Hardlink) => format!("{name} link to {link}"),
        (Some(link), _) => format!("{name} -> {link}"),
        (None, _) => name.to_owned(),
    };
    vec![mode(entry.kind, entry.mode), owner(entry), ids(entry), length, style.time(entry.mtime), name]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_ls() {
        for (kind, bits, text) in [
            (Kind::File, 0o644, "-rw-r--r--"),
            (Kind::Dir, 0o1777, "drwxrwxrwt"),
            (Kind::Dir, 0o2775, "drwxrwsr-x"),
            (Kind::File, 0o4755, "-rwsr-xr-x"),
            (Kind::File, 0o7000, "---S--S--T"),
            (Kind::Hardlink, 0, "h---------"),
            (Kind::Symlink, 0o777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode(kind, bits), text);
        }
    }

    #[test]
    fn times_are_of_the_place_and_beyond_the_calendar_plain_numbers() {
        let style = Style { bytes: false, zone: TimeZone::posix("CET-1").unwrap() };
        assert_eq!(style.time(Mtime(0, 0)), "1970-01-01 01:00:00");
        assert_eq!(style.time(Mtime(-1, 999_999_999)), "1970-01-01 00:59:59");
        assert_eq!(style.time(Mtime(i64::MAX, 0)), "@9223372036854775807");
    }
}
