//! Red letters and slips in the random life: what is left of each invoice, reckoned by an outsider from the accepted events
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use chain::block::Outcome;
use chain::identity::OrganisationId;
use invoice::lifecycle::Validity;
use proptest::prelude::*;

use super::books::digital;
use super::invoice;
use crate::event::{Event, Take};
use crate::fixture::*;
use crate::outcome::{ACCEPTED, Record};
use crate::record::InvoiceRecord;
use crate::red::{ReversalRecord, SLIP_MS, SlipSide};
use crate::state::{Kind, StateKey, decode, require};

/// Stands for the document of the invoice that is named, until the event is played: [`Reds::with_document`].
pub(super) const WHATEVER: &str = r#""document":"@"}}"#;

/// Events about red letters, many of which hold.
pub(super) fn event() -> impl Strategy<Value = String> {
    let id = || prop_oneof![2 => (0_u8..5).prop_map(invoice), 3 => (0_usize..4).prop_map(digital)];
    let take =
        || prop_oneof![2 => Just(FULL.to_owned()), 3 => (0_u32..70).prop_map(|net| of_line(&format!("{net}.05")))];
    let reference = || (0_u8..12).prop_map(|at| format!("red-{at}"));
    let answer = prop::sample::select(vec!["red-confirm", "red-confirm", "red-confirm", "red-deny", "red-withdraw"]);
    prop_oneof![
        3 => (id(), reference(), take()).prop_map(|(id, reference, take)| issue_red(&id, WHATEVER, &reference, &take)),
        3 => (1_u32..4, id(), reference(), take())
            .prop_map(|(slip, id, reference, take)| issue_red_under(slip, &id, WHATEVER, &reference, &take)),
        3 => (id(), take()).prop_map(|(id, take)| red_request(&id, WHATEVER, &take)),
        4 => (answer, id(), 1_u32..4).prop_map(|(kind, id, slip)| red_answer(kind, &id, slip)),
    ]
}

/// An invoice as outsiders know it; all have one line of 100.00 with 13.00 tax.
struct Blue {
    document: String,
    /// Net and tax taken back, in fen.
    taken: (i64, i64),
    letters: usize,
    void: bool,
}

/// Where a slip stands.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Asked,
    Agreed,
    Over,
}

/// The newest slip of an invoice, as outsiders know it.
struct Slip {
    number: u32,
    stage: Stage,
    asked_ms: i64,
    net: i64,
    /// The other side, as far as an outsider is told.
    with: Option<OrganisationId>,
}

/// What was taken back of what.
#[derive(Default)]
pub(super) struct Reds {
    blues: BTreeMap<String, Blue>,
    slips: BTreeMap<String, Slip>,
    letters: BTreeSet<String>,
}

impl Reds {
    /// The event with the document of its invoice, when there is one.
    pub(super) fn with_document(&self, event: &str) -> String {
        let id = event.split(r#""invoice":""#).nth(1).and_then(|rest| rest.split('"').next());
        let known = id.and_then(|id| self.blues.get(id)).map(|blue| blue.document.clone());
        let document = known.unwrap_or_else(|| document_in(&issue("none")).to_owned());
        event.replace(r#""document":"@""#, &format!(r#""document":{document}"#))
    }

    /// Takes an accepted event in, and holds it against what was known before it.
    pub(super) fn note(&mut self, time_ms: i64, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        let id = outcome.subject.clone();
        assert!(
            !self.letters.contains(&id)
                || event.contains("book")
                || event.contains("manifest")
                || event.contains("correct")
        );
        let parsed: Event = serde_json::from_str(event).unwrap();
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event depends on what is left of an invoice")]
        match parsed {
            Event::Issue(issue) => self.come(id, &issue.document),
            Event::OfflineIssue(issue) => self.come(id, &issue.document),
            Event::Void(_) => {
                let blue = self.blues.get_mut(&id).expect("issued before it is voided");
                assert_eq!(blue.letters, 0, "voided beside red letters");
                blue.void = true;
            }
            Event::Lock(_)
            | Event::Renew(_)
            | Event::Close(_)
            | Event::Transfer(_)
            | Event::Use(_)
            | Event::Book(_) => {
                assert!(self.blues.get(&id).is_none_or(|blue| blue.taken.0 < 10_000), "nothing is left: {event}");
            }
            Event::RedRequest(request) => {
                let before = self.slips.get(&id);
                let lapsed = |slip: &Slip| slip.stage == Stage::Asked && time_ms >= slip.asked_ms + SLIP_MS;
                let Record::RedRequested { slip, net: said, asked_by, other, .. } = record(outcome) else {
                    panic!("{outcome:?}")
                };
                let with = (asked_by == SlipSide::Seller).then_some(other);
                // Who else the invoice concerns by now is seen from here only when the seller asked both times.
                let another = |slip: &Slip| slip.with.is_none() || with.is_none() || slip.with != with;
                let over = |slip: &Slip| slip.stage == Stage::Over || lapsed(slip) || another(slip);
                assert!(before.is_none_or(over), "a slip beside another");
                let number = before.map_or(0, |slip| slip.number) + 1;
                let net = self.asked(&id, &request.take);
                assert_eq!((slip, -said.fen()), (number, net));
                self.slips.insert(id, Slip { number, stage: Stage::Asked, asked_ms: time_ms, net, with });
            }
            Event::RedConfirm(said) => self.answer(&id, said.slip, time_ms, Stage::Agreed, &[Stage::Asked]),
            Event::RedDeny(said) => self.answer(&id, said.slip, time_ms, Stage::Over, &[Stage::Asked]),
            Event::RedWithdraw(said) => {
                self.answer(&id, said.slip, time_ms, Stage::Over, &[Stage::Asked, Stage::Agreed]);
            }
            Event::IssueRed(red) => {
                let blue = red.invoice.to_string();
                let net = self.asked(&blue, &red.take);
                if let Some(slip) = red.slip {
                    self.answer(&blue, slip, time_ms, Stage::Over, &[Stage::Agreed]);
                    assert_eq!(self.slips[&blue].net, net, "another amount than was agreed on");
                }
                assert!(self.letters.insert(id));
                let known = self.blues.get_mut(&blue).expect("issued before it is taken back");
                assert!(!known.void && net > 0);
                let Record::RedIssued { net: said, tax, .. } = record(outcome) else { panic!("{outcome:?}") };
                assert_eq!(-said.fen(), net);
                known.taken.0 += net;
                known.taken.1 -= tax.fen();
                known.letters += 1;
                assert!(known.taken.0 <= 10_000, "more taken back than there was");
                // 13 % of all that is taken back so far, to the nearest fen.
                assert_eq!(known.taken.1, (known.taken.0 * 13 + 50) / 100);
            }
            _ => {}
        }
    }

    fn come(&mut self, id: String, document: &invoice::document::Document) {
        let document = serde_json::to_string(document).unwrap();
        self.blues.insert(id, Blue { document, taken: (0, 0), letters: 0, void: false });
    }

    /// Net that is to be taken back, in fen.
    fn asked(&self, id: &str, take: &Take) -> i64 {
        match take {
            Take::Full => 10_000 - self.blues[id].taken.0,
            Take::Lines(parts) => parts.iter().map(|part| part.net.fen()).sum(),
        }
    }

    fn answer(&mut self, id: &str, number: u32, time_ms: i64, stage: Stage, from: &[Stage]) {
        let slip = self.slips.get_mut(id).expect("asked before it is answered");
        assert_eq!(slip.number, number);
        assert!(from.contains(&slip.stage), "{:?}", slip.stage);
        assert!(slip.stage != Stage::Asked || time_ms < slip.asked_ms + SLIP_MS, "answered after it lapsed");
        slip.stage = stage;
    }

    /// Of every invoice just that is taken back, and its validity says how much that is.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let mut reversed = 0;
        for (key, stored) in &ledger.state {
            let kind = key.as_bytes()[0];
            if kind == Kind::Reversal as u8 {
                let reversal: ReversalRecord = decode(key, stored).unwrap();
                let blue = &self.blues[&key.reversed_blue().unwrap().to_string()];
                let totals = (-reversal.totals.net.fen(), -reversal.totals.tax.fen());
                assert_eq!((totals, reversal.letters.len()), (blue.taken, blue.letters));
                assert_eq!(-reversal.totals.gross.fen(), blue.taken.0 + blue.taken.1);
                reversed += 1;
            } else if kind == Kind::RedLetter as u8 {
                assert!(self.letters.contains(std::str::from_utf8(&key.as_bytes()[1..]).unwrap()));
            }
        }
        assert_eq!(reversed, self.blues.values().filter(|blue| blue.letters > 0).count());
        for (id, blue) in &self.blues {
            let record: InvoiceRecord = require(ledger, &StateKey::invoice(&id.parse().unwrap())).unwrap();
            let expected = match blue.taken.0 {
                _ if blue.void => Validity::Void,
                0 => Validity::Normal,
                10_000 => Validity::FullRed,
                _ => Validity::PartRed,
            };
            assert_eq!(record.validity, expected);
        }
    }
}
