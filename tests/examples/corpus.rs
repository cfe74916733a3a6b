//! Writes the inputs that fuzzing begins with: `cargo run -p tests --example corpus` fills `tests/fuzz/corpus`.

use std::fs;
use std::path::Path;

use tests::fuzzing::TARGETS;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in TARGETS {
        let directory = corpus.join(target.name);
        fs::create_dir_all(&directory).expect("a directory that can be made");
        for (number, input) in (target.seeds)().iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), input).expect("room for an input");
        }
    }
    let config = corpus.join("config");
    fs::create_dir_all(&config).expect("a directory that can be made");
    let defaults = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/node.toml");
    fs::copy(defaults, config.join("seed-0")).expect("room for an input");
}
