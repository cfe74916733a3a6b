//! Filing: a taxpayer's ended month, whose totals tie with the ledger's.

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;

use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated, role};
use crate::bookkeeping::InputRecord;
use crate::event::{File, InputTotal, UsePurpose};
use crate::filing::{DeclaredRecord, Due, Filed, declarable};
use crate::organisation::{Organisation, Role, Scope};
use crate::outcome::Record;
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, FilingRecord, FormerRecord, LeafRef};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// A month about to be filed: everything but the leaf.
pub(super) struct FilingChange {
    seller: OrganisationId,
    period: Period,
    record: FilingRecord,
    declared: DeclaredRecord,
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
        let (output, input) = (declared_output(&file.output), declared_input(&file.input));
        if let Some(filed) = Filed::read(&self.state, &seller.id, file.period)? {
            return filed_before(&filed, file, &output, &input);
        }
        let Some((month, held, used)) = self.held(&seller, file.period)? else {
            return refuse(beyond_any_amount());
        };
        if (file.invoices, &output, &input) != (month.invoices, &held, &used) {
            let (expected, found) =
                (summary(month.invoices, &held, &used, &input), summary(file.invoices, &output, &input, &used));
            return refuse(Refusal::new(Reason::TotalsDiffer, expected, found));
        }
        if Due::of(&held, &file.uninvoiced, &used).is_none() {
            return refuse(beyond_any_amount());
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
            change: Change::File(Box::new(FilingChange {
                seller: seller.id.clone(),
                period: file.period,
                record,
                declared: DeclaredRecord { input: used, uninvoiced: file.uninvoiced.clone() },
            })),
            mandated: seller.id != actor.id,
        }))
    }

    /// What the ledger holds of a month, to be declared as it is; `None` when the sums do not fit.
    fn held(&self, taxpayer: &Organisation, period: Period) -> Result<Option<Held>, Fault> {
        let input = read::<InputRecord>(&self.state, &StateKey::input(&taxpayer.id, period))?.unwrap_or_default();
        let Some(month) = self.month_of(taxpayer, period)? else { return Ok(None) };
        let (output, input) = (month.output(), declarable(&input));
        Ok(output.zip(input).map(|(output, input)| (month, output, input)))
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
        let FilingChange { seller, period, mut record, declared } = filing;
        record.leaf = leaf;
        // A month of output alone leaves what it always left.
        if declared != DeclaredRecord::default() {
            self.state.put(StateKey::declared(&seller, period), &by.hash(), &declared)?;
        }
        self.state.put(StateKey::filing(&seller, period), &by.hash(), &record)
    }
}

/// What the ledger holds of a month: its sums, and what is declared of them.
type Held = (AccumulatorRecord, Vec<RateTotal>, Vec<InputTotal>);

/// The subject of what is filed, amended or paid.
pub(super) fn subject(taxpayer: &OrganisationId, period: Period) -> String {
    format!("filing:{taxpayer}/{period}")
}

/// The refusal of sums that nobody could declare.
pub(super) fn beyond_any_amount() -> Refusal {
    Refusal::new(Reason::SumOverflow, "sums that can be declared", "sums beyond any amount")
}

/// The same totals again are answered with the first filing; others are refused.
fn filed_before(filed: &Filed, file: &File, output: &[RateTotal], input: &[InputTotal]) -> Decision {
    let Filed { filing, declared, .. } = filed;
    let held = (filing.invoices, &*filing.output, &*declared.input);
    if held == (file.invoices, output, input) && declared.uninvoiced == file.uninvoiced {
        return repeated(filing.leaf);
    }
    let mut expected = summary(filing.invoices, &filing.output, &declared.input, input);
    let mut found = summary(file.invoices, output, input, &declared.input);
    if declared.uninvoiced != file.uninvoiced {
        expected.push_str(&without_invoices(&declared.uninvoiced));
        found.push_str(&without_invoices(&file.uninvoiced));
    }
    refuse(Refusal::new(Reason::AlreadyFiled, expected, found).because_of(filed.standing()))
}

/// Declared uses in the ledger's order, without those of no invoices.
fn declared_input(input: &[InputTotal]) -> Vec<InputTotal> {
    let mut declared: Vec<_> = input.iter().filter(|total| total.invoices > 0).copied().collect();
    declared.sort_by_key(|total| total.purpose);
    declared
}

/// Declared totals in the ledger's order, without those that sum to nothing.
fn declared_output(output: &[RateTotal]) -> Vec<RateTotal> {
    let mut declared: Vec<_> =
        output.iter().filter(|total| total.net != Amount::ZERO || total.tax != Amount::ZERO).copied().collect();
    declared.sort_by_key(|total| total.treatment);
    declared
}

/// What a month comes to: its rates, and those of its uses that differ from the other side's.
fn summary(invoices: u64, output: &[RateTotal], input: &[InputTotal], other: &[InputTotal]) -> String {
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
    // There are four uses, of which a declaration may name each more than once.
    for purpose in UsePurpose::ALL {
        let of = |totals: &[InputTotal]| {
            let totals = totals.iter().filter(|total| total.purpose == purpose);
            totals.map(|InputTotal { invoices, net, tax, .. }| (*invoices, *net, *tax)).collect::<Vec<_>>()
        };
        let own = of(input);
        if own == of(other) {
            continue;
        }
        match own.first() {
            Some((invoices, net, tax)) => write!(text, "; {purpose}: {invoices} invoices net {net} tax {tax}"),
            None => write!(text, "; {purpose}: none"),
        }
        .expect("writing to a string cannot fail");
    }
    text
}

/// What was sold without invoices, all in all: by rate it stands in the view of the month.
pub(super) fn without_invoices(totals: &[RateTotal]) -> String {
    let fen = |of: fn(&RateTotal) -> Amount| totals.iter().map(|total| i128::from(of(total).fen())).sum::<i128>();
    let text =
        |fen: i128| Amount::try_from_fen(fen).map_or_else(|_| "beyond any amount".to_owned(), |it| it.to_string());
    format!("; without invoices: net {} tax {}", text(fen(|total| total.net)), text(fen(|total| total.tax)))
}
