//! The way of an event through the pure rooms: reading and verifying a statement, making a block,
//! checking it as another validator, proving a leaf, replaying the archive.

use std::hint::black_box;

use benches::{node, statements};
use chain::archive::ArchiveWriter;
use chain::merkle::Frontier;
use chain::verify::Options;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger::admission::Parsed;

/// Events in a block of these benches.
const EVENTS: u64 = 500;

fn statement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statement");
    for events in [1, 100] {
        let mut node = node();
        let bytes = statements(&mut node, 1, events).remove(0);
        group.throughput(Throughput::Elements(u64::try_from(events).expect("small")));
        group.bench_function(format!("read/{events}"), |bencher| {
            bencher.iter(|| Parsed::read(black_box(&bytes)).expect("well-formed"));
        });
        group.bench_function(format!("admit/{events}"), |bencher| {
            bencher.iter(|| node.query.admit(black_box(&bytes), node.now_ms).expect("admissible"));
        });
    }
    group.finish();
}

fn block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    let waiting = || {
        let mut node = node();
        for statement in statements(&mut node, usize::try_from(EVENTS).expect("small"), 1) {
            node.submit(&statement);
        }
        node
    };
    group.bench_function("propose", |bencher| {
        bencher.iter_batched(waiting, |mut node| (node.propose(), node), BatchSize::PerIteration);
    });
    group.bench_function("check", |bencher| {
        let block = waiting().propose().block;
        bencher.iter_batched(
            node,
            |mut other| (other.replica.check(&block, None, &other.mempool), other),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("commit", |bencher| {
        let proposed = || {
            let mut node = waiting();
            let block = node.propose().block;
            (node.certify(&block), node)
        };
        let commit =
            |(certificate, mut node): (_, tests::consortium::Node<_>)| (node.replica.commit(&certificate), node);
        bencher.iter_batched(proposed, commit, BatchSize::PerIteration);
    });
    group.finish();
}

fn log(criterion: &mut Criterion) {
    let leaf = chain::merkle::leaf_hash(b"leaf");
    criterion.bench_function("log/append", |bencher| {
        let mut log = Frontier::new();
        bencher.iter(|| log.append(black_box(leaf)).expect("room"));
    });
    let mut node = node();
    for statement in statements(&mut node, usize::try_from(EVENTS).expect("small"), 1) {
        node.submit(&statement);
    }
    node.block();
    criterion.bench_function("log/receipt", |bencher| {
        bencher.iter(|| node.query.receipt(black_box(EVENTS / 2)).expect("readable"));
    });
    let mut writer = ArchiveWriter::new(Vec::new(), &node.genesis).expect("memory takes it");
    writer.push(&node.query.committed_block(1).expect("readable").expect("committed")).expect("memory takes it");
    let (archive, _) = writer.finish().expect("memory takes it");
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function("replay", |bencher| {
        bencher.iter(|| ledger::replay::verify_archive(archive.as_slice(), &node.genesis, Options::default(), |_| {}));
    });
    group.finish();
}

criterion_group!(benches, statement, block, log);
criterion_main!(benches);
