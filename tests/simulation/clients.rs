//! Clients: invoices are issued, claimed by two platforms at once, and closed by the one that won.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chain::genesis::Genesis;
use chain::hash::StatementId;
use chain::statement::Mode;
use ledger::outcome::Record;
use replica::port::Store;
use replica::query::Query;

use crate::consortium::NOON;
use crate::events::{claim, issue, lock};
use crate::network::Statement;
use crate::trial::seed::Seed;

/// How long a client waits for an answer before it asks another node.
const PATIENCE: Duration = Duration::from_secs(4);

/// The platforms that claim every invoice.
const PLATFORMS: [&str; 2] = ["platform-a", "platform-b"];

/// What a statement does for its invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Issue,
    Lock(usize),
    Close,
}

/// What a client was told of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    code: String,
    subject: String,
    token: Option<u64>,
}

/// A statement on its way.
#[derive(Debug)]
struct Post {
    story: usize,
    step: Step,
    bytes: Vec<u8>,
    /// Where it was posted last, and when it is posted next.
    at: Option<usize>,
    next: Duration,
    answer: Option<Answer>,
}

/// The life of an invoice.
#[derive(Debug, Default)]
struct Story {
    invoice: Option<String>,
    locks: Vec<StatementId>,
    closing: bool,
}

/// All clients.
pub(super) struct Clients {
    genesis: Arc<Genesis>,
    dice: Seed,
    posts: BTreeMap<StatementId, Post>,
    stories: Vec<Story>,
    /// When the next invoices are issued.
    begins: Vec<Duration>,
    nonces: u64,
    /// What cannot be, as far as clients can see.
    pub(super) wrong: Vec<String>,
}

impl Clients {
    /// Invoices are issued at these times.
    pub(super) fn new(genesis: &Arc<Genesis>, dice: Seed, mut begins: Vec<Duration>) -> Self {
        begins.sort_by(|one, other| other.cmp(one));
        let genesis = Arc::clone(genesis);
        Self { genesis, dice, posts: BTreeMap::new(), stories: Vec::new(), begins, nonces: 0, wrong: Vec::new() }
    }

    /// When somebody does something next.
    pub(super) fn due(&self) -> Option<Duration> {
        let waiting = self.posts.values().filter(|post| post.answer.is_none()).map(|post| post.next).min();
        [self.begins.last().copied(), waiting].into_iter().flatten().min()
    }

    /// Whether every story has come to its end.
    pub(super) fn are_done(&self) -> bool {
        self.begins.is_empty() && self.posts.values().all(|post| post.answer.is_some())
    }

    /// How many statements were written.
    pub(super) fn count(&self) -> usize {
        self.posts.len()
    }

    /// Statements that nobody has answered for.
    pub(super) fn unanswered(&self) -> Vec<StatementId> {
        self.posts.iter().filter(|(_, post)| post.answer.is_none()).map(|(id, _)| *id).collect()
    }

    fn write(&mut self, story: usize, step: Step, organisation: &str, event: String, now: Duration) -> StatementId {
        self.nonces += 1;
        // Far from the end of what may be said now, whatever clocks do.
        let now_ms = NOON + i64::try_from(now.as_millis()).expect("a simulation is short");
        let nonce = format!("n{}", self.nonces);
        let Statement { id, bytes } =
            Statement::sign(&self.genesis, &nonce, organisation, Mode::Each, &[event], now_ms);
        // The platforms do not wait for each other.
        let next = now + Duration::from_millis(self.dice.below(40));
        self.posts.insert(id, Post { story, step, bytes, at: None, next, answer: None });
        id
    }

    /// What is posted now, and at which of the nodes.
    pub(super) fn posts(&mut self, now: Duration, nodes: usize) -> Vec<(StatementId, usize, Vec<u8>)> {
        while self.begins.last().is_some_and(|at| *at <= now) {
            self.begins.pop();
            let story = self.stories.len();
            self.stories.push(Story::default());
            self.write(story, Step::Issue, "shop", issue(&format!("s{story}")), now);
        }
        let mut due = Vec::new();
        for (id, post) in &mut self.posts {
            if post.answer.is_none() && post.next <= now {
                let place = self.dice.place(nodes);
                post.next = now + PATIENCE;
                post.at = Some(place);
                due.push((*id, place, post.bytes.clone()));
            }
        }
        due
    }

    /// Whether a statement waits for an answer of this node.
    pub(super) fn waits_at(&self, id: &StatementId, place: usize) -> bool {
        self.posts.get(id).is_some_and(|post| post.at == Some(place) && post.answer.is_none())
    }

    /// A node says that a statement is final, and what became of it.
    pub(super) fn answered<S: Store>(&mut self, id: &StatementId, query: &Query<S>, now: Duration) {
        let answer = match read(id, query) {
            Ok(answer) => answer,
            Err(what) => return self.wrong.push(format!("{id} is final and cannot be read: {what}")),
        };
        let Some(post) = self.posts.get_mut(id) else { return };
        post.answer = Some(answer.clone());
        let (story, step) = (post.story, post.step);
        match step {
            Step::Issue => self.issued(story, &answer, now),
            Step::Lock(_) => self.locked(story, now),
            Step::Close if answer.code != "accepted" => {
                self.wrong.push(format!("{} was locked by who closed it: {}", answer.subject, answer.code));
            }
            Step::Close => {}
        }
    }

    fn issued(&mut self, story: usize, answer: &Answer, now: Duration) {
        if answer.code != "accepted" {
            return self.wrong.push(format!("s{story} was not issued: {}", answer.code));
        }
        self.stories[story].invoice = Some(answer.subject.clone());
        for (number, platform) in PLATFORMS.into_iter().enumerate() {
            let event = lock(&answer.subject, &format!("claim-{story}-{platform}"));
            let id = self.write(story, Step::Lock(number), platform, event, now);
            self.stories[story].locks.push(id);
        }
    }

    fn locked(&mut self, story: usize, now: Duration) {
        let answers: Vec<(usize, &Answer)> = self.stories[story]
            .locks
            .iter()
            .filter_map(|id| self.posts.get(id))
            .filter_map(|post| match post.step {
                Step::Lock(platform) => Some((platform, post.answer.as_ref()?)),
                Step::Issue | Step::Close => None,
            })
            .collect();
        let won: Vec<_> = answers.iter().filter(|(_, answer)| answer.code == "accepted").collect();
        if answers.len() == PLATFORMS.len() && won.len() != 1 {
            let codes: Vec<_> = answers.iter().map(|(_, answer)| answer.code.clone()).collect();
            self.wrong.push(format!("s{story} was claimed by two, who were told {codes:?}"));
        }
        let (Some((platform, answer)), false) = (won.first(), self.stories[story].closing) else { return };
        let (invoice, platform) = (answer.subject.clone(), PLATFORMS[*platform]);
        let event = claim("close", &invoice, &format!("claim-{story}-{platform}"), answer.token.unwrap_or(0));
        // Only when both know: who is late is told that it is locked, not that it is closed.
        if answers.len() == PLATFORMS.len() {
            self.stories[story].closing = true;
            self.write(story, Step::Close, platform, event, now);
        }
    }
}

/// What became of a statement, as its client is told.
fn read<S: Store>(id: &StatementId, query: &Query<S>) -> Result<Answer, String> {
    let view = query.statement(id).map_err(|fault| fault.to_string())?.ok_or("there is no such statement")?;
    let event = query.event(view.first_leaf).map_err(|fault| fault.to_string())?.ok_or("it has no event")?;
    let token = match event.record().map_err(|fault| fault.to_string())? {
        Record::Locked { token, .. } => Some(token),
        _ => None,
    };
    Ok(Answer { code: event.outcome.code, subject: event.outcome.subject, token })
}
