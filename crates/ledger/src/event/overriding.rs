//! What the tax bureau says when it ends another's lock.

use chain::hash::Hash;
use invoice::id::InvoiceId;
use serde::{Deserialize, Serialize};

/// Why the tax bureau ends a lock. A closed list, because free text would carry personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverrideReason {
    /// The platform has gone, or does not answer.
    PlatformGone,
    /// The platform holds it for a claim that nobody made.
    ClaimUnfounded,
    /// The holder asked for it, and the platform does not let go.
    HolderRequest,
    /// It is looked into.
    Investigation,
    /// A court has ordered it.
    CourtOrder,
}

/// End another's lock, as the tax bureau has decided. The invoice is open again; a close stays what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The fencing token of the lock: one that came after the decision is not meant.
    pub token: u64,
    /// Why.
    pub reason: OverrideReason,
    /// SHA-256 of the decision in writing, which stays with the bureau: who is shown it can tell that it is this one.
    pub decision: Hash,
}
