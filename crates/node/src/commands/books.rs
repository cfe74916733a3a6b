//! `einvoice book`, `use`, `manifest` and `correct`: an invoice in its buyer's books, and what its parties say of it.
//!
//! Each prints one statement of one event, for `submit`.

use anyhow::Context as _;
use chain::statement::Mode;
use invoice::InvoiceId;
use invoice::correction::{Correction, PartyLines};
use invoice::date::Period;
use ledger::event::{
    Book, BookAdjust, BookRevoke, BookingCode, Correct, Event, Grounds, Manifest, NonDeductReason, Stance, Use,
    UsePurpose, UseRevoke, Voucher,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sign::{Signing, sign};
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

/// How an invoice is booked.
#[derive(Debug, clap::Args)]
pub(crate) struct BookArgs {
    /// The invoice: code-number, or the 20 digits.
    invoice: InvoiceId,
    /// 02, deductible from income for corporate income tax, or 03, not deductible.
    #[arg(long, value_parser = named::<BookingCode>, required_unless_present = "revoke")]
    code: Option<BookingCode>,
    /// The number of the voucher.
    #[arg(long, required_unless_present = "revoke")]
    voucher: Option<Voucher>,
    /// The month of the books, YYYY-MM in UTC+8.
    #[arg(long, required_unless_present = "revoke")]
    period: Option<Period>,
    /// It is booked already: book it otherwise.
    #[arg(long, conflicts_with = "revoke")]
    adjust: bool,
    /// Take the booking back.
    #[arg(long, conflicts_with_all = ["code", "voucher", "period"])]
    revoke: bool,
    #[command(flatten)]
    signing: Signing,
}

/// For what an invoice's VAT is used.
#[derive(Debug, clap::Args)]
pub(crate) struct UseArgs {
    /// The invoice: the 20 digits of a special invoice.
    invoice: InvoiceId,
    /// deduct, refund, agency-refund or non-deduct.
    #[arg(long, value_parser = named::<UsePurpose>, required_unless_present = "revoke")]
    purpose: Option<UsePurpose>,
    /// Why it is not deducted: not-taxable, exempt, welfare-or-consumption, abnormal-loss or other.
    #[arg(long, value_parser = named::<NonDeductReason>)]
    reason: Option<NonDeductReason>,
    /// The month of the buyer's VAT, YYYY-MM in UTC+8.
    #[arg(long, required_unless_present = "revoke")]
    period: Option<Period>,
    /// Take the use back.
    #[arg(long, conflicts_with_all = ["purpose", "reason", "period"])]
    revoke: bool,
    #[command(flatten)]
    signing: Signing,
}

/// What a buyer says of an invoice.
#[derive(Debug, clap::Args)]
pub(crate) struct ManifestArgs {
    /// The invoice: code-number, or the 20 digits.
    invoice: InvoiceId,
    /// acknowledge, confirm, dispute, unknown or not-done.
    #[arg(value_parser = named::<Stance>)]
    kind: Stance,
    /// Why, in 15 to 200 characters; of who does not agree. It is on the ledger: nothing personal belongs in it.
    #[arg(long)]
    reason: Option<Grounds>,
    #[command(flatten)]
    signing: Signing,
}

/// What a seller says otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct CorrectArgs {
    /// The invoice: code-number, or the 20 digits.
    invoice: InvoiceId,
    /// The seller's address.
    #[arg(long)]
    seller_address: Option<String>,
    /// The seller's phone number.
    #[arg(long)]
    seller_phone: Option<String>,
    /// The seller's bank.
    #[arg(long)]
    seller_bank: Option<String>,
    /// The seller's account number.
    #[arg(long)]
    seller_account: Option<String>,
    /// The buyer's address.
    #[arg(long)]
    buyer_address: Option<String>,
    /// The buyer's phone number.
    #[arg(long)]
    buyer_phone: Option<String>,
    /// The buyer's bank.
    #[arg(long)]
    buyer_bank: Option<String>,
    /// The buyer's account number.
    #[arg(long)]
    buyer_account: Option<String>,
    /// The remark. It is on the ledger: nothing personal belongs in it.
    #[arg(long)]
    remark: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// A value by the name that events have for it.
pub(super) fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Books an invoice, books it otherwise, or takes the booking back.
pub(crate) fn book(args: &BookArgs, output: &Output) -> Result<Exit, Failure> {
    signed(args.event(), &args.signing, output)
}

/// Uses an invoice's VAT, or takes the use back.
pub(crate) fn use_vat(args: &UseArgs, output: &Output) -> Result<Exit, Failure> {
    signed(args.event(), &args.signing, output)
}

/// Says what the buyer has to say.
pub(crate) fn manifest(args: &ManifestArgs, output: &Output) -> Result<Exit, Failure> {
    signed(args.event(), &args.signing, output)
}

/// Says otherwise what no tax depends on.
pub(crate) fn correct(args: &CorrectArgs, output: &Output) -> Result<Exit, Failure> {
    signed(args.event(), &args.signing, output)
}

fn signed(event: anyhow::Result<Event>, signing: &Signing, output: &Output) -> Result<Exit, Failure> {
    sign(signing, Mode::All, &[event.or_exit(Exit::Usage)?.to_json()], output)
}

impl BookArgs {
    fn event(&self) -> anyhow::Result<Event> {
        let invoice = self.invoice;
        if self.revoke {
            return Ok(Event::BookRevoke(BookRevoke { invoice }));
        }
        let code = self.code.context("expected a code")?;
        let voucher = self.voucher.clone().context("expected a voucher")?;
        let period = self.period.context("expected a period")?;
        Ok(if self.adjust {
            Event::BookAdjust(BookAdjust { invoice, code, voucher, period })
        } else {
            Event::Book(Book { invoice, code, voucher, period })
        })
    }
}

impl UseArgs {
    fn event(&self) -> anyhow::Result<Event> {
        let invoice = self.invoice;
        if self.revoke {
            return Ok(Event::UseRevoke(UseRevoke { invoice }));
        }
        let purpose = self.purpose.context("expected a purpose")?;
        let period = self.period.context("expected a period")?;
        Ok(Event::Use(Use::new(invoice, purpose, self.reason, period)?))
    }
}

impl ManifestArgs {
    fn event(&self) -> anyhow::Result<Event> {
        Ok(Event::Manifest(Manifest::new(self.invoice, self.kind, self.reason.clone())?))
    }
}

impl CorrectArgs {
    fn event(&self) -> anyhow::Result<Event> {
        let lines =
            |address: &Option<String>, phone: &Option<String>, bank: &Option<String>, account: &Option<String>| {
                let lines = PartyLines {
                    address: address.clone(),
                    phone: phone.clone(),
                    bank: bank.clone(),
                    account: account.clone(),
                };
                Some(lines).filter(|lines| *lines != PartyLines::default())
            };
        let fields = Correction {
            seller: lines(&self.seller_address, &self.seller_phone, &self.seller_bank, &self.seller_account),
            buyer: lines(&self.buyer_address, &self.buyer_phone, &self.buyer_bank, &self.buyer_account),
            remark: self.remark.clone(),
        };
        anyhow::ensure!(!fields.is_empty(), "expected at least one field to correct");
        Ok(Event::Correct(Box::new(Correct { invoice: self.invoice, fields })))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::{Cli, Command};

    const ID: &str = "144032609110-00000001";

    /// The event of a command line, as a statement has it.
    fn event(arguments: &[&str]) -> anyhow::Result<String> {
        let chain = format!("test@{}", "ab".repeat(32));
        let line = ["einvoice"].iter().chain(arguments).copied().chain(["--key", "k", "--chain", &chain]);
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other command is under test")]
        Ok(match Cli::try_parse_from(line)?.command {
            Command::Book(args) => args.event()?,
            Command::Use(args) => args.event()?,
            Command::Manifest(args) => args.event()?,
            Command::Correct(args) => args.event()?,
            _ => panic!("another command"),
        }
        .to_json())
    }

    #[test]
    fn each_command_forms_its_event() {
        for (arguments, expected) in [
            (
                vec!["book", ID, "--code", "02", "--voucher", "记-0012", "--period", "2026-11"],
                r#"{"book":{"invoice":"ID","code":"02","voucher":"记-0012","period":"2026-11"}}"#,
            ),
            (
                vec!["book", ID, "--code", "03", "--voucher", "1", "--period", "2026-11", "--adjust"],
                r#"{"book-adjust":{"invoice":"ID","code":"03","voucher":"1","period":"2026-11"}}"#,
            ),
            (vec!["book", ID, "--revoke"], r#"{"book-revoke":{"invoice":"ID"}}"#),
            (
                vec!["use", ID, "--purpose", "non-deduct", "--reason", "exempt", "--period", "2026-11"],
                r#"{"use":{"invoice":"ID","purpose":"non-deduct","reason":"exempt","period":"2026-11"}}"#,
            ),
            (vec!["use", ID, "--revoke"], r#"{"use-revoke":{"invoice":"ID"}}"#),
            (vec!["manifest", ID, "confirm"], r#"{"manifest":{"invoice":"ID","kind":"confirm"}}"#),
            (
                vec!["correct", ID, "--seller-phone", "1", "--remark", "order 7"],
                r#"{"correct":{"invoice":"ID","fields":{"seller":{"phone":"1"},"remark":"order 7"}}}"#,
            ),
        ] {
            assert_eq!(event(&arguments).unwrap(), expected.replace("ID", ID));
        }
    }

    #[test]
    fn what_is_no_event_is_refused_before_it_is_signed() {
        for wrong in [
            vec!["book", ID],
            vec!["book", ID, "--code", "01", "--voucher", "1", "--period", "2026-11"],
            vec!["book", ID, "--revoke", "--code", "02"],
            vec!["use", ID, "--purpose", "non-deduct", "--period", "2026-11"],
            vec!["use", ID, "--purpose", "deduct", "--reason", "exempt", "--period", "2026-11"],
            vec!["manifest", ID, "dispute"],
            vec!["manifest", ID, "dispute", "--reason", "too short"],
            vec!["correct", ID],
        ] {
            assert!(event(&wrong).is_err(), "{wrong:?}");
        }
    }
}
