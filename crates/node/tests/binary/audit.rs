//! `demo`, and what an auditor does with its archive: verify it, and find what somebody did to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Run, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many places of an archive are flipped; `chain` flips every one.
const FLIPS: usize = 48;

/// A played demo and what it left behind.
struct Demo {
    directory: TempDir,
    steps: Vec<Value>,
}

impl Demo {
    fn play(more: &[&str]) -> (Self, Run) {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let out = directory.path().to_str().expect("its path is UTF-8");
        let run = run(["demo", "--format", "json", "--out", out].iter().chain(more));
        let steps = run.stdout.lines().map(|line| serde_json::from_str(line).expect("a step is JSON")).collect();
        (Self { directory, steps }, run)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn verify(&self, archive: &Path, more: &[&str]) -> Run {
        let genesis = self.path("genesis.json");
        let arguments = [Path::new("verify"), archive, Path::new("--genesis"), &genesis];
        run(arguments.iter().map(|path| path.as_os_str()).chain(more.iter().map(std::ffi::OsStr::new)))
    }

    fn acts(&self) -> Vec<&str> {
        self.steps.iter().filter_map(|step| step["act"].as_str()).collect()
    }

    fn fact(&self, act: &str, name: &str) -> &str {
        let step = self.steps.iter().find(|step| step["act"] == act);
        let facts = step.and_then(|step| step["facts"].as_array()).into_iter().flatten();
        let mut facts = facts.filter(|fact| fact["name"] == name);
        facts.next().and_then(|fact| fact["value"].as_str()).unwrap_or_else(|| panic!("{act} has {name}"))
    }
}

#[test]
fn the_demo_ends_verified_and_can_be_verified_again_by_hand() {
    let (demo, played) = Demo::play(&["--story", "full"]);
    played.ended(0);
    let acts = demo.acts();
    for act in [
        "issue",
        "retry",
        "transfer",
        "lock",
        "refused",
        "close",
        "register",
        "attest",
        "quota",
        "rename",
        "suspend",
        "reinstate",
        "override",
        "clock",
        "file",
        "receipt",
        "export",
        "verify",
    ] {
        assert!(acts.contains(&act), "no {act} in {acts:?}");
    }
    for name in ["chain", "receipt"] {
        let again = crate::support::bash(demo.fact("by hand", name), demo.directory.path()).ended(0);
        assert!(again.stdout.starts_with("status      verified\n"), "{}", again.stdout);
    }
}

#[test]
fn every_level_verifies_and_says_where_the_chain_ends() {
    let (demo, played) = Demo::play(&[]);
    played.ended(0);
    let archive = demo.path("archive.einvoice");
    for level in ["links", "certificates", "log", "replay"] {
        let text = demo.verify(&archive, &["--level", level]).ended(0).stdout;
        let labels: Vec<_> = text.lines().filter_map(|line| line.split("  ").next()).collect();
        let common =
            ["status", "chain", "level", "tip height", "tip id", "tip time", "log size", "log root", "verified"];
        assert_eq!(labels[..9], common);
        assert!(text.contains(&format!("level       {level}\n")), "{text}");
        let report = demo.verify(&archive, &["--level", level, "--format", "json"]).ended(0).json();
        assert_eq!(report["status"], "verified");
        assert!(report["tip_height"].as_u64() > Some(20) && report["tip_time_ms"].is_i64());
    }
}

#[test]
fn a_flipped_byte_never_passes_and_is_placed() {
    let (demo, played) = Demo::play(&[]);
    played.ended(0);
    let archive = fs::read(demo.path("archive.einvoice")).unwrap();
    let flipped = demo.path("flipped");
    for number in 0..FLIPS {
        let position = number * archive.len() / FLIPS + number;
        let mut bytes = archive.clone();
        bytes[position] ^= 1 << (number % 8);
        fs::write(&flipped, &bytes).unwrap();
        let verdict = demo.verify(&flipped, &["--format", "json"]);
        assert!([20, 21].contains(&verdict.code), "byte {position}: {verdict:?}");
        let report = verdict.json();
        let findings = report["findings"].as_array().unwrap();
        let placed = findings.iter().any(|finding| finding["height"].is_u64() || finding["offset"].is_u64());
        assert!(placed || report["missing"].to_string().contains("byte"), "byte {position}: {report}");
    }
}

#[test]
fn a_tail_that_was_cut_off_is_missed() {
    let (demo, played) = Demo::play(&[]);
    played.ended(0);
    let archive = demo.path("archive.einvoice");
    let tip = demo.verify(&archive, &["--format", "json"]).ended(0).json()["tip_height"].as_u64().unwrap();
    let beyond = demo.verify(&archive, &["--at-least", &(tip + 1).to_string()]).ended(21);
    assert!(beyond.stdout.starts_with("status      incomplete\n"), "{}", beyond.stdout);
    let cut = demo.path("cut");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    demo.verify(&cut, &[]).ended(21);
    demo.verify(&demo.path("genesis.json"), &[]).ended(20);
}

#[test]
fn a_whole_archive_of_an_earlier_height_is_caught_by_height_and_by_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    let node = crate::support::DevNode::start(&data);
    let export = |name: &str| {
        let path = directory.path().join(name);
        let token = node.text("/tokens/demo-auditor");
        run(["export", "--url", node.url(), "--token", token, "--out", path.to_str().unwrap()]).ended(0);
        path
    };
    let issue = |name: &str| {
        node.submit(&node.sign("demo-shop", name, &crate::support::issue(name), directory.path())).ended(0)
    };
    issue("EARLY");
    let early = export("early");
    let height = issue("LATE").json()["height"].as_u64().unwrap().to_string();
    let (status, note) = node.get("/v1/checkpoints/latest", None);
    assert_eq!(status, 200);
    let checkpoint = directory.path().join("checkpoint");
    fs::write(&checkpoint, note).unwrap();
    let late = export("late");
    let genesis = node.text("/genesis");
    let (early, late, checkpoint) = (early.to_str().unwrap(), late.to_str().unwrap(), checkpoint.to_str().unwrap());
    run(["verify", early, "--genesis", genesis]).ended(0);
    run(["verify", early, "--genesis", genesis, "--at-least", &height]).ended(21);
    run(["verify", early, "--genesis", genesis, "--checkpoint", checkpoint]).ended(21);
    run(["verify", late, "--genesis", genesis, "--checkpoint", checkpoint, "--at-least", &height]).ended(0);
    let other = directory.path().join("other");
    run(["init", other.to_str().unwrap()]).ended(0);
    let other = other.join("genesis.json");
    let wrong = run(["verify", late, "--genesis", other.to_str().unwrap()]).ended(20);
    assert!(wrong.stdout.contains("archive.other-genesis"), "{}", wrong.stdout);
    // A checkpoint of another chain is no evidence about this one.
    run(["verify", late, "--genesis", other.to_str().unwrap(), "--checkpoint", checkpoint]).ended(2);
    let (status, _) = node.get("/v1/archive", Some("demo-shop"));
    assert_eq!(status, 403);
}

#[test]
fn a_receipt_that_was_changed_proves_nothing() {
    let (demo, played) = Demo::play(&[]);
    played.ended(0);
    let receipt = demo.fact("receipt", "file").to_owned();
    let genesis = demo.path("genesis.json");
    let genesis = genesis.to_str().unwrap();
    let proven = run(["receipt", "verify", &receipt, "--genesis", genesis, "--format", "json"]).ended(0).json();
    assert_eq!((&proven["code"], &proven["subject"]), (&json!("accepted"), &json!(demo.fact("issue", "invoice"))));
    let text = fs::read_to_string(&receipt).unwrap();
    let changed = demo.path("changed.json");
    fs::write(&changed, text.replace(demo.fact("issue", "invoice"), "144032609110-00000099")).unwrap();
    let refused = run(["receipt", "verify", changed.to_str().unwrap(), "--genesis", genesis]).ended(20);
    assert!(refused.stderr.starts_with("error: failed to verify the receipt "), "{}", refused.stderr);
}

/// A fapiao application in the older of the two shapes, its stated total (in fen) as given.
fn application(total: u32) -> Value {
    json!({
        "scene": "WITH_WECHATPAY",
        "fapiao_apply_id": "apply-1",
        "buyer_information": { "type": "ORGANIZATION", "name": "测试企业", "taxpayer_id": "202003261233701778" },
        "fapiao_information": [{
            "fapiao_id": "F-1",
            "total_amount": total,
            "items": [{
                "tax_code": "3010101020203000000", "goods_name": "出租汽车客运服务", "quantity": 100_000_000,
                "total_amount": 429_900, "tax_rate": 1300, "discount": false
            }]
        }]
    })
}

#[test]
fn totals_that_do_not_tie_are_refused_and_corrected_only_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("application.json");
    fs::write(&input, application(382_895).to_string()).unwrap();
    let input = input.to_str().unwrap();
    let (refused, run) = Demo::play(&["--input", input]);
    let run = run.ended(3);
    assert!(run.stderr.contains("expected 4299.00, found 3828.95; --totals-from-lines"), "{}", run.stderr);
    assert!(!refused.acts().contains(&"issue"));
    let (corrected, run) = Demo::play(&["--totals-from-lines", "--input", input]);
    run.ended(0);
    assert!(corrected.acts().contains(&"correct"));
    assert_eq!(corrected.fact("issue", "gross"), "4299.00");
    fs::write(input, application(429_900).to_string()).unwrap();
    let (right, run) = Demo::play(&["--input", input]);
    run.ended(0);
    assert!(!right.acts().contains(&"correct"));
}

#[test]
fn real_applications_are_played_when_they_are_there() {
    let corpus: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "..", "shared", "corpus", "wechat-pay"].iter().collect();
    // They are other people's documents and stay outside the project.
    let Ok(files) = fs::read_dir(corpus) else { return };
    let mut played = 0;
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let code = if name.starts_with("Create") { 0 } else { 2 };
        Demo::play(&["--totals-from-lines", "--input", path.to_str().unwrap()]).1.ended(code);
        played += 1;
    }
    assert!(played > 0);
}
