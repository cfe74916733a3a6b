//! Archives: their bytes, and what a reader makes of damaged ones.

use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, Chain};

/// Reads a whole archive: how many frames, or the first error.
fn read(bytes: impl Read) -> Result<usize, ArchiveError> {
    let mut reader = ArchiveReader::new(bytes);
    let mut frames = 0;
    while reader.next_frame()?.is_some() {
        frames += 1;
    }
    Ok(frames)
}

fn error(bytes: &[u8]) -> (&'static str, u64, u64) {
    let error = read(bytes).unwrap_err();
    (error.problem.code(), error.offset, error.height)
}

/// Where each frame of an archive begins.
pub(crate) fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut reader = ArchiveReader::new(bytes);
    let mut offsets = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        offsets.push(usize::try_from(frame.offset).unwrap());
    }
    offsets
}

/// The archive with the checksums of all frames made right again.
pub(crate) fn repaired(mut bytes: Vec<u8>, offsets: &[usize]) -> Vec<u8> {
    for (number, &offset) in offsets.iter().enumerate() {
        let end = offsets.get(number + 1).copied().unwrap_or(bytes.len());
        let length: [u8; 4] = bytes[offset..offset + 4].try_into().unwrap();
        let sum = checksum(bytes[offset + 4], length, &bytes[offset + 5..end - CHECKSUM_BYTES]);
        bytes[end - CHECKSUM_BYTES..end].copy_from_slice(&sum);
    }
    bytes
}

/// Changing these bytes makes archives that are out in the world unreadable.
#[test]
fn the_bytes_of_an_archive_are_fixed() {
    let bytes = Chain::small().archive();
    let golden = include_bytes!("../../golden/small.archive");
    assert_eq!(Hash::of(&bytes), Hash::of(golden), "{} bytes, golden {}", bytes.len(), golden.len());
    assert_eq!(bytes, golden);

    // The frames, spelled out.
    assert_eq!(&bytes[..19], b"einvoice archive 1\n");
    let chain = Chain::small();
    let mut expected = b"einvoice archive 1\n".to_vec();
    let mut end = ArchiveEnd::of_genesis(&chain.genesis);
    let mut frame = |kind: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let sum = Hash::of(&[&[kind], &length[..], payload].concat());
        expected.extend([&length[..], &[kind], payload, &sum.as_bytes()[..8]].concat());
    };
    frame(1, &chain.genesis.to_bytes());
    for block in &chain.blocks {
        frame(2, &block.encode());
        end = end.with(block.header());
    }
    let mut payload = b"chain/archive-end/v1".to_vec();
    payload.extend(3_u64.to_le_bytes());
    payload.extend(3_u64.to_le_bytes());
    payload.extend(chain.blocks[2].header().id().as_bytes());
    payload.extend(4_u64.to_le_bytes());
    payload.extend(chain.blocks[2].header().log_root.as_bytes());
    assert_eq!(end.encode(), payload);
    frame(3, &payload);
    assert_eq!(bytes, expected);
}

#[test]
fn an_archive_gives_back_genesis_blocks_and_end() {
    let chain = Chain::small();
    let bytes = chain.archive();
    let mut reader = ArchiveReader::new(bytes.as_slice());
    let mut blocks = Vec::new();
    let mut end = None;
    while let Some(frame) = reader.next_frame().unwrap() {
        match frame.entry {
            Entry::Genesis(genesis) => assert_eq!(genesis.hash(), chain.genesis.hash()),
            Entry::Block(block) => blocks.push(*block),
            Entry::End(found) => end = Some(found),
        }
    }
    assert_eq!(blocks, chain.blocks);
    assert_eq!(end.unwrap().tip, chain.blocks[2].header().id());
    assert_eq!(usize::try_from(reader.offset()).unwrap(), bytes.len());
    assert!(reader.next_frame().unwrap().is_none());
}

#[test]
fn an_archive_without_blocks_is_one() {
    assert_eq!(read(Chain::new(1).archive().as_slice()).unwrap(), 2);
}

#[test]
fn an_archive_cut_off_anywhere_is_truncated() {
    let bytes = Chain::small().archive();
    let offsets = offsets(&bytes);
    for length in 0..bytes.len() {
        let (code, offset, height) = error(&bytes[..length]);
        assert_eq!(code, "archive.truncated", "cut at {length}");
        let frame = offsets.iter().rposition(|&offset| offset <= length).unwrap_or(0);
        let begins = if length < 19 { 0 } else { offsets[frame] };
        assert_eq!((usize::try_from(offset).unwrap(), usize::try_from(height).unwrap()), (begins, frame));
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = Chain::small().archive();
    bytes.push(b'\n');
    assert_eq!(error(&bytes).0, "archive.trailing");
    let twice = [Chain::small().archive(), Chain::small().archive()].concat();
    assert_eq!(error(&twice).0, "archive.trailing");
}

#[test]
fn a_changed_byte_anywhere_is_named_with_its_frame() {
    let bytes = Chain::small().archive();
    let offsets = offsets(&bytes);
    for place in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[place] ^= 1 << (place % 8);
        let (code, offset, _) = error(&bad);
        let frame = offsets.iter().copied().rfind(|&offset| offset <= place).unwrap_or(0);
        assert_eq!(usize::try_from(offset).unwrap(), frame, "{code} at {place}");
    }
}

#[test]
fn frames_out_of_order_are_refused() {
    let bytes = Chain::small().archive();
    let offsets = offsets(&bytes);
    let frame = |number: usize| {
        let end = offsets.get(number + 1).copied().unwrap_or(bytes.len());
        &bytes[offsets[number]..end]
    };
    let magic = &bytes[..19];
    assert_eq!(error(&[magic, frame(1)].concat()), ("archive.order", 19, 0));
    assert_eq!(error(&[magic, frame(4)].concat()), ("archive.order", 19, 0));
    let second = u64::try_from(offsets[1]).unwrap();
    assert_eq!(error(&[magic, frame(0), frame(0)].concat()), ("archive.order", second, 1));
}

#[test]
fn a_frame_beyond_its_limit_is_refused_before_it_is_read() {
    let bytes = Chain::small().archive();
    for (kind, limit) in [(1, GENESIS_BYTES_MAX), (2, COMMITTED_BLOCK_BYTES_MAX), (3, END_BYTES_MAX)] {
        let mut bad = bytes.clone();
        bad[19..23].copy_from_slice(&u32::try_from(limit + 1).unwrap().to_be_bytes());
        bad[23] = kind;
        assert_eq!(error(&bad), ("archive.too-large", 19, 0));
    }
    let mut unknown = bytes;
    unknown[23] = 4;
    assert_eq!(error(&unknown), ("archive.kind", 19, 0));
}

#[test]
fn a_failure_to_read_is_no_statement_about_the_archive() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let bytes = Chain::small().archive();
    for length in [0, 10, 19, 21, 100] {
        assert_eq!(read(bytes[..length].chain(Broken)).unwrap_err().problem.code(), "archive.io");
    }
}

#[test]
fn the_writer_takes_blocks_in_order_only() {
    let chain = Chain::small();
    let mut writer = ArchiveWriter::new(Vec::new(), &chain.genesis).unwrap();
    assert!(matches!(
        writer.push(&chain.blocks[1]),
        Err(ArchiveWriteError::Order { expected_height: 1, found_height: 2, .. })
    ));
    writer.push(&chain.blocks[0]).unwrap();
    assert!(writer.push(&chain.blocks[0]).is_err());
}

proptest! {
    #![proptest_config(fixture::cases(256))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(bytes.as_slice()).is_err());
        prop_assert!(read([&ARCHIVE_MAGIC[..], &bytes].concat().as_slice()).is_err());
    }
}
