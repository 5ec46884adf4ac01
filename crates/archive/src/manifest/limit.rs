//! How much the first and the last line of a manifest may hold, so that who lists thousands of archives knows what that takes.
//!
//! A reader keeps heads and ends of all archives that a place offers, and nothing that the sums say limits them: a line of `"/","/",…` is
//! kilobytes when it is packed and a hundred megabytes when it is read. So what is too many is dropped while it is read, but for one, by which
//! the rule sees that there were too many.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{End, Head};

/// Most sources, stopped projects and warnings, of each.
pub(super) const MAX_LIST: usize = 4096;
/// Most bytes of text in the first line: host, agent, chunker and sources together.
pub(super) const MAX_HEAD: usize = 256 << 10;
/// Most bytes of text in the last line: projects and warnings together. The agent keeps its warnings below the half of that.
pub(super) const MAX_END: usize = 1 << 20;

/// Most bytes in a stream of version 1. Nothing but reading all of it tells whether it is what the manifest binds, and a few hundred bytes
/// can repeat one frame of zeros for hours of that.
const MAX_STREAM_1: u64 = 1 << 40;

/// What `head` has too much of, and how much there may be.
pub(super) fn head(head: &Head) -> Option<(&'static str, u64)> {
    let Head { host, agent, sources, chunker, .. } = head;
    let text = host.len() + agent.len() + chunker.id.len() + sources.iter().map(|source| source.0.len()).sum::<usize>();
    over(&[("sources", sources.len(), MAX_LIST), ("bytes of text in its head", text, MAX_HEAD)])
}

/// What `end`, in a manifest of this version, has too much of, and how much there may be.
pub(super) fn end(end: &End, version: u32) -> Option<(&'static str, u64)> {
    let End { quiesced, warnings, .. } = end;
    let text = quiesced.iter().map(|quiesced| quiesced.project.len()).chain(warnings.iter().map(String::len)).sum();
    let lists = [
        ("stopped projects", quiesced.len(), MAX_LIST),
        ("warnings", warnings.len(), MAX_LIST),
        ("bytes of text in its end", text, MAX_END),
    ];
    let long = || (version == 1 && end.raw > MAX_STREAM_1).then_some(("bytes in a stream of version 1", MAX_STREAM_1));
    over(&lists).or_else(long)
}

fn over(rules: &[(&'static str, usize, usize)]) -> Option<(&'static str, u64)> {
    rules.iter().find(|(_, found, limit)| found > limit).map(|(what, _, limit)| (*what, *limit as u64))
}

/// Reads a list, of which no more than one above [`MAX_LIST`] is kept.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MAX_LIST {
            let Some(next) = list.next_element()? else { return Ok(kept) };
            kept.push(next);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}
