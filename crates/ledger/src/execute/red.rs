//! Red letters: what of a blue invoice is taken back, and everything that follows from it.

use chain::hash::{Hash, StatementId};
use chain::identity::OrganisationId;
use invoice::date::Period;
use invoice::document::{Document, Totals};
use invoice::id::InvoiceId;
use invoice::lifecycle::{Action, Reimbursement, Validity};
use invoice::red::{Part, RedAmounts, Refused, Reversed};

use super::bookkeeping::NO_LEAF;
use super::issue::Issuing;
use super::slips::SlipChange;
use super::{Accepted, Acting, Change, Decision, Executor, permit, refuse};
use crate::bookkeeping::InputRecord;
use crate::event::{IssueRed, Take};
use crate::organisation::{Organisation, Scope};
use crate::outcome::{ClaimEffect, Record};
use crate::party::Party;
use crate::record::{Claim, InvoiceRecord, LeafRef, ReferenceRecord, SumOverflow};
use crate::red::{
    ClawBack, EarlierRecord, RED_LETTERS_MAX, RedLetterRecord, ReversalRecord, SlipAnswerKind, SlipState, other_side,
    validity,
};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// A red letter about to be issued: everything but the leaf.
pub(super) struct RedChange {
    /// Its own number, record and reference.
    issuing: Issuing,
    letter: RedLetterRecord,
    /// The blue as it stands after it.
    blue: InvoiceRecord,
    reversal: ReversalRecord,
    /// Whether the enterprise that reimbursed the blue paid for this.
    claw_back: bool,
    /// The slip, spent.
    slip: Option<SlipChange>,
    /// The month of the blue's buyer that loses the VAT again.
    input: Option<(OrganisationId, InputRecord)>,
}

/// What a red letter, or a request for one, takes back.
pub(super) struct Taken {
    pub(super) parts: Vec<Part>,
    pub(super) amounts: RedAmounts,
    reversal: ReversalRecord,
    /// What is taken back after it, and the validity of the blue that comes of it.
    after: Reversed,
    validity: Validity,
}

impl Executor<'_> {
    pub(super) fn decide_issue_red(&self, actor: &Organisation, red: &IssueRed) -> Decision {
        let blue = permit!(self.invoice(&red.invoice)?);
        let allowed = self.allowed(Action::Red, actor, &red.invoice, &blue)?;
        // The same letter again is answered with the first, also when that left nothing of the blue.
        let content = red.content_hash();
        if let Acting::Freely = self.acting(actor, &blue.seller, Scope::Issue)?
            && let Some(reference) = read(&self.state, &StateKey::reference(&blue.seller, &red.reference))?
        {
            return self.issued_before(&blue.seller, &reference, content);
        }
        permit!(allowed);
        let taken = permit!(self.taken(&red.invoice, &blue, &red.document, &red.take)?);
        let slip = permit!(self.spent_slip(red, &blue, &taken.parts)?);
        let Some(seller) = self.organisation(&blue.seller)? else {
            return Err(Fault::Missing { key: StateKey::organisation(&blue.seller).to_string() });
        };
        let Some(assigned) = self.assign(blue.profile)? else {
            return refuse(Refusal::new(Reason::NumbersExhausted, "a number left in this year", "none"));
        };
        let input = self.input_less(&red.invoice, &taken.amounts.totals)?;
        let letter = RedLetterRecord {
            blue: red.invoice,
            reason: red.reason,
            slip: red.slip,
            lines: taken.amounts.lines.clone(),
        };
        permit!(self.still_its_id(&seller.id, &seller.taxpayer_id)?);
        let record = self.red_record(&seller, &blue, red, &taken.amounts);
        let issuing = Issuing {
            id: assigned.id,
            counted: Some((assigned.series, assigned.number)),
            content,
            record,
            // It uses nothing of a quota; what it gives back is for `apply_red`.
            quota: None,
        };
        let mandated = blue.seller != actor.id;
        let (blue, claim) = self.reversed(blue, taken.validity);
        let said = Record::RedIssued {
            invoice: issuing.id,
            blue: red.invoice,
            issued_ms: self.context.time_ms,
            net: taken.amounts.totals.net,
            tax: taken.amounts.totals.tax,
            validity: taken.validity,
            input: input.is_some(),
            claim,
        };
        let claw_back = claim == Some(ClaimEffect::ClawBack);
        let reversal = ReversalRecord { reversed: taken.after, ..taken.reversal };
        let change = RedChange { issuing, letter, blue, reversal, claw_back, slip, input };
        Ok(Ok(Accepted { record: said, change: Change::Red(Box::new(change)), mandated }))
    }

    /// What so much of a blue comes to, and what is left of it then; the document must be the blue's.
    pub(super) fn taken(
        &self,
        id: &InvoiceId,
        blue: &InvoiceRecord,
        document: &Document,
        take: &Take,
    ) -> Result<Result<Taken, Refusal>, Fault> {
        let key = StateKey::reference(&blue.seller, &blue.reference);
        let reference: ReferenceRecord = crate::state::require(&self.state, &key)?;
        let content = Hash::from_bytes(*document.content_hash().as_bytes());
        if content != reference.content {
            let expected = format!("the document of {id}, whose content has the hash {}", reference.content);
            return Ok(Err(Refusal::new(Reason::RedDocument, expected, content.to_string())));
        }
        let reversal = self.reversal(id)?;
        // A full one is the last: nobody is left with a rest.
        if reversal.letters.len() >= RED_LETTERS_MAX && *take != Take::Full {
            let expected = format!("fewer than {RED_LETTERS_MAX} red letters of the invoice, or all that is left");
            return Ok(Err(Refusal::new(Reason::RedLettersSpent, expected, reversal.letters.len().to_string())));
        }
        let taken = || -> Result<_, Refused> {
            let parts = match take {
                Take::Full => reversal.reversed.rest(document)?,
                Take::Lines(parts) => parts.clone(),
            };
            let (amounts, after) = reversal.reversed.take(document, &parts)?;
            Ok((parts, amounts, after))
        };
        let (parts, amounts, after) = match taken() {
            Ok(taken) => taken,
            Err(refused) => return Ok(Err(refusal_of(&refused))),
        };
        let validity = validity(after.extent(document));
        Ok(Ok(Taken { parts, amounts, reversal, after, validity }))
    }

    /// The slip that a red letter names, as it is once it is spent; none when nobody relies on the blue and none is named.
    fn spent_slip(
        &self,
        red: &IssueRed,
        blue: &InvoiceRecord,
        parts: &[Part],
    ) -> Result<Result<Option<SlipChange>, Refusal>, Fault> {
        let Some(number) = red.slip else {
            return Ok(match self.relied_on(&red.invoice, blue)? {
                None => Ok(None),
                Some(found) => {
                    let expected = "an invoice that nobody relies on, or a slip that the other side has confirmed";
                    Err(Refusal::new(Reason::SlipNeeded, expected, found))
                }
            });
        };
        let Some(mut slip) = self.slip(&red.invoice)?.filter(|slip| slip.number == number) else {
            let found = format!("slip {number}");
            return Ok(Err(Refusal::new(Reason::SlipUnknown, "the newest slip of the invoice", found)));
        };
        let state = self.slip_state(&red.invoice, blue, &slip)?;
        if state == SlipState::Superseded {
            return Ok(Err(super::slips::superseded(&slip)));
        }
        if state != SlipState::Confirmed {
            let refusal = Refusal::new(Reason::SlipUnconfirmed, "a slip that is confirmed", state.as_str());
            return Ok(Err(refusal.because_of(slip.standing())));
        }
        if slip.reason != red.reason || slip.parts != parts {
            let expected = format!("what slip {number} was confirmed for: {} with tax", slip.totals.gross);
            return Ok(Err(Refusal::new(Reason::SlipDiffers, expected, "another reason or other amounts")));
        }
        slip.answer = Some(self.answer(SlipAnswerKind::Spent, &blue.seller));
        Ok(Ok(Some(SlipChange { invoice: red.invoice, record: slip })))
    }

    /// Why a blue is not its seller's alone to take back; `None` when it is, or when nobody on the ledger could be asked.
    fn relied_on(&self, id: &InvoiceId, blue: &InvoiceRecord) -> Result<Option<&'static str>, Fault> {
        let taken_up = self.taken_up(id)?;
        let reason = match blue.claim.at(self.context.time_ms) {
            Reimbursement::Locked => "locked",
            Reimbursement::Closed => "reimbursed",
            // One word for all: what a buyer does in its books is nothing to the seller.
            Reimbursement::Open if taken_up.booked || taken_up.used || blue.holder != blue.buyer => "relied on",
            Reimbursement::Open => return Ok(None),
        };
        Ok(self.other_side(id, blue)?.map(|_| reason))
    }

    /// Who has to agree to red letters beside the seller now.
    pub(super) fn other_side(&self, id: &InvoiceId, blue: &InvoiceRecord) -> Result<Option<OrganisationId>, Fault> {
        let used = self.use_of(id)?.map(|used| used.buyer);
        other_side(blue, used, self.context.time_ms, |party| self.organisation_of(party))
    }

    pub(super) fn reversal(&self, blue: &InvoiceId) -> Result<ReversalRecord, Fault> {
        Ok(read(&self.state, &StateKey::reversal(blue))?.unwrap_or_default())
    }

    /// What of an invoice is not taken back.
    pub(super) fn left_of(&self, id: &InvoiceId, record: &InvoiceRecord) -> Result<Totals, Fault> {
        let taken = match record.validity {
            // Most never had a red letter.
            Validity::Normal | Validity::Void => return Ok(record.totals),
            Validity::PartRed | Validity::FullRed => self.reversal(id)?.totals,
        };
        sum(&record.totals, &taken).ok_or_else(|| Fault::Sums { party: record.seller.to_string() })
    }

    /// The buyer's month in which the red letter is issued, once it has lost what it had used of the blue; `None` when it
    /// had not.
    fn input_less(&self, blue: &InvoiceId, red: &Totals) -> Result<Option<(OrganisationId, InputRecord)>, Fault> {
        let Some(used) = self.use_of(blue)? else { return Ok(None) };
        let mut input = self.input(&used.buyer, self.context.today.period())?;
        input.add(used.purpose, red).map_err(|SumOverflow| Fault::Sums { party: used.buyer.to_string() })?;
        Ok(Some((used.buyer, input)))
    }

    /// The red letter's own record: an invoice of today with the blue's parties, under the id that the seller has now.
    fn red_record(
        &self,
        seller: &Organisation,
        blue: &InvoiceRecord,
        red: &IssueRed,
        amounts: &RedAmounts,
    ) -> InvoiceRecord {
        InvoiceRecord {
            profile: blue.profile,
            seller: seller.id.clone(),
            seller_party: Party::Taxpayer(seller.taxpayer_id.clone()),
            buyer: blue.buyer.clone(),
            holder: blue.buyer.clone(),
            reference: red.reference.clone(),
            issued_ms: self.context.time_ms,
            period: self.context.today.period(),
            totals: amounts.totals,
            by_rate: amounts.by_rate.clone(),
            // The leaf is not known yet; `apply_issue` sets it.
            issue: NO_LEAF,
            validity: Validity::Normal,
            claim: Claim::Open,
            locks: 0,
            tenure: None,
        }
    }

    /// The blue once so much of it is taken back, and what that does to who claims it: a lock goes on for what is left, and
    /// ends when nothing is; what was reimbursed is to be clawed back.
    fn reversed(&self, mut blue: InvoiceRecord, validity: Validity) -> (InvoiceRecord, Option<ClaimEffect>) {
        let now = self.context.time_ms;
        blue.validity = validity;
        let claim = match (blue.claim.at(now), validity) {
            (Reimbursement::Open, _) => None,
            (Reimbursement::Closed, _) => Some(ClaimEffect::ClawBack),
            (Reimbursement::Locked, Validity::FullRed) => Some(ClaimEffect::Released),
            (Reimbursement::Locked, _) => Some(ClaimEffect::Kept),
        };
        // A lock whose lease has ended: who had it still sees what became of the invoice, as after any lease.
        if let (Some(ClaimEffect::Released), Claim::Locked(lock)) = (claim, &mut blue.claim) {
            lock.until_ms = now;
            if let Some(tenure) = &mut blue.tenure {
                tenure.until_ms = now;
            }
        }
        (blue, claim)
    }

    pub(super) fn apply_red(&mut self, change: RedChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let RedChange { issuing, letter, blue, mut reversal, claw_back, slip, input } = change;
        let (seller, period, totals) = (blue.seller.clone(), issuing.record.period, issuing.record.totals);
        let overflow = || Fault::Sums { party: seller.to_string() };
        let gross = totals.gross.checked_neg().map_err(|_| overflow())?;
        reversal.totals = sum(&reversal.totals, &totals).ok_or_else(overflow)?;
        reversal.letters.push(issuing.id);
        reversal.newest = leaf;
        if claw_back {
            let (since_ms, none) = (self.context.time_ms, invoice::Amount::ZERO);
            let mark = reversal.claw_back.get_or_insert(ClawBack { gross: none, since_ms, leaf });
            mark.gross = mark.gross.checked_add(gross).map_err(|_| overflow())?;
        }
        if blue.period == period {
            self.give_back(&seller, period, gross, by)?;
        } else {
            let key = StateKey::earlier(&seller, period);
            let mut earlier = read::<EarlierRecord>(&self.state, &key)?.unwrap_or_default();
            let fen = earlier.gross_fen.checked_sub(i128::from(gross.fen()));
            earlier.gross_fen = fen.ok_or_else(overflow)?;
            self.state.put(key, &by.hash(), &earlier)?;
        }
        if let Some((buyer, input)) = input {
            self.state.put(StateKey::input(&buyer, period), &by.hash(), &input)?;
        }
        if let Some(slip) = slip {
            self.apply_slip(slip, by, leaf)?;
        }
        self.state.put(StateKey::reversal(&letter.blue), &by.hash(), &reversal)?;
        self.state.put(StateKey::invoice(&letter.blue), &by.hash(), &blue)?;
        self.state.put_new(StateKey::red_letter(&issuing.id), &by.hash(), &letter);
        self.apply_issue(issuing, by, leaf)
    }

    /// What a seller's red letters of a month come to whose blues are of months before, in fen.
    pub(super) fn earlier_fen(&self, seller: &OrganisationId, period: Period) -> Result<i128, Fault> {
        let earlier = read::<EarlierRecord>(&self.state, &StateKey::earlier(seller, period))?;
        Ok(earlier.unwrap_or_default().gross_fen)
    }
}

/// Two totals added; `None` when a sum is beyond any amount.
pub(crate) fn sum(one: &Totals, other: &Totals) -> Option<Totals> {
    Some(Totals {
        net: one.net.checked_add(other.net).ok()?,
        tax: one.tax.checked_add(other.tax).ok()?,
        gross: one.gross.checked_add(other.gross).ok()?,
    })
}

/// Why amounts may not be taken back, as a refusal.
fn refusal_of(refused: &Refused) -> Refusal {
    match refused {
        Refused::Nothing => Refusal::new(Reason::RedNothing, "an amount of each line that is named", "nothing"),
        Refused::NoSuchLine { line } => {
            Refusal::new(Reason::RedNoSuchLine, "a line of the invoice, counted from 0", line.to_string())
        }
        Refused::LineOrder { line } => {
            Refusal::new(Reason::RedLineOrder, "each line once, ascending", format!("line {line} after it, or again"))
        }
        Refused::LineExceeded { line, left, wanted } => {
            let expected = format!("at most {left} of line {line}, which is left, with its sign");
            Refusal::new(Reason::RedLineExceeded, expected, wanted.to_string())
        }
        Refused::TotalExceeded | Refused::Overflow => {
            let expected =
                "discounts taken back with what they discount, and a total below zero that leaves nothing stuck";
            Refusal::new(Reason::RedTotalExceeded, expected, "other amounts")
        }
    }
}
