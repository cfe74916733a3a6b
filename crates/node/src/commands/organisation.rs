//! `einvoice organisation`: events about organisations, their keys and mandates, signed like any other.
//!
//! Each command prints one statement whose events stand together: all are accepted, or all are refused. What is too much for
//! one event is cut into several, in the order of the file.

mod bulk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::introduction::{INTRODUCTION_BYTES_MAX, SignedIntroduction};
use chain::possession::Offer;
use chain::statement::Mode;
use clap::Subcommand;
use invoice::date::Date;
use invoice::taxpayer::TaxpayerId;
use ledger::event::{
    Addition, Admit, Event, GiveMandate, ROTATED_PURPOSES, Reinstate, ReinstatementReason, Rename, RevokeMandate,
    Rotate, SetRoles, Suspend, SuspensionReason, terms,
};
use ledger::organisation::{Custody, RegisteredName, Role, Scope};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sign::{Signing, sign};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::introductions::{self, taxpayer_kind};
use crate::keys::NamedKey;
use crate::output::Output;

/// How many bytes an offer may have.
const OFFER_BYTES_MAX: u64 = 4 * 1024;

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Organisations, their keys and mandates.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Admit organisations by the files that introduce them. For the tax bureau.
    Admit(AdmitArgs),
    /// Register enterprises without keys: a line of JSON for each, with id, name, `taxpayer_id` and perhaps
    /// `taxpayer_kind`. For the tax bureau.
    Register(RegisterArgs),
    /// Suspend an organisation. For the tax bureau.
    Suspend(SuspendArgs),
    /// Reinstate a suspended organisation. For the tax bureau.
    Reinstate(ReinstateArgs),
    /// Offer a key that an organisation is to have: prints what `rotate --offer` takes.
    Offer(OfferArgs),
    /// Add and revoke keys. For the organisation itself, and for the tax bureau when it lost them.
    Rotate(RotateArgs),
    /// Set what an organisation may be. For the tax bureau.
    Roles(RolesArgs),
    /// Write an organisation's new name or taxpayer id. For the tax bureau.
    Rename(RenameArgs),
    /// Let another organisation act for the enterprise that signs.
    Mandate(MandateArgs),
    /// End a mandate. For who gave it, who holds it, and the tax bureau.
    Revoke(RevokeArgs),
    /// Attest mandates that enterprises gave on paper: an enterprise's id on each line. For the tax bureau.
    Attest(AttestArgs),
}

/// Introductions.
#[derive(Debug, clap::Args)]
pub(crate) struct AdmitArgs {
    /// The introductions, or the directories of the organisations.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

/// Enterprises.
#[derive(Debug, clap::Args)]
pub(crate) struct RegisterArgs {
    /// The file; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

/// Who is suspended, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct SuspendArgs {
    /// The organisation.
    id: OrganisationId,
    /// Why: investigation, untraceable, not-filed, deregistered, court-order, keys-compromised or own-request.
    #[arg(long, value_parser = word::<SuspensionReason>)]
    reason: SuspensionReason,
    #[command(flatten)]
    signing: Signing,
}

/// Who is reinstated, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct ReinstateArgs {
    /// The organisation.
    id: OrganisationId,
    /// Why: resolved, error, court-order or own-request.
    #[arg(long, value_parser = word::<ReinstatementReason>)]
    reason: ReinstatementReason,
    #[command(flatten)]
    signing: Signing,
}

/// A key on offer.
#[derive(Debug, clap::Args)]
pub(crate) struct OfferArgs {
    /// The new key's own file, as `keys new` makes it.
    file: PathBuf,
    /// The agency whose node holds the key; the organisation itself when absent.
    #[arg(long, value_name = "AGENCY")]
    hosted_by: Option<OrganisationId>,
    /// The chain: `<name>@<genesis hash>`.
    #[arg(long)]
    chain: ChainId,
}

/// Which keys come and go.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    /// Whose keys; those of the organisation that signs when absent.
    #[arg(long, value_name = "ID")]
    organisation: Option<OrganisationId>,
    /// A new key's own file, as `keys new` makes it; several times for several keys.
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// A new key as its holder offers it (`organisation offer`); several times for several keys.
    #[arg(long, value_name = "FILE")]
    offer: Vec<PathBuf>,
    /// The id of a key that may sign no longer; several times for several keys.
    #[arg(long, value_name = "KEY")]
    revoke: Vec<KeyId>,
    #[command(flatten)]
    signing: Signing,
}

/// Who may be what.
#[derive(Debug, clap::Args)]
pub(crate) struct RolesArgs {
    /// The organisation.
    id: OrganisationId,
    /// service-provider, enterprise, reimbursement-platform, auditor, and of an agency agency; all that it is to have.
    #[arg(long = "role", required = true, value_name = "ROLE", value_parser = word::<Role>)]
    roles: Vec<Role>,
    #[command(flatten)]
    signing: Signing,
}

/// Who is called what.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// The organisation.
    id: OrganisationId,
    /// Its new registered name.
    #[arg(long, required_unless_present = "taxpayer_id")]
    name: Option<RegisteredName>,
    /// Its new taxpayer id.
    #[arg(long, value_name = "NUMBER")]
    taxpayer_id: Option<TaxpayerId>,
    #[command(flatten)]
    signing: Signing,
}

/// Who may do what.
#[derive(Debug, clap::Args)]
pub(crate) struct GivenArgs {
    /// Who may act.
    #[arg(long, value_name = "ID")]
    to: OrganisationId,
    /// issue, lock, file or read; several times for several scopes.
    #[arg(long = "scope", required = true, value_name = "SCOPE", value_parser = word::<Scope>)]
    scopes: Vec<Scope>,
    /// The last day on which it holds, YYYY-MM-DD in UTC+8; no end when absent.
    #[arg(long, value_name = "DAY")]
    until: Option<Date>,
}

impl GivenArgs {
    fn scopes(&self) -> BTreeSet<Scope> {
        self.scopes.iter().copied().collect()
    }

    fn expires_ms(&self) -> Option<i64> {
        self.until.map(|day| day.start_ms() + DAY_MS)
    }
}

/// A mandate.
#[derive(Debug, clap::Args)]
pub(crate) struct MandateArgs {
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    signing: Signing,
}

/// A mandate that ends.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// Who gave it.
    #[arg(long, value_name = "ID")]
    from: OrganisationId,
    /// Who may act under it.
    #[arg(long, value_name = "ID")]
    to: OrganisationId,
    #[command(flatten)]
    signing: Signing,
}

/// Mandates of many.
#[derive(Debug, clap::Args)]
pub(crate) struct AttestArgs {
    /// The enterprises, an id on each line; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    signing: Signing,
}

/// Reads a word of a closed list, as events spell it.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Forms the events, signs them, prints the statement.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    if let Command::Offer(OfferArgs { file, hosted_by, chain }) = command {
        let offered = offered(file, hosted_by.as_ref(), chain).or_exit(Exit::Usage)?;
        output.line(&serde_json::to_string(&offered).context("write the offer").or_exit(Exit::Unexpected)?)?;
        return Ok(Exit::Done);
    }
    let (events, signing) = formed(command);
    let events: Vec<String> = events.or_exit(Exit::Usage)?.iter().map(Event::to_json).collect();
    sign(signing, Mode::All, &events, output)
}

/// The events of a command, and with what they are signed.
fn formed(command: &Command) -> (anyhow::Result<Vec<Event>>, &Signing) {
    match command {
        Command::Admit(AdmitArgs { files, signing }) => (files.iter().map(|path| admit(path)).collect(), signing),
        Command::Register(RegisterArgs { file, signing }) => (bulk::register(file), signing),
        Command::Suspend(SuspendArgs { id, reason, signing }) => {
            (Ok(vec![Event::Suspend(Suspend { organisation: id.clone(), reason: *reason })]), signing)
        }
        Command::Reinstate(ReinstateArgs { id, reason, signing }) => {
            (Ok(vec![Event::Reinstate(Reinstate { organisation: id.clone(), reason: *reason })]), signing)
        }
        Command::Offer(_) => unreachable!("an offer is printed and not signed as a statement"),
        Command::Rotate(args) => (rotate(args), &args.signing),
        Command::Roles(RolesArgs { id, roles, signing }) => {
            let roles = roles.iter().copied().collect();
            (Ok(vec![Event::Roles(SetRoles { organisation: id.clone(), roles })]), signing)
        }
        Command::Rename(RenameArgs { id, name, taxpayer_id, signing }) => {
            let (name, taxpayer_id) = (name.clone(), taxpayer_id.clone());
            let taxpayer_kind = taxpayer_id.as_ref().map(taxpayer_kind);
            let rename = Rename { organisation: id.clone(), name, taxpayer_id, taxpayer_kind };
            (Ok(vec![Event::Rename(Box::new(rename))]), signing)
        }
        Command::Mandate(MandateArgs { given, signing }) => {
            let (to, scopes, expires_ms) = (given.to.clone(), given.scopes(), given.expires_ms());
            (Ok(vec![Event::Mandate(GiveMandate { to, scopes, expires_ms })]), signing)
        }
        Command::Revoke(RevokeArgs { from, to, signing }) => {
            (Ok(vec![Event::Revoke(RevokeMandate { from: from.clone(), to: to.clone() })]), signing)
        }
        Command::Attest(AttestArgs { file, given, signing }) => {
            (bulk::attest(file, &given.to, &given.scopes(), given.expires_ms()), signing)
        }
    }
}

/// The admission of an organisation, whose introduction holds.
fn admit(path: &Path) -> anyhow::Result<Event> {
    let introduced = introductions::read(path)?;
    let context = || format!("read the introduction {}", introduced.path.display());
    let limit = u64::try_from(INTRODUCTION_BYTES_MAX).unwrap_or(u64::MAX);
    let signed = SignedIntroduction::parse(&files::read(&introduced.path, limit)?).with_context(context)?;
    let admit = Admit::new(signed).map_err(|error| anyhow!(error)).with_context(context)?;
    Ok(Event::Admit(Box::new(admit)))
}

/// A key with its proof, from its own file.
fn offered(path: &Path, hosted_by: Option<&OrganisationId>, chain: &ChainId) -> anyhow::Result<Addition> {
    let named = NamedKey::load_one_of(path, &ROTATED_PURPOSES)?;
    let key = named.reference();
    let (purposes, custody) =
        (BTreeSet::from([named.purpose]), hosted_by.cloned().map_or(Custody::Own, Custody::HostedBy));
    let proof = Offer { chain, key: &key, terms: &terms(&purposes, &custody) }.sign(&named.secret);
    Ok(Addition { id: key.key, public: named.secret.public().into(), purposes, custody, proof })
}

/// A rotation of keys.
fn rotate(args: &RotateArgs) -> anyhow::Result<Vec<Event>> {
    let RotateArgs { organisation, add, offer, revoke, signing } = args;
    let organisation = match organisation {
        Some(organisation) => organisation.clone(),
        None => signing.organisation()?,
    };
    let mut additions = Vec::with_capacity(add.len() + offer.len());
    for path in add {
        additions.push(offered(path, None, signing.chain())?);
    }
    for path in offer {
        let bytes = files::read(path, OFFER_BYTES_MAX)?;
        let context = || format!("read the offer {}", path.display());
        additions.push(chain::json::from_slice::<Addition>(bytes.trim_ascii()).with_context(context)?);
    }
    Ok(vec![Event::Rotate(Box::new(Rotate { organisation, add: additions, revoke: revoke.clone() }))])
}
