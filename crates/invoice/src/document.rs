//! The document: what a seller says about one sale.
//!
//! It holds nothing personal: a natural person is an opaque id, and names, phones and the people who drew or checked the
//! invoice travel in the attachment. Code, number and time of issue are not in it either; the ledger assigns them.
//!
//! Every field that a type can guarantee is typed; what depends on parameters or on other fields is for
//! [`Document::validate`].

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::date::Date;
use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::error::Error;
use crate::rate::TaxTreatment;
use crate::rules::Rules;
use crate::taxpayer::TaxpayerId;
use crate::text::shown;
use crate::validate;
use crate::view::View;
use crate::violation::Validation;

/// Leads the bytes under a content hash, so that no other structure can have the same. Changing this forks the chain.
const CONTENT_TAG: &[u8; 19] = b"einvoice-document-1";

/// Which kind of invoice the document asks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Blockchain e-invoice, ordinary: code and 8-digit number.
    BlockchainOrdinary,
    /// Fully digital invoice, ordinary: 20 digits.
    DigitalOrdinary,
    /// Fully digital invoice, special: 20 digits, creditable against the buyer's VAT.
    DigitalSpecial,
}

impl Profile {
    /// Whether invoices of this profile give the buyer a VAT credit and fall under the rules for special invoices.
    pub const fn is_special(self) -> bool {
        match self {
            Profile::DigitalSpecial => true,
            Profile::BlockchainOrdinary | Profile::DigitalOrdinary => false,
        }
    }

    /// Whether invoices of this profile have a 20-digit number and no code.
    pub const fn is_digital(self) -> bool {
        match self {
            Profile::DigitalSpecial | Profile::DigitalOrdinary => true,
            Profile::BlockchainOrdinary => false,
        }
    }

    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Profile::BlockchainOrdinary => "blockchain-ordinary",
            Profile::DigitalOrdinary => "digital-ordinary",
            Profile::DigitalSpecial => "digital-special",
        }
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An organisation as seller or buyer. Its data may stand on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Name as registered.
    pub name: String,
    /// Taxpayer id.
    pub taxpayer_id: TaxpayerId,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<String>,
    /// Account number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// A natural person as buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// An opaque id: 1 to 64 of `A-Z a-z 0-9 . _ -`. Never a name or a citizen number.
    pub id: String,
}

/// Who bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Buyer {
    /// An organisation.
    Organisation(Party),
    /// A natural person.
    Person(Person),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Name of the goods or services.
    pub name: String,
    /// Tax classification code, 19 digits.
    pub tax_code: String,
    /// Specification or model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specification: Option<String>,
    /// Unit of the quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Quantity, in units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// Price of a unit without tax, in yuan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
    /// Amount without tax.
    pub net: Amount,
    /// How the line is taxed.
    pub tax: TaxTreatment,
    /// The tax.
    pub tax_amount: Amount,
    /// Whether the line discounts the line before it.
    #[serde(default)]
    pub discount: bool,
    /// The preferential policy that the line uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferential: Option<String>,
}

/// The totals that the seller states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Without tax.
    pub net: Amount,
    /// Tax.
    pub tax: Amount,
    /// With tax.
    pub gross: Amount,
}

/// What a seller says about one sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The kind of invoice.
    pub profile: Profile,
    /// The seller's own document number, unique for this seller for ever.
    pub reference: String,
    /// Who sold.
    pub seller: Party,
    /// Who bought.
    pub buyer: Buyer,
    /// What was sold; a discount line follows the line that it discounts.
    pub lines: Vec<Line>,
    /// The totals over all lines.
    pub totals: Totals,
    /// SHA-256 of the payment order that the invoice belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_ref: Option<Digest>,
    /// A remark. It is on the ledger: nothing personal belongs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// SHA-256 of the attachment's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Digest>,
}

/// The sum of the lines under one tax treatment, discounts netted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct RateTotal {
    /// The treatment.
    pub treatment: TaxTreatment,
    /// Without tax.
    pub net: Amount,
    /// Tax.
    pub tax: Amount,
}

impl Document {
    /// Reads a document from JSON, or [`Error::DocumentMalformed`].
    ///
    /// For what people wrote; signed bytes are first read strictly elsewhere. To learn everything that is wrong with the
    /// values of a document that this refuses, use [`crate::Draft`].
    pub fn parse(json: &[u8]) -> Result<Document, Error> {
        serde_json::from_slice(json).map_err(|error| Error::DocumentMalformed { reason: shown(&error.to_string()) })
    }

    /// Everything that forbids the document on that day, and everything doubtful about it.
    ///
    /// Deterministic: part of the rules that every validator applies. `date` is the day of issue in UTC+8. Whether a party
    /// registered with a unified social credit code is not known here, so a wrong check character is a warning.
    pub fn validate(&self, rules: &Rules, date: Date) -> Validation {
        validate::validate(&View::from(self), rules, date)
    }

    /// SHA-256 over the content in its one binary encoding: the same however the JSON was spelt.
    ///
    /// Changing this forks the chain.
    pub fn content_hash(&self) -> Digest {
        Digest::of(&self.content_bytes())
    }

    /// The bytes under [`Document::content_hash`]: the tag, then the fields in order as Borsh.
    fn content_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTENT_TAG.to_vec();
        borsh::to_writer(&mut bytes, self).expect("writing to memory cannot fail below 4 GiB a field");
        bytes
    }

    /// The sums by tax treatment, in the order of [`TaxTreatment`], or [`Error::AmountOverflow`].
    pub fn totals_by_rate(&self) -> Result<Vec<RateTotal>, Error> {
        // 128 bits: no document is long enough to overflow them on the way.
        let mut sums: BTreeMap<TaxTreatment, (i128, i128)> = BTreeMap::new();
        for line in &self.lines {
            let (net, tax) = sums.entry(line.tax).or_default();
            *net += i128::from(line.net.fen());
            *tax += i128::from(line.tax_amount.fen());
        }
        let total = |(treatment, (net, tax))| {
            Ok(RateTotal { treatment, net: Amount::try_from_fen(net)?, tax: Amount::try_from_fen(tax)? })
        };
        sums.into_iter().map(total).collect()
    }

    /// What the document costs to check, in units of about a microsecond on the reference machine; the same everywhere.
    pub fn work_units(&self) -> u64 {
        const BASE: u64 = 4;
        let lines = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        BASE.saturating_add(lines)
    }
}

#[cfg(test)]
mod tests;
