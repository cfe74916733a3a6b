//! Which numbers of a code were given, and what became of them.

use chain::encoding::encode_base64url;
use chain::receipt::DecidedHeader;
use replica::query::{CodeView, NumbersPage, ProvedCounter, Run, Tally};
use serde::Serialize;
use utoipa::ToSchema;

use super::SegmentView;

/// The number that every code begins with.
const FIRST: u64 = 1;

/// A page of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodePage {
    /// The codes, in order.
    pub codes: Vec<CodeRow>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A code of invoices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodeRow {
    /// The 12 digits, or the first 5 of digital numbers: year, province, channel.
    #[schema(example = "144032609110")]
    pub code: String,
    /// Whether its numbers are given beforehand, in segments for a contingency.
    pub of_segments: bool,
    /// The number that is given next; the first was 1. For auditors and the tax bureau.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_number: Option<u64>,
}

impl CodeRow {
    /// A code for somebody who may know how far it has come, or not.
    pub(crate) fn of(code: &CodeView, whole: bool) -> Self {
        let of_segments = ledger::contingency::is_of_segments(&code.code);
        Self { code: code.code.clone(), of_segments, next_number: whole.then_some(code.next) }
    }
}

/// The numbers of a code: a page of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NumbersView {
    /// The 12 digits, or the first 5 of digital numbers: year, province, channel.
    #[schema(example = "144032609110")]
    pub code: String,
    /// Whether its numbers are given beforehand, in segments for a contingency.
    pub of_segments: bool,
    /// The first number of the code.
    pub first_number: u64,
    /// The number that is given next. For auditors and the tax bureau.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_number: Option<u64>,
    /// Which numbers this page is about; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<NumberRun>,
    /// What became of the numbers of this page. All pages together say it of the code.
    pub tally: TallyView,
    /// Numbers of this page without an invoice that no segment accounts for. There must be none.
    pub missing: Vec<NumberRun>,
    /// The segments that this page is about, in the order of their numbers.
    pub segments: Vec<SegmentNumbersView>,
    /// Proof of the next number as of the newest state checkpoint that headers carry; on the first page, for auditors and
    /// the tax bureau. Absent while that checkpoint is from before the first number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<CounterProofView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Numbers that follow each other, both themselves included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NumberRun {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl From<Run> for NumberRun {
    fn from(Run { first, last }: Run) -> Self {
        Self { first, last }
    }
}

/// What became of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TallyView {
    /// How many have an invoice.
    pub used: u64,
    /// Of these, how many were voided. Their numbers stay theirs.
    pub void: u64,
    /// Of these, how many red letters took back in part.
    pub part_red: u64,
    /// Of these, how many red letters took back in full.
    pub full_red: u64,
    /// Of these, how many are red letters.
    pub red_letters: u64,
}

impl From<Tally> for TallyView {
    fn from(Tally { used, void, part_red, full_red, red_letters }: Tally) -> Self {
        Self { used, void, part_red, full_red, red_letters }
    }
}

/// A segment of numbers for a contingency, and what became of its numbers. Of a closed one `unused` are the gaps that were
/// declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SegmentNumbersView {
    /// The segment.
    pub segment: SegmentView,
    /// What became of its numbers.
    pub tally: TallyView,
}

/// Proof of how far a code had come: that its counter stands in the state tree, whose root the header of a block carries.
///
/// `einvoice numbers CODE --genesis FILE` checks it. By hand: let `node` be
/// `SHA-256("JMT::LeafNode" | place | SHA-256(SHA-256(stored)))`, where `place` is the first 3 bytes of SHA-256(key without its last 3 bytes) and the first 29
/// of SHA-256(key). For each of the n siblings, with bits n-1 down to 0 of the place, counted from its front: the node is
/// `SHA-256("JMT::IntrnalNode" | left | right)`, and the one before it stands right where the bit is 1. The last node is the
/// root. The last 8 bytes of `stored` are the number that is given next, little-endian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CounterProofView {
    /// The height after whose block the state stood so.
    pub state_height: u64,
    /// The root of the state tree then.
    pub state_root: String,
    /// A header that carries height and root, with the proof that the validators decided it: `header` (base64url),
    /// `certificate` and `validator_changes`, as in a receipt.
    #[schema(value_type = Object)]
    pub decided: DecidedHeader,
    /// The number that was given next then.
    pub next_number: u64,
    /// The key of the record, base64url.
    pub key: String,
    /// The stored record, base64url.
    pub stored: String,
    /// The hashes beside the way from the record to the root, the lowest first.
    #[schema(max_items = 256)]
    pub siblings: Vec<String>,
}

impl From<&ProvedCounter> for CounterProofView {
    fn from(proved: &ProvedCounter) -> Self {
        Self {
            state_height: proved.decided.header.state_checkpoint.height,
            state_root: proved.decided.header.state_checkpoint.root.to_string(),
            decided: proved.decided.clone(),
            next_number: proved.next,
            key: encode_base64url(proved.key.as_bytes()),
            stored: encode_base64url(&proved.stored),
            siblings: proved.proof.siblings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl NumbersView {
    /// A page, at a time in ms UTC.
    pub(crate) fn of(
        code: CodeRow,
        page: &NumbersPage,
        proof: Option<&ProvedCounter>,
        next: Option<String>,
        time_ms: i64,
    ) -> Self {
        let segments = page.segments.iter().map(|(segment, tally)| SegmentNumbersView {
            segment: SegmentView::at(segment, time_ms),
            tally: TallyView::from(*tally),
        });
        let CodeRow { code, of_segments, next_number } = code;
        Self {
            code,
            of_segments,
            first_number: FIRST,
            next_number,
            page: page.run.map(NumberRun::from),
            tally: page.tally.into(),
            missing: page.missing.iter().copied().map(NumberRun::from).collect(),
            segments: segments.collect(),
            proof: proof.map(CounterProofView::from),
            next,
        }
    }
}
