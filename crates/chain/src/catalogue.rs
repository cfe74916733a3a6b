//! The stable codes by which callers learn what is wrong, and what they can do about it.
//!
//! Each crate lists its own; facades map the kinds to their protocols by one table. A code never
//! changes its meaning and is never used again.

/// What kind of failure a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The request cannot be read.
    Malformed,
    /// The request can be read, but its document breaks rules.
    Violation,
    /// Nobody is identified.
    Unauthenticated,
    /// Somebody is identified, but may not do this.
    Forbidden,
    /// There is no such thing, or none that the caller may see.
    NotFound,
    /// The id is taken by something with other content.
    Conflict,
    /// The thing's present status does not allow this.
    Lifecycle,
    /// A limit or budget is exhausted.
    Limit,
    /// Not now; later.
    Unavailable,
    /// Our own failure.
    Fault,
}

impl Kind {
    /// The rule behind every code of the kind, in one sentence.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Malformed => "A request is written as its description says.",
            Self::Violation => "A document keeps the rules of documents.",
            Self::Unauthenticated => "Whoever asks says who it is, with a key that the ledger knows.",
            Self::Forbidden => "Everybody does only what its roles, mandates and standing allow.",
            Self::NotFound => "What is asked for exists, and the caller may see it.",
            Self::Conflict => "An id stands for one content, for ever.",
            Self::Lifecycle => "The status of a thing allows what is done to it.",
            Self::Limit => "Everything that one caller may take has a limit.",
            Self::Unavailable => "A node answers when it can do so truthfully.",
            Self::Fault => "A node that is at fault stops rather than answers.",
        }
    }
}

/// One code of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeEntry {
    /// The code: `area.situation`, lowercase.
    pub code: &'static str,
    /// What kind of failure it is.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub summary: &'static str,
    /// What the caller can do about it, in one sentence.
    pub cure: &'static str,
}

const fn entry(code: &'static str, kind: Kind, summary: &'static str, cure: &'static str) -> CodeEntry {
    CodeEntry { code, kind, summary, cure }
}

/// The codes of this crate, sorted.
pub const CODES: &[CodeEntry] = &[
    entry(
        "login.audience",
        Kind::Unauthenticated,
        "The login token is meant for another node.",
        "Sign a token whose aud is the id of this node.",
    ),
    entry(
        "login.body-mismatch",
        Kind::Unauthenticated,
        "The login token does not cover this request body.",
        "Sign a token with jti, request and body_sha256, over exactly the bytes that are sent.",
    ),
    entry("login.expired", Kind::Unauthenticated, "The login token has expired.", "Sign a new token."),
    entry(
        "login.lifetime",
        Kind::Unauthenticated,
        "The login token lives longer than an hour, or ends before it begins.",
        "Sign a token whose exp is after iat by at most 3,600 seconds.",
    ),
    entry(
        "login.malformed",
        Kind::Unauthenticated,
        "The login token cannot be read.",
        "Send a compact JWS with exactly the header fields and claims that are documented.",
    ),
    entry(
        "login.not-yet-valid",
        Kind::Unauthenticated,
        "The login token was issued in the future.",
        "Set the clock; an iat up to 60 seconds ahead is accepted.",
    ),
    entry(
        "login.request-mismatch",
        Kind::Unauthenticated,
        "The login token covers another request: method and path.",
        "Sign a token whose request is exactly the method and path that are asked, as in `POST /v1/invoices`.",
    ),
    entry(
        "login.signature",
        Kind::Unauthenticated,
        "The signature of the login token does not verify under the key it names.",
        "Sign with the login key that kid names.",
    ),
    entry("login.type", Kind::Unauthenticated, "The token is not a login token.", "Set typ to einvoice-login+jwt."),
    entry(
        "statement.algorithm",
        Kind::Malformed,
        "The header names a signature algorithm that is not accepted.",
        "Sign with Ed25519 and set alg to EdDSA or Ed25519.",
    ),
    entry(
        "statement.chain-id",
        Kind::Malformed,
        "The header's chain is not a chain id.",
        "Copy the chain id of the node: <name>@<64 hexadecimal digits>.",
    ),
    entry(
        "statement.event-too-large",
        Kind::Malformed,
        "An event is larger than the limit.",
        "Keep each event within the limit that GET /v1/limits states.",
    ),
    entry(
        "statement.events",
        Kind::Malformed,
        "The statement has no events, too many, or one that is no JSON object.",
        "Send 1 to 1,000 events, each a JSON object.",
    ),
    entry(
        "statement.expiry",
        Kind::Malformed,
        "The header's exp is no time.",
        "Set exp to seconds since 1970 in UTC, a whole number that is not negative.",
    ),
    entry(
        "statement.header",
        Kind::Malformed,
        "The protected header is not strict JSON with exactly the fields alg, typ, kid, chain, nonce and exp.",
        "Send each of these fields once and no other; crit and b64 are not accepted.",
    ),
    entry(
        "statement.json",
        Kind::Malformed,
        "The payload is not JSON, or is JSON that two parsers could read differently.",
        "Send UTF-8 without duplicate keys, fractions, lone surrogates or deep nesting; decimal numbers are strings.",
    ),
    entry(
        "statement.key-id",
        Kind::Malformed,
        "The header's kid is not <organisation id>/<key id>.",
        "Name the organisation and its key, both as they stand on the ledger.",
    ),
    entry(
        "statement.malformed",
        Kind::Malformed,
        "The statement is not a compact JWS in its canonical spelling.",
        "Send three base64url segments without padding, with dots between them and nothing around them.",
    ),
    entry(
        "statement.mode",
        Kind::Malformed,
        "The payload's mode is neither all nor each.",
        "Set mode to all (everything or nothing) or to each (every event for itself).",
    ),
    entry(
        "statement.nonce",
        Kind::Malformed,
        "The header's nonce is empty, too long, or has a space or a character that is not printable ASCII.",
        "Use 1 to 64 printable ASCII characters without spaces; a UUID will do.",
    ),
    entry(
        "statement.payload",
        Kind::Malformed,
        "The payload is not an object with exactly the members mode and events.",
        "Send {\"mode\": \"all\" or \"each\", \"events\": [...]}.",
    ),
    entry(
        "statement.signature",
        Kind::Unauthenticated,
        "The signature does not verify under the key that the header names.",
        "Sign the exact bytes <header>.<payload> with the key that kid names.",
    ),
    entry(
        "statement.too-large",
        Kind::Malformed,
        "The statement is larger than the limit.",
        "Split the events over several statements.",
    ),
    entry(
        "statement.type",
        Kind::Malformed,
        "The header's typ is not that of a statement.",
        "Set typ to einvoice-statement+jws.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_unique_and_well_formed() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{}", pair[1].code);
        }
        for entry in CODES {
            let (area, situation) = entry.code.split_once('.').unwrap();
            assert!(["statement", "login"].contains(&area), "{}", entry.code);
            assert!(!situation.is_empty());
            assert!(entry.code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-' | b'.')));
            assert!(entry.summary.ends_with('.') && entry.cure.ends_with('.'));
        }
    }
}
