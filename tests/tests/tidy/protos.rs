//! Rules about the protobuf files: everything is explained, and named as `buf lint` wants it.

use super::findings::Finding;
use super::rust::is_word;
use super::tree::{Tree, has_extension};

/// Every message, enum, service, method, field and value has a comment right above it.
pub(crate) fn comments(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| has_extension(&file.path, "proto")) {
        let mut above = "";
        for (index, line) in file.text.lines().map(str::trim).enumerate() {
            if declares(line) && !above.starts_with("//") {
                findings.push(Finding::new(&file.path, index + 1, "has no comment above it"));
            }
            above = line;
        }
    }
    findings
}

/// Fields are `lower_snake_case`; values are `UPPER_SNAKE_CASE` and begin with their enum's name.
pub(crate) fn names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| has_extension(&file.path, "proto")) {
        let mut prefix = None;
        for (index, line) in file.text.lines().map(str::trim).enumerate() {
            if let Some(name) = line.strip_prefix("enum ") {
                prefix = name.split_whitespace().next().map(|name| format!("{}_", upper_snake(name)));
            } else if line.starts_with('}') {
                prefix = None;
            } else if let Some(name) = numbered(line) {
                let fits = match &prefix {
                    Some(prefix) => {
                        name.starts_with(prefix.as_str()) && !name.contains(|c: char| c.is_ascii_lowercase())
                    }
                    None => !name.contains(|c: char| c.is_ascii_uppercase()),
                };
                if !fits {
                    findings.push(Finding::new(
                        &file.path,
                        index + 1,
                        format!("`{name}` is not named in the house style"),
                    ));
                }
            }
        }
    }
    findings
}

fn declares(line: &str) -> bool {
    ["message ", "enum ", "service ", "rpc "].iter().any(|keyword| line.starts_with(keyword))
        || numbered(line).is_some()
}

/// The name of the field or value that a line declares: the word before `= <number>`.
fn numbered(line: &str) -> Option<&str> {
    let (before, after) = line.split_once('=')?;
    let is_declaration = !line.starts_with("//") && !line.starts_with("option ");
    let has_number = after.trim_start().starts_with(|c: char| c.is_ascii_digit());
    (is_declaration && has_number).then(|| before.trim_end().rsplit(|c| !is_word(c)).next().unwrap_or_default())
}

fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_uppercase());
    }
    snake
}

#[test]
fn what_nobody_explains_or_names_well_is_found() {
    let text = "// A vote.\nmessage Vote {\n  // Height, from 1.\n  uint64 height = 1;\n  bytes blockId = 2;\n}\n\n\
                // A kind.\nenum VoteKind {\n  // None.\n  VOTE_KIND_UNSPECIFIED = 0;\n  // One.\n  PREVOTE = 1;\n}\nservice S {}\n";
    let tree = Tree::of(&[("proto/a.proto", text)]);
    let lines = |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let uncommented = ["proto/a.proto:5: has no comment above it", "proto/a.proto:15: has no comment above it"];
    assert_eq!(lines(comments(&tree)), uncommented);
    let misnamed = [
        "proto/a.proto:5: `blockId` is not named in the house style",
        "proto/a.proto:13: `PREVOTE` is not named in the house style",
    ];
    assert_eq!(lines(names(&tree)), misnamed);
}
