//! How failures of files become faults of the port.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::path::Path;

use replica::port::StoreFault;

/// Begins the errors that sled tells with the lines of its source they came by.
const SLED: &str = "sled:";

/// A fault of the operating system.
pub(crate) fn io(operation: &'static str, source: io::Error) -> StoreFault {
    let of_sled = source.to_string().starts_with(SLED);
    let source = if of_sled { io::Error::new(source.kind(), words(&source)) } else { source };
    StoreFault::Io { operation, source }
}

/// The same for a write of a plain file that may simply be done again: a full disk is no fault.
pub(crate) fn io_again(operation: &'static str, source: io::Error) -> StoreFault {
    if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return StoreFault::Full { operation };
    }
    io(operation, source)
}

/// Bytes that are not what was written.
pub(crate) fn damaged(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> StoreFault {
    StoreFault::Damaged { place: place.into(), expected: expected.into(), found: found.into() }
}

/// Names a height in a fault of the ledger that names none: what struck a file or a page may have struck any height up to
/// the newest that is known.
pub(crate) fn near_height(fault: StoreFault, newest: u64) -> StoreFault {
    match fault {
        StoreFault::Damaged { place, expected, found } if newest > 0 && !place.contains(" height ") => {
            // What was expected or found may be a height itself.
            let named = expected.contains("height ") || found.contains("height ");
            let place = if named { place } else { format!("{place}, at or below height {newest},") };
            StoreFault::Damaged { place, expected, found }
        }
        StoreFault::Io { operation, source } if newest > 0 && !source.to_string().contains(" height ") => {
            let text = format!("{source}; the ledger had come to height {newest}");
            StoreFault::Io { operation, source: io::Error::new(source.kind(), text) }
        }
        StoreFault::Damaged { .. }
        | StoreFault::Io { .. }
        | StoreFault::CheckpointLost { .. }
        | StoreFault::Full { .. }
        | StoreFault::Held { .. } => fault,
    }
}

/// Whether an error says that bytes are wrong, rather than that the machine failed.
pub(crate) fn says_damage(kind: ErrorKind) -> bool {
    kind == ErrorKind::InvalidData || kind == ErrorKind::UnexpectedEof
}

/// What an error says. sled puts the lines of its source that the error came by in front, with the directory it
/// was built in: no place of this ledger.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" -> ") {
        Some((way, words)) if way.starts_with(SLED) => words.to_owned(),
        _ => text,
    }
}

/// The words of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

/// Makes the entries of a directory durable: a file that was made, renamed or removed in it.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_an_error_came_by_in_sled_is_not_told() {
        let of_sled =
            io::Error::new(ErrorKind::InvalidData, "sled:/somewhere/tree.rs:228 -> sled:/x.rs:1 -> crc mismatch");
        assert_eq!(words(&of_sled), "crc mismatch");
        assert_eq!(words(&io::Error::other("a -> b")), "a -> b");
    }
}
