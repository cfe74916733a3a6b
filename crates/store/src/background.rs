//! Work that may take longer when there is other work to do.

/// By how much a thread stands back: of a processor that it shares with one that does not, it has a quarter. A checkpoint
/// must be through before the next one is due, also where a node has all it can do.
const NICE: i32 = 5;

/// Lets the thread that calls this stand back behind the others. Threads that it starts do the same.
///
/// On Linux each thread has a priority of its own; elsewhere, and where it is refused, nothing changes.
pub(crate) fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "a thread in the background goes on like the others");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_thread_alone_stands_back() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let ours = nice();
        let theirs = std::thread::spawn(move || {
            stand_back();
            nice()
        });
        assert_eq!(theirs.join().unwrap(), NICE.max(ours));
        assert_eq!(nice(), ours);
    }
}
