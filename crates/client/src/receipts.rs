//! Receipts: asked of any node, believed of none.

use std::sync::Arc;

use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::identity::ChainId;
use chain::receipt::{Receipt, Verified};
use ledger::outcome::Record;
use wire::generated::get_receipt_request::Of;
use wire::generated::{EventOutcome, GetReceiptRequest};

use crate::client::{Client, Course};
use crate::error::Error;
use crate::outcome;
use crate::statement::Signed;
use crate::writes::{Decided, ledger};

/// Checks receipts against a genesis that the user has from elsewhere than the nodes.
#[derive(Clone, Debug)]
pub struct Verifier {
    genesis: Arc<Genesis>,
}

impl Verifier {
    /// Trusts this genesis.
    pub fn new(genesis: Genesis) -> Self {
        Self { genesis: Arc::new(genesis) }
    }

    /// Trusts the genesis of this file.
    ///
    /// # Errors
    /// [`Error::Option`] when it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |error: chain::genesis::GenesisError| Error::Option {
            what: "genesis",
            expected: "a genesis file",
            found: error.to_string(),
        };
        Ok(Self::new(Genesis::parse(bytes).map_err(wrong)?))
    }

    /// The chain of the genesis.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    /// Checks a receipt as JSON: that its event is on the chain of the genesis, and final.
    ///
    /// # Errors
    /// [`Error::Receipt`].
    pub fn check(&self, receipt: &[u8]) -> Result<Verified, Error> {
        Ok(Receipt::parse(receipt)?.verify(&self.genesis)?)
    }
}

impl Client {
    /// The receipt of the event with this leaf in the log, verified. With a hash, of that very leaf.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`]; [`Error::Receipt`] and [`Error::OtherReceipt`] when the node's answer
    /// does not prove what was asked for.
    pub async fn receipt(
        &self,
        verifier: &Verifier,
        leaf_index: u64,
        leaf_hash: Option<Hash>,
    ) -> Result<Verified, Error> {
        let verified = verifier.check(self.receipt_json(Of::LeafIndex(leaf_index)).await?.as_bytes())?;
        same("leaf index", &leaf_index, &verified.leaf_index)?;
        if let Some(expected) = leaf_hash {
            same("leaf hash", &expected, &verified.leaf.hash())?;
        }
        Ok(verified)
    }

    /// The receipt of the issue of an invoice, verified.
    ///
    /// # Errors
    /// Those of [`Client::receipt`].
    pub async fn invoice_receipt(&self, verifier: &Verifier, invoice: &str) -> Result<Verified, Error> {
        let verified = verifier.check(self.receipt_json(Of::Invoice(invoice.to_owned())).await?.as_bytes())?;
        same("subject", invoice, verified.leaf.subject.as_str())?;
        Ok(verified)
    }

    /// The receipts of everything that a decision says: that every event of this very statement is on the ledger, with
    /// these outcomes, tokens and times, and final. In the order of the events, one call each, and one more for the first
    /// answer of a repeated event.
    ///
    /// When a statement with the same nonce and payload came first, it is that one which was decided, and it has to be
    /// given here: no receipt says of another that it is the caller's.
    ///
    /// # Errors
    /// Those of [`Client::receipt`], and [`Error::Answer`] when the decision is of another statement, or has not one
    /// outcome for each event.
    pub async fn prove(&self, verifier: &Verifier, signed: &Signed, decided: &Decided) -> Result<Vec<Verified>, Error> {
        told("statement", &signed.id(), &decided.statement)?;
        self.prove_outcomes(verifier, signed, decided).await
    }

    /// Proves a decision of a statement that says the same as this one: that every event of this one is on the ledger, in
    /// its order, as an event of that one.
    pub(crate) async fn prove_outcomes(
        &self,
        verifier: &Verifier,
        signed: &Signed,
        decided: &Decided,
    ) -> Result<Vec<Verified>, Error> {
        told("number of outcomes", &signed.event_count(), &decided.outcomes.len())?;
        let mut proofs = Vec::with_capacity(decided.outcomes.len());
        for (index, outcome) in (0..).zip(&decided.outcomes) {
            told("event_index", &index, &outcome.event_index)?;
            told("kind", &signed.event_kind(index).unwrap_or_default(), &outcome.kind)?;
            let verified = self.receipt(verifier, outcome.leaf_index, None).await?;
            let leaf = &verified.leaf;
            same("leaf hash", outcome.leaf_hash.as_str(), leaf.hash().to_string().as_str())?;
            same("statement", &decided.statement, &leaf.statement)?;
            same("event", &index, &leaf.event)?;
            same("outcome", outcome.code.as_str(), leaf.code.as_str())?;
            same("subject", outcome.subject.as_str(), leaf.subject.as_str())?;
            same("height", &decided.height, &leaf.height)?;
            if verified.header.height == leaf.height {
                same("time", &decided.time_ms, &verified.time_ms)?;
            }
            let event = signed.event_hash(index);
            if event != Some(leaf.event_hash) {
                let expected = event.map_or_else(|| "an event of the statement".to_owned(), |hash| hash.to_string());
                let found = leaf.event_hash.to_string();
                return Err(Error::OtherReceipt { what: "event hash", expected, found });
            }
            self.compare(verifier, outcome, &verified).await?;
            proofs.push(verified);
        }
        Ok(proofs)
    }

    /// Holds what is told of an outcome against the record that its receipt has proved.
    async fn compare(&self, verifier: &Verifier, outcome: &EventOutcome, verified: &Verified) -> Result<(), Error> {
        let record = outcome::proved(verified)?;
        let first = if let Record::Repeated { original } = &record {
            let first = self.receipt(verifier, original.index, Some(original.hash)).await?;
            Some(outcome::proved(&first)?)
        } else {
            None
        };
        outcome::compare(outcome, &record, first.as_ref())
    }

    async fn receipt_json(&self, of: Of) -> Result<String, Error> {
        let request = GetReceiptRequest { of: Some(of) };
        let mut course = Course::new(self.options().read_max);
        let call = |channel, ask| async move { ledger(channel).get_receipt(ask).await };
        Ok(self.ask(&mut course, &request, true, call).await?.receipt)
    }
}

/// Holds a part of an answer against what the caller knows by itself.
fn told<T: PartialEq + ToString>(what: &'static str, expected: &T, found: &T) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Answer { what, expected: expected.to_string(), found: found.to_string() })
}

/// Holds what a receipt proves against what was asked for, or answered.
fn same<T: PartialEq + ToString + ?Sized>(what: &'static str, expected: &T, found: &T) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::OtherReceipt { what, expected: expected.to_string(), found: found.to_string() })
}
