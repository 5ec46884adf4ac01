//! POSIX ACLs: the kernel's attribute and the text that stands in a tar.
//!
//! The attribute is little-endian: version 2, then for each entry a tag, its permissions and a number. The text is what GNU tar
//! writes, one entry a line, with numbers instead of names: numbers are what the restored containers run as, and names need not
//! exist on the machine that restores. On reading, a name is accepted where a number follows it, as star and bsdtar write, or where
//! this host knows it, as GNU tar writes.

use super::Names;

/// The attribute that holds the access ACL.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute that holds a directory's default ACL.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

/// Entries of one ACL; a file system allows some thousand at most.
const LIMIT: usize = 8192;

const TAGS: [(u16, &str); 6] = [(0x01, "user"), (0x02, "user"), (0x04, "group"), (0x08, "group"), (0x10, "mask"), (0x20, "other")];
const NAMED: [u16; 2] = [0x02, 0x08];

/// The attribute as text; None when it is not an ACL this crate knows.
pub(crate) fn to_text(attribute: &[u8]) -> Option<String> {
    let entries = attribute.strip_prefix(&[2, 0, 0, 0])?;
    if entries.len() % 8 != 0 || entries.len() / 8 > LIMIT {
        return None;
    }
    let mut text = String::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let word = TAGS.iter().find(|known| known.0 == tag)?.1;
        let number = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let who = if NAMED.contains(&tag) { number.to_string() } else { String::new() };
        let allowed = |bit: u8, letter: char| if entry[2] & bit != 0 { letter } else { '-' };
        text.push_str(&format!("{word}:{who}:{}{}{}\n", allowed(4, 'r'), allowed(2, 'w'), allowed(1, 'x')));
    }
    Some(text)
}

/// The attribute for a text; None when the text is no ACL, or names someone whose number neither it nor `names` tells.
pub(crate) fn from_text(text: &[u8], names: &Names) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries: Vec<(u16, u32, u8)> = Vec::new();
    for line in text.split(['\n', ',']) {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        if entries.len() == LIMIT {
            return None;
        }
        entries.push(entry(line, names)?);
    }
    // The kernel wants them by tag, and each number once.
    entries.sort_unstable();
    if entries.is_empty() || entries.windows(2).any(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        return None;
    }
    let mut attribute = vec![2, 0, 0, 0];
    for (tag, number, allowed) in entries {
        attribute.extend_from_slice(&tag.to_le_bytes());
        attribute.extend_from_slice(&u16::from(allowed).to_le_bytes());
        attribute.extend_from_slice(&number.to_le_bytes());
    }
    Some(attribute)
}

fn entry(line: &str, names: &Names) -> Option<(u16, u32, u8)> {
    let mut fields = line.split(':').map(str::trim);
    let word = fields.next()?;
    let mut who = fields.next()?;
    let mut allowed = fields.next();
    // Solaris and star write `mask:rwx` and `other:rwx`.
    if allowed.is_none() && matches!(word, "mask" | "m" | "other" | "o") {
        (who, allowed) = ("", Some(who));
    }
    let allowed = allowed?.chars().try_fold(0, |sum, letter| match letter {
        'r' => Some(sum | 4),
        'w' => Some(sum | 2),
        'x' => Some(sum | 1),
        '-' => Some(sum),
        _ => None,
    })?;
    let (owner, named) = match word {
        "user" | "u" => (0x01, 0x02),
        "group" | "g" => (0x04, 0x08),
        "mask" | "m" if who.is_empty() => return Some((0x10, u32::MAX, allowed)),
        "other" | "o" if who.is_empty() => return Some((0x20, u32::MAX, allowed)),
        _ => return None,
    };
    if who.is_empty() {
        return Some((owner, u32::MAX, allowed));
    }
    let known = || if named == 0x02 { names.uid(who) } else { names.gid(who) };
    let number = who.parse().ok().or_else(|| fields.next()?.parse().ok()).or_else(known)?;
    Some((named, number, allowed))
}

/// The nine permission bits that a file with this ACL has: where there is a mask, it stands in the group's place.
pub(crate) fn permissions(attribute: &[u8]) -> Option<u32> {
    let entries = attribute.strip_prefix(&[2, 0, 0, 0])?;
    let find = |tag: u8| entries.chunks_exact(8).find(|entry| entry[0] == tag).map(|entry| u32::from(entry[2] & 7));
    Some(find(0x01)? << 6 | find(0x10).or_else(|| find(0x04))? << 3 | find(0x20)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "user::rwx\nuser:472:r--\ngroup::r-x\ngroup:10001:rw-\nmask::rwx\nother::---\n";

    #[test]
    fn text_and_back() {
        let attribute = from_text(TEXT.as_bytes(), &Names::default()).unwrap();
        assert_eq!(attribute.len(), 4 + 6 * 8);
        assert_eq!(to_text(&attribute).unwrap(), TEXT);
    }

    #[test]
    fn reads_what_others_write() {
        let ours = from_text(TEXT.as_bytes(), &Names::default()).unwrap();
        let star = "user::rwx,user:grafana:r--:472,group::r-x,group:loki:rw-:10001,mask::rwx,other::---";
        let solaris = "user::rwx,user:472:r--,group::r-x,group:10001:rw-\t#effective:rw-\nmask:rwx,other:---";
        assert_eq!(from_text(star.as_bytes(), &Names::default()).unwrap(), ours);
        assert_eq!(from_text(solaris.replace("\t#effective:rw-\n", " #effective:rw-\n").as_bytes(), &Names::default()).unwrap(), ours);
    }

    #[test]
    fn permissions_are_the_masks_where_there_is_one() {
        let of = |text: &str| permissions(&from_text(text.as_bytes(), &Names::default()).unwrap());
        assert_eq!(of(TEXT), Some(0o770));
        assert_eq!(of("u::rw-,g::r-x,o::--x"), Some(0o651));
        assert_eq!(of("u::rw-"), None);
    }

    #[test]
    fn names_of_this_host() {
        let names = Names::parse(b"grafana:x:472:0\n", b"loki:x:10001:\n");
        let gnu = TEXT.replace("472", "grafana").replace("10001", "loki");
        assert_eq!(to_text(&from_text(gnu.as_bytes(), &names).unwrap()).unwrap(), TEXT);
    }

    #[test]
    fn refuses_what_is_no_acl() {
        for text in [
            "",
            "user",
            "user:",
            "user::rwz",
            "user:nobody:rwx",
            "mask:5:rwx",
            "user::rwx\nuser::r--",
            "a\u{0}:b",
            "owner::rwx",
            "user:99999999999:r--",
        ] {
            assert_eq!(from_text(text.as_bytes(), &Names::default()), None, "{text}");
        }
        for bytes in [&b""[..], &[1, 0, 0, 0], &[2, 0, 0, 0, 1], &[2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0]] {
            assert_eq!(to_text(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_what_it_reads_it_writes_again(text in "[ug]?[a-z]{0,4}:[0-9a-z]{0,5}:[rwx-]{0,3}[,\n:#]{0,2}[a-z:]{0,10}", bytes: Vec<u8>) {
            let _: Option<String> = to_text(&bytes);
            if let Some(attribute) = from_text(text.as_bytes(), &Names::default()) {
                prop_assert_eq!(from_text(to_text(&attribute).unwrap().as_bytes(), &Names::default()), Some(attribute));
            }
        }
    }
}
