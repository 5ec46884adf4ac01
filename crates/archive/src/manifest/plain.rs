//! Reads entries and frames as our own writer spells them, in place and without a heap.
//!
//! There are a hundred thousand lines in a manifest, and most readers want the frames only, yet every entry must keep the rules. So a line
//! in the usual spelling (keys in their order, no escapes, no spaces) is read here. Invariant: what is read here, serde reads as the same;
//! whatever else a line may be is left to serde. So this is never the place where a line is refused.

use super::{Entry, FrameRef, Kind, line::Mtime};
use crate::FrameId;

/// What the rules ask of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub(super) path: &'a [u8],
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) mtime: Mtime,
    pub(super) link: Option<&'a [u8]>,
    pub(super) device: bool,
    pub(super) class: bool,
    pub(super) at: u64,
    pub(super) data: u64,
    pub(super) stored: u64,
}

impl<'a> Facts<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        Self {
            path: &entry.path.0,
            kind: entry.kind,
            mode: entry.mode,
            size: entry.size,
            mtime: entry.mtime,
            link: entry.link.as_ref().map(|link| &link.0[..]),
            device: entry.device.is_some(),
            class: entry.class.is_some(),
            at: entry.at,
            data: entry.data,
            stored: entry.stored,
        }
    }
}

/// The entry that `line` is, if it is one in the usual spelling.
pub(super) fn entry(line: &[u8]) -> Option<Facts<'_>> {
    let mut rest = Rest(line);
    rest.expect(b"{\"entry\":{\"path\":")?;
    std::str::from_utf8(line).ok()?;
    let path = rest.string()?;
    rest.expect(b",\"kind\":")?;
    let kind = match rest.string()? {
        b"file" => Kind::File,
        b"dir" => Kind::Dir,
        b"symlink" => Kind::Symlink,
        b"hardlink" => Kind::Hardlink,
        b"fifo" => Kind::Fifo,
        b"char" => Kind::Char,
        b"block" => Kind::Block,
        _ => return None,
    };
    rest.expect(b",\"mode\":")?;
    let mode = rest.small()?;
    rest.expect(b",\"uid\":")?;
    rest.small()?;
    rest.expect(b",\"gid\":")?;
    rest.small()?;
    for key in [&b",\"user\":"[..], b",\"group\":"] {
        if rest.skip(key) {
            rest.string()?;
        }
    }
    let size = if rest.skip(b",\"size\":") { rest.number()? } else { 0 };
    rest.expect(b",\"mtime\":[")?;
    let negative = rest.skip(b"-");
    let seconds = i64::try_from(rest.number()?).ok()?;
    if negative && seconds == 0 {
        return None;
    }
    rest.expect(b",")?;
    let mtime = Mtime(if negative { -seconds } else { seconds }, rest.small()?);
    rest.expect(b"]")?;
    let link = if rest.skip(b",\"link\":") { Some(rest.string()?) } else { None };
    let device = rest.skip(b",\"device\":[");
    if device {
        rest.small()?;
        rest.expect(b",")?;
        rest.small()?;
        rest.expect(b"]")?;
    }
    let class = rest.skip(b",\"class\":");
    if class && ![&b"page"[..], b"text", b"data"].contains(&rest.string()?) {
        return None;
    }
    rest.expect(b",\"at\":")?;
    let at = rest.number()?;
    rest.expect(b",\"data\":")?;
    let data = rest.number()?;
    let stored = if rest.skip(b",\"stored\":") { rest.number()? } else { 0 };
    rest.end().map(|()| Facts { path, kind, mode, size, mtime, link, device, class, at, data, stored })
}

/// The frame that `line` is, if it is one in the usual spelling.
pub(super) fn frame(line: &[u8]) -> Option<FrameRef> {
    let mut rest = Rest(line);
    rest.expect(b"{\"frame\":{\"id\":")?;
    let id: FrameId = std::str::from_utf8(rest.string()?).ok()?.parse().ok()?;
    rest.expect(b",\"raw\":")?;
    let raw = rest.small()?;
    rest.expect(b",\"len\":")?;
    let len = rest.small()?;
    rest.end().map(|()| FrameRef { id, raw, len })
}

/// What of a line was not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Whether `text` comes next; then it is passed.
    fn skip(&mut self, text: &[u8]) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.skip(text).then_some(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b"\"")?;
        let len = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = self.0.split_at(len);
        self.0 = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// Digits without a sign or a zero before them.
    fn number(&mut self) -> Option<u64> {
        let len = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(len);
        if digits.is_empty() || (len > 1 && digits[0] == b'0') {
            return None;
        }
        self.0 = rest;
        digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn end(&self) -> Option<()> {
        (self.0 == b"}}").then_some(())
    }
}
