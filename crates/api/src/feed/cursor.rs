//! Cursors: how far somebody has followed the ledger.
//!
//! A cursor names a position in the one stream, so it is good on every node of the chain and under any filter:
//!
//! ```text
//! 9f86d081884c7d65.s42      the first 16 hex digits of the genesis hash, a point, a kind, a position
//! ```
//!
//! Kind `s` is the stream: the leaves of the log and what is told without one (a lease that ran out) behind the leaves of
//! its block, numbered together. Everything before that place was looked at, and what comes next stands there. The cursor
//! of an item is the place just behind it. Kind `l` is the log alone, as nodes before spelled it: everything in the log of
//! that size (RFC 9162 §2.1.1) was looked at, and nothing behind its last leaf. To clients a cursor is opaque.

use std::fmt;

use chain::identity::ChainId;
use replica::port::Store;

use crate::problem::Problem;
use crate::service::Service;

/// Hex digits of the genesis hash.
const TAG_DIGITS: usize = 16;

/// The cursor of those who want everything there is.
const START: &str = "start";

/// The kind of positions in the stream.
const STREAM: char = 's';

/// The kind of positions in the log.
const LOG: char = 'l';

/// A position of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    tag: String,
    kind: char,
    position: u64,
}

impl Cursor {
    /// Before a place of the stream of a chain.
    pub(crate) fn new(chain: &ChainId, place: u64) -> Self {
        Self { tag: tag(chain), kind: STREAM, position: place }
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
        let tip = service.query().tip();
        let cursor = Self::read(text, chain, tip.progress.log_size, tip.stream_size())?;
        if cursor.kind == STREAM {
            return Ok(cursor);
        }
        // Just behind the last leaf that was looked at.
        let place = match cursor.position.checked_sub(1) {
            Some(leaf) => service.query().place_of(leaf)?.saturating_add(1),
            None => 0,
        };
        Ok(Self::new(chain, place))
    }

    /// What comes next: the place in the stream.
    pub(crate) fn place(&self) -> u64 {
        self.position
    }

    /// Reads a cursor of a chain whose log has `log_size` leaves here, and its stream `stream_size` places.
    ///
    /// # Errors
    /// `events.cursor`, `events.other-chain`, `events.beyond-tip`.
    fn read(text: &str, chain: &ChainId, log_size: u64, stream_size: u64) -> Result<Self, Problem> {
        let wrong = || Problem::new("events.cursor").at("after", "a cursor of this stream", text);
        let (tag, position) = text.split_once('.').ok_or_else(wrong)?;
        if tag.len() != TAG_DIGITS || !tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let (kind, end) = if position.starts_with(LOG) { (LOG, log_size) } else { (STREAM, stream_size) };
        let position: u64 = position.strip_prefix(kind).and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let cursor = Self { tag: tag.to_owned(), kind, position };
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
        if position > end {
            let expected = format!("a position of at most {end}");
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
        write!(f, "{}.{}{}", self.tag, self.kind, self.position)
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
        for place in [0, 42, 10_000] {
            let text = Cursor::new(&chain, place).to_string();
            assert_eq!(Cursor::read(&text, &chain, 9_000, 10_000).unwrap().place(), place);
        }
        assert_eq!(Cursor::new(&chain, 42).to_string(), "9f86d081884c7d65.s42");
        let of_the_log = Cursor::read("9f86d081884c7d65.l42", &chain, 42, 50).unwrap();
        assert_eq!(of_the_log.to_string(), "9f86d081884c7d65.l42");
    }

    #[test]
    fn every_wrong_cursor_is_told_apart() {
        let chain_a = chain("a");
        let good = Cursor::new(&chain_a, 7).to_string();
        let code = |text: &str, size: u64| Cursor::read(text, &chain_a, size, size + 2).unwrap_err().code().to_owned();
        let (tag, _) = good.split_once('.').unwrap();
        for text in [
            "",
            "7",
            ".s7",
            tag,
            &format!("{tag}.7"),
            &format!("{tag}.d7"),
            &format!("{tag}.s07"),
            &format!("{tag}.l07"),
        ] {
            assert_eq!(code(text, 10), "events.cursor", "{text}");
        }
        for text in [format!("{tag}.s+7"), format!("{tag}.s99999999999999999999"), good.to_uppercase(), "é".repeat(20)]
        {
            assert_eq!(code(&text, 10), "events.cursor", "{text}");
        }
        assert_eq!(code(&Cursor::new(&chain("b"), 7).to_string(), 10), "events.other-chain");
        assert_eq!(code(&good, 4), "events.beyond-tip");
        assert_eq!(code(&good.replace(".s", ".l"), 6), "events.beyond-tip");
    }
}
