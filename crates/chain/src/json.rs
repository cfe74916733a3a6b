//! JSON that no two parsers can read differently.
//!
//! RFC 8259 leaves room: duplicate keys, huge and fractional numbers, lone surrogates, encodings.
//! What is signed must mean one thing to everybody, so [`check`] refuses all of that before
//! anything is read, and [`from_slice`] reads nothing unchecked. I-JSON (RFC 7493) is wider: it
//! has fractions. What the members mean is for the types that are read; they refuse unknown fields.

mod objects;
mod scan;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::objects::ObjectsOnly;

/// How many bytes of foreign text an error repeats.
const EXCERPT_BYTES_MAX: usize = 160;

/// The largest magnitude of a number: 2^53 - 1, the last integer that every reader holds exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The limits of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// How deep arrays and objects may nest; the outermost counts as one.
    pub depth_max: u8,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { depth_max: 16 }
    }
}

/// Why a JSON text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}, path \"{path}\"")]
pub struct JsonError {
    /// The byte at which the fault was seen.
    pub offset: usize,
    /// The value it concerns, as a JSON pointer (RFC 6901); empty for the whole text.
    pub path: String,
    /// What is wrong.
    pub kind: JsonErrorKind,
}

/// What is wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// Another token was due.
    Syntax {
        /// What may stand here.
        expected: &'static str,
    },
    /// The text goes on after its value.
    TrailingBytes,
    /// Arrays and objects nest too deep.
    TooDeep {
        /// The limit.
        depth_max: u8,
    },
    /// A member occurs twice in one object, escapes resolved.
    DuplicateKey,
    /// A number with a fraction or an exponent.
    NotAnInteger,
    /// A number that begins with a needless zero, or is `-0`.
    NumberSpelling,
    /// A number beyond ±(2^53 - 1).
    NumberTooLarge,
    /// A control character that is not escaped.
    ControlCharacter,
    /// A backslash followed by no escape of JSON.
    Escape,
    /// Half of a surrogate pair.
    UnpairedSurrogate,
    /// The character U+0000.
    NulCharacter,
    /// Well-formed, but not the value asked for: a field unknown or missing, or another type.
    Unexpected {
        /// What the reader said, shortened.
        message: String,
    },
}

impl JsonErrorKind {
    /// What may stand at the place, in words.
    pub fn expected(&self) -> String {
        let text = match self {
            Self::NotUtf8 => "UTF-8",
            Self::ByteOrderMark => "no byte order mark",
            Self::Syntax { expected } => expected,
            Self::TrailingBytes => "the end of the text",
            Self::TooDeep { depth_max } => return format!("at most {depth_max} levels of nesting"),
            Self::DuplicateKey => "each member once",
            Self::NotAnInteger => "an integer (decimal numbers are written as strings)",
            Self::NumberSpelling => "the one spelling of the integer",
            Self::NumberTooLarge => "an integer within ±9007199254740991",
            Self::ControlCharacter => "control characters escaped",
            Self::Escape => "an escape of JSON",
            Self::UnpairedSurrogate => "surrogates in pairs",
            Self::NulCharacter => "no U+0000",
            Self::Unexpected { message } => return message.clone(),
        };
        text.to_owned()
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { message } => f.write_str(message),
            Self::NotUtf8
            | Self::ByteOrderMark
            | Self::Syntax { .. }
            | Self::TrailingBytes
            | Self::TooDeep { .. }
            | Self::DuplicateKey
            | Self::NotAnInteger
            | Self::NumberSpelling
            | Self::NumberTooLarge
            | Self::ControlCharacter
            | Self::Escape
            | Self::UnpairedSurrogate
            | Self::NulCharacter => write!(f, "expected {}", self.expected()),
        }
    }
}

/// Refuses every JSON text that two parsers could read differently.
///
/// One pass; memory in proportion to the keys of the objects still open.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "limits are passed alike everywhere, however small")]
pub fn check(bytes: &[u8], limits: &JsonLimits) -> Result<(), JsonError> {
    scan::scan(bytes, *limits)
}

/// Checks a text with the default limits, then reads it.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, JsonError> {
    check(bytes, &JsonLimits::default())?;
    from_checked_slice(bytes)
}

/// Reads a text that [`check`] has accepted, or a whole value inside of one.
///
/// Structs are read from objects only, which `serde_json` alone would not insist on. Unchecked text is
/// otherwise read as `serde_json` reads it, second meanings included.
pub fn from_checked_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, JsonError> {
    // Looked at as a whole, once: as bytes, every string would be looked at again.
    let Ok(text) = std::str::from_utf8(bytes) else { return read_with_path(bytes) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Tracking the path costs more than reading; only a failure pays for it.
    T::deserialize(ObjectsOnly(&mut deserializer))
        .and_then(|value| deserializer.end().map(|()| value))
        .or_else(|_| read_with_path(bytes))
}

/// The exact bytes of each element of a JSON array, without the whitespace around them.
pub fn elements(array: &[u8]) -> Result<Vec<&[u8]>, JsonError> {
    let raw: Vec<&RawValue> = from_checked_slice(array)?;
    Ok(raw.iter().map(|value| value.get().as_bytes()).collect())
}

fn read_with_path<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(ObjectsOnly(&mut deserializer)).map_err(|error| {
        let path = pointer(error.path());
        unexpected(bytes, path, error.inner())
    })?;
    deserializer.end().map_err(|error| unexpected(bytes, String::new(), &error))?;
    Ok(value)
}

fn unexpected(bytes: &[u8], path: String, error: &serde_json::Error) -> JsonError {
    // The position stands in its own fields already.
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&position).unwrap_or(&text);
    JsonError {
        offset: offset_of(bytes, error.line(), error.column()),
        path,
        kind: JsonErrorKind::Unexpected { message: excerpt(message) },
    }
}

/// The byte at a position of `serde_json`: lines from 1, columns in bytes read of the line.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let line_start =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum::<usize>();
    line_start.saturating_add(column.saturating_sub(1)).min(bytes.len())
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_segment(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_segment(&mut pointer, key),
            Segment::Enum { variant } => push_segment(&mut pointer, variant),
            Segment::Unknown => push_segment(&mut pointer, "?"),
        }
    }
    pointer
}

/// Adds one reference token to a JSON pointer (RFC 6901 §3), shortened when it is long.
fn push_segment(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&excerpt(token).replace('~', "~0").replace('/', "~1"));
}

/// Foreign text for an error: its beginning, cut at a character.
pub(crate) fn excerpt(text: &str) -> String {
    if text.len() <= EXCERPT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=EXCERPT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
