//! `einvoice filing`: returns of ended months, of one taxpayer or of many, amended and paid.
//!
//! A month is looked at where it stands, on the node, and signed here: what is declared is what the ledger holds, and what
//! was sold without invoices beside it. Whoever files again what is filed is answered with the first filing, so that every
//! command can be repeated.

mod group;

use std::path::PathBuf;

use anyhow::Context as _;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::statement::Mode;
use clap::{Subcommand, ValueEnum};
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;
use ledger::event::{Amend, AmendReason, Event, File, OrderId, PayRequest, PayResult, PaymentResult};
use ledger::organisation::Purpose;
use serde_json::{Value, json};

use super::sign::{Signing, statement};
use super::submit::Answer;
use super::token;
use crate::client::{Client, NodeAddress};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::NamedKey;
use crate::output::Output;

/// How many bytes a file of sales or figures may have.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// For how long a login token is good, seconds.
const LOGIN_S: u64 = 600;

/// Returns of ended months.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a month: what the ledger holds, what was declared, and what was paid.
    Show(ShowArgs),
    /// File a month as the ledger holds it.
    File(FileArgs),
    /// File a month of many taxpayers with one statement, and say what became of each.
    Group(group::Args),
    /// Declare otherwise what was sold without invoices in a filed month.
    Amend(AmendArgs),
    /// Order the payment of what a filed month leaves to pay, or say what became of an order.
    #[command(subcommand)]
    Pay(PayCommand),
}

/// What is paid.
#[derive(Debug, Subcommand)]
pub(crate) enum PayCommand {
    /// Order the payment of all that is left to pay.
    Request(RequestArgs),
    /// Say what became of an order.
    Result(ResultArgs),
}

/// Where months are looked at, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Desk {
    #[command(flatten)]
    node: NodeAddress,
    /// The login key of who looks.
    #[arg(long, value_name = "FILE")]
    login: PathBuf,
}

/// A taxpayer's month.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Month {
    /// The taxpayer.
    taxpayer: OrganisationId,
    /// The month, YYYY-MM in UTC+8.
    #[arg(long)]
    period: Period,
}

/// Which month is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    month: Month,
    #[command(flatten)]
    desk: Desk,
}

/// Which month is filed.
#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    #[command(flatten)]
    month: Month,
    /// What was sold without invoices: a JSON array of treatment, net and tax, ascending.
    #[arg(long, value_name = "FILE")]
    uninvoiced: Option<PathBuf>,
    #[command(flatten)]
    desk: Desk,
    #[command(flatten)]
    signing: Signing,
}

/// What is amended.
#[derive(Debug, clap::Args)]
pub(crate) struct AmendArgs {
    #[command(flatten)]
    month: Month,
    /// Which amendment of the month it is, from 1.
    #[arg(long)]
    number: u32,
    /// Why.
    #[arg(long, value_enum)]
    reason: ReasonName,
    /// What was sold without invoices, in place of what was declared: a JSON array of treatment, net and tax; none when
    /// absent.
    #[arg(long, value_name = "FILE")]
    uninvoiced: Option<PathBuf>,
    #[command(flatten)]
    node: NodeAddress,
    #[command(flatten)]
    signing: Signing,
}

/// A reason, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReasonName {
    /// Sales without invoices were left out.
    OmittedSales,
    /// There were fewer of them.
    OverstatedSales,
    /// They stood under another rate.
    WrongRate,
    /// The tax bureau asked for it.
    Examination,
    /// Any other.
    Other,
}

/// What is ordered.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    month: Month,
    /// The payment order's id, used once by a taxpayer.
    #[arg(long)]
    order: OrderId,
    /// All that is payable and not paid yet, in yuan.
    #[arg(long)]
    amount: Amount,
    #[command(flatten)]
    node: NodeAddress,
    #[command(flatten)]
    signing: Signing,
}

/// What became of an order.
#[derive(Debug, clap::Args)]
pub(crate) struct ResultArgs {
    #[command(flatten)]
    month: Month,
    /// The payment order.
    #[arg(long)]
    order: OrderId,
    /// What became of it.
    #[arg(long, value_enum)]
    result: ResultName,
    /// The bank's receipt or notice, of which only the SHA-256 goes onto the ledger.
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    node: NodeAddress,
    #[command(flatten)]
    signing: Signing,
}

/// A result, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResultName {
    /// The bank paid it.
    Paid,
    /// The bank did not.
    Failed,
}

/// Does it.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Show(args) => {
            let Month { taxpayer, period } = &args.month;
            let shown = args.desk.open()?.get(&format!("/v1/filings/{taxpayer}/{period}"), "look at the month")?;
            output.data(&Answer(shown))?;
            Ok(Exit::Done)
        }
        Command::File(args) => {
            let Month { taxpayer, period } = &args.month;
            let office = args.desk.open()?;
            let shown = office.get(&format!("/v1/filings/{taxpayer}/{period}"), "look at the month")?;
            let file = returned(&shown, &args.month, sales(args.uninvoiced.as_ref())?)?;
            submit(&args.desk.node, &args.signing, &Event::File(file), output)
        }
        Command::Group(args) => group::run(args, output),
        Command::Amend(args) => {
            let (Month { taxpayer, period }, number) = (args.month.clone(), args.number);
            let reason = match args.reason {
                ReasonName::OmittedSales => AmendReason::OmittedSales,
                ReasonName::OverstatedSales => AmendReason::OverstatedSales,
                ReasonName::WrongRate => AmendReason::WrongRate,
                ReasonName::Examination => AmendReason::Examination,
                ReasonName::Other => AmendReason::Other,
            };
            let uninvoiced = sales(args.uninvoiced.as_ref())?;
            let event = Event::Amend(Amend { taxpayer, period, number, reason, uninvoiced });
            submit(&args.node, &args.signing, &event, output)
        }
        Command::Pay(PayCommand::Request(args)) => {
            let (Month { taxpayer, period }, order, amount) = (args.month.clone(), args.order.clone(), args.amount);
            let event = Event::PayRequest(PayRequest { taxpayer, period, order, amount });
            submit(&args.node, &args.signing, &event, output)
        }
        Command::Pay(PayCommand::Result(args)) => {
            let (Month { taxpayer, period }, order) = (args.month.clone(), args.order.clone());
            let result = match args.result {
                ResultName::Paid => PaymentResult::Paid,
                ResultName::Failed => PaymentResult::Failed,
            };
            let receipt = Hash::of(&files::read(&args.receipt, FILE_BYTES_MAX).or_exit(Exit::Usage)?);
            let event = Event::PayResult(PayResult { taxpayer, period, order, result, receipt });
            submit(&args.node, &args.signing, &event, output)
        }
    }
}

/// A node, and a token to look at it with.
struct Office {
    client: Client,
    token: String,
}

impl Desk {
    fn open(&self) -> Result<Office, Failure> {
        let client = Client::of(&self.node)?;
        let key = NamedKey::load(&self.login, Purpose::Login).or_exit(Exit::Usage)?;
        let node = client.identify()?;
        let token = token::mint(&key, &node.node, node.now_s(), LOGIN_S, None, None)?;
        Ok(Office { client, token })
    }
}

impl Office {
    fn get(&self, path: &str, what: &str) -> Result<Value, Failure> {
        self.client.get(path, Some(&self.token))?.succeeded(what)?.json()
    }
}

/// The return of a month. Of a node's view only what the ledger holds against its own figures is taken: what the invoices
/// come to, as it was filed, when it was, so that the same again is the same. Whose month it is, and which sales without
/// invoices there were, nobody says but who signs.
fn returned(view: &Value, month: &Month, uninvoiced: Vec<RateTotal>) -> Result<File, Failure> {
    let filed = view.get("filed").filter(|filed| filed.is_object());
    let of = |name: &str| filed.unwrap_or(view).get(name).cloned();
    let file = json!({
        "seller": month.taxpayer, "period": month.period, "invoices": of("invoices"), "output": of("output"),
        "input": of("input").unwrap_or(json!([])), "uninvoiced": [],
    });
    let file: File =
        serde_json::from_value(file).context("read the month in the node's answer").or_exit(Exit::Unexpected)?;
    Ok(File { uninvoiced, ..file })
}

/// Sales without invoices in a file; none without one.
fn sales(path: Option<&PathBuf>) -> Result<Vec<RateTotal>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let bytes = files::read(path, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
    chain::json::from_slice(&bytes)
        .with_context(|| format!("read the sales in {}", path.display()))
        .or_exit(Exit::Usage)
}

/// Signs one event, submits it and prints the answer.
fn submit(node: &NodeAddress, signing: &Signing, event: &Event, output: &Output) -> Result<Exit, Failure> {
    let statement = statement(signing, Mode::All, &[event.to_json()])?;
    let reply = group::deliver(&Client::of(node)?, statement.bytes(), output)?;
    if let Ok(answer) = reply.json() {
        // The problem document is the data, too: it holds the outcome of what was refused.
        output.data(&Answer(answer))?;
    }
    reply.succeeded("submit the statement").map(|_| Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_is_of_the_month_that_is_asked_for_with_the_users_own_sales() {
        let month = Month { taxpayer: "shop".parse().unwrap(), period: "2026-11".parse().unwrap() };
        let held = json!({"seller": "shop", "period": "2026-11", "invoices": 1, "output": [], "input": []});
        assert_eq!(returned(&held, &month, Vec::new()).unwrap().invoices, 1);
        let mut filed = held;
        let sale = json!([{"treatment": {"rate": "0.03"}, "net": "100.00", "tax": "3.00"}]);
        filed["filed"] = json!({"invoices": 2, "output": [], "input": [], "uninvoiced": sale, "by": "isp"});
        let again = returned(&filed, &month, Vec::new()).unwrap();
        assert_eq!((again.invoices, again.uninvoiced.len()), (2, 0), "a node adds no sales");
        let own: Vec<RateTotal> = serde_json::from_value(sale).unwrap();
        assert_eq!(returned(&filed, &month, own).unwrap().uninvoiced.len(), 1);
        filed["seller"] = json!("mall");
        filed["period"] = json!("2026-10");
        let signed = returned(&filed, &month, Vec::new()).unwrap();
        assert_eq!((signed.seller.as_str(), signed.period.to_string()), ("shop", "2026-11".to_owned()));
        assert!(returned(&json!({"seller": "shop"}), &month, Vec::new()).is_err());
    }
}
