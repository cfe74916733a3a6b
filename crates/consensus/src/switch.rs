//! The switch: frames in, frames out, and what of them is passed on.
//!
//! Every node passes on what it sees for the first time, so that a connected graph is enough: votes and certificates here,
//! once their signatures are verified; statements and whole blocks by those who judge them. It spares the neighbours
//! who are connected with the origin themselves, as they say in their statuses: in a full mesh nothing is sent twice.
//! Queues to a peer are limited; what does not fit is dropped for that peer alone, which catches up by asking for blocks.

mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chain::block::BlockId;
use chain::hash::Hash;
use tokio::sync::mpsc;
use wire::peer::{
    ConsensusMessage, FrameContent, KeyBytes, LivenessMessage, NEIGHBOURS_MAX, PartContent, PeerFrame, PeerStatus,
};

use crate::clock::Clock;
use crate::link::{Incoming, Link, Opened, Outgoing, Refused};
use crate::parts::Scope;
use crate::seen::Seen;
use crate::signing::Domain;
use crate::wake::Wake;

/// Events that may wait for the engine's side.
const EVENTS_MAX: usize = 1_024;

/// Frames of statements that may wait to be looked at.
const STATEMENTS_MAX: usize = 64;

/// How many frames of each generation are remembered.
const SEEN_MAX: usize = 32_768;

/// Proofs of prevotes that are remembered of one height.
const POLKAS_MAX: usize = 64;

/// How long a vote that is sent again counts as seen: less than the engine waits before it sends one again.
const REPEATS_AFTER: Duration = Duration::from_secs(1);

/// How many heights below ours votes are still passed on, for those who lag by one.
const BEHIND_MAX: u64 = 1;

/// How many heights above ours votes are taken: what the engine keeps for later.
const AHEAD_MAX: u64 = 10;

/// How often in how long a peer may call while its earlier call stands, before that is told: now and then a line breaks
/// and only one end has noticed.
const CALLS_AGAIN_MAX: u32 = 4;
const CALLS_AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// What comes in for the engine.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A peer is connected.
    Up(KeyBytes),
    /// A peer is gone.
    Down(KeyBytes),
    /// A peer said something, or passed it on.
    Frame(KeyBytes, Box<PeerFrame>),
}

/// Statements that a peer shares.
#[derive(Debug)]
pub struct Shared {
    /// The peer that sent them.
    pub from: KeyBytes,
    /// The node that took them in.
    pub origin: KeyBytes,
    /// The exact bytes of each.
    pub statements: Vec<Vec<u8>>,
}

/// How a peer was seen.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Its peer key.
    pub key: KeyBytes,
    /// Whether a stream to it is open.
    pub connected: bool,
    /// The height of its newest block, as it said; 0 before it said so.
    pub tip_height: u64,
    /// Whether it has said so since it was connected.
    pub told: bool,
    /// When it was heard of last, or since when it is waited for.
    pub heard: Instant,
    /// Frames that were dropped because it reads too slowly.
    pub dropped: u64,
}

#[derive(Debug)]
struct Peer {
    links: BTreeMap<Opened, Link>,
    tip_height: u64,
    told: bool,
    neighbours: BTreeSet<KeyBytes>,
    heard: Instant,
    dropped: AtomicU64,
    /// Calls while an earlier one stood, and since when they are counted.
    again: (u32, Instant),
}

/// Where frames meet.
#[derive(Debug)]
pub(crate) struct Switch {
    me: KeyBytes,
    domain: Domain,
    peers: RwLock<BTreeMap<KeyBytes, Peer>>,
    /// How many streams there were.
    links: AtomicU64,
    /// Held while a stream begins or ends, so that the engine hears of it in that order.
    order: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
    repeats: Mutex<Seen>,
    scope: RwLock<Scope>,
    /// Prevotes of more than two thirds of the power that were seen of this height: round and block.
    polkas: Mutex<BTreeSet<(u32, BlockId)>>,
    events: mpsc::Sender<Inbound>,
    shared: mpsc::Sender<Shared>,
    wake: Arc<Wake>,
    clock: Clock,
}

/// What the switch hands on.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) events: mpsc::Receiver<Inbound>,
    pub(crate) shared: mpsc::Receiver<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds what was seen")
}

impl Switch {
    pub(crate) fn new(me: KeyBytes, domain: Domain, scope: Scope, wake: Arc<Wake>, clock: Clock) -> (Arc<Self>, Ends) {
        let (events, events_end) = mpsc::channel(EVENTS_MAX);
        let (shared, shared_end) = mpsc::channel(STATEMENTS_MAX);
        let now = clock.now();
        let switch = Self {
            me,
            domain,
            peers: RwLock::new(BTreeMap::new()),
            links: AtomicU64::new(0),
            order: tokio::sync::Mutex::default(),
            seen: Mutex::new(Seen::new(SEEN_MAX, None, now)),
            repeats: Mutex::new(Seen::new(SEEN_MAX, Some(REPEATS_AFTER), now)),
            scope: RwLock::new(scope),
            polkas: Mutex::default(),
            events,
            shared,
            wake,
            clock,
        };
        (Arc::new(switch), Ends { events: events_end, shared: shared_end })
    }

    /// This node's peer key.
    pub(crate) fn me(&self) -> KeyBytes {
        self.me
    }

    /// The engine works on another height from now on.
    pub(crate) fn started(&self, scope: Scope) {
        *self.scope.write().expect("nothing panics while it holds the scope") = scope;
        lock(&self.polkas).clear();
    }

    /// Whether more than two thirds of the power were seen to prevote for a block of this height in a round.
    pub(crate) fn has_polka(&self, round: u32, block: &BlockId) -> bool {
        lock(&self.polkas).contains(&(round, *block))
    }

    /// The height the engine works on.
    pub(crate) fn scope(&self) -> Scope {
        self.scope.read().expect("nothing panics while it holds the scope").clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<KeyBytes, Peer>> {
        self.peers.read().expect("nothing panics while it holds the peers")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<KeyBytes, Peer>> {
        self.peers.write().expect("nothing panics while it holds the peers")
    }

    /// A peer that is expected, whether or not it ever comes.
    pub(crate) fn expect(&self, peer: KeyBytes) {
        self.write().entry(peer).or_insert_with(|| Peer::new(self.clock.now()));
    }

    /// A stream to a peer is open. One that was open the same way before is ended by this.
    pub(crate) async fn connected(
        self: &Arc<Self>,
        key: KeyBytes,
        opened: Opened,
    ) -> Result<(Outgoing, Incoming), Refused> {
        let id = self.links.fetch_add(1, Ordering::Relaxed);
        let (link, outgoing) = Link::new(id);
        // Made before anything is waited for: when whoever opens the stream gives up meanwhile, this ends it.
        let incoming = Incoming::new(Arc::clone(self), key, opened, id);
        let _order = self.order.lock().await;
        let first = {
            let mut peers = self.write();
            let peer = peers.entry(key).or_insert_with(|| Peer::new(self.clock.now()));
            let first = peer.links.is_empty();
            peer.heard = self.clock.now();
            let replaced = peer.links.insert(opened, link).is_some();
            if replaced && opened == Opened::ByThem && peer.calls_again_and_again(self.clock.now()) {
                let peer = chain::encoding::encode_base64url(&key);
                tracing::warn!(
                    peer,
                    "a peer calls again and again while its earlier call stands: two nodes use its key, or its line is bad"
                );
            }
            first
        };
        if first {
            self.events.send(Inbound::Up(key)).await.map_err(|_| Refused::Stopping)?;
            self.wake.look();
        }
        Ok((outgoing, incoming))
    }

    /// A stream has ended. It may have been replaced meanwhile.
    pub(crate) async fn disconnected(&self, peer: KeyBytes, opened: Opened, id: u64) {
        let _order = self.order.lock().await;
        let last = {
            let mut peers = self.write();
            let Some(peer) = peers.get_mut(&peer) else { return };
            if peer.links.get(&opened).is_some_and(|link| link.id == id) {
                peer.links.remove(&opened);
                peer.heard = self.clock.now();
                peer.told &= !peer.links.is_empty();
                peer.links.is_empty()
            } else {
                false
            }
        };
        if last {
            // Nobody reads only when the node is taken apart.
            drop(self.events.send(Inbound::Down(peer)).await);
        }
    }

    /// The highest block that a peer claims to have which is connected now.
    pub(crate) fn claimed_at(&self) -> u64 {
        let peers = self.read();
        let connected = peers.values().filter(|peer| !peer.links.is_empty());
        connected.map(|peer| peer.tip_height).max().unwrap_or(0)
    }

    /// The stream of a kind that is open with a peer.
    pub(crate) fn link(&self, peer: &KeyBytes, opened: Opened) -> Option<u64> {
        Some(self.read().get(peer)?.links.get(&opened)?.id)
    }

    /// Whether a stream is the newest of its kind.
    pub(crate) fn is_current(&self, peer: &KeyBytes, opened: Opened, id: u64) -> bool {
        self.link(peer, opened) == Some(id)
    }

    /// The peers that are connected.
    pub(crate) fn neighbours(&self) -> Vec<KeyBytes> {
        let peers = self.read();
        let connected = peers.iter().filter(|(_, peer)| !peer.links.is_empty());
        connected.map(|(key, _)| *key).take(NEIGHBOURS_MAX).collect()
    }

    /// How the peers are.
    pub(crate) fn views(&self) -> Vec<PeerView> {
        let view = |(key, peer): (&KeyBytes, &Peer)| PeerView {
            key: *key,
            connected: !peer.links.is_empty(),
            tip_height: peer.tip_height,
            told: peer.told,
            heard: peer.heard,
            dropped: peer.dropped.load(Ordering::Relaxed),
        };
        self.read().iter().map(view).collect()
    }

    /// Says something to everybody.
    pub(crate) fn publish(&self, content: FrameContent) {
        self.publish_for(self.me, None, content);
    }

    /// Passes on what another node said first.
    pub(crate) fn publish_for(&self, origin: KeyBytes, from: Option<KeyBytes>, content: FrameContent) {
        let frame = PeerFrame { origin, content };
        let bytes = Bytes::from(wire::encode(&frame));
        if frame.content.is_gossip() {
            self.note(&frame, &bytes);
        }
        self.spread(from, &frame, &bytes);
    }

    /// Says something to one neighbour; false when it did not leave.
    pub(crate) fn tell(&self, peer: &KeyBytes, content: FrameContent) -> bool {
        let urgent = is_urgent(&content);
        let bytes = Bytes::from(wire::encode(&PeerFrame { origin: self.me, content }));
        self.read().get(peer).is_some_and(|peer| peer.send(&bytes, urgent))
    }

    /// A frame came from a peer.
    ///
    /// Waits while those behind it are busy, and so slows the peer down.
    ///
    /// # Errors
    /// What the peer's stream is ended for.
    pub(crate) async fn received(&self, from: KeyBytes, bytes: Bytes) -> Result<(), Refused> {
        let frame: PeerFrame = wire::decode(&bytes)?;
        if !frame.content.is_gossip() && frame.origin != from {
            return Err(Refused::NotItsOwn);
        }
        if frame.origin == self.me || !self.is_of_now(&frame.content) {
            return Ok(());
        }
        self.heard(from, &frame.content);
        match frame.content {
            // Looked at before they are passed on: nobody is to fill other people's mempools through us.
            FrameContent::Statements(statements) => {
                if self.is_new(&bytes) {
                    let shared = Shared { from, origin: frame.origin, statements };
                    self.shared.send(shared).await.map_err(|_| Refused::Stopping)?;
                }
                return Ok(());
            }
            // From whom a part comes matters: each neighbour's are put together by themselves, and so none can spoil
            // another's. Those of a proposer we are connected with are taken from it alone. Whole blocks are passed on by
            // the application, when they were found valid.
            FrameContent::Part(_) => {
                if from != frame.origin && self.is_connected(&frame.origin) {
                    return Ok(());
                }
            }
            FrameContent::Consensus(_) | FrameContent::Liveness(_) => {
                if !self.note(&frame, &bytes) {
                    return Ok(());
                }
                // What nobody signed fills no queue of others: whoever passes things on has looked at them.
                if !self.is_signed(&frame.content) {
                    return if self.knows_validators_of(&frame.content) { Err(Refused::NotSigned) } else { Ok(()) };
                }
                if let FrameContent::Liveness(LivenessMessage::Polka(polka)) = &frame.content {
                    self.note_polka(polka);
                }
                self.spread(Some(from), &frame, &bytes);
            }
            FrameContent::Status(_) | FrameContent::Call(..) | FrameContent::Answer(..) => {}
        }
        self.events.send(Inbound::Frame(from, Box::new(frame))).await.map_err(|_| Refused::Stopping)
    }

    fn is_connected(&self, peer: &KeyBytes) -> bool {
        self.read().get(peer).is_some_and(|peer| !peer.links.is_empty())
    }

    fn is_new(&self, bytes: &[u8]) -> bool {
        lock(&self.seen).note(Hash::of(bytes), self.clock.now())
    }

    /// Notes a frame that may be passed on; says whether it is new.
    fn note(&self, frame: &PeerFrame, bytes: &[u8]) -> bool {
        let repeats = matches!(frame.content, FrameContent::Liveness(_));
        let seen = if repeats { &self.repeats } else { &self.seen };
        lock(seen).note(Hash::of(bytes), self.clock.now())
    }

    /// Whether a frame is about a height near ours. Far off, it could only take up room.
    fn is_of_now(&self, content: &FrameContent) -> bool {
        let own = self.scope().height;
        height_of(content)
            .is_none_or(|height| height.saturating_add(BEHIND_MAX) >= own && height <= own.saturating_add(AHEAD_MAX))
    }

    /// What a frame tells about the peer it came from.
    fn heard(&self, from: KeyBytes, content: &FrameContent) {
        let mut peers = self.write();
        let Some(peer) = peers.get_mut(&from) else { return };
        peer.heard = self.clock.now();
        if let FrameContent::Status(PeerStatus { tip_height, neighbours, .. }) = content {
            let news = std::mem::replace(&mut peer.tip_height, *tip_height) != *tip_height;
            peer.told = true;
            peer.neighbours = neighbours.iter().copied().collect();
            drop(peers);
            if news {
                self.wake.look();
            }
            return;
        }
        drop(peers);
        if let Some(height) = height_of(content) {
            // Anybody can say a height: a block for each would cost more than a signature.
            if height > self.wake.signed_at() && self.is_signed(content) {
                self.wake.validators_work_at(height);
            }
        }
    }

    /// Sends a frame to all who may not have it.
    fn spread(&self, from: Option<KeyBytes>, frame: &PeerFrame, bytes: &Bytes) {
        let urgent = is_urgent(&frame.content);
        for (key, peer) in &*self.read() {
            if self.may_lack(key, peer, from, &frame.origin) {
                peer.send(bytes, urgent);
            }
        }
    }

    /// Whether a neighbour may not have what came from one, and from another first.
    fn may_lack(&self, key: &KeyBytes, peer: &Peer, from: Option<KeyBytes>, origin: &KeyBytes) -> bool {
        let has = Some(*key) == from || key == origin || (*origin != self.me && peer.neighbours.contains(origin));
        !has && !peer.links.is_empty()
    }

    /// Whether there is a neighbour who may not have what came from one, and from another first.
    pub(crate) fn has_others(&self, from: &KeyBytes, origin: &KeyBytes) -> bool {
        self.read().iter().any(|(key, peer)| self.may_lack(key, peer, Some(*from), origin))
    }
}

impl Peer {
    fn new(now: Instant) -> Self {
        Self {
            links: BTreeMap::new(),
            tip_height: 0,
            told: false,
            neighbours: BTreeSet::new(),
            heard: now,
            dropped: AtomicU64::new(0),
            again: (0, now),
        }
    }

    /// Counts a call that came while an earlier one stood; says whether it is time to tell somebody.
    fn calls_again_and_again(&mut self, now: Instant) -> bool {
        let (count, since) = &mut self.again;
        if now.duration_since(*since) > CALLS_AGAIN_WITHIN {
            (*count, *since) = (0, now);
        }
        *count += 1;
        // Once in that time.
        *count == CALLS_AGAIN_MAX
    }

    /// On the stream that we opened, if there is one.
    fn send(&self, frame: &Bytes, urgent: bool) -> bool {
        let Some((_, link)) = self.links.iter().next() else { return false };
        let sent = link.send(frame.clone(), urgent);
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }
}

/// Whether a frame goes before blocks and statements.
fn is_urgent(content: &FrameContent) -> bool {
    match content {
        FrameContent::Consensus(_) | FrameContent::Liveness(_) | FrameContent::Status(_) | FrameContent::Call(..) => {
            true
        }
        FrameContent::Part(_) | FrameContent::Statements(_) | FrameContent::Answer(..) => false,
    }
}

/// The height that a frame is about.
fn height_of(content: &FrameContent) -> Option<u64> {
    match content {
        FrameContent::Consensus(ConsensusMessage::Vote(vote)) | FrameContent::Liveness(LivenessMessage::Vote(vote)) => {
            Some(vote.height)
        }
        FrameContent::Consensus(ConsensusMessage::Proposal(proposal)) => Some(proposal.height),
        FrameContent::Liveness(LivenessMessage::Polka(polka)) => Some(polka.height),
        FrameContent::Liveness(LivenessMessage::Round(round)) => Some(round.height),
        FrameContent::Part(part) => match &part.content {
            PartContent::Start { proposal, .. } => Some(proposal.height),
            PartContent::Data(_) | PartContent::End => None,
        },
        FrameContent::Statements(_) | FrameContent::Status(_) | FrameContent::Call(..) | FrameContent::Answer(..) => {
            None
        }
    }
}

#[cfg(test)]
mod tests;
