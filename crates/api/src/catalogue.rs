//! The one table from codes to HTTP and gRPC: every code of every room, its status and what to do about it.
//!
//! Each room lists its own codes; the kinds decide the status, and the few exceptions stand in
//! [`status`] and [`grpc_status`]. The golden list in `tests/golden/codes.txt` and the page `/docs/errors` come from here.

use axum::http::StatusCode;
use chain::catalogue::{CodeEntry, Kind};
use tonic::Code;

const fn entry(code: &'static str, kind: Kind, summary: &'static str, cure: &'static str) -> CodeEntry {
    CodeEntry { code, kind, summary, cure }
}

/// The codes of this crate: what only the door can find wrong.
pub const CODES: &[CodeEntry] = &[
    entry(
        "address.bodies-full",
        Kind::Limit,
        "As many bytes of bodies from the caller's address are under way as one address may have.",
        "Try again after the time in Retry-After; send large bodies one after the other.",
    ),
    entry(
        "attachment.both",
        Kind::Malformed,
        "The request gives both `personal` and a document that names an attachment of its own.",
        "Send `personal` and let the node build the attachment, or build it yourself and leave `personal` out.",
    ),
    entry(
        "attachment.forbidden",
        Kind::Forbidden,
        "The caller may see the invoice but not its personal data, or may not erase it.",
        "Ask the seller, the holder or the tax bureau.",
    ),
    entry(
        "attachment.malformed",
        Kind::Malformed,
        "An attachment is not what its description says, or keeps a limit not.",
        "Send the base64url of {\"salt\":…,\"personal\":{…}}; the description lists the fields and their lengths.",
    ),
    entry(
        "attachment.not-held",
        Kind::NotFound,
        "This node does not hold the attachment: there is none, it was erased, or another node took it in.",
        "Ask the node that accepted the invoice.",
    ),
    entry(
        "attachment.unexpected",
        Kind::Malformed,
        "No document of the statement signs the hash of this attachment.",
        "Send exactly the bytes whose SHA-256 stands in the document's `attachment`.",
    ),
    entry(
        "auth.key-inactive",
        Kind::Unauthenticated,
        "The login key was revoked.",
        "Sign the token with an active key.",
    ),
    entry(
        "auth.key-purpose",
        Kind::Unauthenticated,
        "The key that signed the token may not log in.",
        "Sign the token with a key whose purposes include `login`.",
    ),
    entry(
        "auth.malformed",
        Kind::Unauthenticated,
        "The Authorization header is not one bearer token.",
        "Send exactly one header `Authorization: Bearer <token>`.",
    ),
    entry(
        "auth.missing",
        Kind::Unauthenticated,
        "This needs a login.",
        "Send `Authorization: Bearer <token>`; `einvoice token` makes one.",
    ),
    entry(
        "auth.role-missing",
        Kind::Forbidden,
        "The organisation does not have the role that this needs.",
        "Ask an organisation that has it.",
    ),
    entry(
        "auth.token-used",
        Kind::Unauthenticated,
        "The token has been used for a write; each is good for one.",
        "Sign a new token with a `jti` of its own. Keep the Idempotency-Key when you retry.",
    ),
    entry(
        "auth.token-too-old",
        Kind::Unauthenticated,
        "The token is older than this node's start, and which older ones were used is forgotten.",
        "Sign a new token. Keep the Idempotency-Key when you retry.",
    ),
    entry(
        "auth.tokens-spent",
        Kind::Limit,
        "Too many tokens for writes are in use.",
        "Let tokens expire sooner, and wait until earlier ones have.",
    ),
    entry(
        "auth.unknown-key",
        Kind::Unauthenticated,
        "The ledger knows no such organisation or key.",
        "Check the token's `kid`; it is <organisation>/<key>.",
    ),
    entry(
        "block.unknown",
        Kind::NotFound,
        "No block of that height is decided on this node.",
        "See /v1/status for the height it has.",
    ),
    entry(
        "event.unknown",
        Kind::NotFound,
        "There is no such leaf, or none that the caller may see.",
        "Check the leaf index; log in as a party to the invoice.",
    ),
    entry(
        "events.beyond-tip",
        Kind::Unavailable,
        "The cursor names a position that this node has not come to yet.",
        "Try again in a moment, or ask the node that gave the cursor.",
    ),
    entry(
        "events.cursor",
        Kind::Malformed,
        "The cursor is not one that a stream of events gave out.",
        "Send the id of the last event exactly as it came, or leave it out to begin now.",
    ),
    entry(
        "events.lagging",
        Kind::Unavailable,
        "The client takes events more slowly than they happen and is too far behind.",
        "Go on from the id of the last event; filter more, or take events from the connection before working on them.",
    ),
    entry(
        "events.other-chain",
        Kind::Malformed,
        "The cursor belongs to another chain.",
        "Send a cursor of this chain, or leave it out to begin now.",
    ),
    entry(
        "events.subscriptions",
        Kind::Limit,
        "The organisation follows the ledger as often as it may at once.",
        "Close a stream that is no longer needed; one can carry events for many readers.",
    ),
    entry(
        "hosted.custody",
        Kind::Forbidden,
        "This node holds the key, and the ledger says that it is in other hands.",
        "Sign the statement yourself, or rotate to a key that is hosted by the agency of this node.",
    ),
    entry(
        "hosted.key-missing",
        Kind::Forbidden,
        "This node holds no statement key of the caller.",
        "Sign the statement yourself and send it to /v1/statements, or ask the node that holds your key.",
    ),
    entry(
        "idempotency.key-malformed",
        Kind::Malformed,
        "The Idempotency-Key is not 1 to 64 printable ASCII characters without spaces.",
        "A UUID will do.",
    ),
    entry(
        "idempotency.key-missing",
        Kind::Malformed,
        "A write needs an Idempotency-Key.",
        "Choose one for every new write, and repeat it when you retry.",
    ),
    entry(
        "internal.fault",
        Kind::Fault,
        "Internal error.",
        "Try again; if it stays, tell the operator the request id.",
    ),
    entry(
        "mempool.full",
        Kind::Unavailable,
        "More statements wait than the node takes in.",
        "Try again after the time in Retry-After; the same nonce is safe.",
    ),
    entry(
        "mempool.organisation-full",
        Kind::Limit,
        "As many statements of the organisation wait as one organisation may have.",
        "Try again after the time in Retry-After; send several events in one statement.",
    ),
    entry(
        "node.answers-full",
        Kind::Unavailable,
        "As many bytes of answers wait to be taken by their callers as the node allows at once.",
        "Try again after the time in RetryInfo. A write may be decided all the same: ask with GetStatement.",
    ),
    entry(
        "node.bodies-full",
        Kind::Unavailable,
        "As many bytes of bodies are under way as the node allows at once.",
        "Try again after the time in Retry-After. Bodies below 16 KiB are never refused for this.",
    ),
    entry(
        "node.busy",
        Kind::Unavailable,
        "As many requests of this costly kind are under way as the node allows at once.",
        "Try again after the time in Retry-After.",
    ),
    entry(
        "node.calls-full",
        Kind::Unavailable,
        "As many calls without a login, or streams of health or reflection, are under way as the node allows at once.",
        "Try again after the time in RetryInfo; end streams that are not needed.",
    ),
    entry(
        "node.catching-up",
        Kind::Unavailable,
        "The node has not come up to the tip of the chain.",
        "Try again after the time in Retry-After, or ask another node.",
    ),
    entry(
        "node.disk-full",
        Kind::Unavailable,
        "The node has no room left to write to; it still answers reads.",
        "Try again after the time in Retry-After: the node goes on by itself when there is room. The same Idempotency-Key or statement is safe.",
    ),
    entry(
        "node.stopping",
        Kind::Unavailable,
        "The node is stopping; what became of the statement is not known here.",
        "Send the same statement, or the same Idempotency-Key, again: it is decided at most once.",
    ),
    entry(
        "node.unready",
        Kind::Unavailable,
        "The node is alive but not ready for work: no block for long, stopping, or failed.",
        "Ask another node, and tell the operator.",
    ),
    entry(
        "node.webhooks-full",
        Kind::Unavailable,
        "As many endpoints are registered at this node as it serves.",
        "Register at another node, or ask the operator.",
    ),
    entry(
        "numbers.unknown",
        Kind::NotFound,
        "No number of that code was given, or none in a segment of the caller's.",
        "List the codes with GET /v1/numbers. The numbers of all are for auditors and the tax bureau.",
    ),
    entry(
        "organisation.answers-full",
        Kind::Limit,
        "As many bytes of answers to the organisation wait to be taken as one may have.",
        "Take the answers that are there, and ask for smaller pages. A write may be decided all the same: ask with GetStatement.",
    ),
    entry(
        "organisation.calls-full",
        Kind::Limit,
        "As many calls of the organisation, or of an address that has not shown who it is, are under way as one may have.",
        "Try again after the time in RetryInfo; wait for answers before you send more.",
    ),
    entry(
        "organisation.rate",
        Kind::Limit,
        "The organisation, or an address that has not shown who it is, makes more calls in a second than one may.",
        "Try again after the time in RetryInfo; ask about many invoices in one call.",
    ),
    entry(
        "request.cursor",
        Kind::Malformed,
        "The cursor is not one that this list handed out.",
        "Start without a cursor; keep the filters while you page.",
    ),
    entry(
        "request.deadline",
        Kind::Unavailable,
        "The caller's deadline passed before the answer was complete.",
        "Give the call more time. The detail `Undecided` says whether a statement may still be decided; the same statement or idempotency key is safe.",
    ),
    entry(
        "request.encoding",
        Kind::Malformed,
        "The body has an encoding that is not accepted.",
        "Over REST send the body as it is, without Content-Encoding. Over gRPC use gzip or nothing, and nothing for a write whose token covers it.",
    ),
    entry(
        "request.header",
        Kind::Malformed,
        "A header is not what it must be, or stands more than once.",
        "See what was expected and found.",
    ),
    entry("request.incomplete", Kind::Malformed, "The body ended early.", "Send as many bytes as announced."),
    entry(
        "request.json",
        Kind::Malformed,
        "The body is not JSON, or is JSON that two parsers could read differently, or has fields that are not described.",
        "Send UTF-8 without duplicate keys, fractions or lone surrogates; decimal numbers are strings. See the path.",
    ),
    entry(
        "request.malformed",
        Kind::Malformed,
        "The request cannot be read.",
        "Compare it with the description at /docs.",
    ),
    entry(
        "request.media-type",
        Kind::Malformed,
        "The body has a media type that is not accepted here.",
        "Send application/json; statements also as application/jose.",
    ),
    entry("request.method", Kind::Malformed, "The path is known, the method is not.", "See the Allow header."),
    entry(
        "request.overdue",
        Kind::Unavailable,
        "The answer took longer than the node allows itself.",
        "Try again; the same Idempotency-Key or statement is safe.",
    ),
    entry("request.path", Kind::NotFound, "There is no such path.", "See /docs."),
    entry(
        "request.query",
        Kind::Malformed,
        "A query parameter is unknown, stands twice, or has a value that it cannot have.",
        "See the path, and the description at /docs.",
    ),
    entry(
        "request.timeout",
        Kind::Malformed,
        "The body came too slowly.",
        "Send it again, faster or in smaller parts.",
    ),
    entry(
        "request.too-large",
        Kind::Malformed,
        "The body is larger than the limit.",
        "Keep within the limit that GET /v1/limits states; split statements.",
    ),
    entry(
        "statement.other-call",
        Kind::Malformed,
        "The statement does not say what this call is for.",
        "Send one event of the call's kind, or locks with mode `all` to BatchLock, closes to BatchClose; Submit takes every statement.",
    ),
    entry(
        "statement.quarantined",
        Kind::Fault,
        "Executing the statement failed on this node; it was set aside.",
        "Tell the operator the request id.",
    ),
    entry(
        "statement.repeated",
        Kind::Conflict,
        "The same payload was decided under the same nonce, in another statement; this one left the mempool.",
        "Ask for the first statement: what became of it stands for both.",
    ),
    entry(
        "statement.unknown",
        Kind::NotFound,
        "No statement of that id is decided or waiting on this node.",
        "Check the id; what was rejected at the door is not kept.",
    ),
    entry(
        "verification.mismatches",
        Kind::Limit,
        "The invoice has been asked for with wrong details too often today.",
        "Check with the full leaf hash from the QR code or receipt, or come back tomorrow.",
    ),
    entry(
        "verification.organisation-mismatches",
        Kind::Limit,
        "The organisation has asked for invoices with wrong details too often today.",
        "Check with the full leaf hash from the QR code or receipt, or come back tomorrow.",
    ),
    entry(
        "verification.rate",
        Kind::Limit,
        "Too many public checks from this address.",
        "Try again after the time in Retry-After.",
    ),
    entry(
        "webhook.dead-letter-unknown",
        Kind::NotFound,
        "The endpoint has no such dead letter.",
        "List them; one that was taken is kept no longer.",
    ),
    entry(
        "webhook.exists",
        Kind::Conflict,
        "The organisation has an endpoint just like this one.",
        "Use the one that there is; the answer names it. Its secret can be rotated.",
    ),
    entry(
        "webhook.organisation-full",
        Kind::Limit,
        "The organisation has as many endpoints as it may have.",
        "Remove one, or filter less: one endpoint can take all events.",
    ),
    entry(
        "webhook.stopped-by-operator",
        Kind::Forbidden,
        "Who runs the node has disabled the endpoint.",
        "Ask the operator of the node.",
    ),
    entry("webhook.testing", Kind::Limit, "A test of the organisation is under way.", "Wait for its answer."),
    entry(
        "webhook.unknown",
        Kind::NotFound,
        "There is no such endpoint at this node, or it is none of the caller's.",
        "List the endpoints of the caller; each is registered at one node.",
    ),
    entry(
        "webhook.url",
        Kind::Malformed,
        "The URL is none that this node posts to.",
        "Give an https URL whose host anybody may reach; networks of its own an operator opens in the node's configuration.",
    ),
];

/// Every code of every room, sorted, each once.
pub fn entries() -> Vec<&'static CodeEntry> {
    let rooms = [chain::catalogue::CODES, ledger::admission::CODES, ledger::refusal::CODES, CODES];
    let mut entries: Vec<_> = rooms.into_iter().flatten().collect();
    entries.sort_by_key(|entry| entry.code);
    entries
}

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static CodeEntry> {
    let rooms = [CODES, ledger::refusal::CODES, ledger::admission::CODES, chain::catalogue::CODES];
    rooms.into_iter().flatten().find(|entry| entry.code == code)
}

/// The HTTP status of a code: by its kind, with few exceptions.
pub fn status(code: &str, kind: Kind) -> StatusCode {
    match code {
        "request.timeout" => StatusCode::REQUEST_TIMEOUT,
        "request.method" => StatusCode::METHOD_NOT_ALLOWED,
        "request.media-type" | "request.encoding" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.too-large" | "statement.too-large" | "statement.too-much-work" => StatusCode::PAYLOAD_TOO_LARGE,
        // Waiting does not help: these limits are not of the caller's making.
        "issue.numbers-exhausted" | "filing.sum-overflow" => StatusCode::CONFLICT,
        _ => match kind {
            Kind::Malformed => StatusCode::BAD_REQUEST,
            Kind::Violation => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict | Kind::Lifecycle => StatusCode::CONFLICT,
            Kind::Limit => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

/// The gRPC status of a code: by its kind, with few exceptions.
pub fn grpc_status(code: &str, kind: Kind) -> Code {
    match code {
        "request.path" | "request.method" | "request.encoding" => Code::Unimplemented,
        "request.deadline" | "request.timeout" => Code::DeadlineExceeded,
        // There is something only so much of, and it is in use.
        "mempool.full" | "node.answers-full" | "node.bodies-full" | "node.busy" | "node.calls-full"
        | "node.disk-full" | "node.webhooks-full" => Code::ResourceExhausted,
        // What must never be called again unchanged is not what clients try again by themselves.
        "request.too-large" | "statement.too-large" | "statement.too-much-work" => Code::InvalidArgument,
        "issue.numbers-exhausted" | "filing.sum-overflow" => Code::FailedPrecondition,
        _ => match kind {
            Kind::Malformed | Kind::Violation => Code::InvalidArgument,
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::Forbidden => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::Conflict => Code::AlreadyExists,
            Kind::Lifecycle => Code::FailedPrecondition,
            Kind::Limit => Code::ResourceExhausted,
            Kind::Unavailable => Code::Unavailable,
            Kind::Fault => Code::Internal,
        },
    }
}

/// The name of a gRPC status, as its documentation spells it.
pub fn grpc_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
