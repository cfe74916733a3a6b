//! Small things about text that several modules need: lengths as tax software counts them, safe excerpts for messages,
//! and serde by way of `Display` and `FromStr`.

use encoding_rs::{EncoderResult, GBK};

/// Longest excerpt of foreign text that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The length of `text` in bytes when encoded as GBK, the measure in which tax software limits names.
///
/// A character that GBK lacks counts four bytes, its length in GB 18030.
pub fn gbk_len(text: &str) -> usize {
    text.chars().map(gbk_char_len).fold(0, usize::saturating_add)
}

fn gbk_char_len(character: char) -> usize {
    const UNMAPPABLE_BYTES: usize = 4;
    match character {
        '\0'..='\x7F' => 1,
        // The block that nearly every name is written in; the encoder searches for each character of it.
        '\u{4E00}'..='\u{9FA5}' => 2,
        other => {
            let mut encoder = GBK.new_encoder();
            let (mut utf8, mut buffer) = ([0_u8; 4], [0_u8; 16]);
            match encoder.encode_from_utf8_without_replacement(other.encode_utf8(&mut utf8), &mut buffer, true) {
                (EncoderResult::InputEmpty | EncoderResult::OutputFull, _, written) => written,
                (EncoderResult::Unmappable(_), _, _) => UNMAPPABLE_BYTES,
            }
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
    fn lengths_known_by_heart_are_those_of_the_encoder() {
        for character in ('\0'..='\x7F').chain('\u{4E00}'..='\u{9FA5}') {
            let text = character.to_string();
            let (bytes, _, lacking) = GBK.encode(&text);
            assert_eq!((bytes.len(), lacking), (gbk_char_len(character), false), "{character:?}");
        }
    }

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
