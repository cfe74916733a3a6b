//! Parameters of the ledger: what the rules read, and genesis or a vote sets.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::rules::Rules;
use serde::{Deserialize, Serialize};

use crate::contingency::SEGMENT_CHANNEL;
use crate::genesis::GenesisError;

/// Parameters of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The agency that is the tax bureau.
    pub tax_bureau: OrganisationId,
    /// How numbers are formed.
    #[serde(default)]
    pub numbering: Numbering,
    /// The rules of documents: rates, tolerances, lengths.
    #[serde(default)]
    pub rules: Rules,
    /// Limits of statements and blocks.
    #[serde(default)]
    pub limits: Limits,
    /// The reimbursement lease.
    #[serde(default)]
    pub lease: Lease,
    /// When state checkpoints are due.
    #[serde(default)]
    pub checkpoints: Checkpoints,
}

/// Characters of an organisation's name at most.
pub const NAME_CHARS_MAX: usize = 200;

impl Parameters {
    /// Holds the parameters against what is fixed elsewhere: statements of 2 MiB must fit a block,
    /// blocks must fit what `chain` decodes, and outcomes of the worst block must fit its body.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), GenesisError> {
        const MINUTE: u32 = 60;
        const DAY: u32 = 24 * 60 * MINUTE;
        let (limits, lease, numbering) = (&self.limits, &self.lease, &self.numbering);
        let digit = |value: u8| u32::from(value);
        for (name, value, range) in [
            ("limits.block_bytes_max", limits.block_bytes_max, 2 * 1024 * 1024..=4 * 1024 * 1024),
            ("limits.block_work_max", limits.block_work_max, 120_000..=240_000),
            ("limits.refusals_an_hour_max", limits.refusals_an_hour_max, 1..=1_000_000),
            ("limits.nonce_window_seconds", limits.nonce_window_seconds, MINUTE..=7 * DAY),
            ("lease.term_seconds_max", lease.term_seconds_max, 1..=lease.total_seconds_max),
            ("lease.total_seconds_max", lease.total_seconds_max, 1..=366 * DAY),
            ("lease.pause_seconds_min", lease.pause_seconds_min, 0..=366 * DAY),
            ("checkpoints.interval_ms", self.checkpoints.interval_ms, 100..=60 * MINUTE * 1_000),
            ("checkpoints.interval_leaves", self.checkpoints.interval_leaves, 1_000..=10_000_000),
            ("numbering.blockchain_region", u32::from(numbering.blockchain_region), 0..=9_999),
            ("numbering.blockchain_copies", digit(numbering.blockchain_copies), 0..=9),
            ("numbering.digital_province", digit(numbering.digital_province), 0..=99),
            ("numbering.digital_channel", digit(numbering.digital_channel), 0..=u32::from(SEGMENT_CHANNEL) - 1),
            ("rules.lines_max", self.rules.lines_max, 1..=1_000),
        ] {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(GenesisError::Parameter { name, expected, found: value.to_string() });
            }
        }
        // Whatever stands in the lines of a document adds up within 64 bits.
        let most = i64::MAX / i64::from(self.rules.lines_max);
        let (name, found) = ("rules.amount_max", self.rules.amount_max);
        if found.fen() > most {
            let expected = format!("at most {} for {} lines", Amount::from_fen(most), self.rules.lines_max);
            return Err(GenesisError::Parameter { name, expected, found: found.to_string() });
        }
        Ok(())
    }

    /// The defaults, under a tax bureau.
    pub fn new(tax_bureau: OrganisationId) -> Self {
        Self {
            tax_bureau,
            numbering: Numbering::default(),
            rules: Rules::default(),
            limits: Limits::default(),
            lease: Lease::default(),
            checkpoints: Checkpoints::default(),
        }
    }
}

/// How numbers are formed (`domain.md` §1.3, Shenzhen Tax Bureau Announcement 2018 No. 11).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numbering {
    /// Digits 2 to 5 of a blockchain code: the region. Shenzhen: 4403.
    pub blockchain_region: u16,
    /// Digit 11 of a blockchain code: copies.
    pub blockchain_copies: u8,
    /// Digits 3 and 4 of a fully digital number: province. Guangdong: 44.
    pub digital_province: u8,
    /// Digit 5 of a fully digital number: channel. 9 is that of segments.
    pub digital_channel: u8,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { blockchain_region: 4403, blockchain_copies: 1, digital_province: 44, digital_channel: 2 }
    }
}

/// Limits of statements and blocks (`design.md` §8).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of all statements of a block.
    pub block_bytes_max: u32,
    /// Work units of a block: a line of a document is one, an event ten.
    pub block_work_max: u32,
    /// Refused events an organisation may put on the ledger in an hour.
    pub refusals_an_hour_max: u32,
    /// For how long a nonce is live, and how far ahead a statement may expire. Seconds.
    pub nonce_window_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            block_bytes_max: 4 * 1024 * 1024,
            block_work_max: 200_000,
            refusals_an_hour_max: 10_000,
            nonce_window_seconds: 24 * 60 * 60,
        }
    }
}

impl Limits {
    /// The nonce window in milliseconds.
    pub fn nonce_window_ms(&self) -> i64 {
        i64::from(self.nonce_window_seconds) * 1_000
    }
}

/// The reimbursement lease.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// What a lock or renewal gets that asks for nothing, and the most one may ask for. Seconds.
    pub term_seconds_max: u32,
    /// From the first lock of a platform to the end of the last renewal. Seconds.
    pub total_seconds_max: u32,
    /// For how long an invoice must have been free of a platform before its total begins anew. Seconds.
    pub pause_seconds_min: u32,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            term_seconds_max: 30 * 24 * 60 * 60,
            total_seconds_max: 90 * 24 * 60 * 60,
            pause_seconds_min: 24 * 60 * 60,
        }
    }
}

/// When state checkpoints are due.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoints {
    /// Block time since the due block before. Short intervals cost much: a checkpoint touches nearly as many pages
    /// of the index for a few events as for many, and one that takes longer than its interval makes the next one
    /// due with still fewer events.
    pub interval_ms: u32,
    /// Leaves since the due block before.
    pub interval_leaves: u32,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { interval_ms: 60_000, interval_leaves: 100_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Parameters)) -> &'static str {
        let mut parameters = Parameters::new(OrganisationId::new("tax-bureau").unwrap());
        assert_eq!(parameters.check(), Ok(()));
        change(&mut parameters);
        match parameters.check() {
            Err(GenesisError::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_channel_of_segments_is_nobodys_own() {
        assert_eq!(refused(|parameters| parameters.numbering.digital_channel = 9), "numbering.digital_channel");
    }

    #[test]
    fn all_lines_of_a_document_add_up() {
        let most = Amount::from_fen(i64::MAX / 100 + 1);
        assert_eq!(refused(|parameters| parameters.rules.amount_max = most), "rules.amount_max");
    }
}
