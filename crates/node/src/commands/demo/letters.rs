//! `--story full`: invoices taken back by red letters, and one issued while no node can be reached.

use invoice::rules::Rules;
use ledger::contingency::{Granted, OfflineCertificate, OfflineClaims};
use serde_json::{Value, json};

use anyhow::Context as _;
use chain::receipt::Receipt;
use ledger::outcome::Record;

use super::stage::{refused, text};
use super::story::{Issued, Story, expect};
use crate::exit::{Exit, Exits as _, Failure};
use crate::plan::{BUYER, PROVIDER, TAX_BUREAU, organisation};

/// For how long the segment of the story may be used, ms, and how long after that an invoice may come, hours.
const TERM: (i64, u16) = (7 * 24 * 60 * 60 * 1_000, 24);

impl Story<'_> {
    /// Goods of an invoice come back that is booked, used and reimbursed: both sides agree first.
    pub(super) fn take_back(&mut self, buyer: &str, invoice: &Issued) -> Result<(), Failure> {
        let id = &invoice.id;
        let letter = json!({"reference": "RED-1", "reason": "sales-return", "take": "full"});
        let reply = self.stage.write(PROVIDER, &format!("/v1/invoices/{id}/red-letters"), "demo-red-alone", &letter)?;
        let problem = refused(&reply, "take back what others rely on", "red.slip-needed")?;
        let what = format!("goods come back, and {PROVIDER} would take {id} back alone: {}", text(&problem, "/code"));
        self.stage.show("refused", what, [("found", text(&problem, "/found"))])?;
        let asked = json!({"reason": "sales-return", "take": "full"});
        let reply = self.stage.write(PROVIDER, &format!("/v1/invoices/{id}/slips"), "demo-slip", &asked)?;
        let slip = reply.succeeded("ask for a red letter")?.json()?;
        let facts = [
            ("slip", text(&slip, "/record/red-requested/slip")),
            ("to answer", text(&slip, "/record/red-requested/other")),
            ("until", text(&slip, "/record/red-requested/until")),
        ];
        self.stage.show("red slip", "so it asks the other side", facts)?;
        let confirm = json!({"red-confirm": {"invoice": id, "slip": 1}});
        self.stated(buyer, "confirm a slip", &confirm)?;
        self.stage.show("red slip", format!("{buyer} confirms it"), [])?;
        let mut letter = letter;
        letter["slip"] = json!(1);
        let reply = self.stage.write(PROVIDER, &format!("/v1/invoices/{id}/red-letters"), "demo-red", &letter)?;
        let red = reply.succeeded("issue a red letter")?.json()?;
        let blue = self.stage.read(PROVIDER, &format!("/v1/invoices/{id}"))?.succeeded("read the invoice")?.json()?;
        expect("what has become of the invoice", "full-red", &text(&blue, "/validity"))?;
        let facts = [
            ("red letter", text(&red, "/id")),
            ("gross", text(&red, "/totals/gross")),
            ("blue", format!("{id}, {} now", text(&blue, "/validity"))),
            ("claw back", text(&blue, "/reversal/claw_back/gross")),
        ];
        self.stage.show(
            "red letter",
            "the red letter, with a number of its own; what was reimbursed is marked",
            facts,
        )?;
        let month = self.stage.read(buyer, &format!("/v1/filings/{buyer}/{}", invoice.period))?;
        let month = month.succeeded("read the buyer's month")?.json()?;
        expect("the input that is left of it", "0.00", &text(&month, "/input/0/tax"))?;
        self.stage.show("input", format!("and {buyer}'s month has lost the VAT that it had deducted"), [])
    }

    /// The provider issues one invoice while it reaches no node, and submits it later. It comes back, to be filed.
    pub(super) fn be_cut_off(&mut self, seller: &str) -> Result<Issued, Failure> {
        let now_ms = self.stage.now_ms();
        let signer = self.stage.signer(PROVIDER)?.key_id.to_string();
        let grant = json!({"segment-grant": {
            "to": PROVIDER, "key": signer, "numbering": "blockchain", "count": 2,
            "valid_until_ms": now_ms + TERM.0, "deadline_hours": TERM.1}});
        let granted = self.stated(TAX_BUREAU, "grant a segment", &grant)?;
        let (first, last) =
            (text(&granted, "/record/segment-granted/first"), text(&granted, "/record/segment-granted/last"));
        let facts = [("numbers", format!("{first} to {last}")), ("key", format!("{PROVIDER}/{signer}"))];
        self.stage.show(
            "segment",
            format!("the tax bureau grants {PROVIDER} numbers for a day without nodes"),
            facts,
        )?;
        let receipt = self.stage.read(PROVIDER, &text(&granted, "/receipt"))?.succeeded("read the receipt")?;
        let receipt = Receipt::parse(&receipt.body).context("read the receipt of the grant")?;
        let verified = receipt.verify(&self.consortium.genesis).context("verify the receipt of the grant")?;
        let record = Record::decode(&verified.record).context("read what the receipt proves")?;
        let segment = Granted::of(&record).context("read the segment's grant")?;
        let document = super::life::sold_by(seller, "L-7")?;
        let typed: invoice::Document = serde_json::from_value(document.clone()).context("read a sample")?;
        let issued_ms = self.stage.now_ms().max(segment.since_ms());
        let number = first.parse().context("read the segment's first number")?;
        let claims = OfflineClaims::new(&typed, segment.first, number, issued_ms, segment.submit_by_ms(issued_ms));
        let (chain, key) = (self.consortium.genesis.chain_id(), self.stage.signer(PROVIDER)?);
        let certificate = OfflineCertificate::sign(key.reference(), chain.clone(), claims, &key.secret);
        let rules = Rules::default();
        segment
            .verify(&chain, &rules, &typed, &certificate, issued_ms)
            .context("verify the certificate")
            .or_exit(Exit::Unexpected)?;
        let facts = [
            ("invoice", first.clone()),
            ("certificate", format!("SHA-256 {}", certificate.signed().hash())),
            ("submit by", api::format_ms(segment.submit_by_ms(issued_ms))),
        ];
        let what =
            format!("cut off, {PROVIDER} issues for {seller}; {BUYER} verifies that with receipt and genesis alone");
        self.stage.show("offline", what, facts)?;
        let event = json!({"offline-issue": {"document": document, "certificate": certificate.to_string()}});
        let submitted = self.stated(PROVIDER, "submit what was issued offline", &event)?;
        let facts =
            [("leaf", text(&submitted, "/leaf_index")), ("late", text(&submitted, "/record/issued-offline/late"))];
        self.stage.show("submit", "nodes can be reached again: it comes onto the ledger", facts)?;
        let close = json!({"segment-close": {"segment": first}});
        let closed = self.stated(PROVIDER, "close a segment", &close)?;
        let gaps = closed.pointer("/record/segment-closed/gaps").and_then(Value::as_array).map_or(0, Vec::len);
        let facts = [("used", text(&closed, "/record/segment-closed/used")), ("declared gaps", gaps.to_string())];
        self.stage.show("segment", format!("and {PROVIDER} closes the segment: no gap is silent"), facts)?;
        let view = self.stage.read(PROVIDER, &format!("/v1/invoices/{first}"))?.succeeded("read the invoice")?;
        Issued::read(&view.json()?, organisation(seller)?)
    }
}
