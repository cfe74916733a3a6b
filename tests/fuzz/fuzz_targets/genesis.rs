//! Any bytes as a genesis or an introduction: what must hold stands in `tests::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (tests::fuzzing::target("genesis").hold)(bytes));
