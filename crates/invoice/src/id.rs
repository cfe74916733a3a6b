//! Invoice identifiers: 12-digit code and 8-digit number, or the 20 digits of a fully digital invoice.
//!
//! Always text: leading zeros are part of a number. Who assigns the next number is the ledger's business.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::error::Error;
use crate::text::{shown, text_serde};
use crate::violation::{Violation, rule};

/// Exactly `N` decimal digits, leading zeros kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Digits<const N: usize>([u8; N]);

/// The 12-digit code of the blockchain profile: region, year, class, batch.
pub type InvoiceCode = Digits<12>;
/// The 8-digit number within a code.
pub type InvoiceNumber = Digits<8>;
/// The 20-digit number of a fully digital invoice.
pub type DigitalNumber = Digits<20>;

impl<const N: usize> Digits<N> {
    /// The number with leading zeros, or [`Error::NumberPartTooLarge`] when it has more digits.
    pub fn from_number(number: u64) -> Result<Digits<N>, Error> {
        let text = format!("{number:0N$}");
        let bytes = text.into_bytes().try_into();
        bytes.map(Digits).map_err(|_| Error::NumberPartTooLarge { part: "number", value: number, digits: N })
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("ASCII digits are UTF-8")
    }

    /// The digits as a number.
    pub fn number(&self) -> u128 {
        self.0.iter().fold(0, |number, byte| number * 10 + u128::from(byte - b'0'))
    }
}

impl<const N: usize> fmt::Display for Digits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Digits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({self})")
    }
}

impl<const N: usize> FromStr for Digits<N> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digits<N>, Error> {
        let malformed = || Error::DigitsMalformed { digits: N, found: shown(text) };
        let bytes: [u8; N] = text.as_bytes().try_into().map_err(|_| malformed())?;
        if bytes.iter().all(u8::is_ascii_digit) { Ok(Digits(bytes)) } else { Err(malformed()) }
    }
}

impl<const N: usize> BorshDeserialize for Digits<N> {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let mut bytes = [0_u8; N];
        reader.read_exact(&mut bytes)?;
        if bytes.iter().all(u8::is_ascii_digit) {
            return Ok(Digits(bytes));
        }
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a byte that is no digit"))
    }
}

impl<const N: usize> serde::Serialize for Digits<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> serde::Deserialize<'de> for Digits<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The identity of an issued invoice. As text `code-number`, or the 20 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum InvoiceId {
    /// Blockchain profile.
    Blockchain {
        /// The code.
        code: InvoiceCode,
        /// The number within the code.
        number: InvoiceNumber,
    },
    /// Fully digital profile.
    Digital {
        /// The number, unique by itself.
        number: DigitalNumber,
    },
}

/// How many digits of a digital number say year, province and channel.
const DIGITAL_CODE: usize = 5;

impl InvoiceId {
    /// What its number counts within: the code, or the digits of a digital number that say year, province and channel.
    pub fn code(&self) -> String {
        match self {
            InvoiceId::Blockchain { code, .. } => code.to_string(),
            InvoiceId::Digital { number } => number.as_str()[..DIGITAL_CODE].to_owned(),
        }
    }

    /// Its number within its code.
    pub fn number_in_code(&self) -> u64 {
        let digits = match self {
            InvoiceId::Blockchain { number, .. } => number.as_str(),
            InvoiceId::Digital { number } => &number.as_str()[DIGITAL_CODE..],
        };
        digits.parse().expect("at most 15 digits")
    }

    /// The id with another number of the same code; `None` when that has more digits than there is room for.
    pub fn with_number(&self, wanted: u64) -> Option<InvoiceId> {
        match self {
            InvoiceId::Blockchain { code, .. } => {
                Digits::from_number(wanted).ok().map(|number| InvoiceId::Blockchain { code: *code, number })
            }
            InvoiceId::Digital { number } => {
                let sequence = Digits::<15>::from_number(wanted).ok()?;
                let text = format!("{}{sequence}", &number.as_str()[..DIGITAL_CODE]);
                text.parse().ok().map(|number| InvoiceId::Digital { number })
            }
        }
    }
}

impl fmt::Display for InvoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvoiceId::Blockchain { code, number } => write!(f, "{code}-{number}"),
            InvoiceId::Digital { number } => write!(f, "{number}"),
        }
    }
}

impl FromStr for InvoiceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<InvoiceId, Error> {
        let malformed = |_| Error::InvoiceIdMalformed { found: shown(text) };
        match text.split_once('-') {
            Some((code, number)) => Ok(InvoiceId::Blockchain {
                code: code.parse().map_err(malformed)?,
                number: number.parse().map_err(malformed)?,
            }),
            None => Ok(InvoiceId::Digital { number: text.parse().map_err(malformed)? }),
        }
    }
}

text_serde!(InvoiceId, "an invoice id: 12 digits, a hyphen and 8 digits, or 20 digits");

/// The code of blockchain invoices (Shenzhen Tax Bureau Ann. 2018 No.11): `1`, region (four digits), year (two), `0` for
/// general trade, `9` for the class, batch, copies, `0` for no amount limit.
///
/// [`Error::NumberPartTooLarge`] when a part does not fit its place.
pub fn blockchain_code(region: u16, year_of_century: u8, batch: u8, copies: u8) -> Result<InvoiceCode, Error> {
    let text = format!(
        "1{}{}09{}{}0",
        part::<4>("region", region.into())?,
        part::<2>("year", year_of_century.into())?,
        part::<1>("batch", batch.into())?,
        part::<1>("copies", copies.into())?,
    );
    text.parse()
}

/// The number of a fully digital invoice: year (two digits), province (two), channel (one), sequence (15).
///
/// [`Error::NumberPartTooLarge`] when a part does not fit its place.
pub fn digital_number(year_of_century: u8, province: u8, channel: u8, sequence: u64) -> Result<DigitalNumber, Error> {
    let text = format!(
        "{}{}{}{}",
        part::<2>("year", year_of_century.into())?,
        part::<2>("province", province.into())?,
        part::<1>("channel", channel.into())?,
        part::<15>("sequence", sequence)?,
    );
    text.parse()
}

fn part<const N: usize>(name: &'static str, value: u64) -> Result<Digits<N>, Error> {
    Digits::from_number(value).map_err(|_| Error::NumberPartTooLarge { part: name, value, digits: N })
}

/// What is doubtful about a code that somebody else wrote: class digits other than `09`, or a last digit other than `0`.
///
/// Never an error: samples of both kinds are in circulation.
pub fn code_doubts(code: &InvoiceCode) -> Vec<Violation> {
    let text = code.as_str();
    let mut doubts = Vec::new();
    if &text[7..9] != "09" {
        doubts.push(Violation::new("/code", rule::CODE_CLASS, "09 as eighth and ninth digit", text));
    }
    if !text.ends_with('0') {
        doubts.push(Violation::new("/code", rule::CODE_LAST_DIGIT, "0 as last digit", text));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_built_as_announced() {
        assert_eq!(blockchain_code(4403, 18, 1, 1).unwrap().as_str(), "144031809110");
        assert_eq!(blockchain_code(4403, 19, 1, 1).unwrap().as_str(), "144031909110");
        assert_eq!(blockchain_code(5300, 24, 1, 0).unwrap().as_str(), "153002409100");
        assert!(blockchain_code(44_030, 18, 1, 1).is_err());
        assert!(blockchain_code(4403, 100, 1, 1).is_err());
        assert!(blockchain_code(4403, 18, 10, 1).is_err());
        assert!(blockchain_code(4403, 18, 1, 10).is_err());
    }

    #[test]
    fn digital_numbers_have_twenty_digits() {
        assert_eq!(digital_number(26, 44, 0, 1).unwrap().as_str(), "26440000000000000001");
        assert!(digital_number(26, 44, 0, 999_999_999_999_999).is_ok());
        assert!(digital_number(26, 44, 0, 1_000_000_000_000_000).is_err());
        assert!(digital_number(26, 100, 0, 1).is_err());
        assert!(digital_number(26, 44, 10, 1).is_err());
    }

    #[test]
    fn an_odd_last_digit_is_doubted_not_refused() {
        let doubts =
            |code: &str| code_doubts(&code.parse().unwrap()).iter().map(|doubt| doubt.rule).collect::<Vec<_>>();
        assert_eq!(doubts("144031909110"), Vec::<&str>::new());
        assert_eq!(doubts("845032009110"), Vec::<&str>::new());
        assert_eq!(doubts("144032109111"), [rule::CODE_LAST_DIGIT]);
        assert_eq!(doubts("044001911211"), [rule::CODE_CLASS, rule::CODE_LAST_DIGIT]);
    }

    #[test]
    fn leading_zeros_are_kept() {
        let id: InvoiceId = "144031909110-00000042".parse().unwrap();
        assert_eq!(id.to_string(), "144031909110-00000042");
        let InvoiceId::Blockchain { number, .. } = id else { panic!("a blockchain id was parsed") };
        assert_eq!(number.number(), 42);
        let id: InvoiceId = "00440000000000000001".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00440000000000000001\"");
    }

    #[test]
    fn an_id_is_a_code_and_a_number_in_it() {
        for (id, code, number, later) in [
            ("144031909110-00000042", "144031909110", 42, "144031909110-00000050"),
            ("26442000000000000042", "26442", 42, "26442000000000000050"),
        ] {
            let id: InvoiceId = id.parse().unwrap();
            assert_eq!((id.code().as_str(), id.number_in_code()), (code, number));
            assert_eq!(id.with_number(50).unwrap().to_string(), later);
            assert_eq!(id.with_number(1_000_000_000_000_000), None);
        }
    }

    #[test]
    fn what_is_no_invoice_id_is_refused() {
        let wrong = [
            "",
            "-",
            "144031909110",
            "144031909110-",
            "144031909110-1",
            "144031909110-000000042",
            "1440319091100-0000042",
            "144031909110-0000004x",
            "144031909110--0000042",
            "2644000000000000000",
            "264400000000000000011",
            " 26440000000000000001",
            "１".repeat(20).as_str(),
        ]
        .map(str::to_owned);
        for text in wrong {
            assert_eq!(text.parse::<InvoiceId>(), Err(Error::InvoiceIdMalformed { found: text.clone() }));
        }
    }

    fn any_id() -> impl Strategy<Value = InvoiceId> {
        let blockchain =
            (0..1_000_000_000_000_u64, 0..100_000_000_u64).prop_map(|(code, number)| InvoiceId::Blockchain {
                code: Digits::from_number(code).unwrap(),
                number: Digits::from_number(number).unwrap(),
            });
        let digital =
            any::<u64>().prop_map(|number| InvoiceId::Digital { number: Digits::from_number(number).unwrap() });
        prop_oneof![blockchain, digital]
    }

    proptest! {
        #[test]
        fn text_json_and_bytes_give_the_id_back(id in any_id()) {
            prop_assert_eq!(id.to_string().parse::<InvoiceId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<InvoiceId>(&json).unwrap(), id);
            prop_assert_eq!(borsh::from_slice::<InvoiceId>(&borsh::to_vec(&id).unwrap()).unwrap(), id);
        }

        #[test]
        fn no_input_panics(text: String, bytes: Vec<u8>) {
            let _ = text.parse::<InvoiceId>();
            let _ = borsh::from_slice::<InvoiceId>(&bytes);
        }
    }
}
