//! What became of one path between two archives, and the sums of that. Pure.

use offsite_archive::{ArchiveName, Kind, PathText};
use serde::Serialize;

use crate::{
    browse::{
        content::Sameness,
        item::{Data, Item, Side},
        show::{self, Style},
    },
    human::{count, number},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that is told.
    None,
    Added,
    Removed,
    /// Its content, its kind or where it points is another; and what else changed.
    Modified(Vec<String>),
    /// Its time is another, its length is not, and its content was not read; and what else changed.
    Maybe(Vec<String>),
    /// This is not as it was; and what is known of its content, if it has one: never that it is another.
    Metadata(Vec<String>, Option<Sameness>),
}

/// Compares an entry, or its absence, in two archives; `same` tells of the contents of two files.
pub(crate) fn change(a: Option<&Item>, b: Option<&Item>, same: impl Fn(&Data, &Data) -> Sameness) -> Change {
    let (a, b) = match (a, b) {
        (None, None) => return Change::None,
        (None, Some(_)) => return Change::Added,
        (Some(_), None) => return Change::Removed,
        (Some(a), Some(b)) => (a, b),
    };
    if a.kind() != b.kind() {
        return Change::Modified(vec![format!("was {}, is {}", called(a.kind()), called(b.kind()))]);
    }
    let content = match (&a.data, &b.data) {
        (Some(of_a), Some(of_b)) => Some(same(of_a, of_b)),
        _ => None,
    };
    let same_time = a.entry.mtime == b.entry.mtime;
    let mut notes = notes(a, b);
    match content {
        Some(Sameness::Different) => {
            if same_time && a.size() == b.size() {
                notes.push("its time and length are as before".to_owned());
            }
            Change::Modified(notes)
        }
        Some(Sameness::Unknown) if !same_time => Change::Maybe(notes),
        _ if a.data.is_none() && a.entry.link != b.entry.link => {
            let to = |item: &Item| item.entry.link.as_ref().map(ToString::to_string).unwrap_or_default();
            notes.push(format!("pointed to {}", to(a)));
            Change::Modified(notes)
        }
        _ if a.entry.device != b.entry.device => Change::Modified(notes),
        _ => {
            // Each name that comes or goes changes its folder's time: that says nothing by itself.
            if !same_time && a.kind() != Kind::Dir {
                notes.push("time".to_owned());
            }
            if notes.is_empty() { Change::None } else { Change::Metadata(notes, content) }
        }
    }
}

fn notes(a: &Item, b: &Item) -> Vec<String> {
    let (mut notes, a, b) = (Vec::new(), &a.entry, &b.entry);
    if a.mode != b.mode {
        notes.push(format!("mode {:04o} -> {:04o}", a.mode, b.mode));
    }
    if (a.uid, a.gid) != (b.uid, b.gid) {
        notes.push(format!("owner {} -> {}", show::ids(a), show::ids(b)));
    } else if (&a.user, &a.group) != (&b.user, &b.group) {
        notes.push(format!("owner's name {} -> {}", show::owner(a), show::owner(b)));
    }
    let first = |kind: Kind| kind == Kind::Hardlink;
    if (first(a.kind) || first(b.kind)) && a.link != b.link {
        notes.push("hard links".to_owned());
    }
    notes
}

fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Dir => "a folder",
        Kind::Symlink => "a symbolic link",
        Kind::Hardlink => "a hard link to nothing",
        Kind::Fifo => "a named pipe",
        Kind::Char | Kind::Block => "a device",
    }
}

/// Said of a file whose time and length are as before while its frames are not, so that nobody takes it for the same.
const UNREAD: &str = "its content was not read";

pub(super) fn cells(change: &Change, path: &PathText, a: Option<&Item>, b: Option<&Item>, style: &Style) -> Vec<String> {
    let (sign, notes): (_, &[String]) = match change {
        Change::None => (" ", &[]),
        Change::Added => ("+", &[]),
        Change::Removed => ("-", &[]),
        Change::Modified(notes) => ("M", notes),
        Change::Maybe(notes) => ("?", notes),
        Change::Metadata(notes, _) => ("m", notes),
    };
    let unread = matches!(change, Change::Metadata(_, Some(Sameness::Unknown))).then_some(UNREAD);
    let size = |item: &Item| (item.kind() == Kind::File).then(|| style.size(item.size()));
    let sizes = match (a.and_then(size), b.and_then(size)) {
        (Some(a), Some(b)) if a != b => format!("{a} -> {b}"),
        (a, b) => b.or(a).unwrap_or_default(),
    };
    let folder = b.or(a).is_some_and(|item| item.kind() == Kind::Dir && item.key() != b"");
    let link = b.or(a).and_then(|item| item.entry.link.as_ref().filter(|_| item.entry.kind == Kind::Symlink));
    let mut name = format!("{path}{}", if folder { "/" } else { "" });
    if let Some(link) = link {
        name.push_str(&format!(" -> {link}"));
    }
    let notes: Vec<&str> = notes.iter().map(String::as_str).chain(unread).collect();
    if !notes.is_empty() {
        name.push_str(&format!("  ({})", notes.join(", ")));
    }
    vec![sign.to_owned(), sizes, name]
}

#[derive(Serialize)]
pub(super) struct Json<'a> {
    change: &'static str,
    path: &'a PathText,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Side<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Side<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Sameness>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

pub(super) fn json<'a>(change: &'a Change, path: &'a PathText, a: Option<&'a Item>, b: Option<&'a Item>) -> Json<'a> {
    let file = b.or(a).is_some_and(|item| item.data.is_some());
    let told = |content| file.then_some(content);
    let (change, content, notes): (_, _, &[String]) = match change {
        Change::None => ("none", None, &[]),
        Change::Added => ("added", None, &[]),
        Change::Removed => ("removed", None, &[]),
        Change::Modified(notes) => ("modified", told(Sameness::Different), notes),
        Change::Maybe(notes) => ("maybe", told(Sameness::Unknown), notes),
        Change::Metadata(notes, content) => ("metadata", *content, notes),
    };
    Json { change, path, before: a.map(Side::of), after: b.map(Side::of), content, notes }
}

/// How many paths changed in which way, and the bytes in them. A file with several names counts once for its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sums {
    added: u64,
    added_bytes: u64,
    removed: u64,
    removed_bytes: u64,
    modified: u64,
    modified_bytes_before: u64,
    modified_bytes_after: u64,
    maybe: u64,
    maybe_bytes: u64,
    metadata: u64,
    unchanged: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, change: &Change, a: Option<&Item>, b: Option<&Item>) {
        let bytes = |item: Option<&Item>| item.map_or(0, |item| item.entry.size);
        match change {
            Change::None => self.unchanged += 1,
            Change::Added => {
                self.added += 1;
                self.added_bytes = self.added_bytes.saturating_add(bytes(b));
            }
            Change::Removed => {
                self.removed += 1;
                self.removed_bytes = self.removed_bytes.saturating_add(bytes(a));
            }
            Change::Modified(_) => {
                self.modified += 1;
                self.modified_bytes_before = self.modified_bytes_before.saturating_add(bytes(a));
                self.modified_bytes_after = self.modified_bytes_after.saturating_add(bytes(b));
            }
            Change::Maybe(_) => {
                self.maybe += 1;
                self.maybe_bytes = self.maybe_bytes.saturating_add(bytes(b));
            }
            Change::Metadata(..) => self.metadata += 1,
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.added + self.removed + self.modified + self.maybe + self.metadata > 0
    }

    pub(crate) fn text(&self, style: &Style) -> String {
        let mut parts = vec![
            format!("{} added ({})", number(self.added), style.size(self.added_bytes)),
            format!("{} removed ({})", number(self.removed), style.size(self.removed_bytes)),
            format!(
                "{} modified ({} -> {})",
                number(self.modified),
                style.size(self.modified_bytes_before),
                style.size(self.modified_bytes_after)
            ),
        ];
        if self.maybe > 0 {
            parts.push(format!("{} perhaps modified ({})", number(self.maybe), style.size(self.maybe_bytes)));
        }
        if self.metadata > 0 {
            parts.push(format!("{} with another mode, owner or time", number(self.metadata)));
        }
        format!("{}; {} unchanged", parts.join(", "), count(self.unchanged, "entry", "entries"))
    }

    pub(super) fn json<'a>(&'a self, a: &'a ArchiveName, b: &'a ArchiveName) -> Summary<'a> {
        Summary { summary: Inner { a, b, sums: self } }
    }
}

#[derive(Serialize)]
pub(super) struct Summary<'a> {
    summary: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    a: &'a ArchiveName,
    b: &'a ArchiveName,
    #[serde(flatten)]
    sums: &'a Sums,
}
