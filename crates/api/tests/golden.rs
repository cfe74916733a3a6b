//! What clients rely on by name: the codes with their statuses, the rules, the description.
//!
//! A change here is a reviewed decision. `UPDATE_GOLDEN=1 cargo test -p api --test golden` writes the files anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use api::catalogue;
use invoice::violation::RULES;
use serde_json::{Value, json};

fn check(name: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, current).expect("the golden files can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == current,
        "{name} has changed; if that is meant, run with UPDATE_GOLDEN=1 and review the difference"
    );
}

#[test]
fn every_code_has_its_status() {
    let mut list = String::new();
    for entry in catalogue::entries() {
        let status = catalogue::status(entry.code, entry.kind).as_u16();
        let grpc = catalogue::grpc_name(catalogue::grpc_status(entry.code, entry.kind));
        writeln!(list, "{} {status} {grpc} {:?}", entry.code, entry.kind).unwrap();
    }
    check("codes.txt", &list);
    let mut rules: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    rules.sort_unstable();
    check("rules.txt", &(rules.join("\n") + "\n"));
}

#[test]
fn no_code_stands_twice_and_all_are_explained() {
    let entries = catalogue::entries();
    let codes: BTreeSet<&str> = entries.iter().map(|entry| entry.code).collect();
    assert_eq!(codes.len(), entries.len());
    for entry in entries {
        assert!(entry.summary.ends_with('.') && entry.cure.ends_with('.'), "{}", entry.code);
        assert_eq!(catalogue::find(entry.code), Some(entry));
    }
}

#[test]
fn the_description_does_not_change_unnoticed() {
    check("openapi.json", &(api::openapi().to_pretty_json().unwrap() + "\n"));
}

/// The names of a shape's fields.
fn fields(name: &str) -> BTreeSet<String> {
    let description = serde_json::to_value(api::openapi()).expect("a description is JSON");
    let properties = description.pointer(&format!("/components/schemas/{name}/properties"));
    properties.and_then(Value::as_object).unwrap_or_else(|| panic!("{name}")).keys().cloned().collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

/// Events about organisations, keys and mandates, with every field there is.
fn member_events() -> Vec<(&'static str, Value)> {
    let introduction = {
        let secret = chain::key::SecretKey::from_seed([7; 32]);
        let by = "m/k".parse().expect("the id of a key");
        let payload = br#"{"organisation":{"id":"m","keys":[{}]}}"#.to_vec();
        serde_json::to_value(chain::introduction::SignedIntroduction::sign(payload, &[(by, &secret)].into()))
            .expect("JSON")
    };
    let enterprise = json!({"id": "m", "name": "N", "taxpayer_id": "915000000000011", "taxpayer_kind": "other"});
    let addition = json!({
        "id": "k", "public": "A".repeat(43), "purposes": ["statement", "login", "peer"],
        "custody": {"hosted-by": "a"}, "proof": "A".repeat(86)
    });
    assert_eq!(keys(&introduction), fields("IntroductionFile"));
    assert_eq!(keys(&introduction["signatures"][0]), fields("IntroductionSignature"));
    assert_eq!(keys(&enterprise), fields("Enterprise"));
    assert_eq!(keys(&addition), fields("Addition"));
    let scopes = json!(["issue", "lock", "file", "read"]);
    vec![
        ("Admit", json!({"admit": {"introduction": introduction, "observer": true}})),
        ("Register", json!({"register": {"enterprises": [enterprise]}})),
        ("Suspend", json!({"suspend": {"organisation": "m", "reason": "untraceable"}})),
        ("Reinstate", json!({"reinstate": {"organisation": "m", "reason": "own-request"}})),
        (
            "Rotate",
            json!({"rotate": {"organisation": "m", "add": [addition], "revoke": ["k"], "approval": "A".repeat(86)}}),
        ),
        ("SetRoles", json!({"roles": {"organisation": "m", "roles": ["enterprise"]}})),
        (
            "Rename",
            json!({"rename": {"organisation": "m", "name": "N", "taxpayer_id": "915000000000011", "taxpayer_kind": "other", "in_error": true}}),
        ),
        ("GiveMandate", json!({"mandate": {"to": "p", "scopes": scopes, "expires_ms": 1}})),
        ("RevokeMandate", json!({"revoke": {"from": "m", "to": "p"}})),
        ("Attest", json!({"attest": {"to": "p", "scopes": scopes, "expires_ms": 1, "enterprises": ["m"]}})),
        (
            "Override",
            json!({"override": {"invoice": "144032609110-00000001", "token": 1, "reason": "court-order", "decision": "ab".repeat(32)}}),
        ),
    ]
}

/// Events about quotas, and about what is in books and said of an invoice, with every field there is.
fn events_of_months_and_books() -> Vec<(&'static str, Value)> {
    let invoice = "144032609110-00000001";
    let quotas = [
        ("QuotaGrant", json!({"quota-grant": {"seller": "s", "period": "2026-01", "amount": "1.00"}})),
        ("QuotaAdjust", json!({"quota-adjust": {"seller": "s", "period": "2026-01", "amount": "1.00"}})),
        ("QuotaPause", json!({"quota-pause": {"seller": "s", "period": "2026-01"}})),
        ("QuotaResume", json!({"quota-resume": {"seller": "s", "period": "2026-01"}})),
    ];
    let lines = json!({"address": "A", "phone": "P", "bank": "B", "account": "C"});
    let correction = json!({"seller": lines, "buyer": lines, "remark": "R"});
    let booking = json!({"invoice": invoice, "code": "03", "voucher": "1", "period": "2026-01"});
    let books = [
        ("Book", json!({"book": booking})),
        ("BookAdjust", json!({"book-adjust": booking})),
        ("BookRevoke", json!({"book-revoke": {"invoice": invoice}})),
        (
            "Use",
            json!({"use": {"invoice": invoice, "purpose": "non-deduct", "reason": "welfare-or-consumption", "period": "2026-01"}}),
        ),
        ("UseRevoke", json!({"use-revoke": {"invoice": invoice}})),
        ("Manifest", json!({"manifest": {"invoice": invoice, "kind": "not-done", "reason": "it was never delivered"}})),
        ("Correct", json!({"correct": {"invoice": invoice, "fields": correction}})),
    ];
    assert_eq!(keys(&correction), fields("Correction"));
    assert_eq!(keys(&lines), fields("PartyLines"));
    [&quotas[..], &books].concat()
}

/// An offline certificate of a document, under a number.
fn certificate(number: &str, document: &Value) -> String {
    let document: invoice::Document = serde_json::from_value(document.clone()).expect("a document");
    let (segment, chain) =
        (number.parse().expect("a number"), format!("test@{}", "ab".repeat(32)).parse().expect("a chain"));
    let claims = ledger::contingency::OfflineClaims::new(&document, segment, segment, 1, 2);
    let secret = chain::key::SecretKey::from_seed([7; 32]);
    ledger::contingency::OfflineCertificate::sign("s/s1".parse().expect("a key"), chain, claims, &secret).to_string()
}

/// Events about red letters and about what is issued offline, with every field there is.
fn events_of_letters(document: &Value) -> Vec<(&'static str, Value)> {
    let invoice = "144032609110-00000001";
    let part = json!({"line": 0, "net": "1.00"});
    let take = json!({"lines": [part]});
    assert_eq!(keys(&part), fields("Part"));
    vec![
        (
            "RedRequest",
            json!({"red-request": {"invoice": invoice, "document": document, "reason": "sales-return", "take": take}}),
        ),
        ("RedConfirm", json!({"red-confirm": {"invoice": invoice, "slip": 1}})),
        ("RedDeny", json!({"red-deny": {"invoice": invoice, "slip": 1}})),
        ("RedWithdraw", json!({"red-withdraw": {"invoice": invoice, "slip": 1}})),
        (
            "IssueRed",
            json!({"issue-red": {"invoice": invoice, "document": document, "reference": "R", "reason": "sales-return", "take": take, "slip": 1}}),
        ),
        (
            "SegmentGrant",
            json!({"segment-grant": {"to": "s", "key": "s1", "numbering": "digital", "count": 1, "valid_until_ms": 1, "deadline_hours": 1}}),
        ),
        ("SegmentClose", json!({"segment-close": {"segment": invoice}})),
        (
            "OfflineIssue",
            json!({"offline-issue": {"document": document, "certificate": certificate(invoice, document)}}),
        ),
    ]
}

#[test]
fn the_shapes_of_what_is_signed_are_those_the_rooms_read() {
    let party = json!({"name": "N", "taxpayer_id": "91440300708461136T", "address": "A", "phone": "P", "bank": "B", "account": "C"});
    let hash = "ab".repeat(32);
    let line = json!({
        "name": "N", "tax_code": "3070401000000000000", "specification": "S", "unit": "U", "quantity": "1",
        "unit_price": "1", "net": "1.00", "tax": {"rate": "0.06"}, "tax_amount": "0.06", "discount": false, "preferential": "P"
    });
    let document = json!({
        "profile": "blockchain-ordinary", "reference": "R", "seller": party, "buyer": {"organisation": party},
        "lines": [line], "totals": {"net": "1.00", "tax": "0.06", "gross": "1.06"}, "payment_ref": hash, "remark": "R",
        "attachment": hash
    });
    let invoice = "144032609110-00000001";
    let signed = json!({"block": hash, "pol_round": 1, "signature": "A".repeat(86)});
    let total = json!({"treatment": "exempt", "net": "1.00", "tax": "0.00"});
    let used = json!({"purpose": "deduct", "invoices": 1, "net": "1.00", "tax": "0.06"});
    let events = [
        ("Issue", json!({"issue": {"document": document}})),
        ("Transfer", json!({"transfer": {"invoice": invoice, "to": {"organisation": "o"}}})),
        ("Lock", json!({"lock": {"invoice": invoice, "enterprise": "e", "claim": "c", "lease_seconds": 1}})),
        ("Renew", json!({"renew": {"invoice": invoice, "claim": "c", "token": 1, "lease_seconds": 1}})),
        ("Unlock", json!({"unlock": {"invoice": invoice, "claim": "c", "token": 1}})),
        ("Close", json!({"close": {"invoice": invoice, "claim": "c", "token": 1}})),
        ("Void", json!({"void": {"invoice": invoice, "reason": "issue-error"}})),
        (
            "File",
            json!({"file": {"seller": "s", "period": "2026-01", "invoices": 1, "output": [total], "input": [used], "uninvoiced": [total]}}),
        ),
        (
            "Amend",
            json!({"amend": {"taxpayer": "s", "period": "2026-01", "number": 1, "reason": "omitted-sales", "uninvoiced": [total]}}),
        ),
        ("PayRequest", json!({"pay-request": {"taxpayer": "s", "period": "2026-01", "order": "o", "amount": "1.00"}})),
        (
            "PayResult",
            json!({"pay-result": {"taxpayer": "s", "period": "2026-01", "order": "o", "result": "paid", "receipt": hash}}),
        ),
        (
            "Evidence",
            json!({"evidence": {"validator": "v", "height": 1, "round": 0, "kind": "proposal", "first": signed, "second": signed}}),
        ),
    ];
    let events = [&events[..], &member_events(), &events_of_months_and_books(), &events_of_letters(&document)].concat();
    for (name, json) in &events {
        // The room reads it and writes it back whole, so the sample has every field there is.
        let event: ledger::event::Event = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), *json, "{name}");
        assert_eq!(keys(&json[event.kind()]), fields(name), "{name}");
    }
    assert_eq!(events.len(), ledger::event::Event::KINDS.len());
    assert_eq!(keys(&signed), fields("Signed"));
    assert_eq!(keys(&document), fields("Document"));
    assert_eq!(keys(&party), fields("DocumentParty"));
    assert_eq!(keys(&document["lines"][0]), fields("Line"));
    assert_eq!(keys(&document["totals"]), fields("Totals"));
    assert_eq!(keys(&total), fields("FileTotal"));
    assert_eq!(keys(&used), fields("InputTotal"));
    let personal: Value = fields("Personal").into_iter().map(|name| (name, json!("x"))).collect();
    let mut personal = personal;
    personal["details"] = json!([{"line": 0, "facts": {"plate_no": "x"}}]);
    let read: invoice::Personal = serde_json::from_value(personal.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), personal);
}
