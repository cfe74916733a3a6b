//! Workers that live the life of invoices against a node, and remember exactly what they were told.

mod duel;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chain::encoding::encode_base64url;
use chain::hash::Hash;
use chain::statement::{Limits, Mode, Statement};
use serde_json::{Value, json};

use super::Broken;
use super::client::{Answer, Client, REQUEST};
use super::seed::Seed;

pub use duel::Duellist;

/// How many connections retry one statement at once.
pub const AT_ONCE: usize = 10;

/// What an impatient client waits for an answer.
const IMPATIENT: Duration = Duration::from_millis(4);

/// How long a worker rests that was told to come again later.
const PUT_OFF: Duration = Duration::from_millis(20);

/// How many open invoices a worker keeps in hand.
const INVOICES_MAX: usize = 50;

const SHOP: &str = "demo-shop";
const PLATFORM: &str = "demo-platform-a";
const RIVAL: &str = "demo-platform-b";

/// How far an invoice has come, as its worker was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Locked(u64),
}

#[derive(Clone, Debug)]
struct Invoice {
    id: String,
    stage: Stage,
}

/// What a statement is to do.
#[derive(Clone, Debug)]
enum What {
    /// Issues one invoice an event, some with an attachment.
    Issue(Vec<Option<Vec<u8>>>),
    /// Locks an invoice.
    Lock(Invoice),
    /// Locks an invoice that another platform holds.
    Rival(Invoice),
    /// Closes an invoice.
    Close(Invoice),
    /// Gives a lock up.
    Unlock(Invoice),
}

/// A statement that was sent, or is about to be.
#[derive(Clone, Debug)]
struct Sent {
    organisation: &'static str,
    id: String,
    statement: Vec<u8>,
    attachments: Vec<Vec<u8>>,
    what: What,
    /// Whether an answer failed to come before.
    retried: bool,
}

/// A statement whose outcome was answered.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Who signed it.
    pub organisation: &'static str,
    /// Its id.
    pub id: String,
    /// What was answered, word for word; null for a refusal, which is answered otherwise. As text: an hour has
    /// millions of them, and a parsed one takes several times as much.
    view: Box<str>,
    /// The code of its first outcome.
    pub code: String,
    /// Attachments that were taken with it: invoice and bytes.
    attachments: Vec<(String, Vec<u8>)>,
}

/// What all workers count together.
#[derive(Debug, Default)]
pub struct Meter {
    /// Events that were answered.
    pub events: AtomicU64,
    /// Statements of which no answer came, and which were sent again.
    pub retried: AtomicU64,
    /// Statements sent again by ten connections at once.
    pub retried_by_ten: AtomicU64,
    /// Answers that said later: full, stopping, no room.
    pub put_off: AtomicU64,
    /// Times to finality, µs.
    pub latencies_us: Mutex<Vec<u32>>,
}

/// What came of sending a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// An answer about finality.
    Settled,
    /// An answer that said later; the statement waits.
    PutOff,
    /// No answer, and why; the statement waits.
    Unanswered(String),
}

/// One worker with one connection: one statement after the other.
#[derive(Debug)]
pub struct Worker {
    number: usize,
    seed: Seed,
    sent: u64,
    invoices: Vec<Invoice>,
    pending: Option<Sent>,
    /// What was answered, in order.
    pub acknowledged: Vec<Acknowledged>,
    /// How many of them were checked after a start.
    checked: usize,
    /// Everything that was not as it must be.
    losses: Vec<String>,
    /// Answers that told of a fault of the node: no loss when the node ended on it.
    faults: Vec<String>,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(number: usize, seed: &Seed) -> Self {
        let seed = seed.part(1_000 + number as u64);
        let (invoices, acknowledged) = (Vec::new(), Vec::new());
        let (losses, faults) = (Vec::new(), Vec::new());
        Self { number, seed, sent: 0, invoices, pending: None, acknowledged, checked: 0, losses, faults }
    }

    /// Works until it is told to stop, or the node does not answer any more.
    pub fn work(&mut self, client: &Client, going: &AtomicBool, meter: &Meter) {
        while going.load(Ordering::SeqCst) {
            match self.once(client, meter) {
                Came::Settled => {}
                Came::PutOff => thread::sleep(PUT_OFF),
                Came::Unanswered(_) if client.get("/livez", None).is_err() => return,
                Came::Unanswered(_) => {}
            }
        }
    }

    /// Sends one statement: the one that waits for an answer, or a new one.
    pub fn once(&mut self, client: &Client, meter: &Meter) -> Came {
        let sent = self.pending.take().unwrap_or_else(|| self.next(client));
        let impatient = !sent.retried && self.seed.happens(1);
        let begun = Instant::now();
        match client.submit(&sent.statement, &sent.attachments, if impatient { IMPATIENT } else { REQUEST }) {
            Ok(answer) => {
                if !self.settle(sent, &answer, meter) {
                    return Came::PutOff;
                }
                let us = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                meter.latencies_us.lock().expect("no worker panics while it holds this").push(us);
                Came::Settled
            }
            // Nobody knows what became of it, and the node lives: ten ask at once.
            Err(_) if impatient => {
                self.ask_by_ten(client, sent, meter);
                Came::Settled
            }
            Err(why) => {
                self.pending = Some(sent);
                Came::Unanswered(why.to_string())
            }
        }
    }

    /// After a start: what became of the statement that was not answered, and what of those that were.
    pub fn check(&mut self, client: &Client, meter: &Meter, sample: usize) -> Result<(), Broken> {
        if let Some(sent) = self.pending.take() {
            meter.retried.fetch_add(1, Ordering::Relaxed);
            self.look_before_retry(client, &sent)?;
            let sent = Sent { retried: true, ..sent };
            if self.seed.happens(40) {
                self.ask_by_ten(client, sent, meter);
            } else {
                let answer = client.submit(&sent.statement, &sent.attachments, REQUEST)?;
                self.settle(sent, &answer, meter);
            }
        }
        let fresh = self.checked..self.acknowledged.len();
        let older: Vec<usize> = match self.checked {
            0 => Vec::new(),
            checked => (0..sample).map(|_| self.seed.place(checked)).collect(),
        };
        for place in fresh.chain(older) {
            let losses = self.acknowledged[place].check(client, self.seed.happens(5))?;
            self.losses.extend(losses);
        }
        self.checked = self.acknowledged.len();
        Ok(())
    }

    /// A statement that issues something, for somebody else to send.
    pub fn probe(&mut self, client: &Client) -> Vec<u8> {
        let reference = client.cast().now_ms();
        self.sent = u64::try_from(reference).unwrap_or(0);
        self.next(client).statement
    }

    /// How many statements wait for an answer.
    pub fn waiting(&self) -> usize {
        usize::from(self.pending.is_some())
    }

    /// Lets go of statements that were signed for a time that has passed: only when none is on its way.
    pub fn forget_invoices(&mut self) {
        self.invoices.clear();
    }

    fn next(&mut self, client: &Client) -> Sent {
        let place = (!self.invoices.is_empty()).then(|| self.seed.place(self.invoices.len()));
        let draw = self.seed.below(100);
        let crowded = self.invoices.len() >= INVOICES_MAX;
        let (organisation, what, events) = match place {
            Some(place) if draw < 55 || crowded => self.step(place),
            Some(_) | None => self.issue(),
        };
        self.sent += 1;
        let nonce = format!("w{}-{}", self.number, self.sent);
        let mode = if self.seed.happens(50) { Mode::All } else { Mode::Each };
        let statement = client.cast().statement(organisation, &nonce, mode, &events);
        let id = Statement::parse(&*statement, &Limits::default()).expect("it was signed just now").id().to_string();
        let attachments = match &what {
            What::Issue(attachments) => attachments.iter().flatten().cloned().collect(),
            What::Lock(_) | What::Rival(_) | What::Close(_) | What::Unlock(_) => Vec::new(),
        };
        Sent { organisation, id, statement, attachments, what, retried: false }
    }

    fn issue(&mut self) -> (&'static str, What, Vec<String>) {
        let count = 1 + self.seed.below(3);
        let (mut attachments, mut events) = (Vec::new(), Vec::new());
        for event in 0..count {
            let mut document: Value = serde_json::from_str(invoice::samples::all()[0].json).expect("samples are JSON");
            document["reference"] = json!(format!("W{}-{}-{event}", self.number, self.sent));
            let attachment = self.seed.happens(20).then(|| {
                let salt = [self.seed.number().to_be_bytes(), self.seed.number().to_be_bytes()].concat();
                let name = format!("某人 {}", self.seed.below(1_000));
                let text = json!({"salt": encode_base64url(&salt), "personal": {"buyer_name": name}});
                text.to_string().into_bytes()
            });
            if let Some(bytes) = &attachment {
                document["attachment"] = json!(Hash::of(bytes).to_string());
            }
            attachments.push(attachment);
            events.push(json!({"issue": {"document": document}}).to_string());
        }
        (SHOP, What::Issue(attachments), events)
    }

    fn step(&mut self, place: usize) -> (&'static str, What, Vec<String>) {
        let invoice = self.invoices.swap_remove(place);
        let id = invoice.id.clone();
        let claim = format!("claim-{id}");
        let held = |token: u64| json!({"invoice": id, "claim": claim, "token": token});
        let lock = |claim: &str| json!({"lock": {"invoice": id, "enterprise": "demo-buyer", "claim": claim}});
        let (organisation, what, event) = match invoice.stage {
            Stage::Open => (PLATFORM, What::Lock(invoice), lock(&claim)),
            Stage::Locked(_) if self.seed.happens(5) => (RIVAL, What::Rival(invoice), lock("rival")),
            Stage::Locked(token) if self.seed.happens(20) => {
                (PLATFORM, What::Unlock(invoice), json!({"unlock": held(token)}))
            }
            Stage::Locked(token) => (PLATFORM, What::Close(invoice), json!({"close": held(token)})),
        };
        (organisation, what, vec![event.to_string()])
    }

    /// Takes an answer down. Says whether it was one about finality; else the statement waits on.
    fn settle(&mut self, sent: Sent, answer: &Answer, meter: &Meter) -> bool {
        let json = answer.json();
        match answer.status {
            200 | 201 => self.accepted(sent, json, meter),
            409 if matches!(sent.what, What::Rival(_)) && json["code"] == "reimbursement.already-locked" => {
                meter.events.fetch_add(1, Ordering::Relaxed);
                let What::Rival(invoice) = sent.what else { return true };
                self.invoices.push(invoice);
                let (organisation, id) = (sent.organisation, sent.id);
                let code = "reimbursement.already-locked".to_owned();
                let (view, attachments) = (Value::Null.to_string().into(), Vec::new());
                self.acknowledged.push(Acknowledged { organisation, id, view, code, attachments });
            }
            202 | 429 | 503 | 507 => {
                meter.put_off.fetch_add(1, Ordering::Relaxed);
                self.pending = Some(Sent { retried: true, ..sent });
                return false;
            }
            // The node met a fault, and is about to end on it; whether it was decided is asked of the next life.
            500 if json["code"] == "internal.fault" => {
                self.faults.push(format!("{} was answered 500: {}", sent.id, answer.text()));
                self.pending = Some(Sent { retried: true, ..sent });
                return false;
            }
            status => self.losses.push(format!("{} was answered {status}: {}", sent.id, answer.text())),
        }
        true
    }

    /// Everything that was not as it must be, since it was asked last.
    pub fn take_losses(&mut self) -> Vec<String> {
        self.losses.drain(..).chain(self.faults.drain(..)).collect()
    }

    /// The node has ended on the fault that it told of: nothing is lost by that.
    pub fn forgive_faults(&mut self) {
        self.faults.clear();
    }

    fn accepted(&mut self, sent: Sent, view: Value, meter: &Meter) {
        let outcomes = view["outcomes"].as_array().cloned().unwrap_or_default();
        if outcomes.is_empty() || outcomes.iter().any(|outcome| outcome["code"] != "accepted") {
            self.losses.push(format!("{} was to be accepted: {view}", sent.id));
        }
        meter.events.fetch_add(outcomes.len() as u64, Ordering::Relaxed);
        let subject = |outcome: &Value| outcome["subject"].as_str().unwrap_or_default().to_owned();
        let mut kept = Vec::new();
        match sent.what {
            What::Issue(attachments) => {
                for (outcome, attachment) in outcomes.iter().zip(attachments) {
                    kept.extend(attachment.map(|bytes| (subject(outcome), bytes)));
                    if self.invoices.len() < INVOICES_MAX {
                        self.invoices.push(Invoice { id: subject(outcome), stage: Stage::Open });
                    }
                }
            }
            What::Lock(invoice) => match outcomes[0]["record"]["locked"]["token"].as_u64() {
                Some(token) => self.invoices.push(Invoice { stage: Stage::Locked(token), ..invoice }),
                None => self.losses.push(format!("the lock {} has no token: {view}", sent.id)),
            },
            What::Unlock(invoice) => self.invoices.push(Invoice { stage: Stage::Open, ..invoice }),
            What::Close(_) => {}
            What::Rival(invoice) => self.losses.push(format!("{} was locked twice: {view}", invoice.id)),
        }
        let (organisation, id, code) = (sent.organisation, sent.id, "accepted".to_owned());
        let view = view.to_string().into();
        self.acknowledged.push(Acknowledged { organisation, id, view, code, attachments: kept });
    }

    /// Before an unanswered statement is sent again: it is on the ledger, or nothing of it is.
    fn look_before_retry(&mut self, client: &Client, sent: &Sent) -> Result<(), Broken> {
        let path = format!("/v1/statements/{}", sent.id);
        let decided = client.get(&path, Some(sent.organisation))?.json()["state"] == "decided";
        let (invoice, before, after) = match &sent.what {
            What::Issue(_) => return Ok(()),
            What::Lock(invoice) => (invoice, "open", "locked"),
            What::Rival(invoice) => (invoice, "locked", "locked"),
            What::Close(invoice) => (invoice, "locked", "closed"),
            What::Unlock(invoice) => (invoice, "locked", "open"),
        };
        let answer = client.get(&format!("/v1/invoices/{}", invoice.id), Some(PLATFORM))?;
        let expected = if decided { after } else { before };
        // Another node may have it still, so that it is decided between the two looks.
        let late = || Ok::<_, Broken>(client.get(&path, Some(sent.organisation))?.json()["state"] == "decided");
        if answer.json()["reimbursement"]["status"] != expected && late()? == decided {
            let text = answer.text();
            self.losses.push(format!("{} (decided: {decided}): expected {expected}, found {text}", sent.id));
        }
        Ok(())
    }

    /// Sends a statement from ten connections at once: all must be told the same.
    fn ask_by_ten(&mut self, client: &Client, sent: Sent, meter: &Meter) {
        meter.retried_by_ten.fetch_add(1, Ordering::Relaxed);
        let answers: Vec<Result<Answer, Broken>> = thread::scope(|scope| {
            let ask = || {
                let (own, sent) = (client.another(), &sent);
                scope.spawn(move || own.submit(&sent.statement, &sent.attachments, REQUEST))
            };
            let asked: Vec<_> = (0..AT_ONCE).map(|_| ask()).collect();
            asked.into_iter().map(|asked| asked.join().expect("asking does not panic")).collect()
        });
        let mut told: Option<Answer> = None;
        for answer in answers.into_iter().flatten() {
            if [202, 429, 503, 507].contains(&answer.status) {
                continue;
            }
            let same = |one: &Answer| {
                let (one, other) = (one.json(), answer.json());
                (&one["outcomes"], &one["height"], &one["code"])
                    == (&other["outcomes"], &other["height"], &other["code"])
            };
            match &told {
                Some(first) if !same(first) => {
                    self.losses.push(format!(
                        "{} was told two things: {} and {}",
                        sent.id,
                        first.text(),
                        answer.text()
                    ));
                }
                Some(_) => {}
                None => told = Some(answer),
            }
        }
        match told {
            Some(answer) => drop(self.settle(sent, &answer, meter)),
            None => self.pending = Some(Sent { retried: true, ..sent }),
        }
    }
}

impl Acknowledged {
    /// What was answered; null for a refusal.
    pub fn view(&self) -> Value {
        serde_json::from_str(&self.view).expect("it was written from a value")
    }

    /// Asks the node again: the same answer, the same attachment, and a receipt that holds.
    pub fn check(&self, client: &Client, with_receipt: bool) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        let found = client.get(&format!("/v1/statements/{}", self.id), Some(self.organisation))?;
        let json = found.json();
        let view = self.view();
        let same = if view.is_null() { json["outcomes"][0]["code"] == self.code } else { json == view };
        if found.status != 200 || !same {
            let text = found.text();
            losses.push(format!("{} was answered {}, and now is {} {text}", self.id, self.view, found.status));
        }
        for (invoice, bytes) in &self.attachments {
            let found = client.get(&format!("/v1/invoices/{invoice}/attachment"), Some(SHOP))?;
            if found.status != 200 || found.body != *bytes {
                losses.push(format!("the attachment of {invoice} is {} {}", found.status, found.text()));
            }
        }
        if let (true, Some(leaf)) = (with_receipt, view["outcomes"][0]["leaf_index"].as_u64()) {
            let found = client.get(&format!("/v1/receipts/{leaf}"), Some(self.organisation))?;
            let receipt = chain::receipt::Receipt::parse(&found.body).map_err(|error| error.to_string());
            let verified =
                receipt.and_then(|receipt| receipt.verify(&client.cast().genesis).map_err(|error| error.to_string()));
            match verified {
                Ok(verified) if view["outcomes"][0]["leaf_hash"] == verified.leaf.hash().to_string() => {}
                Ok(verified) => losses.push(format!("the receipt of {} proves {:?}", self.id, verified.leaf)),
                Err(error) => losses.push(format!("the receipt of {} does not hold: {error}", self.id)),
            }
        }
        Ok(losses)
    }
}
