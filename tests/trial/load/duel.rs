//! Two platforms that want the same invoice at the same moment, each at the door of another agency.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chain::statement::{Limits, Mode, Statement};
use serde_json::{Value, json};

use super::{Acknowledged, Meter, PLATFORM, PUT_OFF, RIVAL, SHOP};
use crate::trial::Broken;
use crate::trial::binary::eventually;
use crate::trial::client::{Answer, Client, REQUEST};
use crate::trial::seed::Seed;

/// How long the other agency may take to have the invoice, or there is no duel: it may have been killed.
const KNOWS_MAX: Duration = Duration::from_secs(2);

/// The code that the loser is told.
const TOO_LATE: &str = "reimbursement.already-locked";

/// One statement of a duel, and at which door it was sent.
#[derive(Clone, Debug)]
struct Shot {
    organisation: &'static str,
    door: usize,
    id: String,
    statement: Vec<u8>,
}

/// Issues invoices and lets two platforms lock each of them at once.
#[derive(Debug)]
pub struct Duellist {
    number: usize,
    seed: Seed,
    sent: u64,
    /// What has no answer yet: it is sent again, to the same door.
    waiting: Vec<Shot>,
    /// What was answered, and at which door.
    pub acknowledged: Vec<(usize, Acknowledged)>,
    losses: Vec<String>,
    /// How many duels both knew the end of at once.
    pub ended: u64,
}

impl Duellist {
    /// A duellist who has not begun.
    pub fn new(number: usize, seed: &Seed) -> Self {
        let seed = seed.part(5_000 + number as u64);
        let (waiting, acknowledged, losses) = (Vec::new(), Vec::new(), Vec::new());
        Self { number, seed, sent: 0, waiting, acknowledged, losses, ended: 0 }
    }

    /// Goes on until it is told to stop, at whichever doors answer.
    pub fn work(&mut self, doors: &[Client], going: &AtomicBool, meter: &Meter) {
        while going.load(Ordering::SeqCst) {
            if !self.once(doors, meter, REQUEST) {
                thread::sleep(PUT_OFF);
            }
        }
    }

    /// One duel; false when a door put it off or did not answer.
    fn once(&mut self, doors: &[Client], meter: &Meter, limit: Duration) -> bool {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.fire(doors, waiting, meter, limit);
            return self.waiting.is_empty();
        }
        let first = self.seed.place(doors.len());
        let second = (first + 1 + self.seed.place(doors.len() - 1)) % doors.len();
        self.sent += 1;
        let name = format!("D{}-{}", self.number, self.sent);
        let mut document: Value = serde_json::from_str(invoice::samples::all()[0].json).expect("samples are JSON");
        document["reference"] = json!(name);
        let issue = self.shot(&doors[first], SHOP, first, &json!({"issue": {"document": document}}));
        self.fire(doors, vec![issue], meter, limit);
        let issued = self.acknowledged.last().filter(|_| self.waiting.is_empty());
        let Some(invoice) =
            issued.and_then(|(_, told)| told.view()["outcomes"][0]["subject"].as_str().map(str::to_owned))
        else {
            return false;
        };
        // The other agency has the invoice when it has the block; before, it could only say that there is none.
        let issue_id = self.acknowledged.last().map(|(_, told)| told.id.clone()).unwrap_or_default();
        let path = format!("/v1/statements/{issue_id}");
        let knows = || {
            let state = doors[second].get(&path, Some(SHOP)).ok()?.json();
            (state["outcomes"].is_array()).then_some(())
        };
        if eventually(KNOWS_MAX, knows).is_none() {
            return false;
        }
        let lock = |claim| json!({"lock": {"invoice": invoice, "enterprise": "demo-buyer", "claim": claim}});
        let one = self.shot(&doors[first], PLATFORM, first, &lock(format!("{name}-a")));
        let other = self.shot(&doors[second], RIVAL, second, &lock(format!("{name}-b")));
        let before = self.acknowledged.len();
        self.fire(doors, vec![one, other], meter, limit);
        let told: Vec<&str> = self.acknowledged[before..].iter().map(|(_, told)| told.code.as_str()).collect();
        if let [one, other] = told[..] {
            self.ended += 1;
            // Whichever came first: exactly one of them has it.
            if (one == TOO_LATE) == (other == TOO_LATE) {
                self.losses.push(format!("{invoice}: two platforms were told {one} and {other}"));
            }
        }
        self.waiting.is_empty()
    }

    fn shot(&self, client: &Client, organisation: &'static str, door: usize, event: &Value) -> Shot {
        let nonce = format!("d{}-{}-{organisation}", self.number, self.sent);
        let nonce = if event.get("issue").is_some() { format!("{nonce}-i") } else { nonce };
        let statement = client.cast().statement(organisation, &nonce, Mode::All, &[event.to_string()]);
        let id = Statement::parse(&*statement, &Limits::default()).expect("it was signed just now").id().to_string();
        Shot { organisation, door, id, statement }
    }

    /// Sends all at once, and takes the answers down; what has none waits on.
    fn fire(&mut self, doors: &[Client], shots: Vec<Shot>, meter: &Meter, limit: Duration) {
        let answers: Vec<Result<Answer, Broken>> = thread::scope(|scope| {
            let ask = |shot: &Shot| {
                let (client, statement) = (doors[shot.door].another(), shot.statement.clone());
                scope.spawn(move || client.submit(&statement, &[], limit))
            };
            let asked: Vec<_> = shots.iter().map(ask).collect();
            asked.into_iter().map(|asked| asked.join().expect("asking does not panic")).collect()
        });
        for (shot, answer) in shots.into_iter().zip(answers) {
            let Ok(answer) = answer else {
                meter.retried.fetch_add(1, Ordering::Relaxed);
                self.waiting.push(shot);
                continue;
            };
            let view = answer.json();
            let code = match answer.status {
                200 | 201 => view["outcomes"][0]["code"].as_str().unwrap_or_default(),
                409 if view["code"] == TOO_LATE => TOO_LATE,
                202 | 429 | 503 | 507 => {
                    meter.put_off.fetch_add(1, Ordering::Relaxed);
                    self.waiting.push(shot);
                    continue;
                }
                status => {
                    self.losses.push(format!("{} was answered {status}: {}", shot.id, answer.text()));
                    continue;
                }
            };
            meter.events.fetch_add(1, Ordering::Relaxed);
            let code = code.to_owned();
            let view = if answer.status == 409 { Value::Null } else { view };
            let Shot { organisation, door, id, .. } = shot;
            let told = Acknowledged { organisation, id, view: view.to_string().into(), code, attachments: Vec::new() };
            self.acknowledged.push((door, told));
        }
    }

    /// When all doors serve again: what was not answered is asked again, once; and some of what was.
    pub fn check(&mut self, doors: &[Client], meter: &Meter, sample: usize) -> Result<Vec<String>, Broken> {
        let waiting = std::mem::take(&mut self.waiting);
        self.fire(doors, waiting, meter, REQUEST);
        let newest = self.acknowledged.len().saturating_sub(sample);
        for place in newest..self.acknowledged.len() {
            // Any agency knows what another one's door answered, and proves it.
            let door = self.seed.place(doors.len());
            let with_receipt = self.seed.happens(20);
            let losses = self.acknowledged[place].1.check(&doors[door], with_receipt)?;
            self.losses.extend(losses);
        }
        Ok(std::mem::take(&mut self.losses))
    }

    /// How many statements have no answer yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
