//! The durable rows of webhooks, in the local area of the store.
//!
//! Endpoints and their progress stand in two tables: owners change the one, couriers the other all the time. A row of
//! progress without its endpoint is what a removal left that was cut; a start clears it away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use replica::port::{LocalRows, LocalTable, Row, Store, StoreFault};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::endpoint::{DeadLetter, Endpoint, EndpointId, Progress};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;

/// An endpoint as it is found at a start.
pub(super) struct Found {
    pub(super) endpoint: Endpoint,
    pub(super) progress: Progress,
    /// How many dead letters it has.
    pub(super) letters: usize,
    /// How many of them are to be sent once more.
    pub(super) asked: usize,
}

/// Reads everything there is.
pub(super) fn load<S: Store>(store: &S) -> Result<Vec<Found>, StoreFault> {
    let endpoints = read_all::<S, Endpoint>(store, LocalTable::WebhookEndpoint)?;
    let mut progress: BTreeMap<Vec<u8>, Progress> = read_all(store, LocalTable::WebhookProgress)?.into_iter().collect();
    let mut letters = BTreeMap::<Vec<u8>, (usize, usize)>::new();
    let mut orphans = Vec::new();
    let known: BTreeSet<&[u8]> = endpoints.iter().map(|(key, _)| key.as_slice()).collect();
    for (key, letter) in read_all::<S, DeadLetter>(store, LocalTable::WebhookDeadLetter)? {
        let of = key.get(..key.len().saturating_sub(8)).unwrap_or_default().to_vec();
        if known.contains(of.as_slice()) {
            let counts = letters.entry(of).or_default();
            counts.0 += 1;
            counts.1 += usize::from(letter.asked);
        } else {
            orphans.push((LocalTable::WebhookDeadLetter, key));
        }
    }
    let mut found = Vec::with_capacity(endpoints.len());
    for (key, endpoint) in endpoints {
        let missing = || damaged(LocalTable::WebhookProgress, "a row for every endpoint", "none");
        let progress = progress.remove(&key).ok_or_else(missing)?;
        let (letters, asked) = letters.remove(&key).unwrap_or_default();
        found.push(Found { endpoint, progress, letters, asked });
    }
    orphans.extend(progress.into_keys().map(|key| (LocalTable::WebhookProgress, key)));
    if !orphans.is_empty() {
        store.remove_local(&orphans)?;
    }
    Ok(found)
}

/// Rows to put.
#[derive(Default)]
pub(super) struct Put(LocalRows);

impl Put {
    pub(super) fn endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.0.insert((LocalTable::WebhookEndpoint, own_key(&endpoint.id)), json(endpoint));
        self
    }

    pub(super) fn progress(mut self, of: &EndpointId, progress: &Progress) -> Self {
        self.0.insert((LocalTable::WebhookProgress, own_key(of)), json(progress));
        self
    }

    pub(super) fn letter(mut self, of: &EndpointId, letter: &DeadLetter) -> Self {
        self.0.insert((LocalTable::WebhookDeadLetter, letter_key(of, letter.through)), json(letter));
        self
    }

    /// Puts them, all or none. Durable when this returns.
    pub(super) fn keep<S: Store>(&self, store: &S) -> Result<(), StoreFault> {
        if self.0.is_empty() { Ok(()) } else { store.put_local(&self.0) }
    }
}

/// Removes an endpoint: first itself, so that what a cut leaves behind belongs to none.
pub(super) fn remove<S: Store>(store: &S, of: &EndpointId) -> Result<(), StoreFault> {
    store.remove_local(&[(LocalTable::WebhookEndpoint, own_key(of))])?;
    let mut rest = vec![(LocalTable::WebhookProgress, own_key(of))];
    let mut after = 0;
    loop {
        let letters = letters(store, of, after, ROWS_AT_ONCE)?;
        rest.extend(letters.iter().map(|letter| (LocalTable::WebhookDeadLetter, letter_key(of, letter.through))));
        match letters.last() {
            Some(last) if letters.len() == ROWS_AT_ONCE => after = last.through,
            Some(_) | None => break,
        }
    }
    store.remove_local(&rest)
}

/// Removes a dead letter.
pub(super) fn remove_letter<S: Store>(store: &S, of: &EndpointId, through: u64) -> Result<(), StoreFault> {
    store.remove_local(&[(LocalTable::WebhookDeadLetter, letter_key(of, through))])
}

/// Dead letters of an endpoint that end behind a position, in the order of the log.
pub(super) fn letters<S: Store>(
    store: &S,
    of: &EndpointId,
    after: u64,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreFault> {
    let range = (Bound::Excluded(letter_key(of, after)), Bound::Included(letter_key(of, u64::MAX)));
    let rows = store.scan_local(LocalTable::WebhookDeadLetter, range, limit)?;
    rows.iter().map(|(_, row)| read(LocalTable::WebhookDeadLetter, row)).collect()
}

/// The dead letter that ends at a position.
pub(super) fn letter<S: Store>(store: &S, of: &EndpointId, through: u64) -> Result<Option<DeadLetter>, StoreFault> {
    let found = letters(store, of, through.saturating_sub(1), 1)?;
    Ok(found.into_iter().next().filter(|letter| letter.through == through))
}

fn own_key(of: &EndpointId) -> Vec<u8> {
    of.as_str().as_bytes().to_vec()
}

/// Ids have one length, so no key of one endpoint stands among those of another.
fn letter_key(of: &EndpointId, through: u64) -> Vec<u8> {
    [of.as_str().as_bytes(), &through.to_be_bytes()].concat()
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers always serialise")
}

fn read<T: DeserializeOwned>(table: LocalTable, row: &[u8]) -> Result<T, StoreFault> {
    // What serde says of a row may quote it.
    serde_json::from_slice(row).map_err(|_| damaged(table, "a row that this version writes", "other bytes"))
}

fn read_all<S: Store, T: DeserializeOwned>(store: &S, table: LocalTable) -> Result<Vec<(Vec<u8>, T)>, StoreFault> {
    let (mut all, mut from) = (Vec::new(), Bound::Unbounded);
    loop {
        let rows: Vec<Row> = store.scan_local(table, (from, Bound::Unbounded), ROWS_AT_ONCE)?;
        let (count, last) = (rows.len(), rows.last().map(|(key, _)| key.clone()));
        for (key, row) in rows {
            all.push((key, read(table, &row)?));
        }
        match last {
            Some(last) if count == ROWS_AT_ONCE => from = Bound::Excluded(last),
            Some(_) | None => return Ok(all),
        }
    }
}

fn damaged(table: LocalTable, expected: &str, found: &str) -> StoreFault {
    StoreFault::Damaged { place: format!("local rows, {table:?}"), expected: expected.into(), found: found.into() }
}

#[cfg(test)]
mod tests {
    use chain::identity::{KeyId, OrganisationId};
    use replica::memory::MemoryStore;

    use super::super::endpoint::{Failure, Reason, Settings};
    use super::*;

    fn endpoint(byte: u8) -> Endpoint {
        let url = "https://example.com/".to_owned();
        Endpoint {
            id: EndpointId::from_random(&[byte; 16]),
            organisation: OrganisationId::new("shop").unwrap(),
            key: KeyId::new("login").unwrap(),
            settings: Settings { url, kinds: Vec::new(), invoice: None, of: None, events_max: 1 },
            revision: 0,
            created_ms: 0,
            generation: 0,
            rotated_ms: None,
            disabled: None,
        }
    }

    fn letter(through: u64, asked: bool) -> DeadLetter {
        let failure = Failure { at_ms: 0, reason: Reason::Timeout, status: None };
        DeadLetter { revision: 0, from: through - 1, through, events: 1, died_ms: 0, tries: 10, failure, asked }
    }

    #[test]
    fn what_was_put_is_found_and_what_a_cut_removal_left_is_cleared_away() {
        let store = MemoryStore::new();
        let progress = Progress { position: 7, sending: None, delivered_ms: None };
        for byte in [1, 2] {
            let endpoint = endpoint(byte);
            let put = Put::default().endpoint(&endpoint).progress(&endpoint.id, &progress);
            let put = put.letter(&endpoint.id, &letter(3, true)).letter(&endpoint.id, &letter(9, false));
            put.keep(&store).unwrap();
        }
        let (one, two) = (endpoint(1).id, endpoint(2).id);
        assert_eq!(super::letter(&store, &one, 3).unwrap(), Some(letter(3, true)));
        assert_eq!(super::letter(&store, &one, 4).unwrap(), None);
        assert_eq!(letters(&store, &one, 3, 9).unwrap(), [letter(9, false)]);
        // As much of a removal as a crash may leave.
        store.remove_local(&[(LocalTable::WebhookEndpoint, own_key(&one))]).unwrap();
        let found = load(&store).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].endpoint, &found[0].progress), (&endpoint(2), &progress));
        assert_eq!((found[0].letters, found[0].asked), (2, 1));
        assert_eq!(letters(&store, &one, 0, 9).unwrap(), []);
        remove(&store, &two).unwrap();
        assert!(load(&store).unwrap().is_empty() && letters(&store, &two, 0, 9).unwrap().is_empty());
    }

    #[test]
    fn a_row_that_cannot_be_read_is_damage_and_is_not_shown() {
        let store = MemoryStore::new();
        let rows = [((LocalTable::WebhookEndpoint, b"we_x".to_vec()), br#"{"secret":"x"}"#.to_vec())];
        store.put_local(&rows.into()).unwrap();
        let Err(fault) = load(&store) else { panic!("a row without its fields was read") };
        assert!(matches!(fault, StoreFault::Damaged { .. }) && !fault.to_string().contains("secret"), "{fault}");
    }
}
