//! The configuration file of a node, as `init` writes it: what differs from the defaults.

use std::fmt::Write as _;
use std::net::SocketAddr;

use chain::identity::OrganisationId;
use chain::key::PublicKey;

/// What stands in a `node.toml`.
#[derive(Debug, Default)]
pub(crate) struct NodeFile {
    /// The node's id.
    pub(crate) id: String,
    /// The genesis file, when it does not stand beside it.
    pub(crate) genesis: Option<&'static str>,
    /// Whether it has no vote and only follows.
    pub(crate) observer: bool,
    /// Where the REST door listens, when not where all do.
    pub(crate) http: Option<SocketAddr>,
    /// Where the gRPC door listens, if there is one.
    pub(crate) grpc: Option<SocketAddr>,
    /// Where other nodes call it.
    pub(crate) peers: Option<SocketAddr>,
    /// The nodes that it calls: whose they are, their address and peer key.
    pub(crate) nodes: Vec<(OrganisationId, String, PublicKey)>,
}

impl NodeFile {
    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let mut toml = "# What differs from the defaults; `einvoice config show` prints them all.\n".to_owned();
        // Writing to a text cannot fail.
        let _ = write!(toml, "[node]\nid = {:?}\n", self.id);
        if let Some(genesis) = self.genesis {
            let _ = writeln!(toml, "genesis = {genesis:?}");
        }
        if self.observer {
            toml.push_str("part = \"observer\"\n");
        }
        if let Some(http) = self.http {
            let _ = write!(toml, "\n[http]\nlisten = \"{http}\"\n");
        }
        if let Some(grpc) = self.grpc {
            let _ = write!(toml, "\n[grpc]\nlisten = \"{grpc}\"\n");
        }
        if let Some(peers) = self.peers {
            let _ = write!(toml, "\n[peers]\nlisten = \"{peers}\"\n");
        }
        for (organisation, address, key) in &self.nodes {
            let _ = write!(toml, "\n# {organisation}\n[[peers.nodes]]\naddress = {address:?}\nkey = \"{key}\"\n");
        }
        toml
    }
}
