//! Writes an archive to measure `einvoice verify` on: so many events of the workload's consortium, each in a
//! statement of its own, in blocks a second apart.
//!
//! `cargo run --release -p benches --bin archive -- EVENTS DIRECTORY` leaves `genesis.json` and `archive.einv` there.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

use chain::archive::ArchiveWriter;
use chain::certificate::{CommitCertificate, sign_precommit};
use chain::statement::Mode;
use ledger::parallel::Alone;
use rayon::prelude::*;
use replica::memory::MemoryStore;
use replica::mempool::{Limits, Mempool};
use replica::query::{Admission, Query};
use replica::replica::Replica;
use workload::consortium::TAX_BUREAU;
use workload::{Consortium, Shape, Signers, Workload};

/// The allocator of `einvoice`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events in a block.
const BLOCK_EVENTS: u64 = 2_000;
/// 2026-11-15T04:00:00Z: noon in Shenzhen, in the middle of a month.
const NOON_MS: i64 = 1_794_715_200_000;
const SECOND_MS: i64 = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().and_then(|text| text.parse().ok()).expect("EVENTS, a number");
    let directory = PathBuf::from(arguments.next().expect("DIRECTORY"));
    fs::create_dir_all(&directory).expect("a directory that can be made");
    let consortium = Arc::new(Consortium::new(1, Shape::default()));
    let genesis = consortium.genesis(NOON_MS - SECOND_MS, |_| {}).expect("the genesis of a workload");
    fs::write(directory.join("genesis.json"), genesis.to_bytes()).expect("room for the genesis");
    let signers = Signers::new(&consortium, genesis.chain_id());
    let today = invoice::date::Date::from_unix_ms(NOON_MS).expect("a day of the calendar");
    let workload = Workload::new(Arc::clone(&consortium), "archive", today).expect("a day with rates");
    let consensus = consortium.secret(TAX_BUREAU, "consensus-1");

    let genesis = Arc::new(genesis);
    let store = Arc::new(MemoryStore::default());
    let mut replica = Replica::recover(&genesis, store, Arc::new(Alone), |_| {}).expect("an empty store");
    let query = Query::new(&replica, Arc::clone(&genesis));
    let mempool = Mempool::new(Limits::default(), || {});
    let file = File::create(directory.join("archive.einv")).expect("room for the archive");
    let mut writer = ArchiveWriter::new(BufWriter::new(file), &genesis).expect("room for the archive");
    let mut now_ms = NOON_MS;
    for first in (0..events).step_by(usize::try_from(BLOCK_EVENTS).expect("few")) {
        let expires_at = u64::try_from(now_ms / SECOND_MS).expect("after 1970") + 3_600;
        (first..events.min(first + BLOCK_EVENTS)).into_par_iter().for_each(|number| {
            let made = workload.issue_statement(&signers, number, 1, Mode::All, expires_at);
            match query.admit(&made.bytes, now_ms).expect("a readable store") {
                Admission::Admitted(entry) => mempool.insert(*entry).expect("room in the mempool"),
                Admission::Decided(id) => panic!("{id} was decided before"),
            };
        });
        while !mempool.is_empty() {
            now_ms += SECOND_MS;
            let proposal = replica.propose(now_ms, &consensus.public(), &mempool).expect("a block");
            let header = &proposal.block.header;
            let (suite, height, id) = (header.suite, header.height, header.id());
            let signature = sign_precommit(&consensus, &genesis.chain_id(), suite, height, 0, &id);
            let certificate = CommitCertificate::new(suite, height, 0, id, vec![signature]);
            let committed = replica.commit(&certificate).expect("a commit");
            mempool.remove(&committed.statements);
            let block = query.committed_block(height).expect("a readable store").expect("what was committed");
            writer.push(&block).expect("room for the archive");
        }
    }
    writer.finish().expect("room for the archive");
}
