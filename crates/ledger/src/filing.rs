//! What a month was filed with beside what the ledger holds, what is to be paid of it, and what was paid.
//!
//! A filed month has its `FilingRecord`. The rest has records of its own, which only months have that need them: a month
//! of output alone is filed as it always was.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;

use crate::bookkeeping::InputRecord;
use crate::event::{AmendReason, File, InputTotal, OrderId, PaymentResult, UsePurpose};
use crate::record::{FilingRecord, LeafRef};
use crate::refusal::Standing;
use crate::state::{Fault, Kind, StateKey, View, read};

/// How often a month is amended at most.
pub const AMENDMENTS_MAX: u32 = 20;
/// Payment orders of a month at most: each amendment may ask for another, and banks fail now and then.
pub const ORDERS_MAX: usize = 100;

/// What a month was filed with beside its output.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeclaredRecord {
    /// What was used of the VAT it paid, by use.
    pub input: Vec<InputTotal>,
    /// What was sold without invoices, by rate.
    pub uninvoiced: Vec<RateTotal>,
}

/// An amendment of a filed month.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AmendmentRecord {
    /// Why.
    pub reason: AmendReason,
    /// What was sold without invoices from then on, by rate.
    pub uninvoiced: Vec<RateTotal>,
    /// What is to be paid from then on.
    pub due: Due,
    /// Block time, ms UTC.
    pub amended_ms: i64,
    /// Who amended.
    pub by: OrganisationId,
    /// The leaf of the amendment.
    pub leaf: LeafRef,
}

/// What became of a filed month: how often it was amended, and its payments.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DuesRecord {
    /// Amendments so far.
    pub amendments: u32,
    /// What was paid.
    pub paid: Amount,
    /// What is requested by the newest order, whose result is not known yet.
    pub requested: Option<Amount>,
    /// The payment orders, oldest first.
    pub orders: Vec<OrderId>,
}

/// A payment order.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PaymentRecord {
    /// The month it is for.
    pub period: Period,
    /// How much.
    pub amount: Amount,
    /// Block time of the request, ms UTC.
    pub requested_ms: i64,
    /// Who requested it.
    pub by: OrganisationId,
    /// The leaf of the request.
    pub leaf: LeafRef,
    /// What became of it, once that is known.
    pub decided: Option<DecidedPayment>,
}

/// What became of a payment order, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DecidedPayment {
    /// The result.
    pub result: PaymentResult,
    /// SHA-256 of the bank's paper.
    pub receipt: Hash,
    /// Block time, ms UTC.
    pub decided_ms: i64,
    /// Who said so: the taxpayer, its provider or the tax bureau.
    pub by: OrganisationId,
    /// The leaf that says so.
    pub leaf: LeafRef,
}

impl PaymentRecord {
    /// The request as a reason to refuse.
    pub fn standing(&self) -> Standing {
        Standing { organisation: self.by.clone(), since_ms: self.requested_ms, until_ms: None, leaf: self.leaf }
    }
}

/// What a month leaves to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Due {
    /// To be paid: never below zero.
    pub payable: Amount,
    /// What more was deducted than there was tax: for the months to come.
    pub carried: Amount,
}

impl Due {
    /// What is to be paid: the tax of what was sold, with and without invoices, less what is deducted. `None` when the
    /// sums are beyond any amount.
    pub fn of(output: &[RateTotal], uninvoiced: &[RateTotal], input: &[InputTotal]) -> Option<Self> {
        // 128 bits: no return is long enough to overflow them.
        let sold: i128 = output.iter().chain(uninvoiced).map(|total| i128::from(total.tax.fen())).sum();
        let deducted = input.iter().filter(|total| total.purpose == UsePurpose::Deduct);
        let due = sold - deducted.map(|total| i128::from(total.tax.fen())).sum::<i128>();
        let amount = |fen: i128| Amount::try_from_fen(fen.max(0)).ok();
        Some(Self { payable: amount(due)?, carried: amount(-due)? })
    }
}

/// A filed month as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// Its filing.
    pub filing: FilingRecord,
    /// What it was filed with beside the output.
    pub declared: DeclaredRecord,
    /// What it came to as it was filed.
    pub first: Due,
    /// Its newest amendment.
    pub amended: Option<AmendmentRecord>,
    /// What became of it.
    pub dues: DuesRecord,
}

impl Filed {
    /// A filed month; `None` when it is not filed.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn read(view: &(impl View + ?Sized), taxpayer: &OrganisationId, period: Period) -> Result<Option<Self>, Fault> {
        let Some(filing) = read::<FilingRecord>(view, &StateKey::filing(taxpayer, period))? else { return Ok(None) };
        let declared = read::<DeclaredRecord>(view, &StateKey::declared(taxpayer, period))?.unwrap_or_default();
        let dues = read::<DuesRecord>(view, &StateKey::dues(taxpayer, period))?.unwrap_or_default();
        let amended = match dues.amendments {
            0 => None,
            number => read(view, &StateKey::amendment(taxpayer, period, number))?,
        };
        let first = Due::of(&filing.output, &declared.uninvoiced, &declared.input)
            .ok_or_else(|| Fault::Sums { party: taxpayer.to_string() })?;
        Ok(Some(Self { filing, declared, first, amended, dues }))
    }

    /// What is to be paid in all, as it was amended.
    pub fn due(&self) -> Due {
        self.amended.as_ref().map_or(self.first, |amended| amended.due)
    }

    /// What was sold without invoices, as it was amended.
    pub fn uninvoiced(&self) -> &[RateTotal] {
        self.amended.as_ref().map_or(&self.declared.uninvoiced, |amended| &amended.uninvoiced)
    }

    /// What is neither paid nor requested; below zero when more was paid than is to be.
    pub fn open_fen(&self) -> i128 {
        let fen = |amount: Amount| i128::from(amount.fen());
        fen(self.due().payable) - fen(self.dues.paid) - self.dues.requested.map_or(0, fen)
    }

    /// The filing as a reason to refuse.
    pub fn standing(&self) -> Standing {
        let FilingRecord { by, filed_ms, leaf, .. } = &self.filing;
        Standing { organisation: by.clone(), since_ms: *filed_ms, until_ms: None, leaf: *leaf }
    }
}

/// What a month has of input VAT, by use, as it is declared; `None` when a sum is beyond any amount.
pub fn declarable(input: &InputRecord) -> Option<Vec<InputTotal>> {
    let total = |sum: &crate::bookkeeping::InputSum| {
        let (net, tax) = (Amount::try_from_fen(sum.net_fen).ok()?, Amount::try_from_fen(sum.tax_fen).ok()?);
        Some(InputTotal { purpose: sum.purpose, invoices: sum.invoices, net, tax })
    };
    input.standing().map(total).collect()
}

/// One figure of two returns that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which: `invoices`, `output` and the rate, `input` and the use, or `uninvoiced` and the rate.
    pub figure: String,
    /// What the ledger holds.
    pub held: String,
    /// What was declared.
    pub declared: String,
}

/// Where two returns differ, figure by figure; those that come to nothing may be left out of either.
pub fn differences(held: &File, declared: &File) -> Vec<Difference> {
    let mut found = BTreeMap::new();
    for (first, file) in [(true, held), (false, declared)] {
        let mut figure = |name: String, text: String| {
            let (held, declared): &mut (Vec<_>, Vec<_>) = found.entry(name).or_default();
            if first { held.push(text) } else { declared.push(text) }
        };
        figure("invoices".to_owned(), file.invoices.to_string());
        for (name, totals) in [("output", &file.output), ("uninvoiced", &file.uninvoiced)] {
            for RateTotal { treatment, net, tax } in totals.iter().filter(|it| !it.net.is_zero() || !it.tax.is_zero()) {
                figure(format!("{name} {treatment}"), format!("net {net} tax {tax}"));
            }
        }
        for InputTotal { purpose, invoices, net, tax } in file.input.iter().filter(|total| total.invoices > 0) {
            figure(format!("input {purpose}"), format!("{invoices} invoices net {net} tax {tax}"));
        }
    }
    let text = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let differing = found.into_iter().filter(|(_, (held, declared))| held != declared);
    differing
        .map(|(figure, (held, declared))| Difference { figure, held: text(held), declared: text(declared) })
        .collect()
}

impl Filed {
    /// The return as it was filed.
    pub fn returned(&self, taxpayer: &OrganisationId, period: Period) -> File {
        File {
            seller: taxpayer.clone(),
            period,
            invoices: self.filing.invoices,
            output: self.filing.output.clone(),
            input: self.declared.input.clone(),
            uninvoiced: self.declared.uninvoiced.clone(),
        }
    }
}

impl StateKey {
    /// What a month was filed with beside its output.
    pub fn declared(taxpayer: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Declared, &[period.to_string().as_bytes(), taxpayer.as_str().as_bytes()])
    }

    /// What became of a filed month.
    pub fn dues(taxpayer: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Dues, &[period.to_string().as_bytes(), taxpayer.as_str().as_bytes()])
    }

    /// An amendment of a filed month.
    pub fn amendment(taxpayer: &OrganisationId, period: Period, number: u32) -> Self {
        let (period, number) = (period.to_string(), number.to_string());
        Self::new(Kind::Amendment, &[period.as_bytes(), taxpayer.as_str().as_bytes(), number.as_bytes()])
    }

    /// A payment order of a taxpayer.
    pub fn payment(taxpayer: &OrganisationId, order: &OrderId) -> Self {
        Self::new(Kind::Payment, &[taxpayer.as_str().as_bytes(), order.as_str().as_bytes()])
    }

    /// Whose filing of which month it is the key of, when it is that of one.
    pub fn filing_of(&self) -> Option<(OrganisationId, Period)> {
        let (kind, id) = self.as_bytes().split_first()?;
        let id = Some(id).filter(|_| *kind == Kind::Filing as u8)?;
        let (period, taxpayer) = std::str::from_utf8(id).ok()?.split_once('\0')?;
        Some((taxpayer.parse().ok()?, period.parse().ok()?))
    }
}
