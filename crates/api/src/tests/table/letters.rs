//! The rows of the table about red letters and about segments of numbers.

use invoice::document::Document;
use ledger::contingency::{OfflineCertificate, OfflineClaims};
use ledger::red::SLIP_MS;
use serde_json::{Value, json};

use super::Played;
use crate::parse_ms;
use crate::tests::consortium::{DAY, NOON, document, secret};
use crate::{Clock as _, DevControl as _};

/// Statuses of red letters, as the table words them.
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

/// Statuses of a segment, as the table words them.
const SEGMENTS: [&str; 4] = ["no segment", "segment open", "number used", "segment closed"];

/// The first number of the first segment.
const FIRST: &str = "144032609010-00000001";

fn special() -> Value {
    let mut document = document("first");
    document["profile"] = json!("digital-special");
    document
}

fn letter(id: &str, reference: &str, take: &Value) -> Value {
    let document = special();
    json!({"issue-red": {
        "invoice": id, "document": document, "reference": reference, "reason": "sales-return", "take": take}})
}

fn grant() -> Value {
    json!({"segment-grant": {
        "to": "isp", "key": "statement", "numbering": "blockchain", "count": 3, "valid_until_ms": NOON + 10 * DAY,
        "deadline_hours": 24}})
}

/// Whether the table's rows of a status are of this room.
pub(super) fn knows(status: &str) -> bool {
    REDS.contains(&status) || SEGMENTS.contains(&status)
}

impl Played {
    /// In a status of red letters or of a segment, as the table words it.
    pub(super) fn of_letters(status: &str) -> Self {
        if SEGMENTS.contains(&status) { Self::of_segment(status) } else { Self::of_red(status) }
    }

    fn of_red(status: &str) -> Self {
        let mut played = Self::new();
        let issued = played.done("shop", &json!({"issue": {"document": special()}}));
        played.invoice = issued["subject"].as_str().unwrap().to_owned();
        let id = played.invoice.clone();
        if status.starts_with("booked") {
            let booked = json!({"book": {"invoice": id, "code": "02", "voucher": "1", "period": "2026-11"}});
            played.done("buyer", &booked);
        }
        if status.contains("slip") {
            played.done("shop", &played.letters_event("red-request").unwrap());
        }
        match status {
            "booked, slip confirmed" => drop(played.done("buyer", &json!({"red-confirm": {"invoice": id, "slip": 1}}))),
            "booked, slip lapsed" => drop(played.node.clock.advance_clock(SLIP_MS)),
            "taken back in part" => {
                played.done("shop", &letter(&id, "red", &json!({"lines": [{"line": 0, "net": "40.00"}]})));
            }
            "taken back in full" => drop(played.done("shop", &letter(&id, "red", &json!("full")))),
            "a red letter" => {
                let red = played.done("shop", &letter(&id, "red", &json!("full")));
                played.invoice = red["subject"].as_str().unwrap().to_owned();
            }
            _ => {}
        }
        played
    }

    fn of_segment(status: &str) -> Self {
        let mut played = Self::new();
        let so_far = SEGMENTS.iter().position(|known| *known == status).expect("a status of the table");
        let kinds = ["segment-grant", "offline-issue", "segment-close"];
        for kind in &kinds[..so_far] {
            let actor = if *kind == "segment-grant" { "tax-bureau" } else { "isp" };
            played.done(actor, &played.letters_event(kind).unwrap());
        }
        played
    }

    /// The event of a row, if it is one of these.
    pub(super) fn letters_event(&self, kind: &str) -> Option<Value> {
        let id = &self.invoice;
        Some(match kind {
            "issue-red" => letter(id, "red-2", &json!("full")),
            "issue-red under a slip" => {
                let mut letter = letter(id, "red-2", &json!("full"));
                letter["issue-red"]["slip"] = json!(1);
                letter
            }
            "red-request" => {
                let document = special();
                json!({"red-request": {
                    "invoice": id, "document": document, "reason": "sales-return", "take": "full"}})
            }
            "red-confirm" | "red-deny" | "red-withdraw" => json!({kind: {"invoice": id, "slip": 1}}),
            "segment-grant" => grant(),
            "segment-close" => json!({"segment-close": {"segment": FIRST}}),
            "offline-issue" => self.offline("first"),
            "offline-issue of another document" => self.offline("second"),
            _ => return None,
        })
    }

    /// An offline issue of the first number, at the very time of the grant.
    fn offline(&self, reference: &str) -> Value {
        let document = document(reference);
        let typed: Document = serde_json::from_value(document.clone()).unwrap();
        let segment = self.node.get("tax-bureau", &format!("/v1/segments/{FIRST}")).json();
        let granted = segment["granted_at"].as_str().and_then(parse_ms);
        let issued_ms = granted.unwrap_or_else(|| self.node.clock.now_ms());
        let first = FIRST.parse().unwrap();
        let claims = OfflineClaims::new(&typed, first, first, issued_ms, issued_ms + DAY);
        let (kid, chain) = ("isp/statement".parse().unwrap(), self.node.header("isp", "n").chain);
        let certificate = OfflineCertificate::sign(kid, chain, claims, &secret("isp", "statement")).to_string();
        json!({"offline-issue": {"document": document, "certificate": certificate}})
    }
}
