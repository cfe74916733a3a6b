//! Corrections: what a seller may say otherwise about an invoice that stands, because no tax depends on it.
//!
//! Addresses, phone numbers, bank lines and the remark. Never amounts, rates, names, taxpayer ids or dates: those are
//! mended by another invoice. A correction is kept beside the document; what was signed stays as it is, with its hash.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::rules::Rules;
use crate::validate;
use crate::violation::Violation;

/// The lines of an organisation on which no tax depends. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyLines {
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

/// The fields of an invoice that a correction may name. What is absent stays as it is; nothing is ever taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The seller's lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<PartyLines>,
    /// The buyer's lines, when the buyer is an organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<PartyLines>,
    /// The remark. It is on the ledger: nothing personal belongs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl PartyLines {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn over(self, before: Self) -> Self {
        Self {
            address: self.address.or(before.address),
            phone: self.phone.or(before.phone),
            bank: self.bank.or(before.bank),
            account: self.account.or(before.account),
        }
    }
}

impl Correction {
    /// Whether it names no field.
    pub fn is_empty(&self) -> bool {
        self.remark.is_none() && [&self.seller, &self.buyer].into_iter().flatten().all(PartyLines::is_empty)
    }

    /// What both say together; of a field that both name, what this one says.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        let lines = |new: Option<PartyLines>, old: Option<PartyLines>| match (new, old) {
            (Some(new), Some(old)) => Some(new.over(old)),
            (new, old) => new.or(old),
        };
        Self {
            seller: lines(self.seller, before.seller),
            buyer: lines(self.buyer, before.buyer),
            remark: self.remark.or(before.remark),
        }
    }

    /// What is wrong in its texts on a day: the rules that the document's own texts are held to.
    pub fn violations(&self, rules: &Rules, date: Date) -> Vec<Violation> {
        validate::correction(self, rules, date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correction(json: &str) -> Correction {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_newer_of_two_says_what_both_name_and_nothing_is_taken_out() {
        let first = correction(r#"{"seller":{"address":"Road 1","phone":"1"},"remark":"one"}"#);
        let second = correction(r#"{"seller":{"phone":"2"},"buyer":{"bank":"Bank"}}"#);
        let both = correction(r#"{"seller":{"address":"Road 1","phone":"2"},"buyer":{"bank":"Bank"},"remark":"one"}"#);
        assert_eq!(second.over(first), both);
    }

    #[test]
    fn one_that_names_nothing_is_empty() {
        for empty in [r"{}", r#"{"seller":{}}"#, r#"{"seller":{},"buyer":{}}"#] {
            assert!(correction(empty).is_empty(), "{empty}");
        }
        assert!(!correction(r#"{"buyer":{"account":"1"}}"#).is_empty());
    }

    #[test]
    fn what_tax_depends_on_is_no_field_of_it() {
        for text in
            [r#"{"seller":{"name":"X"}}"#, r#"{"buyer":{"taxpayer_id":"X"}}"#, r#"{"totals":{}}"#, r#"{"date":"X"}"#]
        {
            assert!(serde_json::from_str::<Correction>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn its_texts_are_held_to_the_rules_of_documents() {
        let (rules, date) = (Rules::default(), Date::new(2026, 11, 15).unwrap());
        let found = |correction: Correction| {
            correction.violations(&rules, date).into_iter().map(|violation| violation.path).collect::<Vec<_>>()
        };
        assert!(found(correction(r#"{"seller":{"address":"Road 1"},"remark":"one"}"#)).is_empty());
        let long = PartyLines { phone: Some("1".repeat(33)), bank: Some(" ".to_owned()), ..PartyLines::default() };
        let remark = Some("a\u{7}".to_owned());
        let wrong = Correction { seller: Some(long.clone()), buyer: Some(long), remark };
        assert_eq!(found(wrong), ["/seller/phone", "/seller/bank", "/buyer/phone", "/buyer/bank", "/remark"]);
    }
}
