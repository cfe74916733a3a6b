//! Signed statements: issues of a workload, and whatever else somebody of the consortium states.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use invoice::document::{Buyer, Document};
use ledger::event::{Event, Issue};

use crate::consortium::{Consortium, Enterprise, STATEMENT_KEY};
use crate::dice::{Dice, Throw};
use crate::document::Workload;

/// The numbers of documents that are claimable for certain begin here.
const CLAIMABLE: u64 = 1 << 40;

/// A signed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Who signed it.
    pub organisation: OrganisationId,
    /// The JWS.
    pub bytes: Vec<u8>,
    /// How many events it holds.
    pub events: usize,
}

/// Signs for everybody of a consortium on one chain. Cheap to clone.
#[derive(Clone)]
pub struct Signers {
    chain: Arc<ChainId>,
    keys: Arc<BTreeMap<OrganisationId, SecretKey>>,
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signers").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Signers {
    /// The statement keys of everybody who holds one, for a chain.
    pub fn new(consortium: &Consortium, chain: ChainId) -> Self {
        let keys = consortium.keyed().map(|id| (id.clone(), consortium.secret(id.as_str(), STATEMENT_KEY)));
        Self { chain: Arc::new(chain), keys: Arc::new(keys.collect()) }
    }

    /// Signs events as an organisation, under a nonce, until `expires_at` (unix seconds).
    ///
    /// # Panics
    /// When the organisation holds no keys, or the nonce is none: both are mistakes of the program that asks.
    pub fn sign(
        &self,
        organisation: &OrganisationId,
        nonce: &str,
        mode: Mode,
        events: &[String],
        expires_at: u64,
    ) -> Made {
        let key = self.keys.get(organisation).expect("whoever states something holds a key");
        let header = StatementHeader {
            organisation: organisation.clone(),
            key: KeyId::new(STATEMENT_KEY).expect("the name of a key"),
            chain: (*self.chain).clone(),
            nonce: Nonce::new(nonce).expect("nonces of a workload are short and plain"),
            expires_at,
        };
        let bytes = Draft::new(header, payload(mode, events)).sign(key);
        Made { organisation: organisation.clone(), bytes, events: events.len() }
    }
}

/// The event that issues a document, as JSON.
pub fn issue_event(document: Document) -> String {
    json(&Event::Issue(Box::new(Issue { document })))
}

pub(crate) fn json(event: &Event) -> String {
    serde_json::to_string(event).expect("events have string keys only, and memory takes every write")
}

impl Workload {
    /// The statement of that number: so many issues by one issuer, until `expires_at` (unix seconds). The documents are
    /// those from `number` × `events` on, so statements of one size never share one.
    pub fn issue_statement(&self, signers: &Signers, number: u64, events: usize, mode: Mode, expires_at: u64) -> Made {
        let issuer = self.issuer(number);
        let count = u64::try_from(events).expect("events of a statement are few");
        let events: Vec<String> = self.documents_of(&issuer, number * count, count).map(issue_event).collect();
        signers.sign(&issuer, &self.nonce(number), mode, &events, expires_at)
    }

    /// The same of documents that enterprises on the ledger bought, all of which platforms may claim; with whose each is.
    /// Its documents and nonces are apart from those of [`Workload::issue_statement`].
    pub fn claimable_statement(
        &self,
        signers: &Signers,
        number: u64,
        events: usize,
        expires_at: u64,
    ) -> (Made, Vec<&Enterprise>) {
        let issuer = self.issuer(number);
        let count = u64::try_from(events).expect("events of a statement are few");
        let buyers = &self.consortium.buyers;
        let sold = (CLAIMABLE + number * count..).zip(self.documents_of(&issuer, CLAIMABLE + number * count, count));
        let (events, holders): (Vec<String>, Vec<&Enterprise>) = sold
            .map(|(place, document)| {
                let rank = usize::try_from(place % u64::try_from(buyers.len()).expect("a count fits 64 bits"));
                let holder = &buyers[rank.expect("it is less than how many there are")];
                let buyer = Buyer::Organisation(holder.party.clone());
                (issue_event(Document { buyer, ..document }), holder)
            })
            .unzip();
        (signers.sign(&issuer, &self.nonce(CLAIMABLE + number), Mode::Each, &events, expires_at), holders)
    }

    /// Who signs the statement of that number: large sellers' signers more often.
    pub(crate) fn issuer(&self, number: u64) -> OrganisationId {
        let mut dice = Dice::new(self.consortium.seed(), Throw::Statement, number);
        let seller = self.consortium.by_size.draw(&mut dice);
        self.consortium.sellers[seller].agents[0].clone()
    }

    /// So many documents of sellers that the issuer signs for, from that number on.
    pub(crate) fn documents_of(
        &self,
        issuer: &OrganisationId,
        first: u64,
        count: u64,
    ) -> impl Iterator<Item = Document> {
        (first..first + count)
            .map(|number| self.document_by(issuer, number).expect("an issuer that was drawn signs for somebody"))
    }

    pub(crate) fn nonce(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }
}
