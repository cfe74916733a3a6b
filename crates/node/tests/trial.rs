//! Short forms of the trials that need the binary; the program `trial` of the package `tests` has the long ones.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use tests::trial::binary::Binary;
use tests::trial::{Report, crash, hostile, soak};

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_einvoice"))
}

/// Another one each time, printed with the table; `trial --seed` repeats it.
fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into()
}

#[track_caller]
fn must_be_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_node_that_is_killed_again_and_again_loses_nothing() {
    must_be_clean(&crash::run(&crash::Options::short(binary(), seed(), 4)).unwrap());
}

#[test]
fn a_node_lives_on_through_restarts_and_months() {
    must_be_clean(&soak::run(&soak::Options::short(binary(), seed())).unwrap());
}

#[test]
fn a_node_under_attack_serves_the_honest_and_keeps_within_its_memory() {
    must_be_clean(&hostile::run(&hostile::Options::short(binary(), seed())).unwrap());
}
