//! `einvoice segment` and `einvoice offline`: invoices issued while every node is out of reach.
//!
//! The tax bureau grants a segment beforehand and sends the receipt of that along. Cut off, the holder signs a certificate
//! for a document and a number of it; buyer and holder both have the file with the two, which is the very event that the
//! holder submits later: `einvoice sign` makes a statement of it. The buyer verifies it at once against the receipt and a
//! genesis, without any node.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::statement::Mode;
use clap::Subcommand;
use invoice::id::InvoiceId;
use invoice::rules::Rules;
use ledger::contingency::{Granted, NumberingKind, OfflineCertificate, OfflineClaims};
use ledger::event::{Event, OfflineIssue, SegmentClose, SegmentGrant};
use ledger::genesis::LedgerGenesis;
use ledger::organisation::Purpose;
use serde::Serialize;

use super::books::named;
use super::receipt;
use super::red::{FILE_BYTES_MAX, read_document};
use super::sign::{Signing, sign};
use super::verify::genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::NamedKey;
use crate::output::{Output, Report};

/// Segments of numbers.
#[derive(Debug, Subcommand)]
pub(crate) enum SegmentCommand {
    /// Grant a seller or a service provider a segment; the statement goes to stdout, for `submit`. For the tax bureau.
    Grant(GrantArgs),
    /// Close a segment, and declare the numbers that no invoice has as gaps; the statement goes to stdout.
    Close(CloseArgs),
}

/// A segment.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantArgs {
    /// Who issues from it.
    to: OrganisationId,
    /// With which of its keys for statements it signs offline.
    #[arg(long)]
    signs_with: KeyId,
    /// blockchain or digital.
    #[arg(long, value_parser = named::<NumberingKind>)]
    numbering: NumberingKind,
    /// How many numbers: 1 to 1,000.
    #[arg(long)]
    count: u32,
    /// Until when it may issue offline: `2026-12-31T16:00:00.000Z`, at most 366 days ahead.
    #[arg(long, value_parser = time)]
    until: i64,
    /// Within how many hours after that an invoice must be submitted: 1 to 168.
    #[arg(long)]
    deadline_hours: u16,
    #[command(flatten)]
    signing: Signing,
}

/// The end of a segment.
#[derive(Debug, clap::Args)]
pub(crate) struct CloseArgs {
    /// The segment, by its first number.
    segment: InvoiceId,
    #[command(flatten)]
    signing: Signing,
}

/// Invoices issued offline.
#[derive(Debug, Subcommand)]
pub(crate) enum OfflineCommand {
    /// Sign the certificate of an invoice with a number of a segment, without any node; certificate and document go to stdout,
    /// for the buyer, and later for `sign` and `submit`.
    Issue(IssueArgs),
    /// Verify an invoice that was issued offline, without any node: against the receipt of its segment and a genesis.
    Verify(VerifyArgs),
}

/// An invoice to be issued offline.
#[derive(Debug, clap::Args)]
pub(crate) struct IssueArgs {
    /// The document; `-` is stdin.
    document: PathBuf,
    /// The invoice's number: one of the segment that has no invoice yet. Keeping count is the holder's.
    #[arg(long)]
    number: InvoiceId,
    /// The key that the segment was granted for.
    #[arg(long)]
    key: PathBuf,
    /// When it is issued, `2026-12-31T16:00:00.000Z`; now when absent.
    #[arg(long, value_parser = time)]
    at: Option<i64>,
    #[command(flatten)]
    grant: receipt::Args,
}

/// An invoice that was issued offline.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// What `offline issue` printed; `-` is stdin.
    #[arg(value_name = "INVOICE")]
    event: PathBuf,
    #[command(flatten)]
    grant: receipt::Args,
}

/// What an offline certificate proves.
#[derive(Debug, Serialize)]
struct Proven {
    status: &'static str,
    invoice: String,
    issuer: String,
    seller: String,
    gross: String,
    issued_at: String,
    /// Until when it must be on the ledger: ask a node then.
    submit_by: String,
    /// What only a node can say.
    unproven: [String; 3],
}

impl Report for Proven {
    fn text(&self) -> String {
        [
            format!("status      {}", self.status),
            format!("invoice     {}", self.invoice),
            format!("issuer      {}", self.issuer),
            format!("seller      {}", self.seller),
            format!("gross       {}", self.gross),
            format!("issued at   {}, as its issuer says", self.issued_at),
            format!("submit by   {}: on the ledger by then, or ask", self.submit_by),
            format!("not proven  {}: a node can say", self.unproven.join("; ")),
        ]
        .join("\n")
    }
}

fn time(text: &str) -> Result<i64, String> {
    api::parse_ms(text).ok_or_else(|| format!("expected a time such as 2026-12-31T16:00:00.000Z, found {text:?}"))
}

/// Grants or closes a segment.
pub(crate) fn segment(command: &SegmentCommand, output: &Output) -> Result<Exit, Failure> {
    let (event, signing) = match command {
        SegmentCommand::Grant(args) => {
            let grant = SegmentGrant {
                to: args.to.clone(),
                key: args.signs_with.clone(),
                numbering: args.numbering,
                count: args.count,
                valid_until_ms: args.until,
                deadline_hours: args.deadline_hours,
            };
            (Event::SegmentGrant(grant), &args.signing)
        }
        SegmentCommand::Close(args) => (Event::SegmentClose(SegmentClose { segment: args.segment }), &args.signing),
    };
    // Held against the limits of the event's own reader before it is signed.
    let json = event.to_json();
    serde_json::from_str::<Event>(&json).context("form the event").or_exit(Exit::Usage)?;
    sign(signing, Mode::All, &[json], output)
}

/// Issues an invoice offline, or verifies one.
pub(crate) fn offline(command: &OfflineCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        OfflineCommand::Issue(args) => issue(args, output),
        OfflineCommand::Verify(args) => verify(args, output),
    }
}

fn issue(args: &IssueArgs, output: &Output) -> Result<Exit, Failure> {
    let (chain, rules, granted) = granted(&args.grant)?;
    let document = read_document(&args.document).or_exit(Exit::Usage)?;
    let key = NamedKey::load(&args.key, Purpose::Statement).or_exit(Exit::Usage)?;
    let issued_ms = args.at.map_or_else(now_ms, Ok)?;
    let submit_by_ms = granted.submit_by_ms(issued_ms);
    let claims = OfflineClaims::new(&document, granted.first, args.number, issued_ms, submit_by_ms);
    let certificate = OfflineCertificate::sign(key.reference(), chain.clone(), claims, &key.secret);
    // What a buyer would find, and the ledger would refuse, is found here first.
    let verified = granted.verify(&chain, &rules, &document, &certificate, now_ms()?);
    verified.context("issue it from this segment").or_exit(Exit::Usage)?;
    output.line(&Event::OfflineIssue(Box::new(OfflineIssue { document, certificate })).to_json())?;
    Ok(Exit::Done)
}

fn verify(args: &VerifyArgs, output: &Output) -> Result<Exit, Failure> {
    let (chain, rules, granted) = granted(&args.grant)?;
    let issued = read_event(&args.event).or_exit(Exit::Usage)?;
    granted
        .verify(&chain, &rules, &issued.document, &issued.certificate, now_ms()?)
        .with_context(|| format!("verify {}", args.event.display()))
        .or_exit(Exit::Findings)?;
    let claims = issued.certificate.claims();
    let issuer = &issued.certificate.signed().key().organisation;
    output.data(&Proven {
        status: "verified",
        invoice: claims.invoice.to_string(),
        issuer: issued.certificate.signed().key().to_string(),
        seller: claims.seller.to_string(),
        gross: claims.gross.to_string(),
        issued_at: api::format_ms(claims.issued_ms),
        submit_by: api::format_ms(claims.submit_by_ms),
        unproven: [
            format!("that {issuer} may issue for {}", claims.seller),
            format!("that {} has no other invoice", claims.invoice),
            "that the key was not revoked since".to_owned(),
        ],
    })?;
    Ok(Exit::Done)
}

/// The segment that a receipt proves to be granted on the chain of a genesis, and the genesis's rules for documents.
fn granted(args: &receipt::Args) -> Result<(ChainId, Rules, Granted), Failure> {
    let (chain, record) = receipt::record(args)?;
    let granted = Granted::of(&record)
        .with_context(|| format!("{} is not the receipt of a segment's grant", args.receipt.display()))
        .or_exit(Exit::Usage)?;
    let genesis = LedgerGenesis::read(&genesis(&args.genesis)?).context("read the genesis").or_exit(Exit::Usage)?;
    Ok((chain, genesis.parameters.rules, granted))
}

fn read_event(path: &Path) -> anyhow::Result<OfflineIssue> {
    let context = || format!("read the invoice in {}", path.display());
    let bytes = files::read(path, FILE_BYTES_MAX)?;
    let event: Event = chain::json::from_slice(bytes.trim_ascii()).with_context(context)?;
    let Event::OfflineIssue(issue) = event else {
        bail!("{} is not what `offline issue` printed", path.display());
    };
    Ok(*issue)
}

fn now_ms() -> Result<i64, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock").or_exit(Exit::Unexpected)?;
    i64::try_from(since.as_millis()).context("read the clock").or_exit(Exit::Unexpected)
}
