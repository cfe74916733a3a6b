//! Files and directories that only their owner may open: they hold names of persons, and who trades with whom.
//!
//! What sled makes for itself is readable by its modes, but stands in a directory that nobody else may enter.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a directory, and those above it that are missing.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Options to open a file with, which is private when that makes it.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Options to write a file from its beginning, whether it was there or not.
pub(crate) fn fresh() -> OpenOptions {
    let mut options = options();
    options.write(true).create(true).truncate(true);
    options
}
