//! `einvoice keys`: keys, each with the public file to hand out, and certificates of doors.

mod certificate;

use std::path::PathBuf;

use chain::identity::{KeyId, OrganisationId};
use clap::{Subcommand, ValueEnum};
use ledger::organisation::Purpose;
use serde::Serialize;

use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::{NamedKey, PublicFile};
use crate::output::{Output, Report};

/// Make keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its file is readable by its owner alone, and a file that is there is never overwritten.
    New(Args),
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

/// Makes keys.
pub(crate) fn run(command: Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::New(args) => new(args, output),
        Command::Certificate(args) => certificate::run(args, output),
    }
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
