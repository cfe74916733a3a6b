//! Rules about every text file: no path of one machine, no registry host, no loose reminder.

use super::findings::Finding;
use super::rust::is_word;
use super::tree::Tree;

/// Folders of the machines this was written on.
const MACHINE_PATHS: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];

/// Hosts that serve packages or images. A build names none: mirrors are the machine's own affair.
const REGISTRY_HOSTS: [&str; 10] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("gcr", ".io"),
    concat!("quay", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("files.pythonhosted", ".org"),
    concat!("pypi", ".org"),
    concat!("proxy.golang", ".org"),
];

const REMINDERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// No absolute path that exists on one machine only.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    // Inside a URL or a relative path the same letters follow a name or a dot.
    let stands_alone = |before: &str, _: &str| !before.ends_with(|c| is_word(c) || c == '.' || c == '}');
    lines_with(tree, &MACHINE_PATHS, stands_alone)
}

/// No host of a registry, and no other registry in cargo's configuration.
pub(crate) fn registry_hosts(tree: &Tree) -> Vec<Finding> {
    let mut findings = lines_with(tree, &REGISTRY_HOSTS, |_, _| true);
    for file in tree.files.iter().filter(|file| file.path.starts_with(".cargo/")) {
        for (index, line) in file.text.lines().enumerate() {
            let table = line.trim_start_matches('[');
            if table.starts_with("source") || table.starts_with("registr") {
                findings.push(Finding::new(&file.path, index + 1, "cargo's configuration names a registry"));
            }
        }
    }
    findings
}

/// A reminder names its issue: the word, then `(#12)` or ` #12`.
pub(crate) fn reminders(tree: &Tree) -> Vec<Finding> {
    let is_loose = |before: &str, after: &str| {
        let is_whole_word = !before.ends_with(is_word) && !after.starts_with(is_word);
        let issue = after.trim_start_matches(['(', ' ']).strip_prefix('#').unwrap_or_default();
        is_whole_word && !issue.starts_with(|c: char| c.is_ascii_digit())
    };
    lines_with(tree, &REMINDERS, is_loose)
}

/// Each place of each needle for which `counts` holds, given the line before and after it.
fn lines_with(tree: &Tree, needles: &[&str], counts: impl Fn(&str, &str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            for needle in needles {
                if line.match_indices(needle).any(|(at, _)| counts(&line[..at], &line[at + needle.len()..])) {
                    findings.push(Finding::new(&file.path, index + 1, format!("`{needle}`")));
                }
            }
        }
    }
    findings
}

#[test]
fn machine_paths_are_found_but_urls_and_relative_paths_are_not() {
    let text = format!("open({:?})\nhttps://example{}x\n..{}x\n", MACHINE_PATHS[0], MACHINE_PATHS[2], MACHINE_PATHS[1]);
    let found = machine_paths(&Tree::of(&[("a.md", &text)]));
    assert_eq!(found, [Finding::new("a.md", 1, format!("`{}`", MACHINE_PATHS[0]))]);
}

#[test]
fn registry_hosts_and_replaced_sources_are_found() {
    let text = format!("FROM {}/x\n", REGISTRY_HOSTS[3]);
    let config = "[alias]\n[source.crates-io]\n";
    let found = registry_hosts(&Tree::of(&[("Dockerfile", &text), (".cargo/config.toml", config)]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], Finding::new(".cargo/config.toml", 2, "cargo's configuration names a registry"));
}

#[test]
fn a_reminder_without_an_issue_is_found() {
    let word = REMINDERS[0];
    let text = format!("// {word}: later\n// {word}(#12): later\n// {word} #7\n// {word}S\n");
    let found = reminders(&Tree::of(&[("a.rs", &text)]));
    assert_eq!(found, [Finding::new("a.rs", 1, format!("`{word}`"))]);
}
