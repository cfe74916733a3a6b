//! Rules about third-party crates: licences, pins, bans, sources.
//!
//! `cargo deny` checks the same from `.deny.toml` and knows advisories too, but it is not part of
//! a fresh machine; these rules read the same file with what cargo alone can tell, for the platform
//! they run on.

use std::fs;
use std::process::Command;

use super::findings::{Finding, line_where};
use super::tree::root;

const LOCK: &str = "Cargo.lock";
const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A third-party crate that the build uses.
struct Crate {
    name: String,
    version: String,
    /// An SPDX expression; none when the crate only brings a file.
    licence: Option<String>,
}

/// The lock file, the policy, and the crates in use.
pub(crate) struct Supply {
    lock: String,
    policy: toml::Table,
    workspace: toml::Table,
    crates: Vec<Crate>,
}

impl Supply {
    /// Reads the lock file, `.deny.toml` and what cargo says of the crates in use.
    pub(crate) fn load() -> Self {
        let read = |path: &str| fs::read_to_string(root().join(path)).expect("a tool file of the project can be read");
        let parse = |path: &str| read(path).parse().expect("a tool file of the project is TOML");
        let mut crates: Vec<Crate> = tree().lines().filter_map(Crate::of).collect();
        crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        crates.dedup_by(|one, other| (&one.name, &one.version) == (&other.name, &other.version));
        Self { crates, lock: read(LOCK), policy: parse(".deny.toml"), workspace: parse("Cargo.toml") }
    }
}

impl Crate {
    /// From a line of cargo's tree: name, version and where it comes from, and the licence. Nothing for our own.
    fn of(line: &str) -> Option<Self> {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
        let own = words.any(|word| word.starts_with("(/") || word.contains(":\\"));
        let licence = licence.trim_end_matches("(*)").trim();
        let licence = (!licence.is_empty()).then(|| licence.to_owned());
        (!own).then(|| Self { name: name.to_owned(), version: version.to_owned(), licence })
    }
}

/// What cargo builds here, of every package, for every purpose, on this platform. The lock file names more: what
/// features that are off would bring.
fn tree() -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["tree", "--workspace", "--locked", "--prefix", "none"]);
    command.args(["--edges", "normal,build,dev", "--format", "{p}|{l}"]);
    let output = command.output().expect("cargo runs this test, so it can be run");
    assert!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Every crate's licence can be satisfied with those that `.deny.toml` allows.
pub(crate) fn licences(supply: &Supply) -> Vec<Finding> {
    let allowed = strings(&supply.policy, "licenses", "allow");
    let breach = |used: &Crate| match &used.licence {
        None => Some("states no licence".to_owned()),
        Some(licence) => (!is_satisfied(licence, &allowed)).then(|| format!("is under `{licence}`")),
    };
    supply.crates.iter().filter_map(|used| breach(used).map(|message| supply.finding(used, &message))).collect()
}

/// A crate that the workspace pins with `=` reaches the rules or the disk: it has one version.
pub(crate) fn pins(supply: &Supply) -> Vec<Finding> {
    let pinned =
        supply.workspace["workspace"]["dependencies"].as_table().into_iter().flatten().filter_map(|(name, entry)| {
            let version = entry.as_str().or_else(|| entry.get("version")?.as_str())?;
            Some((name, version.strip_prefix('=')?.trim()))
        });
    let pinned: Vec<_> = pinned.collect();
    let is_other = |used: &&Crate| pinned.iter().any(|(name, version)| **name == used.name && *version != used.version);
    supply.crates.iter().filter(is_other).map(|used| supply.finding(used, "is not the pinned version")).collect()
}

/// Crates that `.deny.toml` bans for everybody are not in the lock file.
pub(crate) fn bans(supply: &Supply) -> Vec<Finding> {
    let bans = supply.policy["bans"]["deny"].as_array().expect(".deny.toml lists bans");
    // A ban with wrappers is a fence; `packages::fences` holds those.
    let banned = bans.iter().filter(|ban| ban.get("wrappers").is_none());
    let names = banned.map(|ban| ban["name"].as_str().expect("a ban names a crate"));
    let found = names.filter(|name| supply.lock.contains(&format!("name = \"{name}\"\n")));
    found.map(|name| Finding::new(LOCK, supply.line(name, None), format!("`{name}` is banned"))).collect()
}

/// Every source in the lock file is the public registry, and no mirror of one machine.
pub(crate) fn sources(supply: &Supply) -> Vec<Finding> {
    let source = |line: &str| line.strip_prefix("source = \"").map(|source| source.trim_end_matches('"').to_owned());
    let lines = supply.lock.lines().enumerate().filter_map(|(index, line)| Some((index, source(line)?)));
    let other = lines.filter(|(_, source)| source != PUBLIC_REGISTRY);
    other.map(|(index, source)| Finding::new(LOCK, index + 1, format!("comes from {source}"))).collect()
}

impl Supply {
    fn finding(&self, used: &Crate, message: &str) -> Finding {
        let line = self.line(&used.name, Some(&used.version));
        Finding::new(LOCK, line, format!("`{} {}` {message}", used.name, used.version))
    }

    /// Where the lock file names the crate.
    fn line(&self, name: &str, version: Option<&str>) -> usize {
        let name = format!("name = \"{name}\"");
        let lines: Vec<&str> = self.lock.lines().collect();
        let is_it = |pair: &[&str]| {
            pair[0] == name && version.is_none_or(|version| pair[1].contains(&format!("\"{version}\"")))
        };
        lines.windows(2).position(is_it).map_or_else(|| line_where(&self.lock, |line| line == name), |index| index + 1)
    }
}

fn strings<'a>(table: &'a toml::Table, section: &str, key: &str) -> Vec<&'a str> {
    let values = table[section][key].as_array().expect("the policy lists values");
    values.iter().map(|value| value.as_str().expect("the policy lists texts")).collect()
}

/// Whether an SPDX expression can be satisfied: `AND` binds closer than `OR`, an old `/` means `OR`.
fn is_satisfied(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    any(&mut tokens, allowed) && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut satisfied = all(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        satisfied |= all(tokens, allowed);
    }
    satisfied
}

fn all(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut satisfied = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        satisfied &= one(tokens, allowed);
    }
    satisfied
}

fn one(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    match tokens.next() {
        Some("(") => any(tokens, allowed) & (tokens.next() == Some(")")),
        Some(licence) if tokens.next_if_eq(&"WITH").is_some() => {
            let exception = tokens.next().unwrap_or_default();
            allowed.contains(&format!("{licence} WITH {exception}").as_str())
        }
        Some(licence) => allowed.contains(&licence),
        None => false,
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_reads_them() {
    let allowed = ["MIT", "ISC"];
    let check =
        |expression: &str, expected: bool| assert_eq!(is_satisfied(expression, &allowed), expected, "{expression}");
    check("MIT", true);
    check("GPL-3.0-only", false);
    check("MIT/Apache-2.0", true);
    check("Apache-2.0 OR MIT AND GPL-3.0-only", false);
    check("(Apache-2.0 OR MIT) AND ISC", true);
    check("MIT AND (GPL-3.0-only OR BSD-3-Clause)", false);
    check("MIT WITH LLVM-exception", false);
    check("MIT WITH LLVM-exception OR ISC", true);
    check("(MIT", false);
    check("MIT ISC", false);
}

#[test]
fn a_second_version_a_ban_a_licence_and_a_mirror_are_found() {
    let lock =
        "[[package]]\nname = \"openssl\"\nversion = \"0.9.0\"\nsource = \"registry+https://mirror.example/index\"\n";
    let supply = Supply {
        lock: lock.to_owned(),
        policy: "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ name = \"openssl\" }]\n".parse().expect("TOML"),
        workspace: "[workspace.dependencies]\nopenssl = \"=1.0.0\"\n".parse().expect("TOML"),
        crates: vec![Crate { name: "openssl".into(), version: "0.9.0".into(), licence: None }],
    };
    for (rule, line) in [(licences(&supply), 2), (pins(&supply), 2), (bans(&supply), 2), (sources(&supply), 4)] {
        assert_eq!(rule.len(), 1, "{rule:?}");
        assert!(rule[0].to_string().starts_with(&format!("Cargo.lock:{line}: ")), "{rule:?}");
    }
}
