//! `einvoice numbers`: which numbers of each code a running node knows to be given, and what became of them.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, ensure};
use chain::encoding::decode_base64url;
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::receipt::DecidedHeader;
use invoice::InvoiceId;
use ledger::organisation::Purpose;
use ledger::record::CounterRecord;
use ledger::state::{StateKey, decode};
use ledger::tree::RecordProof;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{Client, NodeAddress};
use crate::commands::submit::Answer;
use crate::commands::token;
use crate::commands::verify::genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::keys::NamedKey;
use crate::output::Output;

/// For how long a token of this command is valid, seconds.
const TOKEN_TTL_S: u64 = 3_600;

/// Codes that a node is listened to about: nine a year of the ledger's own, and as many for contingencies.
const CODES_MAX: usize = 100_000;

/// Say which numbers of invoices were given, what became of them, and that none is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code: its 12 digits, or the first 5 of digital numbers. Without one, the codes are listed.
    #[arg(value_parser = digits)]
    code: Option<String>,
    #[command(flatten)]
    node: NodeAddress,
    /// The login key: of an auditor or the tax bureau for all numbers, of another for those of its segments.
    #[arg(long, value_name = "FILE", env = "EINVOICE_LOGIN_KEY")]
    key: PathBuf,
    /// The genesis; with it, the proof of the code's next number is checked.
    #[arg(long, value_name = "FILE", requires = "code")]
    genesis: Option<PathBuf>,
}

fn digits(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("expected the digits of a code".to_owned())
    }
}

/// A page of the node's answer, as far as it is added up. The rest is shown as it came.
#[derive(Debug, Deserialize)]
struct Page {
    code: String,
    of_segments: bool,
    first_number: u64,
    next_number: Option<u64>,
    #[serde(rename = "page")]
    numbers: Option<Run>,
    tally: Tally,
    missing: Vec<Run>,
    segments: Vec<Value>,
    proof: Option<Proof>,
    next: Option<String>,
}

/// Numbers that follow each other, both themselves included.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Run {
    first: u64,
    last: u64,
}

impl Run {
    /// How many there are; none of what is no run.
    const fn count(self) -> u64 {
        if self.last < self.first { 0 } else { (self.last - self.first).saturating_add(1) }
    }
}

/// A segment of a page, as far as it is added up.
#[derive(Debug, Deserialize)]
struct Counted {
    segment: Segment,
    tally: Tally,
}

/// What is said of a segment's numbers.
#[derive(Debug, Deserialize)]
struct Segment {
    count: u64,
    used: u64,
    unused: Vec<Unused>,
}

/// Numbers of a segment without an invoice.
#[derive(Debug, Deserialize)]
struct Unused {
    first: InvoiceId,
    last: InvoiceId,
}

/// Holds pages against each other: what a node leaves out must show.
struct Covered {
    /// The number that the next page begins with.
    next: u64,
    /// Whether the caller may see every number.
    whole: bool,
}

impl Covered {
    /// A page says of each of its numbers what became of it, and follows the page before.
    fn take(&mut self, page: &Page) -> anyhow::Result<()> {
        let Some(run) = page.numbers else {
            let nothing = page.tally.used == 0 && page.missing.is_empty() && page.segments.is_empty();
            ensure!(nothing && page.next.is_none(), "read a page of numbers: it does not say which it is about");
            return Ok(());
        };
        let follows = if self.whole { run.first == self.next } else { run.first >= self.next };
        ensure!(
            follows && run.last >= run.first,
            "read a page of numbers: expected those from {} on, found {} to {}",
            self.next,
            run.first,
            run.last
        );
        self.next = run.last.saturating_add(1);
        let mut told = page.missing.iter().fold(page.tally.used, |sum, run| sum.saturating_add(run.count()));
        for segment in &page.segments {
            let counted = Counted::deserialize(segment).context("read a segment of a page")?;
            told = told.saturating_add(counted.unused()?);
        }
        ensure!(
            !self.whole || told == run.count(),
            "add up the numbers {} to {}: expected {} that are used, missing or left in segments, found {told}",
            run.first,
            run.last,
            run.count()
        );
        Ok(())
    }

    /// The pages come as far as the code does, and that is as far as was proved at least.
    fn end(&self, told: u64, proved: Option<u64>) -> anyhow::Result<()> {
        let least = proved.unwrap_or(told);
        ensure!(told >= least, "compare the next number with the proved one: expected at least {least}, found {told}");
        let next = self.next;
        ensure!(next >= told, "add up all pages: expected the numbers before {told}, found those before {next}");
        Ok(())
    }
}

impl Counted {
    /// How many of its numbers have no invoice.
    fn unused(&self) -> anyhow::Result<u64> {
        let Segment { count, used, unused } = &self.segment;
        let runs = unused.iter().map(|run| Run { first: run.first.number_in_code(), last: run.last.number_in_code() });
        let free = runs.fold(0, |sum: u64, run| sum.saturating_add(run.count()));
        ensure!(
            *used == self.tally.used && used.saturating_add(free) == *count,
            "add up a segment: expected {count} numbers, found {used} used and {free} unused"
        );
        Ok(free)
    }
}

/// What became of numbers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Tally {
    used: u64,
    void: u64,
    part_red: u64,
    full_red: u64,
    red_letters: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        let Self { used, void, part_red, full_red, red_letters } = other;
        self.used = self.used.saturating_add(used);
        self.void = self.void.saturating_add(void);
        self.part_red = self.part_red.saturating_add(part_red);
        self.full_red = self.full_red.saturating_add(full_red);
        self.red_letters = self.red_letters.saturating_add(red_letters);
    }
}

/// The proof of a code's next number.
#[derive(Debug, Deserialize)]
struct Proof {
    state_height: u64,
    decided: DecidedHeader,
    next_number: u64,
    stored: String,
    siblings: Vec<Hash>,
}

/// What a proof has proved.
#[derive(Debug, Serialize)]
struct Proved {
    next_number: u64,
    state_height: u64,
    header_height: u64,
}

/// Asks the node, page by page.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let key = NamedKey::load(&args.key, Purpose::Login).or_exit(Exit::Usage)?;
    let client = Client::of(&args.node)?;
    let door = client.identify()?;
    let token = token::mint(&key, &door.node, door.now_s(), TOKEN_TTL_S, None, None)?;
    let ask = |path: &str, cursor: Option<&str>| {
        let path = cursor.map_or_else(|| path.to_owned(), |cursor| format!("{path}?cursor={cursor}"));
        client.get(&path, Some(&token))?.succeeded("ask the node about numbers")?.json()
    };
    match &args.code {
        None => list(ask, output),
        Some(code) => {
            let genesis = args.genesis.as_deref().map(genesis).transpose()?;
            report(code, genesis.as_ref(), ask, output)
        }
    }
}

/// Lists the codes.
fn list(ask: impl Fn(&str, Option<&str>) -> Result<Value, Failure>, output: &Output) -> Result<Exit, Failure> {
    let (mut codes, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = ask("/v1/numbers", cursor.as_deref())?;
        codes.extend(page.get("codes").and_then(Value::as_array).cloned().unwrap_or_default());
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        if codes.len() > CODES_MAX {
            return Err(Failure::text(Exit::Unexpected, format!("list the codes: the node names over {CODES_MAX}")));
        }
    }
    output.data(&Answer(json!({ "codes": codes })))?;
    Ok(Exit::Done)
}

/// Adds the pages of a code up.
fn report(
    code: &str,
    genesis: Option<&Genesis>,
    ask: impl Fn(&str, Option<&str>) -> Result<Value, Failure>,
    output: &Output,
) -> Result<Exit, Failure> {
    let path = format!("/v1/numbers/{code}");
    let read = |cursor: Option<&str>| -> Result<Page, Failure> {
        serde_json::from_value(ask(&path, cursor)?).context("read the node's answer").or_exit(Exit::Unexpected)
    };
    let first = read(None)?;
    let mut covered = Covered { next: first.first_number, whole: first.next_number.is_some() };
    covered.take(&first).or_exit(Exit::Findings)?;
    let proved = match (genesis, &first.proof) {
        (Some(genesis), Some(proof)) => Some(proof.check(code, genesis).or_exit(Exit::Findings)?),
        (Some(_), None) => {
            output
                .talk("nothing is proved yet: no header carries a state with this code, or the caller may not see it");
            None
        }
        (None, _) => None,
    };
    let Page { code, of_segments, first_number, next_number, mut tally, mut missing, mut segments, mut next, .. } =
        first;
    while let Some(cursor) = next {
        let page = read(Some(&cursor))?;
        covered.take(&page).or_exit(Exit::Findings)?;
        tally.add(page.tally);
        missing.extend(page.missing);
        segments.extend(page.segments);
        next = page.next;
    }
    if let Some(told) = next_number {
        covered.end(told, proved.as_ref().map(|proved| proved.next_number)).or_exit(Exit::Findings)?;
    }
    let whole = missing.is_empty();
    output.data(&Answer(json!({
        "code": code, "of_segments": of_segments, "first_number": first_number, "next_number": next_number,
        "tally": tally, "missing": missing, "segments": segments, "proved": proved})))?;
    if whole {
        return Ok(if genesis.is_some() && proved.is_none() { Exit::Incomplete } else { Exit::Done });
    }
    Err(Failure::text(Exit::Findings, format!("find an invoice for each number of {code}")))
}

impl Proof {
    /// What it proves; nothing that the node says beside it is believed.
    fn check(&self, code: &str, genesis: &Genesis) -> anyhow::Result<Proved> {
        let header = self.decided.verify(genesis).context("verify the header of the proof")?;
        let checkpoint = &header.state_checkpoint;
        let key = StateKey::counter_of(code);
        let stored = decode_base64url(&self.stored).context("read the stored record")?;
        let root = RecordProof { siblings: self.siblings.clone() }.root(&key, &stored);
        let found = root.ok_or_else(|| anyhow!("read the proof: it has more than 256 hashes"))?;
        let expected = checkpoint.root;
        ensure!(found == expected, "verify the next number of {code}: expected the root {expected}, found {found}");
        let CounterRecord { next } = decode(&key, &stored).context("read the proved record")?;
        let told = (self.next_number, self.state_height);
        ensure!(
            told == (next, checkpoint.height),
            "verify the next number of {code}: expected {next} at height {}, found {} at {}",
            checkpoint.height,
            told.0,
            told.1
        );
        Ok(Proved { next_number: next, state_height: checkpoint.height, header_height: header.height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(first: u64, last: u64, used: u64, next: Option<&str>) -> Page {
        let run = Some(Run { first, last });
        let tally = Tally { used, ..Tally::default() };
        let (missing, segments, next) = (Vec::new(), Vec::new(), next.map(str::to_owned));
        let code = "144032609110".to_owned();
        Page {
            code,
            of_segments: false,
            first_number: 1,
            next_number: Some(5),
            numbers: run,
            tally,
            missing,
            segments,
            proof: None,
            next,
        }
    }

    fn covered(pages: &[Page]) -> anyhow::Result<Covered> {
        let mut covered = Covered { next: 1, whole: true };
        pages.iter().try_for_each(|page| covered.take(page))?;
        Ok(covered)
    }

    #[test]
    fn what_a_node_leaves_out_of_its_pages_shows() {
        let honest = covered(&[page(1, 4, 4, Some("a")), page(5, 6, 2, None)]).unwrap();
        assert!(honest.end(7, Some(5)).is_ok());
        assert!(honest.end(5, Some(5)).is_ok(), "what was issued meanwhile may be there too");
        assert!(honest.end(5, Some(6)).is_err(), "fewer than were proved");
        assert!(honest.end(8, None).is_err(), "fewer than the node says itself");
        assert!(covered(&[page(1, 4, 3, None)]).is_err(), "one of which nothing is said");
        assert!(covered(&[page(2, 4, 3, None)]).is_err(), "not from the first on");
        assert!(covered(&[page(1, 4, 4, Some("a")), page(1, 4, 4, Some("a"))]).is_err(), "the same page for ever");
        let mut empty = page(1, 1, 0, Some("a"));
        empty.numbers = None;
        assert!(covered(&[empty]).is_err(), "an empty page that goes on");
    }

    #[test]
    fn a_segment_says_of_each_of_its_numbers_what_became_of_it() {
        let segment = |used: u64, last: &str| {
            let unused = json!([{"first": "144032609010-00000003", "last": format!("144032609010-{last}")}]);
            let tally = json!({"used": used, "void": 0, "part_red": 0, "full_red": 0, "red_letters": 0});
            json!({"segment": {"count": 5, "used": used, "unused": unused}, "tally": tally})
        };
        let with = |segment: Value| {
            let mut of_segment = page(1, 5, 2, None);
            of_segment.segments.push(segment);
            covered(&[of_segment]).map(drop)
        };
        assert!(with(segment(2, "00000005")).is_ok());
        assert!(with(segment(2, "00000004")).is_err());
        assert!(with(segment(3, "00000005")).is_err());
    }
}
