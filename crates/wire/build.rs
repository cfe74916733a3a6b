//! Compiles the protobuf files below `proto/` into `OUT_DIR`, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

/// Messages of which a list holds many, and whose own messages therefore stand apart: an empty entry takes two bytes
/// on the wire and must not take hundreds in memory.
const BOXED: [&str; 2] = [".einvoice.v1.ValidatorChange.header", ".einvoice.v1.ValidatorChange.certificate"];

/// The files to compile, below `proto/`. Those they import are compiled with them.
const FILES: [&str; 2] = ["einvoice/v1/chain.proto", "einvoice/v1/peer.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let proto: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "proto"].iter().collect();
    println!("cargo::rerun-if-changed={}", proto.display());
    let descriptors = protox::compile(FILES, [&proto])?;
    let mut config = prost_build::Config::new();
    for field in BOXED {
        config.boxed(field);
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
