//! Fixed bytes: everything of the ledger that is hashed. A change here forks the chain; it is a
//! decision about the rules, never a fix. Run with `UPDATE_GOLDEN=1` and read the diff.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chain::hash::Hash;
use chain::identity::ChainId;
use chain::statement::Mode;

use crate::fixture::*;
use crate::introduction::Introduction;
use crate::state::{Fault, writes_hash};
use crate::tree::{self, Change, Nodes};

const GOLDEN: &str = include_str!("golden.txt");

struct Nothing;

impl Nodes for Nothing {
    fn node(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
}

/// Introductions that do not hold, and keys that are none or prove nothing.
fn spoilt(chain: &ChainId) -> Vec<String> {
    let spoil = |change: &dyn Fn(&mut Introduction)| {
        let mut introduction = introduced("kiosk", "915000000000081");
        change(&mut introduction);
        admit_as(&introduction)
    };
    let good = rotate(chain, BUYER, &["s2"], &[]);
    let public = secret(BUYER, "s2").public().to_string();
    let proof = good.split(r#""proof":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let other = rotate(chain, BUYER, &["s3"], &[]);
    let of_another = other.split(r#""proof":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    vec![
        spoil(&|it| it.organisation.name.clear()),
        spoil(&|it| it.organisation.keys[0].public = secret("other", "login").public().into()),
        good.replace(&public, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        good.replace(proof, of_another),
    ]
}

/// A life with every kind of event and outcome.
fn life(text: &mut String) -> Ledger {
    let mut ledger = Ledger::new();
    let id = "144032609110-00000001";
    let (used, revoked) = ("26442000000000000002", "26442000000000000003");
    let digital = issue("digital").replace("blockchain-ordinary", "digital-ordinary");
    let person = issue_to("person", r#"{"person":{"id":"p-7f3a"}}"#);
    let script: Vec<(&str, Mode, Vec<String>)> = vec![
        (SELLER, Mode::All, vec![issue("a"), digital, person]),
        (PROVIDER, Mode::Each, vec![issue("a"), issue("b"), transfer("144032609110-00000002", BUYER)]),
        (PLATFORM_A, Mode::Each, vec![lock(id, "c")]),
        (PLATFORM_B, Mode::All, vec![lock(id, "d"), lock("144032609110-00000003", "e")]),
        (PLATFORM_A, Mode::Each, vec![claim_event("renew", id, "c", 1), claim_event("unlock", id, "c", 1)]),
        (PLATFORM_B, Mode::Each, vec![lock(id, "d"), claim_event("close", id, "d", 2)]),
        (SELLER, Mode::Each, vec![void("144032609110-00000003"), file("2026-10", 0, "0.00", "0.00")]),
        (BUREAU, Mode::Each, vec![evidence(&double_vote(&ledger.chain, 1)), evidence(&double_vote(&ledger.chain, 1))]),
        (BUREAU, Mode::All, vec![admit("mall", FREE_TAXPAYER), register(&[("m-1", "915000000000078")])]),
        (BUREAU, Mode::Each, vec![suspend(BUYER), reinstate(BUYER), roles(OUTSIDER, r#""auditor","enterprise""#)]),
        (SELLER, Mode::Each, vec![rotate(&ledger.chain, SELLER, &["s2"], &["s1"])]),
        (BUREAU, Mode::Each, vec![rename(BUYER, "Buyer & Sons"), renumber(BUYER, "915000000000079")]),
        (BUYER, Mode::Each, vec![mandate_to(PLATFORM_A, r#""lock","read""#), revoke_mandate(BUYER, PLATFORM_B)]),
        (BUREAU, Mode::Each, vec![attest(PROVIDER, r#""issue""#, &["m-1", SELLER]), suspend(BUREAU)]),
        (BUREAU, Mode::Each, vec![correct(BUYER, "915000000000080"), rotate(&ledger.chain, BUREAU, &["s2"], &[])]),
        (BUREAU, Mode::Each, vec![approved(&ledger.chain, &rotate(&ledger.chain, BUREAU, &["s2"], &[]))]),
        // What is refused for what a library says is refused in words of our own.
        (BUREAU, Mode::Each, spoilt(&ledger.chain)),
        (BUREAU, Mode::Each, vec![quota_grant(SELLER, "2026-11", "452.00"), quota_grant(SELLER, "2026-11", "1.00")]),
        (BUREAU, Mode::All, vec![quota_pause(SELLER, "2026-11"), quota_resume(SELLER, "2026-11")]),
        (BUREAU, Mode::All, vec![quota_adjust(SELLER, "2026-11", "565.00"), quota_grant("mall", "2026-12", "7.00")]),
        (PROVIDER, Mode::Each, vec![issue("e"), issue("f"), issue("g"), void("144032609110-00000004")]),
        (PLATFORM_A, Mode::Each, vec![lock("144032609110-00000002", "f")]),
        (BUREAU, Mode::Each, vec![override_lock("144032609110-00000002", 1), override_lock(id, 2)]),
        (BUREAU, Mode::Each, vec![quota_adjust(SELLER, "2026-11", "1000.00")]),
        (PROVIDER, Mode::All, vec![special("h"), special("i")]),
        (BUYER, Mode::Each, vec![book(id, "02", "记-0012", "2026-11"), book(id, "02", "记-0013", "2026-11")]),
        (BUYER, Mode::All, vec![adjust_booking(id, "03", "记-0014", "2026-11"), revoke_booking(id)]),
        (BUYER, Mode::All, vec![use_vat(used, "deduct", "2026-11"), non_deduct(revoked, "exempt", "2026-11")]),
        (BUYER, Mode::Each, vec![revoke_use(revoked), use_vat(id, "deduct", "2026-11")]),
        (BUYER, Mode::All, vec![book(used, "02", "记-0015", "2026-11"), manifest(id, "dispute")]),
        (BUYER, Mode::Each, vec![manifest(id, "dispute"), manifest(id, "confirm"), manifest(used, "acknowledge")]),
        (PROVIDER, Mode::Each, vec![void(used), correct_fields(id, r#"{"seller":{"phone":"1"},"remark":"order 7"}"#)]),
    ];
    let chain = ledger.chain.clone();
    let offline = |reference: &str, number: u64| offline_issue(&chain, PROVIDER, reference, number, NOON + 18_000);
    let contingency = [
        (BUREAU, Mode::All, vec![segment_grant(PROVIDER), segment_grant(SELLER).replace("blockchain", "digital")]),
        (PROVIDER, Mode::Each, vec![offline("j", 2), offline("j", 2), offline("k", 2), offline("k", 3)]),
        (PROVIDER, Mode::Each, vec![segment_close(&segment_number(1)), offline("l", 1)]),
    ];
    let taken = "26442000000000000004";
    let slip = |slip: u32, take: &str| issue_red_under(slip, used, &special("h"), "red-2", take);
    let red = [
        (
            BUYER,
            Mode::Each,
            vec![red_request(used, &special("h"), &of_line("40.00")), red_answer("red-withdraw", used, 1)],
        ),
        (PROVIDER, Mode::Each, vec![red_request(used, &special("h"), &of_line("40.00")), slip(2, &of_line("40.00"))]),
        (BUYER, Mode::Each, vec![red_answer("red-deny", used, 2), red_request(used, &special("h"), FULL)]),
        (PROVIDER, Mode::Each, vec![red_answer("red-confirm", used, 3), slip(3, FULL)]),
        (PROVIDER, Mode::All, vec![special("m"), issue_red(id, &issue("a"), "red-1", FULL)]),
        (PROVIDER, Mode::Each, vec![issue_red(taken, &special("m"), "red-1", &of_line("10.00")), void(taken)]),
    ];
    for (actor, mode, events) in script.into_iter().chain(contingency).chain(red) {
        let statement = ledger.statement(actor, mode, &events);
        let executed = ledger.block(&[statement]);
        writeln!(text, "\nblock {}: writes {}", ledger.height - 1, writes_hash(&executed.writes)).unwrap();
        for (leaf, outcome) in executed.leaves.iter().zip(executed.outcomes.iter().flatten()) {
            let record = outcome.record.escape_ascii();
            writeln!(text, "  {} {} {}\n    {record}", leaf.hash, outcome.code, outcome.subject).unwrap();
        }
    }
    ledger
}

#[test]
fn everything_that_is_hashed_is_what_it_was() {
    let mut text = format!("genesis {}\n", genesis().hash());
    let ledger = life(&mut text);
    let root = tree::update(&Nothing, 0, ledger.state.iter().map(|(key, value)| Change::new(key, value)).collect())
        .unwrap()
        .root;
    writeln!(text, "\nstate root {root}\n").unwrap();
    let mut shown: BTreeMap<u8, usize> = BTreeMap::new();
    for (key, value) in &ledger.state {
        writeln!(text, "{key} {}", Hash::of(value)).unwrap();
        // Two records of each kind in full; organisations and parameters are long, their hash is enough.
        let shown = shown.entry(key.as_bytes()[0]).or_default();
        *shown += 1;
        if *shown <= 2 && value.len() < 600 {
            writeln!(text, "    {}", value.escape_ascii()).unwrap();
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/golden.txt"), &text).unwrap();
        return;
    }
    assert!(text == GOLDEN, "hashed bytes changed; run with UPDATE_GOLDEN=1 and read the diff");
}
