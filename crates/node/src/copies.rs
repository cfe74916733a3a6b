//! Genesis files: copies that are passed round to be signed, and the one that everybody has signed.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use chain::genesis::{GENESIS_BYTES_MAX, Genesis};
use serde_json::Value;

use crate::files;

/// How many differences are told of two copies.
const DIFFERENCES_MAX: usize = 3;

/// Reads a genesis that all its validators have signed: what a node starts on.
pub(crate) fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let genesis = read_copy(path)?;
    genesis.verify_countersignatures().with_context(|| format!("use the genesis {}", path.display()))?;
    Ok(genesis)
}

/// Reads a copy, signed or not.
pub(crate) fn read_copy(path: &Path) -> anyhow::Result<Genesis> {
    let limit = u64::try_from(GENESIS_BYTES_MAX).unwrap_or(u64::MAX);
    let context = || format!("read the genesis {}", path.display());
    Genesis::parse(&files::read(path, limit)?).with_context(context)
}

/// Takes over the signatures of another copy, which must be of the very same genesis.
pub(crate) fn merge(genesis: &mut Genesis, copy: &Genesis, path: &Path) -> anyhow::Result<()> {
    let context = || format!("merge the signatures of {}", path.display());
    if copy.hash() != genesis.hash() {
        let all = differences(genesis, copy)?;
        let (expected, found) = (genesis.hash(), copy.hash());
        let told = all.iter().take(DIFFERENCES_MAX).cloned().collect::<Vec<_>>().join("; ");
        let more = match all.len().saturating_sub(DIFFERENCES_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        return Err(anyhow!("it is of another genesis ({found}, expected {expected}): {told}{more}"))
            .with_context(context);
    }
    genesis.merge(copy).with_context(context)
}

/// Writes a copy. One of the same genesis that is there is replaced, and its signatures are kept; nothing else is.
pub(crate) fn write(genesis: &mut Genesis, path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return Err(anyhow!("write a genesis to stdout: it is what others sign, so it needs a file"));
    }
    if path.exists() {
        let there = read_copy(path).with_context(|| format!("replace {}, which is something else", path.display()))?;
        merge(genesis, &there, path)?;
        files::replace(path, &genesis.to_bytes(), false)
    } else {
        files::create_public(path, &genesis.to_bytes())
    }
}

/// Where two genesis bodies differ, each place with what the two say.
fn differences(one: &Genesis, other: &Genesis) -> anyhow::Result<Vec<String>> {
    let read = |genesis: &Genesis| serde_json::from_slice::<Value>(genesis.body_bytes()).context("read a genesis body");
    let mut found = Vec::new();
    compare("", Some(&read(one)?), Some(&read(other)?), &mut found);
    if found.is_empty() {
        found.push("they say the same in other bytes".to_owned());
    }
    Ok(found)
}

fn compare(path: &str, one: Option<&Value>, other: Option<&Value>, found: &mut Vec<String>) {
    match (one, other) {
        (one, other) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                compare(&format!("{path}/{name}"), one.get(name), other.get(name), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for place in 0..one.len().max(other.len()) {
                compare(&format!("{path}/{place}"), one.get(place), other.get(place), found);
            }
        }
        (one, other) => found.push(format!("{path}: expected {}, found {}", excerpt(one), excerpt(other))),
    }
}

fn excerpt(value: Option<&Value>) -> String {
    const CHARS_MAX: usize = 80;
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
