//! Small things about text that several modules need: lengths as tax software counts them, safe excerpts for messages,
//! and serde by way of `Display` and `FromStr`.

use encoding_rs::{EncoderResult, GBK};

/// Longest excerpt of foreign text that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The length of `text` in bytes when encoded as GBK, the measure in which tax software limits names.
///
/// A character that GBK lacks counts four bytes, its length in GB 18030.
pub fn gbk_len(text: &str) -> usize {
    const UNMAPPABLE_BYTES: usize = 4;
    let mut encoder = GBK.new_encoder();
    let mut buffer = [0_u8; 256];
    let mut rest = text;
    let mut bytes = 0_usize;
    loop {
        let (result, read, written) = encoder.encode_from_utf8_without_replacement(rest, &mut buffer, true);
        bytes = bytes.saturating_add(written);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return bytes,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => bytes = bytes.saturating_add(UNMAPPABLE_BYTES),
        }
    }
}

/// An excerpt of foreign text that is safe to print: bounded, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut excerpt = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            excerpt.push('…');
            break;
        }
        if character.is_control() {
            excerpt.extend(character.escape_default());
        } else {
            excerpt.push(character);
        }
    }
    excerpt
}

/// Implements serde for a type as the string that its `Display` writes and its `FromStr` reads.
macro_rules! text_serde {
    ($type:ty, $expecting:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }
    };
}
pub(crate) use text_serde;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gbk_counts_two_bytes_a_chinese_character_and_four_for_what_it_lacks() {
        assert_eq!(gbk_len(""), 0);
        assert_eq!(gbk_len("abc"), 3);
        assert_eq!(gbk_len("深圳市"), 6);
        assert_eq!(gbk_len("深a圳"), 5);
        assert_eq!(gbk_len("\u{1F4A9}"), 4);
        assert_eq!(gbk_len("a\u{1F4A9}深"), 7);
    }

    #[test]
    fn gbk_length_of_long_text_is_exact() {
        assert_eq!(gbk_len(&"税".repeat(1_000)), 2_000);
        assert_eq!(gbk_len(&"\u{20BB7}".repeat(1_000)), 4_000);
    }

    #[test]
    fn an_excerpt_is_bounded_and_shows_control_characters() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
