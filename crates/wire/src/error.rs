//! What is wrong with a message, and where.

use std::fmt;

use chain::catalogue::{CodeEntry, Kind};
use chain::encoding::DecodeError;

/// The codes of this crate, sorted.
pub const CODES: &[CodeEntry] = &[
    entry(
        "wire.malformed-field",
        "A field of the message breaks a rule.",
        "Send what the error says was expected at its path.",
    ),
    entry("wire.missing-field", "A field of the message is absent.", "Send the field that the error's path names."),
    entry(
        "wire.not-protobuf",
        "The bytes are not the protobuf message that was asked for.",
        "Encode the message with the files of package einvoice.v1.",
    ),
    entry(
        "wire.too-large",
        "The message has more bytes than its kind may have.",
        "Keep to the limit that the error names.",
    ),
    entry(
        "wire.too-many-entries",
        "A list in the message has more entries than it may have.",
        "Keep to the limit that the error names.",
    ),
];

const fn entry(code: &'static str, summary: &'static str, cure: &'static str) -> CodeEntry {
    CodeEntry { code, kind: Kind::Malformed, summary, cure }
}

/// A message that is not the value it stands for.
///
/// Always the sender's mistake. Every variant names the field by its path from the message that
/// was decoded, such as `body.block.header.parent`, and what was expected and found there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no protobuf message of the kind asked for.
    #[error("not a well-formed {message} message")]
    NotProtobuf {
        /// The kind of message.
        message: &'static str,
        /// What the decoder met.
        #[source]
        source: prost::DecodeError,
    },
    /// The message is larger than its kind may be.
    #[error("expected at most {bytes_max} bytes of {message}, found {found}")]
    TooLarge {
        /// The kind of message.
        message: &'static str,
        /// The limit in bytes.
        bytes_max: usize,
        /// The message's size in bytes.
        found: usize,
    },
    /// A field that the value cannot be without is absent.
    #[error("{path}: expected {expected}, found nothing")]
    Missing {
        /// The field.
        path: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// A list is longer than it may be.
    #[error("{path}: expected at most {count_max} entries, found {found}")]
    TooMany {
        /// The field.
        path: String,
        /// The limit.
        count_max: usize,
        /// How many there are.
        found: usize,
    },
    /// A field, or several together, break a rule of the value.
    #[error("{path}: expected {expected}, found {found}")]
    Malformed {
        /// The field.
        path: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl Error {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Error::NotProtobuf { .. } => "wire.not-protobuf",
            Error::TooLarge { .. } => "wire.too-large",
            Error::Missing { .. } => "wire.missing-field",
            Error::TooMany { .. } => "wire.too-many-entries",
            Error::Malformed { .. } => "wire.malformed-field",
        }
    }

    /// Where in the message; empty for the message as a whole.
    pub fn path(&self) -> &str {
        match self {
            Error::NotProtobuf { .. } | Error::TooLarge { .. } => "",
            Error::Missing { path, .. } | Error::TooMany { path, .. } | Error::Malformed { path, .. } => path,
        }
    }

    /// What should stand there.
    pub fn expected(&self) -> String {
        match self {
            Error::NotProtobuf { message, .. } => format!("a {message} message"),
            Error::TooLarge { bytes_max, .. } => format!("at most {bytes_max} bytes"),
            Error::Missing { expected, .. } => (*expected).to_owned(),
            Error::TooMany { count_max, .. } => format!("at most {count_max} entries"),
            Error::Malformed { expected, .. } => expected.clone(),
        }
    }

    /// What stands there.
    pub fn found(&self) -> String {
        match self {
            Error::NotProtobuf { source, .. } => source.to_string(),
            Error::TooLarge { found, .. } => format!("{found} bytes"),
            Error::Missing { .. } => "nothing".to_owned(),
            Error::TooMany { found, .. } => format!("{found} entries"),
            Error::Malformed { found, .. } => found.clone(),
        }
    }

    /// A field that breaks a rule.
    pub(crate) fn malformed(path: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), expected: expected.to_string(), found: found.to_string() }
    }

    /// A field whose bytes are not the encoding they should be.
    pub(crate) fn undecodable(path: &str, expected: &str, error: &DecodeError) -> Self {
        // The outer error says what, its source says why; both are evidence.
        let found = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::malformed(path, expected, found)
    }

    /// The same error as the message around it sees it: the path begins with its field.
    pub(crate) fn within(mut self, field: impl fmt::Display) -> Self {
        match &mut self {
            Error::NotProtobuf { .. } | Error::TooLarge { .. } => {}
            Error::Missing { path, .. } | Error::TooMany { path, .. } | Error::Malformed { path, .. } => {
                *path = if path.is_empty() { field.to_string() } else { format!("{field}.{path}") };
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn the_path_grows_outwards() {
        let error = Error::malformed("key", "32 bytes", "31 bytes");
        let error = error.within("validators[3]").within("next_validators");
        assert_eq!(error.path(), "next_validators.validators[3].key");
        assert_eq!(error.to_string(), "next_validators.validators[3].key: expected 32 bytes, found 31 bytes");
        assert_eq!(Error::malformed("", "a", "b").within("set").path(), "set");
    }

    #[test]
    fn every_situation_has_its_own_code_and_says_what_was_expected_and_found() {
        let (path, message) = ("p".to_owned(), "Leaf");
        let errors = [
            Error::NotProtobuf { message, source: crate::generated::Leaf::decode(&[0xff][..]).unwrap_err() },
            Error::TooLarge { message, bytes_max: 1, found: 2 },
            Error::Missing { path: path.clone(), expected: "a header" },
            Error::TooMany { path: path.clone(), count_max: 1, found: 2 },
            Error::malformed("p", "a", "b"),
        ];
        let mut codes: Vec<_> = errors.iter().map(Error::code).collect();
        codes.sort_unstable();
        assert_eq!(codes, CODES.iter().map(|entry| entry.code).collect::<Vec<_>>());
        assert!(errors.iter().all(|error| !error.expected().is_empty() && !error.found().is_empty()));
    }
}
