//! `einvoice sign`: events and a statement key make a statement.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use chain::encoding::encode_base64url;
use chain::identity::{ChainId, OrganisationId};
use chain::statement::{Draft, Limits, Mode, Nonce, Statement, StatementHeader, payload};
use clap::ValueEnum;
use ledger::organisation::Purpose;
use serde_json::value::RawValue;

use crate::client::ClockSource;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::{self, NamedKey};
use crate::output::Output;

/// How many bytes a file of events may have: what a statement may have.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Sign a statement.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The events: a JSON array of them, or a single one; `-` is stdin.
    events: PathBuf,
    /// Whether the events stand together or each for itself.
    #[arg(long, value_enum, default_value_t = ModeName::All)]
    mode: ModeName,
    #[command(flatten)]
    signing: Signing,
}

/// With what a statement is signed, for which chain, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Signing {
    /// The statement key.
    #[arg(long)]
    key: PathBuf,
    /// The chain: `<name>@<genesis hash>`.
    #[arg(long)]
    chain: ChainId,
    /// The idempotency key; random when absent. Signing again with the same one is a retry.
    #[arg(long)]
    nonce: Option<Nonce>,
    /// For how many seconds the statement may be submitted; at most a day.
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    exp: u64,
    #[command(flatten)]
    clock: ClockSource,
}

/// A mode, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    /// All are accepted, or all are refused.
    All,
    /// Each is accepted or refused for itself.
    Each,
}

/// Signs.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let bytes = files::read(&args.events, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
    let events =
        events(&bytes).with_context(|| format!("read the events in {}", args.events.display())).or_exit(Exit::Usage)?;
    let mode = match args.mode {
        ModeName::All => Mode::All,
        ModeName::Each => Mode::Each,
    };
    sign(&args.signing, mode, &events, output)
}

/// Signs events, and prints the statement.
pub(crate) fn sign(signing: &Signing, mode: Mode, events: &[String], output: &Output) -> Result<Exit, Failure> {
    print(&statement(signing, mode, events)?, output)
}

/// Prints a statement.
pub(crate) fn print(statement: &Statement, output: &Output) -> Result<Exit, Failure> {
    let text = std::str::from_utf8(statement.bytes()).context("write the statement").or_exit(Exit::Unexpected)?;
    output.line(text)?;
    Ok(Exit::Done)
}

/// Signs events.
pub(crate) fn statement(signing: &Signing, mode: Mode, events: &[String]) -> Result<Statement, Failure> {
    let key = NamedKey::load(&signing.key, Purpose::Statement).or_exit(Exit::Usage)?;
    let nonce = match &signing.nonce {
        Some(nonce) => nonce.clone(),
        None => random_nonce()?,
    };
    let header = StatementHeader {
        organisation: key.organisation.clone(),
        key: key.key_id.clone(),
        chain: signing.chain.clone(),
        nonce,
        expires_at: signing.clock.now_s()?.saturating_add(signing.exp),
    };
    let jws = Draft::new(header, payload(mode, events)).sign(&key.secret);
    // Whatever a node would refuse unread is refused here, before it goes anywhere.
    Statement::parse(jws, &Limits::default()).context("make a statement of them").or_exit(Exit::Usage)
}

impl Signing {
    /// The chain that the statement is for.
    pub(crate) const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Who signs.
    pub(crate) fn organisation(&self) -> anyhow::Result<OrganisationId> {
        Ok(NamedKey::load(&self.key, Purpose::Statement)?.organisation)
    }
}

/// The events in a file, each as its JSON stands.
fn events(bytes: &[u8]) -> anyhow::Result<Vec<String>> {
    let bytes = bytes.trim_ascii();
    if bytes.first() == Some(&b'[') {
        let events: Vec<&RawValue> = chain::json::from_slice(bytes)?;
        return Ok(events.into_iter().map(|event| event.get().to_owned()).collect());
    }
    let event: &RawValue = chain::json::from_slice(bytes)?;
    Ok(vec![event.get().to_owned()])
}

/// A nonce that nobody used before.
pub(crate) fn random_nonce() -> anyhow::Result<Nonce> {
    let bytes = keys::random()?;
    let half = bytes.get(..16).ok_or_else(|| anyhow!("make a nonce"))?;
    Nonce::new(encode_base64url(half)).context("make a nonce")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_and_a_list_of_events_are_both_taken_as_they_stand() {
        assert_eq!(events(b" {\"a\": 1} ").unwrap(), ["{\"a\": 1}"]);
        assert_eq!(events(b"[{\"a\":1}, {\"b\":2}]").unwrap(), ["{\"a\":1}", "{\"b\":2}"]);
        assert!(events(b"[{\"a\":1,\"a\":2}]").is_err(), "a field given twice could be read in two ways");
    }
}
