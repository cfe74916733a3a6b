//! The gRPC doors of the nodes, and who of the consortium is connected to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainId, OrganisationId};
use client::{Client, Key, Login, Node, Options, Signer};
use workload::Consortium;
use workload::consortium::{LOGIN_KEY, STATEMENT_KEY};

use crate::commands::bench::Args;
use crate::commands::bench::rest::{Target, address};

/// For how long a login holds: longer than most runs, so that none is renewed in the midst of it. Seconds.
const TOKEN_S: u64 = 3_600;
/// For how long a stream is begun again and again: a limit of the node is to be seen soon.
const RESUME_MAX: Duration = Duration::from_secs(5);
/// For how long statements may be decided. Seconds.
const VALID_S: u64 = 23 * 60 * 60;

/// The doors.
pub(super) struct Doors {
    pub(super) consortium: Arc<Consortium>,
    pub(super) chain: ChainId,
    nodes: Vec<Node>,
    /// The first node's REST door, and the size of its log at the begin.
    first: (SocketAddr, u64),
    /// By node, then by platform in the order of the consortium.
    platforms: Vec<Vec<Client>>,
}

impl Doors {
    /// Connects every platform to every node.
    pub(super) async fn open(args: &Args, consortium: Arc<Consortium>) -> anyhow::Result<Self> {
        let (mut nodes, mut chain, mut first) = (Vec::new(), None, None);
        for (rest, grpc) in args.url.iter().zip(&args.grpc.grpc_url) {
            let target = Target::find(address(rest)?).await.with_context(|| format!("ask {rest}"))?;
            nodes.push(Node::new(grpc, &target.node));
            first.get_or_insert((target.address, target.log_size));
            chain.get_or_insert(target.chain);
        }
        let named = || anyhow!("find a node: none is named");
        let (chain, first) = (chain.ok_or_else(named)?, first.ok_or_else(named)?);
        let mut doors = Self { consortium, chain, nodes, first, platforms: Vec::new() };
        for node in 0..doors.nodes.len() {
            let mut connected = Vec::new();
            for platform in doors.consortium.platforms() {
                connected.push(doors.connect(platform.as_str(), node).await?);
            }
            doors.platforms.push(connected);
        }
        Ok(doors)
    }

    /// Connects somebody to a node; to the others when that one fails.
    pub(super) async fn connect(&self, organisation: &str, node: usize) -> anyhow::Result<Client> {
        let mut nodes = self.nodes.clone();
        nodes.rotate_left(node);
        let login = Login::Tokens(self.key(organisation, LOGIN_KEY)?);
        let options = Options { token_lifetime_s: TOKEN_S, resume_max: RESUME_MAX, ..Options::new(nodes, login) };
        Client::connect(options).await.with_context(|| format!("connect {organisation} over gRPC"))
    }

    /// Who signs as an organisation.
    pub(super) fn signer(&self, organisation: &OrganisationId) -> anyhow::Result<Signer> {
        let key = self.key(organisation.as_str(), STATEMENT_KEY)?;
        Ok(Signer::new(key, self.chain.clone()).with_lifetime_s(VALID_S))
    }

    fn key(&self, organisation: &str, id: &str) -> anyhow::Result<Key> {
        let secret = self.consortium.secret(organisation, id);
        Ok(Key { organisation: organisation.parse()?, id: id.parse()?, secret })
    }

    /// The connection of a call: nodes in turn, and at each of them platforms in turn.
    pub(super) fn any(&self, place: u64) -> Client {
        let (node, platform) = self.turn(place);
        self.platforms[node][platform].clone()
    }

    /// The connection of a call of a platform: nodes in turn.
    pub(super) fn of(&self, platform: usize, place: u64) -> Client {
        self.platforms[self.turn(place).0][platform].clone()
    }

    fn turn(&self, place: u64) -> (usize, usize) {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let nodes = self.platforms.len();
        (place % nodes, place / nodes % self.platforms[0].len())
    }

    /// How many leaves the log had at the begin.
    pub(super) fn log_before(&self) -> u64 {
        self.first.1
    }

    /// By how many leaves the log has grown since the begin.
    pub(super) async fn grown(&self) -> anyhow::Result<u64> {
        let (address, before) = self.first;
        Ok(Target::find(address).await?.log_size.saturating_sub(before))
    }
}
