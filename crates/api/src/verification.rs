//! The public check: what somebody says about an invoice, held against the ledger. It tells a match from everything else,
//! and no more.

use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::date::Date;
use invoice::lifecycle::{Reimbursement, Validity};
use invoice::{Amount, InvoiceId};
use ledger::record::InvoiceRecord;
use replica::port::Store;
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;

use crate::outcomes::check_code;
use crate::problem::Problem;
use crate::quota::Spent;
use crate::service::Service;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// UTC+8.
const OFFSET_MS: i64 = 8 * 60 * 60 * 1_000;

/// Longest text of a QR code, bytes.
pub(crate) const QR_BYTES_MAX: usize = 1_024;

/// What stands on an invoice. Either its QR code's text, or its details.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerificationRequest {
    /// The text of the QR code: ours, a `…?hash=…&code=…&bill_num=…&total_amount=…` address, or the older
    /// comma-separated form. Alone.
    #[serde(default)]
    pub(crate) qr: Option<String>,
    /// The code, 12 digits; the digital profiles have none.
    #[serde(default)]
    #[schema(example = "144032609110")]
    pub(crate) code: Option<String>,
    /// The number: 8 digits, or 20.
    #[serde(default)]
    #[schema(example = "00000001")]
    pub(crate) number: Option<String>,
    /// The day of issue, `YYYY-MM-DD` or `YYYYMMDD`. Not needed with `leaf_hash`.
    #[serde(default)]
    pub(crate) date: Option<String>,
    /// The gross total in yuan.
    #[serde(default)]
    #[schema(example = "4299.00")]
    pub(crate) amount: Option<String>,
    /// The check code, five characters.
    #[serde(default)]
    pub(crate) check_code: Option<String>,
    /// The full leaf hash, from receipt or QR code. With it, wrong guesses are not counted.
    #[serde(default)]
    pub(crate) leaf_hash: Option<String>,
}

/// What somebody says about an invoice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    id: InvoiceId,
    total: Total,
    date: Option<Date>,
    check_code: Option<String>,
    leaf_hash: Option<Hash>,
}

/// A stated total: the older QR codes carry the net one.
#[derive(Debug, PartialEq, Eq)]
enum Total {
    Net(Amount),
    Gross(Amount),
}

/// The present status of an invoice of which everything that was said is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) validity: Validity,
    pub(crate) reimbursement: Reimbursement,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// `None` for a mismatch.
    pub(crate) verified: Option<Verified>,
    /// The last block that is surely part of the answer. A node that is behind takes an invoice of today for a mismatch;
    /// this tells whoever holds it to ask again, or another node.
    pub(crate) height: u64,
    /// The time of that block, ms UTC.
    pub(crate) time_ms: i64,
}

impl<S: Store> Service<S> {
    /// Checks what is said about an invoice, by an organisation if it has logged in. Wrong guesses are counted, unless
    /// the full leaf hash is among what is said.
    pub(crate) fn verified(&self, claimed: &Claimed, by: Option<&OrganisationId>) -> Result<Checked, Problem> {
        let local_ms = self.now_ms().saturating_add(OFFSET_MS);
        let (day, id) = (local_ms.div_euclid(DAY_MS), claimed.id.to_string());
        let counted = claimed.leaf_hash.is_none();
        if counted && let Err(spent) = self.quotas.reserve(&id, by, day) {
            let rest_s = u64::try_from((DAY_MS - local_ms.rem_euclid(DAY_MS)) / 1_000).unwrap_or(0);
            let code = match spent {
                Spent::Invoice => "verification.mismatches",
                Spent::Organisation => "verification.organisation-mismatches",
            };
            return Err(Problem::new(code).retry_after(rest_s.saturating_add(1)));
        }
        // Before the invoice is looked for, so that the answer is never older than it says.
        let tip = self.query().tip();
        let fits = self.query().invoice(&claimed.id).map(|record| record.filter(|record| claimed.fits(record)));
        if counted && !matches!(fits, Ok(None)) {
            self.quotas.give_back(&id, by, day);
        }
        let verified = |record: InvoiceRecord| Verified {
            validity: record.validity,
            reimbursement: record.claim.at(self.now_ms()),
        };
        let (height, time_ms) = (tip.progress.height, tip.progress.time_ms);
        Ok(Checked { verified: fits?.map(verified), height, time_ms })
    }
}

impl Claimed {
    /// Whether everything that is claimed is so. Looks at all of it, whatever comes out on the way.
    fn fits(&self, record: &InvoiceRecord) -> bool {
        let same = |fits: bool| Choice::from(u8::from(fits));
        let total = match &self.total {
            Total::Net(net) => record.totals.net == *net,
            Total::Gross(gross) => record.totals.gross == *gross,
        };
        let issued = Date::from_unix_ms(record.issued_ms).ok();
        let date = self.date.is_none_or(|date| issued == Some(date));
        let check = match (&self.check_code, check_code(&self.id, &record.issue.hash)) {
            (None, _) => Choice::from(1),
            (Some(claimed), Some(own)) => claimed.as_bytes().ct_eq(own.as_bytes()),
            (Some(_), None) => Choice::from(0),
        };
        let leaf = match &self.leaf_hash {
            Some(hash) => hash.as_bytes().ct_eq(record.issue.hash.as_bytes()),
            None => Choice::from(1),
        };
        (same(total) & same(date) & check & leaf).into()
    }
}

impl VerificationRequest {
    /// What is said, read.
    pub(crate) fn claimed(self) -> Result<Claimed, Problem> {
        let Some(qr) = self.qr else { return self.details() };
        let alone = self.code.is_none()
            && self.number.is_none()
            && self.date.is_none()
            && self.amount.is_none()
            && self.check_code.is_none()
            && self.leaf_hash.is_none();
        if !alone {
            return Err(wrong("/qr", "a QR code's text alone, or details"));
        }
        from_qr(&qr).ok_or_else(|| wrong("/qr", "the text of an invoice's QR code, with its hash and code"))
    }

    fn details(self) -> Result<Claimed, Problem> {
        let number = self.number.as_deref().ok_or_else(|| wrong("/number", "8 digits with a code, or 20"))?;
        let id = id(self.code.as_deref(), number).ok_or_else(|| wrong("/number", "8 digits with a code, or 20"))?;
        let amount = self.amount.as_deref().and_then(|text| text.parse().ok());
        let total =
            Total::Gross(amount.ok_or_else(|| wrong("/amount", "the gross total in yuan, such as \"4299.00\""))?);
        let leaf_hash = match self.leaf_hash.as_deref().map(hash) {
            Some(None) => return Err(wrong("/leaf_hash", "64 hexadecimal digits")),
            Some(known) => known,
            None => None,
        };
        let date = match self.date.as_deref().map(date) {
            Some(None) => return Err(wrong("/date", "a day, YYYY-MM-DD")),
            None if leaf_hash.is_none() => return Err(wrong("/date", "a day, YYYY-MM-DD")),
            Some(known) => known,
            None => None,
        };
        let check_code = match self.check_code {
            Some(text) if text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(text.to_ascii_lowercase())
            }
            Some(_) => return Err(wrong("/check_code", "five hexadecimal digits")),
            None => None,
        };
        Ok(Claimed { id, total, date, check_code, leaf_hash })
    }
}

fn wrong(path: &str, expected: &str) -> Problem {
    Problem::new("request.malformed").at(path, expected, "something else")
}

fn id(code: Option<&str>, number: &str) -> Option<InvoiceId> {
    match code {
        Some(code) => format!("{code}-{number}").parse().ok(),
        None if number.len() == 20 => number.parse().ok(),
        None => None,
    }
}

fn date(text: &str) -> Option<Date> {
    if text.len() == 8 && text.is_ascii() {
        return format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]).parse().ok();
    }
    text.parse().ok()
}

/// A hash as hex, also with the `0x` that older QR codes put in front.
fn hash(text: &str) -> Option<Hash> {
    text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase().parse().ok()
}

/// Reads the text of a QR code (`domain.md` §1.6).
fn from_qr(text: &str) -> Option<Claimed> {
    let text = text.trim();
    if text.len() > QR_BYTES_MAX {
        return None;
    }
    if let Some((_, query)) = text.split_once('?') {
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let fen: i64 = value("total_amount")?.parse().ok()?;
        return Some(Claimed {
            id: id(value("code"), value("bill_num")?)?,
            total: Total::Gross(Amount::from_fen(fen)),
            date: None,
            check_code: None,
            leaf_hash: Some(hash(value("hash")?)?),
        });
    }
    let fields: Vec<&str> = text.split(',').collect();
    let ["01", "10", code, number, _seller, net, day, leaf] = fields[..] else {
        return None;
    };
    Some(Claimed {
        id: id(Some(code), number)?,
        total: Total::Net(net.parse().ok()?),
        date: Some(date(day)?),
        check_code: None,
        leaf_hash: Some(hash(leaf)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_qr_codes_are_read() {
        let hash = "ab".repeat(32);
        let url = format!(
            "https://example.test/verify/scan?hash=0x{hash}&code=144032609110&bill_num=00000001&total_amount=429900"
        );
        let claimed = from_qr(&url).unwrap();
        assert_eq!(claimed.id.to_string(), "144032609110-00000001");
        assert_eq!(claimed.total, Total::Gross(Amount::from_fen(429_900)));
        assert_eq!(claimed.leaf_hash.unwrap().to_string(), hash);
        let old = format!("01,10,144032609110,00000001,91440300708461136T,3804.42,20260131,{hash}");
        let claimed = from_qr(&old).unwrap();
        assert_eq!(claimed.total, Total::Net(Amount::from_fen(380_442)));
        assert_eq!(claimed.date, "2026-01-31".parse().ok());
    }

    #[test]
    fn other_texts_are_no_qr_codes() {
        for text in [
            "",
            "?",
            "?hash=ab",
            "01,10,a,b",
            "年年年年年年年年",
            &"x".repeat(2_000),
            "?bill_num=1&total_amount=1&hash=1",
        ] {
            assert_eq!(from_qr(text), None, "{text}");
        }
        assert_eq!(date("年年x2"), None);
    }
}
