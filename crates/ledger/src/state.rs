//! The state: records under typed keys, read through a view, written through an overlay.
//!
//! A record is stored as *creator ‖ body*: 32 bytes that name the statement which created it (the
//! genesis hash for what genesis holds), then the borsh encoding. The creator salts the state
//! tree: a proof of absence shows neighbours, and nobody outside can guess a statement's id.
//! Records are never deleted.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::encoding::encode_base64url;
use chain::equivocation::Step;
use chain::hash::{Hash, StatementId};
use chain::identity::{KeyId, OrganisationId};
use invoice::date::Period;
use invoice::id::InvoiceId;
use invoice::taxpayer::TaxpayerId;

use crate::party::{Party, Side};

mod overlay;

pub use overlay::{Below, Overlay};

/// Kinds of state records. The number is the first byte of the key: changing one forks the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The parameters.
    Parameters = 1,
    /// The validator set for the next block.
    Validators = 2,
    /// An organisation.
    Organisation = 3,
    /// Which organisation has a taxpayer id.
    Taxpayer = 4,
    /// A mandate between two organisations.
    Mandate = 5,
    /// The next number of a series.
    Counter = 6,
    /// The invoice of a seller's own document number.
    Reference = 7,
    /// An invoice.
    Invoice = 8,
    /// What a party sold or bought in a month.
    Accumulator = 9,
    /// A filed month.
    Filing = 10,
    /// How many refusals an organisation has had this hour.
    RefusalBudget = 11,
    /// An equivocation of a validator.
    Evidence = 12,
    /// The taxpayer ids that an organisation had before the one it has.
    Former = 13,
    /// A seller's quota of a month.
    Quota = 14,
    /// From which month on a seller issues only what it was granted.
    UnderQuota = 15,
    /// A revoked key of an organisation.
    RetiredKey = 20,
    /// Whose a public key is, or was.
    PublicKey = 21,
    /// How many keys an organisation has added this day.
    Additions = 22,
    /// To whom an organisation gave the mandates in force.
    Given = 23,
    /// The booking of an invoice.
    Booking = 28,
    /// The use of an invoice's VAT.
    VatUse = 29,
    /// What a buyer's month has of input VAT.
    Input = 30,
    /// What the buyer said of an invoice.
    Manifestation = 31,
    /// What the seller says otherwise about an invoice.
    Correction = 32,
    /// What a month was filed with beside its output.
    Declared = 40,
    /// An amendment of a filed month.
    Amendment = 41,
    /// What became of a filed month.
    Dues = 42,
    /// A payment order.
    Payment = 43,
    /// A segment of numbers for a contingency.
    Segment = 34,
    /// How an invoice was issued offline.
    Offline = 35,
    /// The segments of an organisation that are open.
    OpenSegments = 36,
    /// What red letters took back of a blue.
    Reversal = 24,
    /// The newest slip of a blue.
    Slip = 25,
    /// A red letter.
    RedLetter = 26,
    /// What red letters of a month come to whose blues are of months before.
    Earlier = 27,
}

/// Bytes at the end of an id of one part in which the ids of neighbours differ.
const ENDING_BYTES: usize = 3;

/// The key of a state record: kind, then id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(Vec<u8>);

impl StateKey {
    pub(crate) fn new(kind: Kind, parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len() + 1).sum::<usize>() + 1;
        let mut bytes = Vec::with_capacity(length);
        bytes.push(kind as u8);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                // No id contains a zero byte, so the parts stay apart.
                bytes.push(0);
            }
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }

    /// The parameters.
    pub fn parameters() -> Self {
        Self::new(Kind::Parameters, &[])
    }

    /// The validator set for the next block.
    pub fn validators() -> Self {
        Self::new(Kind::Validators, &[])
    }

    /// An organisation.
    pub fn organisation(id: &OrganisationId) -> Self {
        Self::new(Kind::Organisation, &[id.as_str().as_bytes()])
    }

    /// The organisation with a taxpayer id.
    pub fn taxpayer(id: &TaxpayerId) -> Self {
        Self::new(Kind::Taxpayer, &[id.as_str().as_bytes()])
    }

    /// The taxpayer ids that an organisation had before.
    pub fn former(organisation: &OrganisationId) -> Self {
        Self::new(Kind::Former, &[organisation.as_str().as_bytes()])
    }

    /// The mandate between two organisations.
    pub fn mandate(from: &OrganisationId, to: &OrganisationId) -> Self {
        Self::new(Kind::Mandate, &[from.as_str().as_bytes(), to.as_str().as_bytes()])
    }

    /// To whom an organisation gave the mandates in force.
    pub fn given(from: &OrganisationId) -> Self {
        Self::new(Kind::Given, &[from.as_str().as_bytes()])
    }

    /// A revoked key of an organisation.
    pub fn retired_key(organisation: &OrganisationId, key: &KeyId) -> Self {
        Self::new(Kind::RetiredKey, &[organisation.as_str().as_bytes(), key.as_str().as_bytes()])
    }

    /// Whose a public key is, or was. As text: the bytes of a key may be zero.
    pub fn public_key(public: &[u8; 32]) -> Self {
        Self::new(Kind::PublicKey, &[encode_base64url(public).as_bytes()])
    }

    /// How many keys an organisation has added this day.
    pub fn additions(organisation: &OrganisationId) -> Self {
        Self::new(Kind::Additions, &[organisation.as_str().as_bytes()])
    }

    /// The counter of a series of numbers.
    pub fn counter(series: &str) -> Self {
        Self::new(Kind::Counter, &[series.as_bytes()])
    }

    /// The counter of the equivocations. Other series are codes of invoices, which are digits.
    pub fn evidence_counter() -> Self {
        Self::counter("evidence")
    }

    /// The invoice of a seller's own document number.
    pub fn reference(seller: &OrganisationId, reference: &str) -> Self {
        Self::new(Kind::Reference, &[seller.as_str().as_bytes(), reference.as_bytes()])
    }

    /// An invoice.
    pub fn invoice(id: &InvoiceId) -> Self {
        Self::new(Kind::Invoice, &[id.to_string().as_bytes()])
    }

    /// What a party sold or bought in a month.
    pub fn accumulator(period: Period, side: Side, party: &Party) -> Self {
        Self::new(Kind::Accumulator, &[period.to_string().as_bytes(), &[side as u8], party.key().as_bytes()])
    }

    /// A filed month of a seller.
    pub fn filing(seller: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Filing, &[period.to_string().as_bytes(), seller.as_str().as_bytes()])
    }

    /// A seller's quota of a month.
    pub fn quota(seller: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Quota, &[period.to_string().as_bytes(), seller.as_str().as_bytes()])
    }

    /// From which month on a seller issues only what it was granted.
    pub fn under_quota(seller: &OrganisationId) -> Self {
        Self::new(Kind::UnderQuota, &[seller.as_str().as_bytes()])
    }

    /// The refusals of an organisation.
    pub fn refusal_budget(organisation: &OrganisationId) -> Self {
        Self::new(Kind::RefusalBudget, &[organisation.as_str().as_bytes()])
    }

    /// An equivocation of a validator. The height stands in front and all numbers are big-endian, so that the newest
    /// are found from the end.
    pub fn evidence(height: u64, round: u32, kind: Step, validator: &OrganisationId) -> Self {
        let mut id = height.to_be_bytes().to_vec();
        id.extend_from_slice(&round.to_be_bytes());
        id.push(kind as u8);
        id.extend_from_slice(validator.as_str().as_bytes());
        Self::new(Kind::Evidence, &[&id])
    }

    /// A key from its bytes, as a store gives them back.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whose record it is the key of, when it is that of an organisation.
    pub fn organisation_id(&self) -> Option<OrganisationId> {
        let (kind, id) = self.0.split_first()?;
        let id = Some(id).filter(|_| *kind == Kind::Organisation as u8)?;
        std::str::from_utf8(id).ok()?.parse().ok()
    }

    /// Between whom a mandate is, given and held, when it is the key of one.
    pub fn mandate_between(&self) -> Option<(&str, &str)> {
        let (kind, id) = self.0.split_first()?;
        let id = Some(id).filter(|_| *kind == Kind::Mandate as u8)?;
        std::str::from_utf8(id).ok()?.split_once('\0')
    }

    /// The invoice it is the key of, when it is that of one.
    pub fn invoice_of(&self) -> Option<InvoiceId> {
        self.invoice_under(Kind::Invoice)
    }

    /// Of which invoice it says that its VAT is used, when it is the key of that.
    pub fn used_invoice(&self) -> Option<InvoiceId> {
        self.invoice_under(Kind::VatUse)
    }

    pub(crate) fn invoice_under(&self, wanted: Kind) -> Option<InvoiceId> {
        let (kind, id) = self.0.split_first()?;
        let id = Some(id).filter(|_| *kind == wanted as u8)?;
        std::str::from_utf8(id).ok()?.parse().ok()
    }

    /// Whose quota of which month it is the key of, when it is that of a quota.
    pub fn quota_of(&self) -> Option<(OrganisationId, Period)> {
        let (kind, id) = self.0.split_first()?;
        let id = Some(id).filter(|_| *kind == Kind::Quota as u8)?;
        let (period, seller) = std::str::from_utf8(id).ok()?.split_once('\0')?;
        Some((seller.parse().ok()?, period.parse().ok()?))
    }

    /// What it shares with the keys beside which its record stands in the state tree: all but the last part of the
    /// id, or, of an id of one part, all but the last 3 bytes. Changing it forks the chain.
    pub fn neighbourhood(&self) -> &[u8] {
        let last_part = self.0.iter().rposition(|byte| *byte == 0);
        &self.0[..last_part.unwrap_or(self.0.len().saturating_sub(ENDING_BYTES))]
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

// The order of keys is that of their bytes, so that maps of keys are asked with what a store has.
impl Borrow<[u8]> for StateKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_first() {
            Some((kind, id)) => write!(f, "{kind}:{}", id.escape_ascii()),
            None => f.write_str("(empty)"),
        }
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A fault while reading state: never the caller's mistake.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store behind the view failed.
    #[error("failed to read state")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What a replay keeps beyond memory could not be kept.
    #[error("the scratch of the replay failed")]
    Scratch(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record is not what the rules wrote.
    #[error("state record {key} is damaged")]
    Damaged {
        /// The record.
        key: String,
        /// What the decoder said.
        #[source]
        source: std::io::Error,
    },
    /// A record that every state has is missing.
    #[error("state record {key} is missing")]
    Missing {
        /// The record.
        key: String,
    },
    /// Sums that execution found to fit do not: state changed between deciding and applying.
    #[error("the sums of {party} left their range")]
    Sums {
        /// The party.
        party: String,
    },
    /// The state tree failed.
    #[error("the state tree failed: {reason}")]
    Tree {
        /// What it said.
        reason: String,
    },
}

/// A live nonce: what an organisation said under it, and where the answer stands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Nonce {
    /// The statement.
    pub statement: StatementId,
    /// SHA-256 of its payload: the same again is a retry, another is a mistake.
    pub payload_hash: Hash,
    /// Until when it is live, ms UTC of block time, that very instant included.
    pub live_until_ms: i64,
}

/// What rules may read: the state after some block.
pub trait View {
    /// A record, as stored.
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault>;
    /// Shows a record, as stored, if there is one: for views that need not copy it.
    fn show(&self, key: &StateKey, to: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        if let Some(stored) = self.get(key)? {
            to(&stored);
        }
        Ok(())
    }
    /// A nonce that was used, live or not.
    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault>;
}

const CREATOR_BYTES: usize = 32;

/// Decodes a stored record.
///
/// # Errors
/// [`Fault::Damaged`] when the bytes are not one whole record.
pub fn decode<T: BorshDeserialize>(key: &StateKey, stored: &[u8]) -> Result<T, Fault> {
    let damaged = |source| Fault::Damaged { key: key.to_string(), source };
    let body = stored
        .get(CREATOR_BYTES..)
        .ok_or_else(|| damaged(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "shorter than its creator")))?;
    T::try_from_slice(body).map_err(damaged)
}

/// Reads and decodes a record.
///
/// # Errors
/// A fault of the view.
pub fn read<T: BorshDeserialize>(view: &(impl View + ?Sized), key: &StateKey) -> Result<Option<T>, Fault> {
    let mut found = None;
    view.show(key, &mut |stored| found = Some(decode(key, stored)))?;
    found.transpose()
}

/// Reads a record that every state has.
///
/// # Errors
/// A fault of the view; [`Fault::Missing`].
pub fn require<T: BorshDeserialize>(view: &(impl View + ?Sized), key: &StateKey) -> Result<T, Fault> {
    read(view, key)?.ok_or_else(|| Fault::Missing { key: key.to_string() })
}

/// Encodes a record with its creator.
pub fn encode<T: BorshSerialize>(creator: &Hash, record: &T) -> Vec<u8> {
    // No larger than it must be: records wait in memory by the million.
    let length = borsh::object_length(record).expect("counting bytes cannot fail");
    let mut stored = Vec::with_capacity(CREATOR_BYTES + length);
    stored.extend_from_slice(creator.as_bytes());
    borsh::to_writer(&mut stored, record).expect("writing to a vector cannot fail");
    stored
}

/// Writes of a block, sorted by key.
pub type Writes = BTreeMap<StateKey, Vec<u8>>;

/// Hash of a block's writes: SHA-256 over a tag and, for each record in order of keys, the key
/// (with its length, 4 bytes big-endian) and the hash of the stored value.
///
/// It stands in every header, so that validators whose states differ notice at once. Changing
/// this forks the chain.
pub fn writes_hash(writes: &Writes) -> Hash {
    let tag = b"einvoice/writes/1";
    let rows = writes.keys().map(|key| size_of::<u32>() + key.as_bytes().len() + size_of::<Hash>());
    let mut bytes = Vec::with_capacity(tag.len() + rows.sum::<usize>());
    bytes.extend_from_slice(tag);
    for (key, value) in writes {
        let length = u32::try_from(key.as_bytes().len()).expect("keys are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(Hash::of(value).as_bytes());
    }
    Hash::of(&bytes)
}
