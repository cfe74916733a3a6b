//! The short form of the trial `powerloss`: some images of a disk after a power cut.

use std::time::{SystemTime, UNIX_EPOCH};

use tests::trial::powerloss::{Options, run};

/// Another one each time, printed with the table; `trial powerloss --seed` repeats it.
fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into()
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let options = Options::short(env!("CARGO_BIN_EXE_trial").into(), seed(), 6);
    let report = run(&options).unwrap_or_else(|error| panic!("seed {}: {error}", options.seed));
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}
