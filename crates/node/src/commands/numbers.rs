//! `einvoice numbers`: which numbers of each code a running node knows to be given, and what became of them.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, ensure};
use chain::encoding::decode_base64url;
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::receipt::DecidedHeader;
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
    tally: Tally,
    missing: Vec<Value>,
    segments: Vec<Value>,
    proof: Option<Proof>,
    next: Option<String>,
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
        tally.add(page.tally);
        missing.extend(page.missing);
        segments.extend(page.segments);
        next = page.next;
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
    fn check(&self, code: &str, genesis: &Genesis) -> anyhow::Result<Value> {
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
        Ok(json!({"next_number": next, "state_height": checkpoint.height, "header_height": header.height}))
    }
}
