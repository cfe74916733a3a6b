//! The binary `einvoice`. All of it stands in the library, so that the fuzz targets reach what it reads.

fn main() -> std::process::ExitCode {
    node::main()
}
