//! `--story full`: what tax bureau, provider and merchants do around the first path, between the invoices and the filing.

use std::slice;

use anyhow::Context as _;
use chain::statement::Mode;
use invoice::samples;
use serde_json::{Value, json};

use super::stage::{refused, text};
use super::story::{Issued, Story, expect, standing};
use crate::exit::Failure;
use crate::plan::{BUYER, PLATFORMS, PROVIDER, TAX_BUREAU, organisation};

/// Small merchants, who hold no keys: id, name, taxpayer id.
const MERCHANTS: [(&str, &str, &str); 2] = [
    ("merchant-noodles", "深圳市福田区面馆", "440300700000017"),
    ("merchant-books", "深圳市南山区书店", "440300700000025"),
];

/// For how long a lock of the story lasts, seconds, and how far the clock goes to be past it, ms.
const LEASE: (u32, i64) = (60, 120_000);

impl Story<'_> {
    /// Plays it; what was issued comes back, to be filed with the rest.
    pub(super) fn live(&mut self) -> Result<Vec<Issued>, Failure> {
        self.register()?;
        let [noodles, books] = MERCHANTS.map(|(id, ..)| id);
        let first = self.sell(noodles, "L-1")?;
        self.limit(noodles, &first)?;
        let renamed = self.rename(books)?;
        self.suspend(noodles)?;
        self.let_go(&first)?;
        let offline = self.be_cut_off(noodles)?;
        Ok(vec![first, renamed, offline])
    }

    /// A special invoice goes into its buyer's books once, and its VAT is used once.
    pub(super) fn keep_books(&mut self, buyer: &str, invoice: &Issued) -> Result<(), Failure> {
        let (id, period) = (invoice.id.clone(), invoice.period.to_string());
        let book = |voucher: &str| json!({"book": {"invoice": id, "code": "02", "voucher": voucher, "period": period}});
        self.stated(buyer, "book an invoice", &book("2026-0117"))?;
        self.stage.show("book", format!("{buyer} books {id}"), [("voucher", "2026-0117".to_owned())])?;
        let reply = self.stage.state(buyer, Mode::All, slice::from_ref(&book("2026-0118")))?;
        let problem = refused(&reply, "book an invoice twice", "booking.already-booked")?;
        let what = format!("the same under another voucher: {}", text(&problem, "/code"));
        self.stage.show("refused", what, [("since", text(&problem, "/standing/since"))])?;
        let used = json!({"use": {"invoice": id, "purpose": "deduct", "period": period}});
        let used = self.stated(buyer, "use the VAT of an invoice", &used)?;
        self.stage.show(
            "use",
            format!("and deducts its VAT in {period}"),
            [("tax", text(&used, "/record/used/tax"))],
        )?;
        let said = json!({"manifest": {"invoice": id, "kind": "confirm"}});
        self.stated(buyer, "confirm an invoice", &said)?;
        self.stage.show("manifest", "and confirms what it was issued for", [])
    }

    /// What a filed month comes to is paid, and the bank's receipt kept by its hash.
    pub(super) fn pay(&mut self, invoice: &Issued) -> Result<(), Failure> {
        let (taxpayer, period) = (invoice.seller.to_string(), invoice.period.to_string());
        let month = self.stage.read(PROVIDER, &format!("/v1/filings/{taxpayer}/{period}"))?;
        let payable = text(&month.succeeded("read the filed month")?.json()?, "/filed/payment/open");
        let request = json!({"pay-request": {
            "taxpayer": taxpayer, "period": period, "order": "order-1", "amount": payable}});
        self.stated(PROVIDER, "request a payment", &request)?;
        let facts = [("order", "order-1".to_owned()), ("amount", payable)];
        self.stage.show("pay", format!("{PROVIDER} orders the payment of {period} for {taxpayer}"), facts)?;
        let receipt = chain::hash::Hash::of(b"the bank's receipt").to_string();
        let result = json!({"pay-result": {
            "taxpayer": taxpayer, "period": period, "order": "order-1", "result": "paid", "receipt": receipt}});
        let decided = self.stated(PROVIDER, "say that it was paid", &result)?;
        let facts =
            [("result", text(&decided, "/record/payment-decided/result")), ("receipt", format!("SHA-256 {receipt}"))];
        self.stage.show("pay", "and it was paid, by the bank's receipt", facts)
    }

    /// Merchants come to the ledger, and what they signed on paper is attested.
    fn register(&mut self) -> Result<(), Failure> {
        let enterprises: Vec<Value> = MERCHANTS
            .iter()
            .map(|(id, name, taxpayer)| json!({"id": id, "name": name, "taxpayer_id": taxpayer, "taxpayer_kind": "other"}))
            .collect();
        let event = json!({"register": {"enterprises": enterprises}});
        let registered = self.stated(TAX_BUREAU, "register merchants", &event)?;
        let ids = MERCHANTS.map(|(id, ..)| id);
        let facts = [("merchants", ids.join(", ")), ("leaf", text(&registered, "/leaf_index"))];
        self.stage.show("register", "the tax bureau registers merchants, who hold no keys", facts)?;
        let event = json!({"attest": {"to": PROVIDER, "scopes": ["issue", "file"], "enterprises": ids}});
        let attested = self.stated(TAX_BUREAU, "attest mandates", &event)?;
        let facts = [
            ("mandates", text(&attested, "/record/attested/mandates")),
            ("in force", format!("from block {}", text(&attested, "/record/attested/from_height"))),
        ];
        self.stage.show("attest", format!("and attests what they gave {PROVIDER} on paper"), facts)
    }

    /// A month's quota: what is left is shown, and more is refused.
    fn limit(&mut self, seller: &str, first: &Issued) -> Result<(), Failure> {
        let period = first.period.to_string();
        let used = first.total.clone();
        let grant = |kind: &str, amount: &str| json!({kind: {"seller": seller, "period": period, "amount": amount}});
        self.stated(TAX_BUREAU, "grant a quota", &grant("quota-grant", &used))?;
        let facts = [("amount", used.clone()), ("used", used)];
        self.stage.show("quota", format!("the tax bureau grants {seller} what it has issued in {period}"), facts)?;
        let body = json!({ "document": sold_by(seller, "L-2")? });
        let reply = self.stage.write(PROVIDER, "/v1/invoices", "demo-life-over", &body)?;
        let problem = refused(&reply, "issue beyond the quota", "quota.exceeded")?;
        let facts = [("expected", text(&problem, "/outcomes/0/refusal/expected"))];
        self.stage.show("refused", format!("one more invoice: {}", text(&problem, "/code")), facts)?;
        let adjusted = self.stated(TAX_BUREAU, "adjust a quota", &grant("quota-adjust", "1000000.00"))?;
        let facts = [
            ("before", text(&adjusted, "/record/quota-adjusted/former")),
            ("amount", text(&adjusted, "/record/quota-adjusted/amount")),
        ];
        self.stage.show("quota", "the tax bureau adjusts it, which holds at once", facts)
    }

    /// A seller gets another name; what was issued keeps the one it had.
    fn rename(&mut self, seller: &str) -> Result<Issued, Failure> {
        let issued = self.sell(seller, "L-3")?;
        let new = "深圳市南山区书城";
        self.stated(TAX_BUREAU, "rename a merchant", &json!({"rename": {"organisation": seller, "name": new}}))?;
        let view = self.stage.read(PROVIDER, &format!("/v1/invoices/{}", issued.id))?;
        let name = text(&view.succeeded("read the invoice")?.json()?, "/document/seller/name");
        expect("the seller's name on the invoice", merchant(seller).1, &name)?;
        self.stage.show("rename", format!("{seller} is {new} now"), [("invoice", format!("still says {name}"))])?;
        let body = json!({ "document": sold_by(seller, "L-4")? });
        let reply = self.stage.write(PROVIDER, "/v1/invoices", "demo-life-old-name", &body)?;
        let problem = refused(&reply, "issue under a former name", "issue.seller-name-differs")?;
        let what = format!("an invoice under the old name: {}", text(&problem, "/code"));
        self.stage.show("refused", what, [("expected", text(&problem, "/outcomes/0/refusal/expected"))])?;
        Ok(issued)
    }

    /// A merchant that is looked into issues nothing, through nobody.
    fn suspend(&mut self, seller: &str) -> Result<(), Failure> {
        let of = |kind: &str, reason: &str| json!({kind: {"organisation": seller, "reason": reason}});
        self.stated(TAX_BUREAU, "suspend a merchant", &of("suspend", "investigation"))?;
        self.stage.show("suspend", format!("the tax bureau looks into {seller}"), [])?;
        let body = json!({ "document": sold_by(seller, "L-5")? });
        let reply = self.stage.write(PROVIDER, "/v1/invoices", "demo-life-suspended", &body)?;
        let problem = refused(&reply, "issue for a suspended seller", "organisation.suspended")?;
        self.stage.show("refused", format!("an invoice for it: {}", text(&problem, "/code")), [])?;
        self.stated(TAX_BUREAU, "reinstate a merchant", &of("reinstate", "resolved"))?;
        self.stage.show("reinstate", format!("and has found nothing against {seller}"), [])
    }

    /// Locks end by time, and by the tax bureau's decision.
    fn let_go(&mut self, invoice: &Issued) -> Result<(), Failure> {
        let path = format!("/v1/invoices/{}/reimbursements", invoice.id);
        let [first, second] = PLATFORMS;
        let claim = json!({"enterprise": BUYER, "claim": "late", "lease_seconds": LEASE.0});
        let locked = self.stage.write(first, &path, "demo-life-lock", &claim)?.succeeded("lock the invoice")?.json()?;
        let facts = [("until", text(&locked, "/record/locked/until"))];
        self.stage.show("lock", format!("{first} locks {} for a minute, and goes away", invoice.id), facts)?;
        let clock = self.stage.advance_clock_by(LEASE.1)?;
        self.stage.show("clock", "past the end of that lease", [("now", text(&clock, "/time"))])?;
        let claim = json!({"enterprise": BUYER, "claim": "next"});
        let locked = self.stage.write(second, &path, "demo-life-next", &claim)?.succeeded("lock it again")?.json()?;
        let token = locked.pointer("/record/locked/token").cloned().unwrap_or(Value::Null);
        self.stage.show("lock", format!("{second} locks it now"), [("token", token.to_string())])?;
        let close = json!({"token": 1});
        let reply = self.stage.write(first, &format!("{path}/late:close"), "demo-life-late", &close)?;
        let problem = refused(&reply, "close under a lease that has ended", "reimbursement.already-locked")?;
        let what = format!("{first} comes back and would close it: {}", text(&problem, "/code"));
        self.stage.show("refused", what, standing(&problem))?;
        let decision = chain::hash::Hash::of(b"the bureau's decision in writing").to_string();
        let event = json!({"override": {
            "invoice": invoice.id, "token": token, "reason": "platform-gone", "decision": decision}});
        let ended = self.stated(TAX_BUREAU, "end a lock", &event)?;
        let facts =
            [("lock of", text(&ended, "/record/overridden/platform")), ("decision", format!("SHA-256 {decision}"))];
        self.stage.show("override", "the tax bureau ends that lock too, by a decision in writing", facts)
    }

    /// Issues for a merchant.
    fn sell(&mut self, seller: &str, reference: &str) -> Result<Issued, Failure> {
        let body = json!({ "document": sold_by(seller, reference)? });
        let reply = self.stage.write(PROVIDER, "/v1/invoices", &format!("demo-life-{reference}"), &body)?;
        let issued = Issued::read(&reply.succeeded("issue for a merchant")?.json()?, organisation(seller)?)?;
        let facts = [("invoice", issued.id.clone()), ("gross", issued.total.clone())];
        self.stage.show("issue", format!("{PROVIDER} issues for {seller}, as the tax bureau attested"), facts)?;
        Ok(issued)
    }

    /// States one event, signed with the organisation's own key, which no node holds; its outcome comes back.
    pub(super) fn stated(&self, who: &str, what: &str, event: &Value) -> Result<Value, Failure> {
        let reply = self.stage.state(who, Mode::All, slice::from_ref(event))?;
        let statement = reply.succeeded(what)?.json()?;
        Ok(statement.pointer("/outcomes/0").cloned().unwrap_or(Value::Null))
    }
}

fn merchant(id: &str) -> (&'static str, &'static str) {
    let (_, name, taxpayer) = MERCHANTS.into_iter().find(|(known, ..)| *known == id).unwrap_or(MERCHANTS[0]);
    (taxpayer, name)
}

/// What a merchant sells to the demo's buyer: the ride of the first sample.
pub(super) fn sold_by(seller: &str, reference: &str) -> Result<Value, Failure> {
    let sample = samples::all().first().map_or("{}", |sample| sample.json);
    let mut document: Value = serde_json::from_str(sample).context("read a sample")?;
    let (taxpayer, name) = merchant(seller);
    document["reference"] = json!(reference);
    document["seller"] = json!({"name": name, "taxpayer_id": taxpayer});
    Ok(document)
}
