//! Rules about every Rust source.

use super::findings::Finding;
use super::rust::{code, words};
use super::tree::Tree;

/// Every module begins with its `//!` head.
pub(crate) fn module_heads(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|file| {
            let head = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            head.strip_prefix("//!").is_none_or(|head| head.trim().is_empty())
        })
        .map(|file| Finding::new(&file.path, 1, "begins without a `//!` head"))
        .collect()
}

/// Code is ASCII; comments and literals may say anything.
pub(crate) fn ascii_identifiers(tree: &Tree) -> Vec<Finding> {
    in_code(tree, |line| {
        let found = line.chars().find(|c| !c.is_ascii())?;
        Some(format!("{found:?} in code"))
    })
}

/// Nothing is silenced or skipped: expect with a reason instead, or assert today's behaviour.
pub(crate) fn silenced(tree: &Tree) -> Vec<Finding> {
    in_code(tree, |line| {
        attributes(line).find_map(|attribute| {
            let (name, after) = words(attribute).find(|(word, _)| *word == "allow" || *word == "ignore")?;
            let silences = name == "ignore" || after.trim_start().starts_with('(');
            silences.then(|| format!("`#[{name}]` hides what it covers"))
        })
    })
}

/// The attributes that begin on a line.
fn attributes(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').skip(1).filter_map(|part| part.trim_start_matches('!').strip_prefix('[')?.split(']').next())
}

/// No unsafe block, function, trait or impl.
pub(crate) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let keyword = concat!("un", "safe");
    in_code(tree, |line| words(line).any(|(word, _)| word == keyword).then(|| format!("`{keyword}`")))
}

/// What `rule` says about each line of code.
fn in_code(tree: &Tree, rule: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (index, line) in code(&file.text).lines().enumerate() {
            findings.extend(rule(line).map(|message| Finding::new(&file.path, index + 1, message)));
        }
    }
    findings
}

#[test]
fn a_module_without_a_head_is_found() {
    let tree = Tree::of(&[("a.rs", "//! Head.\n"), ("b.rs", "use a;\n//! Late.\n"), ("c.rs", ""), ("d.rs", "//!\n")]);
    assert_eq!(module_heads(&tree).len(), 3);
}

#[test]
fn a_letter_outside_ascii_is_found_in_code_only() {
    let tree = Tree::of(&[("a.rs", "// 發票\nlet a = \"發票\";\nlet 發 = 1;\n")]);
    assert_eq!(ascii_identifiers(&tree), [Finding::new("a.rs", 3, "'發' in code")]);
}

#[test]
fn silencing_attributes_are_found_and_expectations_are_not() {
    let text = "#[allow(dead_code)]\n#[expect(dead_code, reason = \"allow\")]\n#[ignore = \"slow\"]\n#![allow(x)]\n\
                #[cfg_attr(test, allow(x))]\n#[serde(default)] fn allow(x: u8) {}\n";
    let lines: Vec<String> = silenced(&Tree::of(&[("a.rs", text)])).iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn the_keyword_is_found_and_the_lint_of_that_name_is_not() {
    let keyword = concat!("un", "safe");
    let text = format!("#![forbid({keyword}_code)]\n{keyword} fn a() {{}}\n// {keyword}\n");
    assert_eq!(unsafe_code(&Tree::of(&[("a.rs", &text)])), [Finding::new("a.rs", 2, format!("`{keyword}`"))]);
}
