//! What a buyer says of an invoice, and what its seller says otherwise about it.
//!
//! For the buyer speaks who files for it, as in its books; for the seller who issues for it.

use chain::hash::{Hash, StatementId};
use invoice::correction::Correction;
use invoice::id::InvoiceId;

use super::bookkeeping::standing;
use super::{Accepted, Acting, Change, Decision, Executor, permit, refuse, repeated, role_missing, suspended};
use crate::event::{Correct, Manifest};
use crate::manifestation::{CORRECTIONS_MAX, CorrectionRecord, MANIFEST_DAYS_MAX, ManifestationRecord};
use crate::organisation::{Organisation, Scope};
use crate::outcome::Record;
use crate::party::Party;
use crate::record::LeafRef;
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The leaf of an event that has none yet; applying sets it.
const NO_LEAF: LeafRef = LeafRef { index: 0, hash: Hash::from_bytes([0; 32]) };

/// What a party says of an invoice, about to be written: everything but the leaf.
pub(super) enum Saying {
    /// The buyer.
    Manifestation(InvoiceId, ManifestationRecord),
    /// The seller.
    Correction(InvoiceId, CorrectionRecord),
}

impl Executor<'_> {
    pub(super) fn decide_manifest(&self, actor: &Organisation, manifest: &Manifest) -> Decision {
        let Manifest { invoice, kind, reason } = manifest;
        let record = permit!(self.invoice(invoice)?);
        let buyer = permit!(self.buyer(actor, invoice, &record)?);
        permit!(standing(&record));
        let before = read::<ManifestationRecord>(&self.state, &StateKey::manifestation(invoice))?;
        if let Some(before) = &before
            && (&before.buyer, before.kind, &before.reason) == (&buyer, *kind, reason)
        {
            return repeated(before.leaf);
        }
        let ends_ms = record.issued_ms.saturating_add(MANIFEST_DAYS_MAX * DAY_MS);
        let now = self.context.time_ms;
        if now >= ends_ms {
            let expected = format!("block time before {ends_ms}, {MANIFEST_DAYS_MAX} days after the issue");
            return refuse(Refusal::new(Reason::ManifestLate, expected, now.to_string()));
        }
        let mandated = buyer != actor.id;
        let said = Record::Manifested { buyer: buyer.clone(), former: before.map(|before| before.kind) };
        let record =
            ManifestationRecord { buyer, kind: *kind, reason: reason.clone(), manifested_ms: now, leaf: NO_LEAF };
        let change = Change::Saying(Box::new(Saying::Manifestation(*invoice, record)));
        Ok(Ok(Accepted { record: said, change, mandated }))
    }

    pub(super) fn decide_correct(&self, actor: &Organisation, correct: &Correct) -> Decision {
        let Correct { invoice, fields } = correct;
        let record = permit!(self.invoice(invoice)?);
        match self.acting(actor, &record.seller, Scope::Issue)? {
            Acting::Freely => {}
            Acting::ForSuspended => return refuse(suspended(&record.seller)),
            Acting::WithoutRole => return refuse(role_missing(&actor.roles, Scope::Issue.roles())),
            Acting::Not => return refuse(self.refused_another_part(actor, invoice, &record)?),
        }
        permit!(standing(&record));
        if fields.buyer.is_some() && matches!(record.buyer, Party::Person(_)) {
            let found = "lines of a natural person";
            return refuse(Refusal::new(Reason::CorrectionPerson, "lines of an organisation", found));
        }
        let before = read::<CorrectionRecord>(&self.state, &StateKey::correction(invoice))?;
        let former = before.as_ref().map_or_else(Correction::default, |before| before.fields.clone());
        let fields = fields.clone().over(former.clone());
        let count = before.as_ref().map_or(0, |before| before.count);
        if let Some(before) = before.filter(|_| fields == former) {
            let (organisation, since_ms, leaf) = (record.seller, before.corrected_ms, before.leaf);
            let standing = Standing { organisation, since_ms, until_ms: None, leaf };
            let refusal = Refusal::new(Reason::CorrectionUnchanged, "a change", "corrected so already");
            return refuse(refusal.because_of(standing));
        }
        if count >= CORRECTIONS_MAX {
            let expected = format!("fewer than {CORRECTIONS_MAX} corrections of the invoice");
            return refuse(Refusal::new(Reason::CorrectionsSpent, expected, count.to_string()));
        }
        let count = count + 1;
        let mandated = record.seller != actor.id;
        let record = CorrectionRecord { count, fields, corrected_ms: self.context.time_ms, leaf: NO_LEAF };
        let change = Change::Saying(Box::new(Saying::Correction(*invoice, record)));
        Ok(Ok(Accepted { record: Record::Corrected { number: count }, change, mandated }))
    }

    pub(super) fn apply_saying(&mut self, saying: Saying, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        match saying {
            Saying::Manifestation(invoice, record) => {
                let record = ManifestationRecord { leaf, ..record };
                self.state.put(StateKey::manifestation(&invoice), &by.hash(), &record)
            }
            Saying::Correction(invoice, record) => {
                let record = CorrectionRecord { leaf, ..record };
                self.state.put(StateKey::correction(&invoice), &by.hash(), &record)
            }
        }
    }
}
