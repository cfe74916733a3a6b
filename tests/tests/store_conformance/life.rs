//! A random life, lived by the sled store and by the one in memory, in which both must answer
//! alike: commits, writes, checkpoints, scans over all layers, restarts.

use std::ops::Bound;

use chain::block::BlockId;
use chain::hash::Hash;
use proptest::prelude::*;
use replica::port::{CheckpointJob, CheckpointOutput, Decided, Direction, IndexWrites, Store, StoreFault, Table};

use super::{EVERYTHING, Memory, Sled, Subject, bytes, hash};

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<(Table, u16, Option<u8>)>),
    Checkpoint(Vec<(u16, Option<u8>)>),
    Commit { proposals: u8, chosen: u8, length: u16 },
    Scan { table: Table, range: (u16, u16), backward: bool, limit: usize },
    Get(u16),
    Reset,
    Restart,
}

fn ordered() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::State), Just(Table::LogTile), Just(Table::Meta)]
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![2 => ordered(), 1 => Just(Table::Nonce)]
}

/// Few keys, so that writes meet each other; enough of them for several pages.
fn key() -> impl Strategy<Value = u16> {
    0_u16..400
}

fn value() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.6, any::<u8>())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((table(), key(), value()), 0..120).prop_map(Step::Apply),
        3 => proptest::collection::vec((key(), value()), 0..60).prop_map(Step::Checkpoint),
        2 => (1_u8..4, any::<u8>(), 0_u16..20_000).prop_map(|(proposals, chosen, length)| Step::Commit { proposals, chosen, length }),
        6 => (ordered(), (key(), key()), any::<bool>(), 0_usize..300)
            .prop_map(|(table, range, backward, limit)| Step::Scan { table, range, backward, limit }),
        3 => key().prop_map(Step::Get),
        1 => Just(Step::Restart),
        1 => prop_oneof![4 => Just(Step::Restart), 1 => Just(Step::Reset)],
    ]
}

fn index_value(number: Option<u8>) -> Option<Vec<u8>> {
    number.map(|number| vec![number; usize::from(number) * 3])
}

fn index_key(number: u16) -> Vec<u8> {
    // Of two lengths, so that one key is the beginning of another.
    let bytes = (number / 2).to_be_bytes();
    if number.is_multiple_of(2) { bytes.to_vec() } else { [&bytes[..], &[0]].concat() }
}

/// A life lived by the sled store and by the one in memory, side by side.
struct Life {
    sled: Sled,
    memory: Memory,
    next_height: u64,
    next_checkpoint: u64,
    tip: u64,
}

impl Life {
    fn both<T: PartialEq + std::fmt::Debug>(&self, ask: impl Fn(&dyn Store) -> Result<T, StoreFault>) -> T {
        let (sled, memory) = (ask(self.sled.store()).unwrap(), ask(self.memory.store()).unwrap());
        assert_eq!(sled, memory);
        sled
    }

    fn live(&mut self, step: &Step) {
        match step {
            Step::Apply(writes) => {
                let writes: IndexWrites =
                    writes.iter().map(|(table, key, value)| ((*table, index_key(*key)), index_value(*value))).collect();
                self.both(|store| store.apply(self.next_height, writes.clone()));
                self.next_height += 1;
            }
            Step::Checkpoint(nodes) if self.next_height > 0 => self.checkpoint(nodes),
            Step::Checkpoint(_) => {}
            Step::Commit { proposals, chosen, length } => self.commit(*proposals, chosen % proposals, *length),
            Step::Scan { table, range, backward, limit } => {
                let range = (Bound::Included(index_key(range.0)), Bound::Excluded(index_key(range.1)));
                let direction = if *backward { Direction::Backward } else { Direction::Forward };
                self.both(|store| store.scan(*table, range.clone(), direction, *limit));
            }
            Step::Get(key) => {
                self.both(|store| store.get(Table::Nonce, &index_key(*key)));
            }
            Step::Reset => {
                self.both(|store| store.reset_index());
                (self.next_height, self.next_checkpoint) = (0, 0);
            }
            Step::Restart => {
                self.await_begun();
                self.sled.restart();
                self.memory.restart();
                let tip = self.both(|store| store.index_tip());
                self.next_height = tip.as_ref().map_or(0, |tip| tip.height + 1);
                self.next_checkpoint = tip.map_or(0, |tip| tip.checkpoint.number + 1);
                self.check();
            }
        }
    }

    fn checkpoint(&mut self, nodes: &[(u16, Option<u8>)]) {
        let writes: IndexWrites =
            nodes.iter().map(|(key, value)| ((Table::TreeNode, index_key(*key)), index_value(*value))).collect();
        let (number, height) = (self.next_checkpoint, self.next_height - 1);
        self.both(|store| {
            let writes = writes.clone();
            store.begin_checkpoint(CheckpointJob {
                number,
                height,
                compute: Box::new(move |_| Ok(CheckpointOutput { root: hash(9), writes })),
            })
        });
        self.next_checkpoint += 1;
    }

    fn commit(&mut self, proposals: u8, chosen: u8, length: u16) {
        let height = self.tip + 1;
        let id = |proposal: u8| {
            let mut bytes = [proposal; 32];
            bytes[..8].copy_from_slice(&height.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            BlockId::from(Hash::from_bytes(bytes))
        };
        for proposal in 0..proposals {
            let body = bytes(u32::from(length) + u32::from(proposal));
            self.both(|store| store.put_body(height, &id(proposal), &body));
        }
        let decided = Decided { id: id(chosen), certificate: vec![chosen; 100] };
        self.both(|store| store.append(height, &decided));
        self.tip = height;
        self.both(|store| store.body_part(&decided.id, u32::from(length / 2), u32::from(length / 4)));
    }

    /// The store in memory computes at once; waits until the other has come as far.
    fn await_begun(&self) {
        if let Some(begun) = self.next_checkpoint.checked_sub(1) {
            self.both(|store| store.await_checkpoint(begun));
        }
    }

    /// Compares everything.
    fn check(&self) {
        self.await_begun();
        for table in Table::ALL.into_iter().filter(|table| !table.comes_by_chance()) {
            for direction in [Direction::Forward, Direction::Backward] {
                self.both(|store| store.scan(table, EVERYTHING, direction, usize::MAX));
            }
        }
        for number in 0..400 {
            self.both(|store| store.get(Table::State, &index_key(number)));
            self.both(|store| store.get(Table::Nonce, &index_key(number)));
        }
        assert_eq!(self.both(|store| store.ledger_tip()), self.tip);
        for height in 0..=self.tip {
            if let Some(decided) = self.both(|store| store.decided(height)) {
                self.both(|store| store.body(&decided.id));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike_all_their_lives(steps in proptest::collection::vec(step(), 1..60)) {
        let mut life = Life { sled: Sled::fresh(), memory: Memory::fresh(), next_height: 0, next_checkpoint: 0, tip: 0 };
        for step in &steps {
            life.live(step);
        }
        life.check();
    }
}
