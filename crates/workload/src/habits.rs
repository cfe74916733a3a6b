//! Habits: what becomes of an invoice after its issue, in realistic shares.
//!
//! A [`Life`] says what somebody does next and is told what came of it; from that follows what happens to the invoice
//! later: it is handed on, locked, renewed, given up, reimbursed, taken back, and in the end its month is filed. Some try
//! to be reimbursed twice, by another platform, while the lock stands and after the close.

use std::collections::{BTreeMap, VecDeque};

use chain::block::Outcome;
use chain::identity::OrganisationId;
use chain::statement::Mode;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::{Buyer, RateTotal};
use invoice::id::InvoiceId;
use invoice::rate::TaxTreatment;
use ledger::event::{ClaimId, Close, Event, File, Lock, Recipient, Renew, Transfer, Unlock, Void, VoidReason};
use ledger::outcome::{ACCEPTED, Record};

use crate::dice::{Dice, Throw};
use crate::document::Workload;
use crate::statement::{Made, Signers, issue_event, json};

/// Most steps that wait to be taken; what would come on top is left undone.
const WAITING_MAX: usize = 200_000;
/// Filings of one statement.
const FILINGS_MAX: usize = 100;
/// Seconds for which a lock is asked.
const LEASE_SECONDS: u32 = 7 * 24 * 60 * 60;

/// Shares of a thousand, in the order in which they are asked.
mod share {
    /// Issued in error, taken back.
    pub(super) const VOID: u64 = 15;
    /// A person hands the invoice to the employer.
    pub(super) const HAND_IN: u64 = 350;
    /// An enterprise hands an invoice to another before it is reimbursed.
    pub(super) const HAND_ON: u64 = 30;
    /// An enterprise has the invoice reimbursed.
    pub(super) const CLAIM: u64 = 700;
    /// Another platform tries while the lock stands.
    pub(super) const RIVAL: u64 = 40;
    /// The lease is extended before the close.
    pub(super) const RENEW: u64 = 100;
    /// The lock is given up, and another platform takes over.
    pub(super) const GIVE_UP: u64 = 80;
    /// Another platform tries after the close.
    pub(super) const AGAIN: u64 = 30;
}

/// Which statement an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What a ledger answered to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The outcome's code.
    pub code: String,
    /// The invoice that was issued.
    pub invoice: Option<InvoiceId>,
    /// The fencing token of a lock.
    pub token: Option<u64>,
    /// When it was issued, ms UTC.
    pub issued_ms: Option<i64>,
}

impl Answer {
    /// What an outcome says. A record that cannot be read is as good as none.
    pub fn of(outcome: &Outcome) -> Self {
        let mut answer = Self { code: outcome.code.clone(), invoice: None, token: None, issued_ms: None };
        match Record::decode(&outcome.record) {
            Ok(Record::Issued { invoice, issued_ms, .. }) => {
                (answer.invoice, answer.issued_ms) = (Some(invoice), Some(issued_ms));
            }
            Ok(Record::Locked { token, .. } | Record::Renewed { token, .. }) => answer.token = Some(token),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    fn accepted(&self) -> bool {
        self.code == ACCEPTED
    }
}

/// An invoice and who has to do with it.
#[derive(Clone, Debug)]
struct Case {
    /// The document's number: it draws the habits and names the claims.
    number: u64,
    invoice: InvoiceId,
    /// The seller's rank, and the month of issue.
    seller: usize,
    period: Period,
    by_rate: Vec<RateTotal>,
    /// The enterprise that reimburses, by rank.
    holder: usize,
    /// Which of its platforms acts.
    platform: usize,
    /// How often anybody tried to lock.
    tries: u32,
    token: u64,
}

/// What somebody does.
#[derive(Clone, Debug)]
enum Step {
    Issue { number: u64, seller: usize, by_rate: Vec<RateTotal>, buyer: Bought },
    Transfer { case: Case, by: OrganisationId },
    Lock { case: Case, rival: bool },
    Renew(Case),
    Unlock(Case),
    Close(Case),
    Void(Case),
    File,
}

/// Who bought, as far as habits care.
#[derive(Clone, Copy, Debug)]
enum Bought {
    Person,
    /// An enterprise on the ledger, by rank.
    Member(usize),
    Outsider,
}

/// The invoices of a seller and month, as this life knows them.
#[derive(Clone, Debug, Default)]
struct Month {
    invoices: u64,
    sums: BTreeMap<TaxTreatment, (i64, i64)>,
}

/// A mixed life, driven by what the ledger answers.
#[derive(Debug)]
pub struct Life {
    workload: Workload,
    signers: Signers,
    next: u64,
    documents: u64,
    /// What waits to be done, by who does it.
    waiting: BTreeMap<OrganisationId, VecDeque<(Step, String)>>,
    waiting_count: usize,
    asked: BTreeMap<Ticket, Vec<Step>>,
    months: BTreeMap<(Period, usize), Month>,
}

impl Life {
    /// A life of a workload; numbers of statements and documents begin at 0.
    pub fn new(workload: Workload, signers: Signers) -> Self {
        Self {
            workload,
            signers,
            next: 0,
            documents: 0,
            waiting: BTreeMap::new(),
            waiting_count: 0,
            asked: BTreeMap::new(),
            months: BTreeMap::new(),
        }
    }

    /// How many steps wait to be taken.
    pub const fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// The next statement of at most `events_max` events, until `expires_at` (unix seconds): what waits when an
    /// organisation has enough of it to do, else new invoices. It must be [`answered`](Self::answered) or
    /// [`lost`](Self::lost).
    pub fn next(&mut self, events_max: usize, expires_at: u64) -> (Ticket, Made) {
        let busiest = self.waiting.iter().max_by_key(|(_, steps)| steps.len());
        if let Some((busiest, steps)) = busiest
            && steps.len() >= events_max.max(1)
        {
            let organisation = busiest.clone();
            return self.follow_up(&organisation, events_max, expires_at);
        }
        self.issue(events_max, expires_at)
    }

    /// What still waits, whoever does it and however little it is; none when nothing waits.
    pub fn rest(&mut self, events_max: usize, expires_at: u64) -> Option<(Ticket, Made)> {
        let (organisation, _) = self.waiting.first_key_value()?;
        let organisation = organisation.clone();
        Some(self.follow_up(&organisation, events_max, expires_at))
    }

    /// Filings of an ended month by those who sign for the sellers. The sums are those of the answers, so they tie only on
    /// a chain where all of the month's invoices are of this life.
    pub fn file(&mut self, period: Period, expires_at: u64) -> Vec<(Ticket, Made)> {
        let mut by_issuer: BTreeMap<OrganisationId, Vec<String>> = BTreeMap::new();
        for ((_, rank), month) in self.months.range((period, 0)..=(period, usize::MAX)) {
            let seller = &self.workload.consortium.sellers[*rank];
            let total = |(treatment, (net, tax)): (&TaxTreatment, &(i64, i64))| RateTotal {
                treatment: *treatment,
                net: Amount::from_fen(*net),
                tax: Amount::from_fen(*tax),
            };
            let file = File {
                seller: seller.id.clone(),
                period,
                invoices: month.invoices,
                output: month.sums.iter().map(total).collect(),
                // In this life nobody uses the VAT that it paid, and every sale has its invoice.
                input: Vec::new(),
                uninvoiced: Vec::new(),
            };
            by_issuer.entry(seller.agents[0].clone()).or_default().push(json(&Event::File(file)));
        }
        let mut made = Vec::new();
        for (issuer, events) in by_issuer {
            for events in events.chunks(FILINGS_MAX) {
                made.push(self.ask(&issuer, vec![Step::File; events.len()], events, expires_at));
            }
        }
        made
    }

    /// What came of a statement, event by event. A ticket that was never given changes nothing.
    pub fn answered(&mut self, ticket: Ticket, answers: &[Answer]) {
        let steps = self.asked.remove(&ticket).unwrap_or_default();
        for (step, answer) in steps.into_iter().zip(answers) {
            if answer.accepted() {
                self.accepted(step, answer);
            }
        }
    }

    /// A statement of which nobody will know what came: nothing follows from it.
    pub fn lost(&mut self, ticket: Ticket) {
        self.asked.remove(&ticket);
    }

    fn issue(&mut self, events_max: usize, expires_at: u64) -> (Ticket, Made) {
        let issuer = self.workload.issuer(self.next);
        let count = u64::try_from(events_max.max(1)).expect("events of a statement are few");
        let first = self.documents;
        self.documents += count;
        let workload = self.workload.clone();
        let documents = workload.documents_of(&issuer, first, count);
        let (mut steps, mut events) = (Vec::new(), Vec::new());
        for (number, document) in (first..).zip(documents) {
            let consortium = &self.workload.consortium;
            let seller = consortium.seller_of(&document.seller.taxpayer_id).expect("a seller of the consortium");
            let buyer = match &document.buyer {
                Buyer::Person(_) => Bought::Person,
                Buyer::Organisation(party) => {
                    consortium.buyer_of(&party.taxpayer_id).map_or(Bought::Outsider, Bought::Member)
                }
            };
            let by_rate = document.totals_by_rate().expect("totals far below what an amount holds");
            steps.push(Step::Issue { number, seller, by_rate, buyer });
            events.push(issue_event(document));
        }
        self.ask(&issuer, steps, &events, expires_at)
    }

    fn follow_up(&mut self, organisation: &OrganisationId, events_max: usize, expires_at: u64) -> (Ticket, Made) {
        let queue = self.waiting.get_mut(organisation).expect("asked for somebody with something to do");
        let taken = queue.len().min(events_max.max(1));
        let (steps, events): (Vec<_>, Vec<_>) = queue.drain(..taken).unzip();
        if queue.is_empty() {
            self.waiting.remove(organisation);
        }
        self.waiting_count -= taken;
        self.ask(organisation, steps, &events, expires_at)
    }

    fn ask(&mut self, by: &OrganisationId, steps: Vec<Step>, events: &[String], expires_at: u64) -> (Ticket, Made) {
        let ticket = Ticket(self.next);
        let made = self.signers.sign(by, &self.workload.nonce(self.next), Mode::Each, events, expires_at);
        self.next += 1;
        self.asked.insert(ticket, steps);
        (ticket, made)
    }

    /// What follows from an accepted step.
    fn accepted(&mut self, step: Step, answer: &Answer) {
        match step {
            Step::Issue { number, seller, by_rate, buyer } => {
                let period = answer.issued_ms.and_then(|time_ms| Period::from_unix_ms(time_ms).ok());
                if let (Some(invoice), Some(period)) = (answer.invoice, period) {
                    let (holder, platform, tries, token) = (0, 0, 0, 0);
                    let case = Case { number, invoice, seller, period, by_rate, holder, platform, tries, token };
                    self.count(&case, 1);
                    self.issued(case, buyer);
                }
            }
            Step::Transfer { case, .. } => self.plan(Step::Lock { case, rival: false }),
            Step::Lock { mut case, .. } => {
                case.token = answer.token.unwrap_or_default();
                self.locked(case);
            }
            Step::Renew(case) => self.plan(Step::Close(case)),
            Step::Unlock(mut case) => {
                case.platform = 1 - case.platform;
                self.plan(Step::Lock { case, rival: false });
            }
            Step::Close(mut case) => {
                if self.dice(&case).per_mille(share::AGAIN) {
                    case.platform = 1 - case.platform;
                    self.plan(Step::Lock { case, rival: true });
                }
            }
            Step::Void(case) => self.count(&case, -1),
            Step::File => {}
        }
    }

    fn issued(&mut self, mut case: Case, buyer: Bought) {
        let mut dice = self.dice(&case);
        if dice.per_mille(share::VOID) {
            return self.plan(Step::Void(case));
        }
        case.platform = dice.index(2);
        let issuer = self.workload.consortium.sellers[case.seller].agents[0].clone();
        let another = self.workload.consortium.buyers_by_size.draw(&mut dice);
        match buyer {
            Bought::Person if dice.per_mille(share::HAND_IN) => {
                case.holder = another;
                self.plan(Step::Transfer { case, by: issuer });
            }
            Bought::Member(rank) if dice.per_mille(share::HAND_ON) => {
                let by = self.workload.consortium.buyers[rank].agents[case.platform].clone();
                case.holder = another;
                self.plan(Step::Transfer { case, by });
            }
            Bought::Member(rank) if dice.per_mille(share::CLAIM) => {
                case.holder = rank;
                self.plan(Step::Lock { case, rival: false });
            }
            Bought::Person | Bought::Member(_) | Bought::Outsider => {}
        }
    }

    fn locked(&mut self, case: Case) {
        let mut dice = self.dice(&case);
        if dice.per_mille(share::RIVAL) {
            let mut rival = case.clone();
            rival.platform = 1 - rival.platform;
            self.plan(Step::Lock { case: rival, rival: true });
        }
        if dice.per_mille(share::RENEW) {
            self.plan(Step::Renew(case));
        } else if case.tries < 4 && dice.per_mille(share::GIVE_UP) {
            self.plan(Step::Unlock(case));
        } else {
            self.plan(Step::Close(case));
        }
    }

    /// Puts a step where its author will find it.
    fn plan(&mut self, mut step: Step) {
        if self.waiting_count >= WAITING_MAX {
            return;
        }
        if let Step::Lock { case, .. } = &mut step {
            case.tries += 1;
        }
        let (by, event) = self.written(&step);
        self.waiting.entry(by).or_default().push_back((step, json(&event)));
        self.waiting_count += 1;
    }

    /// Who takes a step, and how it is written.
    fn written(&self, step: &Step) -> (OrganisationId, Event) {
        let consortium = &self.workload.consortium;
        let platform = |case: &Case| consortium.buyers[case.holder].agents[case.platform].clone();
        let claim = |case: &Case| claim(&self.workload.run, case, case.platform);
        match step {
            Step::Transfer { case, by } => {
                let to = Recipient::Organisation(consortium.buyers[case.holder].id.clone());
                (by.clone(), Event::Transfer(Transfer { invoice: case.invoice, to }))
            }
            Step::Lock { case, rival } => {
                let enterprise = consortium.buyers[case.holder].id.clone();
                let lease_seconds = (!rival).then_some(LEASE_SECONDS);
                let lock = Lock { invoice: case.invoice, enterprise, claim: claim(case), lease_seconds };
                (platform(case), Event::Lock(lock))
            }
            Step::Renew(case) => {
                let (invoice, claim, token) = (case.invoice, claim(case), case.token);
                (platform(case), Event::Renew(Renew { invoice, claim, token, lease_seconds: Some(LEASE_SECONDS) }))
            }
            Step::Unlock(case) => {
                let unlock = Unlock { invoice: case.invoice, claim: claim(case), token: case.token };
                (platform(case), Event::Unlock(unlock))
            }
            Step::Close(case) => {
                (platform(case), Event::Close(Close { invoice: case.invoice, claim: claim(case), token: case.token }))
            }
            Step::Void(case) => {
                let issuer = consortium.sellers[case.seller].agents[0].clone();
                (issuer, Event::Void(Void { invoice: case.invoice, reason: VoidReason::IssueError }))
            }
            Step::Issue { .. } | Step::File => unreachable!("issues and filings are asked for, not planned"),
        }
    }

    /// Takes an invoice into its seller's month, or out of it.
    fn count(&mut self, case: &Case, sign: i64) {
        let month = self.months.entry((case.period, case.seller)).or_default();
        month.invoices = month.invoices.saturating_add_signed(sign);
        for total in &case.by_rate {
            let (net, tax) = month.sums.entry(total.treatment).or_default();
            *net += sign * total.net.fen();
            *tax += sign * total.tax.fen();
        }
    }

    /// Dice of a case, others at each of its stages.
    fn dice(&self, case: &Case) -> Dice {
        let stage = (case.token << 8) | u64::from(case.tries);
        Dice::new(self.workload.consortium.seed() ^ (stage << 40), Throw::Habit, case.number)
    }
}

/// The id of a claim: of this run, invoice and platform.
fn claim(run: &str, case: &Case, platform: usize) -> ClaimId {
    format!("{run}-{}-{platform}", case.number).parse().expect("runs are short and plain")
}
