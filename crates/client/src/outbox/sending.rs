//! Sending what an outbox keeps: one statement after the other, each until its receipts hold.

use chain::hash::StatementId;
use chain::receipt::Verified;

use super::{Outbox, OutboxError, Slot, State, file};
use crate::client::Client;
use crate::error::{Error, Refused};
use crate::receipts::Verifier;
use crate::statement::Signed;
use crate::writes::Decided;

/// The code of a statement whose payload was decided before under the same nonce, in another statement.
pub const REPEATED: &str = "statement.repeated";
/// Which codes are about the statement itself, and not about the call, the login or the node.
const OF_STATEMENTS: [&str; 4] = ["statement.", "event.", "document.", "attachment."];
/// Those among them that pass.
const PASSING: [&str; 3] = ["statement.too-far-ahead", "statement.refusals-spent", "statement.quarantined"];

/// What became of a statement of an outbox.
#[derive(Debug)]
pub enum Sent {
    /// It is on the ledger for good, and the receipts of all its events hold, also when nothing of it was accepted
    /// ([`Decided::refusal`]). It stays in the outbox until [`Outbox::forget`].
    Decided {
        /// What became of its events.
        decided: Box<Decided>,
        /// The proofs, in the order of the events.
        proofs: Vec<Verified>,
    },
    /// Nodes turn it away, and would again; it was set aside, and those behind it go on. A node that it was sent to before
    /// may still have it: [`Outbox::ask`] looks for it.
    SetAside {
        /// The statement.
        statement: StatementId,
        /// Why. None when `first` says it.
        refused: Option<Box<Refused>>,
        /// The statement with the same nonce and payload that came first. It is the one that receipts speak of.
        first: Option<StatementId>,
    },
}

impl Outbox {
    /// Sends the first statement that waits, the same bytes as ever, until it is decided, and proves the decision against
    /// the verifier's genesis. None when nothing waits. May be called again after any error, also by the next process.
    ///
    /// # Errors
    /// [`OutboxError::Damaged`] when it cannot be read: nothing behind it is sent. Those of [`Client::decide`] that say
    /// nothing of the statement itself, and those of [`Client::prove`]: it waits on in its place.
    pub async fn send_next(&mut self, client: &Client, verifier: &Verifier) -> Result<Option<Sent>, Error> {
        let next = self.slots.iter().find(|(_, slot)| slot.state == State::Waits);
        let Some((number, slot)) = next.map(|(number, slot)| (*number, *slot)) else { return Ok(None) };
        let (signed, _) = self.read(number, slot)?;
        let decided = match client.decide(&signed).await {
            Ok(decided) => decided,
            Err(Error::Refused(refused)) if refused.is_on_the_ledger() => {
                // A status has no room for all outcomes.
                let id = refused.statement_id().unwrap_or_else(|| signed.id());
                on_the_ledger(client, id).await?
            }
            Err(Error::Refused(refused)) if is_of_statements(&refused) => match client.statement(signed.id()).await {
                Ok(Some(decided)) => decided,
                Ok(None) => return Err(Error::Undecided { statement: Box::new(signed), last: Some(refused) }),
                Err(Error::Refused(unknown)) if unknown.code == crate::writes::UNKNOWN => {
                    return Ok(Some(self.set_aside(number, slot, &signed, Some(refused), None)?));
                }
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        if decided.statement != signed.id() {
            // Nobody is believed that the same came first: what is set aside is not sent to anybody again.
            client.prove_outcomes(verifier, &signed, &decided).await?;
            return Ok(Some(self.set_aside(number, slot, &signed, None, Some(decided.statement))?));
        }
        prove(client, verifier, &signed, decided).await.map(Some)
    }

    /// Sets a statement aside that the ledger refused, until somebody looks at why: [`Outbox::ask`] gives the decision again.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`] when it does not wait in this outbox; [`OutboxError::Damaged`], [`OutboxError::Io`].
    pub fn put_aside(&mut self, statement: StatementId, refused: &Refused) -> Result<(), OutboxError> {
        let waiting = self.find(statement).filter(|(_, slot)| slot.state == State::Waits);
        let (number, slot) = waiting.ok_or(OutboxError::Unknown { statement, found: "none that waits" })?;
        let (signed, _) = self.read(number, slot)?;
        self.change(number, slot, State::SetAside, &file::write(&signed, Some(&refused.code)))
    }

    /// What became of a statement that was set aside: it may have been decided all the same, when an earlier process had
    /// sent it to another node. None when the node that is asked knows nothing of it, or has it waiting.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`], [`OutboxError::Damaged`]; those of [`Client::statement`] and [`Client::prove`].
    pub async fn ask(
        &self,
        client: &Client,
        verifier: &Verifier,
        statement: StatementId,
    ) -> Result<Option<Sent>, Error> {
        let (number, slot) = self.find(statement).ok_or(OutboxError::Unknown { statement, found: "none" })?;
        let (signed, _) = self.read(number, slot)?;
        match client.statement(statement).await {
            Ok(Some(decided)) => prove(client, verifier, &signed, decided).await.map(Some),
            Ok(None) => Ok(None),
            Err(Error::Refused(unknown)) if unknown.code == crate::writes::UNKNOWN => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_aside(
        &mut self,
        number: u64,
        slot: Slot,
        signed: &Signed,
        refused: Option<Box<Refused>>,
        first: Option<StatementId>,
    ) -> Result<Sent, OutboxError> {
        let code = refused.as_ref().map_or(REPEATED, |refused| refused.code.as_str());
        self.change(number, slot, State::SetAside, &file::write(signed, Some(code)))?;
        Ok(Sent::SetAside { statement: slot.statement, refused, first })
    }
}

/// Whether a node says that it is the statement which cannot be, now and later.
fn is_of_statements(refused: &Refused) -> bool {
    let code = refused.code.as_str();
    OF_STATEMENTS.iter().any(|of| code.starts_with(of)) && !PASSING.contains(&code)
}

/// The decision of a statement that a node has just told of.
async fn on_the_ledger(client: &Client, id: StatementId) -> Result<Decided, Error> {
    client.statement(id).await?.ok_or_else(|| Error::Answer {
        what: "state",
        expected: "a statement that is decided".to_owned(),
        found: "one that waits".to_owned(),
    })
}

async fn prove(client: &Client, verifier: &Verifier, signed: &Signed, decided: Decided) -> Result<Sent, Error> {
    let proofs = client.prove(verifier, signed, &decided).await?;
    Ok(Sent::Decided { decided: Box::new(decided), proofs })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn only_what_condemns_the_statement_itself_sets_it_aside() {
        let check = |code: &str, expected: bool| {
            let mut refused = Refused::on_the_way(Code::Unknown, "");
            code.clone_into(&mut refused.code);
            assert_eq!(is_of_statements(&refused), expected, "{code}");
        };
        check("statement.expired", true);
        check("statement.nonce-reused", true);
        check("document.invalid", true);
        check("event.malformed", true);
        check("attachment.unexpected", true);
        check("statement.too-far-ahead", false);
        check("statement.refusals-spent", false);
        check("statement.quarantined", false);
        check("login.signature", false);
        check("auth.key-inactive", false);
        check("node.catching-up", false);
        check("mempool.organisation-full", false);
        check("", false);
    }
}
