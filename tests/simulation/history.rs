//! What happened, in order: as a hash always, as lines when somebody wants to read it.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

/// The history of a run. Two runs of a seed have the same.
pub(super) struct History {
    // Its keys are fixed, unlike those of a `HashMap`'s.
    hasher: DefaultHasher,
    lines: Option<Vec<String>>,
    line: String,
}

impl History {
    /// Lines are kept only when asked for: they are many.
    pub(super) fn new(keep: bool) -> Self {
        Self { hasher: DefaultHasher::new(), lines: keep.then(Vec::new), line: String::new() }
    }

    /// Something happened.
    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        use fmt::Write as _;
        self.line.clear();
        let (seconds, micros) = (at.as_secs(), at.subsec_micros());
        write!(self.line, "{seconds:>4}.{micros:06} {what}").expect("a string takes everything");
        self.hasher.write(self.line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.clone());
        }
    }

    /// Bytes that belong to what happened, and are not for reading.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    /// Its hash so far.
    pub(super) fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    /// Its lines, as far as they were kept.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
