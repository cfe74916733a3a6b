//! Filing: a seller's ended month, whose totals tie with the ledger's.

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;

use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated, role};
use crate::event::File;
use crate::organisation::{Organisation, Role, Scope};
use crate::outcome::Record;
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, FilingRecord, FormerRecord, LeafRef};
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// A month about to be filed: everything but the leaf.
pub(super) struct FilingChange {
    seller: OrganisationId,
    period: Period,
    record: FilingRecord,
}

impl Executor<'_> {
    pub(super) fn decide_file(&self, actor: &Organisation, file: &File) -> Decision {
        permit!(role(actor, &[Role::Enterprise, Role::ServiceProvider]));
        let Some(seller) = self.organisation(&file.seller)? else {
            let found = file.seller.to_string();
            return refuse(Refusal::new(Reason::OrganisationUnknown, "a seller on the ledger", found));
        };
        permit!(self.mandated(actor, &seller.id, Scope::File)?);
        let ends_ms = file.period.end_ms();
        if self.context.time_ms < ends_ms {
            let expected = format!("block time at or after {ends_ms}");
            return refuse(Refusal::new(Reason::PeriodOpen, expected, self.context.time_ms.to_string()));
        }
        let declared = declared_output(&file.output);
        if let Some(filed) = read::<FilingRecord>(&self.state, &StateKey::filing(&seller.id, file.period))? {
            return filed_before(&filed, file.invoices, &declared);
        }
        let month = self.month_of(&seller, file.period)?;
        let Some((month, held)) = month.and_then(|month| month.output().map(|held| (month, held))) else {
            return refuse(Refusal::new(Reason::SumOverflow, "sums that can be declared", "sums beyond any amount"));
        };
        if (file.invoices, &declared) != (month.invoices, &held) {
            let (expected, found) = (summary(month.invoices, &held), summary(file.invoices, &declared));
            return refuse(Refusal::new(Reason::TotalsDiffer, expected, found));
        }
        let record = FilingRecord {
            filed_ms: self.context.time_ms,
            invoices: month.invoices,
            output: held,
            chain: month.chain,
            by: actor.id.clone(),
            // The leaf is not known yet; `apply_filing` sets it.
            leaf: LeafRef { index: 0, hash: month.chain },
        };
        Ok(Ok(Accepted {
            record: Record::Filed { period: file.period, invoices: month.invoices, chain: month.chain },
            change: Change::File(Box::new(FilingChange { seller: seller.id.clone(), period: file.period, record })),
            mandated: seller.id != actor.id,
        }))
    }

    /// What a seller sold in a month, under every taxpayer id that it has or had; `None` when the sums do not fit.
    pub(super) fn month_of(&self, seller: &Organisation, period: Period) -> Result<Option<AccumulatorRecord>, Fault> {
        let former = read::<FormerRecord>(&self.state.below(), &StateKey::former(&seller.id))?.unwrap_or_default();
        let mut months = Vec::with_capacity(former.ids.len() + 1);
        for id in former.ids.into_iter().map(|former| former.taxpayer_id).chain([seller.taxpayer_id.clone()]) {
            let key = StateKey::accumulator(period, Side::Seller, &Party::Taxpayer(id));
            months.push(read::<AccumulatorRecord>(&self.state, &key)?.unwrap_or_default());
        }
        Ok(AccumulatorRecord::joined(months))
    }

    pub(super) fn apply_filing(&mut self, filing: FilingChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let FilingChange { seller, period, mut record } = filing;
        record.leaf = leaf;
        self.state.put(StateKey::filing(&seller, period), &by.hash(), &record)
    }
}

/// The same totals again are answered with the first filing; others are refused.
fn filed_before(filed: &FilingRecord, invoices: u64, declared: &[RateTotal]) -> Decision {
    if filed.invoices == invoices && filed.output == declared {
        return repeated(filed.leaf);
    }
    let standing =
        Standing { organisation: filed.by.clone(), since_ms: filed.filed_ms, until_ms: None, leaf: filed.leaf };
    let (expected, found) = (summary(filed.invoices, &filed.output), summary(invoices, declared));
    refuse(Refusal::new(Reason::AlreadyFiled, expected, found).because_of(standing))
}

/// Declared totals in the ledger's order, without those that sum to nothing.
fn declared_output(output: &[RateTotal]) -> Vec<RateTotal> {
    let mut declared: Vec<_> =
        output.iter().filter(|total| total.net != Amount::ZERO || total.tax != Amount::ZERO).copied().collect();
    declared.sort_by_key(|total| total.treatment);
    declared
}

fn summary(invoices: u64, output: &[RateTotal]) -> String {
    use std::fmt::Write as _;
    // Bounded: a declaration may name any number of rates, and this goes into the outcome.
    const SHOWN: usize = 6;
    let mut text = format!("{invoices} invoices");
    for total in output.iter().take(SHOWN) {
        write!(text, "; {}: net {} tax {}", total.treatment, total.net, total.tax)
            .expect("writing to a string cannot fail");
    }
    if let Some(more) = output.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        write!(text, "; {more} more rates").expect("writing to a string cannot fail");
    }
    text
}
