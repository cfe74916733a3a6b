//! `einvoice init --genesis`: the node of an agency, or one without a vote of any other organisation, from its own keys
//! and the genesis that all agencies have signed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use chain::key::PublicKey;
use ledger::genesis::LedgerGenesis;
use ledger::introduction::Introduction;
use ledger::organisation::Purpose;
use serde::Serialize;

use super::Args;
use crate::commands::genesis::sign::must_hold;
use crate::config::{Config, KeysConfig};
use crate::copies;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files::{self, Staging};
use crate::introductions;
use crate::keys::NamedKey;
use crate::node_file::{NodeFile, TlsFiles};
use crate::output::{Output, Report};
use crate::service::parts::tls;

/// Where an agency's node is called.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    organisation: OrganisationId,
    address: String,
}

/// Reads `ID=HOST:PORT`.
pub(super) fn peer(text: &str) -> Result<Peer, String> {
    let expected = || "expected ID=HOST:PORT".to_owned();
    let (id, address) = text.split_once('=').ok_or_else(expected)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(expected)?;
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) || port.parse::<u16>().is_err() {
        return Err(expected());
    }
    let organisation = id.parse().map_err(|error| format!("{id}: {error}"))?;
    Ok(Peer { organisation, address: address.to_owned() })
}

/// What was made.
#[derive(Debug, Serialize)]
struct Seated {
    directory: PathBuf,
    configuration: PathBuf,
    genesis: PathBuf,
    chain: String,
    node: String,
    /// The agencies whose nodes it calls.
    calls: Vec<OrganisationId>,
    /// The other agencies, which have to call it; nobody calls a node without a vote.
    waits_for: Vec<OrganisationId>,
    /// Whether it has a vote.
    votes: bool,
}

impl Report for Seated {
    fn text(&self) -> String {
        let listed = |ids: &[OrganisationId]| match ids {
            [] => "nobody".to_owned(),
            ids => ids.iter().map(OrganisationId::as_str).collect::<Vec<_>>().join(", "),
        };
        let called_by = match &self.waits_for[..] {
            [] => String::new(),
            others => format!("to be called by {}, whose configurations must name it\n", listed(others)),
        };
        format!(
            "chain          {}\nnode           {}, {}\ngenesis        {}\nconfiguration  {}\ncalls          {}\n{}\
             start it with  einvoice start --config {}",
            self.chain,
            self.node,
            if self.votes { "which votes" } else { "which follows" },
            self.genesis.display(),
            self.configuration.display(),
            listed(&self.calls),
            called_by,
            files::quoted(&self.configuration)
        )
    }
}

/// Makes the node.
pub(super) fn run(args: &Args, genesis: &Path, output: &Output) -> Result<Exit, Failure> {
    let directory = &args.directory;
    let seated = seat(args, genesis).with_context(|| format!("make a node in {}", directory.display()));
    output.data(&seated.or_exit(Exit::Usage)?)?;
    Ok(Exit::Done)
}

fn seat(args: &Args, genesis: &Path) -> anyhow::Result<Seated> {
    let directory = &args.directory;
    let mut genesis = copies::read_genesis(genesis)?;
    let introduction = introductions::read(&introductions::in_directory(directory))?.introduction;
    must_hold(&genesis, &introduction)?;
    let own = &introduction.organisation.id;
    let votes = introduction.power.is_some();
    if !votes && !introduction.observes() {
        bail!("{own} introduced no keys of a node: `keys member --observer` makes them");
    }
    must_have_keys(directory, &introduction)?;
    let node = args.node_id.clone().unwrap_or_else(|| format!("{own}-1"));
    let ledger = LedgerGenesis::read(&genesis)?;
    let mut nodes: Vec<(OrganisationId, String, PublicKey)> = Vec::new();
    for Peer { organisation, address } in args.peers.iter().filter(|peer| peer.organisation != *own) {
        if nodes.iter().any(|(known, ..)| known == organisation) {
            bail!("--peer names {organisation} twice");
        }
        nodes.push((organisation.clone(), address.clone(), peer_key(&ledger, organisation)?));
    }
    let calls: Vec<_> = nodes.iter().map(|(organisation, ..)| organisation.clone()).collect();
    if !votes && calls.is_empty() {
        bail!("nobody calls a node without a vote: name those that it calls with --peer");
    }
    let waits_for = others(&genesis, own).filter(|other| votes && !calls.contains(other)).cloned().collect();
    let http_tls = door_tls(directory, args.tls_certificate.as_deref(), args.tls_key.as_deref())?;
    let grpc_tls = door_tls(directory, args.grpc_tls_certificate.as_deref(), args.grpc_tls_key.as_deref())?;
    let file = NodeFile {
        id: node.clone(),
        observer: !votes,
        http: args.listen,
        grpc: args.grpc_listen,
        grpc_tls: grpc_tls.or_else(|| http_tls.clone()).filter(|_| args.grpc_listen.is_some()),
        http_tls,
        peers: args.peer_listen,
        nodes,
        ..NodeFile::default()
    };
    let staging = Staging::begin(directory)?;
    let staged = staging.path().join("node.toml");
    files::create_public(&staged, file.text().as_bytes())?;
    Config::load(Some(&staged), [], &[])?;
    let place = directory.join("genesis.json");
    copies::write(&mut genesis, &place)?;
    staging.publish(&["node.toml"])?;
    Ok(Seated {
        directory: directory.clone(),
        configuration: directory.join("node.toml"),
        genesis: place,
        chain: genesis.chain_id().to_string(),
        node,
        calls,
        waits_for,
        votes,
    })
}

/// Certificate and key of a door, tried, as the configuration in a directory is to name them.
fn door_tls(directory: &Path, certificate: Option<&Path>, key: Option<&Path>) -> anyhow::Result<Option<TlsFiles>> {
    let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
    let context = || format!("use {} with {}", certificate.display(), key.display());
    if let Some(tls) = tls(Some(certificate), Some(key))? {
        tls.check().with_context(context)?;
    }
    // A file below the directory moves with it; any other stays where it is. By the name that was given, and not by what
    // it links to: whoever renews certificates changes links.
    let home = directory.canonicalize().with_context(|| format!("find {}", directory.display()))?;
    let named = |path: &Path| -> anyhow::Result<PathBuf> {
        let path = std::path::absolute(path).with_context(context)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path) };
        let place = parent.canonicalize().with_context(context)?.join(name);
        Ok(place.strip_prefix(&home).map(Path::to_owned).unwrap_or(place))
    };
    Ok(Some(TlsFiles { certificate: named(certificate)?, key: named(key)? }))
}

fn others<'a>(genesis: &'a Genesis, own: &'a OrganisationId) -> impl Iterator<Item = &'a OrganisationId> {
    let validators = genesis.body().validators.iter().map(|validator| &validator.organisation);
    validators.filter(move |organisation| *organisation != own)
}

/// Refuses a directory without the keys that a node needs, where it will look for them.
fn must_have_keys(directory: &Path, introduction: &Introduction) -> anyhow::Result<()> {
    let KeysConfig { consensus, receipt, peer, .. } = KeysConfig::default();
    let needed = [(consensus, Purpose::Consensus), (receipt, Purpose::Receipt), (peer, Purpose::Peer)];
    let votes = introduction.power.is_some();
    for (path, purpose) in needed.into_iter().filter(|(_, purpose)| votes || *purpose != Purpose::Consensus) {
        let path = directory.join(path);
        let key = NamedKey::load(&path, purpose)?;
        let public = key.secret.public().into();
        if !introduction.organisation.keys.iter().any(|listed| listed.public == public) {
            return Err(anyhow!("{} is no key that {} introduced", path.display(), introduction.organisation.id));
        }
    }
    Ok(())
}

/// The peer key that a genesis lists for an organisation.
fn peer_key(ledger: &LedgerGenesis, id: &OrganisationId) -> anyhow::Result<PublicKey> {
    let organisation = ledger.organisations.iter().find(|organisation| organisation.id == *id);
    let organisation = organisation.with_context(|| format!("--peer names {id}, which is not in this genesis"))?;
    let key = organisation.keys.iter().find(|key| key.active && key.purposes.contains(&Purpose::Peer));
    let key = key.with_context(|| format!("--peer names {id}, which has no peer key in this genesis"))?;
    key.public.point().with_context(|| format!("read the peer key of {id}"))
}
