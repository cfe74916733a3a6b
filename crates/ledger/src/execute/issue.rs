//! Issue: number, record, reference, and the months of seller and buyer.

use std::sync::Arc;

use chain::hash::{Hash, StatementId};
use chain::identity::OrganisationId;
use invoice::document::{Document, Profile, RateTotal};
use invoice::id::{InvoiceId, InvoiceNumber, blockchain_code, digital_number};
use invoice::lifecycle::Validity;

use super::{Accepted, Acting, Change, Decision, Executor, Involvement, permit, refuse, repeated, role};
use crate::event::Issue;
use crate::organisation::{Organisation, Role, Scope};
use crate::outcome::Record;
use crate::party::{Party, Side};
use crate::quota::Quota;
use crate::record::{AccumulatorRecord, Claim, CounterRecord, InvoiceRecord, LeafRef, ReferenceRecord, SumOverflow};
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// An invoice about to be issued: everything but the leaf.
pub(super) struct Issuing {
    pub(super) id: InvoiceId,
    /// The counter that the number comes from, and the number; none of a number that was given before.
    pub(super) counted: Option<(String, u64)>,
    pub(super) content: Hash,
    pub(super) record: InvoiceRecord,
    /// The seller's month with the invoice in it; `None` without limit.
    pub(super) quota: Option<Quota>,
}

/// The number an invoice gets: its id, and the counter it comes from.
pub(super) struct Assigned {
    pub(super) id: InvoiceId,
    pub(super) series: String,
    pub(super) number: u64,
}

/// Batches of one year's codes: digit 10 of the code.
const BATCHES: std::ops::RangeInclusive<u8> = 1..=9;

impl Executor<'_> {
    pub(super) fn decide_issue(&self, actor: &Organisation, issue: &Issue) -> Decision {
        let document = &issue.document;
        permit!(role(actor, &[Role::Enterprise, Role::ServiceProvider]));
        let seller = permit!(self.seller(actor, document)?);
        // Before anything that may have changed since: the same document again is answered with the first, whatever the
        // seller is called and registered under by now.
        let content = Hash::from_bytes(*document.content_hash().as_bytes());
        let key = StateKey::reference(&seller.id, &document.reference);
        if let Some(reference) = read::<ReferenceRecord>(&self.state, &key)? {
            return self.issued_before(&seller.id, &reference, content);
        }
        permit!(named_as_registered(&seller, document));
        let quota = permit!(self.with_issued(&seller.id, document.totals.gross)?);
        let Some(assigned) = self.assign(document.profile)? else {
            return refuse(Refusal::new(Reason::NumbersExhausted, "a number left in this year", "none"));
        };
        let record = self.record(&seller, document)?;
        let Assigned { id, series, number } = assigned;
        let counted = Some((series, number));
        Ok(Ok(Accepted {
            record: Record::Issued { invoice: id, issued_ms: self.context.time_ms, holder: record.holder.clone() },
            change: Change::Issue(Box::new(Issuing { id, counted, content, record, quota })),
            mandated: seller.id != actor.id,
        }))
    }

    /// The seller that the document names, when the actor may issue for it. What is registered under a
    /// taxpayer id is told only to those who may.
    pub(super) fn seller(
        &self,
        actor: &Organisation,
        document: &Document,
    ) -> Result<Result<Arc<Organisation>, Refusal>, Fault> {
        let taxpayer = &document.seller.taxpayer_id;
        let refused = |reason, expected: &str| Ok(Err(Refusal::new(reason, expected, taxpayer.to_string())));
        let Some(id) = self.organisations.of_taxpayer(&self.state.below(), taxpayer)? else {
            return refused(Reason::OrganisationUnknown, "a seller on the ledger");
        };
        match self.acting(actor, &id, Scope::Issue)? {
            Acting::Freely => {}
            Acting::WithoutRole => return refused(Reason::RoleMissing, "a service provider, or the seller itself"),
            Acting::ForSuspended => return refused(Reason::Suspended, "an active seller"),
            Acting::Not => return refused(Reason::MandateMissing, "the seller itself, or its mandate in force"),
        }
        match self.organisation(&id)? {
            Some(seller) if !seller.is(Role::Enterprise) => {
                refused(Reason::RoleMissing, "a seller that is an enterprise")
            }
            Some(seller) => Ok(self.still_its_id(&id, taxpayer)?.map(|()| seller)),
            None => Err(Fault::Missing { key: StateKey::organisation(&id).to_string() }),
        }
    }

    /// The same document again is answered with the first; another under its reference is refused.
    pub(super) fn issued_before(
        &self,
        seller: &OrganisationId,
        reference: &ReferenceRecord,
        content: Hash,
    ) -> Decision {
        if reference.content == content {
            return repeated(reference.issue);
        }
        let since_ms = read::<InvoiceRecord>(&self.state, &StateKey::invoice(&reference.invoice))?
            .map_or(self.context.time_ms, |invoice| invoice.issued_ms);
        let standing = Standing { organisation: seller.clone(), since_ms, until_ms: None, leaf: reference.issue };
        let found = format!("{}, issued with other content", reference.invoice);
        refuse(Refusal::new(Reason::ReferenceReused, "a reference not used before", found).because_of(standing))
    }

    /// The next number, without a gap: one counter per code.
    pub(super) fn assign(&self, profile: Profile) -> Result<Option<Assigned>, Fault> {
        let year = self.context.today.year_of_century();
        let numbering = &self.parameters.numbering;
        match profile {
            Profile::BlockchainOrdinary => {
                for batch in BATCHES {
                    // Parameters that do not fit their digits leave no numbers to assign.
                    let (region, copies) = (numbering.blockchain_region, numbering.blockchain_copies);
                    let Ok(code) = blockchain_code(region, year, batch, copies) else {
                        return Ok(None);
                    };
                    let series = code.to_string();
                    let number = self.next_of(&series)?;
                    // Eight digits; after them the next batch.
                    if let Ok(digits) = InvoiceNumber::from_number(number) {
                        let id = InvoiceId::Blockchain { code, number: digits };
                        return Ok(Some(Assigned { id, series, number }));
                    }
                }
                Ok(None)
            }
            Profile::DigitalOrdinary | Profile::DigitalSpecial => {
                let (province, channel) = (numbering.digital_province, numbering.digital_channel);
                let series = format!("digital:{year:02}{province:02}{channel}");
                let number = self.next_of(&series)?;
                Ok(digital_number(year, province, channel, number).ok().map(|digits| Assigned {
                    id: InvoiceId::Digital { number: digits },
                    series,
                    number,
                }))
            }
        }
    }

    fn next_of(&self, series: &str) -> Result<u64, Fault> {
        self.next_number(&StateKey::counter(series))
    }

    /// What a counter says, from 1 on.
    pub(super) fn next_number(&self, counter: &StateKey) -> Result<u64, Fault> {
        Ok(read::<CounterRecord>(&self.state, counter)?.map_or(1, |counter| counter.next))
    }

    pub(super) fn record(&self, seller: &Organisation, document: &Document) -> Result<InvoiceRecord, Fault> {
        let buyer = Party::buyer(&document.buyer);
        // Admission held the document to rules under which its sums fit.
        let by_rate = document.totals_by_rate().map_err(|_| Fault::Sums { party: seller.id.to_string() })?;
        Ok(InvoiceRecord {
            profile: document.profile,
            seller: seller.id.clone(),
            seller_party: Party::Taxpayer(seller.taxpayer_id.clone()),
            holder: buyer.clone(),
            buyer,
            reference: document.reference.clone(),
            issued_ms: self.context.time_ms,
            period: self.context.today.period(),
            totals: document.totals,
            by_rate,
            // The leaf is not known yet; `apply_issue` sets it.
            issue: LeafRef { index: 0, hash: Hash::from_bytes([0; 32]) },
            validity: Validity::Normal,
            claim: Claim::Open,
            locks: 0,
            tenure: None,
        })
    }

    /// Takes an invoice into, or out of, the month of its issue on both sides.
    pub(super) fn accumulate(
        &mut self,
        record: &InvoiceRecord,
        by: StatementId,
        leaf: LeafRef,
        step: fn(&mut AccumulatorRecord, &[RateTotal], &Hash) -> Result<(), SumOverflow>,
    ) -> Result<(), Fault> {
        for (party, side) in [(&record.seller_party, Side::Seller), (&record.buyer, Side::Buyer)] {
            let key = StateKey::accumulator(record.period, side, party);
            let mut sums = read::<AccumulatorRecord>(&self.state, &key)?.unwrap_or_default();
            step(&mut sums, &record.by_rate, &leaf.hash)
                .map_err(|SumOverflow| Fault::Sums { party: party.to_string() })?;
            self.state.put(key, &by.hash(), &sums)?;
        }
        Ok(())
    }

    pub(super) fn apply_issue(&mut self, issuing: Issuing, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let Issuing { id, counted, content, mut record, quota } = issuing;
        record.issue = leaf;
        self.accumulate(&record, by, leaf, AccumulatorRecord::add)?;
        if let Some(quota) = quota {
            self.use_quota(&record.seller, record.period, quota, by)?;
        }
        if let Some((series, number)) = counted {
            self.state.put(StateKey::counter(&series), &by.hash(), &CounterRecord { next: number + 1 })?;
        }
        let reference = ReferenceRecord { invoice: id, content, issue: leaf };
        self.state.put(StateKey::reference(&record.seller, &record.reference), &by.hash(), &reference)?;
        for (party, side) in
            [(&record.seller_party, Side::Seller), (&record.buyer, Side::Buyer), (&record.holder, Side::Holder)]
        {
            let (party, invoice) = (party.clone(), id);
            self.involvements.push(Involvement { party, side, invoice, leaf: leaf.index });
        }
        self.state.put_new(StateKey::invoice(&id), &by.hash(), &record);
        Ok(())
    }
}

/// Refuses a document that names its seller otherwise than the ledger does.
pub(super) fn named_as_registered(seller: &Organisation, document: &Document) -> Result<(), Refusal> {
    if seller.name != document.seller.name {
        let (expected, found) = (seller.name.clone(), document.seller.name.clone());
        return Err(Refusal::new(Reason::SellerNameDiffers, expected, found));
    }
    if seller.taxpayer_id.check_registered(seller.taxpayer_kind).is_err() {
        let found = seller.taxpayer_id.to_string();
        return Err(Refusal::new(Reason::SellerTaxpayerId, "a code whose check digit fits", found));
    }
    if seller.taxpayer_id != document.seller.taxpayer_id {
        let (expected, found) = (seller.taxpayer_id.to_string(), document.seller.taxpayer_id.to_string());
        return Err(Refusal::new(Reason::SellerTaxpayerIdFormer, expected, found));
    }
    Ok(())
}
