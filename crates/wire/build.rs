//! Compiles the protobuf files below `proto/` into `OUT_DIR`, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

/// Messages of which a list holds many, and whose own messages therefore stand apart: an empty entry takes two bytes
/// on the wire and must not take hundreds in memory.
const BOXED: [&str; 2] = [".einvoice.v1.ValidatorChange.header", ".einvoice.v1.ValidatorChange.certificate"];

/// Bytes that are passed on as they came, and so are not copied.
const FRAMES: &str = ".einvoice.v1.PeerFrames.frames";

/// The files to compile, below `proto/`. Those they import are compiled with them.
const FILES: [&str; 4] = [
    "einvoice/v1/chain.proto",
    "einvoice/v1/ledger.proto",
    "einvoice/v1/peer.proto",
    "einvoice/v1/reimbursement.proto",
];

/// What clients are told about by reflection, and must be able to rely on: the services that are for them.
const CLIENT_FILES: [&str; 2] = ["einvoice/v1/ledger.proto", "einvoice/v1/reimbursement.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let proto: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "proto"].iter().collect();
    println!("cargo::rerun-if-changed={}", proto.join("einvoice").display());
    let descriptors = protox::compile(FILES, [&proto])?;
    let mut config = prost_build::Config::new();
    for field in BOXED {
        config.boxed(field);
    }
    config.bytes([FRAMES]);
    let mut clients = protox::Compiler::new([&proto])?;
    clients.include_imports(true).open_files(CLIENT_FILES)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("clients.binpb"), clients.encode_file_descriptor_set())?;
    // Who connects how is for those who use the services.
    tonic_prost_build::configure().build_transport(false).compile_fds_with_config(descriptors, config)?;
    Ok(())
}
