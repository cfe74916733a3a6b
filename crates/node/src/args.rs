//! The command line: its shape alone. What a command does stands in its own module.

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, books, config, contingency, demo, dev, explain, export, field, filing, follow, generate, genesis, init,
    keys, numbers, organisation, outbox, quota, receipt, red, sign, start, status, submit, token, verify, webhooks,
};
use crate::exit::Exit;
use crate::output::Format;

/// A permissioned consortium ledger of e-invoices: run a node, act on the ledger, verify it offline.
#[derive(Debug, Parser)]
#[command(name = "einvoice", version, max_term_width = 100, after_help = Exit::table(), after_long_help = Exit::table())]
pub(crate) struct Cli {
    /// How data is written to stdout. Talk and logs go to stderr.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) format: Format,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole local consortium in one process, with demo organisations and a clock that can be advanced.
    Dev(dev::Args),
    /// Play the life of real invoices on a local consortium, step by step, then export and verify the chain.
    Demo(demo::Args),
    /// Run a node.
    Start(start::Args),
    /// Make a node's directory: of one on a genesis, of a single validator, or of a consortium for development.
    Init(Box<init::Args>),
    /// Found a chain of several agencies, each with its own keys: put a genesis together, show it, sign it.
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// Make keys, and the public files to hand out.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Sign what changes organisations, their keys and mandates; the statement goes to stdout, for `submit`.
    #[command(subcommand)]
    Organisation(Box<organisation::Command>),
    /// Sign what sellers may issue in a month; the statement goes to stdout, for `submit`. For the tax bureau.
    #[command(subcommand)]
    Quota(quota::Command),
    /// Sign how an invoice is booked, once; the statement goes to stdout, for `submit`.
    Book(books::BookArgs),
    /// Sign for what a special invoice's VAT is used, once; the statement goes to stdout, for `submit`.
    Use(books::UseArgs),
    /// Sign what a buyer says of an invoice; the statement goes to stdout, for `submit`.
    Manifest(books::ManifestArgs),
    /// Sign what a seller says otherwise about an invoice, where no tax depends on it; for `submit`.
    Correct(Box<books::CorrectArgs>),
    /// File ended months, of one taxpayer or of many at once; amend them, and order their payment.
    #[command(subcommand)]
    Filing(Box<filing::Command>),
    /// Sign red letters, and the slips that allow them; the statement goes to stdout, for `submit`.
    #[command(subcommand)]
    Red(red::Command),
    /// Sign what is about numbers for a contingency; the statement goes to stdout, for `submit`.
    #[command(subcommand)]
    Segment(contingency::SegmentCommand),
    /// Issue invoices while every node is out of reach, and verify what was issued so.
    #[command(subcommand)]
    Offline(contingency::OfflineCommand),
    /// Sign a statement; the JWS goes to stdout.
    Sign(sign::Args),
    /// Submit a signed statement to a node and wait until it is final.
    Submit(submit::Args),
    /// Make a login token for a node; it goes to stdout.
    Token(token::Args),
    /// Export the chain to an archive, from a directory or from a running node.
    Export(export::Args),
    /// Verify an archive, offline, trusting nobody but the genesis.
    Verify(verify::Args),
    /// Verify receipts.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Invent realistic invoices from a seed, as documents or signed statements, and the consortium they belong to.
    Generate(generate::Args),
    /// Load a node and measure it: events a second, CPU, finality, memory, disk.
    Bench(bench::Args),
    /// Follow the ledger over gRPC: every event that concerns an organisation, as it is decided.
    Follow(follow::Args),
    /// Look at webhooks, and at what could not be delivered; stop them, and send again.
    Webhooks(webhooks::Args),
    /// Say how a node is.
    Status(status::Args),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Explain a code: its rule, its cause and its cure.
    Explain(explain::Args),
    /// Print one field of a JSON document, as plain text; for shell scripts.
    Field(field::Args),
    /// Look at the statements of an outbox, which `submit --outbox` fills, and send those that wait.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Say which numbers of invoices were given, what became of them, and that none is missing.
    Numbers(numbers::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
