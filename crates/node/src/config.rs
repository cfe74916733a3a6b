//! Configuration of a node: TOML, every key with a default, secrets only as paths.
//!
//! Precedence: flag, environment, file, default. `http.listen` in the environment is `EINVOICE_HTTP_LISTEN`. Paths in a
//! file are relative to that file. [`Config`] is what was written; other rooms get their own plain option structs from
//! it.

#[cfg(test)]
mod fuzzing;
mod load;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chain::key::PublicKey;
use serde::{Deserialize, Serialize};

use webhooks::WebhooksConfig;

/// The configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Who this node is.
    pub(crate) node: NodeConfig,
    /// Its keys, as paths.
    pub(crate) keys: KeysConfig,
    /// The REST door.
    pub(crate) http: HttpConfig,
    /// The gRPC door.
    pub(crate) grpc: GrpcConfig,
    /// Endpoints that events are posted to.
    pub(crate) webhooks: WebhooksConfig,
    /// Statements that wait.
    pub(crate) mempool: MempoolConfig,
    /// The other nodes.
    pub(crate) peers: PeersConfig,
    /// How blocks are agreed on with them.
    pub(crate) consensus: ConsensusConfig,
    /// The store.
    pub(crate) store: StoreConfig,
    /// When blocks are made.
    pub(crate) blocks: BlocksConfig,
    /// How long each step of a shutdown may take.
    pub(crate) shutdown: ShutdownConfig,
    /// Logs.
    pub(crate) telemetry: TelemetryConfig,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NodeConfig {
    /// The node's id: what login tokens name as their audience.
    pub(crate) id: String,
    /// The genesis file.
    pub(crate) genesis: PathBuf,
    /// The directory of the store.
    pub(crate) data: PathBuf,
    /// Whether it votes, or follows.
    pub(crate) part: Part,
}

/// What a node does on a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// It votes, with its consensus key.
    #[default]
    Validator,
    /// It follows, serves reads, and passes statements on.
    Observer,
}

impl Default for NodeConfig {
    fn default() -> Self {
        let (genesis, data) = ("genesis.json".into(), "data".into());
        Self { id: "node-1".to_owned(), genesis, data, part: Part::Validator }
    }
}

/// The node's keys: paths of key files, never the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KeysConfig {
    /// Votes for blocks.
    pub(crate) consensus: PathBuf,
    /// Signs log checkpoints.
    pub(crate) receipt: PathBuf,
    /// Proves to other nodes which node this is.
    pub(crate) peer: PathBuf,
    /// Secret from which the salts of attachments and the secrets of webhooks are derived; made when it is missing.
    pub(crate) attachment_salt: PathBuf,
    /// A directory of statement keys that this node holds for organisations. It may be missing.
    pub(crate) hosted: PathBuf,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            consensus: "keys/consensus-1.json".into(),
            receipt: "keys/receipt-1.json".into(),
            peer: "keys/peer-1.json".into(),
            attachment_salt: "keys/attachment-salt".into(),
            hosted: "keys/hosted".into(),
        }
    }
}

/// The REST door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpConfig {
    /// Where it listens. An address that is not loopback needs TLS.
    pub(crate) listen: SocketAddr,
    /// The certificate chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Bytes of a request's body at most.
    pub(crate) body_bytes_max: usize,
    /// Rows of a page at most.
    pub(crate) page_rows_max: usize,
    /// How long a request waits for finality before it is told to come back, ms.
    pub(crate) finality_wait_ms: u64,
    /// Public checks an address may make in a minute.
    pub(crate) verifications_a_minute: u32,
    /// Wrong guesses of the public check about one invoice in a day.
    pub(crate) mismatches_a_day: u8,
    /// Wrong guesses of that check by one organisation in a day, whichever the invoices. Over gRPC, where it logs in.
    pub(crate) mismatches_an_organisation_and_day: u32,
    /// Open connections at most.
    pub(crate) connections_max: usize,
    /// Those of one address at most (IPv6: of one /64).
    pub(crate) connections_an_address_max: usize,
    /// Bytes of bodies under way at most.
    pub(crate) bodies_bytes_max: usize,
    /// Those of one address at most (IPv6: of one /64).
    pub(crate) bodies_bytes_an_address_max: usize,
    /// Streams of events at most. Each holds a connection that makes room for nobody.
    pub(crate) subscriptions_max: usize,
    /// Those of one organisation at most.
    pub(crate) subscriptions_an_organisation_max: usize,
    /// Events that a stream may lie behind before its client is told to begin again; so many are kept in memory.
    pub(crate) subscription_lag_events_max: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: None,
            tls_key: None,
            body_bytes_max: 4 * 1024 * 1024,
            page_rows_max: 500,
            finality_wait_ms: 10_000,
            verifications_a_minute: 60,
            mismatches_a_day: 5,
            mismatches_an_organisation_and_day: 1_000,
            connections_max: 1_024,
            connections_an_address_max: 256,
            bodies_bytes_max: 64 * 1024 * 1024,
            bodies_bytes_an_address_max: 16 * 1024 * 1024,
            subscriptions_max: 512,
            subscriptions_an_organisation_max: 16,
            subscription_lag_events_max: 10_000,
        }
    }
}

/// Bytes of answers that must have room: twice what the largest of them may have.
const ANSWERS_BYTES_MIN: usize = 8 * 1024 * 1024;

/// The gRPC door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct GrpcConfig {
    /// Where it listens; there is no such door without. An address that is not loopback needs TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// The certificate chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Open connections at most.
    pub(crate) connections_max: usize,
    /// Those of one address at most (IPv6: of one /64).
    pub(crate) connections_an_address_max: usize,
    /// Calls under way on one connection at most.
    pub(crate) calls_a_connection_max: u32,
    /// Calls of one organisation under way at most.
    pub(crate) calls_an_organisation_max: usize,
    /// Calls that one organisation may begin in a second.
    pub(crate) calls_a_second_max: u32,
    /// Bytes of answers at most that wait to be taken, in all.
    pub(crate) answers_bytes_max: usize,
    /// Those for one organisation.
    pub(crate) answers_bytes_an_organisation_max: usize,
    /// Invoices of one batch at most.
    pub(crate) batch_max: usize,
    /// How often a silent client is asked whether it is there, and how long it may take to answer, ms.
    pub(crate) keep_alive_ms: u64,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        let api::GrpcOptions {
            connections_max,
            connections_an_address_max,
            calls_a_connection_max,
            calls_an_organisation_max,
            calls_a_second_max,
            answers_bytes_max,
            answers_bytes_an_organisation_max,
            batch_max,
            keep_alive_ms,
        } = api::GrpcOptions::default();
        Self {
            listen: None,
            tls_certificate: None,
            tls_key: None,
            connections_max,
            connections_an_address_max,
            calls_a_connection_max,
            calls_an_organisation_max,
            calls_a_second_max,
            answers_bytes_max,
            answers_bytes_an_organisation_max,
            batch_max,
            keep_alive_ms,
        }
    }
}

/// Statements that wait for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "units and bounds stand last in the names of keys")]
pub(crate) struct MempoolConfig {
    /// Statements at most.
    pub(crate) statements_max: usize,
    /// Bytes of statements at most.
    pub(crate) bytes_max: usize,
    /// The part of both that one organisation may hold, in percent.
    pub(crate) organisation_percent_max: usize,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self { statements_max: 50_000, bytes_max: 64 * 1024 * 1024, organisation_percent_max: 25 }
    }
}

/// The other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PeersConfig {
    /// Where other nodes call this one; it only calls when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// The nodes that it calls.
    pub(crate) nodes: Vec<PeerConfig>,
}

/// A node that is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PeerConfig {
    /// Host and port of its peer door.
    pub(crate) address: String,
    /// Its peer key: whoever else answers there is refused.
    pub(crate) key: PublicKey,
}

/// How blocks are agreed on with other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "units and bounds stand last in the names of keys")]
pub(crate) struct ConsensusConfig {
    /// The shortest time from one block to the next while statements wait, ms.
    pub(crate) interval_ms: u64,
    /// How long a round waits for its block, ms.
    pub(crate) propose_ms: u64,
    /// How long it waits for the block of one that brought none in its last turn, ms.
    pub(crate) missed_ms: u64,
    /// How long it waits for votes when those that came do not agree, ms.
    pub(crate) vote_ms: u64,
    /// How much longer both are in each further round, ms.
    pub(crate) more_each_round_ms: u64,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        let consensus::Options { timeouts, interval, .. } = consensus::Options::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            interval_ms: ms(interval),
            propose_ms: ms(timeouts.propose),
            missed_ms: ms(timeouts.missed),
            vote_ms: ms(timeouts.prevote),
            more_each_round_ms: ms(timeouts.more_each_round),
        }
    }
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "units and bounds stand last in the names of keys")]
pub(crate) struct StoreConfig {
    /// Cache of the ledger database, in bytes.
    pub(crate) ledger_cache_bytes: usize,
    /// Cache of the index database, in bytes.
    pub(crate) index_cache_bytes: usize,
    /// Free space below which nothing is written any more, in bytes.
    pub(crate) reserve_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        // The store's own: what was measured there must not be overruled here.
        let store = store::Options::new(std::path::Path::new(""));
        Self {
            ledger_cache_bytes: store.ledger_cache_bytes,
            index_cache_bytes: store.index_cache_bytes,
            reserve_bytes: store.reserve_bytes,
        }
    }
}

/// When blocks are made although nothing waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BlocksConfig {
    /// The heartbeat, ms.
    pub(crate) heartbeat_ms: u64,
    /// The heartbeat while events are not yet under a published state checkpoint, ms.
    pub(crate) checkpoint_heartbeat_ms: u64,
}

impl Default for BlocksConfig {
    fn default() -> Self {
        Self { heartbeat_ms: 60_000, checkpoint_heartbeat_ms: 10_000 }
    }
}

/// How long each step of a shutdown may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "units and bounds stand last in the names of keys")]
pub(crate) struct ShutdownConfig {
    /// Answering what is under way, ms.
    pub(crate) drain_ms_max: u64,
    /// The last block, ms.
    pub(crate) driver_ms_max: u64,
    /// Closing the store, ms.
    pub(crate) store_ms_max: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_ms_max: 15_000, driver_ms_max: 15_000, store_ms_max: 60_000 }
    }
}

/// The form of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs, on stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TelemetryConfig {
    /// What is logged, as `tracing` directives: `info`, `warn,replica=debug`.
    pub(crate) filter: String,
    /// Its form: `auto`, `text` or `json`.
    pub(crate) format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl Config {
    /// What types cannot say.
    fn validate(&self) -> anyhow::Result<()> {
        if self.node.id.is_empty()
            || self.node.id.len() > 255
            || !self.node.id.bytes().all(|byte| byte.is_ascii_graphic())
        {
            bail!("node.id: expected 1 to 255 printable ASCII characters without space, found {:?}", self.node.id);
        }
        if self.http.tls_certificate.is_some() != self.http.tls_key.is_some() {
            bail!("http: expected tls-certificate and tls-key together, found one of them");
        }
        if !self.http.listen.ip().is_loopback() && self.http.tls_key.is_none() {
            bail!("http.listen: {} is not loopback, which needs tls-certificate and tls-key", self.http.listen);
        }
        if self.grpc.tls_certificate.is_some() != self.grpc.tls_key.is_some() {
            bail!("grpc: expected tls-certificate and tls-key together, found one of them");
        }
        if let Some(listen) = self.grpc.listen
            && !listen.ip().is_loopback()
            && self.grpc.tls_key.is_none()
        {
            bail!("grpc.listen: {listen} is not loopback, which needs tls-certificate and tls-key");
        }
        if !(1..=1_000).contains(&self.grpc.batch_max) {
            bail!("grpc.batch-max: expected 1 to 1000, as a statement may have events, found {}", self.grpc.batch_max);
        }
        if !(1..=100).contains(&self.mempool.organisation_percent_max) {
            bail!(
                "mempool.organisation-percent-max: expected 1 to 100, found {}",
                self.mempool.organisation_percent_max
            );
        }
        self.webhooks.options()?;
        let positive = [
            ("http.body-bytes-max", self.http.body_bytes_max == 0),
            ("http.page-rows-max", self.http.page_rows_max == 0),
            ("http.connections-max", self.http.connections_max == 0),
            ("http.subscriptions-max", self.http.subscriptions_max == 0),
            ("http.subscriptions-an-organisation-max", self.http.subscriptions_an_organisation_max == 0),
            ("http.subscription-lag-events-max", self.http.subscription_lag_events_max == 0),
            ("http.connections-an-address-max", self.http.connections_an_address_max == 0),
            ("http.bodies-bytes-max", self.http.bodies_bytes_max < self.http.body_bytes_max),
            ("http.bodies-bytes-an-address-max", self.http.bodies_bytes_an_address_max < self.http.body_bytes_max),
            ("http.verifications-a-minute", self.http.verifications_a_minute == 0),
            ("grpc.connections-max", self.grpc.connections_max == 0),
            ("grpc.connections-an-address-max", self.grpc.connections_an_address_max == 0),
            ("grpc.calls-a-connection-max", self.grpc.calls_a_connection_max == 0),
            ("grpc.calls-an-organisation-max", self.grpc.calls_an_organisation_max == 0),
            ("grpc.calls-a-second-max", self.grpc.calls_a_second_max == 0),
            ("grpc.answers-bytes-max", self.grpc.answers_bytes_max < ANSWERS_BYTES_MIN),
            ("grpc.answers-bytes-an-organisation-max", self.grpc.answers_bytes_an_organisation_max < ANSWERS_BYTES_MIN),
            ("grpc.keep-alive-ms", self.grpc.keep_alive_ms < 1_000),
            ("webhooks.delivery-timeout-ms", self.webhooks.delivery_timeout_ms < 100),
            ("mempool.statements-max", self.mempool.statements_max < 100),
            ("mempool.bytes-max", self.mempool.bytes_max < 100),
            ("consensus.propose-ms", self.consensus.propose_ms < 100),
            ("consensus.missed-ms", self.consensus.missed_ms < 50),
            ("consensus.vote-ms", self.consensus.vote_ms < 50),
            ("blocks.heartbeat-ms", self.blocks.heartbeat_ms < 100),
            ("blocks.checkpoint-heartbeat-ms", self.blocks.checkpoint_heartbeat_ms < 100),
        ];
        match positive.iter().find(|(_, too_small)| *too_small) {
            Some((key, _)) => bail!("{key}: the value is too small to work with"),
            None => Ok(()),
        }
    }

    /// The configuration as TOML.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("write the configuration as TOML")
    }

    /// What the store needs of it.
    pub(crate) fn store_options(&self) -> store::Options {
        store::Options {
            ledger_cache_bytes: self.store.ledger_cache_bytes,
            index_cache_bytes: self.store.index_cache_bytes,
            reserve_bytes: self.store.reserve_bytes,
            ..store::Options::new(&self.node.data)
        }
    }

    /// What the mempool needs of it.
    pub(crate) fn mempool_limits(&self) -> replica::mempool::Limits {
        replica::mempool::Limits {
            statements_max: self.mempool.statements_max,
            bytes_max: self.mempool.bytes_max,
            organisation_percent_max: self.mempool.organisation_percent_max,
            ..replica::mempool::Limits::default()
        }
    }

    /// How many connections may be open: of clients at all doors together, and to receivers of webhooks.
    pub(crate) fn connections_max(&self) -> usize {
        let grpc = if self.grpc.listen.is_some() { self.grpc.connections_max } else { 0 };
        self.http.connections_max.saturating_add(grpc).saturating_add(self.webhooks.endpoints_max)
    }

    /// What the doors need of it.
    pub(crate) fn api_options(&self) -> api::Options {
        api::Options {
            body_bytes_max: self.http.body_bytes_max,
            page_rows_max: self.http.page_rows_max,
            finality_wait_ms: self.http.finality_wait_ms,
            verifications_a_minute: self.http.verifications_a_minute,
            mismatches_an_invoice_and_day: self.http.mismatches_a_day,
            mismatches_an_organisation_and_day: self.http.mismatches_an_organisation_and_day,
            connections_max: self.http.connections_max,
            connections_an_address_max: self.http.connections_an_address_max,
            bodies_bytes_max: self.http.bodies_bytes_max,
            bodies_bytes_an_address_max: self.http.bodies_bytes_an_address_max,
            subscriptions_max: self.http.subscriptions_max,
            subscriptions_an_organisation_max: self.http.subscriptions_an_organisation_max,
            subscription_lag_events_max: self.http.subscription_lag_events_max,
            drain_ms: self.shutdown.drain_ms_max,
            // Three heartbeats without a block are too many.
            stall_ms: self.blocks.heartbeat_ms.saturating_mul(3),
            grpc: api::GrpcOptions {
                connections_max: self.grpc.connections_max,
                connections_an_address_max: self.grpc.connections_an_address_max,
                calls_a_connection_max: self.grpc.calls_a_connection_max,
                calls_an_organisation_max: self.grpc.calls_an_organisation_max,
                calls_a_second_max: self.grpc.calls_a_second_max,
                answers_bytes_max: self.grpc.answers_bytes_max,
                answers_bytes_an_organisation_max: self.grpc.answers_bytes_an_organisation_max,
                batch_max: self.grpc.batch_max,
                keep_alive_ms: self.grpc.keep_alive_ms,
            },
            // Read before, when it was validated.
            webhooks: self.webhooks.options().unwrap_or_default(),
            ..api::Options::default()
        }
    }

    /// What consensus needs of it.
    pub(crate) fn consensus_options(&self) -> consensus::Options {
        let ms = Duration::from_millis;
        let ConsensusConfig { interval_ms, propose_ms, missed_ms, vote_ms, more_each_round_ms } = self.consensus;
        let defaults = consensus::Options::default();
        let timeouts = consensus::Timeouts {
            propose: ms(propose_ms),
            missed: ms(missed_ms),
            prevote: ms(vote_ms),
            precommit: ms(vote_ms),
            more_each_round: ms(more_each_round_ms),
            ..defaults.timeouts
        };
        consensus::Options { name: self.node.id.clone(), timeouts, interval: ms(interval_ms), ..defaults }
    }

    /// Whether the node has others to agree with or to follow, as far as its configuration says.
    pub(crate) fn has_peers(&self) -> bool {
        self.peers.listen.is_some() || !self.peers.nodes.is_empty() || self.node.part == Part::Observer
    }

    /// The longest pause between blocks: while events are not under a published checkpoint, or not.
    pub(crate) const fn heartbeat(&self, uncovered: bool) -> Duration {
        Duration::from_millis(if uncovered { self.blocks.checkpoint_heartbeat_ms } else { self.blocks.heartbeat_ms })
    }
}
