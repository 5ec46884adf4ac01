//! Golden cut points. A vector is a text: a line for each member, then a line for each chunk of their stream.
//!
//! `member <key> <header bytes> <data bytes> <bundle|page|text|data> <noise|zeros>`: the header is that many bytes `H`; noise is
//! BLAKE3's extended output for the key. Then `chunk <bytes> <BLAKE3>`. The stream ends with 1024 zero bytes.

use std::convert::Infallible;

use offsite_archive::{Class, Cutter, FrameId};

use crate::{make, making, vector};

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

    fn line(&self) -> String {
        let class = match self.class {
            None => "bundle",
            Some(Class::Page) => "page",
            Some(Class::Text) => "text",
            Some(Class::Data) => "data",
        };
        format!("member {} {} {} {class} {}\n", self.key, self.header, self.length, if self.zeros { "zeros" } else { "noise" })
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

fn large(key: &str, length: usize, class: Class, zeros: bool) -> Member {
    Member { key: key.to_owned(), header: 1536, length, class: Some(class), zeros }
}

fn bundled(number: usize) -> Member {
    let length = if number.is_multiple_of(9) { number * 7919 % 150_000 } else { number * 7919 % 9000 };
    Member { key: format!("folder-{}/file-{number}", number / 20), header: 512 * (1 + number % 3), length, class: None, zeros: false }
}

/// Posters among texts.
fn packed(number: usize) -> Member {
    let extension = ["jpg", "Webp", "txt", "gz", "jpg.md"][number % 5];
    Member { key: format!("{}.{extension}", bundled(number).key), length: number * 7919 % 60_000, ..bundled(number) }
}

fn cases() -> Vec<(&'static str, Vec<Member>)> {
    let mixed = (0..12).flat_map(|number| {
        let class = [Class::Page, Class::Text, Class::Data][number % 3];
        let big = number == 5 || number == 7;
        let head = Member {
            header: if number == 9 { 700_416 } else { 1536 },
            ..large(&format!("large-{number}"), 262_144 + 40_001 * number, class, false)
        };
        [bundled(number), if big { Member { class: None, length: 262_143, ..head } } else { head }]
    });
    vec![
        ("v1/cut/page.txt", vec![large("page", 300_001, Class::Page, false)]),
        ("v1/cut/text.txt", vec![large("text", 2_000_001, Class::Text, false), large("text-zeros", 600_001, Class::Text, true)]),
        ("v1/cut/data.txt", vec![large("data", 16_000_001, Class::Data, false), large("data-zeros", 9_000_001, Class::Data, true)]),
        ("v1/cut/bundles.txt", (0..400).map(bundled).collect()),
        ("v1/cut/mixed.txt", mixed.collect()),
        ("v1/cut/packed.txt", (0..200).map(packed).collect()),
    ]
}

#[test]
fn cuts_are_where_they_ever_were() {
    for (name, _) in cases() {
        let text = String::from_utf8(vector(name)).unwrap();
        let members: Vec<Member> = text.lines().map_while(Member::parse).collect();
        let expected: String = text.lines().skip(members.len()).map(|line| line.to_owned() + "\n").collect();
        assert!(!members.is_empty() && expected.starts_with("chunk "), "{name}");
        assert_eq!(chunks(&members), expected, "{name}");
    }
}

#[test]
#[ignore = "makes vectors"]
fn make_cuts() {
    if making() {
        for (name, members) in cases() {
            let text: String = members.iter().map(Member::line).collect();
            make(name, (text + &chunks(&members)).as_bytes());
        }
    }
}
