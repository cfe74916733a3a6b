//! Organisations, keys and mandates at the door: what is shown of them to whom, and what changes of them do at once.

use std::collections::BTreeSet;

use chain::identity::KeyId;
use chain::jws::KeyReference;
use chain::possession::Offer;
use chain::statement::{Draft, Mode, payload};
use ledger::event::terms;
use ledger::organisation::{Custody, Purpose};
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::consortium::{NOON, document, organisation, secret};
use super::node::Node;

/// One event of one organisation.
fn event(node: &Node, who: &str, nonce: &str, event: &Value) -> Answer {
    node.submit(&node.statement(who, nonce, Mode::Each, std::slice::from_ref(event)))
}

fn accepted(node: &Node, who: &str, nonce: &str, it: &Value) -> Value {
    let answer = event(node, who, nonce, it);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["outcomes"][0].clone()
}

/// A key that an organisation is to have, which `secret` gives under its id.
pub(crate) fn addition(node: &Node, of: &str, id: &str, purpose: Purpose, custody: &Custody) -> Value {
    let key = KeyReference { organisation: organisation(of), key: KeyId::new(id).unwrap() };
    let (secret, purposes) = (secret(of, id), BTreeSet::from([purpose]));
    let proof = Offer { chain: node.query.chain(), key: &key, terms: &terms(&purposes, custody) }.sign(&secret);
    json!({"id": id, "public": secret.public(), "purposes": purposes, "custody": custody, "proof": proof})
}

/// An enterprise that introduces itself, with two keys that `secret` gives.
pub(crate) fn introduced(node: &Node, id: &str, taxpayer: &str) -> Value {
    let keys = ["login", "statement"].map(|key| {
        json!({"id": key, "public": secret(id, key).public(), "purposes": [key], "custody": "own", "active": true})
    });
    let introduced = json!({
        "version": 1, "suite": 1, "time_ms": NOON, "chain": node.query.chain(),
        "organisation": {
            "id": id, "name": "Mall", "taxpayer_id": taxpayer, "taxpayer_kind": "other",
            "roles": ["enterprise"], "standing": "active", "keys": keys
        }
    });
    let secrets = ["login", "statement"].map(|key| (format!("{id}/{key}").parse().unwrap(), secret(id, key)));
    let signed = chain::introduction::SignedIntroduction::sign(
        introduced.to_string().into_bytes(),
        &secrets.iter().map(|(by, secret): &(KeyReference, _)| (by.clone(), secret)).collect(),
    );
    json!(signed)
}

fn merchants(count: usize) -> Value {
    let entry = |number: usize| {
        let taxpayer = format!("91600000000{number:04}");
        json!({"id": format!("m-{number:03}"), "name": format!("M {number}"), "taxpayer_id": taxpayer, "taxpayer_kind": "other"})
    };
    json!({"register": {"enterprises": (0..count).map(entry).collect::<Vec<_>>()}})
}

fn ids(page: &Value, list: &str, field: &str) -> Vec<String> {
    page[list].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

/// Every page of a list.
fn pages(node: &Node, who: &str, path: &str, list: &str, field: &str) -> (Vec<String>, usize) {
    let (mut found, mut next, mut count) = (Vec::new(), None, 0);
    loop {
        let cursor = next.map(|next: String| format!("&cursor={next}")).unwrap_or_default();
        let page = node.get(who, &format!("{path}{cursor}")).json();
        found.extend(ids(&page, list, field));
        count += 1;
        match page["next"].as_str() {
            Some(cursor) => next = Some(cursor.to_owned()),
            None => return (found, count),
        }
    }
}

#[test]
fn everybody_sees_the_public_part_of_an_organisation_and_few_all_of_it() {
    let node = Node::start();
    let path = "/v1/organisations/shop";
    for (who, whole) in [("stranger", false), ("isp", false), ("shop", true), ("police", true), ("auditor", true)] {
        let view = node.get(who, path).json();
        assert_eq!((&view["name"], &view["taxpayer_id"]), (&json!("shop Ltd"), &json!("91440300708461136T")));
        assert_eq!((&view["roles"], &view["standing"]), (&json!(["enterprise"]), &json!("active")));
        assert_eq!(view["keys"][0]["public"], json!(secret("shop", "statement").public()));
        assert_eq!(
            (view.get("taxpayer_kind").is_some(), view["keys"][0].get("custody").is_some()),
            (whole, whole),
            "{who}"
        );
        assert!(view.get("former_taxpayer_ids").is_none());
    }
    let hosted = json!({"hosted-by": "tax-bureau"});
    assert_eq!(node.get("police", path).json()["keys"][0]["custody"], hosted);
    for unknown in ["/v1/organisations/nobody", "/v1/organisations/No%20body", "/v1/organisations/nobody/mandates"] {
        assert_eq!(node.get("police", unknown).problem(), (404, "organisation.unknown".to_owned()));
    }
    assert_eq!(send(node.address, "GET", path, &[], b"").problem(), (401, "auth.missing".to_owned()));
}

#[test]
fn agencies_and_auditors_list_organisations_and_nobody_else_does() {
    let node = Node::start();
    accepted(&node, "tax-bureau", "n1", &merchants(20));
    for who in ["shop", "isp", "stranger"] {
        assert_eq!(node.get(who, "/v1/organisations").problem(), (403, "auth.role-missing".to_owned()), "{who}");
    }
    let (all, _) = pages(&node, "police", "/v1/organisations?limit=100", "organisations", "id");
    assert_eq!(all.len(), 29);
    assert!(all.is_sorted());
    let (paged, count) = pages(&node, "auditor", "/v1/organisations?limit=4", "organisations", "id");
    assert_eq!((&paged, count), (&all, 8));
    let of =
        |filter: &str| pages(&node, "police", &format!("/v1/organisations?limit=9&{filter}"), "organisations", "id").0;
    assert_eq!(of("role=agency"), ["police", "tax-bureau"]);
    assert_eq!(of("role=enterprise").len(), 23);
    assert_eq!(of("taxpayer_id=916000000000007"), ["m-007"]);
    assert_eq!(of("taxpayer_id=916000000000007&role=agency"), Vec::<String>::new());
    assert_eq!(of("taxpayer_id=916000000009999"), Vec::<String>::new());
    accepted(&node, "tax-bureau", "n2", &json!({"suspend": {"organisation": "m-003", "reason": "not-filed"}}));
    assert_eq!(of("standing=suspended"), ["m-003"]);
    for (wrong, path) in
        [("role=king", "role"), ("standing=x", "standing"), ("taxpayer_id=x", "taxpayer_id"), ("x=y", "x")]
    {
        let refused = node.get("police", &format!("/v1/organisations?{wrong}"));
        assert_eq!((refused.problem().1.as_str(), &refused.json()["path"]), ("request.query", &json!(path)));
    }
    let cursor = node.get("police", "/v1/organisations?limit=4").json()["next"].as_str().unwrap().to_owned();
    let other = node.get("police", &format!("/v1/organisations?role=agency&cursor={cursor}"));
    assert_eq!(other.problem(), (400, "request.cursor".to_owned()));
}

#[test]
fn mandates_are_shown_to_giver_holder_and_agencies() {
    let node = Node::start();
    accepted(&node, "tax-bureau", "n1", &merchants(25));
    let merchants: Vec<String> = (0..25).map(|number| format!("m-{number:03}")).collect();
    let attest = json!({"attest": {"to": "isp", "scopes": ["issue", "file"], "enterprises": merchants}});
    let outcome = accepted(&node, "tax-bureau", "n2", &attest);
    assert_eq!((&outcome["subject"], &outcome["kind"]), (&json!("mandates:isp"), &json!("attest")));
    assert_eq!(outcome["record"]["attested"]["mandates"], 25);
    let held = "/v1/organisations/isp/mandates?side=held";
    for who in ["isp", "police", "auditor"] {
        let (from, count) = pages(&node, who, &format!("{held}&limit=10"), "mandates", "from");
        assert_eq!((from.len(), count), (26, 3), "{who}: the merchants, and the shop of genesis");
        assert!(from.is_sorted() && from.contains(&"shop".to_owned()));
    }
    // The others see what is between them and the organisation.
    let shops =
        json!([{"from": "shop", "to": "isp", "scopes": ["issue", "file"], "in_force": true, "attested": false}]);
    assert_eq!(node.get("shop", held).json()["mandates"], shops);
    assert_eq!(node.get("shop", "/v1/organisations/shop/mandates").json()["mandates"], shops);
    assert_eq!(node.get("isp", "/v1/organisations/shop/mandates?side=given").json()["mandates"], shops);
    assert_eq!(node.get("stranger", held).json(), json!({"mandates": []}));
    assert_eq!(node.get("stranger", "/v1/organisations/shop/mandates").json(), json!({"mandates": []}));
    assert_eq!(node.get("shop", &format!("{held}&side=given")).problem().0, 400, "each parameter once");
    assert_eq!(node.get("shop", "/v1/organisations/isp/mandates?side=x").problem(), (400, "request.query".to_owned()));
    // What has ended is shown as ended.
    accepted(&node, "isp", "n1", &json!({"revoke": {"from": "shop", "to": "isp"}}));
    let ended = node.get("shop", "/v1/organisations/shop/mandates").json()["mandates"][0].clone();
    assert_eq!((&ended["in_force"], ended["expires"].is_string()), (&json!(false), true));
    let issue = json!({"issue": {"document": document("A1")}});
    assert_eq!(event(&node, "isp", "n2", &issue).problem(), (403, "mandate.missing".to_owned()));
}

#[test]
fn every_refusal_of_these_events_has_its_status() {
    let node = Node::start();
    let bureau = "tax-bureau";
    let entry = |id: &str, taxpayer: &str| {
        let enterprise = json!({"id": id, "name": "N", "taxpayer_id": taxpayer, "taxpayer_kind": "other"});
        json!({"register": {"enterprises": [enterprise]}})
    };
    let rotate = |of: &str, key: Value| json!({"rotate": {"organisation": of, "add": [key]}});
    let add = |of: &str, id: &str, purpose| addition(&node, of, id, purpose, &Custody::Own);
    let mut forged = add("shop", "s2", Purpose::Statement);
    forged["id"] = json!("s3");
    let hosted = addition(&node, "shop", "s2", Purpose::Statement, &Custody::HostedBy(organisation("isp")));
    let suspend = |of: &str| json!({"suspend": {"organisation": of, "reason": "own-request"}});
    let mandate = |to: &str, more: &str| {
        let text = format!(r#"{{"mandate":{{"to":"{to}","scopes":["issue"]{more}}}}}"#);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let rename =
        json!({"rename": {"organisation": "shop", "taxpayer_id": "915000000000013", "taxpayer_kind": "other"}});
    for (number, (who, it, status, code)) in [
        ("shop", suspend("buyer"), 403, "organisation.tax-bureau-only"),
        (bureau, suspend("police"), 403, "organisation.is-agency"),
        (bureau, suspend("nobody"), 404, "organisation.unknown"),
        (bureau, entry("shop", "915000000000041"), 409, "organisation.id-taken"),
        (bureau, entry("m", "915000000000013"), 409, "organisation.taxpayer-id-taken"),
        (bureau, rename, 409, "organisation.taxpayer-id-taken"),
        (bureau, json!({"roles": {"organisation": "shop", "roles": ["enterprise"]}}), 409, "organisation.unchanged"),
        ("isp", rotate("shop", add("shop", "s2", Purpose::Statement)), 403, "key.not-permitted"),
        ("shop", rotate("shop", add("shop", "statement", Purpose::Statement)), 409, "key.id-used"),
        ("shop", rotate("shop", add("shop", "p1", Purpose::Peer)), 403, "key.purpose"),
        ("shop", rotate("shop", forged), 422, "key.proof-invalid"),
        ("shop", rotate("shop", hosted), 404, "key.custodian-unknown"),
        ("shop", json!({"rotate": {"organisation": "shop", "revoke": ["nothing"]}}), 404, "key.unknown"),
        ("shop", json!({"rotate": {"organisation": "shop", "revoke": ["old-login"]}}), 409, "key.revoked"),
        (bureau, json!({"rotate": {"organisation": bureau, "revoke": ["statement"]}}), 403, "key.not-approved"),
        ("shop", mandate("shop", ""), 409, "mandate.to-itself"),
        ("shop", mandate("isp", r#","expires_ms":1"#), 409, "mandate.expired"),
        ("shop", mandate("nobody", ""), 404, "organisation.unknown"),
        ("isp", mandate("shop", ""), 403, "organisation.role-missing"),
        ("stranger", json!({"revoke": {"from": "shop", "to": "isp"}}), 403, "mandate.not-permitted"),
        ("shop", json!({"revoke": {"from": "shop", "to": "platform-a"}}), 404, "mandate.unknown"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = event(&node, who, &format!("n{number}"), &it);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{it}: {}", answer.text());
        assert_eq!(answer.json()["outcomes"][0]["code"], code, "it is on the ledger");
    }
    // What is wrong in itself never gets there.
    let leaves = node.leaves();
    let wrong = json!({"register": {"enterprises": [
        {"id": "m", "name": "N", "taxpayer_id": "91440300708461136X", "taxpayer_kind": "uscc"}
    ]}});
    let answer = event(&node, bureau, "wrong", &wrong);
    assert_eq!(answer.problem(), (400, "event.malformed".to_owned()));
    assert_eq!(answer.json()["path"], "/events/0/register/enterprises/0");
    assert_eq!(node.leaves(), leaves);
}

#[test]
fn a_revoked_login_key_logs_nobody_in_though_its_token_was_verified_before() {
    let node = Node::start();
    let bearer = node.bearer("shop");
    let ask = || send(node.address, "GET", "/v1/invoices", &[("authorization", &bearer)], b"");
    assert_eq!((ask().status, ask().status), (200, 200), "the second is known");
    let new = addition(&node, "shop", "login-2", Purpose::Login, &Custody::Own);
    let rotate = json!({"rotate": {"organisation": "shop", "add": [new], "revoke": ["login"]}});
    let outcome = accepted(&node, "shop", "n1", &rotate);
    assert_eq!(outcome["record"], json!({"rotated": {"added": 1, "revoked": 1, "from_height": 2}}));
    assert_eq!(ask().problem(), (401, "auth.key-inactive".to_owned()));
    let mut draft = node.login("shop");
    draft.key = KeyId::new("login-2").unwrap();
    let bearer = format!("Bearer {}", draft.sign(&secret("shop", "login-2")));
    assert_eq!(send(node.address, "GET", "/v1/invoices", &[("authorization", &bearer)], b"").status, 200);
    // The old key is still listed, for what it signed.
    let keys = node.get("police", "/v1/organisations/shop").json()["keys"].clone();
    let login = keys.as_array().unwrap().iter().find(|key| key["id"] == "login").unwrap().clone();
    assert_eq!(
        (&login["active"], &login["from_height"], &login["until_height"]),
        (&json!(false), &json!(0), &json!(2))
    );
    let new = keys.as_array().unwrap().iter().find(|key| key["id"] == "login-2").unwrap().clone();
    assert_eq!((&new["active"], &new["from_height"], new.get("until_height")), (&json!(true), &json!(2), None));
}

#[test]
fn a_node_signs_with_the_hosted_key_that_the_ledger_has() {
    let node = Node::start();
    let custody = Custody::HostedBy(organisation("tax-bureau"));
    let hosted = addition(&node, "shop", "hosted", Purpose::Statement, &custody);
    let rotate =
        |add: &[Value], revoke: &[&str]| json!({"rotate": {"organisation": "shop", "add": add, "revoke": revoke}});
    node.issue("A1");
    accepted(&node, "shop", "n1", &rotate(&[hosted], &["statement"]));
    let id = node.issue("A2");
    let signed_by = node.query.event(node.leaves() - 1).unwrap().unwrap().statement.header().key.to_string();
    assert_eq!((id.is_empty(), signed_by.as_str()), (false, "hosted"));
    // With neither there is nothing to sign with, and the door says so.
    accepted(&node, "tax-bureau", "n1", &rotate(&[], &["hosted"]));
    let body = json!({"document": document("A3")});
    let refused = node.write("shop", "/v1/invoices", "w3", &body);
    assert_eq!(refused.problem(), (401, "statement.key-inactive".to_owned()));
}

#[test]
fn who_is_admitted_logs_in_and_signs_in_the_next_block() {
    let node = Node::start();
    let introduction = introduced(&node, "mall", "915000000000041");
    assert_eq!(node.get("mall", "/v1/invoices").problem(), (401, "auth.unknown-key".to_owned()));
    accepted(&node, "tax-bureau", "n1", &json!({"admit": {"introduction": introduction}}));
    assert_eq!(node.get("mall", "/v1/invoices").status, 200);
    accepted(&node, "mall", "n1", &json!({"mandate": {"to": "isp", "scopes": ["issue"]}}));
    let mut sold = document("A1");
    sold["seller"] = json!({"name": "Mall", "taxpayer_id": "915000000000041"});
    accepted(&node, "isp", "n1", &json!({"issue": {"document": sold}}));
    assert_eq!(node.get("mall", "/v1/invoices").json()["invoices"].as_array().unwrap().len(), 1);
    // Whoever is suspended may read, and does nothing.
    accepted(&node, "tax-bureau", "n2", &json!({"suspend": {"organisation": "mall", "reason": "deregistered"}}));
    assert_eq!(node.get("mall", "/v1/invoices").status, 200);
    let header = node.header("mall", "n2");
    let events = [json!({"mandate": {"to": "isp", "scopes": ["file"]}}).to_string()];
    let statement = Draft::new(header, payload(Mode::Each, &events)).sign(&secret("mall", "statement"));
    assert_eq!(node.submit(&statement).problem(), (403, "organisation.suspended".to_owned()));
}

#[test]
fn a_renumbered_organisation_lists_files_and_follows_what_is_its_own_under_either_id() {
    let node = Node::start();
    let old: Vec<String> = (0..3).map(|number| node.issue(&format!("A{number}"))).collect();
    let renumber =
        |of: &str, to: &str| json!({"rename": {"organisation": of, "taxpayer_id": to, "taxpayer_kind": "other"}});
    accepted(&node, "tax-bureau", "n1", &renumber("buyer", "915000000000042"));
    accepted(&node, "tax-bureau", "n2", &renumber("shop", "915000000000041"));
    let view = node.get("stranger", "/v1/organisations/shop").json();
    assert_eq!(view["taxpayer_id"], "915000000000041");
    assert_eq!(view["former_taxpayer_ids"][0]["taxpayer_id"], "91440300708461136T");
    let found = node.get("police", "/v1/organisations?taxpayer_id=91440300708461136T").json();
    assert_eq!(ids(&found, "organisations", "id"), ["shop"]);
    let issue = |reference: &str, buyer: &str| {
        let mut document = document(reference);
        document["seller"]["taxpayer_id"] = json!("915000000000041");
        document["buyer"]["organisation"]["taxpayer_id"] = json!(buyer);
        let answer = node.write("shop", "/v1/invoices", reference, &json!({"document": document}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    // One seller has heard of the buyer's new id, another has not.
    let new = [issue("B0", "915000000000042"), issue("B1", "91350100M000100Y43")];
    let newest: Vec<String> = old.iter().chain(&new).rev().cloned().collect();
    for (who, path) in [
        ("shop", "/v1/invoices?limit=2"),
        ("isp", "/v1/invoices?limit=2&party=shop"),
        ("buyer", "/v1/invoices?limit=2&side=buyer"),
        ("buyer", "/v1/invoices?limit=2&side=holder"),
        ("platform-a", "/v1/invoices?limit=2&party=buyer&side=holder"),
    ] {
        assert_eq!(pages(&node, who, path, "invoices", "id").0, newest, "{who} {path}");
    }
    let under_the_old =
        pages(&node, "buyer", "/v1/invoices?limit=2&side=buyer&party=taxpayer:91350100M000100Y43", "invoices", "id").0;
    assert_eq!(under_the_old.len(), 4);
    for id in &newest {
        assert_eq!(node.get("buyer", &format!("/v1/invoices/{id}")).status, 200);
    }
    // What was issued keeps the names and ids it was issued with.
    let first = node.get("buyer", &format!("/v1/invoices/{}", old[0])).json();
    assert_eq!(first["document"]["seller"]["taxpayer_id"], "91440300708461136T");
    // The month is one, under both ids.
    let month = node.get("shop", "/v1/filings/shop/2026-11").json();
    assert_eq!((&month["invoices"], &month["output"][0]["net"]), (&json!(5), &json!("500.00")));
}

#[test]
fn an_attestation_is_told_to_its_giver_and_what_strangers_try_to_nobody_else() {
    let node = Node::start();
    accepted(&node, "tax-bureau", "n1", &merchants(2));
    let login = addition(&node, "m-001", "login", Purpose::Login, &Custody::Own);
    accepted(&node, "tax-bureau", "n2", &json!({"rotate": {"organisation": "m-001", "add": [login]}}));
    let attest = json!({"attest": {"to": "isp", "scopes": ["issue"], "enterprises": ["m-000", "m-001"]}});
    accepted(&node, "tax-bureau", "n3", &attest);
    let attested = node.leaves() - 1;
    let mandate = node.get("m-001", "/v1/organisations/m-001/mandates").json()["mandates"][0].clone();
    assert_eq!((&mandate["to"], &mandate["attested"]), (&json!("isp"), &json!(true)));
    let suspend = json!({"suspend": {"organisation": "shop", "reason": "investigation"}});
    assert_eq!(event(&node, "stranger", "n1", &suspend).problem().0, 403);
    let tried = node.leaves() - 1;
    let revoke = json!({"revoke": {"from": "shop", "to": "isp"}});
    assert_eq!(event(&node, "stranger", "n2", &revoke).problem().0, 403);
    for (who, attestation, attempt) in [
        ("m-001", 200, 404),
        ("isp", 200, 404),
        ("shop", 404, 404),
        ("stranger", 404, 200),
        ("police", 200, 200),
        ("auditor", 200, 200),
    ] {
        let status = |leaf: u64| node.get(who, &format!("/v1/receipts/{leaf}")).status;
        assert_eq!([status(attested), status(tried), status(tried + 1)], [attestation, attempt, attempt], "{who}");
    }
}

#[test]
fn who_is_suspended_reads_its_own_and_nothing_under_its_role_or_mandates() {
    let node = Node::start();
    let id = node.issue("A1");
    let sees = |who: &str| node.get(who, &format!("/v1/invoices/{id}")).status;
    assert_eq!([sees("auditor"), sees("isp"), sees("shop")], [200, 200, 200]);
    for (number, who) in ["auditor", "isp", "shop"].into_iter().enumerate() {
        let suspend = json!({"suspend": {"organisation": who, "reason": "investigation"}});
        accepted(&node, "tax-bureau", &format!("n{number}"), &suspend);
    }
    assert_eq!([sees("auditor"), sees("isp"), sees("shop")], [404, 404, 200]);
    assert_eq!(node.get("auditor", "/v1/organisations").problem(), (403, "auth.role-missing".to_owned()));
}

#[test]
fn a_node_signs_with_no_key_that_the_ledger_says_is_in_other_hands() {
    let node = Node::start();
    node.issue("A1");
    let own = addition(&node, "shop", "hosted", Purpose::Statement, &Custody::Own);
    let rotate = json!({"rotate": {"organisation": "shop", "add": [own], "revoke": ["statement"]}});
    accepted(&node, "shop", "n1", &rotate);
    let refused = node.write("shop", "/v1/invoices", "w2", &json!({"document": document("A2")}));
    assert_eq!(refused.problem(), (403, "hosted.custody".to_owned()));
}
