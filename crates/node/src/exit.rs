//! How the process ends: the exit codes, and failures that carry one.
//!
//! The table is printed by `--help` and stands in the README; a test holds the two together.

use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `verify`: verified.
    Done,
    /// Nobody foresaw it.
    Unexpected,
    /// Arguments or input that cannot be used.
    Usage,
    /// A node or the rules said no.
    Refused,
    /// No node answers, or it cannot serve now.
    Unavailable,
    /// A fault of the node: storage, or a broken invariant.
    Fault,
    /// Another process holds the directory.
    Held,
    /// A validator cannot know how it voted, and must not be started again by itself.
    VotesUnknown,
    /// Verification found something wrong.
    Findings,
    /// Verification found nothing wrong, but something is missing.
    Incomplete,
}

impl Exit {
    /// Every exit, in the order of the codes.
    pub(crate) const ALL: [Exit; 10] = [
        Exit::Done,
        Exit::Unexpected,
        Exit::Usage,
        Exit::Refused,
        Exit::Unavailable,
        Exit::Fault,
        Exit::Held,
        Exit::VotesUnknown,
        Exit::Findings,
        Exit::Incomplete,
    ];

    /// The code that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unavailable => 4,
            Self::Fault => 5,
            Self::Held => 6,
            Self::VotesUnknown => 7,
            Self::Findings => 20,
            Self::Incomplete => 21,
        }
    }

    /// What it means, for `--help` and the README.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; `verify`: verified",
            Self::Unexpected => "an unexpected error",
            Self::Usage => "arguments, configuration or input that cannot be used",
            Self::Refused => "a node or the rules refused it; the reason is printed",
            Self::Unavailable => "no node answers there, or it cannot serve now; try again later",
            Self::Fault => "the node stopped on a fault of its own (disk, damage, broken invariant); read its log",
            Self::Held => "another process holds the directory",
            Self::VotesUnknown => "a validator cannot know how it voted; somebody must look before it starts again",
            Self::Findings => "`verify`: findings; the chain, archive or receipt is not what it must be",
            Self::Incomplete => "`verify`: nothing wrong in what is there, but the end is missing",
        }
    }

    /// The table of exit codes as text.
    pub(crate) fn table() -> String {
        let rows = Self::ALL.map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

/// Why a command failed, and how the process ends for it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// A failure; the error's text goes on from "failed to".
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// A failure in words that go on from "failed to".
    pub(crate) fn text(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{text}") }
    }

    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    /// The error with its causes, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for cause in self.error.chain() {
            let text = cause.to_string();
            // Some errors repeat their source in their own text.
            if line.ends_with(&text) {
                continue;
            }
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
        f.write_str(&in_plain_words(&line.replace('\n', " ")))
    }
}

/// What stands in errors of the JSON and TOML readers before the name of a Rust type, and what it is to a person.
const TYPES: [(&str, &str); 6] = [
    ("internally tagged enum ", "an object"),
    ("adjacently tagged enum ", "an object"),
    ("tuple struct ", "a list"),
    ("unit struct ", "nothing"),
    ("struct ", "an object"),
    ("enum ", "a text or an object"),
];

/// The text without names of Rust types, which mean nothing to who only knows the file: `expected struct Receipt`.
fn in_plain_words(text: &str) -> String {
    let mut parts = text.split("expected ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("expected ");
        let named = TYPES.iter().find_map(|(before, meaning)| Some((part.strip_prefix(before)?, meaning)));
        // A type's name begins with a capital; anything else is somebody's own sentence.
        match named.filter(|(name, _)| name.starts_with(|first: char| first.is_ascii_uppercase())) {
            Some((name, meaning)) => {
                plain.push_str(meaning);
                plain.push_str(name.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_'));
            }
            None => plain.push_str(part),
        }
    }
    plain
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Unexpected, error }
    }
}

/// Gives an error its exit.
pub(crate) trait Exits<T> {
    /// The value, or a failure that ends the process so.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Exits<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn names_of_rust_types_become_words() {
        let failure = Failure::text(Exit::Usage, "read g: invalid type: sequence, expected struct Receipt at byte 0");
        assert_eq!(failure.to_string(), "read g: invalid type: sequence, expected an object at byte 0");
        let own = "sign: expected 3 segments separated by dots, found 1; expected struct and enum";
        assert_eq!(Failure::text(Exit::Usage, own).to_string(), own);
    }

    #[test]
    fn codes_ascend_and_never_collide() {
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let cause: Result<(), _> = Err(std::io::Error::other("disk\non fire"));
        let failure = cause.context("read the genesis g.json").or_exit(Exit::Usage).unwrap_err();
        assert_eq!(failure.to_string(), "read the genesis g.json: disk on fire");
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
