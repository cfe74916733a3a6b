//! The files of the project: tracked ones, or all but the ignored when there is no repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the project.
pub(crate) struct File {
    /// Relative to the root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything the rules read.
pub(crate) struct Tree {
    /// Every path, binary files too.
    pub(crate) paths: BTreeSet<String>,
    /// The files that are text.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the project this test was compiled from.
    pub(crate) fn load() -> Self {
        let root = root();
        let paths = tracked(&root).unwrap_or_else(|| walked(&root));
        let files = paths.iter().filter_map(|path| read_text(&root, path)).collect();
        Self { paths, files }
    }

    /// A tree of the given files, for the tests of the rules.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self {
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            files: files.iter().map(file).collect(),
        }
    }

    /// The Rust sources.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| has_extension(&file.path, "rs"))
    }
}

/// Whether a path ends in `.extension`.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// The root of the work tree: the folder above the package `tests`.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package `tests` stands in the root").to_owned()
}

/// What git tracks and the disk still holds; none without a repository of our own, or without git.
fn tracked(root: &Path) -> Option<BTreeSet<String>> {
    // A tarball unpacked inside another repository is not that repository's.
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let list = String::from_utf8(output.stdout).ok()?;
    Some(list.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file()).map(str::to_owned).collect())
}

/// Every file below `root`, but for what `.gitignore` names.
fn walked(root: &Path) -> BTreeSet<String> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut paths = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of the project can be read") {
            let entry = entry.expect("an entry of a folder can be read");
            let name = entry.file_name().into_string().expect("names in the project are UTF-8");
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if path == ".git" || is_ignored(&ignored, &path) {
                continue;
            }
            if entry.file_type().expect("the type of an entry is known").is_dir() {
                folders.push(path);
            } else {
                paths.insert(path);
            }
        }
    }
    paths
}

/// Whether `.gitignore` names the path. Only the two forms it uses: `/folder` and `*.extension`.
fn is_ignored(gitignore: &str, path: &str) -> bool {
    gitignore.lines().map(str::trim).any(|pattern| match pattern.split_once('*') {
        Some(("", suffix)) => path.ends_with(suffix),
        Some(_) => false,
        None => pattern.strip_prefix('/').is_some_and(|entry| entry.trim_end_matches('/') == path),
    })
}

/// The file, when it is text.
fn read_text(root: &Path, path: &str) -> Option<File> {
    let bytes = fs::read(root.join(path)).expect("a file of the project can be read");
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    Some(File { path: path.to_owned(), text })
}

#[test]
fn without_a_repository_the_same_files_are_found_by_walking() {
    let root = root();
    let Some(tracked) = tracked(&root) else { return };
    let walked = walked(&root);
    let lost: Vec<_> = tracked.difference(&walked).collect();
    assert!(lost.is_empty(), "tracked, but not found by walking: {lost:?}");
}

#[test]
fn ignored_entries_are_the_named_folders_and_extensions() {
    let gitignore = "/target\n*.einv\n";
    assert!(is_ignored(gitignore, "target"));
    assert!(is_ignored(gitignore, "crates/node/a.einv"));
    assert!(!is_ignored(gitignore, "crates/target"));
    assert!(!is_ignored(gitignore, "README.md"));
}
