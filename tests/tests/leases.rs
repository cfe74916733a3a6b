//! Ends of leases in the stream, against an obviously right model: every block looked at, from the first to the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use chain::statement::Mode;
use ledger::outcome::{ACCEPTED, Record};
use proptest::prelude::*;
use replica::memory::MemoryStore;
use replica::port::Store;
use replica::query::{Placed, StreamItem};
use tests::consortium::{DAY, Node, genesis};
use tests::events::{claim, issue, lock};

fn node() -> Node<MemoryStore> {
    Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()))
}

fn lock_for(invoice: &str, claim: &str, seconds: u32) -> String {
    lock(invoice, claim).replace("\"claim\"", &format!("\"lease_seconds\":{seconds},\"claim\""))
}

/// What stands at a place: a leaf, or the end of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stands {
    Leaf(u64),
    End { invoice: String, token: u64, until_ms: i64, height: u64 },
}

fn stands(placed: &Placed) -> Stands {
    match &placed.item {
        StreamItem::Event(event) => Stands::Leaf(event.leaf),
        StreamItem::LeaseEnd(end) => Stands::End {
            invoice: end.invoice.to_string(),
            token: end.lock.token,
            until_ms: end.lock.until_ms,
            height: end.height,
        },
    }
}

/// The stream, read so many at a time.
fn stream(node: &Node<MemoryStore>, page: usize) -> Vec<Stands> {
    let (mut found, mut place) = (Vec::new(), 0);
    loop {
        let next = node.query.stream_from(place, page).unwrap();
        assert!(next.len() <= page);
        if next.is_empty() {
            break;
        }
        for placed in &next {
            assert_eq!(placed.place, place, "places have no gaps");
            place += 1;
        }
        found.extend(next.iter().map(stands));
    }
    assert_eq!(place, node.replica.tip().stream_size());
    found
}

/// The stream as it must be.
fn model(node: &Node<MemoryStore>) -> Vec<Stands> {
    let (mut stream, mut next) = (Vec::new(), 0);
    // Of each invoice the lock in force: when it ends, the leaf that set that end, the token.
    let mut locks: BTreeMap<String, (i64, u64, u64)> = BTreeMap::new();
    for height in 1..=node.replica.tip().progress.height {
        let header = node.query.block(height).unwrap().unwrap().header;
        let mut due: Vec<_> =
            locks.iter().map(|(invoice, (until, leaf, token))| (*until, *leaf, *token, invoice.clone())).collect();
        due.retain(|(until, ..)| *until <= header.time_ms);
        due.sort();
        for (.., invoice) in &due {
            locks.remove(invoice);
        }
        while next < header.log_size {
            let event = node.query.event(next).unwrap().unwrap();
            let subject = event.outcome.subject.clone();
            if event.outcome.code == ACCEPTED {
                match event.record().unwrap() {
                    Record::Locked { token, until_ms } => {
                        locks.insert(subject, (until_ms, next, token));
                    }
                    Record::Renewed { token, until_ms } if locks[&subject].0 != until_ms => {
                        locks.insert(subject, (until_ms, next, token));
                    }
                    Record::Unlocked { .. } | Record::Closed { .. } | Record::Overridden { .. } => {
                        locks.remove(&subject);
                    }
                    _ => {}
                }
            }
            stream.push(Stands::Leaf(next));
            next += 1;
        }
        stream.extend(due.into_iter().map(|(until_ms, _, token, invoice)| Stands::End {
            invoice,
            token,
            until_ms,
            height,
        }));
    }
    stream
}

fn override_lock(invoice: &str, token: u64) -> String {
    let decision = "ab".repeat(32);
    format!(
        r#"{{"override":{{"invoice":"{invoice}","token":{token},"reason":"platform-gone","decision":"{decision}"}}}}"#
    )
}

#[test]
fn an_end_is_told_behind_the_first_block_at_or_past_it_and_once() {
    let mut node = node();
    let id = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    assert_eq!(node.event("platform-a", &lock_for(&id, "c", 60)), ACCEPTED);
    let until_ms = node.replica.tip().progress.time_ms + 60_000;
    // One millisecond before the end, at the end, and past it.
    for (time_ms, ends) in [(until_ms - 1, 0), (until_ms, 1), (until_ms + 1, 1), (until_ms + DAY, 1)] {
        node.now_ms = time_ms - 1_000;
        node.block();
        assert_eq!(node.replica.tip().progress.time_ms, time_ms);
        assert_eq!(node.replica.tip().lease_ends, ends, "{time_ms}");
    }
    assert_eq!(stream(&node, 9), model(&node));
    let Stands::End { height, .. } = stream(&node, 9)[2].clone() else { panic!("the end is the third") };
    assert_eq!(height, 4);
    assert_eq!(node.query.lease_end_places(&id, 0, 9).unwrap(), [2]);
    assert_eq!(node.query.lease_end_places(&id, 3, 9).unwrap(), [0; 0]);
    // An end is there after a restart, and after the index was built anew.
    let (store, before) = (Arc::clone(node.replica.store()), stream(&node, 9));
    drop(node);
    let node = Node::start(genesis(|_| {}), Arc::clone(&store));
    assert_eq!(stream(&node, 9), before);
    drop(node);
    store.reset_index().unwrap();
    assert_eq!(stream(&Node::start(genesis(|_| {}), store), 9), before);
}

#[test]
fn a_lock_that_did_not_last_until_its_end_has_none() {
    let mut node = node();
    let ids: Vec<String> =
        ["a", "b", "c", "d"].map(|name| node.decide("shop", Mode::Each, &[issue(name)]).remove(0).1).into();
    let locks: Vec<String> = ids.iter().map(|id| lock_for(id, "c", 3_600)).collect();
    assert!(node.decide("platform-a", Mode::All, &locks).iter().all(|(code, _)| code == ACCEPTED));
    assert_eq!(node.event("platform-a", &claim("close", &ids[0], "c", 1)), ACCEPTED);
    assert_eq!(node.event("platform-a", &claim("unlock", &ids[1], "c", 1)), ACCEPTED);
    assert_eq!(node.event("tax-bureau", &override_lock(&ids[2], 1)), ACCEPTED);
    assert_eq!(node.event("platform-a", &claim("renew", &ids[3], "c", 1)), ACCEPTED);
    node.now_ms += DAY;
    node.block();
    assert_eq!(node.replica.tip().lease_ends, 0);
    node.now_ms += 30 * DAY;
    node.block();
    assert_eq!(node.replica.tip().lease_ends, 1, "the one that was renewed, at its new end");
    assert_eq!(stream(&node, 100), model(&node));
}

#[test]
fn who_locks_again_in_the_very_block_of_an_end_hides_it_from_nobody() {
    let mut node = node();
    let id = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    assert_eq!(node.event("platform-a", &lock_for(&id, "c", 60)), ACCEPTED);
    node.now_ms += DAY;
    assert_eq!(node.event("platform-b", &lock_for(&id, "d", 60)), ACCEPTED);
    assert_eq!(node.replica.tip().lease_ends, 1);
    node.now_ms += DAY;
    node.block();
    let tokens: Vec<u64> = stream(&node, 1)
        .iter()
        .filter_map(|stands| if let Stands::End { token, .. } = stands { Some(*token) } else { None })
        .collect();
    assert_eq!(tokens, [1, 2]);
    assert_eq!(stream(&node, 2), model(&node));
}

type Step = (u8, usize, u32);

fn blocks() -> impl Strategy<Value = Vec<(Vec<Step>, i64)>> {
    let step = (0..7_u8, 0..6_usize, prop::sample::select(vec![1_u32, 30, 60, 3_600]));
    let wait = prop::sample::select(vec![0_i64, 1_000, 29_000, 59_000, 60_000, DAY]);
    prop::collection::vec((prop::collection::vec(step, 0..5), wait), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_is_what_the_blocks_say(blocks in blocks(), page in 1..9_usize) {
        let mut node = node();
        let issues: Vec<String> = (0..6).map(|number| issue(&format!("r{number}"))).collect();
        let ids: Vec<String> = node.decide("shop", Mode::All, &issues).into_iter().map(|(_, subject)| subject).collect();
        for (steps, wait) in blocks {
            node.now_ms += wait;
            for (what, which, seconds) in steps {
                let (id, token) = (&ids[which], 1 + u64::from(seconds % 2));
                let (actor, event) = match what {
                    0 => ("platform-a", claim("close", id, "c", token)),
                    1 => ("platform-a", claim("unlock", id, "c", token)),
                    2 => ("platform-a", claim("renew", id, "c", token)),
                    3 => ("tax-bureau", override_lock(id, token)),
                    4 => ("platform-b", lock_for(id, "d", seconds)),
                    _ => ("platform-a", lock_for(id, "c", seconds)),
                };
                let statement = node.statement(actor, Mode::Each, &[event]);
                node.submit(&statement);
            }
            node.block();
        }
        let expected = model(&node);
        prop_assert_eq!(stream(&node, page), expected.clone());
        for (place, stands) in (0_u64..).zip(&expected) {
            if let Stands::Leaf(leaf) = stands {
                prop_assert_eq!(node.query.place_of(*leaf).unwrap(), place);
                prop_assert_eq!(node.query.leaf_behind(place).unwrap(), *leaf);
            }
        }
        for id in &ids {
            let own = |stands: &Stands| matches!(stands, Stands::End { invoice, .. } if invoice == id);
            let places: Vec<u64> = (0..).zip(&expected).filter(|(_, stands)| own(stands)).map(|(place, _)| place).collect();
            prop_assert_eq!(node.query.lease_end_places(id, 0, 1_000).unwrap(), places);
        }
        let store = Arc::clone(node.replica.store());
        store.reset_index().unwrap();
        prop_assert_eq!(stream(&Node::start(genesis(|_| {}), store), page), expected);
    }
}
