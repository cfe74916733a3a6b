//! Every refused row of the ledger's table of status × event × role, through the door: the statement is answered with
//! the row's code, and the refusal is on the ledger.

mod letters;

use std::collections::BTreeMap;

use chain::hash::Hash;
use chain::statement::Mode;
use ledger::organisation::{Custody, Purpose};
use serde_json::{Value, json};

use super::client::Answer;
use super::consortium::document;
use super::evidence::double_vote;
use super::node::Node;
use super::organisations::{addition, introduced};
use crate::{Clock as _, DevControl as _};

/// What the ledger's own test executes and holds.
const TABLE: &str = include_str!("../../../ledger/src/tests/table.txt");

/// From noon in the middle of the month to its end, ms.
const TO_MONTH_END: i64 = 1_796_054_400_000 - super::consortium::NOON;

/// Status and event, and what each actor is answered.
type Rows = BTreeMap<(&'static str, &'static str), Vec<(&'static str, &'static str)>>;

fn rows() -> Rows {
    let (mut rows, mut at) = (Rows::new(), ("", ""));
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => at = line.split_once(" | ").expect("status | event"),
            Some(row) => {
                let (actor, code) = row.split_once(' ').expect("actor code");
                rows.entry(at).or_default().push((actor, code.trim()));
            }
        }
    }
    rows
}

/// A node on which the table's actors are, and whatever happens on it.
struct Played {
    node: Node,
    invoice: String,
    statements: u32,
}

impl Played {
    fn new() -> Self {
        let mut played = Self { node: Node::start(), invoice: String::new(), statements: 0 };
        // Whoever has nothing to do with the invoice may be anything.
        let roles = ["enterprise", "reimbursement-platform", "service-provider"];
        played.done("tax-bureau", &json!({"roles": {"organisation": "outsider", "roles": roles}}));
        played
    }

    /// Somebody states an event.
    fn state(&mut self, actor: &str, event: &Value) -> Answer {
        self.statements += 1;
        // The outsider's name at this door.
        let event: Value = serde_json::from_str(&event.to_string().replace("\"outsider\"", "\"stranger\"")).unwrap();
        let actor = if actor == "outsider" { "stranger" } else { actor };
        self.node.submit(&self.node.statement(actor, &format!("n{}", self.statements), Mode::Each, &[event]))
    }

    /// Somebody does what must be so for the rows.
    fn done(&mut self, actor: &str, event: &Value) -> Value {
        let answer = self.state(actor, event);
        assert_eq!(answer.status, 201, "{event}: {}", answer.text());
        answer.json()["outcomes"][0].clone()
    }

    fn sold(mut self, person: bool) -> Self {
        let mut document = document("first");
        if person {
            document["buyer"] = json!({"person": {"id": "p1"}});
        }
        self.invoice = self.done("shop", &json!({"issue": {"document": document}}))["subject"].as_str().unwrap().into();
        self
    }

    /// In a status of an invoice, as the table words it.
    fn in_status(status: &str) -> Self {
        let mut played = Self::new().sold(status.starts_with("held by a person"));
        let id = played.invoice.clone();
        let lapsed = status.contains("lapsed");
        if status.contains("platform-a") {
            let mut lock = json!({"lock": {"invoice": id, "enterprise": "buyer", "claim": "c"}});
            if lapsed {
                lock["lock"]["lease_seconds"] = json!(1);
            }
            played.done("platform-a", &lock);
        }
        if lapsed {
            played.node.clock.advance_clock(super::consortium::DAY);
        }
        if status.starts_with("closed") {
            played.done("platform-a", &json!({"close": {"invoice": id, "claim": "c", "token": 1}}));
        }
        if status == "void" {
            played.done("shop", &json!({"void": {"invoice": id, "reason": "issue-error"}}));
        }
        if status.ends_with("filed") {
            played.node.clock.advance_clock(TO_MONTH_END);
            played.done("shop", &filing());
        }
        if let Some(party) = ["shop", "buyer"].into_iter().find(|party| status.ends_with(&format!("{party} suspended")))
        {
            played.done("tax-bureau", &json!({"suspend": {"organisation": party, "reason": "investigation"}}));
        }
        played
    }

    /// Under a quota, as the table words it.
    fn under_quota(quota: &str) -> Self {
        let mut played = Self::new().sold(false);
        let of = |kind: &str, amount: Option<&str>| match amount {
            Some(amount) => json!({kind: {"seller": "shop", "period": "2026-11", "amount": amount}}),
            None => json!({kind: {"seller": "shop", "period": "2026-11"}}),
        };
        let granted = match quota {
            "no quota ever" => None,
            "quota used up" => Some("106.00"),
            _ => Some("212.00"),
        };
        if granted.is_some() {
            played.done("tax-bureau", &of("quota-grant", granted));
        }
        if quota == "quota paused" {
            played.done("tax-bureau", &of("quota-pause", None));
        }
        if quota == "month without a grant" {
            played.node.clock.advance_clock(TO_MONTH_END);
        }
        played
    }

    /// With a special invoice, in somebody's books or not, as the table words it; one to a person is ordinary.
    fn in_books(books: &str) -> Self {
        let person = books == "issued to a person";
        let mut played = Self::new();
        let mut document = document("first");
        if person {
            document["buyer"] = json!({"person": {"id": "p1"}});
        } else {
            document["profile"] = json!("digital-special");
        }
        let issued = played.done("shop", &json!({"issue": {"document": document}}));
        played.invoice = issued["subject"].as_str().unwrap().to_owned();
        let id = played.invoice.clone();
        if ["booked and used", "month filed by its buyer"].contains(&books) {
            let booked = json!({"book": {"invoice": id, "code": "02", "voucher": "1", "period": "2026-11"}});
            played.done("buyer", &booked);
            played.done("buyer", &json!({"use": {"invoice": id, "purpose": "deduct", "period": "2026-11"}}));
        }
        match books {
            "void" => drop(played.done("shop", &json!({"void": {"invoice": id, "reason": "issue-error"}}))),
            "reimbursed by another" => {
                played.done("buyer", &json!({"transfer": {"invoice": id, "to": {"organisation": "outsider"}}}));
                played.done("outsider", &json!({"lock": {"invoice": id, "enterprise": "outsider", "claim": "c"}}));
                played.done("outsider", &json!({"close": {"invoice": id, "claim": "c", "token": 1}}));
            }
            "month filed by its buyer" => {
                played.node.clock.advance_clock(TO_MONTH_END);
                let input = played.node.get("buyer", "/v1/filings/buyer/2026-11").json()["input"].clone();
                let month =
                    json!({"seller": "buyer", "period": "2026-11", "invoices": 0, "output": [], "input": input});
                played.done("buyer", &json!({"file": month}));
            }
            _ => {}
        }
        played
    }

    /// With the seller's month in a status, as the table words it.
    fn filed(status: &str) -> Self {
        let mut played = Self::new().sold(false);
        played.node.clock.advance_clock(TO_MONTH_END);
        let events = [filing(), payment("p1"), paid("paid")];
        let so_far = FILED.iter().position(|known| *known == status).expect("a status of the table");
        for event in &events[..so_far] {
            played.done("shop", event);
        }
        played
    }

    fn event(&self, kind: &str) -> Value {
        let id = &self.invoice;
        let month =
            if self.node.clock.now_ms() >= super::consortium::NOON + TO_MONTH_END { "2026-12" } else { "2026-11" };
        match kind {
            "issue" => json!({"issue": {"document": document("second")}}),
            "transfer" => json!({"transfer": {"invoice": id, "to": {"organisation": "outsider"}}}),
            "lock" => json!({"lock": {"invoice": id, "enterprise": "buyer", "claim": "d"}}),
            "void" => json!({"void": {"invoice": id, "reason": "issue-error"}}),
            "file" => filing(),
            "override" => {
                let decision = Hash::of(b"decision").to_string();
                json!({"override": {"invoice": id, "token": 1, "reason": "platform-gone", "decision": decision}})
            }
            "renew" | "unlock" | "close" => json!({kind: {"invoice": id, "claim": "c", "token": 1}}),
            "quota-grant" | "quota-adjust" => json!({kind: {"seller": "shop", "period": month, "amount": "300.00"}}),
            "quota-pause" | "quota-resume" => json!({kind: {"seller": "shop", "period": month}}),
            "book" => json!({"book": {"invoice": id, "code": "02", "voucher": "2", "period": "2026-11"}}),
            "book-adjust" => json!({"book-adjust": {"invoice": id, "code": "03", "voucher": "2", "period": "2026-11"}}),
            "use" => json!({"use": {"invoice": id, "purpose": "deduct", "period": "2026-11"}}),
            "book-revoke" | "use-revoke" => json!({kind: {"invoice": id}}),
            "manifest" => json!({"manifest": {"invoice": id, "kind": "confirm"}}),
            "correct" => json!({"correct": {"invoice": id, "fields": {"remark": "order 7"}}}),
            "amend" => {
                let sales = json!([{"treatment": {"rate": "0.03"}, "net": "100.00", "tax": "3.00"}]);
                json!({"amend": {"taxpayer": "shop", "period": "2026-11", "number": 1, "reason": "omitted-sales",
                                 "uninvoiced": sales}})
            }
            "pay-request" => payment("p2"),
            "pay-result" => paid("failed"),
            other => self.letters_event(other).unwrap_or_else(|| self.event_about_members(other)),
        }
    }

    fn event_about_members(&self, name: &str) -> Value {
        let rotate = |of: &str| {
            let added = addition(&self.node, of, "s2", Purpose::Statement, &Custody::Own);
            json!({"rotate": {"organisation": of, "add": [added]}})
        };
        let free = "915000000000077";
        match name {
            "evidence" => double_vote(&self.node, 0),
            "admit" => json!({"admit": {"introduction": introduced(&self.node, "mall", free)}}),
            "register" => {
                let mall = json!({"id": "mall", "name": "Mall", "taxpayer_id": free, "taxpayer_kind": "other"});
                json!({"register": {"enterprises": [mall]}})
            }
            "suspend shop" => json!({"suspend": {"organisation": "shop", "reason": "investigation"}}),
            "suspend tax-bureau" => json!({"suspend": {"organisation": "tax-bureau", "reason": "investigation"}}),
            "reinstate suspended outsider" => json!({"reinstate": {"organisation": "outsider", "reason": "resolved"}}),
            "rotate keys of shop" => rotate("shop"),
            "rotate keys of tax-bureau" => rotate("tax-bureau"),
            "rotate keys of agency police" => rotate("police"),
            "roles of shop" => json!({"roles": {"organisation": "shop", "roles": ["enterprise", "service-provider"]}}),
            "roles of shop, agency" => json!({"roles": {"organisation": "shop", "roles": ["agency"]}}),
            "rename shop" => json!({"rename": {"organisation": "shop", "name": "Shop & Sons"}}),
            "renumber shop" => {
                json!({"rename": {"organisation": "shop", "taxpayer_id": free, "taxpayer_kind": "other"}})
            }
            "mandate to isp" => json!({"mandate": {"to": "isp", "scopes": ["issue"]}}),
            "revoke shop to isp" => json!({"revoke": {"from": "shop", "to": "isp"}}),
            "attest shop to isp" => json!({"attest": {"to": "isp", "scopes": ["issue"], "enterprises": ["shop"]}}),
            other => panic!("the table has an event that this test does not know: {other}"),
        }
    }

    /// States the refused rows of an event, which change nothing; says how many there were.
    fn refuses(&mut self, status: &str, kind: &str, answers: &[(&str, &str)]) -> usize {
        let refused = answers.iter().filter(|(_, code)| !["accepted", "repeated"].contains(code));
        refused
            .map(|(actor, code)| {
                let answer = self.state(actor, &self.event(kind));
                let context = || format!("{status} | {kind} by {actor}: {}", answer.text());
                assert_eq!(answer.problem().1, **code, "{}", context());
                assert_eq!(answer.json()["outcomes"][0]["code"], **code, "{}", context());
            })
            .count()
    }
}

fn filing() -> Value {
    let output = json!([{"treatment": {"rate": "0.06"}, "net": "100.00", "tax": "6.00"}]);
    json!({"file": {"seller": "shop", "period": "2026-11", "invoices": 1, "output": output}})
}

const FILED: [&str; 4] = ["month not filed", "month filed", "payment requested", "paid"];

/// What is booked, used, or said of an invoice.
const BOOKS: [&str; 7] = ["book", "book-adjust", "book-revoke", "use", "use-revoke", "manifest", "correct"];

/// Statuses that only an invoice has which might be in books.
const IN_BOOKS: [&str; 5] =
    ["in no books", "booked and used", "month filed by its buyer", "reimbursed by another", "issued to a person"];

fn payment(order: &str) -> Value {
    json!({"pay-request": {"taxpayer": "shop", "period": "2026-11", "order": order, "amount": "6.00"}})
}

fn paid(result: &str) -> Value {
    let receipt = Hash::of(b"receipt").to_string();
    json!({"pay-result": {"taxpayer": "shop", "period": "2026-11", "order": "p1", "result": result, "receipt": receipt}})
}

#[test]
fn every_refused_row_of_the_table_is_refused_through_rest() {
    let mut nodes: BTreeMap<(&str, bool), Played> = BTreeMap::new();
    let mut count = 0;
    for ((status, kind), answers) in rows() {
        if kind.starts_with("reinstate") {
            // By itself it asks while it is not suspended.
            let (own, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(actor, _)| *actor == "outsider");
            count += Played::new().refuses(status, kind, &own);
            let mut suspended = Played::new();
            suspended.done("tax-bureau", &json!({"suspend": {"organisation": "outsider", "reason": "investigation"}}));
            count += suspended.refuses(status, kind, &others);
            continue;
        }
        // Void are two invoices: one of the first path, and one that might have been in books.
        let books = BOOKS.contains(&kind);
        let books = books && !letters::knows(status);
        let played = nodes.entry((status, books)).or_insert_with(|| match status {
            letters if letters::knows(letters) => Played::of_letters(letters),
            "any" => Played::new(),
            books if IN_BOOKS.contains(&books) => Played::in_books(status),
            "void" if books => Played::in_books(status),
            filed if FILED.contains(&filed) => Played::filed(status),
            quota if quota.contains("quota") || quota.contains("grant") => Played::under_quota(quota),
            status => Played::in_status(status),
        });
        if kind == "file" && status.ends_with("suspended") {
            // Only what has ended is filed; a node of its own, whose other rows are of the month before.
            let mut later = Played::in_status(status);
            later.node.clock.advance_clock(TO_MONTH_END);
            count += later.refuses(status, kind, &answers);
            continue;
        }
        count += played.refuses(status, kind, &answers);
    }
    assert!(count > 1_300, "{count} rows");
}
