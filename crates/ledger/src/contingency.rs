//! Contingency: invoices issued while every node is out of reach.
//!
//! The tax bureau grants a seller or a service provider a *segment* beforehand: some numbers of a code that nothing else is
//! numbered in, for a term, with a deadline, and for one of its keys. Cut off, the holder gives each invoice one of these
//! numbers and signs a *certificate* with that key ([`OfflineCertificate`]); the receipt of the grant names the key, so
//! that a buyer with a genesis at hand verifies both without any network. Later the holder submits document and
//! certificate. A segment ends when it is closed: what it has not used by then is declared as gaps.
//!
//! Time is the ledger's: an invoice issued offline is of the day, the month and the quota of the block that takes it in.
//! When it was issued offline, only its issuer says; if a month were chosen by that, sums and quotas of months that have
//! ended, or were filed, would change behind those who tied their books with them. What the issuer said stands beside it,
//! and whether the invoice came after its deadline. Rates and other rules of documents are those of the day it was issued
//! on, because the buyer has held it since.

mod certificate;
mod granted;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use invoice::id::InvoiceId;
use serde::{Deserialize, Serialize};

use crate::organisation::AdmittedKey;
use crate::record::LeafRef;
use crate::refusal::Standing;
use crate::state::{Kind, StateKey};

pub use certificate::{OfflineCertificate, OfflineClaims};
pub use granted::{CertificateFault, Granted};

/// Numbers of one segment at most: those of a long day without a node. A holder may have many segments.
pub const SEGMENT_NUMBERS_MAX: u32 = 1_000;
/// Open segments of one holder at most.
pub const SEGMENTS_OPEN_MAX: usize = 64;
/// Days from its grant to the end of a segment's term at most.
pub const SEGMENT_DAYS_MAX: i64 = 366;
/// Hours from an offline issue to its deadline at most: a week.
pub const DEADLINE_HOURS_MAX: u16 = 168;
/// Digit 10 of the blockchain codes of segments: no batch of the ledger's own codes has it.
pub(crate) const SEGMENT_BATCH: u8 = 0;
/// Digit 5 of the digital numbers of segments.
pub(crate) const SEGMENT_CHANNEL: u8 = 9;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// The latest end of the term of a segment granted at a time, ms UTC.
pub fn latest_end_ms(granted_ms: i64) -> i64 {
    granted_ms.saturating_add(SEGMENT_DAYS_MAX * DAY_MS)
}

/// How the invoices of a segment are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberingKind {
    /// Code and number of the blockchain profile.
    Blockchain,
    /// The 20 digits of the digital profiles.
    Digital,
}

/// A segment of numbers, as it was granted and as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentRecord {
    /// Who issues from it.
    pub holder: OrganisationId,
    /// With which of its keys.
    pub key: KeyId,
    /// That key.
    pub public: AdmittedKey,
    /// The first number: the segment's id.
    pub first: InvoiceId,
    /// How many numbers it has.
    pub count: u32,
    /// Block time of the grant, ms UTC.
    pub granted_ms: i64,
    /// Until when the holder may issue offline, ms UTC.
    pub valid_until_ms: i64,
    /// Within how many hours after that an invoice must be submitted.
    pub deadline_hours: u16,
    /// The leaf of the grant.
    pub granted: LeafRef,
    /// Which of its numbers have an invoice.
    pub used: NumberSet,
    /// Its end, once it is closed.
    pub closed: Option<SegmentEnd>,
}

/// The end of a segment.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentEnd {
    /// Who closed it.
    pub by: OrganisationId,
    /// Block time, ms UTC.
    pub closed_ms: i64,
    /// The leaf that closed it: the declaration of its gaps.
    pub leaf: LeafRef,
}

impl SegmentRecord {
    /// Its last number.
    pub fn last(&self) -> InvoiceId {
        self.nth(self.count.saturating_sub(1))
    }

    /// One of its numbers, from 0.
    pub fn nth(&self, index: u32) -> InvoiceId {
        let number = self.first.number_in_code() + u64::from(index);
        self.first.with_number(number).expect("a segment was granted within the digits of its code")
    }

    /// Which of its numbers an id is, from 0; `None` when it is none of them.
    pub fn index_of(&self, id: &InvoiceId) -> Option<u32> {
        let index = id.number_in_code().checked_sub(self.first.number_in_code())?;
        let index = u32::try_from(index).ok().filter(|index| *index < self.count)?;
        (self.nth(index) == *id).then_some(index)
    }

    /// Until when an invoice issued offline at a time is to be submitted, ms UTC.
    pub fn submit_by_ms(&self, issued_ms: i64) -> i64 {
        issued_ms.saturating_add(i64::from(self.deadline_hours) * HOUR_MS)
    }

    /// Whether numbers of it should long have been used or declared: nothing that is in time can still come.
    pub fn is_overdue_at(&self, time_ms: i64) -> bool {
        self.closed.is_none() && time_ms > self.submit_by_ms(self.valid_until_ms)
    }

    /// Its end as a reason to refuse.
    pub fn closed_standing(&self) -> Option<Standing> {
        let SegmentEnd { by, closed_ms, leaf } = self.closed.clone()?;
        Some(Standing { organisation: by, since_ms: closed_ms, until_ms: None, leaf })
    }
}

/// A set of the numbers of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NumberSet(Vec<u8>);

impl NumberSet {
    /// Whether it holds a number, counted from 0.
    pub fn contains(&self, index: u32) -> bool {
        let (byte, bit) = place(index);
        self.0.get(byte).is_some_and(|byte| byte & bit != 0)
    }

    /// Takes a number in.
    pub fn insert(&mut self, index: u32) {
        let (byte, bit) = place(index);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= bit;
    }

    /// How many it holds.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers below `count` that it does not hold, as ranges, ascending.
    pub fn missing(&self, count: u32) -> Vec<NumberRange> {
        let mut ranges: Vec<NumberRange> = Vec::new();
        for index in (0..count).filter(|index| !self.contains(*index)) {
            match ranges.last_mut() {
                Some(range) if range.last + 1 == index => range.last = index,
                Some(_) | None => ranges.push(NumberRange { first: index, last: index }),
            }
        }
        ranges
    }
}

fn place(index: u32) -> (usize, u8) {
    (usize::try_from(index / 8).unwrap_or(usize::MAX), 1 << (index % 8))
}

/// Numbers of a segment that follow each other, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct NumberRange {
    /// The first.
    pub first: u32,
    /// The last, itself included.
    pub last: u32,
}

impl NumberRange {
    /// How many there are.
    pub const fn count(self) -> u32 {
        self.last - self.first + 1
    }
}

/// How an invoice was issued offline. Beside the invoice's own record: most invoices never were.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OfflineRecord {
    /// The segment it has its number from, by its first number.
    pub segment: InvoiceId,
    /// When its issuer says to have issued it, ms UTC.
    pub issued_offline_ms: i64,
    /// Until when it was to be submitted, ms UTC.
    pub submit_by_ms: i64,
    /// Whether it came later.
    pub late: bool,
    /// SHA-256 of the certificate.
    pub certificate: Hash,
    /// Hash of the document's content.
    pub content: Hash,
}

/// The open segments of an organisation, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenSegmentsRecord {
    /// Their first numbers.
    pub firsts: Vec<InvoiceId>,
}

impl StateKey {
    /// A segment, by its first number.
    pub fn segment(first: &InvoiceId) -> Self {
        Self::new(Kind::Segment, &[first.to_string().as_bytes()])
    }

    /// How an invoice was issued offline.
    pub fn offline(id: &InvoiceId) -> Self {
        Self::new(Kind::Offline, &[id.to_string().as_bytes()])
    }

    /// The open segments of an organisation.
    pub fn open_segments(holder: &OrganisationId) -> Self {
        Self::new(Kind::OpenSegments, &[holder.as_str().as_bytes()])
    }

    /// The counter of a code or of the beginning of digital numbers.
    pub fn counter_of(code: &str) -> Self {
        if code.len() == DIGITAL_CODE { Self::counter(&format!("digital:{code}")) } else { Self::counter(code) }
    }
}

/// How many digits of a digital number say year, province and channel.
const DIGITAL_CODE: usize = 5;

/// Whether a code is one of segments: what its numbers are given to, is declared when they are not used.
pub fn is_of_segments(code: &str) -> bool {
    if code.len() == DIGITAL_CODE {
        code.ends_with(char::from(b'0' + SEGMENT_CHANNEL))
    } else {
        code.as_bytes().get(9) == Some(&(b'0' + SEGMENT_BATCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_set_does_not_hold_is_a_list_of_ranges() {
        let mut set = NumberSet::default();
        assert_eq!(set.missing(3), [NumberRange { first: 0, last: 2 }]);
        for index in [1, 9, 10] {
            set.insert(index);
        }
        assert_eq!((set.len(), set.contains(9), set.contains(8), set.contains(500)), (3, true, false, false));
        let range = |first, last| NumberRange { first, last };
        assert_eq!(set.missing(12), [range(0, 0), range(2, 8), range(11, 11)]);
        assert_eq!(set.missing(2), [range(0, 0)]);
        assert_eq!(set.missing(0), []);
    }

    #[test]
    fn codes_of_segments_are_told_from_those_of_the_ledger() {
        assert_eq!(["144032609010", "144032609110", "26449", "26442"].map(is_of_segments), [true, false, true, false]);
    }
}
