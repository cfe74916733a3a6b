//! An auditor's way through an archive: writing it, and verifying it at each level; and of a single statement,
//! reading and verifying its signature.

use std::hint::black_box;

use benches::{Cores, node, statements};
use chain::archive::ArchiveWriter;
use chain::block::CommittedBlock;
use chain::genesis::Genesis;
use chain::statement::{Limits, Statement};
use chain::verify::{Level, Options};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger::parallel::{Alone, Workers};
use ledger::replay::{Resources, verify_archive_with};
use store::DiskScratch;
use tests::consortium::secret;

/// Statements of one event in the archive of these benches.
const STATEMENTS: usize = 2_000;

fn jws(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jws");
    for events in [1, 100] {
        let bytes = statements(&mut node(), 1, events).remove(0);
        group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).expect("small")));
        group.bench_function(format!("read/{events}"), |bencher| {
            bencher.iter(|| Statement::parse(black_box(bytes.as_slice()), &Limits::default()).expect("well-formed"));
        });
        let statement = Statement::parse(bytes, &Limits::default()).expect("well-formed");
        let key = secret("shop", "statement").public();
        group.bench_function(format!("verify/{events}"), |bencher| {
            bencher.iter(|| black_box(&statement).verify(&key).expect("signed by the shop"));
        });
    }
    group.finish();
}

fn chain() -> (Genesis, Vec<CommittedBlock>) {
    let mut node = node();
    for part in statements(&mut node, STATEMENTS, 1).chunks(500) {
        for statement in part {
            node.submit(statement);
        }
        node.block();
    }
    let tip = node.replica.tip().progress.height;
    let block = |height| node.query.committed_block(height).expect("readable").expect("committed");
    ((*node.genesis).clone(), (1..=tip).map(block).collect())
}

fn write(genesis: &Genesis, blocks: &[CommittedBlock]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new(), genesis).expect("memory takes it");
    for block in blocks {
        writer.push(block).expect("memory takes it");
    }
    writer.finish().expect("memory takes it").0
}

fn archive(criterion: &mut Criterion) {
    let (genesis, blocks) = chain();
    let archive = write(&genesis, &blocks);
    let mut group = criterion.benchmark_group("archive");
    group.throughput(Throughput::Elements(u64::try_from(STATEMENTS).expect("small"))).sample_size(10);
    group.bench_function("write", |bencher| bencher.iter(|| write(&genesis, black_box(&blocks))));
    for level in Level::ALL {
        group.bench_function(format!("verify/{level}"), |bencher| {
            bencher.iter(|| {
                let options = Options::default();
                chain::verify::verify_archive(archive.as_slice(), &genesis, level, options, |_, _, _, _| {})
            });
        });
    }
    let directory = tempfile::tempdir().expect("a directory");
    // One core, all cores, and all cores with a state that goes to disk from the first block on.
    let ways: [(&str, &dyn Workers, usize); 3] =
        [("one-core", &Alone, usize::MAX), ("cores", &Cores, usize::MAX), ("scratch", &Cores, 1 << 20)];
    for (name, workers, state_bytes_max) in ways {
        group.bench_function(format!("verify/replay/{name}"), |bencher| {
            bencher.iter(|| {
                let scratch = Box::new(|| Ok(Box::new(DiskScratch::open(directory.path())?) as Box<_>));
                let resources = Resources { workers, batch_bytes_max: 1 << 20, state_bytes_max, scratch };
                verify_archive_with(archive.as_slice(), &genesis, Options::default(), resources, |_| {})
                    .expect("readable")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, jws, archive);
criterion_main!(benches);
