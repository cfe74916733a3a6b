//! Quotas in the random life: what a seller may issue, added up by an outsider from the accepted events alone.

use std::collections::BTreeMap;

use chain::block::Outcome;
use invoice::amount::Amount;
use invoice::date::Period;
use proptest::prelude::*;

use crate::event::Event;
use crate::fixture::*;
use crate::outcome::{ACCEPTED, Record};
use crate::quota::{QuotaRecord, UnderQuotaRecord};
use crate::state::{Kind, StateKey, decode, read};

/// Events about quotas, many of which hold: for the shop, which issues, and for others; of the months in which the random
/// life plays, and of one that has ended.
pub(super) fn event() -> impl Strategy<Value = String> {
    let seller = || prop::sample::select(vec![SELLER, SELLER, SELLER, BUYER, "mall"]);
    let period = || prop::sample::select(vec!["2026-11", "2026-11", "2026-12", "2026-10"]);
    let amount = || (0_u32..9, 0_u32..3).prop_map(|(invoices, fen)| format!("{}.{fen:02}", invoices * 113));
    prop_oneof![
        3 => (seller(), period(), amount()).prop_map(|(seller, period, amount)| quota_grant(seller, period, &amount)),
        3 => (seller(), period(), amount()).prop_map(|(seller, period, amount)| quota_adjust(seller, period, &amount)),
        1 => (seller(), period()).prop_map(|(seller, period)| quota_pause(seller, period)),
        2 => (seller(), period()).prop_map(|(seller, period)| quota_resume(seller, period)),
    ]
}

/// A quota as outsiders know it.
struct Known {
    amount: Amount,
    paused: bool,
}

/// What sellers may issue and what they issued.
#[derive(Default)]
pub(super) struct Quotas {
    known: BTreeMap<(String, Period), Known>,
    /// From which month on a seller is under quota.
    from: BTreeMap<String, Period>,
    /// The invoices of the shop that stand: their months and what they come to.
    standing: BTreeMap<String, (Period, Amount)>,
}

impl Quotas {
    /// Takes an accepted event in, and holds it against what was known before it: what a quota says applies at once.
    pub(super) fn note(&mut self, time_ms: i64, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        let now = Period::from_unix_ms(time_ms).unwrap();
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event touches a quota")]
        match serde_json::from_str(event).unwrap() {
            Event::Issue(issue) => {
                self.standing.insert(outcome.subject.clone(), (now, issue.document.totals.gross));
                if self.from.get(SELLER).is_some_and(|from| *from <= now) {
                    let quota = self.known.get(&(SELLER.to_owned(), now)).expect("issued in a month without a grant");
                    assert!(!quota.paused, "issued while it was paused");
                    assert!(self.used(SELLER, now) <= quota.amount, "more issued than was left");
                }
            }
            Event::OfflineIssue(issue) => {
                let document = issue.document;
                self.standing.insert(outcome.subject.clone(), (now, document.totals.gross));
                if self.from.get(SELLER).is_some_and(|from| *from <= now) {
                    let quota = self.known.get(&(SELLER.to_owned(), now)).expect("issued in a month without a grant");
                    assert!(!quota.paused && self.used(SELLER, now) <= quota.amount, "offline, and more than was left");
                }
            }
            Event::IssueRed(red) => {
                let Record::RedIssued { net, tax, .. } = record(outcome) else { panic!("{outcome:?}") };
                let (issued, _) = self.standing[&red.invoice.to_string()];
                // What was issued in another month gives nothing back to this one.
                if issued == now {
                    self.standing.insert(outcome.subject.clone(), (now, net.checked_add(tax).unwrap()));
                }
            }
            Event::Void(void) => {
                let (issued, _) = self.standing.remove(&void.invoice.to_string()).expect("taken back twice");
                assert_eq!(issued, now);
            }
            Event::QuotaGrant(grant) => {
                let (seller, period) = (grant.seller.to_string(), grant.period);
                let from = self.from.entry(seller.clone()).or_insert(period);
                *from = period.min(*from);
                let new = Known { amount: grant.amount, paused: false };
                assert!(period >= now && self.known.insert((seller, period), new).is_none(), "granted twice");
            }
            Event::QuotaAdjust(adjust) => self.of(&adjust.seller, adjust.period, now).amount = adjust.amount,
            Event::QuotaPause(pause) => {
                assert!(!std::mem::replace(&mut self.of(&pause.seller, pause.period, now).paused, true));
            }
            Event::QuotaResume(resume) => {
                assert!(std::mem::replace(&mut self.of(&resume.seller, resume.period, now).paused, false));
            }
            _ => {}
        }
    }

    fn of(&mut self, seller: &chain::identity::OrganisationId, period: Period, now: Period) -> &mut Known {
        assert!(period >= now, "what is gone was changed");
        self.known.get_mut(&(seller.to_string(), period)).expect("granted before it is changed")
    }

    fn used(&self, seller: &str, period: Period) -> Amount {
        let of_month = self.standing.values().filter(|(issued, _)| seller == SELLER && *issued == period);
        Amount::checked_sum(of_month.map(|(_, gross)| *gross)).unwrap()
    }

    /// Of every quota exactly what was issued is used, and never more than was granted.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let mut count = 0;
        for (key, stored) in ledger.state.iter().filter(|(key, _)| key.as_bytes()[0] == Kind::Quota as u8) {
            let QuotaRecord { quota, .. } = decode(key, stored).unwrap();
            let (seller, period) = key.quota_of().unwrap();
            let known = &self.known[&(seller.to_string(), period)];
            assert_eq!((quota.amount, quota.paused), (known.amount, known.paused));
            assert_eq!(quota.used, self.used(seller.as_str(), period), "{key}");
            assert!(!quota.used.is_negative() && quota.used <= quota.amount && !quota.left().is_negative());
            count += 1;
        }
        assert_eq!(count, self.known.len());
        for (seller, from) in &self.from {
            let under = read(ledger, &StateKey::under_quota(&organisation_id(seller))).unwrap();
            assert_eq!(under, Some(UnderQuotaRecord { from: *from }));
        }
    }
}
