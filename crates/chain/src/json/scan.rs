//! One pass over a JSON text that refuses whatever could be read in two ways.
//!
//! Iterative, with its own stack, so that nesting costs no call stack.

use std::borrow::Cow;

use super::{JsonError, JsonErrorKind, JsonLimits, NUMBER_MAX, push_segment};

/// Scans a whole text.
pub(super) fn scan(bytes: &[u8], limits: JsonLimits) -> Result<(), JsonError> {
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(at_top(0, JsonErrorKind::ByteOrderMark));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| at_top(error.valid_up_to(), JsonErrorKind::NotUtf8))?;
    let mut scanner = Scanner { text, offset: 0, depth_max: limits.depth_max, open: Vec::new(), keys: Vec::new() };
    match scanner.run() {
        Ok(()) => Ok(()),
        Err(Fault { offset, kind }) => Err(JsonError { offset, path: scanner.path(), kind }),
    }
}

fn at_top(offset: usize, kind: JsonErrorKind) -> JsonError {
    JsonError { offset, path: String::new(), kind }
}

/// A fault whose path is known by the scanner's stack.
struct Fault {
    offset: usize,
    kind: JsonErrorKind,
}

/// An array or object that is still open.
enum Open {
    /// An array, and the index of the element being read.
    Array { index: usize },
    /// An object: where its keys begin in `Scanner::keys`, and the key whose value is being read;
    /// none while a key is being read.
    Object { first: usize, current: Option<usize> },
}

/// A key, escapes resolved, and where it stands.
struct Key<'a> {
    text: Cow<'a, str>,
    offset: usize,
}

struct Scanner<'a> {
    text: &'a str,
    offset: usize,
    depth_max: u8,
    open: Vec<Open>,
    /// The keys of all open objects, outermost first.
    keys: Vec<Key<'a>>,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            // A value is due here. Going into an array or object, its first value is due next.
            if self.value()? {
                continue;
            }
            // A value is complete: close what ends here, then go on to the next value, if any.
            loop {
                self.whitespace();
                if self.open.is_empty() {
                    return match self.peek() {
                        None => Ok(()),
                        Some(_) => Err(self.fault(JsonErrorKind::TrailingBytes)),
                    };
                }
                if self.next_member()? {
                    break;
                }
            }
        }
    }

    /// Reads a scalar or an empty array or object whole, or the beginning of another one.
    /// True when a value inside of it is due.
    fn value(&mut self) -> Result<bool, Fault> {
        self.whitespace();
        match self.peek() {
            Some(b'{') => return self.open_object(),
            Some(b'[') => return self.open_array(),
            Some(b'"') => self.string().map(drop)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return Err(self.syntax("a JSON value")),
        }
        Ok(false)
    }

    fn open_array(&mut self) -> Result<bool, Fault> {
        self.check_depth()?;
        self.offset += 1;
        self.whitespace();
        if self.peek() == Some(b']') {
            self.offset += 1;
            return Ok(false);
        }
        self.open.push(Open::Array { index: 0 });
        Ok(true)
    }

    fn open_object(&mut self) -> Result<bool, Fault> {
        self.check_depth()?;
        self.offset += 1;
        self.whitespace();
        if self.peek() == Some(b'}') {
            self.offset += 1;
            return Ok(false);
        }
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a member or '}'"));
        }
        let key = self.key()?;
        let first = self.keys.len();
        self.keys.push(key);
        self.open.push(Open::Object { first, current: Some(first) });
        Ok(true)
    }

    /// After a value inside an array or object: true when another is due, false when it closed.
    fn next_member(&mut self) -> Result<bool, Fault> {
        match self.open.last_mut() {
            None => Ok(false),
            Some(Open::Array { index }) => match self.text.as_bytes().get(self.offset) {
                Some(b',') => {
                    *index += 1;
                    self.offset += 1;
                    Ok(true)
                }
                Some(b']') => {
                    self.open.pop();
                    self.offset += 1;
                    Ok(false)
                }
                _ => Err(self.syntax("',' or ']'")),
            },
            Some(Open::Object { first, .. }) => {
                let first = *first;
                match self.peek() {
                    Some(b',') => {
                        self.set_current(None);
                        self.offset += 1;
                        self.whitespace();
                        if self.peek() != Some(b'"') {
                            return Err(self.syntax("a member"));
                        }
                        let key = self.key()?;
                        self.set_current(Some(self.keys.len()));
                        self.keys.push(key);
                        Ok(true)
                    }
                    Some(b'}') => {
                        self.close_object(first)?;
                        self.offset += 1;
                        Ok(false)
                    }
                    _ => Err(self.syntax("',' or '}'")),
                }
            }
        }
    }

    /// Notes which key of the innermost object is being read.
    fn set_current(&mut self, key: Option<usize>) {
        if let Some(Open::Object { current, .. }) = self.open.last_mut() {
            *current = key;
        }
    }

    /// Refuses two equal keys in the object whose keys begin at `first`, and forgets its keys.
    ///
    /// Sorting keeps this far from quadratic, whatever keys an attacker picks.
    fn close_object(&mut self, first: usize) -> Result<(), Fault> {
        let keys = self.keys.get_mut(first..).unwrap_or_default();
        keys.sort_unstable_by(|a, b| (&a.text, a.offset).cmp(&(&b.text, b.offset)));
        let twice = keys.windows(2).position(|pair| matches!(pair, [a, b] if a.text == b.text));
        if let Some(position) = twice {
            let second = first + position + 1;
            let offset = self.keys.get(second).map_or(self.offset, |key| key.offset);
            self.set_current(Some(second));
            return Err(Fault { offset, kind: JsonErrorKind::DuplicateKey });
        }
        self.keys.truncate(first);
        self.open.pop();
        Ok(())
    }

    /// Reads a key and the colon after it.
    fn key(&mut self) -> Result<Key<'a>, Fault> {
        let offset = self.offset;
        let text = self.string()?;
        self.whitespace();
        if self.peek() != Some(b':') {
            return Err(self.syntax("':'"));
        }
        self.offset += 1;
        Ok(Key { text, offset })
    }

    /// Reads a string, the scanner standing on its opening quote.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.offset += 1;
        let mut start = self.offset;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0x00..=0x1f)).unwrap_or(rest.len());
            self.offset += plain;
            match self.peek() {
                Some(b'"') => {
                    // Both ends stand beside ASCII, so they are character boundaries.
                    let tail = self.text.get(start..self.offset).unwrap_or_default();
                    self.offset += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(tail),
                        Some(text) => Cow::Owned(text + tail),
                    });
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(self.text.get(start..self.offset).unwrap_or_default());
                    let character = self.escape()?;
                    unescaped.get_or_insert_default().push(character);
                    start = self.offset;
                }
                Some(_) => return Err(self.fault(JsonErrorKind::ControlCharacter)),
                None => return Err(self.syntax("'\"'")),
            }
        }
    }

    /// Reads an escape, the scanner standing on its backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.offset;
        self.offset += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(fault_at(start, JsonErrorKind::Escape)),
        };
        self.offset += 1;
        Ok(character)
    }

    /// Reads `\uXXXX`, or two of them that make a surrogate pair, the scanner standing on the `u`.
    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let unpaired = || fault_at(start, JsonErrorKind::UnpairedSurrogate);
        self.offset += 1;
        let unit = self.four_digits(start)?;
        let code = match unit {
            0 => return Err(fault_at(start, JsonErrorKind::NulCharacter)),
            0xd800..=0xdbff => {
                let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
                if !rest.starts_with(b"\\u") {
                    return Err(unpaired());
                }
                self.offset += 2;
                let low = self.four_digits(start)?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(unpaired());
                }
                0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            _ => unit,
        };
        // A low surrogate alone is no character either.
        char::from_u32(code).ok_or_else(unpaired)
    }

    fn four_digits(&mut self, start: usize) -> Result<u32, Fault> {
        let bytes = self.text.as_bytes();
        let digits = bytes.get(self.offset..self.offset + 4).unwrap_or_default();
        if digits.len() != 4 {
            return Err(fault_at(start, JsonErrorKind::Escape));
        }
        let mut unit = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or_else(|| fault_at(start, JsonErrorKind::Escape))?;
            unit = unit * 16 + value;
        }
        self.offset += 4;
        Ok(unit)
    }

    /// Reads a number: an integer in its one spelling, within ±(2^53 - 1).
    fn number(&mut self) -> Result<(), Fault> {
        let start = self.offset;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.offset += 1;
        }
        let digits_start = self.offset;
        let mut magnitude = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // Saturation is far above the limit, so no digit can bring it back down.
            magnitude = magnitude.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.offset += 1;
        }
        let digits = self.offset - digits_start;
        let zero_first = self.text.as_bytes().get(digits_start) == Some(&b'0');
        if digits == 0 {
            return Err(self.syntax("a digit"));
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(fault_at(start, JsonErrorKind::NotAnInteger));
        }
        if zero_first && (digits > 1 || negative) {
            return Err(fault_at(start, JsonErrorKind::NumberSpelling));
        }
        if magnitude > NUMBER_MAX {
            return Err(fault_at(start, JsonErrorKind::NumberTooLarge));
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.syntax("a JSON value"));
        }
        self.offset += word.len();
        Ok(())
    }

    fn check_depth(&self) -> Result<(), Fault> {
        if self.open.len() < usize::from(self.depth_max) {
            return Ok(());
        }
        Err(self.fault(JsonErrorKind::TooDeep { depth_max: self.depth_max }))
    }

    fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.offset += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn fault(&self, kind: JsonErrorKind) -> Fault {
        fault_at(self.offset, kind)
    }

    fn syntax(&self, expected: &'static str) -> Fault {
        self.fault(JsonErrorKind::Syntax { expected })
    }

    /// The value being read, as a JSON pointer.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Array { index } => push_segment(&mut path, &index.to_string()),
                Open::Object { current, .. } => {
                    if let Some(key) = current.and_then(|current| self.keys.get(current)) {
                        push_segment(&mut path, &key.text);
                    }
                }
            }
        }
        path
    }
}

fn fault_at(offset: usize, kind: JsonErrorKind) -> Fault {
    Fault { offset, kind }
}
