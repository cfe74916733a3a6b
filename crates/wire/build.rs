//! Compiles the protobuf files below `proto/` into `OUT_DIR`, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

/// The files to compile, below `proto/`. Those they import are compiled with them.
const FILES: [&str; 1] = ["einvoice/v1/chain.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let proto: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "proto"].iter().collect();
    println!("cargo::rerun-if-changed={}", proto.display());
    let descriptors = protox::compile(FILES, [&proto])?;
    prost_build::compile_fds(descriptors)?;
    Ok(())
}
