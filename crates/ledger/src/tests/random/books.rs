//! Bookings, uses of VAT, and what parties say of invoices in the random life: what an outsider knows from the accepted
//! events alone.

use std::collections::{BTreeMap, BTreeSet};

use chain::block::Outcome;
use chain::identity::OrganisationId;
use invoice::date::Period;
use invoice::document::{Profile, Totals};
use proptest::prelude::*;

use super::invoice;
use crate::bookkeeping::{BookingRecord, BookingTerms, InputRecord, UseRecord};
use crate::event::{Event, IssueRed, Stance, UsePurpose};
use crate::fixture::*;
use crate::manifestation::{CORRECTIONS_MAX, CorrectionRecord, ManifestationRecord};
use crate::outcome::{ACCEPTED, Record};
use crate::state::{Kind, StateKey, decode};

/// The id of a special invoice, in order of issue.
pub(super) fn digital(index: usize) -> String {
    format!("26442{:015}", index + 1)
}

/// Events about books, many of which hold, and issues of what can be used for VAT.
pub(super) fn event() -> impl Strategy<Value = String> {
    let ordinary = || (0_u8..4).prop_map(invoice);
    let special = || (0_usize..4).prop_map(digital);
    let any = || prop_oneof![ordinary(), special()];
    let period = || prop::sample::select(vec!["2026-11", "2026-11", "2026-11", "2026-12", "2026-10"]);
    let code = || prop::sample::select(vec!["02", "03"]);
    let voucher = || prop::sample::select(vec!["记-1", "记-2"]);
    let purpose = || prop::sample::select(vec!["deduct", "deduct", "refund", "agency-refund"]);
    let stance = || prop::sample::select(vec!["acknowledge", "confirm", "dispute", "unknown", "not-done"]);
    prop_oneof![
        4 => (0_u8..6).prop_map(|reference| crate::fixture::special(&format!("s{reference}"))),
        4 => (any(), code(), voucher(), period()).prop_map(|(id, code, voucher, period)| book(&id, code, voucher, period)),
        2 => (any(), code(), voucher(), period())
            .prop_map(|(id, code, voucher, period)| adjust_booking(&id, code, voucher, period)),
        2 => any().prop_map(|id| revoke_booking(&id)),
        6 => (special(), purpose(), period()).prop_map(|(id, purpose, period)| use_vat(&id, purpose, period)),
        1 => (any(), period()).prop_map(|(id, period)| non_deduct(&id, "exempt", period)),
        2 => special().prop_map(|id| revoke_use(&id)),
        2 => special().prop_map(|id| void(&id)),
        2 => (any(), stance()).prop_map(|(id, stance)| manifest(&id, stance)),
        2 => (ordinary(), 0_u8..60).prop_map(|(id, order)| correct_fields(&id, &format!(r#"{{"remark":"order {order}"}}"#))),
        1 => Just(file("2026-11", 0, "0.00", "0.00").replace(SELLER, BUYER)),
    ]
}

/// In whose books it is what was accepted, or who said it.
pub(super) fn in_whose_books(record: &Record) -> Option<&OrganisationId> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about books")]
    match record {
        Record::Booked { enterprise }
        | Record::BookingAdjusted { enterprise, .. }
        | Record::BookingRevoked { enterprise, .. } => Some(enterprise),
        Record::Used { buyer, .. } | Record::UseRevoked { buyer, .. } | Record::Manifested { buyer, .. } => Some(buyer),
        _ => None,
    }
}

/// A use as outsiders know it.
struct Known {
    buyer: OrganisationId,
    purpose: UsePurpose,
    period: Period,
    /// Net and tax that were left of the invoice, in fen.
    left: (i64, i64),
    /// What red letters have taken since: in which month, net and tax below zero.
    since: Vec<(Period, i64, i64)>,
}

/// What is in whose books.
#[derive(Default)]
pub(super) struct Books {
    /// Month of issue, profile and totals.
    issued: BTreeMap<String, (Period, Profile, Totals)>,
    void: BTreeSet<String>,
    /// Net and tax that red letters took back, in fen, below zero.
    taken: BTreeMap<String, (i64, i64)>,
    booked: BTreeMap<String, (OrganisationId, BookingTerms)>,
    used: BTreeMap<String, Known>,
    /// Months that were filed, by whom they are.
    filed: BTreeSet<(OrganisationId, Period)>,
    said: BTreeMap<String, Stance>,
    corrected: BTreeMap<String, u32>,
}

impl Books {
    /// Takes an accepted event in, and holds it against what was known before it.
    pub(super) fn note(&mut self, time_ms: i64, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        let (id, record) = (outcome.subject.clone(), record(outcome));
        let now = Period::from_unix_ms(time_ms).unwrap();
        let whose = in_whose_books(&record).cloned();
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event touches books")]
        match serde_json::from_str(event).unwrap() {
            Event::Issue(issue) => {
                self.issued.insert(id, (now, issue.document.profile, issue.document.totals));
            }
            Event::Void(_) => {
                assert!(!self.booked.contains_key(&id) && !self.used.contains_key(&id), "taken back out of books");
                self.void.insert(id);
            }
            Event::File(file) => assert!(self.filed.insert((file.seller, file.period)), "filed twice"),
            Event::Book(book) => {
                let terms = BookingTerms { code: book.code, voucher: book.voucher, period: book.period };
                self.open(&id, whose.as_ref().unwrap(), terms.period, now);
                assert!(self.booked.insert(id, (whose.unwrap(), terms)).is_none(), "booked twice");
            }
            Event::BookAdjust(adjust) => {
                let terms = BookingTerms { code: adjust.code, voucher: adjust.voucher, period: adjust.period };
                let (enterprise, former) = self.booked.remove(&id).expect("booked before it is adjusted");
                self.open(&id, &enterprise, former.period, now);
                self.open(&id, &enterprise, terms.period, now);
                assert_eq!(record, Record::BookingAdjusted { enterprise: enterprise.clone(), former });
                self.booked.insert(id, (enterprise, terms));
            }
            Event::BookRevoke(_) => {
                let (enterprise, former) = self.booked.remove(&id).expect("booked before it is taken back");
                assert!(!self.filed.contains(&(enterprise.clone(), former.period)), "taken out of a filed month");
                assert_eq!(whose, Some(enterprise));
            }
            Event::Use(used) => {
                let (buyer, purpose, period) = (whose.unwrap(), used.purpose, used.period);
                self.open(&id, &buyer, period, now);
                assert_eq!(self.issued[&id].1, Profile::DigitalSpecial);
                let (net, tax) = self.taken.get(&id).copied().unwrap_or_default();
                let totals = self.issued[&id].2;
                let left = (totals.net.fen() + net, totals.tax.fen() + tax);
                assert!(matches!(record, Record::Used { net, tax, .. } if (net.fen(), tax.fen()) == left));
                let known = Known { buyer, purpose, period, left, since: Vec::new() };
                assert!(self.used.insert(id, known).is_none(), "used twice");
            }
            Event::UseRevoke(_) => {
                let known = self.used.remove(&id).expect("used before that is taken back");
                assert!(!self.filed.contains(&(known.buyer, known.period)), "taken out of a filed month");
                assert_eq!(known.since, [], "taken back twice");
            }
            Event::IssueRed(red) => self.take_back(id, &red, now, &record),
            Event::Manifest(manifest) => {
                let former = self.said.insert(id, manifest.kind);
                assert!(matches!(record, Record::Manifested { former: before, .. } if before == former));
            }
            Event::Correct(_) => {
                let count = self.corrected.entry(id).or_default();
                *count += 1;
                assert_eq!(record, Record::Corrected { number: *count });
                assert!(*count <= CORRECTIONS_MAX);
            }
            _ => {}
        }
    }

    /// What a red letter takes out of books.
    fn take_back(&mut self, letter: String, red: &IssueRed, now: Period, record: &Record) {
        let Record::RedIssued { net, tax, input, .. } = record else { panic!("{record:?}") };
        let (blue, net, tax) = (red.invoice.to_string(), net.fen(), tax.fen());
        let used = self.used.get_mut(&blue);
        assert_eq!(used.is_some(), *input);
        if let Some(used) = used {
            used.since.push((now, net, tax));
        }
        let taken = self.taken.entry(blue.clone()).or_default();
        *taken = (taken.0 + net, taken.1 + tax);
        let free = !self.booked.contains_key(&blue) && !self.used.contains_key(&blue);
        assert!(free || red.slip.is_some(), "taken out of books alone");
        let (_, profile, totals) = self.issued[&blue];
        self.issued.insert(letter, (now, profile, totals));
    }

    /// An invoice that stands, and a month of it that may still change.
    fn open(&self, id: &str, whose: &OrganisationId, period: Period, now: Period) {
        assert!(!self.void.contains(id), "in books after it was taken back");
        assert!((self.issued[id].0..=now).contains(&period), "in a month that it cannot be in");
        assert!(!self.filed.contains(&(whose.clone(), period)), "into a filed month");
    }

    /// What the ledger has is what was accepted, and the input of every month is what its uses come to.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let (mut booked, mut used, mut input) = (0, 0, BTreeMap::new());
        for (key, stored) in &ledger.state {
            let id = || String::from_utf8(key.as_bytes()[1..].to_vec()).unwrap();
            let kind = key.as_bytes()[0];
            if kind == Kind::Booking as u8 {
                let it: BookingRecord = decode(key, stored).unwrap();
                let known = self.booked.get(&id());
                assert_eq!(known.is_some(), it.revoked_ms.is_none());
                assert!(known.is_none_or(|known| *known == (it.enterprise, it.terms)));
                booked += usize::from(known.is_some());
            } else if kind == Kind::VatUse as u8 {
                let it: UseRecord = decode(key, stored).unwrap();
                assert_eq!(self.used.contains_key(&id()), it.revoked_ms.is_none());
                used += usize::from(it.revoked_ms.is_none());
            } else if kind == Kind::Input as u8 {
                input.insert(key.clone(), decode::<InputRecord>(key, stored).unwrap());
            } else if kind == Kind::Manifestation as u8 {
                assert_eq!(self.said[&id()], decode::<ManifestationRecord>(key, stored).unwrap().kind);
            } else if kind == Kind::Correction as u8 {
                assert_eq!(self.corrected[&id()], decode::<CorrectionRecord>(key, stored).unwrap().count);
            }
        }
        assert_eq!((booked, used), (self.booked.len(), self.used.len()));
        for sum in input.values().flat_map(|input| &input.by_purpose).filter(|sum| sum.invoices == 0) {
            assert_eq!((sum.net_fen, sum.tax_fen), (0, 0));
        }
        let mut sums: BTreeMap<(StateKey, UsePurpose), (u64, i128, i128)> = BTreeMap::new();
        for Known { buyer, purpose, period, left, since } in self.used.values() {
            for (period, net, tax) in std::iter::once(&(*period, left.0, left.1)).chain(since) {
                let sum = sums.entry((StateKey::input(buyer, *period), *purpose)).or_default();
                *sum = (sum.0 + 1, sum.1 + i128::from(*net), sum.2 + i128::from(*tax));
            }
        }
        let recorded = input.iter().flat_map(|(key, input)| input.standing().map(move |sum| (key.clone(), *sum)));
        let recorded: BTreeMap<_, _> =
            recorded.map(|(key, sum)| ((key, sum.purpose), (sum.invoices, sum.net_fen, sum.tax_fen))).collect();
        assert_eq!(recorded, sums);
    }
}
