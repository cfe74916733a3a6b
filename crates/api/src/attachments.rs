//! Attachments: personal data that travels beside a statement and stays on this node.
//!
//! They are kept once their statement is admitted, and go again when it comes to nothing. A repeated
//! statement never brings back what was erased.

use std::sync::Arc;

use chain::encoding::decode_base64url;
use chain::hash::{Hash, StatementId};
use invoice::Attachment;
use ledger::admission::Parsed;
use ledger::event::Event;
use ledger::outcome::{ACCEPTED, REPEATED};
use ledger::record::ReferenceRecord;
use ledger::state::{StateKey, read};
use replica::StoreView;
use replica::port::Store;

use crate::finality::{Ticket, Verdict};
use crate::problem::Problem;
use crate::service::Service;

/// Attachments beside a statement at most: one for each event.
const ATTACHMENTS_MAX: usize = 1_000;

/// Reads attachments from base64url, and checks them.
pub(crate) fn read_attachments(texts: &[String]) -> Result<Vec<(Hash, Vec<u8>)>, Problem> {
    let malformed = |index: usize, found: String| {
        Problem::new("attachment.malformed").at(format!("/attachments/{index}"), "an attachment, base64url", found)
    };
    if texts.len() > ATTACHMENTS_MAX {
        let found = format!("{} attachments", texts.len());
        return Err(Problem::new("attachment.malformed").at("/attachments", "at most 1000", found));
    }
    let mut attachments = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let bytes = decode_base64url(text).map_err(|error| malformed(index, error.to_string()))?;
        let attachment = Attachment::parse(bytes).map_err(|error| malformed(index, error.to_string()))?;
        attachments.push((Hash::of(attachment.bytes()), attachment.into_bytes()));
    }
    Ok(attachments)
}

impl<S: Store> Service<S> {
    /// Keeps the attachments of an admitted statement. Gives those that were not there before.
    pub(crate) fn keep_attachments(
        &self,
        parsed: &Parsed,
        attachments: Vec<(Hash, Vec<u8>)>,
    ) -> Result<Vec<Hash>, Problem> {
        let mut kept = Vec::new();
        let mut wanted = Vec::new();
        for (hash, bytes) in attachments {
            let signed = parsed.events().iter().find_map(|event| match event {
                Event::Issue(issue) if signs(&issue.document, &hash) => Some(&issue.document),
                _ => None,
            });
            let document = signed.ok_or_else(|| {
                Problem::new("attachment.unexpected").at("/attachments", "one that a document signs", hash.to_string())
            })?;
            // An invoice issued before keeps what it had, or had erased.
            if self.reference(document)?.is_none() && self.query().store().attachment(&hash)?.is_none() {
                wanted.push((hash, bytes));
            }
        }
        for (hash, bytes) in wanted {
            self.query().store().put_attachment(&hash, &bytes)?;
            kept.push(hash);
        }
        Ok(kept)
    }

    /// What was issued under a document's reference before.
    pub(crate) fn reference(&self, document: &invoice::Document) -> Result<Option<ReferenceRecord>, Problem> {
        let view = StoreView(&**self.query().store());
        let seller = read(&view, &StateKey::taxpayer(&document.seller.taxpayer_id))?;
        let Some(seller) = seller else { return Ok(None) };
        Ok(read(&view, &StateKey::reference(&seller, &document.reference))?)
    }

    /// Erases attachments of a statement that the mempool did not take in.
    pub(crate) async fn forget_attachments(self: &Arc<Self>, kept: Vec<Hash>) {
        if kept.is_empty() {
            return;
        }
        // A fault is logged where it is made a problem; the statement's own answer stands.
        let _ = self
            .run(move |service| {
                for hash in &kept {
                    service.query().store().erase_attachment(hash)?;
                }
                Ok(())
            })
            .await;
    }

    /// Erases attachments when their statement comes to nothing, whether or not its sender waits.
    pub(crate) fn watch_attachments(self: &Arc<Self>, id: StatementId, kept: Vec<Hash>) {
        if kept.is_empty() {
            return;
        }
        let Some(ticket) = self.app.finality.expect(id) else {
            return;
        };
        tokio::spawn(Arc::clone(self).settle_attachments(id, ticket, kept));
    }

    async fn settle_attachments(self: Arc<Self>, id: StatementId, mut ticket: Ticket, kept: Vec<Hash>) {
        match ticket.verdict().await {
            // Nobody knows what became of it; what is kept is kept.
            Verdict::Fault => {}
            Verdict::Rejected(_) | Verdict::Quarantined => self.forget_attachments(kept).await,
            Verdict::Committed(_) => {
                let unissued = self
                    .run(move |service| service.unissued(&id, kept))
                    .await
                    .unwrap_or_default();
                self.forget_attachments(unissued).await;
            }
            Verdict::Repeated(first) => {
                let unissued = self
                    .run(move |service| service.unissued(&first, kept))
                    .await
                    .unwrap_or_default();
                self.forget_attachments(unissued).await;
            }
        }
    }

    /// Which of these no accepted issue of a statement signs.
    fn unissued(&self, id: &StatementId, mut hashes: Vec<Hash>) -> Result<Vec<Hash>, Problem> {
        for view in self.events_of(id)?.unwrap_or_default() {
            if let Event::Issue(issue) = view.event()?
                && [ACCEPTED, REPEATED].contains(&view.outcome.code.as_str())
            {
                hashes.retain(|hash| !signs(&issue.document, hash));
            }
        }
        Ok(hashes)
    }
}

/// Whether a document signs an attachment.
fn signs(document: &invoice::Document, hash: &Hash) -> bool {
    document
        .attachment
        .is_some_and(|signed| signed.as_bytes() == hash.as_bytes())
}
