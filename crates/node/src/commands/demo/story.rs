//! The story: issue, retry, hand on, lock, race, close, try again, file, prove, export, verify.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use chain::identity::OrganisationId;
use invoice::Period;
use serde_json::{Value, json};

use super::input::{Input, Scene};
use super::stage::{Stage, refused, text};
use crate::consortium::Consortium;
use crate::exit::{Exit, Failure};
use crate::plan::{PLATFORMS, PROVIDER};

/// An invoice that was issued.
pub(super) struct Issued {
    pub(super) id: String,
    pub(super) seller: OrganisationId,
    pub(super) period: Period,
    pub(super) total: String,
}

impl Issued {
    /// What an answer says of it.
    pub(super) fn read(view: &Value, seller: OrganisationId) -> Result<Self, Failure> {
        let period = text(view, "/period").parse().context("read the invoice's month")?;
        Ok(Self { id: text(view, "/id"), seller, period, total: text(view, "/totals/gross") })
    }
}

/// The demo in play.
pub(super) struct Story<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) consortium: &'a Consortium,
    pub(super) out: &'a Path,
    totals_from_lines: bool,
    full: bool,
}

impl<'a> Story<'a> {
    /// A story on a stage, `full` or just the first path; what stays goes to `out`.
    pub(super) const fn new(
        stage: Stage<'a>,
        consortium: &'a Consortium,
        out: &'a Path,
        totals_from_lines: bool,
        full: bool,
    ) -> Self {
        Self { stage, consortium, out, totals_from_lines, full }
    }

    /// Plays all of it.
    pub(super) fn play(mut self, input: &Input) -> Result<Exit, Failure> {
        let chain = self.consortium.genesis.chain_id().to_string();
        let facts = [
            ("chain", chain),
            ("validators", self.consortium.genesis.body().validators.len().to_string()),
            ("door", self.stage.client().base().to_owned()),
            ("organisations", input.plan.organisations.len().to_string()),
            ("mandates", input.plan.mandates.len().to_string()),
        ];
        self.stage.show("consortium", "validators, the demo's organisations, and those the input needs", facts)?;
        let mut issued = Vec::new();
        for (number, scene) in input.scenes.iter().enumerate() {
            let invoice = self.issue(number + 1, scene)?;
            self.reimburse(number + 1, scene, &invoice)?;
            issued.push(invoice);
        }
        if self.full {
            let special = input.scenes.iter().zip(&issued).find(|(scene, _)| scene.special());
            if let Some((scene, invoice)) = special {
                self.keep_books(scene.enterprise.as_str(), invoice)?;
                self.take_back(scene.enterprise.as_str(), invoice)?;
            }
            issued.extend(self.live()?);
        }
        self.file(&issued)?;
        if let Some(invoice) = issued.last().filter(|_| self.full) {
            self.pay(invoice)?;
        }
        let receipts = self.receipts(&issued)?;
        self.export_and_verify(&receipts)
    }

    /// Issues an invoice, and shows that a retry cannot make a second one.
    fn issue(&mut self, number: usize, scene: &Scene) -> Result<Issued, Failure> {
        let doubts = scene.warnings.iter().map(|warning| ("doubtful", warning.to_string()));
        let reference = ("reference", scene.document.reference.clone());
        self.stage.show("input", &scene.title, std::iter::once(reference).chain(doubts))?;
        let key = format!("demo-issue-{number}");
        let mut body = json!({ "document": scene.document, "personal": scene.personal });
        let mut reply = self.stage.write(PROVIDER, "/v1/invoices", &key, &body)?;
        if reply.status == 422 {
            self.show_refused_totals(scene, &reply.json()?)?;
            body = json!({ "document": scene.totals_from_lines()?, "personal": scene.personal });
            // Nothing was recorded, so the key is still free.
            reply = self.stage.write(PROVIDER, "/v1/invoices", &key, &body)?;
        }
        let view = reply.succeeded(&format!("issue {}", scene.title))?.json()?;
        let id = text(&view, "/id");
        let seller = &scene.seller;
        let mut facts = vec![
            ("invoice", id.clone()),
            ("gross", text(&view, "/totals/gross")),
            ("holder", holder(&view)),
            ("issued at", text(&view, "/issued_at")),
            ("leaf", format!("{} {}", text(&view, "/leaf_index"), text(&view, "/leaf_hash"))),
        ];
        if view.get("check_code").is_some() {
            facts.push(("check code", text(&view, "/check_code")));
        }
        facts.push(("personal", format!("attachment {}", text(&view, "/attachment"))));
        self.stage.show("issue", format!("{PROVIDER} issues for {seller}, under its mandate"), facts)?;
        for (key, how) in [(key, "the same request again"), (format!("demo-again-{number}"), "again with a new key")] {
            let again = self.stage.write(PROVIDER, "/v1/invoices", &key, &body)?.succeeded("retry")?.json()?;
            expect("the invoice of a retry", &id, &text(&again, "/id"))?;
            self.stage.show("retry", how, [("invoice", format!("{id}, the same"))])?;
        }
        Issued::read(&view, scene.seller.clone())
    }

    /// Shows a document that was refused at the door; without leave to correct its totals this is the end.
    fn show_refused_totals(&mut self, scene: &Scene, problem: &Value) -> Result<(), Failure> {
        let violations = problem.get("violations").and_then(Value::as_array).cloned().unwrap_or_default();
        let line = |violation: &Value| {
            let (rule, path) = (text(violation, "/rule"), text(violation, "/path"));
            let (expected, found) = (text(violation, "/expected"), text(violation, "/actual"));
            format!("{rule} at {path}: expected {expected}, found {found}")
        };
        let lines: Vec<String> = violations.iter().map(line).collect();
        let code = text(problem, "/code");
        let what = format!("refused at the door, {code}: nothing was recorded");
        self.stage.show("refused", what, lines.iter().map(|line| ("violation", line.clone())))?;
        let only_totals = violations.iter().all(|violation| text(violation, "/path").contains("/totals"));
        if self.totals_from_lines && only_totals {
            return self.stage.show("correct", "--totals-from-lines: the totals are taken from the lines", []);
        }
        let hint = if only_totals { "; --totals-from-lines takes the totals from the lines instead" } else { "" };
        Err(Failure::text(Exit::Refused, format!("issue {}: {}{hint}", scene.title, lines.join("; "))))
    }

    /// Lock, the race lost, close, and the second reimbursement that is refused for ever.
    fn reimburse(&mut self, number: usize, scene: &Scene, invoice: &Issued) -> Result<(), Failure> {
        let path = format!("/v1/invoices/{}", invoice.id);
        let enterprise = &scene.enterprise;
        if scene.personal_buyer {
            let body = json!({ "to": { "organisation": enterprise } });
            let reply =
                self.stage.write(PROVIDER, &format!("{path}/transfers"), &format!("demo-transfer-{number}"), &body)?;
            let result = reply.succeeded("transfer the invoice")?.json()?;
            let facts = [("invoice", invoice.id.clone()), ("leaf", text(&result, "/leaf_index"))];
            self.stage.show("transfer", format!("a person hands it to {enterprise}, to be reimbursed"), facts)?;
        }
        let [first, second] = PLATFORMS;
        let claim = format!("claim-{number}");
        let lock = |claim: &str| json!({ "enterprise": enterprise, "claim": claim });
        let locks = format!("{path}/reimbursements");
        let reply = self.stage.write(first, &locks, &format!("demo-lock-{number}"), &lock(&claim))?;
        let locked = reply.succeeded("lock the invoice")?.json()?;
        let token = locked.pointer("/record/locked/token").cloned().unwrap_or(Value::Null);
        let facts = [
            ("invoice", invoice.id.clone()),
            ("for", enterprise.to_string()),
            ("until", text(&locked, "/record/locked/until")),
            ("token", token.to_string()),
            ("leaf", text(&locked, "/leaf_index")),
        ];
        self.stage.show("lock", format!("{first} locks it for a claim"), facts)?;
        let reply = self.stage.write(second, &locks, &format!("demo-race-{number}"), &lock("other-claim"))?;
        let problem = refused(&reply, "lock a locked invoice", "reimbursement.already-locked")?;
        self.stage.show(
            "refused",
            format!("{second} locks it too: {}", text(&problem, "/code")),
            standing(&problem),
        )?;
        let close = format!("{locks}/{claim}:close");
        let reply = self.stage.write(first, &close, &format!("demo-close-{number}"), &json!({ "token": token }))?;
        let closed = reply.succeeded("close the invoice")?.json()?;
        let facts = [
            ("invoice", invoice.id.clone()),
            ("closed at", text(&closed, "/record/closed/closed_at")),
            ("leaf", text(&closed, "/leaf_index")),
        ];
        self.stage.show("close", format!("{first} has reimbursed {} once and for all", invoice.total), facts)?;
        let reply = self.stage.write(second, &locks, &format!("demo-second-{number}"), &lock("second-claim"))?;
        let problem = refused(&reply, "reimburse an invoice twice", "reimbursement.already-closed")?;
        let what = format!("{second} would reimburse it again: {}", text(&problem, "/code"));
        self.stage.show("refused", what, standing(&problem))
    }

    /// Advances the clock past the last month, and files every seller's months.
    fn file(&mut self, issued: &[Issued]) -> Result<(), Failure> {
        let Some(last) = issued.iter().map(|invoice| invoice.period).max() else {
            return Ok(());
        };
        let clock = self.stage.advance_clock(&api::format_ms(last.end_ms()))?;
        self.stage.show("clock", format!("advanced past the end of {last}"), [("now", text(&clock, "/time"))])?;
        let months: BTreeSet<_> = issued.iter().map(|invoice| (invoice.seller.clone(), invoice.period)).collect();
        for (seller, period) in months {
            let month = self.stage.read(PROVIDER, &format!("/v1/filings/{seller}/{period}"))?;
            let month = month.succeeded("read the seller's month")?.json()?;
            let body = json!({
                "seller": seller,
                "period": period.to_string(),
                "invoices": month.get("invoices"),
                "output": month.get("output"),
            });
            let key = format!("demo-file-{seller}-{period}");
            let filed = self.stage.write(PROVIDER, "/v1/filings", &key, &body)?;
            let filed = filed.succeeded("file the month")?.json()?;
            let rates = month.get("output").and_then(Value::as_array).map_or(0, Vec::len);
            let facts = [
                ("invoices", text(&month, "/invoices")),
                ("totals", format!("{rates} by rate, as the ledger holds them")),
                ("outcome", text(&filed, "/code")),
                ("leaf", text(&filed, "/leaf_index")),
            ];
            self.stage.show("file", format!("{PROVIDER} files {period} for {seller}"), facts)?;
        }
        Ok(())
    }
}

/// Who holds an invoice, in an answer.
fn holder(view: &Value) -> String {
    let person = text(view, "/holder/person");
    if person.is_empty() { format!("taxpayer {}", text(view, "/holder/taxpayer")) } else { format!("person {person}") }
}

/// Who stands in the way, since when and until when; and where the refusal itself is recorded.
pub(super) fn standing(problem: &Value) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("held by", text(problem, "/standing/organisation")), ("since", text(problem, "/standing/since"))];
    let until = text(problem, "/standing/until");
    facts.push(("until", if until.is_empty() { "for ever".to_owned() } else { until }));
    facts.push(("recorded as", format!("leaf {}", text(problem, "/outcomes/0/leaf_index"))));
    facts
}

pub(super) fn expect(what: &str, expected: &str, found: &str) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::text(Exit::Unexpected, format!("play the demo: expected {expected} as {what}, found {found}")))
}
