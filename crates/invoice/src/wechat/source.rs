//! Reading the foreign JSON: what kind it is, and values with a path for every complaint.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::text::shown;
use crate::violation::RuleEntry;

/// Deepest nesting that is read; applications have five levels.
const DEPTH_MAX: usize = 32;

/// What a WeChat Pay document about fapiao is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asks to have fapiao issued: what can be converted.
    Application,
    /// Somebody asks to have an issued fapiao reversed.
    Reversal,
    /// The answer to a query about fapiao that were issued already.
    QueryResult,
    /// Somebody puts a fapiao that was issued elsewhere into a card wallet.
    CardInsertion,
    /// A notification, its content enciphered.
    Notification,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Application => "an application to issue fapiao",
            Kind::Reversal => "a request to reverse fapiao",
            Kind::QueryResult => "the result of a query for fapiao that were issued already",
            Kind::CardInsertion => "a request to put fapiao into a card wallet",
            Kind::Notification => "a notification with enciphered content",
        })
    }
}

/// The codes of [`ConvertError`]; all are the sender's to mend.
pub const CODES: &[RuleEntry] = &[
    entry("source.not-json", "The input is JSON that can be read one way only.", "Export the application again."),
    entry(
        "source.reversal",
        "A reversal is not an application to issue.",
        "Give the application; reversals are red-letter invoices.",
    ),
    entry(
        "source.query-result",
        "A query result is not an application to issue.",
        "Give the application; what was issued elsewhere is not issued again.",
    ),
    entry(
        "source.card-insertion",
        "A request to fill a card wallet is not an application to issue.",
        "Give the application.",
    ),
    entry("source.notification", "A notification is not an application to issue.", "Give the application."),
    entry(
        "source.unrecognised",
        "The input is a WeChat Pay fapiao application.",
        "Give an application with buyer_information and fapiao_information, or a document of our own shape.",
    ),
    entry(
        "source.unexpected-value",
        "Every value of an application can be read exactly.",
        "Correct the value at the path.",
    ),
    entry("source.personal-too-large", "The personal fields of an application fit an attachment.", "Shorten them."),
];

const fn entry(code: &'static str, summary: &'static str, cure: &'static str) -> RuleEntry {
    RuleEntry { code, summary, cure }
}

/// Why a foreign document gives no invoice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Not JSON, or JSON that gives a field twice.
    #[error("the input is not JSON that can be read one way only: {reason}")]
    NotJson {
        /// What the reader found, with line and column.
        reason: String,
    },
    /// One of WeChat Pay's documents, but not one that asks for invoices.
    #[error("this is {kind}, not an application to issue fapiao")]
    NotAnApplication {
        /// What it is.
        kind: Kind,
    },
    /// None of WeChat Pay's documents.
    #[error(
        "this is no WeChat Pay fapiao application: an object with buyer_information and fapiao_information is expected"
    )]
    Unrecognised,
    /// A value that is missing or not what it should be.
    #[error("{path}: expected {expected}, found {actual}")]
    Unexpected {
        /// Where, as a JSON pointer.
        path: String,
        /// What should be there.
        expected: String,
        /// What is there, cut to an excerpt.
        actual: String,
    },
    /// A personal field beyond the limits of an attachment.
    #[error("a personal field is too large")]
    Personal(#[source] Error),
}

impl ConvertError {
    /// The stable code of this situation.
    pub fn code(&self) -> &'static str {
        match self {
            ConvertError::NotJson { .. } => "source.not-json",
            ConvertError::NotAnApplication { kind } => match kind {
                Kind::Reversal => "source.reversal",
                Kind::QueryResult => "source.query-result",
                Kind::CardInsertion => "source.card-insertion",
                Kind::Notification => "source.notification",
                Kind::Application => "source.unrecognised",
            },
            ConvertError::Unrecognised => "source.unrecognised",
            ConvertError::Unexpected { .. } => "source.unexpected-value",
            ConvertError::Personal(_) => "source.personal-too-large",
        }
    }

    pub(super) fn unexpected(path: impl Into<String>, expected: impl Into<String>, actual: impl AsRef<str>) -> Self {
        ConvertError::Unexpected { path: path.into(), expected: expected.into(), actual: shown(actual.as_ref()) }
    }

    pub(super) fn out_of_range(path: impl Into<String>) -> Self {
        ConvertError::unexpected(path, "amounts that fit 64 bits of fen", "more")
    }
}

/// Reads JSON, refusing a field that is given twice.
pub(super) fn read(json: &[u8]) -> Result<Value, ConvertError> {
    let read = || {
        check_unique(serde_json::from_slice(json)?, 1)?;
        serde_json::from_slice(json)
    };
    read().map_err(|error: serde_json::Error| ConvertError::NotJson { reason: shown(&error.to_string()) })
}

/// What the document is, by the fields that only its kind has.
pub(super) fn kind(value: &Value) -> Option<Kind> {
    let object = value.as_object()?;
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    if has("reverse_reason") {
        return Some(Kind::Reversal);
    }
    if has("fapiao_card_information") {
        return Some(Kind::CardInsertion);
    }
    if has("resource") && has("event_type") {
        return Some(Kind::Notification);
    }
    let information = object.get("fapiao_information")?;
    let fapiao = information.as_array().map_or(std::slice::from_ref(information), Vec::as_slice);
    let any = |names: &[&str]| {
        fapiao.iter().any(|one| names.iter().any(|name| one.get(name).is_some_and(|value| !value.is_null())))
    };
    if has("total_count") || any(&["status", "blue_fapiao", "red_fapiao", "card_information"]) {
        return Some(Kind::QueryResult);
    }
    if has("buyer_information") {
        return Some(Kind::Application);
    }
    // A reversal may leave its reason out, but names the number of what it reverses.
    (any(&["fapiao_number"]) && !any(&["items"])).then_some(Kind::Reversal)
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(value: &'a Value) -> Cursor<'a> {
        Cursor { value, path: String::new() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn unexpected(&self, expected: &str) -> ConvertError {
        let actual = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => format!("\"{text}\""),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        ConvertError::unexpected(&self.path, expected, actual)
    }

    /// The fields of an object.
    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, ConvertError> {
        self.value.as_object().ok_or_else(|| self.unexpected("an object"))
    }

    /// A field; null is as good as left out.
    fn field(&self, name: &str) -> Result<Option<Cursor<'a>>, ConvertError> {
        let value = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| Cursor { value, path: format!("{}/{name}", self.path) }))
    }

    pub(super) fn required(&self, name: &str) -> Result<Cursor<'a>, ConvertError> {
        let missing = || ConvertError::unexpected(format!("{}/{name}", self.path), "a value", "none");
        self.field(name)?.ok_or_else(missing)
    }

    /// A text field; empty is as good as left out.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ConvertError> {
        let Some(field) = self.field(name)? else {
            return Ok(None);
        };
        let text = field.value.as_str().ok_or_else(|| field.unexpected("a string"))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub(super) fn required_text(&self, name: &str) -> Result<&'a str, ConvertError> {
        let missing = || ConvertError::unexpected(format!("{}/{name}", self.path), "a text that is not empty", "none");
        self.text(name)?.ok_or_else(missing)
    }

    /// A number field, read exactly: `1.0` and `1e2` are not integers, nor is text.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, ConvertError> {
        let Some(field) = self.field(name)? else {
            return Ok(None);
        };
        field.value.as_i64().map(Some).ok_or_else(|| field.unexpected("an integer of 64 bits"))
    }

    pub(super) fn required_integer(&self, name: &str) -> Result<i64, ConvertError> {
        let missing = || ConvertError::unexpected(format!("{}/{name}", self.path), "an integer of 64 bits", "none");
        self.integer(name)?.ok_or_else(missing)
    }

    /// A boolean field; false when left out.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ConvertError> {
        let Some(field) = self.field(name)? else {
            return Ok(false);
        };
        field.value.as_bool().ok_or_else(|| field.unexpected("true or false"))
    }

    /// The elements of an array.
    pub(super) fn many(&self) -> Result<Vec<Cursor<'a>>, ConvertError> {
        let array = self.value.as_array().ok_or_else(|| self.unexpected("an array"))?;
        let element = |(index, value)| Cursor { value, path: format!("{}/{index}", self.path) };
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// The elements of an array, or an object as the only element: the two shapes differ in just this.
    pub(super) fn one_or_many(&self) -> Result<Vec<Cursor<'a>>, ConvertError> {
        match self.value {
            Value::Object(_) => Ok(vec![self.clone()]),
            Value::Array(_) => self.many(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(self.unexpected("an object or an array of objects"))
            }
        }
    }
}

/// Refuses an object that gives a field twice, at any depth.
///
/// A [`Value`] keeps the last of two fields without a word; another reader may keep the first.
fn check_unique(raw: &RawValue, depth: usize) -> Result<(), serde_json::Error> {
    if depth > DEPTH_MAX {
        return Err(serde_json::Error::custom(format!("more than {DEPTH_MAX} levels")));
    }
    let values = match raw.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Fields<'_>>(raw.get())?.0,
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(raw.get())?,
        _ => return Ok(()),
    };
    values.into_iter().try_for_each(|value| check_unique(value, depth + 1))
}

/// The values of an object whose names are all different.
struct Fields<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Fields<'de>, A::Error> {
                let mut names = BTreeSet::new();
                let mut values = Vec::new();
                while let Some((name, value)) = fields.next_entry::<String, &'de RawValue>()? {
                    values.push(value);
                    if let Some(name) = names.replace(name) {
                        return Err(A::Error::custom(format!("the field \"{}\" is given twice", shown(&name))));
                    }
                }
                Ok(Fields(values))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}
