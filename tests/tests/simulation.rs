//! The short form of the simulation; the long one is `trial simulation`.

use tests::simulation::{Options, run, Sabotage};

#[test]
fn nothing_is_lost_and_nothing_forks_under_any_seed() {
    let first: u64 = std::env::var("FIRST").ok().and_then(|f| f.parse().ok()).unwrap_or(0);
    let n: u64 = std::env::var("N").ok().and_then(|f| f.parse().ok()).unwrap_or(40);
    let sab = match std::env::var("SAB").as_deref() { Ok("logs") => Sabotage::ForgetfulLogs, Ok("disks") => Sabotage::ForgetfulDisks, Ok("twins") => Sabotage::TwoTwins, _ => Sabotage::None};
    let keep = std::env::var("KEEP").is_ok();
    for seed in first..first+n {
        let begun = std::time::Instant::now();
        let run = run(seed, Options { sabotage: sab, keep_history: keep });
        eprintln!("seed {seed}: {} blocks, {} statements, {} s, {:?} {:x} {:?} {:?}", run.heights, run.acknowledged, run.seconds, begun.elapsed(), run.digest, run.faults, run.wrong);
        if keep { for l in run.history { eprintln!("{l}"); } }
    }
}
