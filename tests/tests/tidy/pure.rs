//! The rule of the pure floors: time, randomness, files, sockets and environment come as values,
//! and nothing there differs from one machine or run to the next.

use std::collections::BTreeSet;

use super::findings::Finding;
use super::rust::{code, is_word, shipped, test_modules, words};
use super::tree::{File, Tree};

/// The rooms below the line of design.md, section 2.
pub(crate) const PURE_FLOORS: [&str; 5] = ["chain", "invoice", "ledger", "replica", "workload"];

/// Words that never stand there, and why.
const WORDS: [(&str, &str); 9] = [
    ("SystemTime", "time is an input"),
    ("Instant", "time is an input"),
    ("HashMap", "its order differs between nodes"),
    ("HashSet", "its order differs between nodes"),
    ("RandomState", "it differs between runs"),
    ("f32", "floats round"),
    ("f64", "floats round"),
    ("async", "no runtime below the line"),
    ("await", "no runtime below the line"),
];

/// Modules of `std` that never stand there, and why.
const STD_MODULES: [(&str, &str); 6] = [
    ("env", "configuration is an input"),
    ("fs", "no files below the line"),
    ("net", "no sockets below the line"),
    ("os", "no machine below the line"),
    ("process", "no processes below the line"),
    ("thread", "no threads below the line"),
];

/// Each pure floor has a `clippy.toml`, which replaces the root's and so repeats it.
pub(crate) fn clippy_files(tree: &Tree) -> Vec<Finding> {
    let parse = |path: &str| tree.files.iter().find(|file| file.path == path).map(|file| table(&file.text));
    let root = parse(".clippy.toml").expect("the root has a `.clippy.toml`");
    let mut findings = Vec::new();
    for room in PURE_FLOORS {
        let path = format!("crates/{room}/clippy.toml");
        let Some(own) = parse(&path) else {
            findings.push(Finding::new(&path, 1, "is missing"));
            continue;
        };
        let lost = root.iter().filter(|(key, value)| !own.get(*key).is_some_and(|own| includes(own, value)));
        findings.extend(lost.map(|(key, _)| Finding::new(&path, 1, format!("does not repeat the root's `{key}`"))));
        if !own.contains_key("disallowed-types") {
            findings.push(Finding::new(&path, 1, "disallows no types"));
        }
    }
    findings
}

fn table(text: &str) -> toml::Table {
    text.parse().expect("a tool file of the project is TOML")
}

/// Whether a value is the other, or a list that holds all of its entries.
fn includes(own: &toml::Value, other: &toml::Value) -> bool {
    match (own.as_array(), other.as_array()) {
        (Some(own), Some(other)) => other.iter().all(|entry| own.contains(entry)),
        _ => own == other,
    }
}

/// The code that ships on the pure floors names none of [`WORDS`] and [`STD_MODULES`].
pub(crate) fn floors(tree: &Tree) -> Vec<Finding> {
    let sources: Vec<(&File, String)> =
        tree.rust().filter(|file| is_pure(&file.path)).map(|file| (file, code(&file.text))).collect();
    let test_only: BTreeSet<String> = sources
        .iter()
        .flat_map(|(file, code)| test_modules(code).into_iter().map(|name| module(&file.path, &name)))
        .collect();
    sources
        .iter()
        .filter(|(file, _)| !test_only.iter().any(|module| belongs_to(&file.path, module)))
        .flat_map(|(file, code)| in_shipped(&file.path, &shipped(code)))
        .collect()
}

/// Whether a path is library code of a pure floor.
fn is_pure(path: &str) -> bool {
    PURE_FLOORS.iter().any(|room| {
        path.strip_prefix("crates/").and_then(|path| path.strip_prefix(room)?.strip_prefix("/src/")).is_some()
    })
}

/// The path, without extension, of the module `name` that the file at `path` declares.
fn module(path: &str, name: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    let (folder, file) = stem.rsplit_once('/').expect("library code stands in a folder");
    // `lib.rs` and `mod.rs` declare siblings, others declare children.
    if matches!(file, "lib" | "mod") { format!("{folder}/{name}") } else { format!("{stem}/{name}") }
}

/// Whether the file is the module or stands below it.
fn belongs_to(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn in_shipped(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        for (word, _) in words(line) {
            if let Some((_, why)) = WORDS.iter().find(|(banned, _)| *banned == word) {
                findings.push(Finding::new(path, index + 1, format!("`{word}`: {why}")));
            }
        }
    }
    for (line, name) in std_modules(code) {
        if let Some((_, why)) = STD_MODULES.iter().find(|(banned, _)| *banned == name) {
            findings.push(Finding::new(path, line, format!("`std::{name}`: {why}")));
        }
    }
    findings
}

/// The modules named right below `std`, singly or in a group, each with its line.
fn std_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (start, root) in code.match_indices("std") {
        let begins = !code[..start].ends_with(is_word);
        let Some(path) = code[start + root.len()..].trim_start().strip_prefix("::") else {
            continue;
        };
        if !begins {
            continue;
        }
        let path = path.trim_start();
        let names = path.strip_prefix('{').map_or_else(|| vec![path], group_entries);
        for entry in names {
            let name = entry.trim_start().split(|c| !is_word(c)).next().unwrap_or_default();
            let at = name.as_ptr().addr() - code.as_ptr().addr();
            found.push((code[..at].lines().count().max(1), name));
        }
    }
    found
}

/// The entries of a `{…}` group, given what follows its opening brace.
fn group_entries(group: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&group[start..index]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&group[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    entries
}

#[test]
fn what_the_pure_floors_may_not_name_is_found_with_its_line() {
    let text = "//! async\nuse std::time::{Duration, Instant};\nuse std::{\n    io,\n    collections::{BTreeMap, HashMap},\n    fs,\n};\n\
                fn a() -> f64 { my_std::fs() + ::std::thread::x() }\n";
    let found: Vec<String> =
        floors(&Tree::of(&[("crates/chain/src/a.rs", text)])).iter().map(ToString::to_string).collect();
    let lines: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    let expected = [2, 5, 8, 6, 8].map(|line| format!("crates/chain/src/a.rs:{line}"));
    assert_eq!(lines, expected, "{found:?}");
}

#[test]
fn tests_and_the_upper_floors_are_free() {
    let tree = Tree::of(&[
        ("crates/store/src/lib.rs", "use std::fs;"),
        ("crates/chain/tests/a.rs", "use std::fs;"),
        ("crates/chain/src/lib.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more { use std::fs; }"),
        ("crates/chain/src/tests.rs", "use std::fs;"),
        ("crates/chain/src/tests/deep.rs", "use std::env;"),
    ]);
    assert_eq!(floors(&tree), []);
}

#[test]
fn a_clippy_file_that_forgets_the_root_is_found() {
    let room = "disallowed-types = []\nlimit = 2\nlist = [1]\n";
    let tree = Tree::of(&[
        (".clippy.toml", "limit = 1\nlist = [1]\n"),
        ("crates/chain/clippy.toml", room),
        ("crates/invoice/clippy.toml", "limit = 1\nlist = [2, 1]\n"),
        ("crates/ledger/clippy.toml", "disallowed-types = []\nlimit = 1\nlist = [2, 1]\n"),
    ]);
    let found: Vec<String> = clippy_files(&tree).iter().map(ToString::to_string).collect();
    let expected = [
        "crates/chain/clippy.toml:1: does not repeat the root's `limit`",
        "crates/invoice/clippy.toml:1: disallows no types",
        "crates/replica/clippy.toml:1: is missing",
        "crates/workload/clippy.toml:1: is missing",
    ];
    assert_eq!(found, expected);
}
