//! What the rules look at: a document whose values may still be missing or unreadable.
//!
//! A [`Document`] and a [`crate::Draft`] give the same view of the same content, so that both are judged by one set of rules.

use std::fmt;

use crate::amount::Amount;
use crate::decimal::Decimal;
use crate::document::{Buyer, Document, Line, Party, Profile};
use crate::rate::TaxTreatment;
use crate::violation::Violation;

/// A place in a document, written out only when a finding needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path {
    /// A constant JSON pointer.
    At(&'static str),
    /// A field below a constant JSON pointer.
    Below(&'static str, &'static str),
    /// A field of a line.
    Line(usize, &'static str),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::At(pointer) => f.write_str(pointer),
            Path::Below(pointer, field) => write!(f, "{pointer}/{field}"),
            Path::Line(index, field) => write!(f, "/lines/{index}/{field}"),
        }
    }
}

/// An optional value as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given<T> {
    /// Left out.
    Absent,
    /// Given, but not to be understood; that was reported when it was read.
    Unreadable,
    /// Given and understood.
    Known(T),
}

impl<T: Copy> Given<T> {
    /// The value, if it is known.
    pub(crate) fn known(self) -> Option<T> {
        match self {
            Given::Known(value) => Some(value),
            Given::Absent | Given::Unreadable => None,
        }
    }

    /// Whether something was given.
    pub(crate) fn is_given(self) -> bool {
        !matches!(self, Given::Absent)
    }

    fn of(value: Option<T>) -> Given<T> {
        value.map_or(Given::Absent, Given::Known)
    }
}

/// Text fields of an organisation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PartyView<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) taxpayer_id: Option<&'a str>,
    pub(crate) address: Option<&'a str>,
    pub(crate) phone: Option<&'a str>,
    pub(crate) bank: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
}

/// The buyer, if it is known which kind it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BuyerView<'a> {
    Organisation(PartyView<'a>),
    Person { id: Option<&'a str> },
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineView<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) tax_code: Option<&'a str>,
    pub(crate) specification: Option<&'a str>,
    pub(crate) unit: Option<&'a str>,
    pub(crate) quantity: Given<Decimal>,
    pub(crate) unit_price: Given<Decimal>,
    pub(crate) net: Option<Amount>,
    pub(crate) tax: Option<TaxTreatment>,
    pub(crate) tax_amount: Option<Amount>,
    /// None when it cannot be read; then no sign is right or wrong.
    pub(crate) discount: Option<bool>,
    pub(crate) preferential: Option<&'a str>,
}

impl LineView<'_> {
    /// A line of which nothing could be read.
    pub(crate) const UNREADABLE: LineView<'static> = LineView {
        name: None,
        tax_code: None,
        specification: None,
        unit: None,
        quantity: Given::Absent,
        unit_price: Given::Absent,
        net: None,
        tax: None,
        tax_amount: None,
        discount: None,
        preferential: None,
    };
}

/// A document as the rules see it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) profile: Option<Profile>,
    pub(crate) reference: Option<&'a str>,
    pub(crate) seller: Option<PartyView<'a>>,
    pub(crate) buyer: Option<BuyerView<'a>>,
    /// None when the lines cannot be read at all; sums are then unknown.
    pub(crate) lines: Option<Vec<LineView<'a>>>,
    pub(crate) net: Option<Amount>,
    pub(crate) tax: Option<Amount>,
    pub(crate) gross: Option<Amount>,
    pub(crate) remark: Option<&'a str>,
    /// What was found wrong while reading.
    pub(crate) unreadable: Vec<Violation>,
}

impl<'a> From<&'a Party> for PartyView<'a> {
    fn from(party: &'a Party) -> PartyView<'a> {
        PartyView {
            name: Some(&party.name),
            taxpayer_id: Some(party.taxpayer_id.as_str()),
            address: party.address.as_deref(),
            phone: party.phone.as_deref(),
            bank: party.bank.as_deref(),
            account: party.account.as_deref(),
        }
    }
}

impl<'a> From<&'a Line> for LineView<'a> {
    fn from(line: &'a Line) -> LineView<'a> {
        LineView {
            name: Some(&line.name),
            tax_code: Some(&line.tax_code),
            specification: line.specification.as_deref(),
            unit: line.unit.as_deref(),
            quantity: Given::of(line.quantity),
            unit_price: Given::of(line.unit_price),
            net: Some(line.net),
            tax: Some(line.tax),
            tax_amount: Some(line.tax_amount),
            discount: Some(line.discount),
            preferential: line.preferential.as_deref(),
        }
    }
}

impl<'a> From<&'a Document> for View<'a> {
    fn from(document: &'a Document) -> View<'a> {
        let buyer = match &document.buyer {
            Buyer::Organisation(party) => BuyerView::Organisation(party.into()),
            Buyer::Person(person) => BuyerView::Person { id: Some(&person.id) },
        };
        View {
            profile: Some(document.profile),
            reference: Some(&document.reference),
            seller: Some((&document.seller).into()),
            buyer: Some(buyer),
            lines: Some(document.lines.iter().map(LineView::from).collect()),
            net: Some(document.totals.net),
            tax: Some(document.totals.tax),
            gross: Some(document.totals.gross),
            remark: document.remark.as_deref(),
            unreadable: Vec::new(),
        }
    }
}
