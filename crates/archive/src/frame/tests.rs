use proptest::prelude::*;

use super::*;

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"frame").finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn the_longest_and_the_shortest_chunk_come_back() {
    for raw in [vec![7], vec![0; MAX_FRAME_RAW as usize], noise(MAX_FRAME_RAW as usize)] {
        let frame = compress(&raw, 3).unwrap();
        assert!(frame.len() <= max_frame_len(raw.len() as u32) as usize, "{} of {}", frame.len(), raw.len());
        assert!(decode(&frame, &FrameId::of(&raw), raw.len() as u32).unwrap() == raw);
    }
    assert!(matches!(compress(&[], 3), Err(FrameError::Length(0))));
    assert!(matches!(compress(&vec![0; MAX_FRAME_RAW as usize + 1], 3), Err(FrameError::Length(4_194_305))));
}

#[test]
fn a_frame_states_its_length_and_has_a_checksum() {
    let frame = compress(b"some chunk", 3).unwrap();
    assert_eq!(zstd_safe::get_frame_content_size(&frame).unwrap(), Some(10));
    assert_eq!(frame[4] & 0b100, 0b100, "checksum flag");
}

#[test]
fn a_reused_compressor_makes_the_same_frames() {
    let mut compressor = Compressor::new(3).unwrap();
    for length in [1, 100_000, 10, 1_000_000, 65_536] {
        let raw = noise(length);
        assert!(compressor.compress(&raw).unwrap() == compress(&raw, 3).unwrap());
    }
}

#[test]
fn any_changed_bit_is_refused() {
    let raw: Vec<u8> = b"a chunk of some bytes ".repeat(20);
    let (frame, id) = (compress(&raw, 3).unwrap(), FrameId::of(&raw));
    let mut decoder = Decoder::new().unwrap();
    for bit in 0..8 * frame.len() {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // zstd ignores one bit of its header; whatever decodes is the chunk.
        match decoder.decode(&damaged, &id, raw.len() as u32) {
            Ok(decoded) => assert!(decoded == raw && bit == 4 * 8 + 4, "bit {bit}"),
            Err(_) => assert!(decoder.decode(&frame, &id, raw.len() as u32).is_ok(), "usable after bit {bit}"),
        }
    }
}

#[test]
fn what_is_not_exactly_one_frame_is_refused() {
    let raw = b"chunk".to_vec();
    let (frame, id) = (compress(&raw, 3).unwrap(), FrameId::of(&raw));
    for length in 0..frame.len() {
        assert!(decode(&frame[..length], &id, 5).is_err(), "cut at {length}");
    }
    for tail in [&b"x"[..], &frame, &[0x5d, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
        assert!(matches!(decode(&[&frame, tail].concat(), &id, 5), Err(FrameError::Shape { .. })));
    }
    let skippable = [&[0x5d, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &frame[..]].concat();
    assert!(matches!(decode(&skippable, &id, 5), Err(FrameError::Stated { stated: Stated::Bytes(0), .. })));
}

#[test]
fn lies_about_the_length_are_refused_before_decoding() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let id = FrameId::of(b"");
    assert!(matches!(decode(&bomb, &id, MAX_FRAME_RAW), Err(FrameError::Stated { stated: Stated::Bytes(67_108_864), .. })));
    assert!(matches!(decode(&bomb, &id, 64 << 20), Err(FrameError::Expected { .. })));
    assert!(matches!(decode(&bomb, &id, 0), Err(FrameError::Expected { .. })));
    // A frame without a stated length, as a streaming compressor writes it.
    let streamed = zstd::stream::encode_all(&b"chunk"[..], 3).unwrap();
    assert!(matches!(decode(&streamed, &FrameId::of(b"chunk"), 5), Err(FrameError::Stated { stated: Stated::Nothing, .. })));
    // A header that states less than the blocks hold, and one that states more.
    let mut lying = compress(&[9; 200], 3).unwrap();
    let place = lying.iter().position(|&byte| byte == 200).unwrap();
    for stated in [199, 201] {
        lying[place] = stated;
        assert!(matches!(decode(&lying, &FrameId::of(&[9; 200]), stated.into()), Err(FrameError::Decode { .. })), "{stated}");
    }
}

#[test]
fn another_chunk_is_refused() {
    let frame = compress(b"chunk", 3).unwrap();
    let error = decode(&frame, &FrameId::of(b"other"), 5).unwrap_err();
    assert!(matches!(error, FrameError::Hash { id, found } if id == FrameId::of(b"other") && found == FrameId::of(b"chunk")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_back(raw in prop::collection::vec(any::<u8>(), 1..5000), level in 1..10_i32) {
        let frame = compress(&raw, level).unwrap();
        prop_assert!(frame.len() <= max_frame_len(raw.len() as u32) as usize);
        prop_assert_eq!(decode(&frame, &FrameId::of(&raw), raw.len() as u32).unwrap(), raw);
    }

    #[test]
    fn strange_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), raw in any::<u32>()) {
        let framed = [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat();
        prop_assert!(decode(&bytes, &FrameId::of(b""), raw).is_err());
        prop_assert!(decode(&framed, &FrameId::of(b""), raw).is_err());
    }
}
