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
use chain::jws::KeyReference;
use chain::possession::{Change, Offer};
use chain::statement::Mode;
use clap::Subcommand;
use invoice::date::Date;
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use ledger::admission::{Parsed, Rejection};
use ledger::event::{
    Addition, Admit, Event, GiveMandate, ROTATED_PURPOSES, Reinstate, ReinstatementReason, Rename, RevokeMandate,
    Rotate, SetRoles, Suspend, SuspensionReason, terms,
};
use ledger::organisation::{Custody, Purpose, RegisteredName, Role, Scope};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sign::{Signing, print, statement};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::introductions;
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
    /// Form a change of keys of an agency with a seat, approved with its governance key: prints the event for another
    /// agency to `sign`, when the agency has lost its statement keys.
    Approve(ApproveArgs),
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
    /// They are auditors that run nodes without a vote, which are sent every block.
    #[arg(long)]
    observer: bool,
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
    /// The agency whose node holds the keys of `--add`; the organisation itself when absent.
    #[arg(long, value_name = "AGENCY", requires = "add")]
    hosted_by: Option<OrganisationId>,
    /// The governance key of an agency with a seat, which approves the change of its keys.
    #[arg(long, value_name = "FILE")]
    governance: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

/// A change of keys of an agency with a seat, for another agency to sign and send.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The governance key of the agency.
    #[arg(long, value_name = "FILE")]
    governance: PathBuf,
    /// A new key's own file, as `keys new` makes it; several times for several keys.
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// The id of a key that may sign no longer; several times for several keys.
    #[arg(long, value_name = "KEY")]
    revoke: Vec<KeyId>,
    /// The chain: `<name>@<genesis hash>`.
    #[arg(long)]
    chain: ChainId,
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
    /// As what that id is registered: uscc or other. Must be said when it looks like a unified social credit code and its
    /// check character is another.
    #[arg(long, value_name = "KIND", requires = "taxpayer_id", value_parser = word::<TaxpayerKind>)]
    taxpayer_kind: Option<TaxpayerKind>,
    /// The old taxpayer id never was its own: it is released, and free for its owner.
    #[arg(long, requires = "taxpayer_id")]
    in_error: bool,
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
pub(crate) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Forms the events, signs them, prints the statement.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    if let Command::Offer(OfferArgs { file, hosted_by, chain }) = command {
        let offered = offered(file, hosted_by.as_ref(), chain).or_exit(Exit::Usage)?;
        output.line(&serde_json::to_string(&offered).context("write the offer").or_exit(Exit::Unexpected)?)?;
        return Ok(Exit::Done);
    }
    if let Command::Approve(ApproveArgs { governance, add, revoke, chain }) = command {
        let rotate = approved(governance, add, revoke, chain).or_exit(Exit::Usage)?;
        output.line(&Event::Rotate(Box::new(rotate)).to_json())?;
        return Ok(Exit::Done);
    }
    let (events, signing) = formed(command);
    let events: Vec<String> = events.or_exit(Exit::Usage)?.iter().map(Event::to_json).collect();
    let statement = statement(signing, Mode::All, &events)?;
    // Whatever a node would say of it unasked is said here, before it goes anywhere.
    match Parsed::of(statement.clone()) {
        Ok(_) => print(&statement, output),
        Err(Rejection { path, expected, found, .. }) => Err(anyhow!("at {path}: expected {expected}, found {found}"))
            .context("make a statement of it")
            .or_exit(Exit::Usage),
    }
}

/// The events of a command, and with what they are signed.
fn formed(command: &Command) -> (anyhow::Result<Vec<Event>>, &Signing) {
    match command {
        Command::Admit(AdmitArgs { files, observer, signing }) => {
            (files.iter().map(|path| admit(path, *observer)).collect(), signing)
        }
        Command::Register(RegisterArgs { file, signing }) => (bulk::register(file), signing),
        Command::Suspend(SuspendArgs { id, reason, signing }) => {
            (Ok(vec![Event::Suspend(Suspend { organisation: id.clone(), reason: *reason })]), signing)
        }
        Command::Reinstate(ReinstateArgs { id, reason, signing }) => {
            (Ok(vec![Event::Reinstate(Reinstate { organisation: id.clone(), reason: *reason })]), signing)
        }
        Command::Offer(_) | Command::Approve(_) => unreachable!("it is printed and not signed as a statement"),
        Command::Rotate(args) => (rotate(args), &args.signing),
        Command::Roles(RolesArgs { id, roles, signing }) => {
            let roles = roles.iter().copied().collect();
            (Ok(vec![Event::Roles(SetRoles { organisation: id.clone(), roles })]), signing)
        }
        Command::Rename(args) => (rename(args), &args.signing),
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
fn admit(path: &Path, observer: bool) -> anyhow::Result<Event> {
    let introduced = introductions::read(path)?;
    let context = || format!("read the introduction {}", introduced.path.display());
    let limit = u64::try_from(INTRODUCTION_BYTES_MAX).unwrap_or(u64::MAX);
    let signed = SignedIntroduction::parse(&files::read(&introduced.path, limit)?).with_context(context)?;
    let admit = Admit::new(signed).map_err(|error| anyhow!(error)).with_context(context)?;
    Ok(Event::Admit(Box::new(if observer { admit.observing() } else { admit })))
}

/// Another name or taxpayer id.
fn rename(args: &RenameArgs) -> anyhow::Result<Vec<Event>> {
    let RenameArgs { id, name, taxpayer_id, taxpayer_kind, in_error, .. } = args;
    let kind = taxpayer_id.as_ref().map(|taxpayer| introductions::registered_kind(taxpayer, *taxpayer_kind));
    let rename = Rename {
        organisation: id.clone(),
        name: name.clone(),
        taxpayer_id: taxpayer_id.clone(),
        taxpayer_kind: kind.transpose()?,
        in_error: *in_error,
    };
    Ok(vec![Event::Rename(Box::new(rename))])
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

/// A new key of an organisation, from its own file.
fn own(
    path: &Path,
    of: &OrganisationId,
    hosted_by: Option<&OrganisationId>,
    chain: &ChainId,
) -> anyhow::Result<Addition> {
    let named = NamedKey::load_one_of(path, &ROTATED_PURPOSES)?;
    if named.organisation != *of {
        return Err(anyhow!("{} holds a key of {}, and not of {of}", path.display(), named.organisation));
    }
    offered(path, hosted_by, chain)
}

/// A rotation of keys.
fn rotate(args: &RotateArgs) -> anyhow::Result<Vec<Event>> {
    let RotateArgs { organisation, add, offer, revoke, hosted_by, governance, signing } = args;
    let organisation = match organisation {
        Some(organisation) => organisation.clone(),
        None => signing.organisation()?,
    };
    let mut additions = Vec::with_capacity(add.len() + offer.len());
    for path in add {
        additions.push(own(path, &organisation, hosted_by.as_ref(), signing.chain())?);
    }
    for path in offer {
        let bytes = files::read(path, OFFER_BYTES_MAX)?;
        let context = || format!("read the offer {}", path.display());
        let addition = chain::json::from_slice::<Addition>(bytes.trim_ascii()).with_context(context)?;
        check_offer(&addition, &organisation, signing.chain()).with_context(context)?;
        additions.push(addition);
    }
    let rotate = Rotate { organisation, add: additions, revoke: revoke.clone(), approval: None };
    let rotate = match governance {
        Some(governance) => approve(rotate, &NamedKey::load(governance, Purpose::Governance)?, signing.chain())?,
        None => rotate,
    };
    Ok(vec![Event::Rotate(Box::new(rotate))])
}

/// A key is offered for this organisation on this chain, or the ledger will not have it.
fn check_offer(addition: &Addition, of: &OrganisationId, chain: &ChainId) -> anyhow::Result<()> {
    let Addition { id, public, purposes, custody, proof } = addition;
    let key = KeyReference { organisation: of.clone(), key: id.clone() };
    let public = public.admit().context("read its public key")?;
    let offer = Offer { chain, key: &key, terms: &terms(purposes, custody) };
    offer.verify(&public, proof).with_context(|| format!("it is no offer of {key} on {chain}"))
}

/// A change of keys that another agency is to send.
fn approved(governance: &Path, add: &[PathBuf], revoke: &[KeyId], chain: &ChainId) -> anyhow::Result<Rotate> {
    let governance = NamedKey::load(governance, Purpose::Governance)?;
    let organisation = governance.organisation.clone();
    let add = add.iter().map(|path| own(path, &organisation, None, chain)).collect::<anyhow::Result<_>>()?;
    approve(Rotate { organisation, add, revoke: revoke.to_vec(), approval: None }, &governance, chain)
}

/// Signs a change with the governance key of the organisation.
fn approve(rotate: Rotate, governance: &NamedKey, chain: &ChainId) -> anyhow::Result<Rotate> {
    if governance.organisation != rotate.organisation {
        let (found, expected) = (&governance.organisation, &rotate.organisation);
        return Err(anyhow!("the governance key is of {found}, and not of {expected}"));
    }
    let steps = rotate.steps();
    let change = Change { chain, organisation: &rotate.organisation, steps: &steps };
    let approval = Some(change.sign(&governance.secret));
    Ok(Rotate { approval, ..rotate })
}
