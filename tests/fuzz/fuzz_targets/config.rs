//! Any bytes as the configuration of a node: what must hold stands in `tests::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::config(node::check_config, bytes));
