//! Writing: the same statement, again and again, until somebody knows what became of it.

use chain::hash::StatementId;
use tonic::transport::Channel;
use wire::generated::event_outcome::Record;
use wire::generated::ledger_service_client::LedgerServiceClient;
use wire::generated::reimbursement_service_client::ReimbursementServiceClient;
use wire::generated::{
    BatchCloseRequest, BatchLockRequest, CloseRequest, EventOutcome, GetStatementRequest, LeaseRecord, LockRequest,
    RenewRequest, StatementResult, StatementState, SubmitRequest, UnlockRequest, batch_close_request,
    batch_lock_request, close_request, lock_request, renew_request, unlock_request,
};

use crate::client::{ANSWER_BYTES_MAX, Client, Course};
use crate::error::{Error, Refused};
use crate::reads::nothing;
use crate::statement::{Event, Held, Lock, Method, Renew, Signed, Signer};

/// The code of a statement that came too late.
const EXPIRED: &str = "statement.expired";
/// The code of a statement that no block has.
pub(crate) const UNKNOWN: &str = "statement.unknown";

/// A statement that is on the ledger, for good. What [`Client::decide`] gives, something of it was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The statement whose outcomes these are: another than was sent when one with the same nonce and payload came first.
    pub statement: StatementId,
    /// The height of its block.
    pub height: u64,
    /// The time of that block, ms since 1970 in UTC.
    pub time_ms: i64,
    /// What became of its events, in their order.
    pub outcomes: Vec<EventOutcome>,
    /// Whether something of it was accepted by the very call that brought this answer, and not by an earlier one.
    pub fresh: bool,
}

impl Decided {
    fn read(result: StatementResult) -> Result<Self, Error> {
        let statement = result.statement_id.parse().map_err(|_| Error::Answer {
            what: "statement_id",
            expected: "64 hexadecimal digits".to_owned(),
            found: result.statement_id.chars().take(80).collect(),
        })?;
        let StatementResult { height, time_ms, outcomes, fresh, .. } = result;
        Ok(Self { statement, height, time_ms, outcomes, fresh })
    }

    /// The lease of the first event that locked or renewed.
    pub fn lease(&self) -> Option<&LeaseRecord> {
        self.outcomes.iter().find_map(|outcome| match &outcome.record {
            Some(Record::Locked(lease) | Record::Renewed(lease)) => Some(lease),
            Some(_) | None => None,
        })
    }

    /// Why nothing of it was accepted; none when something was.
    pub fn refusal(&self) -> Option<Refused> {
        Refused::by_outcomes(self.statement, &self.outcomes)
    }
}

impl Client {
    /// Locks an invoice for a claim: signs, sends, and waits until it is decided. The first platform wins.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn lock(&self, signer: &Signer, lock: Lock) -> Result<Decided, Error> {
        self.decide(&self.sign(signer, &Event::Lock(lock))?).await
    }

    /// Locks invoices, all of them or none.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn lock_all(&self, signer: &Signer, locks: Vec<Lock>) -> Result<Decided, Error> {
        self.decide(&self.sign_locks(signer, locks)?).await
    }

    /// Extends the lease of a lock.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn renew(&self, signer: &Signer, renew: Renew) -> Result<Decided, Error> {
        self.decide(&self.sign(signer, &Event::Renew(renew))?).await
    }

    /// Gives a lock up.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn unlock(&self, signer: &Signer, held: Held) -> Result<Decided, Error> {
        self.decide(&self.sign(signer, &Event::Unlock(held))?).await
    }

    /// Closes an invoice: reimbursed, once and for all.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn close(&self, signer: &Signer, held: Held) -> Result<Decided, Error> {
        self.decide(&self.sign(signer, &Event::Close(held))?).await
    }

    /// Closes invoices, all of them or none.
    ///
    /// # Errors
    /// Those of [`Client::decide`].
    pub async fn close_all(&self, signer: &Signer, closes: Vec<Held>) -> Result<Decided, Error> {
        self.decide(&self.sign_closes(signer, closes)?).await
    }

    /// Sends a signed statement, to another node when one fails, and asks until it is decided. Nothing but these very
    /// bytes is ever sent again, so it is decided once. May be called again for the same statement at any time, also when
    /// it has expired since.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing of it was accepted; [`Error::Undecided`] when time ran out, or when a node may have
    /// taken it in and the next one turned us away, as with a key that was revoked; [`Error::Expired`]; and
    /// [`Error::Unavailable`] when no node took it in.
    pub async fn decide(&self, signed: &Signed) -> Result<Decided, Error> {
        let mut course = Course::new(self.options().decision_max);
        match self.until_decided(&mut course, signed).await {
            Err(Error::Unavailable { last, .. }) if course.in_doubt => {
                Err(Error::Undecided { statement: Box::new(signed.clone()), last })
            }
            Err(Error::Refused(refused)) if refused.code == EXPIRED => {
                self.after_expiry(signed, refused, course.in_doubt).await
            }
            // It was turned away there, and may be decided elsewhere.
            Err(Error::Refused(last)) if course.in_doubt && !last.is_on_the_ledger() => {
                Err(Error::Undecided { statement: Box::new(signed.clone()), last: Some(last) })
            }
            decided => decided,
        }
    }

    /// What became of a statement that may have been decided before it expired: nodes judge the expiry of what they are
    /// sent first.
    async fn after_expiry(&self, signed: &Signed, expired: Box<Refused>, in_doubt: bool) -> Result<Decided, Error> {
        match self.statement(signed.id()).await {
            Ok(Some(decided)) => match decided.refusal() {
                Some(refused) => Err(Error::Refused(Box::new(refused))),
                None => Ok(decided),
            },
            // It waits in a mempool, and the clock of whoever makes the next block decides.
            Ok(None) => Err(Error::Undecided { statement: Box::new(signed.clone()), last: Some(expired) }),
            // As nodes of earlier builds say it.
            Err(Error::Refused(refused)) if refused.is_on_the_ledger() => Err(Error::Refused(refused)),
            Err(_) if in_doubt => Err(Error::Expired { statement: signed.id() }),
            Err(Error::Refused(refused)) if refused.code == UNKNOWN => Err(Error::Refused(expired)),
            Err(error) => Err(error),
        }
    }

    /// What became of a statement, by its id: one of the caller's own, or any for agencies and auditors. Also of one of
    /// which nothing was accepted, with all of its outcomes. None while it waits for a block.
    ///
    /// # Errors
    /// [`Error::Refused`], with `statement.unknown` when no block of that node has it; [`Error::Unavailable`].
    pub async fn statement(&self, id: StatementId) -> Result<Option<Decided>, Error> {
        let request = GetStatementRequest { statement_id: id.to_string() };
        let mut course = Course::new(self.options().read_max);
        let call = |channel, ask| async move { ledger(channel).get_statement(ask).await };
        let result = self.ask(&mut course, &request, true, call).await?.result.ok_or_else(|| nothing("result"))?;
        if result.state() == StatementState::Decided { Decided::read(result).map(Some) } else { Ok(None) }
    }

    async fn until_decided(&self, course: &mut Course, signed: &Signed) -> Result<Decided, Error> {
        loop {
            let result = self.send(course, signed).await?.ok_or_else(|| Error::Answer {
                what: "result",
                expected: "what became of the statement".to_owned(),
                found: "nothing".to_owned(),
            })?;
            if result.state() == StatementState::Decided {
                return Decided::read(result);
            }
            // It waits in that node; whichever is asked next knows it too, or takes it in.
            course.in_doubt = true;
            course.pause(None, self.options()).await?;
        }
    }

    async fn send(&self, course: &mut Course, signed: &Signed) -> Result<Option<StatementResult>, Error> {
        let (statement, idempotency_key) = (signed.as_str().to_owned(), String::new());
        Ok(match signed.method {
            Method::Lock => {
                let message = LockRequest { form: Some(lock_request::Form::Statement(statement)), idempotency_key };
                self.ask(course, &message, true, |channel, ask| async move { platforms(channel).lock(ask).await })
                    .await?
                    .result
            }
            Method::BatchLock => {
                let form = Some(batch_lock_request::Form::Statement(statement));
                let message = BatchLockRequest { form, idempotency_key };
                let call = |channel, ask| async move { platforms(channel).batch_lock(ask).await };
                self.ask(course, &message, true, call).await?.result
            }
            Method::Renew => {
                let message = RenewRequest { form: Some(renew_request::Form::Statement(statement)), idempotency_key };
                self.ask(course, &message, true, |channel, ask| async move { platforms(channel).renew(ask).await })
                    .await?
                    .result
            }
            Method::Unlock => {
                let message = UnlockRequest { form: Some(unlock_request::Form::Statement(statement)), idempotency_key };
                self.ask(course, &message, true, |channel, ask| async move { platforms(channel).unlock(ask).await })
                    .await?
                    .result
            }
            Method::Close => {
                let message = CloseRequest { form: Some(close_request::Form::Statement(statement)), idempotency_key };
                self.ask(course, &message, true, |channel, ask| async move { platforms(channel).close(ask).await })
                    .await?
                    .result
            }
            Method::BatchClose => {
                let form = Some(batch_close_request::Form::Statement(statement));
                let message = BatchCloseRequest { form, idempotency_key };
                let call = |channel, ask| async move { platforms(channel).batch_close(ask).await };
                self.ask(course, &message, true, call).await?.result
            }
            Method::Submit => {
                let message = SubmitRequest { statement, attachments: signed.attachments.clone() };
                self.ask(course, &message, true, |channel, ask| async move { ledger(channel).submit(ask).await })
                    .await?
                    .result
            }
        })
    }
}

/// The service for platforms, over a connection.
pub(crate) fn platforms(channel: Channel) -> ReimbursementServiceClient<Channel> {
    ReimbursementServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// The service for whoever reads and submits, over a connection.
pub(crate) fn ledger(channel: Channel) -> LedgerServiceClient<Channel> {
    LedgerServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
