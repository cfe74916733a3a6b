//! Who acts in a trial: the organisations of a `dev` consortium with their keys, and the node's time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chain::encoding::decode_base64url_array;
use chain::genesis::Genesis;
use chain::identity::{KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::login::LoginDraft;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use serde_json::Value;

use super::Broken;

/// For how long a statement may be decided, seconds of the node's clock.
const VALID_S: u64 = 12 * 3_600;

/// For how long a token is good, seconds.
const TOKEN_S: u64 = 3_000;

struct Keys {
    statement: (KeyId, SecretKey),
    login: (KeyId, SecretKey),
}

/// The organisations of a `dev` consortium.
pub struct Cast {
    /// The chain's genesis.
    pub genesis: Genesis,
    node_id: String,
    keys: BTreeMap<String, Keys>,
    /// How far the node's clock is ahead of this machine's, ms.
    ahead_ms: AtomicI64,
}

impl Cast {
    /// Reads the keys that a ready file names.
    pub fn of(ready: &Value) -> Result<Self, Broken> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("the ready file lacks a text");
        let genesis = Genesis::parse(&std::fs::read(text(&ready["genesis"])?)?)?;
        let mut keys = BTreeMap::new();
        for (organisation, paths) in ready["keys"].as_object().ok_or("the ready file names no keys")? {
            let statement = key(Path::new(&text(&paths["statement"])?))?;
            let login = key(Path::new(&text(&paths["login"])?))?;
            keys.insert(organisation.clone(), Keys { statement, login });
        }
        Ok(Self { genesis, node_id: text(&ready["node_id"])?, keys, ahead_ms: AtomicI64::new(0) })
    }

    /// Reads the keys of everybody in the directory that `init --local` made, to speak with one of its nodes.
    pub fn in_directory(home: &Path, node_id: &str) -> Result<Self, Broken> {
        let genesis = Genesis::parse(&std::fs::read(home.join("genesis.json"))?)?;
        let mut keys = BTreeMap::new();
        for entry in std::fs::read_dir(home.join("keys"))? {
            let own = entry?.path();
            let (statement, login) = (own.join("statement-1.json"), own.join("login-1.json"));
            if let (Some(name), true) = (own.file_name(), statement.exists() && login.exists()) {
                let own = Keys { statement: key(&statement)?, login: key(&login)? };
                keys.insert(name.to_string_lossy().into_owned(), own);
            }
        }
        Ok(Self { genesis, node_id: node_id.to_owned(), keys, ahead_ms: AtomicI64::new(0) })
    }

    /// The node's time as far as it is known, ms UTC.
    pub fn now_ms(&self) -> i64 {
        machine_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }

    /// Sets what time the node says it is.
    pub fn set_time(&self, time: &str) -> Result<(), Broken> {
        let ms = parse_time(time).ok_or_else(|| format!("{time} is no time"))?;
        self.ahead_ms.store(ms - machine_ms(), Ordering::SeqCst);
        Ok(())
    }

    fn now_s(&self) -> u64 {
        u64::try_from(self.now_ms() / 1_000).unwrap_or(0)
    }

    fn keys(&self, organisation: &str) -> &Keys {
        self.keys.get(organisation).unwrap_or_else(|| panic!("{organisation} has keys in a dev consortium"))
    }

    /// A statement signed by an organisation itself.
    pub fn statement(&self, organisation: &str, nonce: &str, mode: Mode, events: &[String]) -> Vec<u8> {
        let (id, secret) = &self.keys(organisation).statement;
        let header = StatementHeader {
            organisation: named(organisation),
            key: id.clone(),
            chain: self.genesis.chain_id(),
            nonce: Nonce::new(nonce).expect("nonces of trials are short"),
            expires_at: self.now_s() + VALID_S,
        };
        Draft::new(header, payload(mode, events)).sign(secret)
    }

    /// A token for reading.
    pub fn token(&self, organisation: &str) -> String {
        let (id, secret) = &self.keys(organisation).login;
        // A little in the past: the node's clock may have been set back a moment by a restart.
        let issued_at = self.now_s().saturating_sub(20);
        let draft = LoginDraft {
            organisation: named(organisation),
            key: id.clone(),
            audience: self.node_id.clone(),
            issued_at,
            expires_at: issued_at + TOKEN_S,
            jti: None,
            request: None,
            body_sha256: None,
        };
        draft.sign(secret)
    }
}

fn named(organisation: &str) -> OrganisationId {
    OrganisationId::new(organisation).expect("the dev consortium's ids are sound")
}

fn key(path: &Path) -> Result<(KeyId, SecretKey), Broken> {
    let file: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let text = |name: &str| file[name].as_str().ok_or_else(|| format!("{} lacks {name}", path.display()));
    let seed = decode_base64url_array(text("seed")?).map_err(|_| "a seed is 32 bytes")?;
    Ok((KeyId::new(text("key_id")?)?, SecretKey::from_seed(seed)))
}

fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time as the node writes it: `2026-11-15T04:00:00.123Z`, ms UTC.
pub fn parse_time(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = text.get(19..)?.strip_suffix('Z')?.strip_prefix('.').unwrap_or("0");
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // Days since 1970 of the proleptic Gregorian calendar, with years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms)
}

#[test]
fn times_are_read_as_the_node_writes_them() {
    assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(parse_time("2026-11-15T04:00:00Z"), Some(crate::consortium::NOON));
    assert_eq!(parse_time("2024-02-29T00:00:00.25Z"), Some(1_709_164_800_250));
    assert_eq!(parse_time("soon"), None);
}
