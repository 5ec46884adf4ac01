use std::{collections::HashSet, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::{FrameId, MAX_FRAME_RAW};

/// A member as the cutter sees it.
#[derive(Debug, Clone)]
struct Member {
    key: String,
    header: usize,
    data: Vec<u8>,
    large: Option<Class>,
}

impl Member {
    fn small(key: impl Into<String>, length: usize, fill: u8) -> Self {
        Self { key: key.into(), header: 1536, data: vec![fill; length], large: None }
    }

    fn padding(&self) -> usize {
        self.data.len().next_multiple_of(512) - self.data.len()
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The chunks of a stream of members, with the two zero blocks. `piece` is how many bytes are handed over at a time.
fn cut(members: &[Member], piece: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut cutter = Cutter::new(|chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok::<(), Infallible>(())
    });
    let end = Member { key: String::new(), header: 0, data: vec![0; 1024], large: None };
    let mut bundler = Bundler::default();
    for member in members.iter().chain([&end]) {
        let bundled = member.header + if member.large.is_some() { 0 } else { member.data.len() + member.padding() };
        if bundler.ends_before(bundled as u64) {
            let Ok(()) = cutter.end_bundle();
            bundler.end();
        }
        let Ok(()) = cutter.small(&vec![b'H'; member.header]);
        if let Some(class) = member.large {
            let Ok(()) = cutter.large_begin(class);
            let Ok(()) = member.data.chunks(piece).try_for_each(|piece| cutter.large(piece));
            let Ok(()) = cutter.large_end(member.padding());
            bundler.end();
            continue;
        }
        let Ok(()) = member.data.chunks(piece).try_for_each(|piece| cutter.small(piece));
        let Ok(()) = cutter.small(&vec![0; member.padding()]);
        if bundler.ends_after(member.key.as_bytes(), bundled as u64) {
            let Ok(()) = cutter.end_bundle();
            bundler.end();
        }
    }
    let Ok(_) = cutter.finish();
    chunks
}

fn stream(members: &[Member]) -> Vec<u8> {
    let mut stream = Vec::new();
    for member in members {
        stream.resize(stream.len() + member.header, b'H');
        stream.extend_from_slice(&member.data);
        stream.resize(stream.len() + member.padding(), 0);
    }
    stream.resize(stream.len() + 1024, 0);
    stream
}

fn lengths(chunks: &[Vec<u8>]) -> Vec<usize> {
    chunks.iter().map(Vec::len).collect()
}

fn new_chunks(before: &[Vec<u8>], after: &[Vec<u8>]) -> usize {
    let known: HashSet<FrameId> = before.iter().map(|chunk| FrameId::of(chunk)).collect();
    after.iter().filter(|chunk| !known.contains(&FrameId::of(chunk))).count()
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Page), Just(Class::Text), Just(Class::Data)]
}

fn small_member() -> impl Strategy<Value = Member> {
    let length = prop_oneof![8 => 0..20_000_usize, 1 => 100_000..262_144_usize];
    (any::<u32>(), 1..6_usize, length, any::<u8>()).prop_map(|(key, blocks, length, fill)| Member {
        key: format!("k/{key}"),
        header: 512 * blocks,
        data: vec![fill; length],
        large: None,
    })
}

fn member() -> impl Strategy<Value = Member> {
    let large = (any::<u64>(), 262_144..900_000_usize, class()).prop_map(|(seed, length, class)| Member {
        key: format!("l/{seed}"),
        header: 1536,
        data: noise(seed, length),
        large: Some(class),
    });
    prop_oneof![15 => small_member(), 1 => large]
}

#[derive(Debug, Clone)]
enum Call {
    Small(usize),
    Begin(Class),
    Large(usize),
    LargeEnd(usize),
    End,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..700_000_usize).prop_map(Call::Small),
        class().prop_map(Call::Begin),
        (0..700_000_usize).prop_map(Call::Large),
        (0..512_usize).prop_map(Call::LargeEnd),
        Just(Call::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_the_stream_and_in_bounds(members in prop::collection::vec(member(), 0..60)) {
        let chunks = cut(&members, 100_000);
        prop_assert!(chunks.concat() == stream(&members));
        prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MAX_FRAME_RAW as usize));
    }

    #[test]
    fn bundles_are_at_most_512_kib(members in prop::collection::vec(small_member(), 0..80)) {
        prop_assert!(cut(&members, 4096).iter().all(|chunk| chunk.len() <= 512 << 10));
    }

    #[test]
    fn any_order_of_calls_keeps_every_byte(calls in prop::collection::vec(call(), 0..30)) {
        let (mut chunks, mut fed, mut fill) = (Vec::new(), Vec::new(), 0_u8);
        let mut cutter = Cutter::new(|chunk: &[u8]| { chunks.push(chunk.to_vec()); Ok::<(), Infallible>(()) });
        for call in calls {
            fill = fill.wrapping_add(1);
            let bytes = |length| vec![fill; length];
            let Ok(()) = match call {
                Call::Small(length) => { fed.extend(bytes(length)); cutter.small(&bytes(length)) }
                Call::Begin(class) => cutter.large_begin(class),
                Call::Large(length) => { fed.extend(bytes(length)); cutter.large(&bytes(length)) }
                Call::LargeEnd(padding) => { fed.resize(fed.len() + padding, 0); cutter.large_end(padding) }
                Call::End => cutter.end_bundle(),
            };
        }
        let Ok(_) = cutter.finish();
        prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MAX_FRAME_RAW as usize));
        prop_assert!(chunks.concat() == fed);
    }

    #[test]
    fn cuts_do_not_depend_on_the_pieces(members in prop::collection::vec(member(), 1..30), piece in 1000..700_000_usize) {
        prop_assert_eq!(lengths(&cut(&members, piece)), lengths(&cut(&members, usize::MAX)));
    }

    #[test]
    fn another_content_of_one_small_file_changes_one_bundle(
        members in prop::collection::vec(small_member(), 1..80),
        which in any::<prop::sample::Index>(),
    ) {
        let mut edited = members.clone();
        let data = &mut edited[which.index(members.len())].data;
        data.iter_mut().for_each(|byte| *byte ^= 0x55);
        let (before, after) = (cut(&members, 1 << 20), cut(&edited, 1 << 20));
        prop_assert_eq!(lengths(&before), lengths(&after));
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        prop_assert_eq!(changed, usize::from(!edited[which.index(members.len())].data.is_empty()));
    }

    #[test]
    fn neighbours_do_not_move_the_chunks_of_a_large_file(
        seed in any::<u64>(), class in class(), length in 262_144..900_000_usize,
        before in prop::collection::vec(small_member(), 0..20), after in prop::collection::vec(small_member(), 0..20),
    ) {
        let large = Member { key: "large".into(), header: 1536, data: noise(seed, length), large: Some(class) };
        let alone = cut(std::slice::from_ref(&large), 1 << 20);
        let members: Vec<Member> = before.into_iter().chain([large]).chain(after).collect();
        let chunks = cut(&members, 1 << 20);
        // Alone: its header, its chunks, the end of the tar.
        let own = &alone[1..alone.len() - 1];
        prop_assert!(chunks.windows(own.len()).any(|window| window == own));
    }
}

/// A tree of files whose sizes vary as in a home: many tiny, some of tens of kilobytes.
fn tree(seed: u64, files: usize) -> Vec<Member> {
    let draws = noise(seed, 3 * files);
    let member = |(number, draw): (usize, &[u8])| {
        let length = if draw[0] < 200 { usize::from(draw[1]) * 24 } else { usize::from(draw[1]) * 240 + usize::from(draw[2]) };
        Member::small(format!("folder-{}/file-{number}", number / 40), length, draw[2])
    };
    draws.chunks_exact(3).enumerate().map(member).collect()
}

#[test]
fn bundles_have_their_mean_between_64_and_128_kib() {
    for seed in 0..4 {
        let lengths = lengths(&cut(&tree(seed, 4000), 1 << 20));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((64 << 10..128 << 10).contains(&mean), "tree {seed}: {mean}");
    }
    // Nothing but folders, and nothing but files of a size that decides at once.
    for member in [Member::small("", 0, 0), Member::small("", 200_000, 0)] {
        let members: Vec<Member> = (0..3000).map(|number| Member { key: format!("k{number}"), ..member.clone() }).collect();
        let lengths = lengths(&cut(&members, 1 << 20));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((64 << 10..256 << 10).contains(&mean), "{mean}");
    }
}

#[test]
fn a_new_file_changes_few_bundles() {
    let members = tree(7, 1500);
    let before = cut(&members, 1 << 20);
    let mut worst = 0;
    let mut sum = 0;
    for step in 0..20 {
        let mut grown = members.clone();
        grown.insert(step * 75, Member::small(format!("new-{step}"), 3000 * step, b'N'));
        let new = new_chunks(&before, &cut(&grown, 1 << 20));
        worst = worst.max(new);
        sum += new;
    }
    assert!(before.len() > 80, "{}", before.len());
    assert!(sum <= 20 * 4 && worst <= 12, "sum {sum}, worst {worst} of {}", before.len());
}

#[test]
fn posters_are_chunks_of_their_own() {
    let posters = |extension, length| -> Vec<Member> {
        (0..60).map(|number| Member::small(format!("posters/{number}.{extension}"), length, number)).collect()
    };
    // Long enough that the draw is always won.
    assert_eq!(lengths(&cut(&posters("jpg", 40_000), 1 << 20)), [vec![1536 + 40_448; 60], vec![1024]].concat());
    assert!(cut(&posters("txt", 40_000), 1 << 20).len() <= 31);
    // Icons are too small for that.
    assert!(cut(&posters("png", 1000), 1 << 20).iter().rev().skip(1).all(|bundle| bundle.len() >= 16 << 10));
}

#[test]
fn an_insert_into_a_large_file_changes_few_chunks() {
    for (class, length, least, most) in [(Class::Text, 3 << 20, 20, 4), (Class::Data, 24 << 20, 10, 4)] {
        let member = |data| [Member { key: "large".into(), header: 1536, data, large: Some(class) }];
        let data = noise(3, length);
        let before = cut(&member(data.clone()), 1 << 20);
        assert!(before.len() > least, "{class:?}: {}", before.len());
        for place in [0, length / 3, length - 1000] {
            let mut grown = data.clone();
            grown.splice(place..place, *b"an insert of an odd length.");
            let new = new_chunks(&before, &cut(&member(grown), 1 << 20));
            assert!((1..=most).contains(&new), "{class:?} at {place}: {new} of {}", before.len());
        }
    }
}

#[test]
fn cuts_are_those_of_all_the_data_at_once() {
    for (class, [min, average, max]) in [(Class::Text, TEXT), (Class::Data, DATA)] {
        // Zeros have no cut, so that a window is not enough.
        let zeros = vec![0; 5 * max as usize / 2];
        let data = [noise(5, 6 * max as usize + 1), zeros, noise(6, 511 + 2 * max as usize)].concat();
        let whole = FastCDC::new(&data, min as usize, average as usize, max as usize);
        let expected: Vec<usize> = whole.map(|chunk| chunk.length).collect();
        let member = Member { key: "large".into(), header: 512, data: data[..data.len() / 512 * 512].to_vec(), large: Some(class) };
        let found = cut(std::slice::from_ref(&member), 1 << 20);
        // The last one ends where the member does.
        assert_eq!(lengths(&found[1..found.len() - 2]), expected[..found.len() - 3], "{class:?}");
        assert!(found.iter().any(|chunk| chunk.len() == max as usize), "{class:?}");
    }
}

#[test]
fn a_changed_page_changes_one_chunk() {
    let member = |data| [Member { key: "db".into(), header: 1536, data, large: Some(Class::Page) }];
    let data = noise(4, 1_000_000);
    let mut edited = data.clone();
    edited[500_000] ^= 1;
    let (before, after) = (cut(&member(data), 1 << 20), cut(&member(edited), 1 << 20));
    assert_eq!(lengths(&before[1..]), [vec![65_536; 15], vec![16_960 + 448], vec![1024]].concat());
    assert_eq!(new_chunks(&before, &after), 1);
}

#[test]
fn padding_never_makes_a_chunk_too_long() {
    // All zeros: FastCDC finds no cut and takes the maximum each time, so the padding would come on top of one.
    let member = Member { key: "z".into(), header: 512, data: vec![0; (4 << 20) - 1], large: Some(Class::Data) };
    assert_eq!(lengths(&cut(&[member], 1 << 20)), [512, 4 << 20, 1024]);
    let member = Member { key: "z".into(), header: 512, data: vec![0; (4 << 20) + 1], large: Some(Class::Data) };
    assert_eq!(lengths(&cut(&[member], 1 << 20)), [512, 4 << 20, 512, 1024]);
}

#[test]
fn a_member_that_does_not_fit_begins_a_bundle() {
    // No bundle of these ends by the rule: they stay below 64 KiB until the last, which would exceed 512 KiB.
    let first = Member::small("a", 60_000, b'a');
    let mut second = Member::small("b", 262_000, b'b');
    second.header = 220_672;
    assert_eq!(lengths(&cut(&[first, second], 1000)), [61_952, 220_672 + 262_144, 1024]);
    // A header longer than a bundle is cut at 512 KiB.
    let blob = Member { key: "c".into(), header: 1_100_288, data: vec![b'c'; 262_144], large: Some(Class::Page) };
    let sizes = [vec![524_288, 524_288, 51_712], vec![65_536; 4], vec![1024]].concat();
    assert_eq!(lengths(&cut(&[blob], 1000)), sizes);
}

#[test]
fn an_error_of_the_sink_ends_the_cut() {
    let mut cutter = Cutter::new(|_: &[u8]| Err("full"));
    assert_eq!(cutter.small(&vec![0; 600_000]), Err("full"));
}
