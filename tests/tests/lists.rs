//! Lists of the index against an obviously right model: every leaf looked at, from the first to the last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain::statement::Mode;
use invoice::InvoiceId;
use ledger::event::Event;
use ledger::outcome::{ACCEPTED, Record};
use ledger::party::{Party, Side};
use ledger::state::Kind;
use proptest::prelude::*;
use replica::memory::MemoryStore;
use replica::port::{Store, Table};
use tests::consortium::{CHECKPOINT_MS, DAY, Node, ORGANISATIONS, genesis};
use tests::events::{claim, issue, issue_to, lock, void};
use tests::trap::{Missed, Trap};

const SIDES: [Side; 4] = [Side::Seller, Side::Buyer, Side::Holder, Side::Platform];

/// What an organisation does in a block: what to which invoice, and with whom.
type Step = (u8, u8, u8);

/// A block: who acts, what it does, and how long it waits before.
type Block = (usize, Vec<Step>, usize);

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let steps = prop::collection::vec((0..6_u8, any::<u8>(), 0..4_u8), 1..5);
    prop::collection::vec((0..4_usize, steps, 0..12_usize), 1..25)
}

fn event(actor: &str, (what, which, with): Step, invoices: &[String]) -> String {
    let unknown = "144032609110-99999999".to_owned();
    // Now and then one that is not there, or not yet.
    let known = invoices.get(usize::from(which) % (invoices.len() + 1)).unwrap_or(&unknown);
    match (actor, what) {
        ("shop", 0) => void(known),
        ("shop", _) if with == 0 => issue(&format!("r{}", which % 40)),
        ("shop", _) => issue_to(&format!("r{}", which % 40), &format!(r#"{{"person":{{"id":"p{with}"}}}}"#)),
        ("buyer", _) if with < 2 => {
            format!(
                r#"{{"transfer":{{"invoice":"{known}","to":{{"organisation":"{}"}}}}}}"#,
                ["buyer", "shop"][usize::from(with)]
            )
        }
        ("buyer", _) => format!(r#"{{"transfer":{{"invoice":"{known}","to":{{"person":"p{with}"}}}}}}"#),
        (_, 0) => claim("unlock", known, &format!("c{with}"), 1),
        (_, 1) => claim("renew", known, &format!("c{with}"), 1),
        (_, _) => lock(known, &format!("c{with}")),
    }
}

fn taxpayer(organisation: &str) -> Party {
    let (_, id, _) = ORGANISATIONS.iter().find(|(name, _, _)| *name == organisation).unwrap();
    Party::Taxpayer(id.parse().unwrap())
}

/// Lists as they must be.
#[derive(Default)]
struct Model {
    subjects: BTreeMap<String, Vec<u64>>,
    /// The invoices of a party, with the leaves that gave them, oldest first.
    parties: BTreeMap<(Party, Side), Vec<(u64, InvoiceId)>>,
}

impl Model {
    fn of(node: &Node<MemoryStore>) -> Self {
        let mut model = Self::default();
        for leaf in 0..node.replica.tip().progress.log_size {
            let view = node.query.event(leaf).unwrap().unwrap();
            model.subjects.entry(view.outcome.subject.clone()).or_default().push(leaf);
            if view.outcome.code != ACCEPTED {
                continue;
            }
            let actor = taxpayer(view.statement.header().organisation.as_str());
            let given = match (view.event().unwrap(), view.record().unwrap()) {
                (Event::Issue(issue), Record::Issued { invoice, .. }) => {
                    let buyer = Party::buyer(&issue.document.buyer);
                    vec![
                        (actor, Side::Seller, invoice),
                        (buyer.clone(), Side::Buyer, invoice),
                        (buyer, Side::Holder, invoice),
                    ]
                }
                (Event::Transfer(transfer), _) => {
                    let to = match transfer.to {
                        ledger::event::Recipient::Organisation(id) => taxpayer(id.as_str()),
                        ledger::event::Recipient::Person(id) => Party::Person(id),
                    };
                    vec![(to, Side::Holder, transfer.invoice)]
                }
                (Event::Lock(lock), _) => vec![(actor, Side::Platform, lock.invoice)],
                // A renewal gives nobody anything.
                (_, _) => Vec::new(),
            };
            for (party, side, invoice) in given {
                model.parties.entry((party, side)).or_default().push((leaf, invoice));
            }
        }
        model
    }

    /// Compares what is read, page by page.
    fn compare(&self, node: &Node<MemoryStore>, page: usize) {
        for (subject, leaves) in &self.subjects {
            let (mut found, mut after) = (Vec::<u64>::new(), None);
            loop {
                let next = node.query.subject_leaves(subject, after, page).unwrap();
                found.extend(&next);
                after = next.last().copied().or(after);
                if next.len() < page {
                    break;
                }
            }
            assert_eq!(found, *leaves, "{subject}");
        }
        let parties = self.parties.keys().map(|(party, _)| party.clone()).chain([taxpayer("auditor")]);
        for party in parties.collect::<BTreeSet<_>>() {
            SIDES.into_iter().for_each(|side| self.compare_party(node, &party, side, page));
        }
    }

    fn compare_party(&self, node: &Node<MemoryStore>, party: &Party, side: Side, page: usize) {
        let given = self.parties.get(&(party.clone(), side)).map_or(&[][..], Vec::as_slice);
        let size = node.replica.tip().progress.log_size;
        for below in [None, Some(size / 2), Some(size + 7)] {
            let (mut found, mut cursor) = (Vec::new(), below.map(|leaf| leaf.to_be_bytes().to_vec()));
            loop {
                let next = node
                    .query
                    .party_invoices(std::slice::from_ref(party), side, cursor.as_deref(), page, |_, _| true)
                    .unwrap();
                found.extend(next.rows.into_iter().map(|(id, _)| id));
                match next.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            // A page names an invoice once; two pages may both name it.
            let expected = given.iter().rev().filter(|(leaf, _)| below.is_none_or(|below| *leaf < below));
            let (mut expected, mut rest) = (Vec::new(), expected.map(|(_, id)| *id).collect::<Vec<_>>());
            while !rest.is_empty() {
                let (mut here, mut looked) = (Vec::new(), 0);
                for id in &rest {
                    if here.len() == page {
                        break;
                    }
                    looked += 1;
                    if !here.contains(id) {
                        here.push(*id);
                    }
                }
                rest.drain(..looked);
                expected.append(&mut here);
            }
            assert_eq!(found, expected, "{party} as {side:?} below {below:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Over months, checkpoints, refusals and crashes.
    #[test]
    fn they_are_what_the_leaves_say(blocks in blocks(), page in 1..7_usize, crash in any::<prop::sample::Index>()) {
        let store = Arc::new(MemoryStore::default());
        let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
        let mut invoices: Vec<String> = Vec::new();
        let crash = crash.index(blocks.len());
        for (number, (actor, steps, wait)) in blocks.into_iter().enumerate() {
            let actor = ["shop", "buyer", "platform-a", "platform-b"][actor];
            // Most blocks follow each other, some come after a checkpoint, some in another month.
            node.now_ms += match wait { 0 => 20 * DAY, 1 => 70 * DAY, 2 | 3 => CHECKPOINT_MS, _ => 10 };
            let events: Vec<String> = steps.iter().map(|step| event(actor, *step, &invoices)).collect();
            for (code, subject) in node.decide(actor, Mode::Each, &events) {
                if code == ACCEPTED && actor == "shop" && !invoices.contains(&subject) {
                    invoices.push(subject);
                }
            }
            if number == crash {
                drop(node);
                store.crash();
                node = Node::start(genesis(|_| {}), Arc::clone(&store));
            }
        }
        Model::of(&node).compare(&node, page);
        drop(node);
        store.reset_index().unwrap();
        let rebuilt = Node::start(genesis(|_| {}), store);
        Model::of(&rebuilt).compare(&rebuilt, page);
    }
}

/// A subject with many more events than a milestone's, and one invoice for many claims.
#[test]
fn long_lists_are_read_from_the_middle() {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    let id = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    let events: Vec<String> = (0..150)
        .flat_map(|number| [lock(&id, "c"), claim("renew", &id, "c", 1), issue(&format!("r{number}"))])
        .collect();
    for (number, events) in events.chunks(30).enumerate() {
        for (actor, kind) in [("platform-a", "lock"), ("platform-a", "renew"), ("shop", "issue")] {
            let events: Vec<String> =
                events.iter().filter(|event| event.starts_with(&format!(r#"{{"{kind}""#))).cloned().collect();
            node.now_ms += if number % 3 == 0 { CHECKPOINT_MS } else { 10 };
            node.decide(actor, Mode::Each, &events);
        }
    }
    let model = Model::of(&node);
    assert!(model.subjects[&id].len() > 250 && model.parties[&(taxpayer("shop"), Side::Seller)].len() > 140);
    model.compare(&node, 7);
    model.compare(&node, 1_000);
}

fn transfer(invoice: &str, person: &str) -> String {
    format!(r#"{{"transfer":{{"invoice":"{invoice}","to":{{"person":"{person}"}}}}}}"#)
}

/// The number after that of an invoice.
fn next_number(invoice: &str) -> String {
    let (code, number) = invoice.split_once('-').unwrap();
    format!("{code}-{:08}", number.parse::<u32>().unwrap() + 1)
}

/// Lists begin before there is a record for their heads to stand beside: someone tries to lock a number that is still to
/// be assigned, and a person holds an invoice in a month before it buys one.
#[test]
fn what_came_before_a_record_is_listed_after_it_was_created() {
    let store = Arc::new(MemoryStore::default());
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let first = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    let second = next_number(&first);
    assert_ne!(node.event("platform-a", &lock(&second, "c")), ACCEPTED);
    assert_eq!(node.event("buyer", &transfer(&first, "p1")), ACCEPTED);
    node.now_ms += CHECKPOINT_MS;
    assert_ne!(node.event("platform-b", &lock(&second, "c")), ACCEPTED);
    let issued = node.decide("shop", Mode::Each, &[issue_to("b", r#"{"person":{"id":"p1"}}"#)]);
    assert_eq!(issued, [(ACCEPTED.to_owned(), second.clone())]);
    // Refused, for it is a person's: the record stays as it is, and the list grows.
    assert_ne!(node.event("platform-a", &lock(&second, "c")), ACCEPTED);
    let compare = |node: &Node<MemoryStore>| {
        assert_eq!(node.query.subject_leaves(&second, None, 9).unwrap(), [1, 3, 4, 5]);
        let person = Party::Person("p1".parse().unwrap());
        let held = node.query.party_invoices(&[person], Side::Holder, None, 9, |_, _| true).unwrap();
        assert_eq!(held.rows.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), [&*second, &*first]);
        Model::of(node).compare(node, 3);
    };
    compare(&node);
    drop(node);
    store.crash();
    compare(&Node::start(genesis(|_| {}), Arc::clone(&store)));
    store.reset_index().unwrap();
    compare(&Node::start(genesis(|_| {}), store));
}

/// A reader finds no invoice, an attempt on its number stands in a row of its own, and before the reader comes to that
/// row the invoice is issued and takes it over.
#[test]
fn a_list_is_not_lost_between_two_rows_while_its_head_moves() {
    let store = Trap::around(MemoryStore::default());
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let first = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    let second = next_number(&first);
    assert_ne!(node.event("platform-a", &lock(&second, "c")), ACCEPTED);
    let query = node.query.clone();
    assert_eq!(query.subject_leaves(&second, None, 9).unwrap(), [1]);
    store.meanwhile(Table::ListHead, move || assert_eq!(node.event("shop", &issue("b")), ACCEPTED));
    assert_eq!(query.subject_leaves(&second, None, 9).unwrap(), [1, 2]);
}

/// Looking for a row that is not there goes through every layer of a store.
#[test]
fn an_issued_invoice_looks_for_one_row_of_lists_that_is_not_there() {
    let store = Trap::around(MemoryStore::default());
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let of_lists = |missed: Missed| -> Missed {
        let kinds = [Kind::Invoice, Kind::Accumulator].map(|kind| Some(kind as u8));
        let is_of_lists = |table, kind| table == Table::ListHead || table == Table::State && kinds.contains(&kind);
        missed.into_iter().filter(|((table, kind), _)| is_of_lists(*table, *kind)).collect()
    };
    store.take_missed();
    assert_eq!(node.event("shop", &issue("first")), ACCEPTED);
    // Execution looks for the months of both, and lists for heads of both and of the invoice.
    let accumulators = (Table::State, Some(Kind::Accumulator as u8));
    assert_eq!(of_lists(store.take_missed()), [((Table::ListHead, None), 3), (accumulators, 2)].into());
    for count in [1, 7] {
        let events: Vec<String> = (0..count).map(|number| issue(&format!("{count}/{number}"))).collect();
        let statement = node.statement("shop", Mode::Each, &events);
        node.submit(&statement);
        store.take_missed();
        assert_eq!(node.block().events, count);
        assert_eq!(of_lists(store.take_missed()), [((Table::ListHead, None), count)].into());
    }
}
