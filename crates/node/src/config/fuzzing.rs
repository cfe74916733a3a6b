//! The seeded run of the configuration's fuzz target: what must hold, and the changes, are those of `tests::fuzzing`.

#[expect(unreachable_pub, reason = "the library of the tests gives it to the fuzz target")]
#[path = "../../../../tests/fuzzing/config.rs"]
mod hold;
#[expect(unreachable_pub, reason = "the library of the tests gives it to its own tests")]
#[path = "../../../../tests/fuzzing/mutate.rs"]
mod mutate;

/// `FUZZ_SEED=any text` gives other changes, `FUZZ_ROUNDS=n` more of them.
#[test]
#[expect(clippy::print_stdout, reason = "a run that failed is run again by what is printed")]
fn any_text_is_a_configuration_or_refused_in_its_place() {
    let seed = std::env::var("FUZZ_SEED").unwrap_or_else(|_| "1".to_owned());
    let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(500_u32);
    println!("FUZZ_SEED={seed} FUZZ_ROUNDS={rounds}");
    let seeds = [include_bytes!("../../../../config/node.toml").to_vec()];
    let mut mutator = mutate::Mutator::new(&seed);
    for _ in 0..rounds {
        hold::config(crate::check_config, &mutator.input(&seeds));
    }
}
