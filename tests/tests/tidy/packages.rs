//! Rules about the packages of the workspace: who may use whom, and what each manifest says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use super::findings::{Finding, line_where};
use super::tree::root;

/// Who may use which rooms (design.md, section 2). `node` is the only door and may use all.
const EDGES: [(&str, &[&str]); 11] = [
    ("invoice", &[]),
    ("chain", &[]),
    ("ledger", &["chain", "invoice"]),
    ("workload", &["chain", "invoice", "ledger"]),
    ("replica", &["chain", "invoice", "ledger"]),
    ("wire", &["chain", "invoice", "ledger", "replica"]),
    ("store", &["chain", "invoice", "ledger", "replica"]),
    ("consensus", &["chain", "invoice", "ledger", "replica", "wire"]),
    ("api", &["chain", "invoice", "ledger", "replica", "wire"]),
    ("client", &["chain", "invoice", "ledger", "wire"]),
    ("node", &["api", "chain", "client", "consensus", "invoice", "ledger", "replica", "store", "wire", "workload"]),
];

/// Packages that may use whatever they test or measure.
const FREE: [&str; 2] = ["tests", "benches"];

/// Third-party crates and the only rooms that may use them. A trailing `*` stands for any ending.
const FENCES: [(&str, &[&str]); 32] = [
    // The tree of `jmt` asks its store to answer with `anyhow` errors.
    ("anyhow", &["ledger", "node"]),
    ("arc-malachitebft*", &["consensus"]),
    ("axum*", &["api"]),
    ("chrono*", &[]),
    ("clap*", &["node"]),
    ("futures*", &["api", "client", "consensus", "node"]),
    ("getrandom", &["api", "client", "consensus", "node"]),
    ("governor", &["api"]),
    ("hyper*", &["api", "consensus"]),
    ("http*", &["api"]),
    ("indicatif", &["node"]),
    ("jmt", &["ledger"]),
    ("malachitebft*", &["consensus"]),
    ("multihash", &["consensus"]),
    ("prost*", &["wire"]),
    ("protox", &["wire"]),
    ("ractor*", &["consensus"]),
    ("rand*", &["client", "consensus", "node", "workload"]),
    ("rcgen", &["consensus", "node"]),
    ("redb", &["store"]),
    ("reqwest", &[]),
    ("rustls*", &["api", "client", "consensus", "node"]),
    ("sled", &["store"]),
    ("time", &["node"]),
    ("tokio*", &["api", "client", "consensus", "node"]),
    ("tonic", &["api", "client", "consensus", "wire"]),
    ("tonic-*", &["api", "client", "consensus", "wire"]),
    ("tower*", &["api", "client", "consensus"]),
    ("tracing-subscriber", &["node"]),
    ("ureq", &["client", "node"]),
    ("utoipa*", &["api"]),
    ("zstd", &["store"]),
];

/// Features that make a room do what no node may, and so are asked for by tests alone.
const FOR_TESTS: [(&str, &str); 1] = [("consensus", "byzantine")];

/// A dependency as a manifest writes it.
struct Dependency {
    name: String,
    features: Vec<String>,
    is_room: bool,
    /// Only the crate's own tests use it.
    is_dev: bool,
}

/// A package of the workspace.
pub(crate) struct Package {
    name: String,
    /// Relative to the root.
    manifest: String,
    text: String,
    is_publishable: bool,
    dependencies: Vec<Dependency>,
}

/// The packages of the workspace, as cargo and their manifests describe them.
pub(crate) struct Workspace {
    packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo; needs neither network nor lock file.
    pub(crate) fn load() -> Self {
        let root = root();
        let metadata = metadata(&["--no-deps", "--offline"]);
        let packages = list(&metadata, "packages").iter().map(|package| read(&root, package)).collect();
        Self { packages }
    }
}

/// What `cargo metadata` says with the given flags.
pub(crate) fn metadata(flags: &[&str]) -> Json {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["metadata", "--format-version", "1"]).args(flags);
    let output = command.output().expect("cargo runs this test, so it can be run");
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// The array under `key`; cargo's format has it always.
pub(crate) fn list<'a>(value: &'a Json, key: &str) -> &'a [Json] {
    value[key].as_array().map_or_else(|| panic!("cargo metadata has no list `{key}`"), Vec::as_slice)
}

/// The text under `key`; cargo's format has it always.
pub(crate) fn text<'a>(value: &'a Json, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata has no text `{key}`"))
}

fn read(root: &Path, package: &Json) -> Package {
    let path = Path::new(text(package, "manifest_path"));
    let manifest = path.strip_prefix(root).expect("the members stand below the root");
    let dependency = |value: &Json| Dependency {
        name: text(value, "name").to_owned(),
        features: list(value, "features").iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        is_room: value["path"].is_string(),
        is_dev: value["kind"] == "dev",
    };
    Package {
        name: text(package, "name").to_owned(),
        manifest: manifest.to_str().expect("names in the project are UTF-8").to_owned(),
        text: fs::read_to_string(path).expect("a manifest that cargo read can be read"),
        // Absent means "to any registry", an empty list "nowhere".
        is_publishable: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        dependencies: list(package, "dependencies").iter().map(dependency).collect(),
    }
}

/// Every edge between rooms is one of [`EDGES`], for tests too: what needs more rooms belongs in `tests`. Only the tests
/// of `node` use that package in their turn, because nobody else is given a fresh binary.
pub(crate) fn edges(workspace: &Workspace) -> Vec<Finding> {
    each_dependency(workspace, |package, dependency| {
        let allowed = EDGES.iter().find(|(room, _)| *room == package.name).map(|(_, rooms)| *rooms);
        match allowed {
            _ if !dependency.is_room => None,
            _ if dependency.is_dev && package.name == "node" && dependency.name == "tests" => None,
            None => Some(format!("`{}` is no room of design.md, section 2", package.name)),
            Some(rooms) if rooms.contains(&dependency.name.as_str()) => None,
            Some(rooms) => Some(format!("uses `{}`; it may use only {rooms:?}", dependency.name)),
        }
    })
}

/// Every third-party crate of [`FENCES`] is used by its rooms alone; what only tests use reaches nobody.
pub(crate) fn fences(workspace: &Workspace) -> Vec<Finding> {
    each_dependency(workspace, |package, dependency| {
        let (_, rooms) = FENCES.iter().find(|(name, _)| matches(name, &dependency.name))?;
        let outside = !dependency.is_room && !dependency.is_dev && !rooms.contains(&package.name.as_str());
        outside.then(|| format!("uses `{}`, which only {rooms:?} may", dependency.name))
    })
}

/// What a room does for tests alone, nothing that is installed asks for: not even a program of `tests`.
pub(crate) fn test_features(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_dev) {
            let asks = |(room, feature): &&(&str, &str)| {
                dependency.name == *room && dependency.features.iter().any(|asked| asked == feature)
            };
            let asked = FOR_TESTS.iter().filter(asks);
            findings.extend(asked.map(|(room, feature)| {
                package.finding(room, format!("asks `{room}` for `{feature}`, which only tests may"))
            }));
        }
    }
    findings
}

/// Members take versions from the workspace, so that there is one.
pub(crate) fn versions(workspace: &Workspace) -> Vec<Finding> {
    let of = |package: &Package| {
        let manifest = manifest(&package.text);
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let entries = tables.iter().filter_map(|table| manifest.get(*table)?.as_table()).flatten();
        let own = entries.filter(|(_, entry)| entry.get("workspace").and_then(toml::Value::as_bool) != Some(true));
        own.map(|(name, _)| package.finding(name, format!("`{name}` does not say `workspace = true`")))
            .collect::<Vec<_>>()
    };
    workspace.packages.iter().flat_map(of).collect()
}

/// A package is called like its folder and is published nowhere.
pub(crate) fn names(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let folder = package.manifest.rsplit('/').nth(1).unwrap_or_default();
        if folder != package.name {
            findings.push(package.finding("name", format!("`{}` stands in the folder `{folder}`", package.name)));
        }
        if package.is_publishable {
            findings.push(package.finding("publish", "does not say `publish = false`".to_owned()));
        }
    }
    findings
}

/// Each room takes the lints of the workspace; `tests` and `benches` carry their own, shorter ones.
pub(crate) fn lints(workspace: &Workspace) -> Vec<Finding> {
    let breach = |package: &Package| {
        let manifest = manifest(&package.text);
        let lints = manifest.get("lints");
        if FREE.contains(&package.name.as_str()) {
            let level = lints.and_then(|lints| lints.get("rust")?.get(concat!("un", "safe_code"))?.as_str());
            (level != Some("forbid")).then(|| "does not forbid what nobody may write".to_owned())
        } else {
            let inherits = lints.and_then(|lints| lints.get("workspace")?.as_bool());
            (inherits != Some(true)).then(|| "does not say `[lints] workspace = true`".to_owned())
        }
    };
    let packages = workspace.packages.iter();
    packages.filter_map(|package| breach(package).map(|message| package.finding("[lints", message))).collect()
}

impl Package {
    /// A finding at the first line of the manifest that begins with `start`.
    fn finding(&self, start: &str, message: String) -> Finding {
        let line = line_where(&self.text, |line| {
            line.trim_start_matches('"').strip_prefix(start).is_some_and(|rest| !rest.starts_with(['-', '_']))
        });
        Finding::new(&self.manifest, line, message)
    }
}

/// What `rule` says about each dependency of each package that is not [`FREE`].
fn each_dependency(workspace: &Workspace, rule: impl Fn(&Package, &Dependency) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in workspace.packages.iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        for dependency in &package.dependencies {
            findings.extend(rule(package, dependency).map(|message| package.finding(&dependency.name, message)));
        }
    }
    findings
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

fn manifest(text: &str) -> toml::Table {
    text.parse().expect("a manifest that cargo read is TOML")
}

fn workspace(name: &str, dependencies: &[(&str, bool)], text: &str) -> Workspace {
    let dependency = |(name, is_room): &(&str, bool)| Dependency {
        name: (*name).to_owned(),
        features: Vec::new(),
        is_room: *is_room,
        is_dev: false,
    };
    let package = Package {
        name: name.to_owned(),
        manifest: format!("crates/{name}/Cargo.toml"),
        text: text.to_owned(),
        is_publishable: true,
        dependencies: dependencies.iter().map(dependency).collect(),
    };
    Workspace { packages: vec![package] }
}

#[test]
fn an_edge_upwards_and_an_unknown_room_are_found() {
    let text = "[package]\nname = \"chain\"\n[dependencies]\nborsh.workspace = true\nstore.workspace = true\n";
    let found = edges(&workspace("chain", &[("borsh", false), ("store", true)], text));
    assert_eq!(found, [Finding::new("crates/chain/Cargo.toml", 5, "uses `store`; it may use only []")]);
    assert_eq!(edges(&workspace("common", &[("chain", true)], "")).len(), 1);
    assert_eq!(edges(&workspace("tests", &[("node", true)], "")), []);
}

#[test]
fn a_crate_outside_its_fence_is_found() {
    let found = fences(&workspace("node", &[("axum-extra", false), ("clap", false), ("sled", false)], ""));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_feature_for_tests_is_found_where_no_test_asks_for_it() {
    let mut asking = workspace("tests", &[("consensus", true)], "");
    assert_eq!(test_features(&asking), []);
    let dependency = &mut asking.packages[0].dependencies[0];
    dependency.features.push("byzantine".to_owned());
    assert_eq!(test_features(&asking).len(), 1);
    asking.packages[0].dependencies[0].is_dev = true;
    assert_eq!(test_features(&asking), []);
}

#[test]
fn a_manifest_that_goes_its_own_way_is_found() {
    let text = "[package]\nname = \"chain\"\n[dependencies]\nborsh = \"1\"\nhex.workspace = true\n";
    let package = workspace("chain", &[], text);
    assert_eq!(versions(&package)[0].to_string(), "crates/chain/Cargo.toml:4: `borsh` does not say `workspace = true`");
    assert_eq!(names(&package).len(), 1, "it may be published");
    assert_eq!(lints(&package).len(), 1);
    assert_eq!(lints(&workspace("chain", &[], "[lints]\nworkspace = true\n")), []);
}
