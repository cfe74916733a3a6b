//! Cursors: how far somebody has followed the ledger.
//!
//! A cursor names a position in the one log, so it is good on every node of the chain and under any filter:
//!
//! ```text
//! 9f86d081884c7d65.l42      the first 16 hex digits of the genesis hash, a point, a kind, a position
//! ```
//!
//! Kind `l` is the log: everything in the log of that size (RFC 9162 §2.1.1) was looked at, and what comes next is the
//! leaf of that index. The cursor of an event is the size of the log just behind it. What is announced without a leaf
//! (a lease that ran out, say) will stand behind the leaves of its block, under a kind of its own with a position of its
//! own; an older node refuses a kind that it does not know. To clients a cursor is opaque.

use std::fmt;

use chain::identity::ChainId;
use replica::port::Store;

use crate::problem::Problem;
use crate::service::Service;

/// Hex digits of the genesis hash.
const TAG_DIGITS: usize = 16;

/// The cursor of those who want everything there is.
const START: &str = "start";

/// The kind of positions in the log.
const LOG: char = 'l';

/// A position of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    tag: String,
    size: u64,
}

impl Cursor {
    /// Behind the first `size` leaves of a chain.
    pub(crate) fn new(chain: &ChainId, size: u64) -> Self {
        Self { tag: tag(chain), size }
    }

    /// Reads where somebody wants to begin on this node: a cursor, or [`START`].
    ///
    /// # Errors
    /// Those of [`Cursor::read`].
    pub(crate) fn read_here<S: Store>(text: &str, service: &Service<S>) -> Result<Self, Problem> {
        let chain = service.query().chain();
        if text == START {
            return Ok(Self::new(chain, 0));
        }
        Self::read(text, chain, service.query().tip().progress.log_size)
    }

    /// How many leaves lie before it.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads a cursor of a chain whose log has `log_size` leaves here.
    ///
    /// # Errors
    /// `events.cursor`, `events.other-chain`, `events.beyond-tip`.
    pub(crate) fn read(text: &str, chain: &ChainId, log_size: u64) -> Result<Self, Problem> {
        let wrong = || Problem::new("events.cursor").at("after", "a cursor of this stream", text);
        let (tag, position) = text.split_once('.').ok_or_else(wrong)?;
        if tag.len() != TAG_DIGITS || !tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let size: u64 = position.strip_prefix(LOG).and_then(|size| size.parse().ok()).ok_or_else(wrong)?;
        let cursor = Self { tag: tag.to_owned(), size };
        // One position has one spelling.
        if cursor.to_string() != text {
            return Err(wrong());
        }
        let own = self::tag(chain);
        if cursor.tag != own {
            return Err(Problem::new("events.other-chain").at(
                "after",
                format!("a cursor that begins with {own}"),
                text,
            ));
        }
        if size > log_size {
            let expected = format!("a position of at most {log_size}");
            return Err(Problem::new("events.beyond-tip").at("after", expected, text));
        }
        Ok(cursor)
    }
}

fn tag(chain: &ChainId) -> String {
    let mut digits = chain.genesis().to_string();
    digits.truncate(TAG_DIGITS);
    digits
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{LOG}{}", self.tag, self.size)
    }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;

    use super::*;

    fn chain(genesis: &str) -> ChainId {
        ChainId::new("test".parse().unwrap(), Hash::of(genesis.as_bytes()))
    }

    #[test]
    fn a_cursor_comes_back_and_its_spelling_does_not_move() {
        let chain = chain("test");
        for size in [0, 42, 10_000] {
            let text = Cursor::new(&chain, size).to_string();
            assert_eq!(Cursor::read(&text, &chain, 10_000).unwrap().size(), size);
        }
        assert_eq!(Cursor::new(&chain, 42).to_string(), "9f86d081884c7d65.l42");
    }

    #[test]
    fn every_wrong_cursor_is_told_apart() {
        let chain_a = chain("a");
        let good = Cursor::new(&chain_a, 7).to_string();
        let code = |text: &str, log_size| Cursor::read(text, &chain_a, log_size).unwrap_err().code().to_owned();
        let (tag, _) = good.split_once('.').unwrap();
        for text in ["", "7", ".l7", tag, &format!("{tag}.7"), &format!("{tag}.d7"), &format!("{tag}.l07")] {
            assert_eq!(code(text, 10), "events.cursor", "{text}");
        }
        for text in [format!("{tag}.l+7"), format!("{tag}.l99999999999999999999"), good.to_uppercase(), "é".repeat(20)]
        {
            assert_eq!(code(&text, 10), "events.cursor", "{text}");
        }
        assert_eq!(code(&Cursor::new(&chain("b"), 7).to_string(), 10), "events.other-chain");
        assert_eq!(code(&good, 6), "events.beyond-tip");
    }
}
