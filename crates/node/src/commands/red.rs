//! `einvoice red`: red letters, and the slips that allow them.
//!
//! Each command prints one statement of one event, for `submit`. Events about amounts carry the document of the invoice as
//! it was issued, because the ledger's state holds the hash of it alone.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use chain::statement::Mode;
use clap::Subcommand;
use invoice::amount::Amount;
use invoice::document::Document;
use invoice::id::InvoiceId;
use invoice::red::Part;
use ledger::event::{ClaimId, Event, IssueRed, RedConfirm, RedDeny, RedRequest, RedWithdraw, Take, VoidReason};

use super::books::named;
use super::sign::{Signing, sign};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::Output;

/// How many bytes a file with a document may have.
pub(crate) const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Red letters, and the slips that allow them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a red letter: alone while nobody relies on the invoice, else under a slip.
    Issue(Box<IssueArgs>),
    /// Ask the other side to agree to a red letter.
    Request(Box<RequestArgs>),
    /// Agree to a red letter that the other side asks for.
    Confirm(AnswerArgs),
    /// Do not agree to a red letter that the other side asks for.
    Deny(AnswerArgs),
    /// Ask for a red letter no longer.
    Withdraw(AnswerArgs),
}

/// A red letter.
#[derive(Debug, clap::Args)]
pub(crate) struct IssueArgs {
    #[command(flatten)]
    what: What,
    /// The seller's own number of the red letter, unique among all its documents.
    #[arg(long)]
    reference: ClaimId,
    /// The number of the slip that allows it.
    #[arg(long)]
    slip: Option<u32>,
    #[command(flatten)]
    signing: Signing,
}

/// A slip.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    signing: Signing,
}

/// What is taken back, and why.
#[derive(Debug, clap::Args)]
struct What {
    /// The invoice: code-number, or the 20 digits.
    invoice: InvoiceId,
    /// A file with the invoice's document as it was issued, or with the invoice as a node shows it; `-` is stdin.
    #[arg(long)]
    document: PathBuf,
    /// issue-error, sales-return, service-suspension or sales-discount.
    #[arg(long, value_parser = named::<VoidReason>)]
    reason: VoidReason,
    /// Take back so much net of a line, counted from 0, in yuan: `0=40.00`. Once for each line; all that is left when absent.
    #[arg(long, value_name = "LINE=NET")]
    line: Vec<LinePart>,
}

/// An answer to a slip.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// The invoice: code-number, or the 20 digits.
    invoice: InvoiceId,
    /// The number of its newest slip.
    slip: u32,
    #[command(flatten)]
    signing: Signing,
}

/// How much of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LinePart(Part);

impl FromStr for LinePart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a line and its net, such as 0=40.00, found {text:?}");
        let (line, net) = text.split_once('=').ok_or_else(expected)?;
        let line = line.parse().map_err(|_| expected())?;
        let net = net.parse::<Amount>().map_err(|error| error.to_string())?;
        Ok(Self(Part { line, net }))
    }
}

/// Signs an event about a red letter.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    let signing = match command {
        Command::Issue(args) => &args.signing,
        Command::Request(args) => &args.signing,
        Command::Confirm(args) | Command::Deny(args) | Command::Withdraw(args) => &args.signing,
    };
    sign(signing, Mode::All, &[event(command).or_exit(Exit::Usage)?.to_json()], output)
}

fn event(command: &Command) -> anyhow::Result<Event> {
    Ok(match command {
        Command::Issue(args) => {
            let What { invoice, document, reason, line } = &args.what;
            Event::IssueRed(Box::new(IssueRed {
                invoice: *invoice,
                document: read_document(document)?,
                reference: args.reference.to_string(),
                reason: *reason,
                take: take(line),
                slip: args.slip,
            }))
        }
        Command::Request(args) => {
            let What { invoice, document, reason, line } = &args.what;
            let document = read_document(document)?;
            Event::RedRequest(Box::new(RedRequest { invoice: *invoice, document, reason: *reason, take: take(line) }))
        }
        Command::Confirm(args) => Event::RedConfirm(RedConfirm { invoice: args.invoice, slip: args.slip }),
        Command::Deny(args) => Event::RedDeny(RedDeny { invoice: args.invoice, slip: args.slip }),
        Command::Withdraw(args) => Event::RedWithdraw(RedWithdraw { invoice: args.invoice, slip: args.slip }),
    })
}

fn take(lines: &[LinePart]) -> Take {
    if lines.is_empty() { Take::Full } else { Take::Lines(lines.iter().map(|part| part.0).collect()) }
}

/// A document from a file: by itself, or in an invoice as a node shows it.
pub(crate) fn read_document(path: &Path) -> anyhow::Result<Document> {
    let context = || format!("read the document in {}", path.display());
    let bytes = files::read(path, FILE_BYTES_MAX)?;
    let mut value: serde_json::Value = chain::json::from_slice(&bytes).with_context(context)?;
    let value = value.get_mut("document").map(serde_json::Value::take).unwrap_or(value);
    serde_json::from_value(value).with_context(context)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command as Any};

    const ID: &str = "144032609110-00000001";

    fn parsed(arguments: &[&str]) -> anyhow::Result<Event> {
        let chain = format!("test@{}", "ab".repeat(32));
        let line = ["einvoice", "red"].iter().chain(arguments).copied().chain(["--key", "k", "--chain", &chain]);
        let Any::Red(command) = Cli::try_parse_from(line)?.command else { panic!("another command") };
        event(&command)
    }

    #[test]
    fn each_command_forms_its_event() {
        let directory = tempfile::tempdir().unwrap();
        let (bare, shown) = (directory.path().join("bare.json"), directory.path().join("shown.json"));
        let document = invoice::samples::all()[0].json;
        std::fs::write(&bare, document).unwrap();
        std::fs::write(&shown, format!(r#"{{"id":"{ID}","document":{document}}}"#)).unwrap();
        for file in [&bare, &shown] {
            let arguments = ["issue", ID, "--document", file.to_str().unwrap(), "--reason", "sales-return"];
            let full = [&arguments[..], &["--reference", "R1"]].concat();
            let Event::IssueRed(red) = parsed(&full).unwrap() else { panic!("another event") };
            assert_eq!((red.take, red.slip, red.reference.as_str()), (Take::Full, None, "R1"));
            assert_eq!(red.document, Document::parse(document.as_bytes()).unwrap());
        }
        let bare = bare.to_str().unwrap();
        let request = parsed(&[
            "request",
            ID,
            "--document",
            bare,
            "--reason",
            "issue-error",
            "--line",
            "0=40.00",
            "--line",
            "2=-1.00",
        ]);
        let Event::RedRequest(request) = request.unwrap() else { panic!("another event") };
        let part = |line, fen| Part { line, net: Amount::from_fen(fen) };
        assert_eq!(request.take, Take::Lines(vec![part(0, 4_000), part(2, -100)]));
        for kind in ["confirm", "deny", "withdraw"] {
            let expected = format!(r#"{{"red-{kind}":{{"invoice":"{ID}","slip":2}}}}"#);
            assert_eq!(parsed(&[kind, ID, "2"]).unwrap().to_json(), expected);
        }
    }

    #[test]
    fn what_is_no_event_is_refused_before_it_is_signed() {
        for wrong in [
            vec!["issue", ID],
            vec!["issue", ID, "--document", "none.json", "--reason", "sales-return", "--reference", "R1"],
            vec!["request", ID, "--document", "none.json", "--reason", "whim"],
            vec!["request", ID, "--document", "none.json", "--reason", "sales-return", "--line", "40.00"],
            vec!["confirm", ID],
            vec!["deny", ID, "x"],
        ] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
