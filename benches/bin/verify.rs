//! Measures the levels of verification on an archive, as `einvoice verify` does them: events a second, CPU time of the
//! process for an event, and the most memory it had. One level a run, so that the memory is its own.
//!
//! `cargo run --release -p benches --bin verify -- DIRECTORY LEVEL [STATE_MIB [CORES]]`, DIRECTORY as `archive` left it.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use benches::Cores;
use chain::genesis::Genesis;
use chain::verify::{Level, Options, Report};
use ledger::replay::{BATCH_BYTES_MAX, Resources, verify_archive_with};
use store::DiskScratch;

/// The allocator of `einvoice`, whose figures these are to be.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = PathBuf::from(arguments.first().expect("DIRECTORY"));
    let level = arguments.get(1).expect("LEVEL").as_str();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<usize>().ok());
    if let Some(cores) = number(3) {
        rayon::ThreadPoolBuilder::new().num_threads(cores).build_global().expect("threads");
    }
    let genesis = fs::read(directory.join("genesis.json")).expect("a genesis");
    let genesis = Genesis::parse(&genesis).expect("a genesis");
    let file = BufReader::with_capacity(256 * 1024, File::open(directory.join("archive.einv")).expect("an archive"));
    let start = Instant::now();
    let report: Report = if let Ok(level) = level.parse::<Level>() {
        let options = Options::default();
        chain::verify::verify_archive(file, &genesis, level, options, |_, _, _, _| {}).expect("readable")
    } else {
        let resources = Resources {
            workers: &Cores,
            batch_bytes_max: BATCH_BYTES_MAX,
            state_bytes_max: number(2).unwrap_or(256) << 20,
            scratch: Box::new(|| Ok(Box::new(DiskScratch::open(&directory)?))),
        };
        verify_archive_with(file, &genesis, Options::default(), resources, |_| {}).expect("readable").report
    };
    let ms = start.elapsed().as_millis().max(1);
    let events = u128::from(report.events);
    println!(
        "{level}: {}, {events} events in {ms} ms: {} events/s, {} CPU us an event, {} MiB at most",
        report.status,
        events * 1_000 / ms,
        cpu_ms() * 1_000 / events.max(1),
        peak_kib() / 1_024,
    );
}

/// CPU time of the process so far, in ms. Linux counts it in hundredths of a second.
fn cpu_ms() -> u128 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u128>().expect("a number") * 10).sum()
}

/// The most memory the process had, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
