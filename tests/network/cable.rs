//! What is between two nodes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chain::certificate::VoteKind;
use consensus::{Consensus, Incoming, Outgoing};
use tokio::sync::watch;
use wire::peer::{ConsensusMessage, FrameContent, LivenessMessage, PeerFrame, Vote};

use super::{PATIENCE, peer_secret};
use crate::trial::seed::Seed;

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The longest that a frame is under way, ms; the shortest is nothing, so frames overtake each other.
    pub delay_ms_max: u64,
    /// How many frames of a hundred are lost.
    pub lost_percent: u64,
    /// How many frames of a hundred come twice.
    pub doubled_percent: u64,
}

/// Whether a frame is lost, for the place it comes from, the one it goes to, and what it holds.
pub type Losing = Box<dyn Fn(usize, usize, &FrameContent) -> bool + Send>;

struct State {
    faults: Faults,
    /// Directions in which nothing passes.
    cut: BTreeSet<(usize, usize)>,
    /// Cables that are not there at all.
    removed: BTreeSet<(usize, usize)>,
    /// What is lost for what it is.
    losing: Losing,
    seed: Seed,
}

/// All that is between the nodes.
pub struct Cables {
    state: Mutex<State>,
    /// Each node's number of lives: cables of an earlier one are dead.
    lives: Vec<watch::Sender<u64>>,
    /// The height of each node's newest precommit for a block.
    precommitted: Vec<watch::Sender<u64>>,
    /// Wakes those who carry for a cable that was taken away.
    gone: watch::Sender<u64>,
}

impl Cables {
    pub(super) fn new(nodes: usize, seed: Seed, faults: Faults) -> Self {
        let losing: Losing = Box::new(|_, _, _| false);
        let state = State { faults, cut: BTreeSet::new(), removed: BTreeSet::new(), losing, seed };
        let each = || (0..nodes).map(|_| watch::Sender::new(0)).collect();
        Self { state: Mutex::new(state), lives: each(), precommitted: each(), gone: watch::Sender::new(0) }
    }

    /// Cuts all between two groups, both ways.
    pub fn part(&self, one: &[usize], other: &[usize]) {
        self.silence(one, other);
        self.silence(other, one);
    }

    /// Lets nothing pass from one group to another; the other way stays open.
    pub fn silence(&self, from: &[usize], to: &[usize]) {
        let mut state = self.state.lock().unwrap();
        state.cut.extend(from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))));
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.state.lock().unwrap().cut.clear();
    }

    /// Loses every precommit, or none.
    pub fn lose_precommits(&self, lose: bool) {
        self.lose(Box::new(move |_, _, content| {
            lose && vote_in(content).is_some_and(|vote| vote.kind == VoteKind::Precommit)
        }));
    }

    /// From now on these frames are lost, and no others for what they hold.
    pub fn lose(&self, losing: Losing) {
        self.state.lock().unwrap().losing = losing;
    }

    /// Takes a cable away: its streams end, and none is opened again.
    pub(super) fn remove(&self, one: usize, other: usize) {
        self.state.lock().unwrap().removed.extend([(one, other), (other, one)]);
        self.gone.send_modify(|times| *times += 1);
    }

    fn is_there(&self, ends: (usize, usize)) -> bool {
        !self.state.lock().unwrap().removed.contains(&ends)
    }

    /// Waits until a node has precommitted a block at a height.
    pub(super) async fn precommitted(&self, place: usize, height: u64) {
        let mut newest = self.precommitted[place].subscribe();
        let there = newest.wait_for(|newest| *newest >= height);
        tokio::time::timeout(PATIENCE, there).await.expect("a block is precommitted in time").unwrap();
    }

    /// Looks at a frame on its way; says whether it is lost for what it holds.
    fn is_lost(&self, (from, to): (usize, usize), frame: &Bytes) -> bool {
        let Ok(PeerFrame { origin, content }) = wire::decode::<PeerFrame>(frame) else { return false };
        let own = origin == *peer_secret(from).public().as_bytes();
        if let Some(vote) = vote_in(&content)
            && own
            && vote.kind == VoteKind::Precommit
            && vote.block_id.is_some()
        {
            self.precommitted[from].send_modify(|newest| *newest = vote.height.max(*newest));
        }
        (self.state.lock().unwrap().losing)(from, to, &content)
    }

    /// From now on it is so bad.
    pub fn worsen(&self, faults: Faults) {
        self.state.lock().unwrap().faults = faults;
    }

    /// Breaks all streams of a node.
    pub(super) fn unplug(&self, node: usize) {
        self.lives[node].send_modify(|life| *life += 1);
    }

    /// When copies of a frame arrive.
    fn fate(&self, from: usize, to: usize) -> Vec<Duration> {
        let mut state = self.state.lock().unwrap();
        let faults = state.faults;
        let copies = if state.cut.contains(&(from, to)) || state.seed.happens(faults.lost_percent) {
            0
        } else if state.seed.happens(faults.doubled_percent) {
            2
        } else {
            1
        };
        (0..copies).map(|_| Duration::from_millis(state.seed.below(faults.delay_ms_max + 1))).collect()
    }
}

/// The vote in a frame.
pub fn vote_in(content: &FrameContent) -> Option<&Vote> {
    match content {
        FrameContent::Consensus(ConsensusMessage::Vote(vote)) | FrameContent::Liveness(LivenessMessage::Vote(vote)) => {
            Some(vote)
        }
        _ => None,
    }
}

/// A frame under way; the one that arrives first is the greatest.
type UnderWay = (Reverse<Instant>, Reverse<u64>, Bytes);

async fn carry(cables: Arc<Cables>, ends: (usize, usize), mut outgoing: Outgoing, mut incoming: Incoming) {
    let mut lives = [ends.0, ends.1].map(|node| cables.lives[node].subscribe());
    lives.iter_mut().for_each(watch::Receiver::mark_unchanged);
    let [mut here, mut there] = lives;
    let mut gone = cables.gone.subscribe();
    let mut under_way: BinaryHeap<UnderWay> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let due = under_way.peek().map_or_else(|| Instant::now() + Duration::from_secs(3_600), |next| next.0.0);
        tokio::select! {
            _ = here.changed() => break,
            _ = there.changed() => break,
            _ = gone.changed() => if !cables.is_there(ends) { break },
            frames = outgoing.batch() => {
                let Some(frames) = frames else { break };
                for frame in frames {
                    if cables.is_lost(ends, &frame) {
                        continue;
                    }
                    for delay in cables.fate(ends.0, ends.1) {
                        number += 1;
                        under_way.push((Reverse(Instant::now() + delay), Reverse(number), frame.clone()));
                    }
                }
            }
            () = tokio::time::sleep_until(due.into()) => {
                let (_, _, frame) = under_way.pop().expect("one is due");
                if incoming.take(vec![frame]).await.is_err() {
                    break;
                }
            }
        }
    }
    incoming.end().await;
}

/// Connects two nodes, both ways.
pub(super) async fn connect(cables: &Arc<Cables>, one: (usize, &Consensus), other: (usize, &Consensus)) {
    if !cables.is_there((one.0, other.0)) {
        return;
    }
    let key = |place| *peer_secret(place).public().as_bytes();
    let (Ok((from_one, to_one)), Ok((from_other, to_other))) =
        (one.1.open(key(other.0)).await, other.1.open(key(one.0)).await)
    else {
        return;
    };
    tokio::spawn(carry(Arc::clone(cables), (one.0, other.0), from_one, to_other));
    tokio::spawn(carry(Arc::clone(cables), (other.0, one.0), from_other, to_one));
}
