//! Segments in the random life: which numbers there are, what each has become, and that none is lost without a word,
//! reckoned by an outsider from the accepted events alone.

use std::collections::BTreeMap;

use chain::block::Outcome;
use chain::hash::Hash;
use proptest::prelude::*;

use crate::contingency::{OfflineRecord, OpenSegmentsRecord, SegmentRecord};
use crate::event::Event;
use crate::fixture::*;
use crate::outcome::{ACCEPTED, Record};
use crate::record::{CounterRecord, InvoiceRecord};
use crate::state::{Kind, StateKey, View as _, decode, read};

/// Numbers that the random life plays with: those of the first four segments.
const NUMBERS: u64 = 4 * SEGMENT;

/// Events about segments, many of which hold: of the provider and the shop, in the first four segments.
pub(super) fn event() -> impl Strategy<Value = String> {
    let chain = Ledger::new().chain;
    let holder = || prop::sample::select(vec![PROVIDER, PROVIDER, SELLER]);
    let first = || (0_u64..4).prop_map(|at| segment_number(at * SEGMENT + 1));
    let issued = || prop_oneof![4 => NOON..NOON + 20 * 3_600_000, 1 => NOON..NOON + 12 * DAY];
    prop_oneof![
        2 => prop::sample::select(vec![PROVIDER, PROVIDER, SELLER, BUYER, PLATFORM_A]).prop_map(segment_grant),
        1 => first().prop_map(|first| segment_close(&first)),
        8 => (holder(), 0_u8..12, 1..=NUMBERS, issued()).prop_map(move |(holder, reference, number, issued)| {
            offline_issue(&chain, holder, &format!("r{reference}"), number, issued)
        }),
    ]
}

/// What became of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Number {
    Open,
    Invoice { content: Hash, late: bool },
    Declared,
}

/// A segment as outsiders know it.
struct Known {
    holder: String,
    granted_ms: i64,
    numbers: BTreeMap<String, Number>,
    closed: bool,
}

/// The segments, by their first numbers.
#[derive(Default)]
pub(super) struct Contingency {
    known: BTreeMap<String, Known>,
}

impl Contingency {
    /// Takes an accepted event in, and holds it against what was known before it.
    pub(super) fn note(&mut self, actor: &str, time_ms: i64, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event is about segments")]
        match serde_json::from_str(event).unwrap() {
            Event::SegmentGrant(grant) => {
                assert_eq!(actor, BUREAU);
                let Record::SegmentGranted { first, last, .. } = record(outcome) else { panic!("{outcome:?}") };
                let expected = u64::try_from(self.known.len()).unwrap() * SEGMENT + 1;
                assert_eq!(first.to_string(), segment_number(expected), "segments follow each other");
                assert_eq!(last.to_string(), segment_number(expected + SEGMENT - 1));
                let numbers = (expected..expected + SEGMENT).map(|it| (segment_number(it), Number::Open)).collect();
                let known = Known { holder: grant.to.to_string(), granted_ms: time_ms, numbers, closed: false };
                assert!(self.known.insert(first.to_string(), known).is_none());
            }
            Event::SegmentClose(close) => {
                let known = self.known.get_mut(&close.segment.to_string()).expect("granted before it is closed");
                assert!(!std::mem::replace(&mut known.closed, true), "closed twice");
                assert!(actor == known.holder || actor == BUREAU);
                let Record::SegmentClosed { gaps, used, .. } = record(outcome) else { panic!("{outcome:?}") };
                let mut declared = 0;
                for number in known.numbers.values_mut().filter(|number| **number == Number::Open) {
                    *number = Number::Declared;
                    declared += 1;
                }
                assert_eq!(gaps.iter().map(|gap| gap.count()).sum::<u32>(), declared);
                assert_eq!(u64::from(used + declared), SEGMENT);
            }
            Event::OfflineIssue(issue) => {
                let claims = issue.certificate.claims();
                let known = self.known.get_mut(&claims.segment.to_string()).expect("granted before it is used");
                assert!(!known.closed && known.holder == actor);
                assert!(
                    (known.granted_ms..=time_ms.min(NOON + 10 * DAY)).contains(&claims.issued_ms),
                    "out of its term"
                );
                let number = known.numbers.get_mut(&claims.invoice.to_string()).expect("a number of the segment");
                let late = time_ms > claims.issued_ms + HOURS * 3_600_000;
                let invoice = Number::Invoice { content: claims.content, late };
                assert_eq!(std::mem::replace(number, invoice), Number::Open, "a number used twice");
                let Record::IssuedOffline { issued_ms, late: marked, .. } = record(outcome) else {
                    panic!("{outcome:?}")
                };
                assert_eq!((issued_ms, marked), (time_ms, late));
            }
            _ => {}
        }
    }

    /// Every number of every segment is what it became, and there are no others.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let of = |kind: Kind| ledger.state.iter().filter(move |(key, _)| key.as_bytes()[0] == kind as u8);
        assert_eq!(of(Kind::Segment).count(), self.known.len());
        let mut invoices = 0;
        for (key, stored) in of(Kind::Segment) {
            let segment: SegmentRecord = decode(key, stored).unwrap();
            let known = &self.known[&segment.first.to_string()];
            assert_eq!((segment.holder.as_str(), segment.closed.is_some()), (known.holder.as_str(), known.closed));
            for (index, (id, number)) in (0..).zip(&known.numbers) {
                assert_eq!(segment.nth(index).to_string(), *id);
                assert_eq!(segment.used.contains(index), matches!(number, Number::Invoice { .. }));
                let id = id.parse().unwrap();
                let offline: Option<OfflineRecord> = read(ledger, &StateKey::offline(&id)).unwrap();
                let invoice: Option<InvoiceRecord> = read(ledger, &StateKey::invoice(&id)).unwrap();
                assert_eq!(offline.is_some(), invoice.is_some());
                if let (Some(offline), Number::Invoice { content, late }) = (offline, number) {
                    assert_eq!((offline.content, offline.late), (*content, *late));
                    invoices += 1;
                }
                assert!(known.closed != (*number == Number::Open) || matches!(number, Number::Invoice { .. }));
            }
        }
        assert_eq!(of(Kind::Offline).count(), invoices);
        let open = of(Kind::OpenSegments).map(|(key, stored)| decode::<OpenSegmentsRecord>(key, stored).unwrap());
        let open: usize = open.map(|open| open.firsts.len()).sum();
        assert_eq!(open, self.known.values().filter(|known| !known.closed).count());
        let counter: Option<CounterRecord> = read(ledger, &StateKey::counter("144032609010")).unwrap();
        let numbers = u64::try_from(self.known.len()).unwrap() * SEGMENT;
        assert_eq!(counter.map_or(1, |counter| counter.next), numbers + 1, "no number beside the segments");
        assert!(ledger.get(&StateKey::counter("digital:26449")).unwrap().is_none());
    }
}
