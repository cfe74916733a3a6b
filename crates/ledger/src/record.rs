//! State records of invoices, numbers, months, filings and equivocations.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::equivocation::Step;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::{Profile, RateTotal, Totals};
use invoice::id::InvoiceId;
use invoice::lifecycle::{Reimbursement, Validity};
use invoice::rate::TaxTreatment;
use invoice::taxpayer::TaxpayerId;
use serde::Serialize;

use crate::event::ClaimId;
use crate::organisation::AdmittedKey;
use crate::party::Party;
use crate::refusal::Standing;

/// A leaf of the log, by index and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct LeafRef {
    /// Its index in the log.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// An invoice, as the rules know it. The document itself stands in the block that issued it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InvoiceRecord {
    /// Its profile.
    pub profile: Profile,
    /// The seller.
    pub seller: OrganisationId,
    /// The seller under its taxpayer id.
    pub seller_party: Party,
    /// The buyer.
    pub buyer: Party,
    /// The seller's own document number.
    pub reference: String,
    /// Block time of issue, ms UTC.
    pub issued_ms: i64,
    /// The month of issue, in UTC+8.
    pub period: Period,
    /// Net, tax, gross.
    pub totals: Totals,
    /// Net and tax by rate, ascending.
    pub by_rate: Vec<RateTotal>,
    /// The leaf of its issue.
    pub issue: LeafRef,
    /// Whether it stands.
    pub validity: Validity,
    /// Who holds it.
    pub holder: Party,
    /// Its reimbursement.
    pub claim: Claim,
    /// How many locks it has had: the fencing token of the newest.
    pub locks: u64,
    /// For how long one platform has held it, over locks that follow each other.
    pub tenure: Option<Tenure>,
}

/// How long a platform has held an invoice. Giving a lock up and taking it again, or letting it
/// lapse for a moment, does not begin anew: the total of a lease would be no limit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tenure {
    /// The platform.
    pub platform: OrganisationId,
    /// Block time of the first lock, ms UTC.
    pub since_ms: i64,
    /// When the newest lock ended or will end, ms UTC.
    pub until_ms: i64,
}

/// Where an invoice's reimbursement stands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Claim {
    /// Nobody claims it.
    Open,
    /// A lock, in force until its lease ends.
    Locked(LockRecord),
    /// Reimbursed.
    Closed(ClosedRecord),
}

impl Claim {
    /// The status at a time: a lock whose lease has ended is open again by itself.
    pub fn at(&self, time_ms: i64) -> Reimbursement {
        match self {
            Self::Locked(lock) if time_ms < lock.until_ms => Reimbursement::Locked,
            Self::Open | Self::Locked(_) => Reimbursement::Open,
            Self::Closed(_) => Reimbursement::Closed,
        }
    }

    /// The lock in force at a time.
    pub fn lock_at(&self, time_ms: i64) -> Option<&LockRecord> {
        match self {
            Self::Locked(lock) if time_ms < lock.until_ms => Some(lock),
            Self::Open | Self::Locked(_) | Self::Closed(_) => None,
        }
    }
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LockRecord {
    /// The platform that holds it.
    pub platform: OrganisationId,
    /// The enterprise it locked for.
    pub enterprise: OrganisationId,
    /// The platform's claim.
    pub claim: ClaimId,
    /// The fencing token: whoever acts under an older one is late.
    pub token: u64,
    /// Block time of the lock, ms UTC.
    pub since_ms: i64,
    /// End of the lease, ms UTC; open again at that very instant.
    pub until_ms: i64,
    /// The leaf of the lock.
    pub leaf: LeafRef,
}

impl LockRecord {
    /// The lock as a reason to refuse: who and since when, never what for.
    pub fn standing(&self) -> Standing {
        Standing {
            organisation: self.platform.clone(),
            since_ms: self.since_ms,
            until_ms: Some(self.until_ms),
            leaf: self.leaf,
        }
    }
}

impl ClosedRecord {
    /// The close as a reason to refuse: who and since when, never what for.
    pub fn standing(&self) -> Standing {
        Standing { organisation: self.platform.clone(), since_ms: self.closed_ms, until_ms: None, leaf: self.leaf }
    }
}

/// A closed reimbursement.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClosedRecord {
    /// The platform that closed it.
    pub platform: OrganisationId,
    /// The enterprise that reimbursed.
    pub enterprise: OrganisationId,
    /// The platform's claim.
    pub claim: ClaimId,
    /// The token it was closed under.
    pub token: u64,
    /// Block time of the close, ms UTC.
    pub closed_ms: i64,
    /// The leaf of the close.
    pub leaf: LeafRef,
}

/// The invoice of a seller's own document number.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReferenceRecord {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Hash of the document's content, however its JSON was written.
    pub content: Hash,
    /// The leaf of its issue.
    pub issue: LeafRef,
}

/// The next number of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CounterRecord {
    /// The number the next invoice gets.
    pub next: u64,
}

/// What a party sold or bought in a month, and proof that a list of it is complete.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccumulatorRecord {
    /// How many invoices stand: issued and not voided.
    pub invoices: u64,
    /// Net and tax by rate of those, ascending.
    pub by_rate: Vec<RateSum>,
    /// How many leaves went into `chain`.
    pub leaves: u64,
    /// SHA-256(chain before ‖ leaf hash) over the party's outcomes in order; zeros before the first.
    pub chain: Hash,
}

impl Default for AccumulatorRecord {
    fn default() -> Self {
        Self { invoices: 0, by_rate: Vec::new(), leaves: 0, chain: Hash::from_bytes([0; 32]) }
    }
}

/// Sums of many invoices under one tax treatment, in fen. Wide enough that no number of invoices
/// fills it: else one seller could close a buyer's month to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RateSum {
    /// The treatment.
    pub treatment: TaxTreatment,
    /// Without tax.
    pub net_fen: i128,
    /// Tax.
    pub tax_fen: i128,
}

/// A sum that left its range: a month lost an invoice that it never took in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumOverflow;

impl AccumulatorRecord {
    /// Takes an issued invoice in.
    ///
    /// # Errors
    /// When a sum would not fit.
    pub fn add(&mut self, by_rate: &[RateTotal], leaf: &Hash) -> Result<(), SumOverflow> {
        self.invoices = self.invoices.checked_add(1).ok_or(SumOverflow)?;
        self.merge(by_rate, i128::checked_add)?;
        self.extend(leaf)
    }

    /// Takes a voided invoice out.
    ///
    /// # Errors
    /// When a sum would not fit, or the invoice never went in.
    pub fn remove(&mut self, by_rate: &[RateTotal], leaf: &Hash) -> Result<(), SumOverflow> {
        self.invoices = self.invoices.checked_sub(1).ok_or(SumOverflow)?;
        self.merge(by_rate, i128::checked_sub)?;
        self.extend(leaf)
    }

    /// One month of a party that had it under several taxpayer ids, from the months under each of them, in the order of
    /// the ids. Under one id it is that month itself; the chain of several covers the chains of all that have one.
    pub fn joined(parts: Vec<Self>) -> Option<Self> {
        let mut parts: Vec<Self> = parts.into_iter().filter(|part| part.leaves > 0).collect();
        if parts.len() <= 1 {
            return Some(parts.pop().unwrap_or_default());
        }
        let chains: Vec<&[u8]> = parts.iter().map(|part| &part.chain.as_bytes()[..]).collect();
        let mut whole = Self { chain: Hash::of_parts(&chains), ..Self::default() };
        for part in &parts {
            whole.invoices = whole.invoices.checked_add(part.invoices)?;
            whole.leaves = whole.leaves.checked_add(part.leaves)?;
            for sum in &part.by_rate {
                let own = whole.sum_of(sum.treatment);
                own.net_fen = own.net_fen.checked_add(sum.net_fen)?;
                own.tax_fen = own.tax_fen.checked_add(sum.tax_fen)?;
            }
        }
        Some(whole)
    }

    fn sum_of(&mut self, treatment: TaxTreatment) -> &mut RateSum {
        let place = match self.by_rate.binary_search_by_key(&treatment, |own| own.treatment) {
            Ok(place) => place,
            Err(place) => {
                self.by_rate.insert(place, RateSum { treatment, net_fen: 0, tax_fen: 0 });
                place
            }
        };
        &mut self.by_rate[place]
    }

    fn merge(&mut self, by_rate: &[RateTotal], combine: fn(i128, i128) -> Option<i128>) -> Result<(), SumOverflow> {
        for total in by_rate {
            let own = self.sum_of(total.treatment);
            own.net_fen = combine(own.net_fen, i128::from(total.net.fen())).ok_or(SumOverflow)?;
            own.tax_fen = combine(own.tax_fen, i128::from(total.tax.fen())).ok_or(SumOverflow)?;
        }
        Ok(())
    }

    /// What its invoices come to with tax, in fen; `None` when that does not fit.
    pub fn gross_fen(&self) -> Option<i128> {
        self.by_rate.iter().try_fold(0_i128, |gross, sum| gross.checked_add(sum.net_fen)?.checked_add(sum.tax_fen))
    }

    fn extend(&mut self, leaf: &Hash) -> Result<(), SumOverflow> {
        self.leaves = self.leaves.checked_add(1).ok_or(SumOverflow)?;
        self.chain = Hash::of_parts(&[self.chain.as_bytes(), leaf.as_bytes()]);
        Ok(())
    }

    /// Net and tax by rate, without rates that sum to nothing. `None` when a sum is beyond any amount
    /// that could be declared.
    pub fn output(&self) -> Option<Vec<RateTotal>> {
        self.by_rate
            .iter()
            .filter(|sum| sum.net_fen != 0 || sum.tax_fen != 0)
            .map(|sum| {
                let net = Amount::try_from_fen(sum.net_fen).ok()?;
                let tax = Amount::try_from_fen(sum.tax_fen).ok()?;
                Some(RateTotal { treatment: sum.treatment, net, tax })
            })
            .collect()
    }
}

/// Whose a taxpayer id is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TaxpayerRecord {
    /// The organisation that has the id, or had it and gave it up; `None` once it was released, because it never was the
    /// organisation's.
    pub organisation: Option<OrganisationId>,
    /// Block time at which it came to be so, ms UTC.
    pub since_ms: i64,
}

/// How many keys an organisation has added itself in a day of block time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AdditionsRecord {
    /// Days since 1970 UTC.
    pub day: i64,
    /// Keys added in it.
    pub added: u32,
}

/// The taxpayer ids that an organisation had before the one it has, oldest first. Invoices keep the id that they were
/// issued under, and each of these ids still leads to the organisation: what stands under it is the organisation's.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FormerRecord {
    /// The ids.
    pub ids: Vec<FormerId>,
}

/// A taxpayer id that an organisation had.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FormerId {
    /// The id.
    pub taxpayer_id: TaxpayerId,
    /// Block time at which it was given another, ms UTC.
    pub until_ms: i64,
}

/// A filed month.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FilingRecord {
    /// Block time of the filing, ms UTC.
    pub filed_ms: i64,
    /// How many invoices stood.
    pub invoices: u64,
    /// Their net and tax by rate.
    pub output: Vec<RateTotal>,
    /// The accumulator's chain when it was filed.
    pub chain: Hash,
    /// Who filed.
    pub by: OrganisationId,
    /// The leaf of the filing.
    pub leaf: LeafRef,
}

/// An equivocation of a validator, as it was reported first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceRecord {
    /// How many equivocations had been reported when this one was, itself included.
    pub number: u64,
    /// Who signed two things.
    pub validator: OrganisationId,
    /// At which height.
    pub height: u64,
    /// In which round.
    pub round: u32,
    /// For which step of it.
    pub kind: Step,
    /// Under which consensus key.
    pub key: AdmittedKey,
    /// Who reported it.
    pub by: OrganisationId,
    /// Block time of the report, ms UTC.
    pub reported_ms: i64,
    /// The leaf of the report.
    pub leaf: LeafRef,
}

/// How many refusals an organisation has had in an hour of block time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RefusalBudgetRecord {
    /// Hours since 1970 UTC.
    pub hour: i64,
    /// Refused events in it.
    pub refused: u32,
}

/// The hour a refusal counts in.
pub const fn refusal_hour(time_ms: i64) -> i64 {
    time_ms.div_euclid(60 * 60 * 1_000)
}
