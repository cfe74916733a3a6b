//! Execution: what a block's statements do to the state.
//!
//! Each event is first *decided* (state is only read) and then, when accepted, *applied* with the
//! leaf it got. Deciding knows no leaf; applying cannot refuse. A statement of mode `all` in which
//! an event is refused is rolled back as a whole, and its innocent events say so.
//!
//! Deterministic: the same parent state, time and statements give the same outcomes and writes on
//! every node, for ever.

mod acting;
mod bookkeeping;
mod contingency;
mod evidence;
mod filing;
mod invoices;
mod issue;
mod keys;
mod mandates;
mod manifestation;
mod organisations;
mod payments;
mod quotas;
mod red;
mod reimbursement;
mod slips;

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::block::{Leaf, Outcome};
use chain::hash::{Hash, StatementId};
use chain::identity::OrganisationId;
use chain::statement::Mode;
use invoice::date::Date;
use invoice::id::InvoiceId;

use crate::admission::Parsed;
use crate::event::Event;
use crate::organisation::{Organisation, Standing as OrganisationStanding};
use crate::organisations::Organisations;
use crate::outcome::{Answer, Record};
use crate::parameters::Parameters;
use crate::party::{Party, Side};
use crate::record::{LeafRef, RefusalBudgetRecord, refusal_hour};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, Overlay, StateKey, View, Writes, read, require};

use acting::{Acting, role, role_missing, suspended};

pub(crate) use red::sum;

pub use organisations::{FORMER_IDS_MAX, RELEASE_MONTHS_MAX};

/// Where a block stands, as far as execution cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    height: u64,
    time_ms: i64,
    today: Date,
    log_size: u64,
}

impl Context {
    /// A block at a height, at a time (ms UTC), on a log of so many leaves.
    ///
    /// # Errors
    /// When the time is outside the calendar.
    pub fn new(height: u64, time_ms: i64, log_size: u64) -> Result<Self, invoice::Error> {
        Ok(Self { height, time_ms, today: Date::from_unix_ms(time_ms)?, log_size })
    }
}

/// That a party has to do with an invoice, for the lists of what concerns whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Involvement {
    /// The party.
    pub party: Party,
    /// On which side.
    pub side: Side,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The leaf that made it so.
    pub leaf: u64,
}

/// When a lease ends, unless its lock is renewed, given up, closed or overridden before: for who announces ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEnd {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The fencing token of its lock.
    pub token: u64,
    /// The end, ms UTC.
    pub until_ms: i64,
    /// The leaf that set it.
    pub leaf: u64,
}

/// A leaf as execution made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeaf {
    /// Its hash.
    pub hash: Hash,
    /// What it is about.
    pub subject: String,
    /// Whether whoever signed it was let to act for another by that other's mandate. Of accepted events alone.
    pub mandated: bool,
}

/// What executing a block produced.
#[derive(Debug)]
pub struct Executed {
    /// State records written.
    pub writes: Writes,
    /// Which of them the parent's state does not have: whoever keeps them need not look for what was there.
    pub created: BTreeSet<StateKey>,
    /// The leaves of the log, in order.
    pub leaves: Vec<NewLeaf>,
    /// Outcomes, by statement and event.
    pub outcomes: Vec<Vec<Outcome>>,
    /// Who has newly to do with which invoice.
    pub involvements: Vec<Involvement>,
    /// The ends that leases were given.
    pub lease_ends: Vec<LeaseEnd>,
}

impl Executed {
    /// The organisations that the block brought or changed.
    pub fn organisations(&self) -> Vec<OrganisationId> {
        self.writes.keys().filter_map(StateKey::organisation_id).collect()
    }
}

/// Executes the statements of one block, in order.
pub struct Executor<'v> {
    state: Overlay<'v>,
    context: Context,
    parameters: Parameters,
    organisations: Organisations,
    leaves: Vec<NewLeaf>,
    outcomes: Vec<Vec<Outcome>>,
    involvements: Vec<Involvement>,
    lease_ends: Vec<LeaseEnd>,
}

/// What an accepted event changes, once its leaf is known.
enum Change {
    /// Nothing: it had been accepted before.
    None,
    /// An invoice is issued.
    Issue(Box<issue::Issuing>),
    /// An invoice is written again.
    Invoice(Box<invoices::Rewrite>),
    /// A month is filed.
    File(Box<filing::FilingChange>),
    /// An equivocation is written down.
    Evidence(Box<evidence::EvidenceChange>),
    /// Organisations or mandates are written.
    Membership(Box<organisations::Membership>),
    /// A quota is written.
    Quota(Box<quotas::QuotaChange>),
    /// A booking is written.
    Booking(Box<bookkeeping::BookingChange>),
    /// The use of an invoice's VAT is written.
    Use(Box<bookkeeping::UseChange>),
    /// What a party says of an invoice is written.
    Saying(Box<manifestation::Saying>),
    /// A filed month is amended.
    Amend(Box<payments::AmendChange>),
    /// A payment order is written.
    Payment(Box<payments::PaymentChange>),
    /// A segment of numbers is written.
    Segment(Box<contingency::SegmentChange>),
    /// An invoice that was issued offline is written.
    Offline(Box<contingency::OfflineChange>),
    /// A slip is written.
    Slip(Box<slips::SlipChange>),
    /// A red letter is issued.
    Red(Box<red::RedChange>),
}

/// An accepted event, before it has its leaf.
struct Accepted {
    record: Record,
    change: Change,
    /// Whether the actor acts for another, under its mandate.
    mandated: bool,
}

/// What deciding an event gives.
type Decision = Result<Result<Accepted, Refusal>, Fault>;

/// Refuses: state says no.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a decision")]
const fn refuse(refusal: Refusal) -> Decision {
    Ok(Err(refusal))
}

/// Accepts what had been accepted before: the first answer stands.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a decision")]
const fn repeated(original: LeafRef) -> Decision {
    Ok(Ok(Accepted { record: Record::Repeated { original }, change: Change::None, mandated: false }))
}

/// Takes the value of a step that may have been refused, or ends the decision with the refusal.
macro_rules! permit {
    ($step:expr) => {
        match $step {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}
use permit;

impl<'v> Executor<'v> {
    /// An executor on the parent's state.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn new(view: &'v dyn View, context: Context) -> Result<Self, Fault> {
        Ok(Self {
            parameters: require(view, &StateKey::parameters())?,
            state: Overlay::new(view),
            context,
            organisations: Organisations::default(),
            leaves: Vec::new(),
            outcomes: Vec::new(),
            involvements: Vec::new(),
            lease_ends: Vec::new(),
        })
    }

    /// Executes an admitted statement: one outcome and one leaf for each event.
    ///
    /// # Errors
    /// A fault of the view. The executor is of no use after one.
    pub fn execute(&mut self, parsed: &Parsed) -> Result<(), Fault> {
        let actor = self.actor(parsed)?;
        let (leaves, involvements, lease_ends) = (self.leaves.len(), self.involvements.len(), self.lease_ends.len());
        self.state.begin();
        let mut answers = Vec::with_capacity(parsed.events().len());
        for (index, event) in parsed.events().iter().enumerate() {
            answers.push(self.event(parsed, &actor, index, event)?);
        }
        let refused = answers.iter().filter(|answer| answer.result.is_err()).count();
        let taken_back = refused > 0 && parsed.statement().mode() == Mode::All;
        if taken_back {
            self.state.roll_back();
            self.leaves.truncate(leaves);
            self.involvements.truncate(involvements);
            self.lease_ends.truncate(lease_ends);
            self.forget_what_was_taken_back(&mut answers);
            self.refuse_the_innocent(parsed, &mut answers);
        }
        let refused = if taken_back { answers.len() } else { refused };
        self.charge(&actor.id, parsed.statement().id(), refused)?;
        self.outcomes.push(answers.iter().map(Answer::outcome).collect());
        Ok(())
    }

    /// What the block produced.
    pub fn finish(self) -> Executed {
        let (writes, created) = self.state.into_writes();
        let Self { leaves, outcomes, involvements, lease_ends, .. } = self;
        Executed { writes, created, leaves, outcomes, involvements, lease_ends }
    }

    fn actor(&self, parsed: &Parsed) -> Result<Arc<Organisation>, Fault> {
        let id = &parsed.statement().header().organisation;
        // Admission found the key, so the organisation is there.
        self.organisation(id)?.ok_or_else(|| Fault::Missing { key: StateKey::organisation(id).to_string() })
    }

    fn event(&mut self, parsed: &Parsed, actor: &Organisation, index: usize, event: &Event) -> Result<Answer, Fault> {
        let decision = if actor.standing == OrganisationStanding::Suspended {
            Err(suspended(&actor.id))
        } else {
            self.decide(parsed, actor, event)?
        };
        let (result, change, mandated) = match decision {
            Ok(Accepted { record, change, mandated }) => (Ok(record), change, mandated),
            Err(refusal) => (Err(refusal), Change::None, false),
        };
        let subject = Self::subject(actor, event, &result);
        let answer = Answer { subject, result };
        let leaf = self.push_leaf(parsed, index, &answer, mandated);
        match change {
            Change::None => {}
            Change::Issue(issuing) => self.apply_issue(*issuing, parsed.statement().id(), leaf)?,
            Change::Invoice(rewrite) => self.apply_rewrite(*rewrite, parsed.statement().id(), leaf)?,
            Change::File(filing) => self.apply_filing(*filing, parsed.statement().id(), leaf)?,
            Change::Evidence(change) => self.apply_evidence(*change, parsed.statement().id(), leaf)?,
            Change::Membership(membership) => self.apply_membership(*membership, parsed.statement().id())?,
            Change::Quota(change) => self.apply_quota(*change, parsed.statement().id(), leaf)?,
            Change::Booking(change) => self.apply_booking(*change, parsed.statement().id(), leaf)?,
            Change::Use(change) => self.apply_use(*change, parsed.statement().id(), leaf)?,
            Change::Saying(saying) => self.apply_saying(*saying, parsed.statement().id(), leaf)?,
            Change::Amend(amend) => self.apply_amendment(*amend, parsed.statement().id(), leaf)?,
            Change::Payment(payment) => self.apply_payment(*payment, parsed.statement().id(), leaf)?,
            Change::Segment(change) => self.apply_segment(*change, parsed.statement().id(), leaf)?,
            Change::Offline(change) => self.apply_offline(*change, parsed.statement().id(), leaf)?,
            Change::Slip(change) => self.apply_slip(*change, parsed.statement().id(), leaf)?,
            Change::Red(change) => self.apply_red(*change, parsed.statement().id(), leaf)?,
        }
        Ok(answer)
    }

    fn decide(&self, parsed: &Parsed, actor: &Organisation, event: &Event) -> Decision {
        let chain = &parsed.statement().header().chain;
        match event {
            Event::Issue(issue) => self.decide_issue(actor, issue),
            Event::Transfer(transfer) => self.decide_transfer(actor, transfer),
            Event::Lock(lock) => self.decide_lock(actor, lock),
            Event::Renew(renew) => self.decide_renew(actor, renew),
            Event::Unlock(unlock) => self.decide_unlock(actor, unlock),
            Event::Close(close) => self.decide_close(actor, close),
            Event::Void(void) => self.decide_void(actor, void),
            Event::File(file) => self.decide_file(actor, file),
            Event::Evidence(evidence) => self.decide_evidence(actor, chain, evidence),
            Event::Admit(admit) => self.decide_admit(actor, chain, admit),
            Event::Register(register) => self.decide_register(actor, register),
            Event::Suspend(suspend) => self.decide_suspend(actor, suspend),
            Event::Reinstate(reinstate) => self.decide_reinstate(actor, reinstate),
            Event::Rotate(rotate) => self.decide_rotate(actor, chain, rotate),
            Event::Roles(roles) => self.decide_roles(actor, roles),
            Event::Rename(rename) => self.decide_rename(actor, rename),
            Event::Mandate(give) => self.decide_mandate(actor, give),
            Event::Revoke(revoke) => self.decide_revoke(actor, revoke),
            Event::Attest(attest) => self.decide_attest(actor, attest),
            Event::QuotaGrant(grant) => self.decide_quota_grant(actor, grant),
            Event::QuotaAdjust(adjust) => self.decide_quota_adjust(actor, adjust),
            Event::QuotaPause(pause) => self.decide_quota_pause(actor, pause),
            Event::QuotaResume(resume) => self.decide_quota_resume(actor, resume),
            Event::Override(end) => self.decide_override(actor, end),
            Event::Book(book) => self.decide_book(actor, book),
            Event::BookAdjust(adjust) => self.decide_book_adjust(actor, adjust),
            Event::BookRevoke(revoke) => self.decide_book_revoke(actor, revoke),
            Event::Use(used) => self.decide_use(actor, used),
            Event::UseRevoke(revoke) => self.decide_use_revoke(actor, revoke),
            Event::Manifest(manifest) => self.decide_manifest(actor, manifest),
            Event::Correct(correct) => self.decide_correct(actor, correct),
            Event::Amend(amend) => self.decide_amend(actor, amend),
            Event::PayRequest(request) => self.decide_pay_request(actor, request),
            Event::PayResult(result) => self.decide_pay_result(actor, result),
            Event::SegmentGrant(grant) => self.decide_segment_grant(actor, grant),
            Event::SegmentClose(close) => self.decide_segment_close(actor, close),
            Event::OfflineIssue(issue) => self.decide_offline_issue(actor, chain, issue),
            Event::RedRequest(request) => self.decide_red_request(actor, request),
            Event::RedConfirm(confirm) => self.decide_red_confirm(actor, confirm),
            Event::RedDeny(deny) => self.decide_red_deny(actor, deny),
            Event::RedWithdraw(withdraw) => self.decide_red_withdraw(actor, withdraw),
            Event::IssueRed(red) => self.decide_issue_red(actor, red),
        }
    }

    /// What an outcome is about: an invoice, a reference that became none, a month, an equivocation, an organisation or
    /// many, a mandate or many, a quota.
    fn subject(actor: &Organisation, event: &Event, result: &Result<Record, Refusal>) -> String {
        match event {
            Event::Issue(issue) => match result {
                Ok(Record::Issued { invoice, .. }) => invoice.to_string(),
                Ok(_) | Err(_) => reference_subject(&actor.id, &issue.document.reference),
            },
            Event::Transfer(transfer) => transfer.invoice.to_string(),
            Event::Lock(lock) => lock.invoice.to_string(),
            Event::Renew(renew) => renew.invoice.to_string(),
            Event::Unlock(unlock) => unlock.invoice.to_string(),
            Event::Close(close) => close.invoice.to_string(),
            Event::Void(void) => void.invoice.to_string(),
            Event::File(file) => filing::subject(&file.seller, file.period),
            Event::Evidence(evidence) => evidence::subject(evidence),
            Event::Admit(admit) => organisations::subject(admit.organisation()),
            Event::Register(register) => organisations::subject_of_many(register),
            Event::Suspend(suspend) => organisations::subject(&suspend.organisation),
            Event::Reinstate(reinstate) => organisations::subject(&reinstate.organisation),
            Event::Rotate(rotate) => organisations::subject(&rotate.organisation),
            Event::Roles(roles) => organisations::subject(&roles.organisation),
            Event::Rename(rename) => organisations::subject(&rename.organisation),
            Event::Mandate(give) => mandates::subject(&actor.id, &give.to),
            Event::Revoke(revoke) => mandates::subject(&revoke.from, &revoke.to),
            Event::Attest(attest) => mandates::subject_of_many(&attest.to),
            Event::QuotaGrant(grant) => quotas::subject(&grant.seller, grant.period),
            Event::QuotaAdjust(adjust) => quotas::subject(&adjust.seller, adjust.period),
            Event::QuotaPause(pause) => quotas::subject(&pause.seller, pause.period),
            Event::QuotaResume(resume) => quotas::subject(&resume.seller, resume.period),
            Event::Override(end) => end.invoice.to_string(),
            Event::Book(book) => book.invoice.to_string(),
            Event::BookAdjust(adjust) => adjust.invoice.to_string(),
            Event::BookRevoke(revoke) => revoke.invoice.to_string(),
            Event::Use(used) => used.invoice.to_string(),
            Event::UseRevoke(revoke) => revoke.invoice.to_string(),
            Event::Manifest(manifest) => manifest.invoice.to_string(),
            Event::Correct(correct) => correct.invoice.to_string(),
            Event::Amend(amend) => filing::subject(&amend.taxpayer, amend.period),
            Event::PayRequest(request) => filing::subject(&request.taxpayer, request.period),
            Event::PayResult(result) => filing::subject(&result.taxpayer, result.period),
            Event::SegmentGrant(grant) => contingency::subject_of_grant(grant, result),
            Event::SegmentClose(close) => contingency::subject(&close.segment),
            Event::OfflineIssue(issue) => match result {
                Ok(_) => issue.certificate.claims().invoice.to_string(),
                // What was refused says nothing about an invoice that has the number.
                Err(_) => reference_subject(&actor.id, &issue.document.reference),
            },
            Event::RedRequest(request) => request.invoice.to_string(),
            Event::RedConfirm(confirm) => confirm.invoice.to_string(),
            Event::RedDeny(deny) => deny.invoice.to_string(),
            Event::RedWithdraw(withdraw) => withdraw.invoice.to_string(),
            Event::IssueRed(red) => match result {
                Ok(Record::RedIssued { invoice, .. }) => invoice.to_string(),
                Ok(_) | Err(_) => reference_subject(&actor.id, &red.reference),
            },
        }
    }

    fn push_leaf(&mut self, parsed: &Parsed, index: usize, answer: &Answer, mandated: bool) -> LeafRef {
        let outcome = answer.outcome();
        let leaf = Leaf {
            statement: parsed.statement().id(),
            event: u32::try_from(index).expect("a statement has at most 1,000 events"),
            event_hash: parsed.statement().event_hash(index).expect("the event was read from this statement"),
            code: outcome.code,
            subject: outcome.subject,
            height: self.context.height,
            record_hash: Hash::of(&outcome.record),
        };
        let position = u64::try_from(self.leaves.len()).expect("a block has fewer than 2^64 leaves");
        let hash = leaf.hash();
        self.leaves.push(NewLeaf { hash, subject: leaf.subject, mandated });
        LeafRef { index: self.context.log_size + position, hash }
    }

    /// A refusal because of an earlier event of the same statement must not name a leaf or a number
    /// that the roll-back took away: that would be evidence of what never happened.
    fn forget_what_was_taken_back(&self, answers: &mut [Answer]) {
        let first =
            self.context.log_size + u64::try_from(self.leaves.len()).expect("a block has fewer than 2^64 leaves");
        for answer in answers {
            if let Err(refusal) = &mut answer.result
                && refusal.standing.as_ref().is_some_and(|standing| standing.leaf.index >= first)
            {
                refusal.standing = None;
                "an earlier event of this statement".clone_into(&mut refusal.found);
            }
        }
    }

    fn refuse_the_innocent(&mut self, parsed: &Parsed, answers: &mut [Answer]) {
        let guilty = answers.iter().position(|answer| answer.result.is_err()).unwrap_or_default();
        for (index, answer) in answers.iter_mut().enumerate() {
            if answer.result.is_ok() {
                let found = format!("event {guilty} was refused");
                answer.result = Err(Refusal::new(Reason::AllRefused, "every event accepted", found));
                // A number that was assigned and taken back must not stand as the subject.
                answer.subject = Self::subject_of_refused(
                    &parsed.statement().header().organisation,
                    &parsed.events()[index],
                    answer,
                );
            }
            self.push_leaf(parsed, index, answer, false);
        }
    }

    fn subject_of_refused(organisation: &OrganisationId, event: &Event, answer: &Answer) -> String {
        match event {
            Event::Issue(issue) => reference_subject(organisation, &issue.document.reference),
            Event::SegmentGrant(grant) => contingency::subject_of_none(&grant.to),
            Event::IssueRed(red) => reference_subject(organisation, &red.reference),
            Event::OfflineIssue(issue) => reference_subject(organisation, &issue.document.reference),
            Event::Transfer(_)
            | Event::Lock(_)
            | Event::Renew(_)
            | Event::Unlock(_)
            | Event::Close(_)
            | Event::Void(_)
            | Event::File(_)
            | Event::Evidence(_)
            | Event::Admit(_)
            | Event::Register(_)
            | Event::Suspend(_)
            | Event::Reinstate(_)
            | Event::Rotate(_)
            | Event::Roles(_)
            | Event::Rename(_)
            | Event::Mandate(_)
            | Event::Revoke(_)
            | Event::Attest(_)
            | Event::QuotaGrant(_)
            | Event::QuotaAdjust(_)
            | Event::QuotaPause(_)
            | Event::QuotaResume(_)
            | Event::Override(_)
            | Event::Book(_)
            | Event::BookAdjust(_)
            | Event::BookRevoke(_)
            | Event::Use(_)
            | Event::UseRevoke(_)
            | Event::Manifest(_)
            | Event::Correct(_)
            | Event::Amend(_)
            | Event::PayRequest(_)
            | Event::PayResult(_)
            | Event::SegmentClose(_)
            | Event::RedRequest(_)
            | Event::RedConfirm(_)
            | Event::RedDeny(_)
            | Event::RedWithdraw(_) => answer.subject.clone(),
        }
    }

    /// Counts refusals against the organisation's hour.
    fn charge(&mut self, organisation: &OrganisationId, by: StatementId, refused: usize) -> Result<(), Fault> {
        if refused == 0 {
            return Ok(());
        }
        let key = StateKey::refusal_budget(organisation);
        let hour = refusal_hour(self.context.time_ms);
        let before = read::<RefusalBudgetRecord>(&self.state, &key)?
            .filter(|record| record.hour == hour)
            .map_or(0, |record| record.refused);
        let refused = before.saturating_add(u32::try_from(refused).unwrap_or(u32::MAX));
        self.state.put(key, &by.hash(), &RefusalBudgetRecord { hour, refused })
    }
}

/// The subject of an issue that became no invoice.
fn reference_subject(organisation: &OrganisationId, reference: &str) -> String {
    format!("reference:{organisation}/{reference}")
}
