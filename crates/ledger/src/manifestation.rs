//! What state remembers of what a buyer said of an invoice, and of what its seller said otherwise. Records of their own,
//! keyed by the invoice, because most invoices have neither.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::identity::OrganisationId;
use invoice::correction::Correction;
use invoice::id::InvoiceId;

use crate::event::{Grounds, Stance};
use crate::record::LeafRef;
use crate::state::{Kind, StateKey};

/// Days of block time after its issue in which a buyer may say what it has to say of an invoice.
pub const MANIFEST_DAYS_MAX: i64 = 180;

/// Corrections of one invoice at most: whoever looks at it is to see them all.
pub const CORRECTIONS_MAX: u32 = 20;

/// What a buyer said last of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ManifestationRecord {
    /// The buyer.
    pub buyer: OrganisationId,
    /// What.
    pub kind: Stance,
    /// Why.
    pub reason: Option<Grounds>,
    /// Block time, ms UTC.
    pub manifested_ms: i64,
    /// The leaf that says so.
    pub leaf: LeafRef,
}

/// What a seller says otherwise about an invoice: all its corrections together.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CorrectionRecord {
    /// How many there have been.
    pub count: u32,
    /// The fields as the newest of them have it.
    pub fields: Correction,
    /// Block time of the newest, ms UTC.
    pub corrected_ms: i64,
    /// The leaf of the newest.
    pub leaf: LeafRef,
}

impl StateKey {
    /// What the buyer said of an invoice.
    pub fn manifestation(id: &InvoiceId) -> Self {
        Self::new(Kind::Manifestation, &[id.to_string().as_bytes()])
    }

    /// What the seller says otherwise about an invoice.
    pub fn correction(id: &InvoiceId) -> Self {
        Self::new(Kind::Correction, &[id.to_string().as_bytes()])
    }
}
