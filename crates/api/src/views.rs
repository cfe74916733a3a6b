//! The shapes of answers: what JSON clients read. Conversions only, no rules.
//!
//! Fields are `snake_case`, values of enumerations `kebab-case`; amounts are decimal strings, times
//! RFC 3339 strings in UTC with milliseconds, hashes lowercase hex.

mod books;
mod chain_views;
mod cloud_event;
mod contingency;
mod directory;
mod filing;
mod invoice_view;
mod numbers;
mod outcome;
mod quota;
mod record;
mod red;
mod statement;
mod webhook;

pub use books::{BookingTermsView, BookingView, CorrectionView, ManifestationView, UseView};
pub use chain_views::{
    BlockView, CommitView, ConsensusView, EquivocationView, EvidenceView, HealthView, LimitsView, PeerStatusView,
    StatusView,
};
pub use cloud_event::CloudEvent;
pub use contingency::{NumberRangeView, OfflineView, SegmentList, SegmentView};
pub use directory::{DirectoryKey, DirectoryPage, DirectoryView, FormerIdView, MandatePage, MandateView};
pub use filing::{
    AmendmentView, DifferenceView, DueView, FiledView, FilingList, FilingView, InputTotalView, OrderView, PaymentsView,
};
pub(crate) use invoice_view::DERIVED;
pub use invoice_view::{
    EventPage, EventRow, InvoicePage, InvoiceView, Links, RateTotalView, ReimbursementView, TotalsView,
};
pub use numbers::{CodePage, CodeRow, CounterProofView, NumberRun, NumbersView, SegmentNumbersView, TallyView};
pub use outcome::{LeafView, OutcomeView, PartyView, RefusalView, StandingView};
pub use quota::{GrantView, QuotaView};
pub use record::{GapView, RecordView};
pub use red::{ClawBackView, PartView, RedLetterView, RedLineView, ReversalView, SlipView};
pub use statement::{EventResult, Prepared, StatementState, StatementView, ValidationView};
pub(crate) use webhook::Shown;
pub use webhook::{
    DeadLetterPage, DeadLetterView, FailingView, FailureView, ResendView, WebhookList, WebhookSecretView,
    WebhookTestView, WebhookView, WebhooksView,
};

use invoice::violation::Violation;
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong in a document, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ViolationView {
    /// Where, as a JSON pointer into what was sent.
    #[schema(example = "/document/totals/gross")]
    pub path: String,
    /// The stable code of the rule.
    #[schema(example = "document.gross-not-net-plus-tax")]
    pub rule: String,
    /// What the rule asks.
    pub expected: String,
    /// What the document says.
    pub actual: String,
}

impl From<&Violation> for ViolationView {
    fn from(violation: &Violation) -> Self {
        Self {
            path: violation.path.clone(),
            rule: violation.rule.to_owned(),
            expected: violation.expected.clone(),
            actual: crate::problem::cut(violation.actual.clone()),
        }
    }
}
