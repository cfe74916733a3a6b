//! Statements that were signed beforehand: in a file, so that they are no part of anybody's memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::Context as _;
use chain::statement::Mode;
use indicatif::ProgressBar;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use workload::{Signers, Workload};

use crate::clock;

/// For how long statements may be decided. Seconds.
const VALID_S: u64 = 23 * 60 * 60;
/// Statements signed at once.
const CHUNK: u64 = 1_024;

/// Where the statements stand, and how many were taken.
#[derive(Debug)]
struct Place {
    file: BufReader<File>,
    taken: u64,
}

/// Signed statements, handed out one by one.
#[derive(Debug)]
pub(super) struct Supply {
    place: Mutex<Place>,
    count: u64,
    /// Events of each statement.
    pub(super) events: u64,
}

impl Supply {
    /// Signs the statements of those numbers.
    pub(super) fn sign(
        workload: &Workload,
        signers: &Signers,
        numbers: Range<u64>,
        events: usize,
        bar: &ProgressBar,
    ) -> anyhow::Result<Self> {
        let expires_at = clock::machine_s() + VALID_S;
        let context = "keep the signed statements in a temporary file";
        let mut file = BufWriter::new(tempfile::tempfile().context(context)?);
        let count = numbers.end - numbers.start;
        let mut next = numbers.start;
        while next < numbers.end {
            let end = numbers.end.min(next + CHUNK);
            let made: Vec<Vec<u8>> = (next..end)
                .into_par_iter()
                .map(|number| workload.issue_statement(signers, number, events, Mode::Each, expires_at).bytes)
                .collect();
            for bytes in &made {
                let length = u32::try_from(bytes.len()).context(context)?;
                file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(bytes)).context(context)?;
            }
            bar.inc(end - next);
            next = end;
        }
        let mut file = file.into_inner().context(context)?;
        file.rewind().context(context)?;
        let events = u64::try_from(events).context("count events")?;
        Ok(Self { place: Mutex::new(Place { file: BufReader::new(file), taken: 0 }), count, events })
    }

    /// The next statement and its place among all; none after the last.
    pub(super) fn next(&self) -> anyhow::Result<Option<(u64, Vec<u8>)>> {
        let mut place = self.place.lock().expect("nothing panics while it reads");
        if place.taken == self.count {
            return Ok(None);
        }
        let mut length = [0; 4];
        place.file.read_exact(&mut length).context("read the signed statements")?;
        let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).context("read the signed statements")?];
        place.file.read_exact(&mut bytes).context("read the signed statements")?;
        place.taken += 1;
        Ok(Some((place.taken - 1, bytes)))
    }
}
