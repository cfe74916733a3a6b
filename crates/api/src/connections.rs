//! Connections open at once: how many in all and of one address, and who goes when there is no room.
//!
//! A connection whose request is being worked on stays. One that waits for its peer (idle, or in the
//! middle of a head or body) may be pushed out for a new one: of the address that has most, the one
//! that has waited longest. So whoever opens many connections and sends little loses its own first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::options::Options;

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

/// The connections of a door.
pub(crate) struct Connections {
    max: usize,
    address_max: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    /// Counts what happens: an order without a clock.
    stamp: u64,
    open: BTreeMap<u64, Open>,
    networks: BTreeMap<IpAddr, usize>,
}

struct Open {
    network: IpAddr,
    /// Since when it has waited for its peer; `None` while its request is worked on.
    waits_since: Option<u64>,
    pushed_out: CancellationToken,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its address has as many as one may have, and all of them are being worked on.
    Address,
    /// There is no room, and everything is being worked on.
    Full,
}

impl Connections {
    pub(crate) fn new(options: &Options) -> Arc<Self> {
        let (max, address_max) = (options.connections_max.max(1), options.connections_an_address_max.max(1));
        Arc::new(Self { max, address_max, inner: Mutex::default(), changed: Notify::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the connections")
    }

    /// Takes a connection in. Gives its place, and whether another was pushed out for it.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<(Place, bool), Refused> {
        let network = network(address);
        let mut inner = self.inner();
        let own = inner.networks.get(&network).copied().unwrap_or(0);
        let pushed_out = if own >= self.address_max {
            inner.push_out(Some(network)).then_some(true).ok_or(Refused::Address)?
        } else if inner.open.len() >= self.max {
            inner.push_out(None).then_some(true).ok_or(Refused::Full)?
        } else {
            false
        };
        let stamp = inner.tick();
        let token = CancellationToken::new();
        inner.open.insert(stamp, Open { network, waits_since: Some(stamp), pushed_out: token.clone() });
        *inner.networks.entry(network).or_default() += 1;
        Ok((Place { connections: Arc::clone(self), id: stamp, network, pushed_out: token }, pushed_out))
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

    /// Pushes one out, of a network or of all; `false` when every one is being worked on.
    fn push_out(&mut self, of: Option<IpAddr>) -> bool {
        let waiting = self.open.iter().filter(|(_, open)| of.is_none_or(|network| open.network == network));
        let crowd = |open: &Open| self.networks.get(&open.network).copied().unwrap_or(0);
        let waiting = waiting.filter_map(|(id, open)| Some((crowd(open), Reverse(open.waits_since?), *id)));
        let Some((.., id)) = waiting.max() else { return false };
        if let Some(open) = self.remove(id) {
            open.pushed_out.cancel();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.networks.get_mut(&open.network) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&open.network);
            }
        }
        Some(open)
    }
}

/// A connection's place, until it is dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    network: IpAddr,
    pushed_out: CancellationToken,
}

impl Place {
    /// The network of the peer.
    pub(crate) fn network(&self) -> IpAddr {
        self.network
    }

    /// Says that a request is worked on from now on. `false` when the connection was pushed out just before.
    pub(crate) fn works(&self) -> bool {
        let mut inner = self.connections.inner();
        let open = inner.open.get_mut(&self.id);
        open.map(|open| open.waits_since = None).is_some()
    }

    /// Says that it is the peer's turn from now on.
    pub(crate) fn waits(&self) {
        let mut inner = self.connections.inner();
        let stamp = inner.tick();
        if let Some(open) = inner.open.get_mut(&self.id) {
            open.waits_since = Some(stamp);
        }
        drop(inner);
        self.connections.changed.notify_one();
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
        let options = Options { connections_max: all, connections_an_address_max: address, ..Options::default() };
        Connections::new(&options)
    }

    fn admit(connections: &Arc<Connections>, address: &str) -> Result<Place, Refused> {
        connections.admit(address.parse().unwrap()).map(|(place, _)| place)
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
        assert!(connections.inner().open.is_empty() && connections.inner().networks.is_empty());
    }
}
