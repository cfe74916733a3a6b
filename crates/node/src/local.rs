//! All nodes of a development consortium in this process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::NodeClock;
use crate::config::Config;
use crate::consortium::Consortium;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;
use crate::service::{Given, Kind, Service};

/// The nodes of a consortium, all of them serving.
#[derive(Debug)]
pub(crate) struct Local {
    /// The first one.
    pub(crate) first: Service,
    /// The others.
    pub(crate) others: Vec<Service>,
}

impl Local {
    /// Starts them: the REST door of the first listens at this address, and its gRPC door at that; the others' beside
    /// them, or anywhere for port 0.
    pub(crate) fn start(
        consortium: &Consortium,
        listen: SocketAddr,
        grpc: Option<SocketAddr>,
        output: &Output,
    ) -> Result<Self, Failure> {
        let mut configs = vec![consortium.config.clone()];
        configs.extend(consortium.others.iter().cloned());
        for (place, config) in (0_u16..).zip(&mut configs) {
            config.http.listen = beside(listen, place);
            config.grpc.listen = grpc.map(|first| beside(first, place));
        }
        if let [config] = configs.as_mut_slice() {
            let first = Service::start(std::mem::take(config), Kind::Development, output)?;
            return Ok(Self { first, others: Vec::new() });
        }
        let doors = doors(&mut configs)?;
        let clock = Arc::new(NodeClock::default());
        let mut services = Vec::new();
        for (config, door) in configs.into_iter().zip(doors) {
            let given = Given { clock: Some(Arc::clone(&clock)), peer_door: Some(door) };
            services.push(Service::start_among(config, Kind::Development, given, output)?);
        }
        let mut services = services.into_iter();
        let first = services.next().context("a consortium has a node").or_exit(Exit::Unexpected)?;
        let local = Self { first, others: services.collect() };
        local.until_ready();
        Ok(local)
    }

    /// All of them.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Serves until a signal or a fault, then takes them apart.
    pub(crate) fn serve(self) -> Result<Exit, Failure> {
        let Self { first, others } = self;
        let served = first.serve();
        stop_all(others).and(served)
    }

    /// Stops them and takes them apart.
    pub(crate) fn stop(self) -> Result<Exit, Failure> {
        let Self { first, others } = self;
        let stopped = first.stop();
        stop_all(others).and(stopped)
    }

    /// Waits until they take writes, which is when they have found each other.
    fn until_ready(&self) {
        for service in self.services() {
            service.until_it_takes_writes();
        }
    }
}

/// So many ports after an address, or anywhere as before.
fn beside(first: SocketAddr, place: u16) -> SocketAddr {
    let port = if first.port() == 0 { 0 } else { first.port().saturating_add(place) };
    SocketAddr::new(first.ip(), port)
}

fn stop_all(services: Vec<Service>) -> Result<Exit, Failure> {
    let mut outcome = Ok(Exit::Done);
    // Each of them, whatever became of those before.
    for stopped in services.into_iter().map(Service::stop) {
        outcome = outcome.and(stopped);
    }
    outcome
}

/// Opens the peer doors, and tells every node where the others are.
fn doors(configs: &mut [Config]) -> Result<Vec<TcpListener>, Failure> {
    let open = |_: &Config| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let doors: Vec<TcpListener> =
        configs.iter().map(open).collect::<Result<_, _>>().context("open the peer doors").or_exit(Exit::Usage)?;
    let mut addresses = Vec::new();
    for (config, door) in configs.iter().zip(&doors) {
        let key = crate::keys::NamedKey::load(&config.keys.peer, ledger::organisation::Purpose::Peer)?;
        let address = door.local_addr().context("read the address of a peer door")?;
        addresses.push((key.secret.public(), address));
    }
    for config in configs {
        for peer in &mut config.peers.nodes {
            let found = addresses.iter().find(|(key, _)| *key == peer.key);
            if let Some((_, address)) = found {
                peer.address = address.to_string();
            }
        }
    }
    Ok(doors)
}
