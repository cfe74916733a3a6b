//! The configuration file of a node, as `init` writes it: what differs from the defaults.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chain::identity::OrganisationId;
use chain::key::PublicKey;

/// Certificate and key of a door.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// The certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
}

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
    /// Certificate and key of the REST door.
    pub(crate) http_tls: Option<TlsFiles>,
    /// Where the gRPC door listens, if there is one.
    pub(crate) grpc: Option<SocketAddr>,
    /// Certificate and key of the gRPC door.
    pub(crate) grpc_tls: Option<TlsFiles>,
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
        for (name, listen, tls) in [("http", self.http, &self.http_tls), ("grpc", self.grpc, &self.grpc_tls)] {
            toml.push_str(&door(name, listen, tls.as_ref()));
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

/// The table of a door; nothing when all is as by default.
fn door(name: &str, listen: Option<SocketAddr>, tls: Option<&TlsFiles>) -> String {
    let path = |path: &Path| toml::Value::from(path.display().to_string());
    let listen = listen.map(|listen| format!("listen = \"{listen}\"\n"));
    let tls = tls.map(|TlsFiles { certificate, key }| {
        format!("tls-certificate = {}\ntls-key = {}\n", path(certificate), path(key))
    });
    if listen.is_none() && tls.is_none() {
        return String::new();
    }
    format!("\n[{name}]\n{}{}", listen.unwrap_or_default(), tls.unwrap_or_default())
}
