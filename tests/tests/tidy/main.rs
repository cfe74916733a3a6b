//! The house rules, as tests.
//!
//! One test per rule, one helper per rule; every finding names a file and a line. The rules read
//! the tracked files (`git ls-files`), or walk the directory when there is no repository, as in a
//! source tarball. What a rule looks for never stands spelled out in its own source, so that
//! the rules hold for themselves too.

mod edges;
mod files;
mod findings;
mod packages;
mod protos;
mod pure;
mod rust;
mod sources;
mod supply;
mod text;
mod tree;

use findings::expect_none;
use packages::Workspace;
use supply::Supply;
use tree::Tree;

#[test]
fn rooms_use_only_the_rooms_below_them() {
    expect_none("a crate edge that design.md, section 2, does not allow", packages::edges(&Workspace::load()));
}

#[test]
fn third_party_crates_stay_behind_their_fences() {
    expect_none("a third-party crate outside its room", packages::fences(&Workspace::load()));
}

#[test]
fn only_tests_ask_for_what_is_for_tests() {
    expect_none("a feature for tests in what is installed", packages::test_features(&Workspace::load()));
}

#[test]
fn a_third_party_version_is_written_once() {
    expect_none("a version outside [workspace.dependencies]", packages::versions(&Workspace::load()));
}

#[test]
fn packages_are_named_after_their_folders_and_never_published() {
    expect_none("a package that is misnamed or publishable", packages::names(&Workspace::load()));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    expect_none("a manifest without the house lints", packages::lints(&Workspace::load()));
}

#[test]
fn every_licence_is_on_the_allow_list() {
    expect_none("a licence that .deny.toml does not allow", supply::licences(&Supply::load()));
}

#[test]
fn crates_that_reach_the_rules_have_one_version() {
    expect_none("a pinned crate with a second version", supply::pins(&Supply::load()));
}

#[test]
fn banned_crates_are_absent() {
    expect_none("a crate that .deny.toml denies", supply::bans(&Supply::load()));
}

#[test]
fn the_lock_file_names_only_the_public_registry() {
    expect_none("a source other than crates.io in Cargo.lock", supply::sources(&Supply::load()));
}

#[test]
fn the_top_level_holds_exactly_what_the_design_lists() {
    expect_none("a top-level entry too many or too few", files::top_level(&Tree::load()));
}

#[test]
fn no_source_file_is_longer_than_600_lines() {
    expect_none("a file in which a reader would find a second room", files::length(&Tree::load()));
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    expect_none("an absolute path of one machine", text::machine_paths(&Tree::load()));
}

#[test]
fn no_file_names_a_registry_host() {
    expect_none("a registry host", text::registry_hosts(&Tree::load()));
}

#[test]
fn unfinished_work_names_its_issue() {
    expect_none("a reminder without an issue number", text::reminders(&Tree::load()));
}

#[test]
fn every_module_says_what_it_owns() {
    expect_none("a module without a `//!` head", sources::module_heads(&Tree::load()));
}

#[test]
fn identifiers_are_ascii() {
    expect_none("a character outside ASCII in code", sources::ascii_identifiers(&Tree::load()));
}

#[test]
fn nothing_is_silenced_or_switched_off() {
    expect_none("an attribute that silences", sources::silenced(&Tree::load()));
}

#[test]
fn no_unsafe_code_anywhere() {
    expect_none("unsafe code", sources::unsafe_code(&Tree::load()));
}

#[test]
fn pure_floors_take_time_and_the_world_as_values() {
    expect_none("an effect, a float or an unordered map on a pure floor", pure::floors(&Tree::load()));
}

#[test]
fn clippy_files_of_pure_floors_repeat_the_root() {
    expect_none("a clippy.toml that loses what the root's says", pure::clippy_files(&Tree::load()));
}

#[test]
fn protobuf_files_explain_everything_in_them() {
    expect_none("a declaration without a comment", protos::comments(&Tree::load()));
}

#[test]
fn protobuf_names_are_of_one_style() {
    expect_none("a name out of style", protos::names(&Tree::load()));
}

#[test]
fn every_edge_case_of_the_trade_has_its_test() {
    expect_none("an edge case without its test", edges::untested(&Tree::load()));
}
