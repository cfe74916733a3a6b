//! The application under the engine: it proposes, checks and commits, by asking the replica.
//!
//! One thread owns the replica and reads what the engine asks, one message after the other; nothing here waits for the
//! network. Each answer is given, or the node stops: a `Decided` is acknowledged only when the block is durable, and the
//! engine is never told to restart a height, because that would forget what was signed.
//!
//! No height is started without a reason. The engine is held where it has finalized a height and asks for the next; a
//! statement, a peer that has moved on, or a heartbeat lets it go.

mod blocks;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_app_channel::{AppMsg, Channels, Reply};
use arc_malachitebft_core_types::{CommitCertificate as EngineCertificate, HeightParams, Round, Validity};
use arc_malachitebft_engine::host::Next;
use bytes::Bytes;
use chain::block::BlockId;
use chain::certificate::{CommitCertificate, CommitSignature};
use chain::key::PublicKey;
use chain::suite::Suite;
use replica::mempool::Mempool;
use replica::port::{Store, StoreFault};
use replica::replica::{Fault, Replica};
use tokio::runtime::Handle;
use wire::peer::ConsensusMessage;

use crate::clock::Clock;
use crate::codec::{proposal_out, vote_out};
use crate::context::{Address, Context, Height, ValidatorSet, Value};
use crate::host::{Equivocation, Host};
use crate::network::MIN_HEIGHT;
use crate::options::Options;
use crate::parts::Scope;
use crate::standing::Standing;
use crate::switch::Switch;
use crate::turns::Turns;
use crate::wake::Wake;

use blocks::Later;

/// How long to wait before a full disk is tried again.
const ROOM_PAUSE: Duration = Duration::from_secs(1);

/// How often a wait for room on the disk looks whether the node stops.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// How long the first height waits for others to be there.
const ALONE_MAX: Duration = Duration::from_secs(2);

/// How often a height is started because a peer claims to be ahead. Without this, one liar would make everybody decide
/// empty blocks as fast as they can.
const BELIEVE_EVERY: Duration = Duration::from_secs(5);
const BELIEVE_EVERY_MAX: Duration = Duration::from_secs(60);

/// Own equivocation evidence handed on of one height: more would prove nothing more.
const EVIDENCE_MAX: usize = 16;

/// Why consensus ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A fault of ours: the process stops, and only recovery decides what is true.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The engine is gone, for a reason that it logged: most likely its write-ahead log cannot be written or read.
    #[error("the consensus engine stopped by itself; its log says why")]
    Engine,
}

/// What became of something that needs room on the disk.
enum Room<T> {
    Done(T),
    None,
}

/// The application.
pub(crate) struct App<S: Store, H: Host> {
    pub(crate) replica: Replica<S>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) host: H,
    /// The key that proposes; none when this node only follows.
    pub(crate) proposer: Option<PublicKey>,
    pub(crate) suite: Suite,
    pub(crate) options: Options,
    pub(crate) switch: Arc<Switch>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) standing: Arc<Mutex<Standing>>,
    /// Where blocks are read for peers, beside this thread; none in a simulation, which has one thread.
    pub(crate) runtime: Option<Handle>,
    pub(crate) clock: Clock,
    pub(crate) work: Work,
}

/// What the application keeps of the height that is worked on.
pub(crate) struct Work {
    /// What this node proposed in which round: the same again, when it is asked again.
    own: BTreeMap<Round, Value>,
    /// Blocks that were whole before their parents were committed.
    later: Vec<Later>,
    /// Blocks of this height as bytes, to send them again.
    blocks: BTreeMap<BlockId, Bytes>,
    /// Blocks of this height whose time was found right, or no matter any more.
    timely: BTreeSet<BlockId>,
    /// Blocks of this height that were passed on, and of which round.
    passed_on: BTreeSet<(Round, BlockId)>,
    /// The round that is worked on.
    round: Round,
    /// How many different blocks of whom were judged in which round.
    judged: BTreeMap<(Address, Round), Vec<BlockId>>,
    /// The engine waits for its first height.
    ready: Option<Reply<(Height, HeightParams<Context>)>>,
    /// When it gets it in any case.
    ready_at: Instant,
    /// The engine waits for the next height.
    held: Option<Reply<Next<Context>>>,
    /// When the last block was committed.
    last: Instant,
    /// When an empty block is due.
    beat_at: Instant,
    /// An empty block was asked for.
    beat: bool,
    /// The last block was got from a peer that had it decided.
    synced: bool,
    /// When a peer's claim alone is believed again, and how long that took last.
    believe_at: Instant,
    believe_every: Duration,
    /// Who missed their turns.
    turns: Turns,
    /// The disk was full when it was tried last.
    full: bool,
    /// How many streams of parts were begun, and a number of this process: their names must be new.
    streams: u64,
    process: u64,
}

impl Work {
    pub(crate) fn new(process: u64, now: Instant) -> Self {
        Self {
            own: BTreeMap::new(),
            later: Vec::new(),
            blocks: BTreeMap::new(),
            timely: BTreeSet::new(),
            passed_on: BTreeSet::new(),
            round: Round::new(0),
            judged: BTreeMap::new(),
            ready: None,
            ready_at: now + ALONE_MAX,
            held: None,
            last: now,
            beat_at: now,
            beat: false,
            synced: false,
            believe_at: now,
            believe_every: BELIEVE_EVERY,
            turns: Turns::default(),
            full: false,
            streams: 0,
            process,
        }
    }

    /// The height is committed: what was kept of it is of no use any more.
    fn forget_height(&mut self) {
        self.own.clear();
        self.blocks.clear();
        self.judged.clear();
        self.timely.clear();
        self.passed_on.clear();
        self.round = Round::new(0);
    }
}

impl<S: Store, H: Host> App<S, H> {
    /// Answers the engine until it is told to stop.
    pub(crate) async fn run(mut self, mut channels: Channels<Context>) -> Result<(), Ended> {
        self.begin_life()?;
        loop {
            let deadline = self.deadline();
            tokio::select! {
                message = channels.consensus.recv() => match message {
                    Some(message) => self.handle(message)?,
                    None => return Err(Ended::Engine),
                },
                () = self.wake.changed() => {}
                () = tokio::time::sleep_until(deadline.into()), if self.is_waited_for() => {}
            }
            if self.look_around()? {
                return Ok(());
            }
        }
    }

    /// What is done before anything is asked.
    pub(crate) fn begin_life(&mut self) -> Result<(), Fault> {
        self.schedule_beat()
    }

    /// Looks at what has changed beside the engine's questions. True when it is time to stop.
    pub(crate) fn look_around(&mut self) -> Result<bool, Fault> {
        let reasons = self.wake.take();
        if reasons.stop {
            return Ok(true);
        }
        self.work.beat |= reasons.beat;
        for proposal in &reasons.publish {
            self.publish(proposal)?;
        }
        self.let_go();
        Ok(false)
    }

    /// Answers the engine.
    pub(crate) fn handle(&mut self, message: AppMsg<Context>) -> Result<(), Ended> {
        match message {
            AppMsg::ConsensusReady { reply } => self.work.ready = Some(reply),
            AppMsg::StartedRound { height, round, proposer, role: _, reply_value } => {
                self.standing.lock().expect("nothing panics while it holds this").round(height.0, round, proposer);
                self.work.round = round;
                let values = self.take_later()?;
                drop(reply_value.send(values));
            }
            AppMsg::GetValue { height, round, timeout: _, reply } => self.propose(height, round, reply)?,
            AppMsg::ReceivedProposalPart { from: _, published_by: _, part, reply } => {
                let value = match part.content.into_data() {
                    Some(block) => self.received(block)?,
                    None => None,
                };
                drop(reply.send(value));
            }
            AppMsg::Decided { certificate, extensions: _, reply } => {
                if self.decided(&certificate)? {
                    let _ = reply.send(());
                }
            }
            AppMsg::Finalized { certificate: _, extensions: _, evidence, reply } => {
                self.evidence(&evidence);
                self.work.held = Some(reply);
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = self.synced(height, round, proposer, &value_bytes)?;
                drop(reply.send(outcome));
            }
            AppMsg::GetDecidedValues { range, reply } => self.serve(&range, reply),
            AppMsg::GetHistoryMinHeight { reply } => drop(reply.send(Height(MIN_HEIGHT))),
            // Extensions are off for every height.
            AppMsg::ExtendVote { reply, .. } => drop(reply.send(None)),
            // Nobody asks for the one, for the same reason; and to send a block again is no news: blocks follow every
            // proposal that is published, and the engine publishes this one too.
            AppMsg::VerifyVoteExtensions { .. } | AppMsg::RestreamProposal { .. } => {}
        }
        Ok(())
    }

    fn next_height(&self) -> u64 {
        self.replica.tip().progress.height + 1
    }

    /// The height begins: what is needed to validate it.
    fn begin(&mut self, height: u64) -> HeightParams<Context> {
        let validators = ValidatorSet::of(&self.replica.tip().validators);
        self.switch.started(Scope { height, validators: validators.clone() });
        self.work.beat = false;
        self.standing.lock().expect("nothing panics while it holds this").started(height);
        let first = validators.proposer(Height(height), Round::new(0)).address;
        let timeouts = self.work.turns.timeouts(&first, &self.options.timeouts);
        // Without a target time: it finalizes with the bare quorum, and we pace the heights ourselves.
        HeightParams::new(validators, (&timeouts).into(), None)
    }

    /// Whether the engine waits for a height to begin.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.work.held.is_some() || self.work.ready.is_some()
    }

    /// When to look again whether the next height may start.
    pub(crate) fn deadline(&self) -> Instant {
        if self.work.ready.is_some() {
            return self.work.ready_at;
        }
        let paced = self.work.last + self.options.interval;
        let work = self.proposer.is_some() && !self.mempool.is_empty();
        let claimed = self.switch.claimed_at() > self.replica.tip().progress.height;
        let claimed = claimed.then_some(self.work.believe_at);
        [work.then_some(paced), claimed].into_iter().flatten().fold(self.work.beat_at, Instant::min)
    }

    /// Starts the next height, if there is a reason.
    fn let_go(&mut self) {
        self.begin_first();
        if self.work.held.is_none() {
            return;
        }
        let next = self.next_height();
        let now = self.clock.now();
        let paced = now >= self.work.last + self.options.interval;
        // Those who do not vote start no heights; they follow those who do.
        let own_reason = self.proposer.is_some()
            && (self.work.beat || now >= self.work.beat_at || (paced && !self.mempool.is_empty()));
        if (own_reason || self.others_are_ahead(next))
            && let Some(reply) = self.work.held.take()
        {
            drop(reply.send(Next::Start(Height(next), self.begin(next))));
        } else if now >= self.work.beat_at {
            // It follows: nothing is due here.
            self.work.beat_at = now + Duration::from_secs(60);
        }
    }

    /// Whether others are at a height, or beyond it. Who only claims it is believed now and then, and after each block
    /// that was got from a peer: then it was true.
    fn others_are_ahead(&mut self, height: u64) -> bool {
        if self.wake.signed_at() >= height {
            return true;
        }
        let now = self.clock.now();
        let was_true = std::mem::take(&mut self.work.synced);
        if self.switch.claimed_at() < height || !(was_true || now >= self.work.believe_at) {
            self.work.synced = was_true;
            return false;
        }
        // Each time that nothing came of it, it is believed less often.
        let every = if was_true { BELIEVE_EVERY } else { (self.work.believe_every * 2).min(BELIEVE_EVERY_MAX) };
        self.work.believe_every = every;
        self.work.believe_at = now + every;
        true
    }

    /// Starts the first height: when enough others are there to decide it, when they are ahead, or after a while, since
    /// those that others are connected with may be enough.
    fn begin_first(&mut self) {
        if self.work.ready.is_none() {
            return;
        }
        let next = self.next_height();
        let connected = self.switch.neighbours().len() + usize::from(self.proposer.is_some());
        let validators = self.replica.tip().validators.validators().len();
        let enough = connected * 3 > validators * 2;
        if (enough || self.others_are_ahead(next) || self.clock.now() >= self.work.ready_at)
            && let Some(reply) = self.work.ready.take()
        {
            drop(reply.send((Height(next), self.begin(next))));
        }
    }

    fn schedule_beat(&mut self) -> Result<(), Fault> {
        self.work.beat_at = self.work.last + self.host.heartbeat(self.replica.tip())?;
        Ok(())
    }

    /// Does what may find the disk full, and tells the node of it.
    fn with_room<T>(&mut self, doing: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<Room<T>, Fault> {
        match doing(self) {
            Ok(done) => {
                if std::mem::take(&mut self.work.full) {
                    self.host.room();
                }
                Ok(Room::Done(done))
            }
            Err(Fault::Store(StoreFault::Full { operation })) => {
                self.work.full = true;
                self.host.no_room(operation);
                Ok(Room::None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Proposes a block, the same again in the same round. One that does not fit on the disk is not proposed: the
    /// round passes to the next.
    fn propose(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<LocallyProposedValue<Context>>,
    ) -> Result<(), Fault> {
        let Some(proposer) = self.proposer.filter(|_| height.0 == self.next_height()) else { return Ok(()) };
        if let Some(value) = self.work.own.get(&round) {
            drop(reply.send(LocallyProposedValue::new(height, round, *value)));
            return Ok(());
        }
        let now_ms = self.host.now_ms();
        let proposed = self.with_room(|app| app.replica.propose(now_ms, &proposer, &app.mempool))?;
        if let Room::Done(proposal) = proposed {
            self.host.dropped(&proposal.dropped);
            let value = Value(proposal.block.header.id());
            self.work.blocks.insert(value.0, proposal.block.encode().into());
            self.work.own.insert(round, value);
            self.work.timely.insert(value.0);
            drop(reply.send(LocallyProposedValue::new(height, round, value)));
        }
        Ok(())
    }

    /// Makes a decided block final. False when the node stops before there was room for it.
    fn decided(&mut self, certificate: &EngineCertificate<Context>) -> Result<bool, Fault> {
        self.note_turns(certificate);
        let certificate = self.certificate(certificate)?;
        let committed = loop {
            if let Room::Done(committed) = self.with_room(|app| app.replica.commit(&certificate))? {
                break committed;
            }
            // Nothing else can be done before this: the block is decided.
            let until = Instant::now() + ROOM_PAUSE;
            while Instant::now() < until {
                if self.wake.is_stopping() {
                    return Ok(false);
                }
                std::thread::sleep(STOP_LOOK);
            }
        };
        self.mempool.remove(&committed.statements);
        self.wake.listen();
        if !self.mempool.is_empty() {
            self.wake.work();
        }
        // Blocks of the next height are judged from here on, whether or not it has begun.
        self.work.forget_height();
        self.work.last = self.clock.now();
        self.schedule_beat()?;
        self.standing.lock().expect("nothing panics while it holds this").decided(committed.height);
        self.host.committed(&committed);
        Ok(true)
    }

    /// Notes whose turns brought a block and whose did not.
    fn note_turns(&mut self, certificate: &EngineCertificate<Context>) {
        let validators = ValidatorSet::of(&self.replica.tip().validators);
        let last = certificate.round.as_u32().unwrap_or(0);
        // Beyond a whole turn of everybody nothing more is learnt.
        let first = last.saturating_sub(u32::try_from(self.replica.tip().validators.validators().len()).unwrap_or(0));
        let proposer = |round| validators.proposer(certificate.height, Round::new(round)).address;
        self.work.turns.decided((first..=last).map(proposer));
    }

    /// The engine's certificate in the chain's form, which an auditor verifies without the engine.
    fn certificate(&self, certificate: &EngineCertificate<Context>) -> Result<CommitCertificate, Fault> {
        let (height, id) = (certificate.height.0, certificate.value_id);
        let round = certificate.round.as_u32().ok_or(Fault::NeverChecked { height, id })?;
        let validators = self.replica.tip().validators.validators();
        let key = |address: &Address| {
            let place = validators.binary_search_by(|validator| validator.key.as_bytes().cmp(&address.0)).ok()?;
            Some(validators[place].key)
        };
        // One that is no member makes the certificate fail where the replica verifies it: it is short of a signature.
        let signatures = certificate.commit_signatures.iter().filter_map(|signed| {
            Some(CommitSignature { validator: key(&signed.address)?, signature: signed.signature })
        });
        Ok(CommitCertificate::new(self.suite, height, round, id, signatures.collect()))
    }

    /// Hands on what proves that a validator signed two things that exclude each other.
    fn evidence(&self, evidence: &MisbehaviorEvidence<Context>) {
        let votes = evidence.votes.iter().flat_map(|(_, pairs)| pairs).filter_map(|(first, second)| {
            Some((ConsensusMessage::Vote(vote_out(first).ok()?), ConsensusMessage::Vote(vote_out(second).ok()?)))
        });
        let proposals = evidence.proposals.iter().flat_map(|(_, pairs)| pairs).filter_map(|(first, second)| {
            let (first, second) = (proposal_out(first).ok()?, proposal_out(second).ok()?);
            Some((ConsensusMessage::Proposal(first), ConsensusMessage::Proposal(second)))
        });
        for (first, second) in votes.chain(proposals).take(EVIDENCE_MAX) {
            self.host.equivocated(Equivocation { first, second });
        }
    }
}

/// A value that the engine is told of.
fn value(proposal: &crate::context::Proposal, validity: bool) -> ProposedValue<Context> {
    ProposedValue {
        height: proposal.height,
        round: proposal.round,
        valid_round: proposal.pol_round,
        proposer: proposal.proposer,
        value: proposal.value,
        validity: Validity::from_bool(validity),
    }
}
