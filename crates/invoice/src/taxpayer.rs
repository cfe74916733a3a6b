//! Taxpayer ids: their shapes, and the check characters of the unified social credit code (GB 32100-2015).

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::text::{shown, text_serde};
use crate::violation::{Violation, rule};

/// The characters of a unified social credit code; I, O, S, V and Z are left out as too like digits.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
/// Powers of three modulo 31, one for each character before the check character.
const WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
/// Weights of the organisation code that stands in characters 9 to 17 (GB 11714).
const ORGANISATION_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

/// What a taxpayer registered with, which decides how strictly its id is checked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaxpayerKind {
    /// A unified social credit code: a wrong check character is an error.
    Uscc,
    /// Any older or personal number: check characters are only looked at, and doubts are warnings.
    Other,
}

/// A taxpayer id of 15, 17, 18 or 20 capital letters and digits.
///
/// The shape is all that the type promises. Whether the check character is right is a separate question
/// ([`TaxpayerId::check`]), because real codes exist whose check character is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct TaxpayerId(String);

impl TaxpayerId {
    /// The unified social credit code that begins with these sixteen characters: registering department, category,
    /// region of six digits and the eight of the organisation code; both check characters are computed.
    ///
    /// # Errors
    /// [`Error::TaxpayerIdMalformed`] when the sixteen are not of the code's alphabet.
    pub fn complete(sixteen: &str) -> Result<TaxpayerId, Error> {
        let malformed = || Error::TaxpayerIdMalformed { found: shown(sixteen) };
        if sixteen.len() != 16 || !sixteen.bytes().all(|byte| ALPHABET.contains(&byte)) {
            return Err(malformed());
        }
        let mut text = sixteen.to_owned();
        text.push(char::from(organisation_check_character(&sixteen.as_bytes()[8..])));
        // The last character is not read by the computation of itself.
        let padded = format!("{text}0");
        text.push(char::from(uscc_check_character(padded.as_bytes()).ok_or_else(malformed)?));
        text.parse()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is doubtful about the id, with JSON pointer paths at the root (an empty path).
    ///
    /// An id of 18 characters is held against the unified social credit code: its alphabet and shape, its check character,
    /// and the organisation code inside. Ids of other lengths carry no check character.
    pub fn check(&self) -> Vec<Violation> {
        self.check_at("")
    }

    /// As [`TaxpayerId::check`], with the path of the field that holds the id.
    pub(crate) fn check_at(&self, path: &str) -> Vec<Violation> {
        check_text(&self.0, path)
    }

    /// The hard verdict for a holder registered as `kind`: an error for a unified social credit code with a wrong shape or
    /// check character, nothing for others. A doubt about the organisation code inside stays a doubt.
    pub fn check_registered(&self, kind: TaxpayerKind) -> Result<(), Vec<Violation>> {
        let mut doubts = match kind {
            TaxpayerKind::Uscc if self.0.len() != 18 => {
                vec![Violation::new(
                    "",
                    rule::TAXPAYER_USCC_SHAPE,
                    "18 characters",
                    format!("{} characters", self.0.len()),
                )]
            }
            TaxpayerKind::Uscc => self.check(),
            TaxpayerKind::Other => Vec::new(),
        };
        doubts.retain(|doubt| doubt.rule != rule::TAXPAYER_ORGANISATION_CODE);
        if doubts.is_empty() { Ok(()) } else { Err(doubts) }
    }
}

/// Whether text has the shape of a taxpayer id.
pub(crate) fn has_shape(text: &str) -> bool {
    matches!(text.len(), 15 | 17 | 18 | 20)
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The doubts about an id of the right shape; nothing for other text.
pub(crate) fn check_text(text: &str, path: &str) -> Vec<Violation> {
    if !has_shape(text) || text.len() != 18 {
        return Vec::new();
    }
    let bytes = text.as_bytes();
    let Some(check) = uscc_check_character(bytes) else {
        let expected = "two of 0-9A-Z without IOSVZ, six digits, ten of 0-9A-Z without IOSVZ";
        return vec![Violation::new(path, rule::TAXPAYER_USCC_SHAPE, expected, text)];
    };
    let mut doubts = Vec::new();
    if bytes[17] != check {
        doubts.push(Violation::new(
            path,
            rule::TAXPAYER_CHECK_CHARACTER,
            format!("check character {}", char::from(check)),
            text,
        ));
    }
    let organisation = organisation_check_character(&bytes[8..16]);
    if bytes[16] != organisation {
        let expected = format!("organisation code check character {}", char::from(organisation));
        doubts.push(Violation::new(path, rule::TAXPAYER_ORGANISATION_CODE, expected, text));
    }
    doubts
}

/// The check character of a unified social credit code, or none if the text cannot be one.
fn uscc_check_character(bytes: &[u8]) -> Option<u8> {
    let index_of = |byte: &u8| ALPHABET.iter().position(|known| known == byte);
    if !bytes[2..8].iter().all(u8::is_ascii_digit) || bytes.iter().any(|byte| index_of(byte).is_none()) {
        return None;
    }
    let mut sum = 0;
    for (byte, weight) in bytes.iter().zip(WEIGHTS) {
        sum += index_of(byte)? * weight;
    }
    // Without the outer remainder a sum divisible by 31 would ask for a character after the last.
    Some(ALPHABET[(31 - sum % 31) % 31])
}

/// The check character of an organisation code, from its first eight characters.
fn organisation_check_character(bytes: &[u8]) -> u8 {
    let value = |byte: u8| {
        if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte) - u32::from(b'A') + 10 }
    };
    let sum: u32 = bytes.iter().zip(ORGANISATION_WEIGHTS).map(|(byte, weight)| value(*byte) * weight).sum();
    match 11 - sum % 11 {
        10 => b'X',
        11 => b'0',
        digit => b'0' + u8::try_from(digit).expect("a remainder below ten fits a byte"),
    }
}

impl fmt::Display for TaxpayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TaxpayerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<TaxpayerId, Error> {
        if has_shape(text) {
            return Ok(TaxpayerId(text.to_owned()));
        }
        Err(Error::TaxpayerIdMalformed { found: shown(text) })
    }
}

impl BorshDeserialize for TaxpayerId {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        text.parse().map_err(|error: Error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

text_serde!(TaxpayerId, "a taxpayer id of 15, 17, 18 or 20 capital letters and digits");

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts(text: &str) -> Vec<&'static str> {
        text.parse::<TaxpayerId>().unwrap().check().iter().map(|doubt| doubt.rule).collect()
    }

    #[test]
    fn real_codes_pass() {
        for text in [
            "91440300708461136T",
            "91440300708437873H",
            "91350100M000100Y43",
            "91110000101623741K",
            "92532528MA6L45LX6L",
        ] {
            assert_eq!(doubts(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn a_code_is_completed_from_its_first_sixteen_characters() {
        for text in ["91440300708461136T", "91440300708437873H", "91350100M000100Y43", "92532528MA6L45LX6L"] {
            assert_eq!(TaxpayerId::complete(&text[..16]).unwrap().as_str(), text);
        }
        for text in ["", "9144030070846113", "914403007084611", "91440300MA5DEM0I", "91440300MA5DEM0圳"] {
            let completed = TaxpayerId::complete(text);
            assert_eq!(completed.is_ok(), text == "9144030070846113", "{text:?}");
        }
    }

    #[test]
    fn a_wrong_check_character_is_named_with_the_right_one() {
        let both = [rule::TAXPAYER_CHECK_CHARACTER, rule::TAXPAYER_ORGANISATION_CODE];
        assert_eq!(doubts("91310115MA1H8R7C6D"), both);
        let found = "91350211M0000XUF46".parse::<TaxpayerId>().unwrap().check();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule, rule::TAXPAYER_CHECK_CHARACTER);
        assert_eq!(found[0].expected, "check character R");
        assert_eq!(found[0].actual, "91350211M0000XUF46");
    }

    #[test]
    fn a_sum_divisible_by_thirty_one_wraps_to_zero() {
        // The sums are 0 and 31: character index 31 - 0 would lie behind the alphabet.
        assert_eq!(uscc_check_character(b"000000000000000000"), Some(b'0'));
        assert_eq!(uscc_check_character(b"403000000000000000"), Some(b'0'));
    }

    #[test]
    fn a_wrong_organisation_code_is_named() {
        // Digits of the organisation code swapped, the outer check character computed anew.
        let mut bytes = *b"91440300708461163_";
        bytes[17] = uscc_check_character(&[b"91440300708461163".as_slice(), b"0"].concat()).unwrap();
        assert_eq!(doubts(std::str::from_utf8(&bytes).unwrap()), [rule::TAXPAYER_ORGANISATION_CODE]);
    }

    #[test]
    fn letters_outside_the_alphabet_are_a_doubt_not_an_error() {
        assert_eq!(doubts("9144030070846113IT"), [rule::TAXPAYER_USCC_SHAPE]);
        assert_eq!(doubts("91AB0300708461136T"), [rule::TAXPAYER_USCC_SHAPE]);
    }

    #[test]
    fn ids_of_other_lengths_carry_no_check_character() {
        for text in ["440300708461136", "44030070846113612", "44030070846113612345"] {
            assert_eq!(doubts(text), Vec::<&str>::new());
        }
    }

    #[test]
    fn shapes_that_are_no_taxpayer_id_are_refused() {
        for text in [
            "",
            "12345678901234",
            "1234567890123456",
            "1234567890123456789",
            "91440300708461136t",
            "9144030070846113 T",
            "深圳深圳深",
            "12345678901234-",
        ] {
            assert!(text.parse::<TaxpayerId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_a_holder_registered_with_the_code_is_held_to_it() {
        let wrong: TaxpayerId = "91310115MA1H8R7C6D".parse().unwrap();
        assert!(wrong.check_registered(TaxpayerKind::Uscc).is_err());
        assert!(wrong.check_registered(TaxpayerKind::Other).is_ok());
        let old: TaxpayerId = "440300708461136".parse().unwrap();
        assert!(old.check_registered(TaxpayerKind::Uscc).is_err());
        assert!(old.check_registered(TaxpayerKind::Other).is_ok());
        let right: TaxpayerId = "91440300708461136T".parse().unwrap();
        assert!(right.check_registered(TaxpayerKind::Uscc).is_ok());
    }
}
