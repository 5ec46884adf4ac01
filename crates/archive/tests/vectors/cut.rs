//! Golden cut points. A vector is a text: a line for each member, then a line for each chunk of their stream.
//!
//! `member <key> <header bytes> <data bytes> <bundle|page|text|data> <noise|zeros>`: the header is that many bytes `H`; noise is
//! BLAKE3's extended output for the key. Then `chunk <bytes> <BLAKE3>`. The stream ends with 1024 zero bytes.

use std::convert::Infallible;

use offsite_archive::{Class, Cutter, FrameId};

use crate::vector;

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
    for member in members {
        let padding = member.length.next_multiple_of(512) - member.length;
        let Ok(()) = cutter.header(&vec![b'H'; member.header]);
        if let Some(class) = member.class {
            let Ok(()) = cutter.large_begin(class);
            let Ok(()) = cutter.large(&member.content());
            let Ok(()) = cutter.large_end(padding);
        } else {
            let Ok(()) = cutter.small(&member.content());
            let Ok(()) = cutter.small(&vec![0; padding]);
        }
        let Ok(()) = cutter.member_end(member.key.as_bytes());
    }
    let Ok(()) = cutter.header(&[0; 1024]);
    let Ok(_) = cutter.finish();
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
