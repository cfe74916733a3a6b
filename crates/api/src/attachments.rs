//! Attachments: personal data that travels beside a statement and stays on this node.
//!
//! They are kept once their statement is admitted, and go again when it comes to nothing, unless
//! another statement under way wants the same. A repeated statement never brings back what was
//! erased.
//!
//! Each invoice has a place of its own for its attachment ([`place`]), never the attachment's hash
//! alone: a hash is on the ledger for many to see, and who signs a foreign one must neither read,
//! nor erase, nor bring back what came with another invoice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chain::encoding::decode_base64url;
use chain::hash::{Hash, StatementId};
use invoice::Attachment;
use ledger::admission::Parsed;
use ledger::event::Event;
use ledger::outcome::{ACCEPTED, REPEATED};
use ledger::party::Party;
use ledger::record::ReferenceRecord;
use ledger::state::{StateKey, read};
use replica::StoreView;
use replica::port::{Store, StoreFault};

use crate::finality::{Ticket, Verdict};
use crate::problem::Problem;
use crate::service::Service;
use crate::turns::Name;

/// Attachments beside a statement at most: one for each event.
pub(crate) const ATTACHMENTS_MAX: usize = 1_000;

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
    /// Keeps the attachments of an admitted statement. Gives their places, each to be settled when it is known what
    /// became of the statement.
    pub(crate) fn keep_attachments(
        &self,
        parsed: &Parsed,
        attachments: Vec<(Hash, Vec<u8>)>,
    ) -> Result<Vec<Hash>, Problem> {
        let mut wanted = Vec::new();
        for (hash, bytes) in attachments {
            let issued = parsed.events().iter().filter_map(issued_document);
            let mut signing = issued.filter(|document| signed(document) == Some(hash)).peekable();
            if signing.peek().is_none() {
                let problem = Problem::new("attachment.unexpected");
                return Err(problem.at("/attachments", "one that a document signs", hash.to_string()));
            }
            for document in signing {
                // An invoice issued before keeps what it had, or had erased.
                if self.reference(document)?.is_none()
                    && let Some(place) = place(document)
                {
                    wanted.push((place, bytes.clone()));
                }
            }
        }
        let store = self.query().store();
        let mut kept = Vec::with_capacity(wanted.len());
        for (place, bytes) in wanted {
            let put = self.attachments.want(place, || {
                let absent = store.attachment(&place)?.is_none();
                if absent {
                    store.put_attachment(&place, &bytes)?;
                }
                Ok::<_, StoreFault>(absent)
            });
            if let Err(fault) = put {
                // Its statement goes nowhere, so those before it must not stay. What stands in the way now is the fault.
                let _ = self.settle(&kept, |_| false);
                return Err(fault.into());
            }
            kept.push(place);
        }
        Ok(kept)
    }

    /// What was issued under a document's reference before.
    pub(crate) fn reference(&self, document: &invoice::Document) -> Result<Option<ReferenceRecord>, Problem> {
        let view = StoreView(&**self.query().store());
        let seller = self.query().organisation_of(&Party::Taxpayer(document.seller.taxpayer_id.clone()))?;
        let Some(seller) = seller else { return Ok(None) };
        Ok(read(&view, &StateKey::reference(&seller, &document.reference))?)
    }

    /// Settles attachments of a statement that the mempool did not take in.
    pub(crate) async fn forget_attachments(self: &Arc<Self>, kept: Vec<Hash>) {
        if !kept.is_empty() {
            // A fault is logged where it is made a problem; the statement's own answer stands.
            let _ = self.run(&Name::Node, move |service| service.settle(&kept, |_| false)).await;
        }
    }

    /// Settles attachments when it is known what became of their statement, whether or not its sender waits.
    pub(crate) fn watch_attachments(self: &Arc<Self>, id: StatementId, mut ticket: Ticket, kept: Vec<Hash>) {
        if kept.is_empty() {
            return;
        }
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let verdict = ticket.verdict().await;
            let _ = service.run(&Name::Node, move |service| service.settle_by(&id, &verdict, &kept)).await;
        });
    }

    fn settle_by(&self, id: &StatementId, verdict: &Verdict, kept: &[Hash]) -> Result<(), Problem> {
        let decided = match verdict {
            // Nobody knows what became of it; what is kept is kept.
            Verdict::Fault => return self.settle(kept, |_| true),
            Verdict::Rejected(_) | Verdict::Quarantined => return self.settle(kept, |_| false),
            Verdict::Decided => *id,
            Verdict::Repeated(first) => *first,
        };
        let mut accepted = Vec::new();
        for view in self.events_of(&decided)?.unwrap_or_default() {
            if [ACCEPTED, REPEATED].contains(&view.outcome.code.as_str())
                && let Some(document) = issued_document(&view.event()?)
            {
                accepted.push(document.clone());
            }
        }
        self.settle(kept, |kept| accepted.iter().any(|document| place(document) == Some(*kept)))
    }

    fn settle(&self, kept: &[Hash], issued: impl Fn(&Hash) -> bool) -> Result<(), Problem> {
        let store = self.query().store();
        for hash in kept {
            self.attachments.settle(hash, issued(hash), || store.erase_attachment(hash))?;
        }
        Ok(())
    }
}

/// Attachments whose statements are under way. Bounded by the mempool, which holds those statements.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    wanted: Mutex<BTreeMap<Hash, Wanted>>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// How many statements under way sign it.
    statements: usize,
    /// Whether it came with one of them, and was not there before.
    new: bool,
    /// Whether one of them was accepted.
    issued: bool,
}

impl UnderWay {
    fn wanted(&self) -> MutexGuard<'_, BTreeMap<Hash, Wanted>> {
        self.wanted.lock().expect("nothing panics while it holds the attachments under way")
    }

    /// Counts a statement that signs an attachment. `put` keeps it, and says whether it was not there before.
    fn want<E>(&self, hash: Hash, put: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        let mut wanted = self.wanted();
        let new = put()?;
        let entry = wanted.entry(hash).or_default();
        entry.statements += 1;
        entry.new |= new;
        Ok(())
    }

    /// Counts a statement out. The last one erases what came to nothing.
    fn settle<E>(&self, hash: &Hash, issued: bool, erase: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut wanted = self.wanted();
        let Some(entry) = wanted.get_mut(hash) else {
            return Ok(());
        };
        entry.issued |= issued;
        entry.statements -= 1;
        if entry.statements > 0 {
            return Ok(());
        }
        let useless = entry.new && !entry.issued;
        wanted.remove(hash);
        if useless { erase() } else { Ok(()) }
    }
}

/// The hash of the attachment that a document signs.
pub(crate) fn signed(document: &invoice::Document) -> Option<Hash> {
    document.attachment.map(|digest| Hash::from_bytes(*digest.as_bytes()))
}

/// Where the attachment of an invoice is kept: seller and reference name the invoice for ever, and a
/// changed hash is another attachment.
pub(crate) fn place(document: &invoice::Document) -> Option<Hash> {
    let hash = signed(document)?;
    let seller = document.seller.taxpayer_id.as_str().as_bytes();
    let reference = document.reference.as_bytes();
    Some(Hash::of_parts(&[b"einvoice/attachment/1", seller, &[0], reference, &[0], hash.as_bytes()]))
}

/// The document that an event issues, if it does.
fn issued_document(event: &Event) -> Option<&invoice::Document> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a red letter has its blue's document, whose attachment is kept"
    )]
    match event {
        Event::Issue(issue) => Some(&issue.document),
        Event::OfflineIssue(issue) => Some(&issue.document),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_goes_when_the_last_statement_that_wants_it_comes_to_nothing() {
        let under_way = UnderWay::default();
        let hash = Hash::of(b"attachment");
        let want = |new: bool| under_way.want(hash, || Ok::<_, ()>(new)).unwrap();
        let settle = |issued: bool| {
            let mut erased = false;
            under_way
                .settle(&hash, issued, || {
                    erased = true;
                    Ok::<_, ()>(())
                })
                .unwrap();
            erased
        };
        want(true);
        want(false);
        assert!(!settle(false));
        assert!(settle(false));
        want(true);
        want(false);
        assert!(!settle(true));
        assert!(!settle(false));
        want(false);
        assert!(!settle(false), "it was there before");
    }
}
