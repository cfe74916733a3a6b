//! Trials: a real node under load, faults and attack, and what it must not lose by them.
//!
//! Each trial is a function from its options to a [`Report`]. The long forms are run by the program
//! `trial` of this package, short forms of the same functions by ordinary tests. Everything random
//! comes from a seed that the report names; when a kill strikes is a matter of the machine all the
//! same, so a seed repeats the plan of a run, not its every instant.

pub mod archive;
pub mod binary;
pub mod cast;
pub mod checks;
pub mod client;
pub mod crash;
pub mod engine;
pub mod filing;
pub mod four;
pub mod full;
pub mod hostile;
pub mod load;
pub mod partitions;
pub mod powerloss;
pub mod races;
pub mod report;
pub mod seed;
pub mod simulation;
pub mod soak;
pub mod together;

use std::path::Path;
use std::{fs, io};

pub use report::Report;

/// Why a trial could not be carried out: nothing that says anything about the node.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Copies a directory with everything in it.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
