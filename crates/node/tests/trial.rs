//! Short forms of the trials that need the binary; the program `trial` of the package `tests` has the long ones.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::trial::binary::Binary;
use tests::trial::{Report, crash, filing, hostile, partitions, races, soak, together};

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
fn one_provider_files_for_many_with_one_command() {
    must_be_clean(&filing::run(&filing::Options::short(binary(), seed())).unwrap());
}

#[test]
fn a_node_under_attack_serves_the_honest_and_keeps_within_its_memory() {
    must_be_clean(&hostile::run(&hostile::Options::short(binary(), seed())).unwrap());
}

#[test]
fn four_nodes_of_which_one_two_and_all_are_killed_lose_nothing() {
    must_be_clean(&together::run(&together::Options::short(binary(), seed())).unwrap());
}

#[test]
fn fourteen_platforms_race_for_the_same_invoices_and_one_wins_each() {
    must_be_clean(&races::run(&races::Options::short(binary(), seed())).unwrap());
}

#[test]
fn four_nodes_whose_lines_are_cut_lose_nothing() {
    let outcome = partitions::run(&partitions::Options::short(binary(), seed()));
    let report = outcome.or_else(|error| partitions::not_here(0, error)).unwrap();
    for skipped in &report.skipped {
        // Past what catches a test's output: nobody is to think that it was tried.
        std::io::stderr().write_all(format!("NOT TRIED: {skipped}\n").as_bytes()).unwrap();
    }
    must_be_clean(&report);
}
