//! How bytes become text and values become bytes.
//!
//! Owns base64url in its one canonical spelling (RFC 4648 §5, no padding, zero trailing bits) and
//! the bounded, exact decoding of borsh. A second spelling of the same bytes is always refused.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use borsh::BorshDeserialize;
use serde::de::{self, Deserializer, Visitor};

/// Text that is not base64url in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// A byte outside the alphabet `A-Z a-z 0-9 - _`; whitespace is such a byte too.
    #[error("byte {offset} is not of the base64url alphabet")]
    Alphabet {
        /// Where the byte stands in the text.
        offset: usize,
    },
    /// The text ends in `=`.
    #[error("base64url is written without padding here")]
    Padding,
    /// The text's length cannot come from whole bytes.
    #[error("{length} characters of base64url do not make whole bytes")]
    Length {
        /// The text's length in bytes.
        length: usize,
    },
    /// The last character has bits set that no byte uses: a second spelling of the same bytes.
    #[error("the last character, at byte {offset}, sets bits that no byte uses")]
    TrailingBits {
        /// Where the character stands in the text.
        offset: usize,
    },
    /// The bytes are right, their number is not.
    #[error("expected {expected} bytes, found {found}")]
    Size {
        /// How many bytes the value has.
        expected: usize,
        /// How many bytes the text gives.
        found: usize,
    },
}

/// Writes `bytes` as base64url without padding.
pub fn encode_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding, in the canonical spelling only.
pub fn decode_base64url(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Base64Error> {
    let text = text.as_ref();
    URL_SAFE_NO_PAD.decode(text).map_err(|_| base64_error(text))
}

/// Reads base64url without padding into exactly `N` bytes.
pub fn decode_base64url_array<const N: usize>(text: impl AsRef<[u8]>) -> Result<[u8; N], Base64Error> {
    let bytes = decode_base64url(text)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| Base64Error::Size { expected: N, found })
}

/// Says what is wrong with a text that the decoder refused: the first fault, by its place.
fn base64_error(text: &[u8]) -> Base64Error {
    let of_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if text.ends_with(b"=") {
        return Base64Error::Padding;
    }
    if let Some(offset) = text.iter().position(|byte| !of_alphabet(byte)) {
        return Base64Error::Alphabet { offset };
    }
    if text.len() % 4 == 1 {
        return Base64Error::Length { length: text.len() };
    }
    Base64Error::TrailingBits { offset: text.len().saturating_sub(1) }
}

/// Bytes that are not the borsh encoding of the value asked for.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than this kind of value may have.
    #[error("{found} bytes exceed the limit of {bytes_max}")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
        /// How many bytes were given.
        found: usize,
    },
    /// The bytes end early, go on after the value, or break one of its rules.
    #[error("not a well-formed {value}")]
    Malformed {
        /// What was to be read.
        value: &'static str,
        /// What the decoder found.
        #[source]
        source: std::io::Error,
    },
}

/// Decodes a value that must fill `bytes` exactly, refusing more than `bytes_max` of them.
///
/// `value` names what is read, for the error. Memory stays in proportion to the bytes given,
/// whatever lengths they claim: borsh allocates as it reads.
pub fn decode_exact<T: BorshDeserialize>(
    value: &'static str,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLarge { bytes_max, found: bytes.len() });
    }
    borsh::from_slice(bytes).map_err(|source| DecodeError::Malformed { value, source })
}

/// The error of a borsh decoder that found bytes which break a rule of the value.
pub(crate) fn invalid_borsh(error: impl fmt::Display) -> borsh::io::Error {
    borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, error.to_string())
}

/// Deserialises, from a JSON string, a value that has a strict text form.
pub(crate) fn deserialize_from_str<'de, T, D>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(FromStrVisitor { expecting, value: PhantomData })
}

struct FromStrVisitor<T> {
    expecting: &'static str,
    value: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for FromStrVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_gives_the_bytes_back() {
        // RFC 4648 §10, without padding, and the two characters that differ from plain base64.
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"fooba", "Zm9vYmE"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff], "-_8"),
        ] {
            assert_eq!(encode_base64url(bytes), text);
            assert_eq!(decode_base64url(text).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn a_second_spelling_of_base64url_is_refused() {
        for (text, error) in [
            ("Zg==", Base64Error::Padding),
            ("Zh", Base64Error::TrailingBits { offset: 1 }),
            ("Zm9", Base64Error::TrailingBits { offset: 2 }),
            ("+_8", Base64Error::Alphabet { offset: 0 }),
            ("-/8", Base64Error::Alphabet { offset: 1 }),
            ("Zm 9v", Base64Error::Alphabet { offset: 2 }),
            ("Zm9v\n", Base64Error::Alphabet { offset: 4 }),
            ("Zm9vY", Base64Error::Length { length: 5 }),
            ("Zm9é", Base64Error::Alphabet { offset: 3 }),
        ] {
            assert_eq!(decode_base64url(text), Err(error), "{text:?}");
        }
        assert_eq!(decode_base64url_array::<2>("Zm9v"), Err(Base64Error::Size { expected: 2, found: 3 }));
    }

    #[test]
    fn decoding_is_exact_and_bounded() {
        let bytes = borsh::to_vec(&vec![1_u16, 2]).unwrap();
        assert_eq!(decode_exact::<Vec<u16>>("list", &bytes, 8).unwrap(), [1, 2]);
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(
            decode_exact::<Vec<u16>>("list", &longer, 16),
            Err(DecodeError::Malformed { value: "list", .. })
        ));
        assert!(decode_exact::<Vec<u16>>("list", &bytes[..7], 16).is_err());
        assert!(matches!(
            decode_exact::<Vec<u16>>("list", &bytes, 7),
            Err(DecodeError::TooLarge { bytes_max: 7, found: 8 })
        ));
        // A claimed length of four billion elements ends with the bytes, not with the memory.
        assert!(decode_exact::<Vec<u64>>("list", &[0xff; 12], 16).is_err());
    }
}
