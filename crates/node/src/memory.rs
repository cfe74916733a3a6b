//! Memory: in small pages.

/// Asks the system not to put large pages behind this process's memory. Each thread that allocates begins a region of
/// its own, and with large pages a region holds megabytes from its first byte on: sixty readers made a node of 280 MiB
/// one of 1,500, and what they had held was not given back. The speed of the node did not differ by what could be seen.
pub(crate) fn by_small_pages() {
    // An older system, or one that forbids it, has more memory in use and nothing else.
    rustix::thread::disable_transparent_huge_pages(true).unwrap_or_default();
}
