//! The binary `einvoice`. All of it stands in the library, so that the fuzz targets reach what it reads.

/// A node allocates millions of small rows on some threads and frees them on others, which glibc's allocator does
/// slowly and without giving much back: `einvoice bench` needed less CPU an event with this one, the more the longer it ran.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    node::main()
}
