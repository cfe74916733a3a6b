//! Damage of every kind to the ledger's files: nothing wrong is read, and every finding names a height.

use std::fs::{self, File};
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use replica::port::{Direction, Store, StoreFault, Table};

use super::{body, decided, files, id, image, live, options};
use crate::{Options, SledStore};

/// Blocks of the ledger.
const HEIGHTS: u8 = 14;

/// How a file is damaged.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// One bit, at so many eighths of its length.
    Bit(u64),
    /// All bits of a page, there.
    Page(u64),
    /// A page of zeros, there.
    Zeros(u64),
    /// Cut, there.
    Cut(u64),
    /// Gone.
    Removed,
}

impl Damage {
    fn all() -> Vec<Self> {
        let places = || [0, 4, 7].into_iter();
        let everywhere = [Self::Bit, Self::Page, Self::Zeros, Self::Cut].into_iter();
        everywhere.flat_map(|damage| places().map(damage)).chain([Self::Removed]).collect()
    }

    fn strike(self, path: &Path) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let change = |eighths: u64, bytes: usize, change: fn(u8) -> u8| {
            let mut page = vec![0; bytes];
            let read = file.read_at(&mut page, length * eighths / 8).unwrap();
            let page: Vec<u8> = page[..read].iter().map(|byte| change(*byte)).collect();
            file.write_all_at(&page, length * eighths / 8).unwrap();
        };
        match self {
            Self::Bit(eighths) => change(eighths, 1, |byte| byte ^ 0x10),
            Self::Page(eighths) => change(eighths, 4_096, |byte| !byte),
            Self::Zeros(eighths) => change(eighths, 4_096, |_| 0),
            Self::Cut(eighths) => file.set_len(length * eighths / 8).unwrap(),
            Self::Removed => fs::remove_file(path).unwrap(),
        }
    }
}

/// Where sled looks for a row for ever, nobody needs to wait long.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Names the directory in which a test of [`apart`] works.
const DAMAGED: &str = "EINVOICE_TEST_DAMAGED";

/// Runs a test of this file on a directory in a process of its own: where sled looks for a row for ever it keeps a core
/// busy, and ends with the process. What the test printed with [`tell`] comes back.
fn apart(test: &str, directory: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::damage::{test}"), "--nocapture"])
        .env(DAMAGED, directory)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let told = printed.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    told.unwrap_or_else(|| panic!("{test} has run, and told something: {printed}")).0.to_owned()
}

const BEGIN: &str = "<<told ";
const END: &str = " told>>";

/// The directory, in a process of [`apart`].
fn damaged() -> Option<PathBuf> {
    std::env::var_os(DAMAGED).map(PathBuf::from)
}

/// Tells the process that waits in [`apart`].
fn tell(text: &str) {
    use std::io::Write as _;
    // Past what the harness writes of its own.
    writeln!(std::io::stdout(), "{BEGIN}{text}{END}").unwrap();
}

/// Opens a ledger and reads all of it: it is as it was, or this is what was found.
fn found(directory: &Path) -> Option<String> {
    Some(apart("a_ledger_is_as_it_was_or_something_is_found", directory)).filter(|found| !found.is_empty())
}

/// Alone it lives and looks itself; in a process of [`apart`] it looks at what was struck.
#[test]
fn a_ledger_is_as_it_was_or_something_is_found() {
    let Some(directory) = damaged() else {
        assert_eq!(found(lived().path()), None);
        return;
    };
    let read = || -> Result<(), StoreFault> {
        let store = SledStore::open(&Options { open_timeout: OPEN_TIMEOUT, ..options(&directory) })?;
        let outcome = (1..=HEIGHTS).try_for_each(|height| {
            assert_eq!(store.decided(height.into())?, Some(decided(height)));
            assert_eq!(store.body(&id(height))?, Some(body(height)));
            Ok(())
        });
        assert_eq!(store.ledger_tip()?, u64::from(HEIGHTS));
        // A ledger in which something was found takes nothing more.
        assert_eq!(store.put_body(15, &id(15), &body(15)).is_err(), outcome.is_err());
        outcome
    };
    tell(&read().err().map(|fault| text_of(&fault)).unwrap_or_default());
}

fn text_of(fault: &StoreFault) -> String {
    let cause = std::error::Error::source(fault).map(|cause| format!(": {cause}"));
    format!("{fault}{}", cause.unwrap_or_default())
}

#[track_caller]
fn names_height(fault: &str, what: &str) {
    assert!(fault.contains(" height "), "{what}: {fault}");
}

fn lived() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    live(&SledStore::open(&options(directory.path())).unwrap(), 0, HEIGHTS);
    directory
}

#[test]
fn whatever_strikes_a_file_of_the_ledger_the_finding_names_a_height() {
    let directory = lived();
    assert!(found(image(directory.path()).path()).is_none());
    let mut count = 0;
    for path in files(&directory.path().join("ledger")) {
        if fs::metadata(&path).unwrap().len() == 0 {
            continue;
        }
        let name = path.strip_prefix(directory.path()).unwrap();
        for damage in Damage::all() {
            let image = image(directory.path());
            damage.strike(&image.path().join(name));
            if let Some(fault) = found(image.path()) {
                names_height(&fault, &format!("{damage:?} of {}", name.display()));
                count += 1;
            }
        }
    }
    assert!(count >= 25, "{count} findings: the damage hardly hits what is in use");
}

#[test]
fn a_log_that_lost_nearly_all_of_its_flushes_does_not_keep_a_start_for_ever() {
    let directory = lived();
    let log = files(&directory.path().join("ledger/metadata"))
        .into_iter()
        .rfind(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log_")))
        .unwrap();
    // sled takes it for a log whose end was torn, and finds pages that are not what it says.
    Damage::Cut(1).strike(&log);
    names_height(&found(directory.path()).unwrap(), "the log is cut");
}

#[test]
fn a_ledger_without_its_directories_is_found_to_be_behind() {
    let directory = lived();
    for name in ["ledger", "ledger/metadata", "ledger/slabs"] {
        let image = image(directory.path());
        fs::remove_dir_all(image.path().join(name)).unwrap();
        let fault = found(image.path()).unwrap_or_else(|| panic!("{name} is gone, and nothing was found"));
        names_height(&fault, name);
    }
}

/// Strikes pages of the files in a directory until a test, run on it in a process of its own, meets the damage.
fn met_somewhere(of: &Path, files_in: &str, test: &str) -> bool {
    let in_use = |path: &PathBuf| fs::metadata(path).unwrap().len() > 0;
    let slabs: Vec<PathBuf> = files(&of.join(files_in)).into_iter().filter(in_use).collect();
    slabs.iter().flat_map(|path| (0..8).map(move |eighths| (path, eighths))).any(|(path, eighths)| {
        let image = image(of);
        Damage::Page(eighths).strike(&image.path().join(path.strip_prefix(of).unwrap()));
        apart(test, image.path()) == MET
    })
}

const MET: &str = "met";

#[test]
fn who_meets_damage_sounds_the_alarm() {
    let Some(directory) = damaged() else {
        // A page that opening does not read, and a body does.
        let met = met_somewhere(lived().path(), "ledger/slabs", "who_meets_damage_sounds_the_alarm");
        assert!(met, "no damage was met after the start");
        return;
    };
    let Ok(store) = SledStore::open(&Options { open_timeout: OPEN_TIMEOUT, ..options(&directory) }) else {
        return tell("met by the opening");
    };
    let (alarm, sounds) = std::sync::mpsc::channel();
    store.on_fault(move || alarm.send(()).unwrap());
    let met = (1..=HEIGHTS).any(|height| store.body(&id(height)).is_err());
    assert_eq!(sounds.try_recv().is_ok(), met);
    tell(if met { MET } else { "met by nobody" });
}

#[test]
fn a_fault_that_a_reader_met_in_the_index_ends_the_next_block() {
    // Few rows are read when it is opened, so that damage is left for a reader.
    let options = |directory: &Path| Options {
        evidence_rows_max: 2,
        index_cache_bytes: 1,
        open_timeout: OPEN_TIMEOUT,
        ..options(directory)
    };
    if let Some(directory) = damaged() {
        return tell(if read_and_refuse(&options(&directory)) { MET } else { "met by no reader" });
    }
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    live(&store, 0, 1);
    let row = |number: u32| ((Table::Leaf, number.to_be_bytes().to_vec()), Some(super::hash(7).as_bytes().repeat(4)));
    store.put_body(2, &id(2), &body(2)).unwrap();
    store.append(2, &decided(2)).unwrap();
    store.apply(2, (0..5_000).map(row).collect()).unwrap();
    store.begin_checkpoint(super::job(2, 2)).unwrap();
    store.await_checkpoint(2).unwrap().unwrap();
    store.close().unwrap();
    drop(store);
    let test = "a_fault_that_a_reader_met_in_the_index_ends_the_next_block";
    assert!(met_somewhere(directory.path(), "index/slabs", test), "no damage was met after the start");
}

/// Whether a reader meets damage; then the next block is refused.
fn read_and_refuse(options: &Options) -> bool {
    let Ok(store) = SledStore::open(options) else { return false };
    let everything = (Bound::Unbounded, Bound::Unbounded);
    if store.scan(Table::Leaf, everything, Direction::Forward, 5_000).is_ok() {
        return false;
    }
    let refused = store.put_body(3, &id(3), &body(3));
    assert!(matches!(refused, Err(StoreFault::Damaged { .. })), "{refused:?}");
    true
}
