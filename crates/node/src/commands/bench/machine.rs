//! What the machine says of a process and of a directory: CPU, memory, disk. Linux only, as the numbers' home is `/proc`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often memory is looked at.
const LOOK_MS: u64 = 200;
/// The unit of CPU time in `/proc`: a hundredth of a second, on every Linux that this builds for.
const TICK_US: u64 = 10_000;

/// A process to be watched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watched {
    /// This one.
    Own,
    /// Another one on this machine.
    Other(u32),
}

impl Watched {
    fn file(self, name: &str) -> Option<String> {
        let directory = match self {
            Self::Own => "self".to_owned(),
            Self::Other(pid) => pid.to_string(),
        };
        fs::read_to_string(format!("/proc/{directory}/{name}")).ok()
    }

    /// CPU time of all its threads, user and system, microseconds.
    pub(super) fn cpu_us(self) -> Option<u64> {
        let stat = self.file("stat")?;
        // The name of the program stands in parentheses and may hold anything; fields count from behind it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        Some((ticks()? + ticks()?) * TICK_US)
    }

    /// Resident memory, bytes.
    fn resident_bytes(self) -> Option<u64> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1_024)
    }
}

/// CPU time of all these processes, microseconds; none when there are none, or one cannot be looked at.
pub(super) fn cpu_us(watched: &[Watched]) -> Option<u64> {
    let each: Option<Vec<u64>> = watched.iter().map(|watched| watched.cpu_us()).collect();
    each.filter(|each| !each.is_empty()).map(|each| each.iter().sum())
}

/// CPU time of these processes since an earlier look, microseconds.
pub(super) fn since(watched: &[Watched], before: Option<u64>) -> Option<u64> {
    cpu_us(watched).zip(before).map(|(after, before)| after.saturating_sub(before))
}

/// Looks at a process's memory from time to time, for its peak.
#[derive(Debug)]
pub(super) struct Peak {
    bytes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Peak {
    /// Begins to look.
    pub(super) fn watch(watched: Watched) -> Self {
        let (bytes, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (Arc::clone(&bytes), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.fetch_max(watched.resident_bytes().unwrap_or_default(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(LOOK_MS));
            }
        });
        Self { bytes, stop, thread }
    }

    /// The most that was seen, bytes; none when the process could not be looked at.
    pub(super) fn end(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        drop(self.thread.join());
        Some(self.bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}

/// Bytes that the files below a directory take on disk.
pub(super) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        // Blocks of 512 bytes, whatever the file system's own are.
        Ok(metadata) => metadata.blocks() * 512,
        // A file that went away in between takes nothing.
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// How many cores this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_not_there_none() {
        let peak = Peak::watch(Watched::Own);
        assert!(Watched::Own.cpu_us().is_some());
        assert!(Watched::Own.resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(Watched::Other(u32::MAX).cpu_us().is_none());
        assert!(peak.end().is_none_or(|bytes| bytes > 100_000));
    }

    #[test]
    fn files_are_counted_with_those_further_down() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), vec![1; 10_000]).unwrap();
        assert!(disk_bytes(directory.path()) >= 10_000);
    }
}
