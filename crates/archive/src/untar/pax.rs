//! Pax records: read, and applied to a member.

use std::collections::BTreeMap;

use super::{Member, TarError};
use crate::Mtime;

/// The last value of each key.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

const XATTR: &[u8] = b"SCHILY.xattr.";

/// Reads the records of one pax header.
pub(super) fn parse(data: &[u8], at: u64) -> Result<Records, TarError> {
    let fault = |reason| TarError::Pax { at, reason };
    let mut records = Records::new();
    let mut rest = data;
    while !rest.is_empty() {
        // Some writers fill up with zeros.
        if rest.iter().all(|&byte| byte == 0) {
            break;
        }
        let space = rest.iter().take(10).position(|&byte| byte == b' ').ok_or_else(|| fault("a record has no length"))?;
        let len =
            decimal(&rest[..space]).and_then(|len| usize::try_from(len).ok()).ok_or_else(|| fault("a record's length is no number"))?;
        if len > rest.len() {
            return Err(fault("a record is longer than the header"));
        }
        let record = rest[..len].get(space + 1..).and_then(|record| record.strip_suffix(b"\n"));
        let record = record.ok_or_else(|| fault("a record does not end with its line"))?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(|| fault("a record has no '='"))?;
        if equals == 0 {
            return Err(fault("a record has no key"));
        }
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        rest = &rest[len..];
    }
    Ok(records)
}

/// Applies `records` to `member`. Gives the real size of a sparse file, whose map comes first in the data.
pub(super) fn apply(records: Records, member: &mut Member) -> Result<Option<u64>, TarError> {
    let at = member.at;
    let fault = |reason| TarError::Pax { at, reason };
    let mut sparse = (None, None, None, None);
    for (key, value) in records {
        let small = |reason| decimal(&value).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| fault(reason));
        match &key[..] {
            // An empty value takes back a global one.
            _ if value.is_empty() && !key.starts_with(XATTR) => {}
            b"path" => member.path = value,
            b"linkpath" => member.link = member.link.as_ref().map(|_| value),
            b"size" => member.stored = decimal(&value).ok_or_else(|| fault("size is no number"))?,
            b"uid" => member.uid = small("uid is no number or out of range")?,
            b"gid" => member.gid = small("gid is no number or out of range")?,
            b"uname" => member.user = value,
            b"gname" => member.group = value,
            b"mtime" => member.mtime = time(&value).ok_or_else(|| fault("mtime is no time"))?,
            b"SCHILY.acl.access" => member.access = Some(value),
            b"SCHILY.acl.default" => member.default = Some(value),
            b"GNU.sparse.major" => sparse.0 = Some(value),
            b"GNU.sparse.minor" => sparse.1 = Some(value),
            b"GNU.sparse.name" => sparse.2 = Some(value),
            b"GNU.sparse.realsize" => sparse.3 = Some(value),
            // The older forms would be taken for plain files, with holes lost and data in the wrong place.
            b"GNU.sparse.map" | b"GNU.sparse.numblocks" | b"GNU.sparse.size" | b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                return Err(fault("GNU sparse format 0.x is not supported"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    member.xattrs.push((unescaped(name), value));
                }
            }
        }
    }
    match sparse {
        (None, None, None, None) => Ok(None),
        (Some(major), Some(minor), name, Some(size)) if major == b"1" && minor == b"0" => {
            member.path = name.unwrap_or_else(|| std::mem::take(&mut member.path));
            decimal(&size).filter(|&size| size <= i64::MAX as u64).map(Some).ok_or_else(|| fault("GNU.sparse.realsize is no size"))
        }
        _ => Err(fault("this GNU sparse format is not supported")),
    }
}

/// Plain digits, and nothing else: no sign, no space.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds with a fraction, which counts away from zero, to the seconds and the nanoseconds after them.
fn time(text: &[u8]) -> Option<Mtime> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let (whole, part) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if !part.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i128::from(decimal(whole)?);
    let nanos = (0..9).fold(0, |value: u32, place| value * 10 + u32::from(part.get(place).map_or(0, |digit| digit - b'0')));
    let (seconds, nanos) = match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    };
    Some(Mtime(seconds.try_into().ok()?, nanos))
}

/// Undoes GNU tar's escape of an attribute's name.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            _ => (first, after),
        };
        out.push(byte);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let records = parse(b"6 a=b\n8 c=\0=\n\n6 a=x\n\0\0", 0).unwrap();
        assert_eq!(records.into_iter().collect::<Vec<_>>(), [(b"a".to_vec(), b"x".to_vec()), (b"c".to_vec(), b"\0=\n".to_vec())]);
    }

    #[test]
    fn lies_about_length_are_errors() {
        for data in [
            "7 a=b\n",
            "5 a=b\n",
            "6 a=b",
            "a=b\n",
            "0 a=b\n",
            "1 ",
            "99999999999999999999 a=b\n",
            "-6 a=b\n",
            "4 ab\n",
            "5 =b\n",
            " 6 a=b\n",
            "+6 a=b\n",
        ] {
            assert!(parse(data.as_bytes(), 0).is_err(), "{data:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"-1.25"), Some(Mtime(-2, 750_000_000)));
        assert_eq!(time(b"-0.5"), Some(Mtime(-1, 500_000_000)));
        assert_eq!(time(b"-3"), Some(Mtime(-3, 0)));
        assert_eq!(time(b"12.1234567899"), Some(Mtime(12, 123_456_789)));
        for text in ["", "-", ".5", "1.2.3", "1e5", " 1", "1.-5", "18446744073709551616", "9223372036854775808"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn attribute_names() {
        assert_eq!(unescaped(b"user.a%3Db%253D%zz%"), b"user.a=b%3D%zz%");
    }
}
