//! Rules about which files there are and how long they grow.

use std::collections::BTreeSet;

use super::findings::Finding;
use super::tree::Tree;

/// Most lines of a source file that people write.
const LINES_MAX: usize = 600;
/// Entries that must stand at the top.
const REQUIRED: [&str; 8] = ["Cargo.lock", "Cargo.toml", "README.md", "benches", "config", "crates", "proto", "tests"];
/// Entries that may stand there beside dotfiles.
const OPTIONAL: [&str; 2] = ["Dockerfile", "docker-compose.yml"];

/// The top level is exactly the list of design.md, section 2.
pub(crate) fn top_level(tree: &Tree) -> Vec<Finding> {
    let found: BTreeSet<&str> =
        tree.paths.iter().map(|path| path.split_once('/').map_or(path.as_str(), |(top, _)| top)).collect();
    let extra = found
        .iter()
        .filter(|entry| !entry.starts_with('.') && !REQUIRED.contains(entry) && !OPTIONAL.contains(entry))
        .map(|entry| Finding::new(entry, 1, "is not one of the top-level entries of design.md, section 2"));
    let missing = REQUIRED
        .iter()
        .filter(|entry| !found.contains(*entry))
        .map(|entry| Finding::new(entry, 1, "is missing at the top level"));
    extra.chain(missing).collect()
}

/// No source is longer than [`LINES_MAX`]; generated code is never tracked.
pub(crate) fn length(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > LINES_MAX).then(|| Finding::new(&file.path, lines, format!("{lines} lines, at most {LINES_MAX}")))
        })
        .collect()
}

#[test]
fn a_stray_entry_and_a_missing_one_are_found() {
    let required: Vec<(String, &str)> = REQUIRED.iter().skip(1).map(|entry| (format!("{entry}/file"), "")).collect();
    let mut files: Vec<(&str, &str)> = required.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.extend([(".gitignore", ""), ("Dockerfile", ""), ("notes.md", "")]);
    let found: Vec<String> = top_level(&Tree::of(&files)).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("notes.md:1:") && found[1].starts_with("Cargo.lock:1:"), "{found:?}");
}

#[test]
fn a_file_of_601_lines_is_found() {
    let (long, fits) = ("\n".repeat(601), "\n".repeat(600));
    let found = length(&Tree::of(&[("a.rs", &long), ("b.rs", &fits), ("c.md", &long)]));
    assert_eq!(found, [Finding::new("a.rs", 601, "601 lines, at most 600")]);
}
