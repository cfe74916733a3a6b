//! A generated life on a real replica: what follows from what, and whether the month ties in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use chain::certificate::{CommitCertificate, sign_precommit};
use invoice::date::{Date, Period};
use ledger::parallel::Alone;
use replica::memory::MemoryStore;
use replica::mempool::{Limits, Mempool};
use replica::query::{Admission, Query};
use replica::replica::Replica;
use tests::consortium::{DAY, MONTH_END, NOON};
use workload::consortium::TAX_BUREAU;
use workload::{Answer, Consortium, Life, Made, Shape, Signers, Ticket, Workload};

/// Statements of one block at most.
const BLOCK: usize = 20;

/// A node of a generated consortium.
struct Node {
    consortium: Arc<Consortium>,
    replica: Replica<MemoryStore>,
    query: Query<MemoryStore>,
    mempool: Mempool,
    now_ms: i64,
    /// How often each code was answered.
    codes: BTreeMap<String, usize>,
}

impl Node {
    fn start(seed: u64) -> (Self, Life) {
        let consortium = Arc::new(Consortium::new(seed, Shape::small(30, 20)));
        let genesis = Arc::new(consortium.genesis(NOON - DAY, |_| {}).unwrap());
        let store = Arc::new(MemoryStore::default());
        let replica = Replica::recover(&genesis, store, Arc::new(Alone), |_| {}).unwrap();
        let query = Query::new(&replica, Arc::clone(&genesis));
        let workload = Workload::new(Arc::clone(&consortium), "l", Date::from_unix_ms(NOON).unwrap()).unwrap();
        let life = Life::new(workload, Signers::new(&consortium, genesis.chain_id()));
        let mempool = Mempool::new(Limits::default(), || {});
        (Self { consortium, replica, query, mempool, now_ms: NOON, codes: BTreeMap::new() }, life)
    }

    fn expires_at(&self) -> u64 {
        u64::try_from(self.now_ms / 1_000).unwrap() + 3_600
    }

    /// Decides statements in one block, and tells the life what came of them.
    fn block(&mut self, made: Vec<(Ticket, Made)>, life: &mut Life) {
        let submitted: Vec<_> = made.into_iter().map(|(ticket, made)| (ticket, self.submit(&made))).collect();
        self.now_ms += 1_000;
        let key = self.consortium.secret(TAX_BUREAU, "consensus-1");
        let proposal = self.replica.propose(self.now_ms, &key.public(), &self.mempool).unwrap();
        assert_eq!(proposal.dropped, []);
        let header = &proposal.block.header;
        let vote = sign_precommit(&key, &header.chain, header.suite, header.height, 0, &header.id());
        let certificate = CommitCertificate::new(header.suite, header.height, 0, header.id(), vec![vote]);
        let committed = self.replica.commit(&certificate).unwrap();
        self.mempool.remove(&committed.statements);
        for (ticket, id) in submitted {
            let view = self.query.statement(&id).unwrap().unwrap();
            let leaves = view.first_leaf..view.first_leaf + u64::from(view.events);
            let answers: Vec<Answer> =
                leaves.map(|leaf| Answer::of(&self.query.event(leaf).unwrap().unwrap().outcome)).collect();
            for answer in &answers {
                *self.codes.entry(answer.code.clone()).or_default() += 1;
            }
            life.answered(ticket, &answers);
        }
    }

    fn submit(&self, made: &Made) -> chain::hash::StatementId {
        let Admission::Admitted(entry) = self.query.admit(&made.bytes, self.now_ms).unwrap() else {
            panic!("a statement of its own nonce was decided before");
        };
        let id = entry.parsed.statement().id();
        self.mempool.insert(*entry).unwrap();
        id
    }
}

#[test]
fn a_generated_life_is_accepted_but_for_what_must_be_refused_and_its_month_ties() {
    let (mut node, mut life) = Node::start(17);
    for round in 0..60 {
        let expires_at = node.expires_at();
        let events = if round % 2 == 0 { 1 } else { 10 };
        let made = (0..BLOCK).map(|_| life.next(events, expires_at)).collect();
        node.block(made, &mut life);
    }
    while life.waiting() > 0 {
        let expires_at = node.expires_at();
        let made = std::iter::from_fn(|| life.rest(10, expires_at)).take(BLOCK).collect();
        node.block(made, &mut life);
    }
    // Everybody is refused for the reason a second claim has, and for no other.
    let codes = node.codes.clone();
    let expected = ["accepted", "reimbursement.already-closed", "reimbursement.already-locked"];
    assert_eq!(codes.keys().collect::<Vec<_>>(), expected, "seed 17: {codes:?}");
    node.now_ms = MONTH_END + DAY;
    let filings = life.file(Period::new(2026, 11).unwrap(), node.expires_at());
    assert!(!filings.is_empty());
    let before = node.codes["accepted"];
    let events: usize = filings.iter().map(|(_, made)| made.events).sum();
    node.block(filings, &mut life);
    assert_eq!(node.codes["accepted"], before + events, "every filing ties with the ledger");
}
