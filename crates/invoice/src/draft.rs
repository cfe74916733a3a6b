//! A document as somebody wrote it, to be told everything that is wrong with it at once.
//!
//! Reading straight into a [`Document`] stops at the first value that cannot be what it claims. A draft goes on: unknown
//! and missing fields, wrong types, malformed numbers and broken rules are all findings with a path. It never admits what
//! reading a [`Document`] refuses.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::date::Date;
use crate::digest::Digest;
use crate::document::{Document, Profile};
use crate::error::Error;
use crate::rate::{Rate, TaxTreatment};
use crate::rules::Rules;
use crate::text::shown;
use crate::validate;
use crate::view::{BuyerView, Given, LineView, PartyView, View};
use crate::violation::{Validation, Violation, rule};

/// Most findings that reading reports; a document with more is not worth more.
const FINDINGS_MAX: usize = 1_000;

/// Any JSON that is meant as a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draft(Value);

impl Draft {
    /// Reads any JSON, or [`Error::DocumentMalformed`].
    pub fn parse(json: &[u8]) -> Result<Draft, Error> {
        serde_json::from_slice(json).map_err(|error| Error::DocumentMalformed { reason: shown(&error.to_string()) })
    }

    /// Everything that forbids the draft on that day, and everything doubtful about it.
    pub fn validate(&self, rules: &Rules, date: Date) -> Validation {
        validate::validate(&view(&self.0), rules, date)
    }
}

impl From<Value> for Draft {
    fn from(value: Value) -> Draft {
        Draft(value)
    }
}

/// A document that was read, if it could be, and the verdict on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The document; present when every value could be read, whether or not it keeps the rules.
    pub document: Option<Document>,
    /// The verdict. Never without violations when there is no document.
    pub validation: Validation,
}

/// Reads and judges a document from JSON, with all findings whatever their kind.
pub fn examine(json: &[u8], rules: &Rules, date: Date) -> Examined {
    let refusal = match Document::parse(json) {
        Ok(document) => {
            let validation = document.validate(rules, date);
            // A struct can also be read from an array, by position; a draft has fields by name alone.
            let named = Draft::parse(json).map(|draft| draft.validate(rules, date)).unwrap_or_default();
            if named.violations != validation.violations {
                return Examined { document: None, validation: named };
            }
            return Examined { document: Some(document), validation };
        }
        Err(refusal) => refusal,
    };
    let mut validation = Draft::parse(json).map(|draft| draft.validate(rules, date)).unwrap_or_default();
    if validation.violations.is_empty() {
        // Not JSON, or JSON that two readers could read differently, such as a field given twice.
        validation.violations.push(Violation::new("", rule::MALFORMED, "a document as JSON", refusal.to_string()));
    }
    Examined { document: None, validation }
}

/// The fields of a document.
const FIELDS: &[&str] =
    &["profile", "reference", "seller", "buyer", "lines", "totals", "payment_ref", "remark", "attachment"];

/// The fields of a line.
const LINE_FIELDS: &[&str] = &[
    "name",
    "tax_code",
    "specification",
    "unit",
    "quantity",
    "unit_price",
    "net",
    "tax",
    "tax_amount",
    "discount",
    "preferential",
];

fn view(value: &Value) -> View<'_> {
    let mut reader = Reader { findings: Vec::new() };
    let mut view = View {
        profile: None,
        reference: None,
        seller: None,
        buyer: None,
        lines: None,
        net: None,
        tax: None,
        gross: None,
        remark: None,
        unreadable: Vec::new(),
    };
    if let Some(document) = reader.object(value, "", FIELDS) {
        view.profile = reader.profile(document);
        view.reference = reader.text(document, "", "reference");
        view.seller = reader.field(document, "", "seller").and_then(|value| reader.party(value, "/seller"));
        view.buyer = reader.field(document, "", "buyer").and_then(|value| reader.buyer(value));
        view.lines = reader.field(document, "", "lines").and_then(|value| reader.lines(value));
        if let Some(totals) = reader
            .field(document, "", "totals")
            .and_then(|value| reader.object(value, "/totals", &["net", "tax", "gross"]))
        {
            view.net = reader.parsed(totals, "/totals", "net", &AMOUNT);
            view.tax = reader.parsed(totals, "/totals", "tax", &AMOUNT);
            view.gross = reader.parsed(totals, "/totals", "gross", &AMOUNT);
        }
        for field in ["payment_ref", "attachment"] {
            let _: Given<Digest> = reader.given(document, "", field, &DIGEST);
        }
        view.remark = reader.optional_text(document, "", "remark");
    }
    view.unreadable = reader.findings;
    view
}

/// What a value parsed from text should be: the rule it breaks otherwise, and how to say what was expected.
struct Kind {
    rule: &'static str,
    expected: &'static str,
}

const AMOUNT: Kind =
    Kind { rule: rule::AMOUNT, expected: "yuan with at most two decimals as a string, such as \"3804.42\"" };
const NUMBER: Kind =
    Kind { rule: rule::NUMBER, expected: "a decimal number of at most 18 digits as a string, such as \"1.5\"" };
const RATE: Kind =
    Kind { rule: rule::RATE, expected: "a rate from 0 to 1 with at most four decimals as a string, such as \"0.13\"" };
const DIGEST: Kind = Kind { rule: rule::DIGEST, expected: "64 lowercase hex digits" };

/// Walks JSON and notes what is not as described.
struct Reader {
    findings: Vec<Violation>,
}

impl Reader {
    fn note(
        &mut self,
        path: impl Into<String>,
        rule: &'static str,
        expected: impl Into<String>,
        actual: impl AsRef<str>,
    ) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Violation::new(path, rule, expected, actual));
        }
    }

    fn object<'a>(&mut self, value: &'a Value, at: &str, fields: &[&str]) -> Option<&'a Map<String, Value>> {
        let Value::Object(object) = value else {
            self.note(at, rule::FIELD_TYPE, "an object", kind_of(value));
            return None;
        };
        for name in object.keys().filter(|name| !fields.contains(&name.as_str())) {
            self.note(
                format!("{at}/{}", pointer_token(name)),
                rule::FIELD_UNKNOWN,
                format!("one of {}", fields.join(", ")),
                name,
            );
        }
        Some(object)
    }

    /// A mandatory field of any type. Null is as good as left out.
    fn field<'a>(&mut self, object: &'a Map<String, Value>, at: &str, name: &str) -> Option<&'a Value> {
        let value = object.get(name).filter(|value| !value.is_null());
        if value.is_none() {
            self.note(format!("{at}/{name}"), rule::FIELD_MISSING, "a value", "none");
        }
        value
    }

    fn text<'a>(&mut self, object: &'a Map<String, Value>, at: &str, name: &str) -> Option<&'a str> {
        let value = self.field(object, at, name)?;
        self.string(value, at, name, "a string")
    }

    fn optional_text<'a>(&mut self, object: &'a Map<String, Value>, at: &str, name: &str) -> Option<&'a str> {
        let value = object.get(name).filter(|value| !value.is_null())?;
        self.string(value, at, name, "a string")
    }

    fn string<'a>(&mut self, value: &'a Value, at: &str, name: &str, expected: &str) -> Option<&'a str> {
        let text = value.as_str();
        if text.is_none() {
            self.note(format!("{at}/{name}"), rule::FIELD_TYPE, expected, kind_of(value));
        }
        text
    }

    /// A mandatory value with a textual form.
    fn parsed<T: FromStr>(&mut self, object: &Map<String, Value>, at: &str, name: &str, kind: &Kind) -> Option<T> {
        let value = self.field(object, at, name)?;
        let text = self.string(value, at, name, kind.expected)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.note(format!("{at}/{name}"), kind.rule, kind.expected, text);
        }
        parsed
    }

    /// An optional value with a textual form.
    fn given<T: FromStr>(&mut self, object: &Map<String, Value>, at: &str, name: &str, kind: &Kind) -> Given<T> {
        if object.get(name).is_none_or(Value::is_null) {
            return Given::Absent;
        }
        self.parsed(object, at, name, kind).map_or(Given::Unreadable, Given::Known)
    }

    fn profile(&mut self, document: &Map<String, Value>) -> Option<Profile> {
        let text = self.text(document, "", "profile")?;
        let all = [Profile::BlockchainOrdinary, Profile::DigitalOrdinary, Profile::DigitalSpecial];
        let profile = all.into_iter().find(|profile| profile.as_str() == text);
        if profile.is_none() {
            self.note("/profile", rule::VALUE_UNKNOWN, all.map(Profile::as_str).join(", "), text);
        }
        profile
    }

    fn party<'a>(&mut self, value: &'a Value, at: &str) -> Option<PartyView<'a>> {
        let party = self.object(value, at, &["name", "taxpayer_id", "address", "phone", "bank", "account"])?;
        Some(PartyView {
            name: self.text(party, at, "name"),
            taxpayer_id: self.text(party, at, "taxpayer_id"),
            address: self.optional_text(party, at, "address"),
            phone: self.optional_text(party, at, "phone"),
            bank: self.optional_text(party, at, "bank"),
            account: self.optional_text(party, at, "account"),
        })
    }

    fn buyer<'a>(&mut self, value: &'a Value) -> Option<BuyerView<'a>> {
        let buyer = self.object(value, "/buyer", &["organisation", "person"])?;
        match (buyer.get("organisation"), buyer.get("person")) {
            (Some(party), None) => self.party(party, "/buyer/organisation").map(BuyerView::Organisation),
            (None, Some(person)) => {
                let person = self.object(person, "/buyer/person", &["id"])?;
                Some(BuyerView::Person { id: self.text(person, "/buyer/person", "id") })
            }
            (Some(_), Some(_)) => {
                self.note("/buyer", rule::FIELD_TYPE, "either organisation or person", "both");
                None
            }
            (None, None) => {
                self.note("/buyer", rule::FIELD_MISSING, "either organisation or person", "neither");
                None
            }
        }
    }

    fn lines<'a>(&mut self, value: &'a Value) -> Option<Vec<LineView<'a>>> {
        let Value::Array(lines) = value else {
            self.note("/lines", rule::FIELD_TYPE, "an array of lines", kind_of(value));
            return None;
        };
        Some(lines.iter().enumerate().map(|(index, line)| self.line(line, &format!("/lines/{index}"))).collect())
    }

    fn line<'a>(&mut self, value: &'a Value, at: &str) -> LineView<'a> {
        let Some(line) = self.object(value, at, LINE_FIELDS) else {
            return LineView::UNREADABLE;
        };
        LineView {
            name: self.text(line, at, "name"),
            tax_code: self.text(line, at, "tax_code"),
            specification: self.optional_text(line, at, "specification"),
            unit: self.optional_text(line, at, "unit"),
            quantity: self.given(line, at, "quantity", &NUMBER),
            unit_price: self.given(line, at, "unit_price", &NUMBER),
            net: self.parsed(line, at, "net", &AMOUNT),
            tax: self.treatment(line, at),
            tax_amount: self.parsed(line, at, "tax_amount", &AMOUNT),
            discount: self.discount(line, at),
            preferential: self.optional_text(line, at, "preferential"),
        }
    }

    fn discount(&mut self, line: &Map<String, Value>, at: &str) -> Option<bool> {
        match line.get("discount") {
            None => Some(false),
            Some(Value::Bool(discount)) => Some(*discount),
            Some(other) => {
                self.note(format!("{at}/discount"), rule::FIELD_TYPE, "true or false", kind_of(other));
                None
            }
        }
    }

    fn treatment(&mut self, line: &Map<String, Value>, at: &str) -> Option<TaxTreatment> {
        const EXPECTED: &str = "{\"rate\":\"0.13\"}, \"zero-rated\", \"exempt\" or \"not-taxable\"";
        let value = self.field(line, at, "tax")?;
        let at = format!("{at}/tax");
        match value {
            Value::Object(_) => {
                let tax = self.object(value, &at, &["rate"])?;
                self.parsed::<Rate>(tax, &at, "rate", &RATE).map(TaxTreatment::Rate)
            }
            Value::String(mark) => {
                let marks = [TaxTreatment::ZeroRated, TaxTreatment::Exempt, TaxTreatment::NotTaxable];
                let treatment = marks.into_iter().find(|treatment| treatment.to_string() == *mark);
                if treatment.is_none() {
                    self.note(at, rule::VALUE_UNKNOWN, EXPECTED, mark);
                }
                treatment
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                self.note(at, rule::FIELD_TYPE, EXPECTED, kind_of(value));
                None
            }
        }
    }
}

/// A name as one token of a JSON pointer (RFC 6901 §3), cut to a safe length.
fn pointer_token(name: &str) -> String {
    shown(name).replace('~', "~0").replace('/', "~1")
}

/// What a JSON value is, in words; numbers with their digits, since those are the common mistake.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string \"{}\"", shown(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests;
