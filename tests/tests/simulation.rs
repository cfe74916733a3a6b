//! The short form of the simulation. The long one is `trial simulation`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::simulation::{Options, Run, Sabotage, run};
use tests::trial::simulation as trial;

/// Seeds that are always run: enough to meet every kind of fault.
const SEEDS: u64 = 24;

/// Seeds in which sabotage is looked for.
const SABOTAGED_SEEDS_MAX: u64 = 30;

#[test]
fn nothing_is_lost_and_nothing_forks_whatever_goes_wrong() {
    let report = trial::run(&trial::Options::short(0, SEEDS)).unwrap();
    println!("{report}");
    assert_eq!(report.losses, Vec::<String>::new());
    let met: BTreeMap<&str, u64> = report.rows.iter().map(|row| (row.what.as_str(), row.faults)).collect();
    for kind in [
        "partition",
        "one-way partition",
        "stream ended",
        "bad weather",
        "crash",
        "crash at a write",
        "empty disk",
        "blackout",
        "blackout at writes",
        "clock jump",
        "halt of an hour",
        "ambush of a commit",
        "full disk",
        "traitor: twins",
        "traitor: votes",
        "traitor: blocks",
        "traitor: withholds",
        "frames lost",
        "frames doubled",
        "frames overtaken",
        "frames forged or withheld",
        "double votes seen",
        "log entries replayed",
        "rounds after the first",
        "blocks proposed again",
        "blocks synced",
    ] {
        assert!(met.get(kind).is_some_and(|count| *count > 0), "no seed met: {kind}");
    }
}

#[test]
fn nothing_is_lost_under_seeds_that_nobody_has_seen() {
    let first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    println!("seeds {first} and up");
    let report = trial::run(&trial::Options::short(first, 8)).unwrap();
    assert_eq!(report.losses, Vec::<String>::new());
}

#[test]
fn a_seed_has_one_history() {
    for seed in [0, 4, 6] {
        let [one, other] = [(); 2].map(|()| run(seed, Options { keep_history: true, ..Options::default() }));
        assert_eq!(one.digest, other.digest, "seed {seed}");
        assert_eq!(one.history, other.history, "seed {seed}");
        assert!(one.heights > 0 && one.acknowledged > 0, "seed {seed} did something");
    }
    assert_ne!(run(1, Options::default()).digest, run(2, Options::default()).digest);
}

/// The first seed in which a sabotage has this consequence.
fn caught(sabotage: Sabotage, consequence: &str) -> Run {
    (0..SABOTAGED_SEEDS_MAX)
        .map(|seed| run(seed, Options { sabotage, keep_history: false }))
        .find(|run| run.wrong.iter().any(|wrong| wrong.contains(consequence)))
        .unwrap_or_else(|| panic!("{sabotage:?} led to no {consequence} in {SABOTAGED_SEEDS_MAX} seeds"))
}

#[test]
fn logs_that_do_not_outlive_a_crash_are_caught_as_a_fork() {
    caught(Sabotage::ForgetfulLogs, "FORK");
}

#[test]
fn disks_that_do_not_outlive_a_crash_are_caught_as_a_loss() {
    caught(Sabotage::ForgetfulDisks, "LOSS");
}

#[test]
fn blocks_that_were_voted_for_and_are_not_on_the_disk_are_caught() {
    caught(Sabotage::LyingDisks, "without having been checked");
}

#[test]
fn half_of_the_power_in_wrong_hands_is_caught_as_a_fork() {
    caught(Sabotage::TwoTwins, "FORK");
}
