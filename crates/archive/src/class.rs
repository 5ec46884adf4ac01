//! Which class a large file has: how its content is cut.
//!
//! Invariant: pure, and the same every night for the same path and first bytes. A wrong guess costs bytes, never correctness, so
//! the rules are few: page files by what they are, texts by what they are called, all else is data.

use crate::Class;

const SQLITE: &[u8; 16] = b"SQLite format 3\0";
const TEXTS: [&[u8]; 10] = [b"sql", b"csv", b"tsv", b"json", b"ndjson", b"ldif", b"txt", b"log", b"xml", b"md"];

/// Extensions of what is compressed already: pictures, sound, film, archives, documents that are zip files inside, fonts.
const PACKED: [&[u8]; 34] = [
    b"jpg", b"jpeg", b"png", b"gif", b"webp", b"heic", b"avif", b"mp3", b"m4a", b"aac", b"ogg", b"opus", b"flac", b"mp4", b"m4v", b"mov",
    b"mkv", b"webm", b"gz", b"tgz", b"bz2", b"xz", b"zst", b"zip", b"7z", b"rar", b"jar", b"apk", b"docx", b"xlsx", b"pptx", b"odt",
    b"epub", b"woff2",
];

/// Whether the file at `path` is called like one that is compressed already, so that it has nothing to gain from its neighbours.
pub(crate) fn is_packed(path: &[u8]) -> bool {
    has_extension(path, &PACKED)
}

/// The class of the file at `path` (absolute or relative) whose content begins with `first` (16 bytes suffice).
pub fn classify(path: &[u8], first: &[u8]) -> Class {
    if first.starts_with(SQLITE) || is_relation(path) {
        Class::Page
    } else if is_text(path) {
        Class::Text
    } else {
        Class::Data
    }
}

/// A PostgreSQL relation file: `base/<database>/<file>` or `global/<file>`, the file a number with an optional fork and segment.
fn is_relation(path: &[u8]) -> bool {
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let (name, folder, above) = (parts.next(), parts.next(), parts.next());
    let placed = folder == Some(b"global") || (above == Some(b"base") && folder.is_some_and(is_digits));
    placed && name.is_some_and(is_relation_name)
}

fn is_relation_name(name: &[u8]) -> bool {
    let (stem, segment) = match name.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&name[..dot], is_digits(&name[dot + 1..])),
        None => (name, true),
    };
    let number = [&b"_fsm"[..], b"_vm", b"_init"].iter().find_map(|fork| stem.strip_suffix(*fork)).unwrap_or(stem);
    segment && is_digits(number)
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn is_text(path: &[u8]) -> bool {
    has_extension(path, &TEXTS)
}

fn has_extension(path: &[u8], extensions: &[&[u8]]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 => extensions.iter().any(|known| name[dot + 1..].eq_ignore_ascii_case(known)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_files_by_content_or_place() {
        for path in ["/srv/a/library.db", "x.sql", "noextension"] {
            assert_eq!(classify(path.as_bytes(), b"SQLite format 3\0rest"), Class::Page, "{path}");
        }
        for path in
            ["/srv/pg/base/5/2619", "base/16384/16385.1", "pg/base/1/2619_fsm", "pg/base/1/2619_vm.2", "pg/base/1/9_init", "global/1262"]
        {
            assert_eq!(classify(path.as_bytes(), b""), Class::Page, "{path}");
        }
        for path in [
            "base/5/pg_filenode.map",
            "global/pg_control",
            "base/x/1",
            "base/5/1.x",
            "base/5/1.",
            "database/5/1",
            "base/1",
            "5/1",
            "1",
            "base/5/_fsm",
        ] {
            assert_eq!(classify(path.as_bytes(), b"SQLite format 4\0"), Class::Data, "{path}");
        }
    }

    #[test]
    fn texts_by_extension() {
        for path in ["/srv/dumps/all.sql", "a.CSV", "b.Json", "x/y.ndjson", "a.tar.log", "README.md"] {
            assert_eq!(classify(path.as_bytes(), b""), Class::Text, "{path}");
        }
        for path in ["/srv/a.sql/b", "a.sqlx", "sql", ".sql", "a.sql.gz", "a.", "", "/", "a/"] {
            assert_eq!(classify(path.as_bytes(), b""), Class::Data, "{path}");
        }
    }

    #[test]
    fn packed_by_extension() {
        for path in ["posters/1.jpg", "a.JPEG", "thumbs/x.webp", "dump.sql.gz", "b.Docx"] {
            assert!(is_packed(path.as_bytes()), "{path}");
        }
        for path in ["a.txt", "jpg", ".jpg", "a.jpg/b", "a.jpgx", "a.", "", "a.pdf", "a.svg"] {
            assert!(!is_packed(path.as_bytes()), "{path}");
        }
    }
}
