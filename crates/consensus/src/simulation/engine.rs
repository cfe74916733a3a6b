//! What Malachite's actors do around its core, without them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::{AppMsg, Reply};
use arc_malachitebft_config::ConsensusConfig;
use arc_malachitebft_core_consensus::r#gen::{CoResult, Gen};
use arc_malachitebft_core_consensus::{Input, Params, Resume, State, handle};
use arc_malachitebft_core_types::{
    HeightParams, LinearTimeouts, Timeout, ValidatorSet as _, ValueOrigin, ValuePayload,
};
use arc_malachitebft_engine::host::Next;
use arc_malachitebft_engine::network::{Msg, NetworkEvent, Status};
use arc_malachitebft_peer::PeerId;
use arc_malachitebft_sync::{self as calls, Request, Response, ValueRequest};
use chain::key::SecretKey;
use replica::port::Store;
use tokio::sync::{mpsc, oneshot};

use super::log::Log;
use super::sync::Sync;
use super::verified::{Remembering, Verified};
use super::{Counts, Stopped, Time};
use crate::app::{App, Work};
use crate::clock::Clock;
use crate::context::{Address, Context, Height, ValidatorSet};
use crate::engine::LATER_INPUTS_MAX;
use crate::host::Host;
use crate::network::{self, Event, Fan, Fanning};
use crate::parts::Scope;
use crate::signing::{ChainSigner, Domain};
use crate::standing::Standing;
use crate::start::Parts;
use crate::switch::{Ends, Switch};
use crate::wake::Wake;

/// What the engine keeps while no height runs yet.
const EARLY_MAX: usize = 1_024;

/// Something the application said, on its way to the engine.
pub(super) enum Answer {
    Start(Height, HeightParams<Context>),
    Input(Input<Context>),
    Committed(Height),
}

/// The engine: Malachite's core, and what is around it.
pub(super) struct Engine<S: Store, H: Host> {
    core: Option<State<Context>>,
    /// What came before the first height.
    early: Vec<Event>,
    metrics: Metrics,
    pub(super) around: Around<S, H>,
}

/// Everything that the core has an effect on.
pub(super) struct Around<S: Store, H: Host> {
    pub(super) app: App<S, H>,
    pub(super) network: network::State,
    pub(super) log: Log,
    pub(super) time: Time,
    me: Address,
    pub(super) signer: Option<ChainSigner>,
    pub(super) verifier: Remembering,
    pub(super) timeouts: LinearTimeouts,
    pub(super) timers: Vec<(Timeout, Duration)>,
    /// Whether what is fed to the core comes from the log.
    pub(super) recovering: bool,
    /// Whether this node votes at this height: else it keeps no log.
    pub(super) validates: bool,
    /// The height that runs and is not decided.
    pub(super) deciding: Option<u64>,
    answers: BTreeMap<(Duration, u64), Answer>,
    answered_at: Duration,
    answers_count: u64,
    latency: Box<dyn FnMut() -> Duration + Send>,
    first: Option<oneshot::Receiver<(Height, HeightParams<Context>)>>,
    pub(super) next: Option<oneshot::Receiver<Next<Context>>>,
    pub(super) sync: Sync,
    tip: u64,
    status_at: Duration,
    pub(super) counts: Counts,
}

/// Puts a node together, as `Consensus::start` does.
pub(super) fn assemble<S: Store, H: Host>(
    parts: Parts<S, H>,
    log: Log,
    time: Time,
    verified: Verified,
    latency: Box<dyn FnMut() -> Duration + Send>,
) -> (Engine<S, H>, Ends, Fanning, mpsc::UnboundedReceiver<Fan>) {
    let Parts { replica, mempool, host, key, suite, peer, directory: _, options, transport: _ } = parts;
    let clock = Clock::Simulated(time.clone());
    let domain = Domain { chain: replica.chain().clone(), suite };
    let wake = Arc::new(Wake::default());
    let tip = replica.tip().progress.height;
    let scope = Scope { height: tip + 1, validators: ValidatorSet::of(&replica.tip().validators) };
    let (switch, ends) = Switch::new(peer, domain.clone(), scope, Arc::clone(&wake), clock.clone());
    let me = key.as_ref().map(|key| Address::of(&key.public()));
    let (network, fanning, said) = network::sides(Arc::clone(&switch), Arc::clone(&wake), domain.clone(), me);
    let status_at = time.passed() + options.status_every;
    let around = Around {
        network,
        log,
        me: me.unwrap_or(Address([0; 32])),
        signer: key.as_ref().map(|key| ChainSigner::new(domain.clone(), key.clone())),
        verifier: Remembering::new(domain, verified),
        timeouts: (&options.timeouts).into(),
        timers: Vec::new(),
        recovering: false,
        validates: false,
        deciding: None,
        answers: BTreeMap::new(),
        answered_at: Duration::ZERO,
        answers_count: 0,
        latency,
        first: None,
        next: None,
        sync: Sync::new(options.blocks_timeout),
        tip,
        status_at,
        counts: Counts::default(),
        app: App {
            replica,
            mempool,
            host,
            proposer: key.as_ref().map(SecretKey::public),
            suite,
            options,
            switch,
            wake,
            standing: Arc::new(Mutex::new(Standing::new(tip))),
            runtime: None,
            // A stream of parts must have a name that none had in an earlier life.
            work: Work::new(u64::try_from(time.passed().as_micros()).unwrap_or(u64::MAX), time.instant()),
            clock,
        },
        time,
    };
    (Engine { core: None, early: Vec::new(), metrics: Metrics::new(), around }, ends, fanning, said)
}

impl<S: Store, H: Host> Engine<S, H> {
    /// Says that it is ready for its first height.
    pub(super) fn begin(&mut self) -> Result<(), Stopped> {
        let around = &mut self.around;
        around.app.begin_life().map_err(crate::app::Ended::from)?;
        let (reply, first) = oneshot::channel();
        around.first = Some(first);
        Ok(around.app.handle(AppMsg::ConsensusReady { reply })?)
    }

    /// Feeds the core, and lets it have its effects.
    fn feed(&mut self, input: Input<Context>) -> Result<(), Stopped> {
        let Self { core: Some(core), metrics, around, .. } = self else { return Ok(()) };
        let metrics = &*metrics;
        let mut machine = Gen::new(|co| handle(co, core, metrics, input));
        let mut step = machine.resume_with(Resume::Start);
        loop {
            match step {
                CoResult::<Context>::Yielded(effect) => step = machine.resume_with(around.effect(effect)?),
                CoResult::<Context>::Complete(result) => {
                    return result.map_err(|error| Stopped::Core(error.to_string()));
                }
            }
        }
    }

    /// Begins a height, after what the log holds of it.
    fn start_height(&mut self, height: Height, params: HeightParams<Context>) -> Result<(), Stopped> {
        let HeightParams { validator_set, timeouts, target_time, vote_extension_policy, .. } = params;
        let around = &mut self.around;
        let core = self.core.get_or_insert_with(|| {
            let params = Params {
                address: around.me,
                threshold_params: arc_malachitebft_core_consensus::ThresholdParams::default(),
                value_payload: ValuePayload::ProposalAndParts,
                enabled: true,
            };
            let later_heights_max = ConsensusConfig::default().queue_capacity;
            State::new(Context, height, validator_set.clone(), params, later_heights_max, LATER_INPUTS_MAX)
        });
        around.validates = validator_set.get_by_address(&around.me).is_some();
        let entries = if around.validates {
            around.log.started(height.0)?
        } else {
            around.log.reset(height.0)?;
            Vec::new()
        };
        around.timeouts = timeouts;
        around.deciding = Some(height.0);
        let address = *core.address();
        debug_assert_eq!(address, around.me);
        self.feed(Input::StartHeight(height, validator_set, false, target_time, vote_extension_policy))?;
        self.replay(entries)?;
        self.around.sync.started(height.0);
        for event in std::mem::take(&mut self.early) {
            self.event(event)?;
        }
        Ok(())
    }

    fn replay(&mut self, entries: Vec<Input<Context>>) -> Result<(), Stopped> {
        if entries.is_empty() {
            return Ok(());
        }
        if let Some(core) = &mut self.core {
            core.record_recovered_own_precommit_extensions(&entries);
            core.index_wal_entries(&entries);
        }
        self.around.recovering = true;
        self.around.counts.replayed += entries.len() as u64;
        for entry in entries {
            self.feed(entry)?;
        }
        self.around.recovering = false;
        if let Some(core) = &mut self.core {
            core.reset_entries_index();
        }
        Ok(())
    }

    /// Something came from the network.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Stopped> {
        let now = self.around.time.passed();
        let of_consensus = matches!(
            event,
            NetworkEvent::Vote(..)
                | NetworkEvent::Proposal(..)
                | NetworkEvent::ProposalPart(..)
                | NetworkEvent::PolkaCertificate(..)
                | NetworkEvent::RoundCertificate(..)
        );
        if of_consensus && self.core.is_none() {
            if self.early.len() < EARLY_MAX {
                self.early.push(event);
            }
            return Ok(());
        }
        match event {
            NetworkEvent::Vote(_, vote) => self.feed(Input::Vote(vote)),
            NetworkEvent::Proposal(_, proposal) => self.feed(Input::Proposal(proposal)),
            NetworkEvent::PolkaCertificate(_, polka) => self.feed(Input::PolkaCertificate(polka)),
            NetworkEvent::RoundCertificate(_, certificate) => self.feed(Input::RoundCertificate(certificate)),
            NetworkEvent::ProposalPart(from, published_by, part) => {
                let ask = |reply| AppMsg::ReceivedProposalPart { from, published_by, part, reply };
                if let Some(Some(value)) = self.around.ask(ask)? {
                    self.around.answer(Answer::Input(Input::ProposedValue(value, ValueOrigin::Consensus)));
                }
                Ok(())
            }
            NetworkEvent::Status(peer, status) => {
                self.around.sync.status(peer, status.tip_height.0);
                Ok(())
            }
            NetworkEvent::PeerDisconnected(peer) => {
                self.around.sync.gone(&peer);
                Ok(())
            }
            NetworkEvent::SyncRequest(id, _, Request::ValueRequest(ValueRequest { range, .. })) => {
                let first = *range.start();
                let ask = |reply| AppMsg::GetDecidedValues { range, reply };
                let Some(values) = self.around.ask(ask)? else { return Ok(()) };
                let response = Response::ValueResponse(calls::ValueResponse::new(first, values));
                self.around.say(Msg::OutgoingResponse(id, response))
            }
            NetworkEvent::SyncResponse(id, peer, response) => {
                if self.around.sync.answered(&id, now) {
                    self.synced(peer, response)?;
                }
                Ok(())
            }
            NetworkEvent::SyncRequestFailed(id, ..) => {
                self.around.sync.answered(&id, now);
                Ok(())
            }
            NetworkEvent::Listening(..)
            | NetworkEvent::PeerConnected(..)
            | NetworkEvent::PeerSubscribed(..)
            | NetworkEvent::ValidatorProofReceived { .. }
            | NetworkEvent::SyncInboundRequestFailed(..) => Ok(()),
        }
    }

    /// A peer answered with blocks.
    fn synced(&mut self, peer: PeerId, response: Option<Response<Context>>) -> Result<(), Stopped> {
        let Some(Response::ValueResponse(response)) = response else { return Ok(()) };
        for value in response.values {
            if Some(value.height().0) == self.around.deciding {
                self.feed(Input::SyncValueResponse(value.to_core(peer)))?;
            }
        }
        Ok(())
    }

    /// Does what is due.
    pub(super) fn elapse(&mut self) -> Result<(), Stopped> {
        let now = self.around.time.passed();
        while let Some(entry) = self.around.answers.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Answer::Start(height, params) => self.start_height(height, params)?,
                Answer::Input(input) => self.feed(input)?,
                Answer::Committed(height) => self.around.tip = self.around.tip.max(height.0),
            }
        }
        while let Some(place) = self.around.timers.iter().position(|(_, at)| *at <= now) {
            let (timeout, _) = self.around.timers.remove(place);
            self.feed(Input::TimeoutElapsed(timeout))?;
        }
        self.around.elapse(now)
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Option<Duration> {
        let around = &self.around;
        let answer = around.answers.first_key_value().map(|((at, _), _)| *at);
        let timer = around.timers.iter().map(|(_, at)| *at).min();
        let begin = around.app.is_waited_for().then(|| around.time.since_begin(around.app.deadline()));
        let sync = around.deciding.and_then(|_| around.sync.due());
        [answer, timer, begin, sync, Some(around.status_at)].into_iter().flatten().min()
    }

    pub(super) fn look_around(&mut self) -> Result<(), Stopped> {
        self.around.look_around()
    }
}

impl<S: Store, H: Host> Around<S, H> {
    /// Asks the application, which answers at once or keeps the question.
    pub(super) fn ask<T>(&mut self, question: impl FnOnce(Reply<T>) -> AppMsg<Context>) -> Result<Option<T>, Stopped> {
        let (reply, mut answer) = oneshot::channel();
        self.app.handle(question(reply))?;
        Ok(answer.try_recv().ok())
    }

    /// Puts an answer of the application on its way. They arrive in the order they were given.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.answered_at = self.answered_at.max(self.time.passed() + (self.latency)());
        self.answers_count += 1;
        self.answers.insert((self.answered_at, self.answers_count), answer);
    }

    pub(super) fn say(&mut self, message: Msg<Context>) -> Result<(), Stopped> {
        self.network.take(message).map_err(|error| Stopped::Core(error.to_string()))
    }

    /// Lets the application see what has changed, and takes what it had been asked for longer.
    fn look_around(&mut self) -> Result<(), Stopped> {
        self.app.look_around().map_err(crate::app::Ended::from)?;
        if let Some(first) = &mut self.first
            && let Ok((height, params)) = first.try_recv()
        {
            self.first = None;
            self.answer(Answer::Start(height, params));
        }
        if let Some(next) = &mut self.next
            && let Ok(next) = next.try_recv()
        {
            self.next = None;
            match next {
                Next::Start(height, params) => self.answer(Answer::Start(height, params)),
                Next::Restart(..) => return Err(Stopped::Core("a height was to be restarted".to_owned())),
            }
        }
        Ok(())
    }

    /// Tells how far this node has come, and asks for blocks.
    fn elapse(&mut self, now: Duration) -> Result<(), Stopped> {
        if now >= self.status_at {
            self.status_at = now + self.app.options.status_every;
            let min_height = Height(network::MIN_HEIGHT);
            self.say(Msg::BroadcastStatus(Status::new(Height(self.tip), min_height)))?;
        }
        if let Some(height) = self.deciding
            && let Some(peer) = self.sync.ask(height, now)
        {
            let request = Request::ValueRequest(ValueRequest::new(Height(height)..=Height(height)));
            let id = self.network.call(peer, &request);
            self.sync.asked(id, peer, now);
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), Stopped> {
        if self.validates && !self.recovering {
            self.log.flush()?;
        }
        Ok(())
    }

    pub(super) fn set_timer(&mut self, timeout: Timeout) {
        self.timers.retain(|(other, _)| *other != timeout);
        self.timers.push((timeout, self.time.passed() + self.timeouts.duration_for(timeout)));
    }
}
