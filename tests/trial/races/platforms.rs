//! The platforms of a race: each with a client of its own at all four nodes, and what each was told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Client, Decided, Error, Event, Held, Key, Lock, Login, Node, Options, Refused, Signed, Signer};
use invoice::date::Date;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;
use workload::consortium::{LOGIN_KEY, STATEMENT_KEY};
use workload::{Consortium, Signers, Workload};

use crate::trial::Broken;

/// The code of a lock that came too late.
pub(super) const ALREADY_LOCKED: &str = "reimbursement.already-locked";
/// The same when the winner has closed.
pub(super) const ALREADY_CLOSED: &str = "reimbursement.already-closed";
/// The code of a close whose lease had run out.
const NOT_LOCKED: &str = "reimbursement.not-locked";

/// How long a statement is asked for; nodes may be killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long to wait before a client that gave up is asked to go on.
const GO_ON: Duration = Duration::from_millis(100);
/// How often somebody comes back for what others held.
const PASSES_MAX: usize = 40;
/// How much later than a lease ends somebody comes back: blocks are made by other clocks, of the same machine.
const LATER_MS: i64 = 20;
/// Invoices of one statement.
const ISSUED_AT_ONCE: usize = 100;
/// For how long statements may be decided. Seconds.
const VALID_S: u64 = 12 * 3_600;

/// An invoice that everybody wants.
#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) id: String,
    enterprise: String,
}

/// The event that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whose.
    pub(super) holder: String,
    /// Since when, ms UTC.
    pub(super) since_ms: i64,
    /// Until when, ms UTC; none for ever.
    pub(super) until_ms: Option<i64>,
    /// Its leaf.
    pub(super) leaf_hash: String,
}

/// What an accepted event came to.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) height: u64,
    pub(super) time_ms: i64,
    pub(super) leaf_index: u64,
    pub(super) leaf_hash: String,
    /// Token and end of a lock.
    pub(super) lease: Option<(u64, i64)>,
}

/// What a platform was told about a statement.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Accepted(Accepted),
    /// By the ledger: the code, and what stands in the way.
    Refused(String, Option<Standing>),
}

/// An answer, to whom and about what.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) platform: usize,
    /// The statement's id.
    pub(super) statement: String,
    pub(super) invoice: String,
    claim: String,
    pub(super) answer: Answer,
}

impl Told {
    /// Whether it was accepted.
    pub(super) fn won(&self) -> bool {
        matches!(self.answer, Answer::Accepted(_))
    }
}

/// A platform.
struct Platform {
    client: Client,
    signer: Signer,
}

/// All of them.
pub(super) struct Platforms {
    workload: Workload,
    signers: Signers,
    all: Vec<Platform>,
    /// The ids of all statements that platforms signed.
    signed: Mutex<BTreeSet<String>>,
}

/// One that vanishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub(super) platform: usize,
    /// Behind so many answers; its calls under way are given up.
    pub(super) after: usize,
}

/// What a platform was told in a round, and what went wrong.
pub(super) type Outcome = Result<Told, String>;

impl Platforms {
    /// Connects every platform, each to another node first.
    pub(super) async fn connect(
        consortium: Consortium,
        chain: client::ChainId,
        nodes: &[Node],
    ) -> Result<Self, Broken> {
        let consortium = Arc::new(consortium);
        let mut all = Vec::new();
        for (place, platform) in consortium.platforms().iter().enumerate() {
            let key = |id: &str| {
                let secret = consortium.secret(platform.as_str(), id);
                Ok::<_, Broken>(Key { organisation: platform.clone(), id: id.parse()?, secret })
            };
            let mut nodes = nodes.to_vec();
            let first = place % nodes.len();
            nodes.rotate_left(first);
            let mut options = Options::new(nodes, Login::Tokens(key(LOGIN_KEY)?));
            options.backoff_max = Duration::from_millis(500);
            let signer = Signer::new(key(STATEMENT_KEY)?, chain.clone()).with_lifetime_s(VALID_S);
            all.push(Platform { client: Client::connect(options).await?, signer });
        }
        let workload = Workload::new(Arc::clone(&consortium), "races", Date::from_unix_ms(now_ms())?)?;
        Ok(Self { workload, signers: Signers::new(&consortium, chain), all, signed: Mutex::default() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// What one is called.
    pub(super) fn name(&self, platform: usize) -> &str {
        self.workload.consortium().platforms()[platform].as_str()
    }

    /// Issues so many invoices for a round.
    pub(super) async fn issue(&self, round: u64, count: usize) -> Result<Vec<Invoice>, Broken> {
        let mut invoices = Vec::new();
        // A place of its own for each round, so that no statement is issued twice.
        for number in (round << 20).. {
            if invoices.len() >= count {
                break;
            }
            let events = ISSUED_AT_ONCE.min(count - invoices.len());
            let expires_at = u64::try_from(now_ms() / 1_000)? + VALID_S;
            let (made, holders) = self.workload.claimable_statement(&self.signers, number, events, expires_at);
            let signed = Signed::parse(std::str::from_utf8(&made.bytes)?)?;
            let decided = self.all[invoices.len() % self.all.len()].client.decide(&signed).await?;
            let issued = decided.outcomes.into_iter().zip(holders);
            invoices.extend(
                issued.map(|(outcome, holder)| Invoice { id: outcome.subject, enterprise: holder.id.to_string() }),
            );
        }
        Ok(invoices)
    }

    /// One platform begins to lock everything, so many at once; and to close what it wins, if it is to. Answers come as it
    /// hears them. Whoever drops the calls gives them up.
    fn begin(
        self: &Arc<Self>,
        platform: usize,
        invoices: Vec<Invoice>,
        claim: &str,
        terms: Terms,
    ) -> (JoinSet<()>, UnboundedReceiver<Outcome>) {
        let (invoices, next) = (Arc::new(invoices), Arc::new(AtomicUsize::new(0)));
        let (tell, answers) = unbounded_channel();
        let mut calls = JoinSet::new();
        for _ in 0..terms.at_once {
            let (platforms, invoices, next) = (Arc::clone(self), Arc::clone(&invoices), Arc::clone(&next));
            let (claim, tell) = (claim.to_owned(), tell.clone());
            calls.spawn(async move {
                while let Some(invoice) = invoices.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let locked = platforms.lock(platform, invoice, &claim, terms.lease_s).await;
                    let won = locked.as_ref().ok().filter(|locked| terms.closes && locked.won()).cloned();
                    // Who has vanished hears nothing.
                    drop(tell.send(locked));
                    if let Some(won) = won {
                        drop(tell.send(platforms.close(&won).await));
                    }
                }
            });
        }
        (calls, answers)
    }

    /// One platform locks everything, to the end.
    async fn locks(
        self: Arc<Self>,
        platform: usize,
        invoices: Vec<Invoice>,
        claim: String,
        terms: Terms,
    ) -> Vec<Outcome> {
        let (calls, mut answers) = self.begin(platform, invoices, &claim, terms);
        let mut told = Vec::new();
        while let Some(answer) = answers.recv().await {
            told.push(answer);
        }
        calls.join_all().await;
        told
    }

    /// One platform locks everything, and vanishes in the midst of it: what it sent is in the hands of nodes, and nobody
    /// hears of it any more.
    async fn locks_until_gone(
        self: Arc<Self>,
        gone: Gone,
        invoices: Vec<Invoice>,
        claim: String,
        terms: Terms,
    ) -> Vec<Outcome> {
        let (calls, mut answers) = self.begin(gone.platform, invoices, &claim, terms);
        let mut told = Vec::new();
        while told.len() < gone.after {
            let Some(answer) = answers.recv().await else { break };
            told.push(answer);
        }
        drop(calls);
        answers.close();
        while let Some(answer) = answers.recv().await {
            told.push(answer);
        }
        told
    }

    /// The statements that platforms signed and heard nothing of.
    pub(super) fn unheard(&self, told: &[Told]) -> Vec<String> {
        let mut unheard = self.signed.lock().expect("nothing panics while it takes note").clone();
        for told in told {
            unheard.remove(&told.statement);
        }
        unheard.into_iter().collect()
    }

    /// Everybody locks everything, once.
    pub(super) async fn race(self: Arc<Self>, round: u64, invoices: Vec<Invoice>, terms: Terms) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        for platform in 0..self.count() {
            let claim = format!("r{round}-{platform}");
            tasks.spawn(Arc::clone(&self).locks(platform, invoices.clone(), claim, terms));
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Those who vanish do so in the midst of locking everything, with calls under way; the others close what they have
    /// won, and come back when a lease has run out, until everything is closed. At last those who vanished come back too,
    /// with what they know they had.
    pub(super) async fn vanish(
        self: Arc<Self>,
        round: u64,
        invoices: Vec<Invoice>,
        gone: Vec<Gone>,
        terms: Terms,
    ) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        for platform in 0..self.count() {
            let (claim, invoices) = (format!("r{round}-{platform}"), invoices.clone());
            let platforms = Arc::clone(&self);
            if let Some(gone) = gone.iter().find(|gone| gone.platform == platform) {
                let terms = Terms { closes: false, ..terms };
                tasks.spawn(platforms.locks_until_gone(*gone, invoices, claim, terms));
            } else {
                tasks.spawn(platforms.stay(platform, invoices, claim, Terms { closes: true, ..terms }));
            }
        }
        let mut told: Vec<Outcome> = tasks.join_all().await.into_iter().flatten().collect();
        let mut tasks = JoinSet::new();
        let is_gone = |platform: usize| gone.iter().any(|gone| gone.platform == platform);
        let lost = told.iter().flatten().filter(|told| told.won() && is_gone(told.platform));
        for lost in lost.cloned().collect::<Vec<Told>>() {
            let platforms = Arc::clone(&self);
            tasks.spawn(async move { platforms.close(&lost).await });
        }
        for late in tasks.join_all().await {
            told.push(late.and_then(|late| match &late.answer {
                Answer::Refused(code, Some(_)) if code == ALREADY_CLOSED => Ok(late),
                answer => Err(format!("{} came back late with {}: {answer:?}", self.name(late.platform), late.invoice)),
            }));
        }
        told
    }

    /// Comes back for what others hold, until nothing is left.
    async fn stay(
        self: Arc<Self>,
        platform: usize,
        mut invoices: Vec<Invoice>,
        claim: String,
        terms: Terms,
    ) -> Vec<Outcome> {
        let mut told = Vec::new();
        for pass in 0..PASSES_MAX {
            let claim = format!("{claim}-{pass}");
            let outcomes = Arc::clone(&self).locks(platform, invoices.clone(), claim, terms).await;
            // What was closed, by anybody, is over.
            let over = |id: &str| {
                outcomes.iter().flatten().filter(|told| told.invoice == id).any(|told| match &told.answer {
                    Answer::Accepted(accepted) => accepted.lease.is_none(),
                    Answer::Refused(code, _) => code == ALREADY_CLOSED,
                })
            };
            invoices.retain(|invoice| !over(&invoice.id));
            let until = |told: &Told| match &told.answer {
                Answer::Refused(_, Some(standing)) => standing.until_ms,
                Answer::Refused(_, None) | Answer::Accepted(_) => None,
            };
            let latest_ms = outcomes.iter().flatten().filter_map(until).max();
            let odd = outcomes.iter().any(Result::is_err);
            told.extend(outcomes);
            if invoices.is_empty() || odd {
                return told;
            }
            let wait_ms = latest_ms.map_or(0, |until| until + LATER_MS - now_ms());
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))).await;
        }
        let left = invoices.first().map(|invoice| invoice.id.clone()).unwrap_or_default();
        told.push(Err(format!("{} never came to an end with {left}", self.name(platform))));
        told
    }

    async fn lock(&self, platform: usize, invoice: &Invoice, claim: &str, lease_seconds: Option<u32>) -> Outcome {
        let (id, enterprise) = (invoice.id.clone(), invoice.enterprise.clone());
        let event = Event::Lock(Lock { invoice: id, enterprise, claim: claim.to_owned(), lease_seconds });
        self.tell(platform, &invoice.id, claim, &event).await
    }

    /// Closes what was locked.
    async fn close(&self, won: &Told) -> Outcome {
        let Answer::Accepted(Accepted { lease: Some((token, _)), .. }) = won.answer else {
            return Err(format!("{} has no lease of {}", self.name(won.platform), won.invoice));
        };
        let event = Event::Close(Held { invoice: won.invoice.clone(), claim: won.claim.clone(), token });
        self.tell(won.platform, &won.invoice, &won.claim, &event).await
    }

    /// Signs an event, and asks until the ledger has decided it.
    async fn tell(&self, platform: usize, invoice: &str, claim: &str, event: &Event) -> Outcome {
        let Platform { client, signer } = &self.all[platform];
        let signed = client.sign(signer, event).map_err(|error| error.to_string())?;
        self.signed.lock().expect("nothing panics while it takes note").insert(signed.id().to_string());
        let until = Instant::now() + PATIENCE;
        let answer = loop {
            match client.decide(&signed).await {
                Ok(decided) => break accepted(&decided)?,
                Err(Error::Refused(refused)) if refused.is_on_the_ledger() => break refusal(&refused)?,
                Err(Error::Undecided { .. } | Error::Unavailable { .. }) if Instant::now() < until => {
                    tokio::time::sleep(GO_ON).await;
                }
                Err(error) => return Err(format!("{} and {invoice}: {error}: {error:?}", self.name(platform))),
            }
        };
        let (statement, invoice, claim) = (signed.id().to_string(), invoice.to_owned(), claim.to_owned());
        Ok(Told { platform, statement, invoice, claim, answer })
    }
}

/// How a platform locks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How many calls it has under way.
    pub(super) at_once: usize,
    /// For how long, seconds; the longest term when nothing is said.
    pub(super) lease_s: Option<u32>,
    /// Whether it closes what it has won.
    pub(super) closes: bool,
}

fn accepted(decided: &Decided) -> Result<Answer, String> {
    let [outcome] = decided.outcomes.as_slice() else { return Err(format!("one event has one outcome: {decided:?}")) };
    let lease = decided.lease().map(|lease| (lease.token, lease.until_ms));
    let Decided { height, time_ms, .. } = *decided;
    let leaf_hash = outcome.leaf_hash.clone();
    Ok(Answer::Accepted(Accepted { height, time_ms, leaf_index: outcome.leaf_index, leaf_hash, lease }))
}

/// A refusal must say who, since when and by which leaf, unless nobody holds it.
fn refusal(refused: &Refused) -> Result<Answer, String> {
    let standing = refused.standing().map(|of| Standing {
        holder: of.holder.clone(),
        since_ms: of.since_ms,
        until_ms: of.until_ms,
        leaf_hash: of.leaf_hash.clone(),
    });
    match refused.code.as_str() {
        ALREADY_LOCKED | ALREADY_CLOSED if standing.is_some() => Ok(Answer::Refused(refused.code.clone(), standing)),
        NOT_LOCKED => Ok(Answer::Refused(refused.code.clone(), standing)),
        _ => Err(format!("refused otherwise: {refused}: {refused:?}")),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
