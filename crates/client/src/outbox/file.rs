//! The file of a statement in an outbox.
//!
//! ```text
//! einvoice-outbox 1 SHA256      of everything behind this line
//! CODE                          under which it was set aside, or -
//! JWS                           the statement
//! BASE64URL                     an attachment; none or more lines
//! ```

use std::error::Error as _;

use chain::encoding::{decode_base64url, encode_base64url};
use chain::hash::Hash;

use crate::statement::Signed;

/// Bytes of a file at most: a statement and its attachments are larger in no request that a node takes.
pub(super) const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What a file begins with.
const MAGIC: &str = "einvoice-outbox 1 ";
/// What stands in the place of a code while there is none.
const WAITS: &str = "-";

/// What was expected, and what was found.
type Damage = (&'static str, String);

/// The file of a statement, which was set aside under a code, or waits.
pub(super) fn write(signed: &Signed, code: Option<&str>) -> Vec<u8> {
    let attachments = signed.attachments.iter().map(|bytes| format!("{}\n", encode_base64url(bytes)));
    let body = format!("{}\n{}\n{}", code.unwrap_or(WAITS), signed.as_str(), attachments.collect::<String>());
    format!("{MAGIC}{}\n{body}", Hash::of(body.as_bytes())).into_bytes()
}

/// The statement of a file, byte for byte as it was put, and the code under which it was set aside.
pub(super) fn read(content: &[u8]) -> Result<(Signed, Option<String>), Damage> {
    let text = std::str::from_utf8(content).map_err(|error| ("text", error.to_string()))?;
    let (head, body) = text.split_once('\n').ok_or(("a first line", format!("{} bytes", content.len())))?;
    let sum = head.strip_prefix(MAGIC).ok_or(("einvoice-outbox 1", head.chars().take(80).collect::<String>()))?;
    let found = Hash::of(body.as_bytes()).to_string();
    if sum != found {
        return Err(("the bytes that were written, by their SHA-256", format!("others, with {found}")));
    }
    let mut lines = body.lines();
    let code = lines.next().ok_or(("a code", "nothing".to_owned()))?;
    let statement = lines.next().ok_or(("a statement", "nothing".to_owned()))?;
    let reason = |error: crate::Error| error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let signed = Signed::parse(statement).map_err(|error| ("a statement", reason(error)))?;
    let attachments: Result<Vec<_>, _> = lines.map(decode_base64url).collect();
    let attachments = attachments.map_err(|error| ("an attachment in base64url", error.to_string()))?;
    Ok((signed.with_attachments(attachments), (code != WAITS).then(|| code.to_owned())))
}
