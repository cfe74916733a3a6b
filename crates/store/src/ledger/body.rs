//! A body as it is stored: raw bytes in segments, each compressed by itself, in chunks.
//!
//! A body is cut into segments of equal raw length (the last is shorter), each is one zstd frame,
//! and the frames stand one after the other in a *stream*, cut into chunks of 4,096 bytes without
//! regard to where a frame ends. The directory says where:
//!
//! ```text
//! version (1) = 1 | raw length (4) | raw length of a segment (4)
//! then per segment: end of its frame in the stream (4) | CRC-32 of its raw bytes (4)
//! ```
//!
//! sled guards each page by a checksum; the one here guards what comes out of the decompression.

use std::io;

use replica::port::StoreFault;

use super::usize_of;
use crate::fault;

/// Bytes of a chunk, so that no row makes a page unwieldy.
pub(super) const CHUNK_BYTES: usize = 4096;
const CHUNK: u32 = 4096;

/// The longest body, in bytes: sixteen times what the largest block needs.
const BODY_BYTES_MAX: u32 = 256 * 1024 * 1024;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 9;
const ENTRY_BYTES: usize = 8;
const ZSTD_LEVEL: i32 = 1;

/// Where the segments of one body are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    raw_bytes: u32,
    segment_bytes: u32,
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Where its frame ends in the stream.
    end: u32,
    /// CRC-32 of its raw bytes.
    checksum: u32,
}

/// Cuts and compresses a body.
pub(super) fn compress(bytes: &[u8], segment_bytes: u32) -> io::Result<(Directory, Vec<u8>)> {
    let raw_bytes = u32::try_from(bytes.len()).ok().filter(|length| *length <= BODY_BYTES_MAX);
    let raw_bytes = raw_bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "body longer than 256 MiB"))?;
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut stream = Vec::with_capacity(bytes.len() / 2);
    let mut segments = Vec::new();
    for raw in bytes.chunks(usize_of(segment_bytes)) {
        stream.extend_from_slice(&compressor.compress(raw)?);
        segments.push(Segment {
            end: u32::try_from(stream.len()).expect("compression grows 256 MiB by less than 2^32"),
            checksum: crc32fast::hash(raw),
        });
    }
    let directory = Directory { raw_bytes, segment_bytes, segments };
    Ok((directory, stream))
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.raw_bytes.to_be_bytes());
        row.extend_from_slice(&self.segment_bytes.to_be_bytes());
        for segment in &self.segments {
            row.extend_from_slice(&segment.end.to_be_bytes());
            row.extend_from_slice(&segment.checksum.to_be_bytes());
        }
        row
    }

    /// Reads a directory and checks that it is one: everything read by it stays inside it.
    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let (head, entries) = row.split_at_checked(HEAD_BYTES)?;
        let (version, head) = head.split_first()?;
        let (raw_bytes, segment_bytes) = (number(head, 0)?, number(head, 4)?);
        let sound = *version == VERSION && raw_bytes <= BODY_BYTES_MAX && segment_bytes > 0;
        let count = usize_of(raw_bytes.div_ceil(segment_bytes.max(1)));
        if !sound || entries.len() != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let segments: Option<Vec<Segment>> = entries
            .chunks(ENTRY_BYTES)
            .map(|entry| Some(Segment { end: number(entry, 0)?, checksum: number(entry, 4)? }))
            .collect();
        let segments = segments.filter(|segments| segments.is_sorted_by(|one, next| one.end < next.end))?;
        Some(Self { raw_bytes, segment_bytes, segments })
    }

    /// Length of the body.
    pub(super) fn raw_bytes(&self) -> u32 {
        self.raw_bytes
    }

    /// How many chunks the stream has.
    pub(super) fn chunks(&self) -> u32 {
        self.segments.last().map_or(0, |last| last.end.div_ceil(CHUNK))
    }

    /// The segments that hold the raw bytes `offset..end`.
    pub(super) fn segments_of(&self, offset: u32, end: u32) -> std::ops::Range<u32> {
        if offset >= end {
            return 0..0;
        }
        offset / self.segment_bytes..end.div_ceil(self.segment_bytes)
    }

    /// The chunks that hold a segment's frame, and how many bytes of the first come before it.
    pub(super) fn chunks_of(&self, number: u32) -> (u32, u32, usize) {
        let (start, end) = self.frame(number);
        (start / CHUNK, end.div_ceil(CHUNK), usize_of(start % CHUNK))
    }

    /// Where the raw bytes `offset..end` of the body begin and end inside a segment.
    pub(super) fn range_in(&self, number: u32, offset: u32, end: u32) -> (usize, usize) {
        let start = number.saturating_mul(self.segment_bytes);
        let to = end.saturating_sub(start).min(self.raw_bytes_of(number));
        (usize_of(offset.saturating_sub(start)), usize_of(to))
    }

    /// One segment, from a stream that begins with its frame. Never makes more than its raw length.
    pub(super) fn decompress(
        &self,
        number: u32,
        stream: &[u8],
        place: impl Fn() -> String,
    ) -> Result<Vec<u8>, StoreFault> {
        let (start, end) = self.frame(number);
        let expected = usize_of(self.raw_bytes_of(number));
        let frame = stream.get(..usize_of(end.saturating_sub(start))).unwrap_or_default();
        let raw = zstd::bulk::decompress(frame, expected)
            .map_err(|error| fault::damaged(place(), format!("{expected} compressed bytes"), error.to_string()))?;
        let checksum = self.segments.get(usize_of(number)).map(|segment| segment.checksum);
        if raw.len() != expected || Some(crc32fast::hash(&raw)) != checksum {
            let found = format!("{} bytes with checksum {:08x}", raw.len(), crc32fast::hash(&raw));
            let expected = format!("{expected} bytes with checksum {:08x}", checksum.unwrap_or_default());
            return Err(fault::damaged(place(), expected, found));
        }
        Ok(raw)
    }

    /// The whole body.
    pub(super) fn decompress_all(&self, stream: &[u8], place: impl Fn(u32) -> String) -> Result<Vec<u8>, StoreFault> {
        let mut bytes = Vec::with_capacity(usize_of(self.raw_bytes));
        for number in self.segments_of(0, self.raw_bytes) {
            let (start, _) = self.frame(number);
            let frame = stream.get(usize_of(start)..).unwrap_or_default();
            bytes.extend_from_slice(&self.decompress(number, frame, || place(number))?);
        }
        Ok(bytes)
    }

    fn frame(&self, number: u32) -> (u32, u32) {
        let end_of = |number: u32| self.segments.get(usize_of(number)).map_or(0, |segment| segment.end);
        (number.checked_sub(1).map_or(0, end_of), end_of(number))
    }

    fn raw_bytes_of(&self, number: u32) -> u32 {
        let start = number.saturating_mul(self.segment_bytes);
        self.raw_bytes.saturating_sub(start).min(self.segment_bytes)
    }
}

fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEGMENT: u32 = 4096;

    fn place(number: u32) -> String {
        format!("segment {number}")
    }

    /// Compresses, stores and reads back.
    fn check(bytes: &[u8]) {
        let (directory, stream) = compress(bytes, SEGMENT).unwrap();
        let read = Directory::decode(&directory.encode()).unwrap();
        assert_eq!(read, directory);
        assert_eq!(read.decompress_all(&stream, place).unwrap(), bytes);
    }

    #[test]
    fn bodies_of_every_length_around_a_segment_come_back() {
        for length in [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 40_000] {
            let bytes: Vec<u8> =
                (0..length).map(|position: u32| position.to_le_bytes()[position as usize % 3]).collect();
            check(&bytes);
        }
    }

    #[test]
    fn a_directory_of_other_bytes_is_refused() {
        let (directory, _) = compress(&[7; 10_000], SEGMENT).unwrap();
        let row = directory.encode();
        assert_eq!(Directory::decode(&[]), None);
        assert_eq!(Directory::decode(&row[..row.len() - 1]), None);
        assert_eq!(Directory::decode(&[row.clone(), vec![0]].concat()), None);
        let longer = [&row[..1], &u32::MAX.to_be_bytes(), &row[5..]].concat();
        assert_eq!(Directory::decode(&longer), None);
    }

    #[test]
    fn a_frame_that_would_grow_beyond_its_segment_is_damage() {
        let bomb = zstd::bulk::compress(&vec![0; 10_000_000], 1).unwrap();
        let directory = Directory {
            raw_bytes: 10,
            segment_bytes: SEGMENT,
            segments: vec![Segment { end: u32::try_from(bomb.len()).unwrap(), checksum: 0 }],
        };
        let outcome = directory.decompress(0, &bomb, || place(0));
        assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "{outcome:?}");
    }

    proptest! {
        #[test]
        fn any_body_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            check(&bytes);
        }

        #[test]
        fn any_flipped_bit_of_a_stream_is_damage_or_harmless(position in 0_usize..10_000, bit in 0_u8..8) {
            let bytes: Vec<u8> = (0..60_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
            let (directory, mut stream) = compress(&bytes, SEGMENT).unwrap();
            let position = position % stream.len();
            stream[position] ^= 1 << bit;
            if let Ok(read) = directory.decompress_all(&stream, place) {
                prop_assert_eq!(read, bytes);
            }
        }
    }
}
