//! The short form of the simulation; the long one is `trial simulation`.

use tests::simulation::{Options, run};

#[test]
fn nothing_is_lost_and_nothing_forks_under_any_seed() {
    for seed in 0..40 {
        let begun = std::time::Instant::now();
        let run = run(seed, Options::default());
        eprintln!("seed {seed}: {} blocks, {} statements, {} s, {:?}", run.heights, run.acknowledged, run.seconds, begun.elapsed());
        assert_eq!(run.wrong, Vec::<String>::new(), "seed {seed}");
    }
}
