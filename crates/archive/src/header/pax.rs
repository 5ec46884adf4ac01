//! The pax records of a member: only those it needs, always in the same order.
//!
//! An ordinary file of an ordinary user with a whole-second time needs none, and costs one block.

use super::{Member, octal_most};
use crate::Mtime;

/// The records of `member`, one after another; empty when ustar says it all. `name` is its whole tar name, `stored` its length there.
pub(super) fn records(member: &Member<'_>, name: &[u8], stored: u64) -> Vec<u8> {
    let sparse = member.segments.is_some();
    let long_name = (name.len() > 100 && !sparse).then_some(name);
    let sparse_name = sparse.then_some(name);
    let long_link = member.link.filter(|link| link.len() > 100);

    let mut out = Vec::new();
    if [long_name, sparse_name, long_link].into_iter().flatten().any(|value| std::str::from_utf8(value).is_err()) {
        record(&mut out, b"hdrcharset", b"BINARY");
    }
    let mut some = |key: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            record(&mut out, key.as_bytes(), value);
        }
    };
    let large = |value: u64, width: usize| (value > octal_most(width)).then(|| value.to_string().into_bytes());
    some("path", long_name);
    some("linkpath", long_link);
    some("size", large(stored, 12).as_deref());
    some("uid", large(u64::from(member.uid), 8).as_deref());
    some("gid", large(u64::from(member.gid), 8).as_deref());
    some("uname", Some(member.user.as_bytes()).filter(|user| user.len() > 31));
    some("gname", Some(member.group.as_bytes()).filter(|group| group.len() > 31));
    some("mtime", mtime(member.mtime).as_deref().map(str::as_bytes));
    some("SCHILY.acl.access", member.attributes.access.as_deref().map(str::as_bytes));
    some("SCHILY.acl.default", member.attributes.default.as_deref().map(str::as_bytes));
    for (name, value) in &member.attributes.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", &key(name)[..]].concat(), value);
    }
    if let Some(name) = sparse_name {
        record(&mut out, b"GNU.sparse.major", b"1");
        record(&mut out, b"GNU.sparse.minor", b"0");
        record(&mut out, b"GNU.sparse.name", name);
        record(&mut out, b"GNU.sparse.realsize", member.size.to_string().as_bytes());
    }
    out
}

/// The time as text, where the ustar field cannot hold it.
fn mtime(Mtime(seconds, nanos): Mtime) -> Option<String> {
    if nanos == 0 {
        return (seconds < 0 || seconds.unsigned_abs() > octal_most(12)).then(|| seconds.to_string());
    }
    // Before 1970 the text counts back from zero, the value forward from the second before: -2 s + 0.75 s is -1.25.
    let (sign, whole, part) =
        if seconds < 0 { ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos) } else { ("", seconds.unsigned_abs(), nanos) };
    Some(format!("{sign}{whole}.{}", format!("{part:09}").trim_end_matches('0')))
}

/// An attribute's name inside a key, which ends at the first `=`: GNU tar's escape, and no other.
fn key(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'=' => escaped.extend_from_slice(b"%3D"),
            b'%' => escaped.extend_from_slice(b"%25"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        for len in (0..1100).chain(9_900..10_100) {
            let mut out = Vec::new();
            record(&mut out, b"k", &vec![b'v'; len]);
            let stated: usize = std::str::from_utf8(&out).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, out.len());
        }
    }

    #[test]
    fn times() {
        let text = |seconds, nanos| mtime(Mtime(seconds, nanos)).unwrap_or_default();
        assert_eq!(text(0, 0), "");
        assert_eq!(text(1_700_000_000, 0), "");
        assert_eq!(text(1_700_000_000, 120_000_000), "1700000000.12");
        assert_eq!(text(0, 1), "0.000000001");
        assert_eq!(text(-1, 0), "-1");
        assert_eq!(text(-1, 500_000_000), "-0.5");
        assert_eq!(text(-2, 750_000_000), "-1.25");
        assert_eq!(text(1 << 40, 0), "1099511627776");
        assert_eq!(text(i64::MIN, 1), "-9223372036854775807.999999999");
    }
}
