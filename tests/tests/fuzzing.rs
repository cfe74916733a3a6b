//! A short seeded run of every fuzz target: honest inputs, changed in a few places.
//!
//! `FUZZ_SEED=any text` gives other changes, `FUZZ_ROUNDS=n` more of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tests::fuzzing::{Mutator, target};

fn run(name: &str, rounds: u32) {
    let seed = std::env::var("FUZZ_SEED").unwrap_or_else(|_| "1".to_owned());
    let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    println!("FUZZ_SEED={seed} FUZZ_ROUNDS={rounds}");
    let target = target(name);
    let seeds = (target.seeds)();
    seeds.iter().for_each(|whole| (target.hold)(whole));
    let mut mutator = Mutator::new(&format!("{seed}/{name}"));
    for round in 0..rounds {
        let input = mutator.input(&seeds);
        let held = catch_unwind(AssertUnwindSafe(|| (target.hold)(&input)));
        assert!(held.is_ok(), "round {round}, input {}", input.escape_ascii());
    }
}

#[test]
fn statements() {
    run("statement", 1_500);
}

#[test]
fn documents() {
    run("document", 1_000);
}

#[test]
fn blocks() {
    run("block", 4_000);
}

#[test]
fn archives() {
    run("archive", 120);
}

#[test]
fn receipts() {
    run("receipt", 1_500);
}

#[test]
fn genesis_and_introductions() {
    run("genesis", 1_500);
}
