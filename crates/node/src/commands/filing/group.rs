//! One provider files for many: the months are looked at some two hundred at a time, held against the provider's own
//! figures, signed as one statement in which each stands for itself, and submitted until it is decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use chain::identity::OrganisationId;
use chain::statement::Mode;
use invoice::date::Period;
use ledger::event::{Event, File};
use ledger::filing::{Due, differences};
use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

use super::{Desk, FILE_BYTES_MAX, Month, Office, returned};
use crate::client::{Call, Client, Reply};
use crate::commands::sign::{Signing, statement};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::{Output, Report};

/// Taxpayers looked at in one request: as many as the door takes.
const LOOKED_AT_MAX: usize = 200;

/// Returns in one statement at most: with all their rates and uses they fit into what a statement may have.
const STATEMENT_MAX: usize = 500;

/// For how long a statement is submitted again, while nobody can say what became of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it is waited before it is submitted again.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is filed for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file with a taxpayer's id on each line; `-` is stdin.
    entities: PathBuf,
    /// The month, YYYY-MM in UTC+8.
    #[arg(long)]
    period: Period,
    /// The provider's own figures: a JSON array of returns, as `file` events hold them. What differs from what the ledger
    /// holds is shown and not filed; sales without invoices are declared as they stand there.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Only looks and compares: nothing is signed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    desk: Desk,
    #[command(flatten)]
    signing: Signing,
}

/// What became of one taxpayer's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    taxpayer: String,
    /// `accepted`, `repeated`, the code of the refusal, `differs`, `unknown` or `ready`.
    code: String,
    /// What is to be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    payable: Option<String>,
    /// The leaf of the filing, where its receipt is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<u64>,
    /// What differs, or why it was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

/// What became of all.
#[derive(Debug, Serialize)]
struct Filed {
    period: String,
    entities: Vec<Row>,
}

impl Report for Filed {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        for row in &self.entities {
            let payable = row.payable.as_ref().map_or_else(String::new, |payable| format!(" payable {payable}"));
            let leaf = row.leaf_index.map_or_else(String::new, |leaf| format!(" leaf {leaf}"));
            lines.push(format!("{} {}{payable}{leaf}", row.taxpayer, row.code));
            lines.extend(row.details.iter().map(|detail| format!("  {detail}")));
        }
        let done = self.entities.iter().filter(|row| row.is_fine()).count();
        lines.push(format!("{done} of {} for {}", self.entities.len(), self.period));
        lines.join("\n")
    }
}

impl Row {
    fn new(taxpayer: &OrganisationId, code: &str) -> Self {
        Self { taxpayer: taxpayer.to_string(), code: code.to_owned(), payable: None, leaf_index: None, details: vec![] }
    }

    fn is_fine(&self) -> bool {
        ["accepted", "repeated", "ready"].contains(&self.code.as_str())
    }
}

/// Files for all.
pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let entities: Vec<OrganisationId> =
        files::read_lines(&args.entities, FILE_BYTES_MAX, |line| Ok(line.parse()?)).or_exit(Exit::Usage)?;
    let expected = args.expected.as_deref().map_or_else(|| Ok(BTreeMap::new()), figures)?;
    let office = args.desk.open()?;
    let months = look(&office, args.period, &entities, output)?;
    let mut rows = Vec::with_capacity(entities.len());
    let mut ready = Vec::new();
    for taxpayer in &entities {
        let row = match months.get(taxpayer) {
            None => Row::new(taxpayer, "unknown"),
            Some(view) => {
                let (row, file) = compared(taxpayer, args.period, view, expected.get(taxpayer))?;
                ready.extend(file.map(|file| (rows.len(), file)));
                row
            }
        };
        rows.push(row);
    }
    if !args.dry_run {
        let bar = output.progress("filing", u64::try_from(ready.len()).ok(), false);
        for part in ready.chunks(STATEMENT_MAX) {
            file(args, &office.client, part, &mut rows, output)?;
            bar.inc(u64::try_from(part.len()).unwrap_or_default());
        }
        bar.finish_and_clear();
    }
    let fine = rows.iter().all(Row::is_fine);
    output.data(&Filed { period: args.period.to_string(), entities: rows })?;
    Ok(if fine { Exit::Done } else { Exit::Refused })
}

/// The provider's own figures, by taxpayer.
fn figures(path: &Path) -> Result<BTreeMap<OrganisationId, File>, Failure> {
    let bytes = files::read(path, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
    let files: Vec<File> = chain::json::from_slice(&bytes)
        .with_context(|| format!("read the figures in {}", path.display()))
        .or_exit(Exit::Usage)?;
    Ok(files.into_iter().map(|file| (file.seller.clone(), file)).collect())
}

/// Looks at the months of all, as many at a time as the door shows.
fn look(
    office: &Office,
    period: Period,
    entities: &[OrganisationId],
    output: &Output,
) -> Result<BTreeMap<OrganisationId, Value>, Failure> {
    let bar = output.progress("looking at months", u64::try_from(entities.len()).ok(), false);
    let mut months = BTreeMap::new();
    // Each once, however often it stands in the list.
    let mut left: Vec<&OrganisationId> = entities.iter().collect::<BTreeSet<_>>().into_iter().collect();
    while !left.is_empty() {
        let behind = left.split_off(left.len().min(LOOKED_AT_MAX));
        let ids = left.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(",");
        let list = office.get(&format!("/v1/filings?period={period}&taxpayers={ids}"), "look at the months")?;
        for view in list.get("filings").and_then(Value::as_array).into_iter().flatten() {
            let seller = view.get("seller").and_then(Value::as_str).and_then(|id| id.parse().ok());
            let seller = seller.ok_or_else(|| anyhow!("read whose month it is in the node's answer"));
            months.insert(seller.or_exit(Exit::Unexpected)?, view.clone());
        }
        // What the answer had no room for is asked for again.
        let asked = left.len();
        let unread: BTreeSet<&str> =
            list.get("left").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        left.retain(|id| unread.contains(id.as_str()));
        if left.len() == asked {
            return Err(Failure::text(Exit::Unexpected, "look at the months: the node shows none of those asked for"));
        }
        bar.inc(u64::try_from(asked - left.len()).unwrap_or_default());
        left.extend(behind);
    }
    bar.finish_and_clear();
    Ok(months)
}

/// A month held against the provider's figures: what is to be filed of it, unless they differ.
fn compared(
    taxpayer: &OrganisationId,
    period: Period,
    view: &Value,
    expected: Option<&File>,
) -> Result<(Row, Option<File>), Failure> {
    // What was sold without invoices only the provider knows.
    let uninvoiced = expected.map_or_else(Vec::new, |expected| expected.uninvoiced.clone());
    let file = returned(view, &Month { taxpayer: taxpayer.clone(), period }, uninvoiced)?;
    let mut row = Row::new(taxpayer, "ready");
    if let Some(expected) = expected {
        let differing = differences(&file, expected);
        if !differing.is_empty() {
            "differs".clone_into(&mut row.code);
            let line = |it: ledger::filing::Difference| {
                format!("{}: the ledger holds {}, expected {}", it.figure, it.held, it.declared)
            };
            row.details = differing.into_iter().map(line).collect();
            return Ok((row, None));
        }
    }
    row.payable = Due::of(&file.output, &file.uninvoiced, &file.input).map(|due| due.payable.to_string());
    Ok((row, Some(file)))
}

/// Signs and submits returns as one statement, and writes down what became of each.
fn file(
    args: &Args,
    client: &Client,
    part: &[(usize, File)],
    rows: &mut [Row],
    output: &Output,
) -> Result<(), Failure> {
    let events: Vec<String> = part.iter().map(|(_, file)| Event::File(file.clone()).to_json()).collect();
    let statement = statement(&args.signing, Mode::Each, &events)?;
    let reply = deliver(client, statement.bytes(), output)?;
    let answer = reply.json()?;
    // A statement of which nothing was accepted is answered with a problem, which has the outcomes, too.
    let Some(outcomes) = answer.get("outcomes").and_then(Value::as_array).filter(|list| list.len() == part.len())
    else {
        reply.succeeded("file the months")?;
        return Err(Failure::text(Exit::Unexpected, "read what became of each month in the node's answer"));
    };
    for ((place, _), outcome) in part.iter().zip(outcomes) {
        let Some(row) = rows.get_mut(*place) else { continue };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        row.code = text(outcome, "code").unwrap_or_default();
        row.leaf_index = outcome.get("leaf_index").and_then(Value::as_u64);
        if let Some(refusal) = outcome.get("refusal").filter(|refusal| refusal.is_object()) {
            row.payable = None;
            let said = [text(refusal, "expected"), text(refusal, "found")].map(Option::unwrap_or_default);
            row.details = vec![format!("expected {}, found {}", said[0], said[1])];
        }
    }
    Ok(())
}

/// Submits a statement until it is decided. Sending the same again is always safe.
pub(super) fn deliver(client: &Client, statement: &[u8], output: &Output) -> Result<Reply, Failure> {
    let begun = Instant::now();
    loop {
        let call = Call { content_type: Some("application/jose"), body: Some(statement), ..Call::default() };
        let reply = client.call(&Method::POST, "/v1/statements", call);
        let again = match &reply {
            Ok(reply) => [202, 429, 502, 503, 504].contains(&reply.status) && !is_outcome(reply),
            Err(failure) => failure.exit() == Exit::Unavailable,
        };
        if !again || begun.elapsed() >= PATIENCE {
            return reply;
        }
        output.talk("it is not final yet; the same statement is sent again");
        std::thread::sleep(PAUSE);
    }
}

/// Whether an answer is what became of a statement: a limit that the ledger sets has the status of a busy node.
fn is_outcome(reply: &Reply) -> bool {
    reply.json().is_ok_and(|answer| answer.get("outcomes").is_some_and(Value::is_array))
}
