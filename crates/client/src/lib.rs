//! The `client` room: a platform's side of the gRPC door.
//!
//! Owns connecting to one node or several, logging in, signing, sending again, waiting for finality, verifying receipts
//! and following the ledger. It knows no rules: what an event does, the ledger says. It signs every statement itself, with
//! a key of the caller's: what is sent again must be the same, whichever node it goes to, and a key that a node hosts is
//! there alone.
//!
//! ```text
//! Signer ── signs once, under one nonce ──► Signed ── Client::decide: the same bytes, to any node ──► Decided
//!                                                                                                      │
//! Verifier (a genesis from elsewhere) ◄──── receipts, believed of nobody ──── Client::prove ◄──────────┘
//! ```
//!
//! What is tried again: a read, and a signed statement, which is one however often it is sent. Between attempts there is
//! a wait that doubles, with chance in it, and never shorter than the node asks for (`RetryInfo`). A node that does not
//! answer is left alone for that time and the next one is asked; a quota is waited for where it was met. When time runs
//! out on a write, the error holds the statement, so that the question can be asked again later.
//!
//! An error does not survive a crash, and neither does what a node has not decided yet. What must not be lost goes through
//! an [`Outbox`]: on the disk before it is sent, and there until its receipts hold.

mod backoff;
mod client;
mod error;
mod key;
mod node;
mod options;
mod outbox;
mod outcome;
mod reads;
mod receipts;
mod statement;
mod subscription;
mod writes;

pub use chain::hash::{Hash, StatementId};
pub use chain::identity::ChainId;
pub use chain::receipt::Verified;
pub use chain::statement::{Mode, Nonce};
pub use client::Client;
pub use error::{Error, Refused, Violation};
pub use key::{Key, Purpose};
pub use options::{Clock, Login, NODES_MAX, Node, Options, Roots};
pub use outbox::{Kept, Outbox, OutboxError, OutboxLimits, REPEATED, Sent};
pub use reads::Pages;
pub use receipts::Verifier;
pub use statement::{Event, Held, Lock, Renew, Signed, Signer};
pub use subscription::{Delivery, Subscription};
pub use writes::Decided;

/// The messages of the door, as generated from `proto/`.
pub mod messages {
    pub use wire::generated::{
        BatchVerifyAnswer, BookingTerms, Claim, ClaimStatus, EventOutcome, Invoice, InvoiceDetails, InvoiceParty,
        InvoiceSide, InvoiceValidity, LeafReference, LeaseRecord, LedgerEvent, ListClaimsRequest, ListInvoicesRequest,
        RedAnsweredRecord, RefusalReason, StandingEvent, SubscribeRequest, VerifyRequest, VerifyResponse, VerifyResult,
        batch_verify_answer, event_outcome, invoice_party, verify_request,
    };
}
