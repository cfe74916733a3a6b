//! Any bytes as a document: what must hold stands in `tests::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (tests::fuzzing::target("document").hold)(bytes));
