//! Connections open at once: how many in all and of one address, and who goes when there is no room.
//!
//! A connection whose request is being worked on stays, and so does one that nobody has listened to
//! yet: what its peer has sent may already be there, and a door that has no time to look takes no
//! more in. One that waits for its peer (idle, or in the middle of a head or body) may be pushed out
//! for a new one. First go those on which nobody has
//! shown who they are; of these, those of the address that has most, and of it the one that has
//! waited longest. So whoever opens many connections and sends little loses its own first; and where
//! every connection has an address of its own, those who are known keep theirs (up to half of what
//! there is), and a newcomer has as long to become known as it takes others to fill the door once
//! more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::unread::Outstanding;

/// The network an address counts for: one holder of IPv6 has 2^64 addresses.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// The part of what an address may have below which it is no crowd: all who have less go by how long they waited.
const CROWD_PART: usize = 16;

/// The connections of a door.
pub(crate) struct Connections {
    max: usize,
    address_max: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    /// Connections of an address that are no crowd yet.
    few: usize,
    /// Counts what happens: an order without a clock.
    stamp: u64,
    open: BTreeMap<u64, Open>,
    /// Of these, those that are known.
    known: usize,
    networks: BTreeMap<IpAddr, Network>,
    /// Of each network the first that would have to go; the first of all goes first. Under an attack somebody goes
    /// thousands of times a second, so nobody may have to look through all of them.
    first: BTreeSet<Rank>,
}

struct Open {
    network: IpAddr,
    /// Whether somebody has shown on it who they are.
    known: bool,
    /// Whether somebody has listened to it.
    heard: bool,
    /// How many of its requests are worked on.
    at_work: usize,
    /// Since when it has waited for its peer; `None` while a request is worked on, and until it is heard.
    waits_since: Option<u64>,
    pushed_out: CancellationToken,
}

#[derive(Default)]
struct Network {
    open: usize,
    /// Of these, those that are known, and those that nobody has listened to yet.
    known: usize,
    unheard: usize,
    /// Those that wait for their peer, in the order in which they go: whether known, since when, which.
    waiting: BTreeSet<(bool, u64, u64)>,
}

/// Where a connection that waits stands among those that may have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    known: bool,
    crowd: Reverse<usize>,
    waits_since: u64,
    id: u64,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its address has as many as one may have, and all of them are being worked on.
    Address,
    /// There is no room now: everything is being worked on, or was not listened to yet.
    Full,
}

impl Connections {
    /// So many in all, and of one address.
    pub(crate) fn new(max: usize, address_max: usize) -> Arc<Self> {
        let (max, address_max) = (max.max(1), address_max.max(1));
        let inner = Mutex::new(Inner { few: (address_max / CROWD_PART).max(1), ..Inner::default() });
        Arc::new(Self { max, address_max, inner, changed: Notify::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the connections")
    }

    /// Takes a connection in. Gives its place, and whether another was pushed out for it.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<(Place, bool), Refused> {
        let network = network(address);
        let mut inner = self.inner();
        let (own, unheard) = inner.networks.get(&network).map_or((0, 0), |network| (network.open, network.unheard));
        let pushed_out = if own >= self.address_max {
            // Some of its own may have to go in a moment.
            let refused = if unheard > 0 { Refused::Full } else { Refused::Address };
            inner.push_out(Some(network), self.address_max).then_some(true).ok_or(refused)?
        } else if inner.open.len() >= self.max {
            inner.push_out(None, self.max).then_some(true).ok_or(Refused::Full)?
        } else {
            false
        };
        let id = inner.tick();
        let token = CancellationToken::new();
        let open =
            Open { network, known: false, heard: false, at_work: 0, waits_since: None, pushed_out: token.clone() };
        inner.open.insert(id, open);
        inner.change(network, |network| {
            network.open += 1;
            network.unheard += 1;
        });
        let unread = Outstanding::default();
        Ok((Place { connections: Arc::clone(self), id, network, pushed_out: token, unread }, pushed_out))
    }

    /// Waits until a connection ended or may be pushed out. For one who waits.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// Changes a network, and who of it would have to go first.
    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut Network)) {
        let network = self.networks.entry(address).or_default();
        if let Some(rank) = network.first(self.few) {
            self.first.remove(&rank);
        }
        change(network);
        self.first.extend(network.first(self.few));
        if network.open == 0 {
            self.networks.remove(&address);
        }
    }

    /// Changes a connection: it waits, is worked on, becomes known. `false` when it has gone.
    fn set(&mut self, id: u64, set: impl FnOnce(&mut Open)) -> bool {
        let Some(open) = self.open.get_mut(&id) else { return false };
        let (network, before, was_known, was_heard) = (open.network, open.waiting(id), open.known, open.heard);
        set(open);
        let after = open.waiting(id);
        let becomes_known = usize::from(open.known && !was_known);
        let becomes_heard = usize::from(open.heard && !was_heard);
        self.known += becomes_known;
        self.change(network, |network| {
            network.known += becomes_known;
            network.unheard -= becomes_heard;
            if let Some(before) = before {
                network.waiting.remove(&before);
            }
            network.waiting.extend(after);
        });
        true
    }

    /// Pushes one out, of a network or of all, that may have so many; `false` when every one is being worked on, or is
    /// known and of no more than half.
    fn push_out(&mut self, of: Option<IpAddr>, max: usize) -> bool {
        let (first, known) = match of {
            Some(of) => self.networks.get(&of).map_or((None, 0), |network| (network.first(self.few), network.known)),
            None => (self.first.first().copied(), self.known),
        };
        let first = first.filter(|first| !first.known || known > max / 2);
        let Some(open) = first.and_then(|first| self.remove(first.id)) else { return false };
        open.pushed_out.cancel();
        true
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.known -= usize::from(open.known);
        self.change(open.network, |network| {
            network.open -= 1;
            network.known -= usize::from(open.known);
            network.unheard -= usize::from(!open.heard);
            if let Some(waiting) = open.waiting(id) {
                network.waiting.remove(&waiting);
            }
        });
        Some(open)
    }
}

impl Open {
    /// Its place among those of its network that wait; `None` while it is worked on.
    fn waiting(&self, id: u64) -> Option<(bool, u64, u64)> {
        self.waits_since.map(|since| (self.known, since, id))
    }
}

impl Network {
    /// Who of it would have to go first.
    fn first(&self, few: usize) -> Option<Rank> {
        let crowd = Reverse(self.open.max(few));
        self.waiting.first().map(|&(known, waits_since, id)| Rank { known, crowd, waits_since, id })
    }
}

/// A connection's place, until it is dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    network: IpAddr,
    pushed_out: CancellationToken,
    /// Answers that its peer has not taken yet.
    pub(crate) unread: Outstanding,
}

impl Place {
    /// The network of the peer.
    pub(crate) fn network(&self) -> IpAddr {
        self.network
    }

    /// Says that it was listened to for the first time. If no request was there, it is the peer's turn.
    pub(crate) fn heard(&self) {
        let mut inner = self.connections.inner();
        let stamp = inner.tick();
        inner.set(self.id, |open| {
            if !open.heard {
                (open.heard, open.waits_since) = (true, Some(stamp));
            }
        });
        drop(inner);
        self.connections.changed.notify_one();
    }

    /// Says that one more request is worked on from now on. `false` when the connection was pushed out just before.
    pub(crate) fn works(&self) -> bool {
        self.connections.inner().set(self.id, |open| {
            open.at_work += 1;
            (open.heard, open.waits_since) = (true, None);
        })
    }

    /// Says that for one request it is the peer's turn from now on.
    pub(crate) fn waits(&self) {
        let mut inner = self.connections.inner();
        let stamp = inner.tick();
        inner.set(self.id, |open| {
            open.at_work = open.at_work.saturating_sub(1);
            if open.at_work == 0 {
                open.waits_since = Some(stamp);
            }
        });
        drop(inner);
        self.connections.changed.notify_one();
    }

    /// Says that somebody has shown on it who they are: a login or a statement that holds.
    pub(crate) fn known(&self) {
        self.connections.inner().set(self.id, |open| open.known = true);
    }

    /// Waits until the connection must go.
    pub(crate) async fn pushed_out(&self) {
        self.pushed_out.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.inner().remove(self.id);
        self.connections.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, address: usize) -> Arc<Connections> {
        Connections::new(all, address)
    }

    fn admit(connections: &Arc<Connections>, address: &str) -> Result<Place, Refused> {
        connections.admit(address.parse().unwrap()).map(|(place, _)| place).inspect(Place::heard)
    }

    fn gone(places: &[&Place]) -> Vec<bool> {
        places.iter().map(|place| place.pushed_out.is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_that_waits_of_the_address_with_most_goes_first() {
        let connections = connections(4, 3);
        let alone = admit(&connections, "10.0.0.1").unwrap();
        let crowd = ["10.0.0.2"; 3].map(|address| admit(&connections, address).unwrap());
        // Waits anew, so that the second has waited longest.
        assert!(crowd[0].works());
        crowd[0].waits();
        let new = admit(&connections, "10.0.0.3").unwrap();
        assert_eq!(gone(&[&alone, &crowd[0], &crowd[1], &crowd[2], &new]), [false, false, true, false, false]);
        assert!(!crowd[1].works(), "it has gone");
    }

    #[test]
    fn what_is_worked_on_stays_and_a_full_address_does_not_shut_others_out() {
        let connections = connections(3, 2);
        let busy = ["2001:db8::1", "2001:db8::2"].map(|address| admit(&connections, address).unwrap());
        assert!(busy.iter().all(Place::works));
        assert_eq!(admit(&connections, "2001:db8::3").err(), Some(Refused::Address), "one network of IPv6");
        let other = admit(&connections, "10.0.0.1").unwrap();
        assert!(other.works());
        assert_eq!(admit(&connections, "10.0.0.2").err(), Some(Refused::Full));
        busy[0].waits();
        let served = admit(&connections, "10.0.0.2").unwrap();
        assert_eq!(gone(&[&busy[0], &busy[1], &other]), [true, false, false]);
        drop((busy, other, served));
        let inner = connections.inner();
        assert!(inner.open.is_empty() && inner.networks.is_empty() && inner.first.is_empty());
    }

    #[test]
    fn of_many_requests_on_one_connection_the_last_decides() {
        let connections = connections(1, 1);
        let place = admit(&connections, "10.0.0.1").unwrap();
        assert!(place.works() && place.works());
        place.waits();
        assert_eq!(admit(&connections, "10.0.0.2").err(), Some(Refused::Full), "one is still worked on");
        place.waits();
        drop(admit(&connections, "10.0.0.2").unwrap());
        assert_eq!(gone(&[&place]), [true]);
    }

    #[test]
    fn nobody_goes_unheard() {
        let connections = connections(1, 1);
        let admit = |address: &str| connections.admit(address.parse().unwrap()).map(|(place, _)| place);
        let first = admit("10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.2").err(), Some(Refused::Full));
        assert!(first.works(), "its request was there");
        first.heard();
        assert_eq!(admit("10.0.0.2").err(), Some(Refused::Full), "it is worked on");
        first.waits();
        let second = admit("10.0.0.2").unwrap();
        second.heard();
        drop(admit("10.0.0.3").unwrap());
        assert_eq!(gone(&[&first, &second]), [true, true]);
    }

    #[test]
    fn who_is_known_goes_last_and_a_few_of_one_address_are_no_crowd() {
        let connections = connections(20, 32);
        let idle = admit(&connections, "10.0.0.1").unwrap();
        assert!(idle.works());
        idle.known();
        idle.waits();
        // Everybody else has an address of its own.
        let strangers: Vec<Place> =
            (0..18).map(|last| admit(&connections, &format!("10.0.1.{last}")).unwrap()).collect();
        let second = admit(&connections, "10.0.0.1").unwrap();
        let later: Vec<Place> = (0..18).map(|last| admit(&connections, &format!("10.0.2.{last}")).unwrap()).collect();
        assert!(strangers.iter().all(|place| place.pushed_out.is_cancelled()), "they waited longest");
        assert_eq!(gone(&[&idle, &second]), [false, false], "known the one, new the other");
        let last = admit(&connections, "10.0.3.1").unwrap();
        assert_eq!(gone(&[&idle, &second, &later[0]]), [false, true, false], "it had its time to become known");
        // Known by its login, one of a crowd is still the last of it to go.
        assert!(last.works());
        last.known();
        last.waits();
        let crowd: Vec<Place> = (0..32).map(|_| admit(&connections, "10.0.3.1").unwrap()).collect();
        assert_eq!(gone(&[&idle, &last, &crowd[31]]), [false, false, false]);
    }
}
