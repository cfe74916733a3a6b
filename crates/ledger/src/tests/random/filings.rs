//! Filings in the random life: what is to be paid of a month, and what was paid, reckoned by an outsider from the accepted
//! events alone.

use std::collections::{BTreeMap, BTreeSet};

use chain::block::Outcome;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;
use proptest::prelude::*;

use crate::event::{Event, OrderId, PaymentResult, UsePurpose};
use crate::filing::{AMENDMENTS_MAX, Filed};
use crate::fixture::*;
use crate::outcome::{ACCEPTED, Record};
use crate::state::{Kind, View as _};

/// Events about filings of the shop's November, many of which hold once it is filed.
pub(super) fn event() -> impl Strategy<Value = String> {
    let order = || prop::sample::select(vec!["p1", "p2", "p3"]);
    let sales = || (0_u32..4).prop_map(|times| (format!("{}.00", times * 100), format!("{}.00", times * 3)));
    let amount = || (0_u32..4, 0_u32..4).prop_map(|(invoices, sales)| format!("{}.00", invoices * 13 + sales * 3));
    let result = || prop::sample::select(vec!["paid", "paid", "failed"]);
    let whose = || prop::sample::select(vec![SELLER, SELLER, SELLER, BUYER]);
    prop_oneof![
        3 => (0_u64..4, sales()).prop_map(|(count, (net, tax))| {
            let filing = file("2026-11", count, &format!("{}.00", count * 100), &format!("{}.00", count * 13));
            file_all(&filing, "", &net, &tax)
        }),
        1 => (1_u64..3, 0_u32..2).prop_map(|(count, sales)| {
            let (net, tax) = (format!("{}.00", count * 100), format!("{}.00", count * 13));
            let filing = file("2026-11", 0, "0.00", "0.00").replace(SELLER, BUYER);
            file_all(&filing, &used("deduct", count, &net, &tax), &format!("{}.00", sales * 100), "30.00")
        }),
        4 => (whose(), 1_u32..5, sales())
            .prop_map(|(whose, number, (net, tax))| amend("2026-11", number, &net, &tax).replace(SELLER, whose)),
        6 => (whose(), order(), amount())
            .prop_map(|(whose, order, amount)| pay_request("2026-11", order, &amount).replace(SELLER, whose)),
        4 => (whose(), order(), result())
            .prop_map(|(whose, order, result)| pay_result("2026-11", order, result).replace(SELLER, whose)),
    ]
}

/// A filed month as outsiders know it, in fen.
struct Known {
    /// Output less deducted input.
    held: i64,
    uninvoiced: i64,
    amendments: u32,
    paid: i64,
    requested: Option<(OrderId, Amount)>,
}

impl Known {
    fn payable(&self) -> i64 {
        (self.held + self.uninvoiced).max(0)
    }
}

/// What was filed and paid.
#[derive(Default)]
pub(super) struct Filings {
    known: BTreeMap<(OrganisationId, Period), Known>,
    orders: BTreeSet<(OrganisationId, OrderId)>,
}

fn tax(totals: &[RateTotal]) -> i64 {
    totals.iter().map(|total| total.tax.fen()).sum()
}

impl Filings {
    /// Takes an accepted event in, and holds it against what was known before it.
    pub(super) fn note(&mut self, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event is about filings")]
        match serde_json::from_str(event).unwrap() {
            Event::File(file) => {
                let deducted = file.input.iter().filter(|total| total.purpose == UsePurpose::Deduct);
                let held = tax(&file.output) - deducted.map(|total| total.tax.fen()).sum::<i64>();
                let uninvoiced = tax(&file.uninvoiced);
                let new = Known { held, uninvoiced, amendments: 0, paid: 0, requested: None };
                assert!(self.known.insert((file.seller, file.period), new).is_none(), "filed twice");
            }
            Event::Amend(amend) => {
                let known = self.known.get_mut(&(amend.taxpayer, amend.period)).expect("filed before it is amended");
                known.amendments += 1;
                known.uninvoiced = tax(&amend.uninvoiced);
                assert_eq!(amend.number, known.amendments, "versions come in order");
                assert!(amend.number <= AMENDMENTS_MAX);
                let Record::Amended { payable, carried, .. } = record(outcome) else { panic!("{outcome:?}") };
                assert_eq!(payable.fen() - carried.fen(), known.held + known.uninvoiced);
                assert!(payable.is_zero() || carried.is_zero());
                let requested = known.requested.as_ref().map_or(0, |(_, amount)| amount.fen());
                assert!(requested == 0 || known.paid + requested <= known.payable(), "an order under way for too much");
            }
            Event::PayRequest(request) => {
                assert!(self.orders.insert((request.taxpayer.clone(), request.order.clone())), "an order used twice");
                let known = self.known.get_mut(&(request.taxpayer, request.period)).expect("filed before it is paid");
                assert!(known.requested.is_none() && request.amount.fen() > 0);
                assert_eq!(known.paid + request.amount.fen(), known.payable(), "all that is left, and no more");
                known.requested = Some((request.order, request.amount));
            }
            Event::PayResult(said) => {
                let known = self.known.get_mut(&(said.taxpayer, said.period)).expect("filed before it is paid");
                let (order, amount) = known.requested.take().expect("ordered before it is decided");
                assert_eq!(order, said.order);
                if said.result == PaymentResult::Paid {
                    known.paid += amount.fen();
                    assert!(known.paid <= known.payable(), "paid more than there was to pay");
                }
            }
            _ => {}
        }
    }

    /// The ledger has just these months, and each comes to what its events say.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let of = |kind: Kind| ledger.state.keys().filter(move |key| key.as_bytes()[0] == kind as u8).count();
        assert_eq!((of(Kind::Filing), of(Kind::Payment)), (self.known.len(), self.orders.len()));
        let mut amendments = 0;
        for ((taxpayer, period), known) in &self.known {
            let filed = Filed::read(ledger, taxpayer, *period).unwrap().unwrap();
            let due = filed.due();
            assert_eq!(due.payable.fen(), known.payable());
            assert_eq!(due.payable.fen() - due.carried.fen(), known.held + known.uninvoiced);
            assert_eq!(filed.dues.paid.fen(), known.paid);
            assert_eq!(filed.dues.requested, known.requested.as_ref().map(|(_, amount)| *amount));
            assert_eq!(filed.dues.amendments, known.amendments);
            for number in 1..=known.amendments {
                let key = crate::state::StateKey::amendment(taxpayer, *period, number);
                assert!(ledger.get(&key).unwrap().is_some(), "every version stays");
                amendments += 1;
            }
        }
        assert_eq!(of(Kind::Amendment), amendments);
    }
}
