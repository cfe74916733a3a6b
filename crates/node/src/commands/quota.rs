//! `einvoice quota`: what sellers may issue in a month, signed by the tax bureau like any other statement.
//!
//! Each command prints one statement whose events stand together, one for each seller: all are accepted, or all are
//! refused. Of more sellers than a statement has events there is a file for each statement.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::anyhow;
use chain::identity::OrganisationId;
use chain::statement::Mode;
use clap::Subcommand;
use invoice::amount::Amount;
use invoice::date::Period;
use ledger::event::{Event, QuotaAdjust, QuotaGrant, QuotaPause, QuotaResume};

use super::sign::{Signing, sign};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::Output;

/// How many bytes a file of sellers may have: more than a thousand lines need.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What sellers may issue in a month.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Grant sellers quotas for a month, from the first of which on they issue what they were granted.
    Grant(AmountArgs),
    /// Write other amounts into quotas that were granted.
    Adjust(AmountArgs),
    /// Let sellers issue nothing in a month, until their quotas are resumed.
    Pause(SellerArgs),
    /// Let sellers use paused quotas again.
    Resume(SellerArgs),
}

/// Sellers and amounts.
#[derive(Debug, clap::Args)]
pub(crate) struct AmountArgs {
    /// What a seller's invoices of the month may come to, gross, in yuan: `shop=100000.00`.
    #[arg(value_name = "SELLER=AMOUNT", required_unless_present = "file")]
    entries: Vec<Entry>,
    /// A file with such an entry on each line; `-` is stdin.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The month, YYYY-MM in UTC+8.
    #[arg(long)]
    period: Period,
    #[command(flatten)]
    signing: Signing,
}

/// Sellers.
#[derive(Debug, clap::Args)]
pub(crate) struct SellerArgs {
    /// The sellers.
    #[arg(value_name = "SELLER", required_unless_present = "file")]
    sellers: Vec<OrganisationId>,
    /// A file with a seller's id on each line; `-` is stdin.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The month, YYYY-MM in UTC+8.
    #[arg(long)]
    period: Period,
    #[command(flatten)]
    signing: Signing,
}

/// A seller and what it may issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    seller: OrganisationId,
    amount: Amount,
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (seller, amount) =
            text.split_once('=').ok_or_else(|| "expected a seller and an amount, as in shop=100000.00".to_owned())?;
        let seller = seller.trim().parse::<OrganisationId>().map_err(|error| error.to_string())?;
        let amount = amount.trim().parse::<Amount>().map_err(|error| error.to_string())?;
        if amount.is_negative() {
            return Err(format!("expected an amount of 0.00 or more, found {amount}"));
        }
        Ok(Self { seller, amount })
    }
}

/// Forms the events, signs them, prints the statement.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    let (events, signing) = formed(command);
    let events: Vec<String> = events.or_exit(Exit::Usage)?.iter().map(Event::to_json).collect();
    sign(signing, Mode::All, &events, output)
}

/// The events of a command, and with what they are signed.
fn formed(command: &Command) -> (anyhow::Result<Vec<Event>>, &Signing) {
    match command {
        Command::Grant(args) => {
            let period = args.period;
            (args.events(|seller, amount| Event::QuotaGrant(QuotaGrant { seller, period, amount })), &args.signing)
        }
        Command::Adjust(args) => {
            let period = args.period;
            (args.events(|seller, amount| Event::QuotaAdjust(QuotaAdjust { seller, period, amount })), &args.signing)
        }
        Command::Pause(args) => {
            let period = args.period;
            (args.events(|seller| Event::QuotaPause(QuotaPause { seller, period })), &args.signing)
        }
        Command::Resume(args) => {
            let period = args.period;
            (args.events(|seller| Event::QuotaResume(QuotaResume { seller, period })), &args.signing)
        }
    }
}

impl AmountArgs {
    fn events(&self, event: impl Fn(OrganisationId, Amount) -> Event) -> anyhow::Result<Vec<Event>> {
        let entries = all(&self.entries, self.file.as_deref())?;
        Ok(entries.into_iter().map(|entry| event(entry.seller, entry.amount)).collect())
    }
}

impl SellerArgs {
    fn events(&self, event: impl Fn(OrganisationId) -> Event) -> anyhow::Result<Vec<Event>> {
        Ok(all(&self.sellers, self.file.as_deref())?.into_iter().map(event).collect())
    }
}

/// What the command line names, then what the file does.
fn all<T>(named: &[T], file: Option<&Path>) -> anyhow::Result<Vec<T>>
where
    T: Clone + FromStr<Err: Display>,
{
    let mut entries = named.to_vec();
    if let Some(path) = file {
        entries
            .extend(files::read_lines(path, FILE_BYTES_MAX, |line| line.parse().map_err(|error| anyhow!("{error}")))?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{self, Cli};

    const SIGNING: &str = "--period 2026-12 --key k --chain";

    /// The events of a command line, as a statement has them.
    fn events(arguments: &str) -> anyhow::Result<Vec<String>> {
        let chain = format!("test@{}", "ab".repeat(32));
        let line = format!("einvoice quota {arguments} {SIGNING} {chain}");
        let Cli { command: args::Command::Quota(command), .. } = Cli::try_parse_from(line.split(' '))? else {
            panic!("another command")
        };
        Ok(formed(&command).0?.iter().map(Event::to_json).collect())
    }

    #[test]
    fn each_seller_has_an_event_of_its_own() {
        let granted = events("grant shop=100000.00 mall=5").unwrap();
        assert_eq!(granted[0], r#"{"quota-grant":{"seller":"shop","period":"2026-12","amount":"100000.00"}}"#);
        assert_eq!(granted[1], r#"{"quota-grant":{"seller":"mall","period":"2026-12","amount":"5.00"}}"#);
        assert_eq!(granted.len(), 2);
        let adjusted = events("adjust shop=0").unwrap();
        assert_eq!(adjusted, [r#"{"quota-adjust":{"seller":"shop","period":"2026-12","amount":"0.00"}}"#]);
        let paused = events("pause shop").unwrap();
        assert_eq!(paused, [r#"{"quota-pause":{"seller":"shop","period":"2026-12"}}"#]);
        assert!(events("resume shop").unwrap()[0].starts_with(r#"{"quota-resume":"#));
    }

    #[test]
    fn a_file_has_an_entry_on_each_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "mall=1.50\n\n stall = 2.00 \n").unwrap();
        let granted = events(&format!("grant shop=1 --file {}", file.path().display())).unwrap();
        assert_eq!(granted.len(), 3);
        assert!(granted[2].contains(r#""seller":"stall","period":"2026-12","amount":"2.00""#), "{granted:?}");
        std::fs::write(file.path(), "mall=1.50\nstall\n").unwrap();
        let wrong = events(&format!("adjust --file {}", file.path().display())).unwrap_err();
        assert!(format!("{wrong:#}").contains("read line 2 of "), "{wrong:#}");
    }

    #[test]
    fn what_is_no_quota_is_refused_before_it_is_signed() {
        for wrong in
            ["grant", "grant shop", "grant shop=-1.00", "grant shop=1.001", "grant Shop=1", "pause", "pause a=1"]
        {
            assert!(events(wrong).is_err(), "{wrong}");
        }
    }
}
