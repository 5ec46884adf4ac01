//! Golden cut points. A vector is a text: a line for each member, then a line for each chunk of their stream.
//!
//! `member <key> <header bytes> <data bytes> <bundle|page|text|data> <noise|zeros>`: the header is that many bytes `H`; noise is
//! BLAKE3's extended output for the key. Then `chunk <bytes> <BLAKE3>`. The stream ends with 1024 zero bytes.

use std::convert::Infallible;

use offsite_archive::{Bundler, Class, Cutter, FrameId};

use crate::vector;

/// Cuts a member as a capture does: its bundle ends where the bundler says.
pub(crate) fn feed(
    cutter: &mut Cutter<impl FnMut(&[u8]) -> Result<(), Infallible>>,
    bundler: &mut Bundler,
    key: &[u8],
    header: &[u8],
    data: &[u8],
    large: Option<Class>,
) {
    let padding = data.len().next_multiple_of(512) - data.len();
    let bundled = header.len() + if large.is_some() { 0 } else { data.len() + padding };
    let end = |cutter: &mut Cutter<_>, bundler: &mut Bundler| {
        let Ok(()) = cutter.end_bundle();
        bundler.end();
    };
    if bundler.ends_before(bundled as u64) {
        end(cutter, bundler);
    }
    let Ok(()) = cutter.small(header);
    match large {
        Some(class) => {
            let Ok(()) = cutter.large_begin(class);
            let Ok(()) = cutter.large(data);
            let Ok(()) = cutter.large_end(padding);
            bundler.end();
        }
        None => {
            let Ok(()) = cutter.small(&[data, &vec![0; padding]].concat());
            if bundler.ends_after(key, bundled as u64) {
                end(cutter, bundler);
            }
        }
    }
}

/// Cuts the end of the tar.
pub(crate) fn finish(mut cutter: Cutter<impl FnMut(&[u8]) -> Result<(), Infallible>>, bundler: &Bundler, end: &[u8]) {
    if bundler.ends_before(end.len() as u64) {
        let Ok(()) = cutter.end_bundle();
    }
    let Ok(()) = cutter.small(end);
    let Ok(_) = cutter.finish();
}

struct Member {
    key: String,
    header: usize,
    length: usize,
    class: Option<Class>,
    zeros: bool,
}

impl Member {
    fn content(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        if !self.zeros {
            blake3::Hasher::new().update(self.key.as_bytes()).finalize_xof().fill(&mut bytes);
        }
        bytes
    }

    fn parse(line: &str) -> Option<Self> {
        let [key, header, length, class, content] = *line.strip_prefix("member ")?.split(' ').collect::<Vec<_>>() else { return None };
        let class = match class {
            "bundle" => None,
            "page" => Some(Class::Page),
            "text" => Some(Class::Text),
            "data" => Some(Class::Data),
            _ => return None,
        };
        Some(Self { key: key.to_owned(), header: header.parse().ok()?, length: length.parse().ok()?, class, zeros: content == "zeros" })
    }
}

fn chunks(members: &[Member]) -> String {
    let mut text = String::new();
    let mut cutter = Cutter::new(|chunk: &[u8]| {
        text += &format!("chunk {} {}\n", chunk.len(), FrameId::of(chunk));
        Ok::<(), Infallible>(())
    });
    let mut bundler = Bundler::default();
    for member in members {
        feed(&mut cutter, &mut bundler, member.key.as_bytes(), &vec![b'H'; member.header], &member.content(), member.class);
    }
    finish(cutter, &bundler, &[0; 1024]);
    text
}

const CASES: [&str; 6] =
    ["v1/cut/page.txt", "v1/cut/text.txt", "v1/cut/data.txt", "v1/cut/bundles.txt", "v1/cut/mixed.txt", "v1/cut/packed.txt"];

#[test]
fn cuts_are_where_they_ever_were() {
    for name in CASES {
        let text = String::from_utf8(vector(name)).unwrap();
        let members: Vec<Member> = text.lines().map_while(Member::parse).collect();
        let expected: String = text.lines().skip(members.len()).map(|line| line.to_owned() + "\n").collect();
        assert!(!members.is_empty() && expected.starts_with("chunk "), "{name}");
        assert_eq!(chunks(&members), expected, "{name}");
    }
}
