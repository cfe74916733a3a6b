//! Malachite, started with the chain's types, our network and our signatures.
//!
//! What is not ours of consensus is here: the write-ahead log, timeouts, vote keeping, value sync. The generics of the
//! engine are instantiated in this one place, because that takes minutes.

use std::path::Path;
use std::time::Duration;

use arc_malachitebft_app_channel::app::config::NodeConfig;
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, RequestContext, SyncContext, WalContext,
};
use arc_malachitebft_config::{ConsensusConfig, ValuePayload, ValueSyncConfig};
use arc_malachitebft_engine::network::NetworkRef;
use arc_malachitebft_signing::{Signer, Verifier};
use chain::key::SecretKey;
use wire::peer::BLOCKS_BYTES_MAX;

use crate::codec::Wire;
use crate::context::{Address, Context};
use crate::log::LogFault;
use crate::network::Running;
use crate::options::Options;
use crate::signing::{ChainSigner, ChainVerifier, Domain};

/// The name of the write-ahead log in its directory.
pub(crate) const LOG: &str = "consensus.wal";

/// Votes and proposals of one later height that the engine keeps: of many validators, and some rounds.
pub(crate) const LATER_INPUTS_MAX: usize = 2_048;

/// Answers of blocks that a peer may have under way at once here.
const CALLS_AT_ONCE_MAX: usize = 4;

/// Calls for blocks that a peer may make in ten seconds. A call is answered with one block, and the engine asks the same
/// peer as long as it answers well, so this bounds how many blocks a second a node catches up with; what a peer may cost is
/// bounded by its calls at once and by what its stream takes.
const CALLS_PER_WINDOW_MAX: u32 = 10_000;

/// Consensus could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The engine, or something that it needs.
    #[error("the consensus engine did not start: {0}")]
    Engine(String),
    /// This validator cannot know how it voted.
    #[error(transparent)]
    Log(#[from] LogFault),
}

struct Configuration {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for Configuration {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

fn configuration(options: &Options) -> Configuration {
    let consensus = ConsensusConfig {
        enabled: true,
        // The block travels in parts, and the signed proposal with them and by itself.
        value_payload: ValuePayload::ProposalAndParts,
        queue_per_height_capacity: LATER_INPUTS_MAX,
        ..ConsensusConfig::default()
    };
    let sync = ValueSyncConfig {
        enabled: true,
        status_update_interval: options.status_every,
        request_timeout: options.blocks_timeout,
        parallel_requests: 4,
        // One block at a time: a batch that fails half-way is not asked for again by this version of the engine.
        batch_size: 1,
        max_response_size: format!("{BLOCKS_BYTES_MAX} B").parse().expect("a number of bytes is a size"),
        max_concurrent_inbound_requests: CALLS_AT_ONCE_MAX,
        max_inbound_requests_per_window: CALLS_PER_WINDOW_MAX,
        inbound_request_rate_limit_window: Duration::from_secs(10),
        ..ValueSyncConfig::default()
    };
    Configuration { moniker: options.name.clone(), consensus, sync }
}

/// What the engine is put on: how it signs and verifies, and whom it tells.
pub(crate) struct Ground {
    pub(crate) network: NetworkRef<Context>,
    pub(crate) verifier: Box<dyn Verifier<Context>>,
    /// How it signs, and under whose address; none when it follows.
    pub(crate) signer: Option<(Address, Box<dyn Signer<Context>>)>,
}

impl Ground {
    /// An honest node's.
    pub(crate) fn new(domain: &Domain, key: Option<&SecretKey>, network: &Running) -> Self {
        let signer = |key: &SecretKey| -> (Address, Box<dyn Signer<Context>>) {
            (Address::of(&key.public()), Box::new(ChainSigner::new(domain.clone(), key.clone())))
        };
        Self {
            network: network.actor.clone(),
            verifier: Box::new(ChainVerifier(domain.clone())),
            signer: key.map(signer),
        }
    }
}

/// Starts the engine: with a signer it votes, without one it follows.
pub(crate) async fn start(
    options: &Options,
    directory: &Path,
    ground: Ground,
    network: &Running,
) -> Result<(Channels<Context>, EngineHandle), NotStarted> {
    let Ground { network: actor, verifier, signer } = ground;
    let consensus = match signer {
        Some((address, signer)) => ConsensusContext::new_validator(address, verifier, signer),
        // Its address is nobody's: no key has these bytes, so it is in no set.
        None => ConsensusContext::new_full_node(Address([0; 32]), verifier),
    };
    EngineBuilder::new(Context, configuration(options))
        .with_default_wal(WalContext::new(directory.join(LOG), Wire))
        .with_custom_network(actor, network.messages.clone())
        .with_default_sync(SyncContext::new(Wire))
        .with_default_consensus(consensus)
        .with_default_request(RequestContext::new(16))
        .build()
        .await
        .map_err(|report| NotStarted::Engine(format!("{report:#}")))
}
