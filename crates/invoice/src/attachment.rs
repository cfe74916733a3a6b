//! The attachment: personal fields that never reach the ledger.
//!
//! Its bytes are JSON, `{"salt":"<base64url>","personal":{…}}`, and are kept and hashed as they came: nothing here is ever
//! written anew from what was read. The salt keeps anybody from guessing a name and comparing hashes. Who may see an
//! attachment, and when it is erased, is decided by the node that keeps it; the ledger verifies without it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::text::shown;

/// Largest attachment, bytes.
pub const BYTES_MAX: usize = 64 * 1024;
/// Longest personal field, characters. Merchants send phones and addresses enciphered, which takes 344.
pub const FIELD_CHARS_MAX: usize = 512;
/// Most details of lines in one attachment.
pub const DETAILS_MAX: usize = 500;
/// Shortest and longest salt, bytes.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 16..=32;

/// Personal fields of an invoice. All optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Personal {
    /// Name of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_name: Option<String>,
    /// Citizen or taxpayer number of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_taxpayer_id: Option<String>,
    /// Address of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_address: Option<String>,
    /// Telephone on the invoice of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_telephone: Option<String>,
    /// Bank of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_bank: Option<String>,
    /// Account of a natural person who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_account: Option<String>,
    /// Mobile phone to which the invoice is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_phone: Option<String>,
    /// Mail address to which the invoice is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_email: Option<String>,
    /// What the buyer wrote with the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_message: Option<String>,
    /// Who drew the invoice (开票人).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawer: Option<String>,
    /// The drawer's number in the seller's system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawer_id: Option<String>,
    /// Who took the money (收款人).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payee: Option<String>,
    /// Who checked the invoice (复核人).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// Details of lines that name persons or places: the traveller, the let property, the number plate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// Personal facts about one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// The line, counted from 0.
    pub line: u32,
    /// The facts by name, such as `address` or `plate_no`.
    pub facts: BTreeMap<String, String>,
}

impl Personal {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Personal::default()
    }

    /// [`Error::PersonalTooLong`] or [`Error::DetailsTooMany`] for the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Error> {
        let fields = [
            ("buyer_name", &self.buyer_name),
            ("buyer_taxpayer_id", &self.buyer_taxpayer_id),
            ("buyer_address", &self.buyer_address),
            ("buyer_telephone", &self.buyer_telephone),
            ("buyer_bank", &self.buyer_bank),
            ("buyer_account", &self.buyer_account),
            ("buyer_phone", &self.buyer_phone),
            ("buyer_email", &self.buyer_email),
            ("buyer_message", &self.buyer_message),
            ("drawer", &self.drawer),
            ("drawer_id", &self.drawer_id),
            ("payee", &self.payee),
            ("reviewer", &self.reviewer),
        ];
        for (name, text) in fields {
            if let Some(text) = text {
                length(name, text)?;
            }
        }
        let facts: usize = self.details.iter().map(|detail| detail.facts.len().max(1)).sum();
        if facts > DETAILS_MAX {
            return Err(Error::DetailsTooMany { found: facts, limit: DETAILS_MAX });
        }
        for (name, text) in self.details.iter().flat_map(|detail| &detail.facts) {
            length("name of a detail", name)?;
            length(name, text)?;
        }
        Ok(())
    }
}

fn length(field: &str, text: &str) -> Result<(), Error> {
    let found = text.chars().count();
    if found > FIELD_CHARS_MAX {
        return Err(Error::PersonalTooLong { field: shown(field), found, limit: FIELD_CHARS_MAX });
    }
    Ok(())
}

/// The JSON in an attachment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    salt: String,
    personal: Personal,
}

/// An attachment: the exact bytes, and what they say.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    bytes: Vec<u8>,
    personal: Personal,
}

/// Refuses arrays in the place of objects: a struct can be read from either, but what is signed and
/// served is to be read in any language.
fn objects(bytes: &[u8]) -> Result<(), Error> {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let personal = &value["personal"];
    let details = personal["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    if value.is_object() && personal.is_object() && details.iter().all(serde_json::Value::is_object) {
        Ok(())
    } else {
        Err(Error::AttachmentMalformed { reason: "an array stands where an object must".to_owned() })
    }
}

impl Attachment {
    /// Reads an attachment and keeps its bytes.
    ///
    /// [`Error::AttachmentMalformed`] for anything but the JSON described, [`Error::SaltLength`], and the errors of
    /// [`Personal::validate`].
    pub fn parse(bytes: Vec<u8>) -> Result<Attachment, Error> {
        size(bytes.len())?;
        let content: Content = serde_json::from_slice(&bytes)
            .map_err(|error| Error::AttachmentMalformed { reason: shown(&error.to_string()) })?;
        objects(&bytes)?;
        // The engine refuses padding and stray last bits, so a salt has one spelling.
        let salt = URL_SAFE_NO_PAD
            .decode(&content.salt)
            .map_err(|_| Error::AttachmentMalformed { reason: "the salt is not base64url".to_owned() })?;
        salt_length(&salt)?;
        content.personal.validate()?;
        Ok(Attachment { bytes, personal: content.personal })
    }

    /// Writes an attachment, with the errors of [`Attachment::parse`].
    ///
    /// The salt must be unguessable; it is the caller's, because this room knows no randomness.
    pub fn build(salt: &[u8], personal: &Personal) -> Result<Attachment, Error> {
        salt_length(salt)?;
        personal.validate()?;
        let content = Content { salt: URL_SAFE_NO_PAD.encode(salt), personal: personal.clone() };
        let bytes = serde_json::to_vec(&content)
            .map_err(|error| Error::AttachmentMalformed { reason: shown(&error.to_string()) })?;
        size(bytes.len())?;
        Ok(Attachment { bytes, personal: content.personal })
    }

    /// The bytes as they came or were written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without the rest.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What the attachment says.
    pub fn personal(&self) -> &Personal {
        &self.personal
    }

    /// SHA-256 of the bytes: what the document signs.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// Only the length: personal fields do not belong in logs.
impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({} bytes)", self.bytes.len())
    }
}

fn size(bytes: usize) -> Result<(), Error> {
    if bytes > BYTES_MAX {
        return Err(Error::AttachmentMalformed { reason: format!("{bytes} bytes, at most {BYTES_MAX} are allowed") });
    }
    Ok(())
}

fn salt_length(salt: &[u8]) -> Result<(), Error> {
    if SALT_BYTES.contains(&salt.len()) { Ok(()) } else { Err(Error::SaltLength { found: salt.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn personal() -> Personal {
        let facts = BTreeMap::from([("plate_no".to_owned(), "粤B00000".to_owned())]);
        Personal {
            buyer_name: Some("某人".to_owned()),
            drawer: Some("开票人".to_owned()),
            details: vec![Detail { line: 0, facts }],
            ..Personal::default()
        }
    }

    #[test]
    fn what_was_built_can_be_parsed_and_keeps_its_bytes() {
        let built = Attachment::build(&[7; 16], &personal()).unwrap();
        let parsed = Attachment::parse(built.bytes().to_vec()).unwrap();
        assert_eq!(parsed, built);
        assert_eq!(parsed.personal(), &personal());
        assert_eq!(parsed.hash(), Digest::of(built.bytes()));
        let text = std::str::from_utf8(built.bytes()).unwrap();
        assert!(text.starts_with("{\"salt\":\"BwcHBwcHBwcHBwcHBwcHBw\",\"personal\":{\"buyer_name\":"), "{text}");
    }

    #[test]
    fn another_spelling_of_the_same_content_has_another_hash() {
        let built = Attachment::build(&[7; 16], &Personal::default()).unwrap();
        let spaced = String::from_utf8(built.bytes().to_vec()).unwrap().replace(':', ": ");
        let parsed = Attachment::parse(spaced.clone().into_bytes()).unwrap();
        assert_eq!(parsed.bytes(), spaced.as_bytes());
        assert_ne!(parsed.hash(), built.hash());
    }

    #[test]
    fn the_salt_also_separates_equal_content() {
        let hash = |salt: &[u8]| Attachment::build(salt, &personal()).unwrap().hash();
        assert_ne!(hash(&[1; 16]), hash(&[2; 16]));
        assert_eq!(Attachment::build(&[1; 15], &personal()), Err(Error::SaltLength { found: 15 }));
        assert_eq!(Attachment::build(&[1; 33], &personal()), Err(Error::SaltLength { found: 33 }));
    }

    #[test]
    fn what_is_no_attachment_is_refused() {
        let salt = "BwcHBwcHBwcHBwcHBwcHBw";
        let wrong = [
            String::new(),
            "{}".to_owned(),
            format!("{{\"salt\":\"{salt}\"}}"),
            format!("{{\"salt\":\"{salt}==\",\"personal\":{{}}}}"),
            format!("{{\"salt\":\"{}x\",\"personal\":{{}}}}", &salt[..21]),
            "{\"salt\":\"BwcH\",\"personal\":{}}".to_owned(),
            format!("{{\"salt\":\"{salt}\",\"personal\":{{\"unknown\":\"x\"}}}}"),
            format!("{{\"salt\":\"{salt}\",\"personal\":{{}},\"more\":1}}"),
            format!("{{\"salt\":\"{salt}\",\"salt\":\"{salt}\",\"personal\":{{}}}}"),
            format!("{{\"salt\":\"{salt}\",\"personal\":{{\"drawer\":\"{}\"}}}}", "长".repeat(513)),
            format!("{{\"salt\":\"{salt}\",\"personal\":{{\"drawer\":\"{}\"}}}}", "x".repeat(BYTES_MAX)),
        ];
        for text in wrong {
            assert!(Attachment::parse(text.clone().into_bytes()).is_err(), "{}", shown(&text));
        }
    }

    #[test]
    fn debug_output_says_nothing_personal() {
        let built = Attachment::build(&[7; 16], &personal()).unwrap();
        assert!(!format!("{built:?}").contains("某人"));
    }
}
