//! The full table of status × event × role, by executing every one of them. Changing the golden
//! file is a decision about the rules, never a fix: run with `UPDATE_GOLDEN=1` and read the diff.

use std::fmt::Write as _;

use chain::hash::Hash;
use chain::identity::ChainId;

use crate::fixture::*;
use crate::organisation::Role;
use crate::outcome::ACCEPTED;
use crate::state::{StateKey, encode};

const GOLDEN: &str = include_str!("table.txt");

const ACTORS: [&str; 8] = [SELLER, PROVIDER, BUYER, PLATFORM_A, PLATFORM_B, OUTSIDER, BUREAU, AUDITOR];
const EVENTS: [&str; 9] = ["issue", "transfer", "lock", "renew", "unlock", "close", "void", "file", "override"];
const STATUSES: [&str; 9] = [
    "open",
    "locked by platform-a",
    "lapsed lock of platform-a",
    "closed by platform-a",
    "void",
    "held by a person",
    "open, month filed",
    "locked by platform-a, month filed",
    "closed by platform-a, month filed",
];

const MONTH: &str = "2026-11";
const QUOTAS: [&str; 5] =
    ["no quota ever", "quota with 113.00 left", "quota used up", "quota paused", "month without a grant"];

const FILED: [&str; 4] = ["month not filed", "month filed", "payment requested", "paid"];

/// A ledger with one invoice in a status, and that invoice.
fn ledger_in(status: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let person = status == "held by a person";
    let event = if person { issue_to("first", r#"{"person":{"id":"p1"}}"#) } else { issue("first") };
    let id = ledger.event(SELLER, event).subject;
    let mut accepted = |actor: &str, event: String| {
        let outcome = ledger.event(actor, event);
        assert_eq!(outcome.code, ACCEPTED, "{status}");
    };
    if status.contains("lapsed") {
        accepted(PLATFORM_A, lock(&id, "c").replace("\"claim\"", "\"lease_seconds\":1,\"claim\""));
    } else if status.contains("platform-a") {
        accepted(PLATFORM_A, lock(&id, "c"));
    }
    if status.starts_with("closed") {
        accepted(PLATFORM_A, claim_event("close", &id, "c", 1));
    }
    if status == "void" {
        accepted(SELLER, void(&id));
    }
    if status.contains("filed") {
        ledger.time_ms = MONTH_END;
        assert_eq!(ledger.event(SELLER, file("2026-11", 1, "100.00", "13.00")).code, ACCEPTED);
    }
    (ledger, id)
}

fn event(kind: &str, id: &str) -> String {
    match kind {
        "issue" => issue("second"),
        "transfer" => transfer(id, OUTSIDER),
        "lock" => lock(id, "d"),
        "void" => void(id),
        "override" => override_lock(id, 1),
        "file" => file("2026-11", 1, "100.00", "13.00"),
        other => claim_event(other, id, "c", 1),
    }
}

/// Events about organisations, keys and mandates, with what must be so for somebody to be accepted.
fn member_events(chain: &ChainId) -> Vec<(&'static str, String)> {
    vec![
        ("admit", admit("mall", FREE_TAXPAYER)),
        ("register", register(&[("mall", FREE_TAXPAYER)])),
        ("suspend shop", suspend(SELLER)),
        ("suspend tax-bureau", suspend(BUREAU)),
        ("reinstate suspended outsider", reinstate(OUTSIDER)),
        ("rotate keys of shop", rotate(chain, SELLER, &["s2"], &[])),
        ("rotate keys of tax-bureau", rotate(chain, BUREAU, &["s2"], &[])),
        ("rotate keys of agency police", rotate(chain, "police", &["s2"], &[])),
        ("roles of shop", roles(SELLER, r#""enterprise","service-provider""#)),
        ("roles of shop, agency", roles(SELLER, r#""agency""#)),
        ("rename shop", rename(SELLER, "Shop & Sons")),
        ("renumber shop", renumber(SELLER, FREE_TAXPAYER)),
        ("mandate to isp", mandate_to(PROVIDER, r#""issue""#)),
        ("revoke shop to isp", revoke_mandate(SELLER, PROVIDER)),
        ("attest shop to isp", attest(PROVIDER, r#""issue""#, &[SELLER])),
    ]
}

/// What others do for a party that is suspended: the seller, or the buyer.
fn write_table_for_suspended(table: &mut String) {
    for (party, status) in [(SELLER, "open"), (SELLER, "held by a person"), (BUYER, "open"), (BUYER, STATUSES[1])] {
        for kind in EVENTS {
            writeln!(table, "\n{status}, {party} suspended | {kind}").unwrap();
            for actor in ACTORS {
                let (mut ledger, id) = ledger_in(status);
                assert_eq!(ledger.event(BUREAU, suspend(party)).code, ACCEPTED);
                if kind == "file" {
                    ledger.time_ms = MONTH_END;
                }
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event(kind, &id)).code).unwrap();
            }
        }
    }
}

fn write_table_of_members(table: &mut String) {
    let chain = Ledger::new().chain;
    for (name, event) in member_events(&chain) {
        writeln!(table, "\nany | {name}").unwrap();
        for actor in ACTORS {
            let mut ledger = Ledger::new();
            let mut police = introduced("police", "915000000000088").organisation;
            police.roles = [Role::Agency].into();
            let key = StateKey::organisation(&police.id);
            ledger.state.insert(key, encode(&Hash::of(b"test"), &police));
            if name.starts_with("reinstate") && actor != OUTSIDER {
                assert_eq!(ledger.event(BUREAU, suspend(OUTSIDER)).code, ACCEPTED);
            }
            writeln!(table, "  {actor:<10} {}", ledger.event(actor, event.clone()).code).unwrap();
        }
    }
    // Whoever is suspended does nothing, whatever it may do otherwise.
    for (name, event) in member_events(&chain) {
        for actor in ACTORS.into_iter().filter(|actor| *actor != BUREAU) {
            let mut ledger = Ledger::new();
            assert_eq!(ledger.event(BUREAU, suspend(actor)).code, ACCEPTED);
            assert_eq!(ledger.event(actor, event.clone()).code, "organisation.suspended", "{actor}: {name}");
        }
    }
}

/// What a seller may issue, and a ledger on which it is so, with one invoice of the month.
fn ledger_under(quota: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let id = ledger.issued("first");
    let events = match quota {
        "quota with 113.00 left" | "month without a grant" => vec![quota_grant(SELLER, MONTH, "226.00")],
        "quota used up" => vec![quota_grant(SELLER, MONTH, "113.00")],
        "quota paused" => vec![quota_grant(SELLER, MONTH, "226.00"), quota_pause(SELLER, MONTH)],
        _ => vec![],
    };
    for event in events {
        assert_eq!(ledger.event(BUREAU, event).code, ACCEPTED, "{quota}");
    }
    if quota == "month without a grant" {
        ledger.time_ms = MONTH_END;
    }
    (ledger, id)
}

/// What is in the books of whom.
const BOOKS: [&str; 6] = [
    "in no books",
    "booked and used",
    "month filed by its buyer",
    "void",
    "reimbursed by another",
    "issued to a person",
];
const BOOK_EVENTS: [&str; 8] =
    ["book", "book-adjust", "book-revoke", "use", "use-revoke", "manifest", "correct", "void"];

/// A ledger with one special invoice of which that is so; one to a person is ordinary.
fn ledger_with(books: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let person = books == "issued to a person";
    let event = if person { issue_to("first", r#"{"person":{"id":"p1"}}"#) } else { special("first") };
    let id = ledger.event(SELLER, event).subject;
    let mut accepted = |actor: &str, event: String| {
        let outcome = ledger.event(actor, event);
        assert_eq!(outcome.code, ACCEPTED, "{books}");
    };
    match books {
        "booked and used" => {
            accepted(BUYER, book(&id, "02", "1", MONTH));
            accepted(BUYER, use_vat(&id, "deduct", MONTH));
        }
        "void" => accepted(SELLER, void(&id)),
        "reimbursed by another" => {
            accepted(BUYER, transfer(&id, OUTSIDER));
            accepted(OUTSIDER, lock(&id, "c").replace(BUYER, OUTSIDER));
            accepted(OUTSIDER, claim_event("close", &id, "c", 1));
        }
        _ => {}
    }
    if books == "month filed by its buyer" {
        accepted(BUYER, book(&id, "02", "1", MONTH));
        accepted(BUYER, use_vat(&id, "deduct", MONTH));
        ledger.time_ms = MONTH_END;
        let month = ledger.prefilled(BUYER, MONTH);
        assert_eq!(ledger.event(BUYER, month).code, ACCEPTED);
    }
    (ledger, id)
}

fn write_table_of_books(table: &mut String) {
    for books in BOOKS {
        for kind in BOOK_EVENTS {
            writeln!(table, "\n{books} | {kind}").unwrap();
            for actor in ACTORS {
                let (mut ledger, id) = ledger_with(books);
                let event = match kind {
                    "book" => book(&id, "02", "2", MONTH),
                    "book-adjust" => adjust_booking(&id, "03", "2", MONTH),
                    "book-revoke" => revoke_booking(&id),
                    "use" => use_vat(&id, "deduct", MONTH),
                    "use-revoke" => revoke_use(&id),
                    "manifest" => manifest(&id, "confirm"),
                    "correct" => correct_fields(&id, r#"{"remark":"order 7"}"#),
                    _ => void(&id),
                };
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event).code).unwrap();
            }
        }
    }
}

fn write_table_of_quotas(table: &mut String) {
    let month = |ledger: &Ledger| invoice::date::Period::from_unix_ms(ledger.time_ms).unwrap().to_string();
    for quota in QUOTAS {
        for kind in ["issue", "void", "quota-grant", "quota-adjust", "quota-pause", "quota-resume"] {
            writeln!(table, "\n{quota} | {kind}").unwrap();
            for actor in ACTORS {
                let (mut ledger, id) = ledger_under(quota);
                let event = match kind {
                    "quota-grant" => quota_grant(SELLER, &month(&ledger), "300.00"),
                    "quota-adjust" => quota_adjust(SELLER, &month(&ledger), "300.00"),
                    "quota-pause" => quota_pause(SELLER, &month(&ledger)),
                    "quota-resume" => quota_resume(SELLER, &month(&ledger)),
                    other => event(other, &id),
                };
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event).code).unwrap();
            }
        }
    }
}

/// What became of a filed month, and a ledger on which it is so.
fn ledger_filed(filed: &str) -> Ledger {
    let (mut ledger, _) = ledger_in("open");
    ledger.time_ms = MONTH_END;
    let events =
        [file(MONTH, 1, "100.00", "13.00"), pay_request(MONTH, "p1", "13.00"), pay_result(MONTH, "p1", "paid")];
    let so_far = FILED.iter().position(|known| *known == filed).unwrap();
    for event in &events[..so_far] {
        assert_eq!(ledger.event(SELLER, event.clone()).code, ACCEPTED, "{filed}");
    }
    ledger
}

fn write_table_of_filings(table: &mut String) {
    for filed in FILED {
        for (kind, event) in [
            ("file", file(MONTH, 1, "100.00", "13.00")),
            ("amend", amend(MONTH, 1, "100.00", "3.00")),
            ("pay-request", pay_request(MONTH, "p2", "13.00")),
            ("pay-result", pay_result(MONTH, "p1", "failed")),
        ] {
            writeln!(table, "\n{filed} | {kind}").unwrap();
            for actor in ACTORS {
                let mut ledger = ledger_filed(filed);
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event.clone()).code).unwrap();
            }
        }
    }
}

/// Where a segment of the provider stands.
const SEGMENTS: [&str; 4] = ["no segment", "segment open", "number used", "segment closed"];

/// A ledger on which it stands so.
fn ledger_of_segment(status: &str) -> Ledger {
    let mut ledger = Ledger::new();
    let so_far = SEGMENTS.iter().position(|known| *known == status).unwrap();
    if so_far > 0 {
        ledger.segment_of(PROVIDER);
    }
    let chain = ledger.chain.clone();
    let events = [offline_issue(&chain, PROVIDER, "first", 1, NOON), segment_close(&segment_number(1))];
    for event in &events[..so_far.saturating_sub(1)] {
        assert_eq!(ledger.event(PROVIDER, event.clone()).code, ACCEPTED, "{status}");
    }
    ledger
}

fn write_table_of_segments(table: &mut String) {
    let chain = Ledger::new().chain;
    for status in SEGMENTS {
        for (kind, event) in [
            ("segment-grant", segment_grant(PROVIDER)),
            ("segment-close", segment_close(&segment_number(1))),
            ("offline-issue", offline_issue(&chain, PROVIDER, "first", 1, NOON)),
            ("offline-issue of another document", offline_issue(&chain, PROVIDER, "second", 1, NOON)),
        ] {
            writeln!(table, "\n{status} | {kind}").unwrap();
            for actor in ACTORS {
                let mut ledger = ledger_of_segment(status);
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event.clone()).code).unwrap();
            }
        }
    }
}

/// What red letters have taken of an invoice, and where its slip stands.
const REDS: [&str; 8] = [
    "nobody relies on it",
    "booked",
    "booked, slip requested",
    "booked, slip confirmed",
    "booked, slip lapsed",
    "taken back in part",
    "taken back in full",
    "a red letter",
];

/// A ledger with an invoice of which that is so.
fn ledger_of_red(status: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let mut id = ledger.event(SELLER, special("first")).subject;
    let accepted = |ledger: &mut Ledger, actor: &str, event: String| {
        let outcome = ledger.event(actor, event);
        assert_eq!(outcome.code, ACCEPTED, "{status}");
        outcome.subject
    };
    if status.starts_with("booked") {
        accepted(&mut ledger, BUYER, book(&id, "02", "1", MONTH));
    }
    if status.contains("slip") {
        accepted(&mut ledger, SELLER, red_request(&id, &special("first"), FULL));
    }
    match status {
        "booked, slip confirmed" => drop(accepted(&mut ledger, BUYER, red_answer("red-confirm", &id, 1))),
        "booked, slip lapsed" => ledger.time_ms += crate::red::SLIP_MS,
        "taken back in part" => {
            accepted(&mut ledger, SELLER, issue_red(&id, &special("first"), "red", &of_line("40.00")));
        }
        "taken back in full" => drop(accepted(&mut ledger, SELLER, issue_red(&id, &special("first"), "red", FULL))),
        "a red letter" => id = accepted(&mut ledger, SELLER, issue_red(&id, &special("first"), "red", FULL)),
        _ => {}
    }
    (ledger, id)
}

/// The events whose outcome depends on that.
fn red_events(id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("issue-red", issue_red(id, &special("first"), "red-2", FULL)),
        ("issue-red under a slip", issue_red_under(1, id, &special("first"), "red-2", FULL)),
        ("red-request", red_request(id, &special("first"), FULL)),
        ("red-confirm", red_answer("red-confirm", id, 1)),
        ("red-deny", red_answer("red-deny", id, 1)),
        ("red-withdraw", red_answer("red-withdraw", id, 1)),
        ("void", void(id)),
        ("transfer", transfer(id, OUTSIDER)),
        ("lock", lock(id, "d")),
        ("book", book(id, "02", "2", MONTH)),
        ("use", use_vat(id, "deduct", MONTH)),
    ]
}

fn write_table_of_red_letters(table: &mut String) {
    for status in REDS {
        let (_, id) = ledger_of_red(status);
        for (kind, event) in red_events(&id) {
            writeln!(table, "\n{status} | {kind}").unwrap();
            for actor in ACTORS {
                let (mut ledger, _) = ledger_of_red(status);
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event.clone()).code).unwrap();
            }
        }
    }
}

#[test]
fn the_table_of_status_event_and_role_is_what_it_was() {
    let mut table = String::from("# status | event | actor: outcome\n");
    for status in STATUSES {
        for kind in EVENTS {
            writeln!(table, "\n{status} | {kind}").unwrap();
            for actor in ACTORS {
                let (mut ledger, id) = ledger_in(status);
                writeln!(table, "  {actor:<10} {}", ledger.event(actor, event(kind, &id)).code).unwrap();
            }
        }
    }
    write_table_for_suspended(&mut table);
    write_table_of_members(&mut table);
    write_table_of_quotas(&mut table);
    write_table_of_books(&mut table);
    write_table_of_filings(&mut table);
    write_table_of_segments(&mut table);
    write_table_of_red_letters(&mut table);
    // No invoice has to do with it.
    writeln!(table, "\nany | evidence").unwrap();
    for actor in ACTORS {
        let mut ledger = Ledger::new();
        let event = evidence(&double_vote(&ledger.chain, 1));
        writeln!(table, "  {actor:<10} {}", ledger.event(actor, event).code).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/table.txt"), &table).unwrap();
        return;
    }
    assert!(table == GOLDEN, "the table changed; run with UPDATE_GOLDEN=1 and read the diff");
}
