//! An invoice as a caller sees it: the record, the document, and what is held beside them.

use chain::statement::Statement;
use invoice::date::Date;
use invoice::lifecycle::Reimbursement;
use invoice::{Document, InvoiceId};
use ledger::event::Event;
use ledger::record::{Claim, InvoiceRecord};
use replica::port::Store;

use crate::auth::Caller;
use crate::outcomes::check_code;
use crate::problem::Problem;
use crate::service::Service;
use crate::time::format_ms;
use crate::views::{InvoiceView, Links, ReimbursementView, TotalsView};

/// Reads documents of many invoices: those that stand in one statement, which may have 2 MiB, are read from it once.
#[derive(Default)]
pub(crate) struct Documents {
    /// The statement read last, and the leaf of its first event.
    last: Option<(u64, Statement)>,
}

impl Documents {
    /// The document of an invoice.
    pub(crate) fn read<S: Store>(&mut self, service: &Service<S>, record: &InvoiceRecord) -> Result<Document, Problem> {
        let leaf = record.issue.index;
        if let Some((first, statement)) = &self.last
            && let Some(index) = leaf.checked_sub(*first).and_then(|index| usize::try_from(index).ok())
            && let Some(bytes) = statement.event(index)
            && let Ok(Event::Issue(issue)) = chain::json::from_checked_slice(bytes)
        {
            return Ok(issue.document);
        }
        let document = service.query().document(record)?;
        self.last =
            service.query().event(leaf)?.map(|event| (leaf.saturating_sub(u64::from(event.index)), event.statement));
        Ok(document)
    }
}

impl<S: Store> Service<S> {
    /// An invoice as the caller sees it now.
    pub(crate) fn invoice_view(
        &self,
        caller: &Caller,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<InvoiceView, Problem> {
        let document = self.query().document(record)?;
        let view = self.invoice_view_of(caller, id, record, document)?;
        let view = self.with_books(caller, id, record, view)?;
        self.with_letters(id, record, view)
    }

    /// An invoice whose document was read already, without what only some invoices have: looking for what most do not
    /// have is dear in a list.
    pub(crate) fn invoice_view_of(
        &self,
        caller: &Caller,
        id: &InvoiceId,
        record: &InvoiceRecord,
        document: Document,
    ) -> Result<InvoiceView, Problem> {
        let attachment = match crate::attachments::place(&document) {
            None => "none",
            Some(place) => match self.query().store().attachment(&place)? {
                Some(_) => "present",
                None => "redacted",
            },
        };
        let sees_lock = record.claim != Claim::Open && self.sees_lock(caller, record)?;
        let (code, number) = match id {
            InvoiceId::Blockchain { code, number } => (Some(code.to_string()), number.to_string()),
            InvoiceId::Digital { number } => (None, number.to_string()),
        };
        let this = format!("/v1/invoices/{id}");
        Ok(InvoiceView {
            id: id.to_string(),
            qr: qr(code.as_deref(), &number, record),
            code,
            number,
            profile: record.profile.to_string(),
            sign: record.sign().as_str().to_owned(),
            validity: record.validity.as_str().to_owned(),
            reimbursement: reimbursement(caller, &record.claim, self.now_ms(), sees_lock),
            period: record.period.to_string(),
            filed: self.query().filing(&record.seller, record.period)?.is_some(),
            seller: record.seller.to_string(),
            holder: (&record.holder).into(),
            issued_at: format_ms(record.issued_ms),
            date: Date::from_unix_ms(record.issued_ms).map(|date| date.to_string()).unwrap_or_default(),
            check_code: check_code(id, &record.issue.hash),
            totals: TotalsView::from(&record.totals),
            document,
            attachment: attachment.to_owned(),
            leaf_index: record.issue.index,
            leaf_hash: record.issue.hash.to_string(),
            quota: None,
            booking: None,
            vat_use: None,
            manifestation: None,
            correction: None,
            reversal: None,
            red_letter: None,
            slip: None,
            offline: None,
            links: Links {
                receipt: format!("{this}/receipt"),
                events: format!("{this}/events"),
                attachment: (attachment == "present").then(|| format!("{this}/attachment")),
                this,
            },
        })
    }
}

/// The text of an invoice's QR code: what the public check needs, with the full leaf hash.
fn qr(code: Option<&str>, number: &str, record: &InvoiceRecord) -> String {
    let code = code.map(|code| format!("&code={code}")).unwrap_or_default();
    format!("einvoice:?hash={}{code}&bill_num={number}&total_amount={}", record.issue.hash, record.totals.gross.fen())
}

/// The name of a reimbursement status.
pub(crate) fn status(status: Reimbursement) -> &'static str {
    match status {
        Reimbursement::Open => "open",
        Reimbursement::Locked => "locked",
        Reimbursement::Closed => "closed",
    }
}

/// What for is only for the platform and the enterprise; who and since when, for those who could claim it themselves
/// (`sees_lock`); the status, for all who see the invoice.
pub(crate) fn reimbursement(caller: &Caller, claim: &Claim, now_ms: i64, sees_lock: bool) -> ReimbursementView {
    let mut view = ReimbursementView {
        status: status(claim.at(now_ms)).to_owned(),
        since: None,
        until: None,
        platform: None,
        enterprise: None,
        claim: None,
        token: None,
    };
    if !sees_lock {
        return view;
    }
    let details = match claim {
        Claim::Open => return view,
        Claim::Locked(lock) => {
            if claim.lock_at(now_ms).is_none() {
                return view;
            }
            view.since = Some(format_ms(lock.since_ms));
            view.until = Some(format_ms(lock.until_ms));
            (&lock.platform, &lock.enterprise, &lock.claim, lock.token)
        }
        Claim::Closed(closed) => {
            view.since = Some(format_ms(closed.closed_ms));
            (&closed.platform, &closed.enterprise, &closed.claim, closed.token)
        }
    };
    let (platform, enterprise, claim, token) = details;
    view.platform = Some(platform.to_string());
    if [platform, enterprise].contains(&caller.id()) {
        view.enterprise = Some(enterprise.to_string());
        view.claim = Some(claim.to_string());
        view.token = Some(token);
    }
    view
}
