//! The engine's network: an actor in the place of Malachite's own, between the engine and the switch.
//!
//! Subscribers are called directly: the engine's output port drops what a slow subscriber did not read. Their mailboxes
//! are unbounded, so what comes in is bounded before it gets here: by each peer's pace, and by the heights near ours.

mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arc_malachitebft_app_channel::NetworkMsg as AppNetworkMsg;
use arc_malachitebft_core_consensus::SignedConsensusMsg;
use arc_malachitebft_core_types::RoundCertificate;
use arc_malachitebft_engine::network::{Msg, NetworkEvent, NetworkRef, Status, Subscriber};
use arc_malachitebft_engine::util::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_network::{Channel, PeerId};
use arc_malachitebft_sync::{InboundRequestId, OutboundFailureReason, OutboundRequestId};
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use wire::peer::{BlocksResponse, ConsensusMessage, FrameContent, KeyBytes, LivenessMessage, PeerFrame, PeerStatus};

use self::own::Own;
use crate::codec::{
    CodecError, consensus_frame, liveness_frame, peer_id, polka_in, proposal_in, request_in, request_out, response_in,
    response_out, round_in, vote_in,
};
use crate::context::{Address, Context, Height};
use crate::parts::Assembler;
use crate::signing::Domain;
use crate::switch::{Ends, Inbound, Switch};
use crate::wake::Wake;

/// Calls of peers that may wait for their answers. The engine has a lower limit of its own.
const CALLS_MAX: usize = 256;

/// The oldest height that can be served: nothing is ever pruned.
pub(crate) const MIN_HEIGHT: u64 = 1;

/// What the engine listens on, in its own notation. Nobody dials it.
const NOWHERE: &str = "/memory/1";

/// What the engine hears.
pub(crate) type Event = NetworkEvent<Context>;

/// What the one who tells the engine is given.
pub(crate) enum Fan {
    Subscribe(Box<dyn Subscriber<Event>>),
    Event(Box<Event>),
    Inbound(Box<Inbound>),
}

/// Calls that wait for their answers, and whose they are.
type Calls = Arc<Mutex<BTreeMap<InboundRequestId, (KeyBytes, u64)>>>;

/// Whom blocks were asked of, by the number of the call.
type Asked = Arc<Mutex<BTreeMap<u64, KeyBytes>>>;

/// Calls of ours that are remembered: the engine has a few under way.
const ASKED_MAX: usize = 256;

/// The actor.
pub(crate) struct Network;

/// What it is started with.
pub(crate) struct Arguments {
    pub(crate) switch: Arc<Switch>,
    pub(crate) events: mpsc::Receiver<Inbound>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) domain: Domain,
    /// The validator that this node is.
    pub(crate) me: Option<Address>,
}

/// What it keeps.
pub(crate) struct State {
    switch: Arc<Switch>,
    wake: Arc<Wake>,
    /// Unbounded, and fed by the engine (a few messages a height) and one reader of a bounded channel that waits.
    fan: mpsc::UnboundedSender<Fan>,
    calls: Calls,
    peers: Arc<Mutex<BTreeMap<PeerId, KeyBytes>>>,
    /// Whom blocks were asked of, by the number of the call.
    asked: Asked,
    next_call: u64,
    own: Own,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the calls or peers")
}

impl State {
    fn key(&self, peer: &PeerId) -> Option<KeyBytes> {
        lock(&self.peers).get(peer).copied()
    }

    fn event(&self, event: Event) {
        // Nobody reads only when the engine ends.
        drop(self.fan.send(Fan::Event(Box::new(event))));
    }

    fn publish(&self, message: &SignedConsensusMsg<Context>) -> Result<(), CodecError> {
        self.own.signed(message);
        self.switch.publish(consensus_frame(message)?);
        if let SignedConsensusMsg::Proposal(proposal) = message {
            // The engine has written the proposal down. Its block goes out under that very signature, whether it is
            // fresh, proposed again, or another's that we are locked on.
            self.wake.publish(proposal.clone());
        }
        Ok(())
    }

    /// Asks a peer for blocks.
    pub(crate) fn call(
        &mut self,
        peer: PeerId,
        request: &arc_malachitebft_sync::Request<Context>,
    ) -> OutboundRequestId {
        let id = self.next_call;
        self.next_call += 1;
        let request_id = OutboundRequestId::new(id);
        let content = FrameContent::Call(id, request_out(request));
        let key = self.key(&peer);
        if let Some(key) = key {
            let mut asked = lock(&self.asked);
            asked.insert(id, key);
            if asked.len() > ASKED_MAX {
                asked.pop_first();
            }
        }
        if !key.is_some_and(|key| self.switch.tell(&key, content)) {
            self.event(NetworkEvent::SyncRequestFailed(request_id.clone(), peer, OutboundFailureReason::DialFailure));
        }
        request_id
    }

    fn answer(
        &self,
        id: &InboundRequestId,
        response: &arc_malachitebft_sync::Response<Context>,
    ) -> Result<(), CodecError> {
        let Some((peer, call)) = lock(&self.calls).remove(id) else { return Ok(()) };
        let response: BlocksResponse = response_out(response)?;
        self.switch.tell(&peer, FrameContent::Answer(call, response));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Actor for Network {
    type Msg = Msg<Context>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg<Context>>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { switch, mut events, wake, domain, me } = arguments;
        let (state, fanning, fan_end) = sides(switch, wake, domain, me);
        let (done, mut taken) = mpsc::channel::<()>(1);
        tokio::spawn(fanning.run(fan_end, done));
        let forward = state.fan.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                // One at a time, so that the unbounded channel holds at most one of these.
                if forward.send(Fan::Inbound(Box::new(event))).is_err() || taken.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Msg<Context>>,
        message: Msg<Context>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // An error here would end this actor, and the engine would speak to nobody without knowing it.
        if let Err(error) = state.take(message) {
            tracing::error!(%error, "a message of the engine could not be sent");
        }
        Ok(())
    }
}

/// The side that speaks for the engine, the side that listens for it, and what the first has to tell the second. `me` is
/// the validator that this node is.
pub(crate) fn sides(
    switch: Arc<Switch>,
    wake: Arc<Wake>,
    domain: Domain,
    me: Option<Address>,
) -> (State, Fanning, mpsc::UnboundedReceiver<Fan>) {
    let (fan, fan_end) = mpsc::unbounded_channel();
    let (calls, peers): (Calls, Arc<Mutex<BTreeMap<PeerId, KeyBytes>>>) = Default::default();
    let (asked, own) = (Asked::default(), Own::new(me));
    let fanning = Fanning {
        subscribers: Vec::new(),
        connected: BTreeSet::new(),
        assembler: Assembler::new(domain),
        switch: Arc::clone(&switch),
        calls: Arc::clone(&calls),
        asked: Arc::clone(&asked),
        peers: Arc::clone(&peers),
        own: own.clone(),
    };
    (State { switch, wake, fan, calls, peers, asked, next_call: 1, own }, fanning, fan_end)
}

impl State {
    /// Does what the engine says.
    pub(crate) fn take(&mut self, message: Msg<Context>) -> Result<(), CodecError> {
        match message {
            Msg::Subscribe(subscriber) => drop(self.fan.send(Fan::Subscribe(subscriber))),
            Msg::PublishConsensusMsg(message) => self.publish(&message)?,
            Msg::PublishLivenessMsg(message) => self.switch.publish(liveness_frame(&message)?),
            Msg::BroadcastStatus(Status { tip_height, history_min_height }) => {
                let (tip_height, min_height) = (tip_height.0, history_min_height.0);
                let neighbours = self.switch.neighbours();
                self.switch.publish(FrameContent::Status(PeerStatus { tip_height, min_height, neighbours }));
            }
            Msg::OutgoingRequest(peer, request, reply) => {
                let id = self.call(peer, &request);
                drop(reply.send(id));
            }
            Msg::OutgoingResponse(id, response) => self.answer(&id, &response)?,
            Msg::CancelInboundRequest(id) => drop(lock(&self.calls).remove(&id)),
            Msg::DumpState(reply) => drop(reply.send(None)),
            Msg::UpdatePersistentPeers(_, reply) => drop(reply.send(Ok(()))),
            // Blocks go out by the application, which also says who validates; a late answer is dropped by the engine
            // itself; the rest is of another transport.
            Msg::PublishProposalPart(_)
            | Msg::UpdateValidatorSet(_)
            | Msg::CancelRequest(_)
            | Msg::ValidatorProofVerified { .. }
            | Msg::NewEvent(_) => {}
        }
        Ok(())
    }
}

/// Reads what comes in and tells the engine.
pub(crate) struct Fanning {
    subscribers: Vec<Box<dyn Subscriber<Event>>>,
    connected: BTreeSet<KeyBytes>,
    assembler: Assembler,
    switch: Arc<Switch>,
    calls: Calls,
    asked: Asked,
    peers: Arc<Mutex<BTreeMap<PeerId, KeyBytes>>>,
    own: Own,
}

impl Fanning {
    async fn run(mut self, mut fan: mpsc::UnboundedReceiver<Fan>, done: mpsc::Sender<()>) {
        while let Some(fan) = fan.recv().await {
            match fan {
                Fan::Subscribe(subscriber) => self.subscribe(subscriber),
                Fan::Event(event) => self.tell(*event),
                Fan::Inbound(inbound) => {
                    self.inbound(*inbound).into_iter().for_each(|event| self.tell(event));
                    if done.send(()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn subscribe(&mut self, subscriber: Box<dyn Subscriber<Event>>) {
        // Without this the engine never starts.
        subscriber.send(NetworkEvent::Listening(NOWHERE.parse().expect("it is an address")));
        for peer in &self.connected {
            subscriber.send(NetworkEvent::PeerConnected(peer_id(peer)));
            subscriber.send(NetworkEvent::PeerSubscribed(peer_id(peer), Channel::Sync));
        }
        self.subscribers.push(subscriber);
    }

    fn tell(&self, event: Event) {
        let Some((last, others)) = self.subscribers.split_last() else { return };
        for subscriber in others {
            subscriber.send(event.clone());
        }
        last.send(event);
    }

    /// What the engine is to know of what came in.
    pub(crate) fn inbound(&mut self, inbound: Inbound) -> Vec<Event> {
        match inbound {
            Inbound::Up(peer) => {
                let id = peer_id(&peer);
                self.connected.insert(peer);
                lock(&self.peers).insert(id, peer);
                vec![NetworkEvent::PeerConnected(id), NetworkEvent::PeerSubscribed(id, Channel::Sync)]
            }
            Inbound::Down(peer) => {
                self.connected.remove(&peer);
                self.assembler.gone(&peer);
                lock(&self.calls).retain(|_, (caller, _)| *caller != peer);
                vec![NetworkEvent::PeerDisconnected(peer_id(&peer))]
            }
            Inbound::Frame(peer, frame) => {
                if let FrameContent::Liveness(LivenessMessage::Round(round)) = &frame.content {
                    return self.round(peer_id(&peer), round_in(round));
                }
                self.event(peer, *frame).into_iter().collect()
            }
        }
    }

    /// What the engine is to know of a round certificate.
    fn round(&self, id: PeerId, certificate: RoundCertificate<Context>) -> Vec<Event> {
        match self.own.votes_of_others(&certificate) {
            Some(votes) => votes.into_iter().map(|vote| NetworkEvent::Vote(id, vote)).collect(),
            None => vec![NetworkEvent::RoundCertificate(id, certificate)],
        }
    }

    fn event(&mut self, peer: KeyBytes, frame: PeerFrame) -> Option<Event> {
        let id = peer_id(&peer);
        Some(match frame.content {
            FrameContent::Consensus(ConsensusMessage::Vote(vote))
            | FrameContent::Liveness(LivenessMessage::Vote(vote)) => {
                let vote = vote_in(&vote);
                if self.own.is(&vote.message.voter) {
                    return None;
                }
                NetworkEvent::Vote(id, vote)
            }
            FrameContent::Consensus(ConsensusMessage::Proposal(proposal)) => {
                let proposal = proposal_in(&proposal);
                if self.own.is(&proposal.message.proposer) {
                    return None;
                }
                NetworkEvent::Proposal(id, proposal)
            }
            FrameContent::Liveness(LivenessMessage::Polka(polka)) => {
                NetworkEvent::PolkaCertificate(id, polka_in(&polka))
            }
            FrameContent::Part(part) => {
                let stream = StreamId::new(Bytes::from(part.stream.clone()));
                match self.assembler.take(peer, frame.origin, part, &self.switch.scope()) {
                    Ok(Some(block)) => {
                        let message = StreamMessage::new(stream, 0, StreamContent::Data(block));
                        NetworkEvent::ProposalPart(id, Some(peer_id(&frame.origin)), message)
                    }
                    Ok(None) => return None,
                    Err(spoiled) => {
                        tracing::warn!(peer = %id, %spoiled, "a proposed block was not taken");
                        return None;
                    }
                }
            }
            FrameContent::Status(status) => {
                let (tip, min) = (Height(status.tip_height), Height(status.min_height));
                NetworkEvent::Status(id, Status::new(tip, min))
            }
            FrameContent::Call(call, request) => {
                let mut calls = lock(&self.calls);
                if calls.len() >= CALLS_MAX {
                    return None;
                }
                let request_id = InboundRequestId::new(format_args!("{id}/{call}"));
                calls.insert(request_id.clone(), (peer, call));
                NetworkEvent::SyncRequest(request_id, id, request_in(&request))
            }
            FrameContent::Answer(call, response) => {
                // Of the one who was asked: the engine looks at the number before it looks at the peer.
                let mut asked = lock(&self.asked);
                if asked.get(&call) != Some(&peer) {
                    return None;
                }
                asked.remove(&call);
                NetworkEvent::SyncResponse(OutboundRequestId::new(call), id, Some(response_in(&response)))
            }
            // The first are looked at before, the others never come this way.
            FrameContent::Liveness(LivenessMessage::Round(_)) | FrameContent::Statements(_) => return None,
        })
    }
}

/// The network, as the engine and the application know it.
pub(crate) struct Running {
    pub(crate) actor: NetworkRef<Context>,
    pub(crate) messages: mpsc::Sender<AppNetworkMsg<Context>>,
    pub(crate) shared: mpsc::Receiver<crate::switch::Shared>,
}

/// Starts the actor.
pub(crate) async fn spawn(
    switch: Arc<Switch>,
    ends: Ends,
    wake: Arc<Wake>,
    domain: Domain,
    me: Option<Address>,
) -> Result<Running, ractor::SpawnErr> {
    let Ends { events, shared } = ends;
    let (actor, _) = Actor::spawn(None, Network, Arguments { switch, events, wake, domain, me }).await?;
    // The engine's builder asks for this end; the application publishes nothing through it.
    let (messages, mut unused) = mpsc::channel(1);
    tokio::spawn(async move { while unused.recv().await.is_some() {} });
    Ok(Running { actor, messages, shared })
}

#[cfg(test)]
mod tests;
