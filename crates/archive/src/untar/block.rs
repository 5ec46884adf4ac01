//! One header block.

use super::{Member, TarError};
use crate::header::BLOCK;
use crate::{Kind, Mtime};

/// A header block that carries its checksum rightly.
pub(super) struct Header {
    pub(super) at: u64,
    pub(super) flag: u8,
    pub(super) size: u64,
    block: [u8; BLOCK],
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK], at: u64) -> Result<Self, TarError> {
        let stated = number(&block[148..156]).ok_or(TarError::Checksum { at })?;
        let bytes = || block.iter().enumerate().map(|(place, &byte)| if (148..156).contains(&place) { b' ' } else { byte });
        let unsigned: i128 = bytes().map(i128::from).sum();
        // Old Unix tars summed signed bytes.
        let signed: i128 = bytes().map(|byte| i128::from(byte.cast_signed())).sum();
        if stated != unsigned && stated != signed {
            return Err(TarError::Checksum { at });
        }
        let mut header = Self { at, flag: block[156], size: 0, block: *block };
        header.size = header.unsigned(124..136, "size")?;
        Ok(header)
    }

    /// The member this block describes, before any extended header is applied.
    pub(super) fn member(&self, at: u64, data: u64) -> Result<Member, TarError> {
        let kind = match self.flag {
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Dir,
            b'6' => Kind::Fifo,
            other => return Err(TarError::Type { at: self.at, flag: char::from(other) }),
        };
        let mut path = text(&self.block[0..100]).to_vec();
        let posix = self.block[257..263] == *b"ustar\0";
        let prefix = text(&self.block[345..500]);
        if posix && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let named = self.block[257..262] == *b"ustar";
        let name = |range: std::ops::Range<usize>| if named { text(&self.block[range]).to_vec() } else { Vec::new() };
        let is_device = matches!(kind, Kind::Char | Kind::Block);
        Ok(Member {
            path,
            kind,
            mode: self.unsigned32(100..108, "mode")? & 0o7777,
            uid: self.unsigned32(108..116, "uid")?,
            gid: self.unsigned32(116..124, "gid")?,
            user: name(265..297),
            group: name(297..329),
            size: 0,
            mtime: Mtime(self.signed(136..148, "mtime")?, 0),
            link: matches!(kind, Kind::Hardlink | Kind::Symlink).then(|| text(&self.block[157..257]).to_vec()),
            device: if is_device { Some((self.unsigned32(329..337, "device")?, self.unsigned32(337..345, "device")?)) } else { None },
            xattrs: Vec::new(),
            access: None,
            default: None,
            segments: None,
            at,
            data,
            stored: self.size,
        })
    }

    fn signed(&self, range: std::ops::Range<usize>, field: &'static str) -> Result<i64, TarError> {
        number(&self.block[range]).and_then(|value| value.try_into().ok()).ok_or(TarError::Number { at: self.at, field })
    }

    fn unsigned(&self, range: std::ops::Range<usize>, field: &'static str) -> Result<u64, TarError> {
        self.signed(range, field).and_then(|value| value.try_into().map_err(|_| TarError::Number { at: self.at, field }))
    }

    fn unsigned32(&self, range: std::ops::Range<usize>, field: &'static str) -> Result<u32, TarError> {
        self.signed(range, field).and_then(|value| value.try_into().map_err(|_| TarError::Number { at: self.at, field }))
    }
}

/// A text field, up to its first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number: octal digits among spaces, nothing at all for 0, or binary where the first bit is set.
fn number(field: &[u8]) -> Option<i128> {
    if field[0] & 0x80 != 0 {
        // The first byte's second bit is the sign; at most eleven bytes follow, which fit.
        let first = i128::from(field[0] & 0x7f);
        let first = if first & 0x40 != 0 { first - 0x80 } else { first };
        return Some(field[1..].iter().fold(first, |value, &byte| (value << 8) | i128::from(byte)));
    }
    let digits: Vec<u8> = text(field).iter().copied().skip_while(|&byte| byte == b' ').collect();
    let end = digits.iter().position(|&byte| byte == b' ').unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|&byte| byte != b' ') {
        return None;
    }
    digits.iter().try_fold(0, |value, &byte| matches!(byte, b'0'..=b'7').then(|| value << 3 | i128::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"644\0junk"), Some(0o644));
        assert_eq!(number(b"00000644"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"64 4  \0\0"), None);
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"-1\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\x80\0\0\0\0\x20\0\0"), Some(0x20_0000));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
    }

    #[test]
    fn huge_binary_numbers_are_out_of_range_not_wrapped() {
        assert!(number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_some_and(|value| value > i128::from(u64::MAX)));
    }
}
