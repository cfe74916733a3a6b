//! The README at the root: every command of it is run, in order, as it stands; and its table of exit codes is that of
//! the binary.

use std::fs;
use std::path::PathBuf;

use crate::support::{bash, run};

/// `cargo` of the first lines: the binary under test is built already, and tests are running.
const SHIM: &str = r#"set -euo pipefail
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
cargo() {
  if [ "$1" = run ]; then
    while [ "$1" != -- ]; do shift; done
    shift
    einvoice "$@"
  fi
}
"#;

fn readme() -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "README.md"].iter().collect();
    fs::read_to_string(path).expect("the README is in the repository")
}

/// The blocks of a language, in order.
fn blocks(text: &str, language: &str) -> String {
    let mut blocks = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && line == format!("```{language}");
        } else if inside {
            blocks.push_str(line);
            blocks.push('\n');
        }
    }
    blocks
}

#[test]
fn every_command_of_the_readme_works_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let script = format!("{SHIM}export TMPDIR={:?}\n{}", directory.path(), blocks(&readme(), "bash"));
    let played = bash(&script, directory.path()).ended(0);
    for expected in [
        "every signature and every rule again: verified",
        "reimbursement.already-locked",
        "\nclosed\n",
        "\nred.slip-needed\n",
        "\nfull-red\n",
        "not proven",
        "payment-decided.result: paid",
        "outcomes.0.code: repeated",
        "cn.einvoice.invoice.closed.v1",
        "level       replay",
        "level       log",
        "complete     a node starts on it",
    ] {
        assert!(played.stdout.contains(expected), "no {expected:?} in\n{}", played.stdout);
    }
    let repeated = played.stdout.matches("outcomes.0.code: repeated").count();
    assert_eq!(repeated, 3, "over REST, over gRPC, and out of the outbox");
}

/// What stands under a heading.
fn section<'r>(readme: &'r str, heading: &str) -> &'r str {
    let (_, after) = readme.split_once(&format!("\n{heading}\n")).expect("the README has this section");
    after.split_once("\n## ").map_or(after, |(section, _)| section)
}

/// Goes behind the platform's program: it follows once more, over a stream that breaks after each event, the first time
/// without a word of the node and then because the login has run out.
const BREAKING: &str = r#"
from google.protobuf import any_pb2
from google.rpc import status_pb2


class Broken(grpc.RpcError):
    def __init__(self, code, *details):
        self.code, self.details = lambda: code, lambda: ""
        status = status_pb2.Status(code=code.value[0], details=details)
        self.trailing_metadata = lambda: [("grpc-status-details-bin", status.SerializeToString())] if details else []


def breaking(request, metadata):
    for message in whole(request, metadata=metadata):
        yield message
        if message.HasField("event"):
            breaks.append(message)
            if len(breaks) == 1:
                raise Broken(grpc.StatusCode.UNAVAILABLE)
            expired = any_pb2.Any()
            expired.Pack(error_details_pb2.ErrorInfo(reason="login.expired"))
            raise Broken(grpc.StatusCode.UNAUTHENTICATED, expired)


again, breaks, whole = [], [], winner.ledger.Subscribe
winner.ledger.Subscribe = breaking
for event in winner.follow(after="start", invoice=invoice):
    again.append(event.type)
    if event.type.endswith(".closed.v1"):
        break
assert len(breaks) == len(again) - 1, (breaks, again)
print("again:", " ".join(again))
"#;

#[test]
fn the_platform_in_python_works_as_the_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    let readme = readme();
    let section = section(&readme, "## A platform, in Python");
    let program = directory.path().join("claims.py");
    fs::write(&program, blocks(section, "python") + BREAKING).unwrap();
    let proto: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "proto"].iter().collect();
    std::os::unix::fs::symlink(proto.canonicalize().unwrap(), directory.path().join("proto")).unwrap();
    let installed = directory.path().join("installed");
    let commands = blocks(section, "sh");
    let (install, play) = commands.split_at(commands.find("einvoice dev").expect("it starts a node"));
    let put = format!("touch {installed:?}\ncp {program:?} .\n");
    let script = format!("{SHIM}export TMPDIR={:?}\n{install}{put}{play}", directory.path());
    let played = bash(&script, directory.path());
    // On a machine without Python, or without a way to its packages. `.ci/run` brings both.
    if !installed.exists() && std::env::var_os("CI").is_none() {
        #[expect(clippy::print_stderr, reason = "whoever reads the test's output is to know")]
        {
            eprintln!("not run: no Python with venv here, or no way to its packages: {}", played.stderr);
        }
        return;
    }
    let played = played.ended(0);
    for expected in [
        "verified: CLAIM_STATUS_OPEN",
        "locked under token 1",
        "refused: reimbursement.already-locked held by demo-platform-a",
        "closed at height",
        "seen: cn.einvoice.invoice.lock-refused.v1 by demo-platform-b",
        "seen: cn.einvoice.invoice.closed.v1 by demo-platform-a",
    ] {
        assert!(played.stdout.contains(expected), "no {expected:?} in\n{}\n{}", played.stdout, played.stderr);
    }
    let seen = played.stdout.lines().filter_map(|line| line.strip_prefix("seen: ")?.split(' ').next());
    let again = format!("again: {}", seen.collect::<Vec<_>>().join(" "));
    assert!(played.stdout.contains(&again), "no {again:?} in\n{}\n{}", played.stdout, played.stderr);
}

#[test]
fn the_receiver_of_webhooks_verifies_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let readme = readme();
    let section = section(&readme, "## Webhooks");
    std::fs::write(directory.path().join("receiver.py"), blocks(section, "python")).unwrap();
    // On a machine without Python. `.ci/run` brings it.
    if std::process::Command::new("python3").arg("--version").output().is_err() && std::env::var_os("CI").is_none() {
        #[expect(clippy::print_stderr, reason = "whoever reads the test's output is to know")]
        {
            eprintln!("not run: no Python here");
        }
        return;
    }
    let script = format!("{SHIM}export TMPDIR={:?}\n{}", directory.path(), blocks(section, "sh"));
    let played = bash(&script, directory.path()).ended(0);
    for expected in ["delivered: true", "status: 204", "cn.einvoice.webhook.test.v1 we_", "webhooks.0.status: active"] {
        assert!(played.stdout.contains(expected), "no {expected:?} in\n{}\n{}", played.stdout, played.stderr);
    }
}

#[test]
fn the_readme_lists_the_exit_codes_of_the_binary() {
    let help = run(["--help"]).ended(0).stdout;
    let (_, table) = help.split_once("Exit codes:").unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = readme()
        .lines()
        .skip_while(|line| *line != "## Exit codes")
        .filter_map(|line| {
            line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ").map(|(a, b)| format!("{a} {b}"))
        })
        .filter(|row| row.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert_eq!(words(&rows.join(" ")), words(table));
}
