//! What a buyer says of an invoice that was issued to it, and what its seller says otherwise about one.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use invoice::correction::Correction;
use invoice::id::InvoiceId;
use serde::{Deserialize, Deserializer, Serialize};

/// What a buyer says of an invoice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Stance {
    /// It knows of it, and says no more yet.
    Acknowledge = 1,
    /// The sale took place as the invoice says.
    Confirm = 2,
    /// The sale took place otherwise.
    Dispute = 3,
    /// It knows of no such sale.
    Unknown = 4,
    /// The sale was agreed on, and did not take place.
    NotDone = 5,
}

impl Stance {
    /// The stance, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Confirm => "confirm",
            Self::Dispute => "dispute",
            Self::Unknown => "unknown",
            Self::NotDone => "not-done",
        }
    }

    /// Whether it must say why.
    pub const fn needs_reason(self) -> bool {
        match self {
            Self::Dispute | Self::Unknown | Self::NotDone => true,
            Self::Acknowledge | Self::Confirm => false,
        }
    }
}

/// Why a buyer does not agree: 15 to 200 characters, none of them a control character. It is on the ledger, where both
/// parties read it: nothing personal belongs in it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Grounds(String);

/// A text that is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 15 to 200 characters, none of them a control character, found {found} characters")]
pub struct GroundsError {
    /// How many it has.
    pub found: usize,
}

impl Grounds {
    /// The reason as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Grounds {
    type Err = GroundsError;

    fn from_str(text: &str) -> Result<Self, GroundsError> {
        let found = text.chars().count();
        // Spaces around it say nothing.
        let said = text.trim_matches(' ').chars().count();
        if (15..=200).contains(&said) && found <= 200 && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(GroundsError { found })
        }
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Grounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl BorshDeserialize for Grounds {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        String::deserialize_reader(reader)?
            .parse()
            .map_err(|error: GroundsError| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, error.to_string()))
    }
}

/// Say what the buyer has to say of an invoice. The newest word counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "ManifestFields")]
pub struct Manifest {
    /// The invoice.
    pub invoice: InvoiceId,
    /// What.
    pub kind: Stance,
    /// Why; of a dispute, an unknown invoice and a sale that was not done, and of nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Grounds>,
}

#[derive(Deserialize)]
#[serde(rename = "manifest", deny_unknown_fields)]
struct ManifestFields {
    invoice: InvoiceId,
    kind: Stance,
    #[serde(default)]
    reason: Option<Grounds>,
}

/// A reason where there must be none, or none where there must be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Nobody said why.
    #[error("expected a reason of 15 characters or more, found none")]
    ReasonMissing,
    /// There is nothing to give a reason for.
    #[error("expected no reason of who agrees, found one")]
    ReasonUnexpected,
}

impl Manifest {
    /// A manifestation whose reason fits what it says.
    ///
    /// # Errors
    /// When it does not.
    pub fn new(invoice: InvoiceId, kind: Stance, reason: Option<Grounds>) -> Result<Self, ManifestError> {
        match (kind.needs_reason(), reason.is_some()) {
            (true, false) => Err(ManifestError::ReasonMissing),
            (false, true) => Err(ManifestError::ReasonUnexpected),
            (true, true) | (false, false) => Ok(Self { invoice, kind, reason }),
        }
    }
}

impl TryFrom<ManifestFields> for Manifest {
    type Error = ManifestError;

    fn try_from(fields: ManifestFields) -> Result<Self, ManifestError> {
        Self::new(fields.invoice, fields.kind, fields.reason)
    }
}

/// Say otherwise what no tax depends on. The document stays as it was signed, with its hash; the correction stands beside
/// it for everybody who sees the invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correct {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The fields, as they are meant; at least one.
    #[serde(deserialize_with = "not_empty")]
    pub fields: Correction,
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Correction, D::Error> {
    let fields = <Correction as Deserialize>::deserialize(deserializer)?;
    if fields.is_empty() {
        return Err(serde::de::Error::custom("expected at least one field to correct, found none"));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn read(text: &str) -> Result<Event, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn who_disagrees_says_why_in_fifteen_characters() {
        let of = |kind: &str, rest: &str| {
            read(&format!(r#"{{"manifest":{{"invoice":"26442000000000000001","kind":"{kind}"{rest}}}}}"#))
        };
        for kind in ["acknowledge", "confirm"] {
            assert!(of(kind, "").is_ok());
            assert!(of(kind, r#","reason":"fifteen letters""#).unwrap_err().starts_with("expected no reason"));
        }
        for kind in ["dispute", "unknown", "not-done"] {
            assert!(of(kind, "").unwrap_err().starts_with("expected a reason"));
            assert!(of(kind, r#","reason":"fifteen letters""#).is_ok());
            assert!(of(kind, r#","reason":"fourteen signs""#).unwrap_err().contains("found 14 characters"));
            assert!(of(kind, r#","reason":"fourteen signs ""#).is_err(), "a space at its end says nothing");
        }
        assert!("x".repeat(200).parse::<Grounds>().is_ok());
        assert_eq!("x".repeat(201).parse::<Grounds>(), Err(GroundsError { found: 201 }));
        assert!("fifteen\tletters".parse::<Grounds>().is_err());
    }

    #[test]
    fn a_correction_names_a_field_and_none_that_tax_depends_on() {
        let of =
            |fields: &str| read(&format!(r#"{{"correct":{{"invoice":"26442000000000000001","fields":{fields}}}}}"#));
        assert!(of(r#"{"remark":"order 7"}"#).is_ok());
        assert!(of("{}").unwrap_err().starts_with("expected at least one field"));
        assert!(of(r#"{"totals":{}}"#).is_err());
    }
}
