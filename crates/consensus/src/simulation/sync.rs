//! Asking peers for decided blocks: one at a time, of who says that it has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arc_malachitebft_peer::PeerId;
use arc_malachitebft_sync::OutboundRequestId;

/// How long an answer that came is given to have its effect, before the block is asked for again.
const EFFECT_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Asking {
    /// Nobody is asked before then.
    Resting(Duration),
    /// This peer was asked, and may answer until then.
    Asked { id: OutboundRequestId, peer: PeerId, until: Duration },
}

/// Whom to ask for the block of the height that is worked on.
#[derive(Debug)]
pub(super) struct Sync {
    tips: BTreeMap<PeerId, u64>,
    height: u64,
    asking: Asking,
    /// Peers whose answers for this height were no good.
    faulty: BTreeSet<PeerId>,
    turn: usize,
    timeout: Duration,
}

impl Sync {
    pub(super) fn new(timeout: Duration) -> Self {
        let asking = Asking::Resting(Duration::ZERO);
        Self { tips: BTreeMap::new(), height: 0, asking, faulty: BTreeSet::new(), turn: 0, timeout }
    }

    pub(super) fn status(&mut self, peer: PeerId, tip: u64) {
        self.tips.insert(peer, tip);
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.tips.remove(peer);
    }

    pub(super) fn started(&mut self, height: u64) {
        self.height = height;
        self.asking = Asking::Resting(Duration::ZERO);
        self.faulty.clear();
    }

    /// The peer's answer cannot be used: others are asked from now on.
    pub(super) fn fault(&mut self, peer: PeerId, now: Duration) {
        self.faulty.insert(peer);
        self.asking = Asking::Resting(now);
    }

    /// Nobody is to blame, and it is tried again.
    pub(super) fn again(&mut self, now: Duration) {
        self.asking = Asking::Resting(now + EFFECT_MAX);
    }

    /// A call failed, or was answered: whether it is the one that is waited for.
    pub(super) fn answered(&mut self, id: &OutboundRequestId, now: Duration) -> bool {
        let waited_for = matches!(&self.asking, Asking::Asked { id: asked, .. } if asked == id);
        if waited_for {
            self.again(now);
        }
        waited_for
    }

    /// Whom to ask now for which height. `deciding` is the height that is not decided yet.
    pub(super) fn ask(&mut self, deciding: u64, now: Duration) -> Option<PeerId> {
        let may = match self.asking {
            Asking::Resting(until) | Asking::Asked { until, .. } => now >= until,
        };
        if deciding != self.height || !may {
            return None;
        }
        if let Asking::Asked { peer, .. } = self.asking {
            self.faulty.insert(peer);
        }
        let ahead = |(peer, tip): (&PeerId, &u64)| (*tip >= deciding).then_some(*peer);
        let all: Vec<PeerId> = self.tips.iter().filter_map(ahead).collect();
        let mut good: Vec<PeerId> = all.iter().copied().filter(|peer| !self.faulty.contains(peer)).collect();
        if good.is_empty() {
            // They may have become better, or were only slow.
            self.faulty.clear();
            good = all;
        }
        self.turn = self.turn.wrapping_add(1);
        if good.is_empty() { None } else { Some(good[self.turn % good.len()]) }
    }

    pub(super) fn asked(&mut self, id: OutboundRequestId, peer: PeerId, now: Duration) {
        self.asking = Asking::Asked { id, peer, until: now + self.timeout };
    }

    /// When to look again.
    pub(super) fn due(&self) -> Option<Duration> {
        let ahead = self.tips.values().any(|tip| *tip >= self.height);
        match self.asking {
            Asking::Resting(until) | Asking::Asked { until, .. } => ahead.then_some(until),
        }
    }
}
