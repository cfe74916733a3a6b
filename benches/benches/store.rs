//! What keeping costs: committing a block on each store, the state tree's next version, and looking where
//! there is nothing.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;

use benches::statements;
use chain::hash::Hash;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger::state::{Fault, StateKey};
use ledger::tree::{self, Change, Nodes};
use replica::memory::MemoryStore;
use replica::port::{CheckpointJob, CheckpointOutput, CheckpointView, Direction, Store, Table};
use store::{Options, SledStore};
use tempfile::TempDir;
use tests::consortium::{Node, genesis};

/// Events in a block of these benches.
const EVENTS: u64 = 500;

/// Records in the tree, and how many of them a version changes.
const RECORDS: u32 = 100_000;
const CHANGED: u32 = 10_000;

/// Commits a block that was proposed: certificate, ledger, index.
fn commit_on<S: Store>(criterion: &mut Criterion, name: &str, fresh: impl Fn() -> S) {
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    let proposed = || {
        let mut node = Node::start(genesis(|_| {}), Arc::new(fresh()));
        for statement in statements(&mut node, usize::try_from(EVENTS).expect("small"), 1) {
            node.submit(&statement);
        }
        let block = node.propose().block;
        (node.certify(&block), node)
    };
    group.bench_function(name, |bencher| {
        let commit = |(certificate, mut node): (_, Node<S>)| (node.replica.commit(&certificate), node);
        bencher.iter_batched(proposed, commit, BatchSize::PerIteration);
    });
    group.finish();
}

fn commit(criterion: &mut Criterion) {
    commit_on(criterion, "memory", MemoryStore::default);
    let directory = TempDir::new().expect("there is room");
    let number = std::cell::Cell::new(0);
    commit_on(criterion, "sled", || {
        number.set(number.get() + 1);
        SledStore::open(&Options::new(directory.path().join(number.get().to_string()))).expect("opens")
    });
}

struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Nodes for Memory {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }
}

fn tree(criterion: &mut Criterion) {
    let records = |value: u8, step: usize| -> Vec<(StateKey, Vec<u8>)> {
        (0..RECORDS).step_by(step).map(|index| (StateKey::counter(&index.to_string()), vec![value; 300])).collect()
    };
    let changes = |records: &[(StateKey, Vec<u8>)]| -> Vec<Change> {
        records.iter().map(|(key, value)| Change::new(key, value)).collect()
    };
    let first = tree::update(&Memory(BTreeMap::new()), 0, changes(&records(1, 1))).expect("memory answers");
    let nodes = Memory(first.nodes.into_iter().collect());
    let changed = records(2, usize::try_from(RECORDS / CHANGED).expect("small"));
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(CHANGED.into())).sample_size(10);
    group.bench_function("update", |bencher| {
        bencher.iter(|| tree::update(black_box(&nodes), 1, changes(&changed)).expect("memory answers"));
    });
    group.finish();
}

/// A range without rows costs the same however much stands behind it.
fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan of nothing before");
    for rows in [1_000_u64, 100_000] {
        let directory = TempDir::new().expect("there is room");
        let store = SledStore::open(&Options::new(directory.path())).expect("opens");
        let key = |number: u64| number.to_be_bytes().to_vec();
        let writes = (1..=rows).map(|number| ((Table::Leaf, key(number)), Some(vec![7; 40]))).collect();
        store.apply(0, writes).expect("room");
        let compute = |_: &dyn CheckpointView| Ok(CheckpointOutput { root: Hash::of(b""), writes: [].into() });
        let job = CheckpointJob { number: 0, height: 0, compute: Box::new(compute) };
        store.begin_checkpoint(job).expect("room");
        store.await_checkpoint(0).expect("room");
        group.bench_function(format!("{rows} rows"), |bencher| {
            bencher.iter(|| {
                let range = (Bound::Unbounded, Bound::Excluded(key(1)));
                store.scan(Table::Leaf, range, Direction::Forward, 400).expect("readable")
            });
        });
        store.close().expect("closes");
    }
    group.finish();
}

criterion_group!(benches, commit, tree, scan);
criterion_main!(benches);
