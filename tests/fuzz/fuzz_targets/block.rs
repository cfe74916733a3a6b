//! Any bytes as a block: what must hold stands in `tests::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (tests::fuzzing::target("block").hold)(bytes));
