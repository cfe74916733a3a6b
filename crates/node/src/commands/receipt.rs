//! `einvoice receipt verify`: one event, offline, against a genesis.

use std::path::PathBuf;

use anyhow::Context as _;
use chain::identity::ChainId;
use chain::receipt::{RECEIPT_BYTES_MAX, Receipt, Verified};
use clap::Subcommand;
use ledger::outcome::{ACCEPTED, Record};
use serde::Serialize;

use crate::commands::verify::genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::{Output, Report};

/// Verify receipts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify a receipt: the event is final on the chain of this genesis.
    Verify(Args),
}

/// Verify a receipt.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The receipt; `-` is stdin.
    pub(crate) receipt: PathBuf,
    /// The genesis, from a source other than the receipt's.
    #[arg(long)]
    pub(crate) genesis: PathBuf,
}

/// What a receipt proves.
#[derive(Debug, Serialize)]
pub(crate) struct Proven {
    status: &'static str,
    chain: String,
    /// What became of the event.
    code: String,
    /// What it is about.
    subject: String,
    statement: String,
    event: u32,
    pub(crate) leaf_index: u64,
    pub(crate) leaf_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    check_code: Option<String>,
    pub(crate) height: u64,
    pub(crate) time: String,
    /// What execution added.
    record: Record,
}

impl Report for Proven {
    fn text(&self) -> String {
        let mut lines = vec![
            format!("status      {}", self.status),
            format!("chain       {}", self.chain),
            format!("outcome     {}", self.code),
            format!("subject     {}", self.subject),
            format!("statement   {}, event {}", self.statement, self.event),
            format!("leaf        {} {}", self.leaf_index, self.leaf_hash),
        ];
        if let Some(check_code) = &self.check_code {
            lines.push(format!("check code  {check_code}"));
        }
        lines.push(format!("final at    height {}, {}", self.height, self.time));
        lines.join("\n")
    }
}

/// Why a receipt proves nothing.
#[derive(Debug, Serialize)]
struct Unproven {
    status: &'static str,
    finding: String,
}

impl Report for Unproven {
    fn text(&self) -> String {
        format!("status      {}\nfinding     {}", self.status, self.finding)
    }
}

/// Verifies, and prints what is proven, or why nothing is.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    let Command::Verify(args) = command;
    match verify(args) {
        Ok(proven) => {
            output.data(&proven)?;
            Ok(Exit::Done)
        }
        Err(failure) => {
            // What is wrong with a receipt is what was asked for, so it is data like what is right with one.
            if failure.exit() == Exit::Findings {
                output.data(&Unproven { status: "findings", finding: failure.to_string() })?;
            }
            Err(failure)
        }
    }
}

/// What a receipt has proven of an accepted event, and on which chain; one that proves nothing is a finding.
pub(crate) fn record(args: &Args) -> Result<(ChainId, Record), Failure> {
    let (chain, _, record) = open(args)?;
    Ok((chain, record))
}

/// Verifies a receipt; one that proves nothing is a finding.
pub(crate) fn verify(args: &Args) -> Result<Proven, Failure> {
    let (chain, verified, record) = open(args)?;
    let leaf_hash = verified.leaf.hash();
    // Only the blockchain profile has check codes, and only for what was issued.
    let has_check_code = matches!(
        &record,
        Record::Issued { invoice: invoice::InvoiceId::Blockchain { .. }, .. }
            | Record::IssuedOffline { invoice: invoice::InvoiceId::Blockchain { .. }, .. }
            | Record::RedIssued { invoice: invoice::InvoiceId::Blockchain { .. }, .. }
    );
    let check_code =
        (has_check_code && verified.leaf.code == ACCEPTED).then(|| invoice::check_code(leaf_hash.as_bytes()));
    Ok(Proven {
        status: "verified",
        chain: chain.to_string(),
        code: verified.leaf.code.clone(),
        subject: verified.leaf.subject.clone(),
        statement: verified.leaf.statement.to_string(),
        event: verified.leaf.event,
        leaf_index: verified.leaf_index,
        leaf_hash: leaf_hash.to_string(),
        check_code,
        height: verified.leaf.height,
        time: api::format_ms(verified.time_ms),
        record,
    })
}

/// Verifies a receipt, and reads the record in it.
fn open(args: &Args) -> Result<(ChainId, Verified, Record), Failure> {
    let genesis = genesis(&args.genesis)?;
    let context = || format!("verify the receipt {}", args.receipt.display());
    genesis.verify_countersignatures().with_context(context).or_exit(Exit::Findings)?;
    let bytes =
        files::read(&args.receipt, u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX)).or_exit(Exit::Usage)?;
    let receipt = Receipt::parse(&bytes).with_context(context).or_exit(Exit::Findings)?;
    let verified = receipt.verify(&genesis).with_context(context).or_exit(Exit::Findings)?;
    let record = Record::decode(&verified.record)
        .context("its record is none that this program knows")
        .with_context(context)
        .or_exit(Exit::Findings)?;
    Ok((genesis.chain_id(), verified, record))
}
