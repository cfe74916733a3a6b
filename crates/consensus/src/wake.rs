//! What wakes the application when the engine has nothing to say.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::context::SignedProposal;

/// What happened since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    /// A block is asked for, even an empty one.
    pub(crate) beat: bool,
    /// It is time to stop.
    pub(crate) stop: bool,
    /// Proposals that were published and whose blocks are to follow.
    pub(crate) publish: Vec<SignedProposal>,
}

/// Proposals that may wait for their blocks: one a round, and rounds take time.
const PUBLISH_MAX: usize = 64;

#[derive(Debug, Default)]
struct State {
    reasons: Reasons,
    /// Whether it is known that statements wait: only the first of many wakes anybody.
    work: bool,
    signed_at: u64,
}

/// Wakes the application.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    state: Mutex<State>,
    changed: Notify,
}

impl Wake {
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state.lock().expect("nothing panics while it holds the reasons")) {
            self.changed.notify_one();
        }
    }

    /// Says that statements wait.
    pub(crate) fn work(&self) {
        self.change(|state| !std::mem::replace(&mut state.work, true));
    }

    /// Begins to listen for the next statement. Whoever does so looks afterwards whether some wait, lest one that came just
    /// before goes unheard.
    pub(crate) fn listen(&self) {
        self.state.lock().expect("nothing panics while it holds the reasons").work = false;
    }

    /// Asks for a block now, even an empty one.
    pub(crate) fn beat(&self) {
        self.change(|state| !std::mem::replace(&mut state.reasons.beat, true));
    }

    /// Says that something is to be looked at.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Says that it is time to stop.
    pub(crate) fn stop(&self) {
        self.change(|state| !std::mem::replace(&mut state.reasons.stop, true));
    }

    /// Says that a proposal was published: its block is to follow.
    pub(crate) fn publish(&self, proposal: SignedProposal) {
        self.change(|state| {
            if state.reasons.publish.len() < PUBLISH_MAX {
                state.reasons.publish.push(proposal);
            }
            true
        });
    }

    /// Says that a validator has signed something at this height.
    pub(crate) fn validators_work_at(&self, height: u64) {
        self.change(|state| raise(&mut state.signed_at, height));
    }

    /// The highest height at which a validator has signed something.
    pub(crate) fn signed_at(&self) -> u64 {
        self.state.lock().expect("nothing panics while it holds the reasons").signed_at
    }

    /// Whether it is time to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().expect("nothing panics while it holds the reasons").reasons.stop
    }

    /// What happened since it was asked last.
    pub(crate) fn take(&self) -> Reasons {
        std::mem::take(&mut self.state.lock().expect("nothing panics while it holds the reasons").reasons)
    }

    /// Waits until something happens.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Raises a height; says whether it is higher now.
fn raise(known: &mut u64, height: u64) -> bool {
    let higher = height > *known;
    *known = height.max(*known);
    higher
}
