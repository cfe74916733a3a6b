//! The binary `einvoice`. All of it stands in the library, so that the fuzz targets reach what it reads.

/// A node allocates millions of small rows on some threads and frees them on others, which the system's allocator of
/// Linux does slowly: `einvoice bench --events 200000` needed a third less CPU an event with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    node::main()
}
