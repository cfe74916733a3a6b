//! `einvoice keys`: keys, the public files to hand out, and certificates of doors.

mod certificate;

use std::collections::BTreeSet;
use std::path::PathBuf;

use chain::identity::{ChainId, KeyId, OrganisationId};
use clap::{Subcommand, ValueEnum};
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use ledger::organisation::{Key, Organisation, Purpose, Role};
use serde::Serialize;

use super::organisation::word;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::introductions::{self, About, Introduced};
use crate::keys::{NamedKey, PublicFile};
use crate::output::{Output, Report};

/// Make keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its file is readable by its owner alone, and a file that is there is never overwritten.
    New(Args),
    /// Make all keys of an agency that runs a validator, and the one public file that it hands out.
    Agency(AgencyArgs),
    /// Make the keys of any other organisation, and the one public file that it hands out.
    Member(MemberArgs),
    /// Make a key and a self-signed certificate for a REST door that is not loopback.
    Certificate(certificate::Args),
}

/// Make a key.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose key.
    #[arg(long)]
    organisation: OrganisationId,
    /// What it signs.
    #[arg(long, value_enum)]
    purpose: PurposeName,
    /// Its id within the organisation; the purpose and a 1 when absent.
    #[arg(long)]
    key_id: Option<KeyId>,
    /// Where its file goes; `<key id>.json` when absent. The public half goes beside it, as `.pub.json`.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Who an organisation is.
#[derive(Debug, clap::Args)]
pub(crate) struct WhoArgs {
    /// The organisation's directory, which gets `keys/` and the file to hand out; it must have neither yet.
    directory: PathBuf,
    /// The organisation's id, for ever.
    #[arg(long, value_name = "ID")]
    organisation: OrganisationId,
    /// Its registered name.
    #[arg(long)]
    name: String,
    /// Its taxpayer id.
    #[arg(long, value_name = "NUMBER")]
    taxpayer_id: TaxpayerId,
    /// As what that id is registered: uscc or other. Must be said when it looks like a unified social credit code and its
    /// check character is another.
    #[arg(long, value_name = "KIND", value_parser = word::<TaxpayerKind>)]
    taxpayer_kind: Option<TaxpayerKind>,
}

/// Make the keys of an agency.
#[derive(Debug, clap::Args)]
pub(crate) struct AgencyArgs {
    #[command(flatten)]
    who: WhoArgs,
    /// The voting power of its validator, as the agencies have agreed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    power: u64,
}

/// Make the keys of an organisation that runs no validator, and perhaps a node without a vote.
#[derive(Debug, clap::Args)]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    who: WhoArgs,
    /// What it may be; several times for several roles.
    #[arg(long = "role", value_enum, required = true, value_name = "ROLE")]
    roles: Vec<RoleName>,
    /// It runs a node without a vote: makes that node's peer and receipt key too.
    #[arg(long)]
    observer: bool,
    /// The chain that runs, onto which the tax bureau is to admit it: `<name>@<genesis hash>`. None for a genesis.
    #[arg(long)]
    chain: Option<ChainId>,
}

/// A role, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// An agency without a validator.
    Agency,
    /// Issues for sellers under their mandates.
    ServiceProvider,
    /// Sells, buys, holds.
    Enterprise,
    /// Locks and closes for enterprises under their mandates.
    ReimbursementPlatform,
    /// Reads everything and changes nothing.
    Auditor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Agency => Self::Agency,
            RoleName::ServiceProvider => Self::ServiceProvider,
            RoleName::Enterprise => Self::Enterprise,
            RoleName::ReimbursementPlatform => Self::ReimbursementPlatform,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

/// A purpose, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PurposeName {
    /// Statements.
    Statement,
    /// Login tokens.
    Login,
    /// Log checkpoints, after commit.
    Receipt,
    /// Genesis, and votes on rules and members.
    Governance,
    /// Votes of a validator.
    Consensus,
    /// The peer transport.
    Peer,
}

impl From<PurposeName> for Purpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Statement => Self::Statement,
            PurposeName::Login => Self::Login,
            PurposeName::Receipt => Self::Receipt,
            PurposeName::Governance => Self::Governance,
            PurposeName::Consensus => Self::Consensus,
            PurposeName::Peer => Self::Peer,
        }
    }
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    key: PublicFile,
    secret_file: PathBuf,
    public_file: PathBuf,
}

impl Report for Made {
    fn text(&self) -> String {
        format!(
            "key        {}/{} ({})\npublic     {}\nsecret in  {}\nhand out   {}",
            self.key.organisation,
            self.key.key_id,
            crate::keys::name(self.key.purpose),
            self.key.public,
            self.secret_file.display(),
            self.public_file.display()
        )
    }
}

/// An organisation's keys and the file that introduces it.
#[derive(Debug, Serialize)]
struct MadeAll {
    organisation: OrganisationId,
    keys: Vec<Key>,
    public_file: PathBuf,
    /// What it and whoever gets the file compare.
    fingerprint: String,
}

impl Report for MadeAll {
    fn text(&self) -> String {
        let key = |key: &Key| {
            let purposes: Vec<&str> = key.purposes.iter().map(|purpose| crate::keys::name(*purpose)).collect();
            format!("{:<11} {}", purposes.join("+"), key.public)
        };
        let keys = self.keys.iter().map(key).collect::<Vec<_>>().join("\n");
        format!(
            "{keys}\nhand out    {}\nfingerprint {}\nThe files under keys/ are for {} alone.",
            self.public_file.display(),
            self.fingerprint,
            self.organisation
        )
    }
}

/// Makes keys.
pub(crate) fn run(command: Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::New(args) => new(args, output),
        Command::Agency(AgencyArgs { who, power }) => {
            let about = about(who, [Role::Agency].into());
            introduce(about.map(|(directory, about)| (directory, About { power: Some(power), ..about })), output)
        }
        Command::Member(MemberArgs { who, roles, observer, chain }) => {
            let about = about(who, roles.into_iter().map(Role::from).collect());
            introduce(about.map(|(directory, about)| (directory, About { chain, observer, ..about })), output)
        }
        Command::Certificate(args) => certificate::run(args, output),
    }
}

/// Who is introduced, and where.
fn about(who: WhoArgs, roles: BTreeSet<Role>) -> anyhow::Result<(PathBuf, About)> {
    let WhoArgs { directory, organisation: id, name, taxpayer_id, taxpayer_kind } = who;
    let taxpayer_kind = introductions::registered_kind(&taxpayer_id, taxpayer_kind)?;
    Ok((directory, About { id, name, taxpayer_id, taxpayer_kind, chain: None, roles, power: None, observer: false }))
}

/// Makes the keys of an organisation.
fn introduce(about: anyhow::Result<(PathBuf, About)>, output: &Output) -> Result<Exit, Failure> {
    let (directory, about) = about.or_exit(Exit::Usage)?;
    let Introduced { path, fingerprint, introduction } =
        introductions::create(&directory, about).or_exit(Exit::Usage)?;
    let Organisation { id: organisation, keys, .. } = introduction.organisation;
    output.data(&MadeAll { organisation, keys, public_file: path, fingerprint })?;
    Ok(Exit::Done)
}

/// Makes a key.
fn new(args: Args, output: &Output) -> Result<Exit, Failure> {
    let purpose = Purpose::from(args.purpose);
    let key_id = match args.key_id {
        Some(key_id) => key_id,
        None => format!("{}-1", crate::keys::name(purpose)).parse().or_exit(Exit::Unexpected)?,
    };
    let secret_file = args.out.unwrap_or_else(|| format!("{key_id}.json").into());
    if let Some(directory) = secret_file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        files::directory(directory)?;
    }
    let key = NamedKey::generate(args.organisation, key_id, purpose)?;
    let public_file = key.create(&secret_file).or_exit(Exit::Usage)?;
    output.data(&Made { key: key.public(), secret_file, public_file })?;
    Ok(Exit::Done)
}
