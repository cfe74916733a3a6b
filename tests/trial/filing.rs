//! `filing`: one provider files a month for many taxpayers with one command, on four validators, and how long that takes.
//!
//! The tax bureau registers the taxpayers, the provider issues for each of them, and the month ends. Then `einvoice filing
//! group` looks at all months, signs one statement and has it decided: what is measured is that command, from its start to
//! its end. Repeated, it must say the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chain::statement::Mode;
use serde_json::{Value, json};

use super::binary::{Binary, Life, PATIENCE, eventually};
use super::cast::{Cast, parse_time};
use super::client::Client;
use super::{Broken, Report};

const PROVIDER: &str = "demo-isp";
const BUREAU: &str = "tax-bureau";

/// How long a statement of a thousand issues may take.
const LONG: Duration = Duration::from_secs(120);

/// A month in any case, ms.
const MONTH_MS: u64 = 32 * 24 * 3_600 * 1_000;

/// Issues in one statement.
const ISSUES: usize = 500;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed, named in the report.
    pub seed: u64,
    /// How many taxpayers are filed for.
    pub entities: usize,
    /// How many invoices each of them has.
    pub invoices: usize,
    /// For how long the filing may take at most; more is a loss.
    pub limit: Duration,
}

impl Options {
    /// The long form: what the bureau asks of a group.
    pub const fn long(binary: Binary, seed: u64, entities: usize, invoices: usize) -> Self {
        Self { binary, seed, entities, invoices, limit: Duration::from_secs(15) }
    }

    /// The short form.
    pub const fn short(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, entities: 3, invoices: 2, limit: PATIENCE }
    }
}

/// Files.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-filing-").tempdir()?;
    let mut report = Report::new("filing", options.seed);
    let outcome = file(options, directory.path(), &mut report);
    Ok(report.end(outcome, directory))
}

fn file(options: &Options, directory: &Path, report: &mut Report) -> Result<(), Broken> {
    let mut life = options.binary.dev_of(4, &directory.join("node"), &directory.join("life.log"))?;
    let ready = life.serves()?.map_err(|status| format!("the start ended: {status}\n{}", life.talk()))?;
    let cast = Arc::new(Cast::of(&ready)?);
    let url = ready["url"].as_str().ok_or("the ready file names no address")?;
    let desk = Desk { client: Client::new(url, Arc::clone(&cast)), cast, ready: &ready, directory };
    desk.client.ask_time()?;
    let entities: Vec<String> = (0..options.entities).map(|number| format!("entity-{number:04}")).collect();
    desk.register(&entities)?;
    let began = Instant::now();
    let period = desk.issue(&entities, options.invoices)?;
    report.fact("issued in s", began.elapsed().as_secs());
    desk.end_month()?;
    let mut losses = Vec::new();
    let (first, seconds) = desk.group(options, url, &period, &entities)?;
    report.fact("entities", entities.len());
    report.fact("invoices each", options.invoices);
    report.fact("declared in s", format!("{seconds:.2}"));
    if Duration::from_secs_f64(seconds) > options.limit {
        losses.push(format!("it took {seconds:.2} s, and {} are allowed", options.limit.as_secs()));
    }
    losses.extend(other_codes(&first, "accepted", entities.len()));
    let (again, seconds) = desk.group(options, url, &period, &entities)?;
    report.fact("declared again in s", format!("{seconds:.2}"));
    losses.extend(other_codes(&again, "repeated", entities.len()));
    report.round("one command for all", 0, losses);
    end(life)
}

/// Stops the consortium in order.
fn end(life: Life) -> Result<(), Broken> {
    let (status, talk) = life.stop()?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}:\n{talk}").into()) }
}

/// The results that are not as they must be.
fn other_codes(answer: &Value, code: &str, count: usize) -> Vec<String> {
    let rows = answer["entities"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut losses: Vec<String> =
        rows.iter().filter(|row| row["code"] != code).map(|row| format!("not {code}: {row}")).collect();
    if rows.len() != count {
        losses.push(format!("{} results for {count} taxpayers", rows.len()));
    }
    losses
}

/// Who files, and where.
struct Desk<'a> {
    client: Client,
    cast: Arc<Cast>,
    ready: &'a Value,
    directory: &'a Path,
}

impl Desk<'_> {
    /// Submits events of which all must be accepted.
    fn accepted(&self, who: &str, nonce: &str, events: &[String]) -> Result<Value, Broken> {
        let statement = self.cast.statement(who, nonce, Mode::All, events);
        let answer = self.client.submit(&statement, &[], LONG)?;
        if [200, 201].contains(&answer.status) {
            return Ok(answer.json());
        }
        Err(format!("{nonce} was answered {}: {}", answer.status, answer.text()).into())
    }

    /// Registers taxpayers, and attests that they let the provider issue and file for them.
    fn register(&self, entities: &[String]) -> Result<(), Broken> {
        let entry = |(number, id): (usize, &String)| json!({"id": id, "name": format!("{id} Ltd"), "taxpayer_id": taxpayer_id(number), "taxpayer_kind": "other"});
        let enterprises: Vec<Value> = entities.iter().enumerate().map(entry).collect();
        let register = json!({"register": {"enterprises": enterprises}}).to_string();
        self.accepted(BUREAU, "register", &[register])?;
        let attest = json!({"attest": {"to": PROVIDER, "scopes": ["issue", "file"], "enterprises": entities}});
        self.accepted(BUREAU, "attest", &[attest.to_string()])?;
        Ok(())
    }

    /// Issues so many invoices for each; says in which month.
    fn issue(&self, entities: &[String], invoices: usize) -> Result<String, Broken> {
        let mut last = Value::Null;
        for (number, id) in entities.iter().enumerate() {
            let events: Vec<String> = (0..invoices).map(|invoice| issue(number, id, invoice)).collect();
            for (part, events) in events.chunks(ISSUES).enumerate() {
                last = self.accepted(PROVIDER, &format!("issue-{number}-{part}"), events)?;
            }
        }
        let time = last["time"].as_str().and_then(parse_time).ok_or("nothing was issued")?;
        Ok(invoice::date::Period::from_unix_ms(time)?.to_string())
    }

    /// Lets the month pass, until a block is of the new one.
    fn end_month(&self) -> Result<(), Broken> {
        self.client.advance(MONTH_MS)?;
        let of_new_time = || {
            let status = self.client.ask_time().ok()?;
            let time = parse_time(status["block_time"].as_str()?)?;
            (time > self.cast.now_ms() - 24 * 3_600 * 1_000).then_some(())
        };
        eventually(PATIENCE, of_new_time).ok_or("no block of the new month is made")?;
        Ok(())
    }

    /// Files for all with the command; its answer, and how long it took.
    fn group(&self, options: &Options, url: &str, period: &str, entities: &[String]) -> Result<(Value, f64), Broken> {
        let list = self.directory.join("entities.txt");
        std::fs::write(&list, entities.join("\n"))?;
        let key = |purpose: &str| {
            let path = self.ready["keys"][PROVIDER][purpose].as_str().map(PathBuf::from);
            path.ok_or_else(|| format!("the ready file names no {purpose} key of {PROVIDER}"))
        };
        let (statement, login, chain) = (key("statement")?, key("login")?, self.cast.genesis.chain_id().to_string());
        let mut arguments: Vec<String> =
            ["--format", "json", "filing", "group", "--url", url, "--clock-of", url, "--period", period]
                .map(str::to_owned)
                .into();
        arguments.extend(["--chain".to_owned(), chain]);
        for (name, path) in [("--key", &statement), ("--login", &login)] {
            arguments.extend([name.to_owned(), path.display().to_string()]);
        }
        arguments.push(list.display().to_string());
        let began = Instant::now();
        let run = options.binary.run(&arguments)?;
        let seconds = began.elapsed().as_secs_f64();
        let answer = serde_json::from_str(&run.stdout);
        let answer = answer.map_err(|_| format!("it ended with {}: {}{}", run.code, run.stdout, run.stderr))?;
        Ok((answer, seconds))
    }
}

/// Fifteen digits that no organisation of a `dev` consortium has.
fn taxpayer_id(number: usize) -> String {
    format!("9159{number:011}")
}

/// An issue event, 100.00 and 13.00.
fn issue(number: usize, seller: &str, invoice: usize) -> String {
    let (name, taxpayer) = (format!("{seller} Ltd"), taxpayer_id(number));
    let line = json!({
        "name": "*餐饮服务*餐费", "tax_code": "3070401000000000000", "net": "100.00", "tax": {"rate": "0.13"},
        "tax_amount": "13.00"});
    let document = json!({
        "profile": "blockchain-ordinary", "reference": format!("G{invoice}"),
        "seller": {"name": name, "taxpayer_id": taxpayer}, "buyer": {"person": {"id": "p1"}}, "lines": [line],
        "totals": {"net": "100.00", "tax": "13.00", "gross": "113.00"}});
    json!({"issue": {"document": document}}).to_string()
}
