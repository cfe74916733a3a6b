//! What a buyer verifies an offline certificate with: the record of its segment's grant, which a receipt proves.

use chain::identity::{ChainId, KeyId, OrganisationId};
use invoice::date::Date;
use invoice::document::Document;
use invoice::id::InvoiceId;
use invoice::rules::Rules;
use invoice::violation::Violation;

use super::{HOUR_MS, OfflineCertificate};
use crate::organisation::AdmittedKey;
use crate::outcome::Record;

/// By how much the clocks of an issuer and of who verifies may differ, ms.
const AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;

/// A segment as it was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its first number.
    pub first: InvoiceId,
    last: InvoiceId,
    holder: OrganisationId,
    key: KeyId,
    public: AdmittedKey,
    from_ms: i64,
    until_ms: i64,
    deadline_hours: u16,
}

/// Why an offline certificate does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It is for another chain.
    #[error("the certificate is for the chain {found}, not for {expected}")]
    Chain {
        /// The chain of the genesis.
        expected: ChainId,
        /// The one it names.
        found: ChainId,
    },
    /// It names another signer than the segment was granted for.
    #[error("the certificate is signed by {found}; the segment was granted for {expected}")]
    Signer {
        /// Holder and key of the segment.
        expected: String,
        /// What it names.
        found: String,
    },
    /// The signature is not that key's.
    #[error("the certificate's signature does not hold")]
    Signature,
    /// It was signed for another document, or for a number that its profile does not have.
    #[error("the certificate is not one of this document")]
    Document,
    /// The document breaks a rule of the day that it says to be issued on.
    #[error("the document is no invoice: {path}: expected {expected}, found {found}")]
    Rules {
        /// Where in the document.
        path: String,
        /// What the rule asks.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// It says to be issued at a time that is still to come.
    #[error("issued at {found}, and now it is {now}, in ms UTC")]
    Ahead {
        /// The reader's clock.
        now: i64,
        /// The certificate's time.
        found: i64,
    },
    /// The number is none of the segment's.
    #[error("{found} is none of the numbers {first} to {last}")]
    Number {
        /// The segment's first.
        first: InvoiceId,
        /// Its last.
        last: InvoiceId,
        /// The certificate's.
        found: InvoiceId,
    },
    /// It says to be issued before the segment was granted, or after its end.
    #[error("issued at {found} ms, which is not from {from} to {until} ms")]
    Time {
        /// Since when it may, ms UTC.
        from: i64,
        /// Until when it may, ms UTC.
        until: i64,
        /// When it says, ms UTC.
        found: i64,
    },
    /// It names another deadline than the segment has.
    #[error("the certificate's deadline is {found} ms, not {expected} ms")]
    Deadline {
        /// The segment's, ms UTC.
        expected: i64,
        /// The certificate's, ms UTC.
        found: i64,
    },
}

impl Granted {
    /// What the record of a grant says; `None` for any other record.
    pub fn of(record: &Record) -> Option<Self> {
        let Record::SegmentGranted { first, last, holder, key, public, granted_ms, valid_until_ms, deadline_hours } =
            record
        else {
            return None;
        };
        Some(Self {
            first: *first,
            last: *last,
            holder: holder.clone(),
            key: key.clone(),
            public: *public,
            from_ms: *granted_ms,
            until_ms: *valid_until_ms,
            deadline_hours: *deadline_hours,
        })
    }

    /// Since when its holder may issue offline, ms UTC.
    pub const fn since_ms(&self) -> i64 {
        self.from_ms
    }

    /// Until when an invoice issued offline at a time is to be submitted, ms UTC.
    pub fn submit_by_ms(&self, issued_ms: i64) -> i64 {
        issued_ms.saturating_add(i64::from(self.deadline_hours) * HOUR_MS)
    }

    /// Verifies a certificate of a document at a time, by the rules of the genesis. Whether the holder may issue for the
    /// seller, whether the number has another invoice, whether the key was revoked since and whether the invoice came onto
    /// the ledger, only a node can say.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(
        &self,
        chain: &ChainId,
        rules: &Rules,
        document: &Document,
        certificate: &OfflineCertificate,
        now_ms: i64,
    ) -> Result<(), CertificateFault> {
        let (signed, claims) = (certificate.signed(), certificate.claims());
        if signed.chain() != chain {
            return Err(CertificateFault::Chain { expected: chain.clone(), found: signed.chain().clone() });
        }
        if (&signed.key().organisation, &signed.key().key) != (&self.holder, &self.key) {
            let expected = format!("{}/{}", self.holder, self.key);
            return Err(CertificateFault::Signer { expected, found: signed.key().to_string() });
        }
        let key = self.public.point().map_err(|_| CertificateFault::Signature)?;
        if !signed.verify(&key) {
            return Err(CertificateFault::Signature);
        }
        if !claims.are_of(document) {
            return Err(CertificateFault::Document);
        }
        let (first, last) = (self.first, self.last);
        let numbers = first.number_in_code()..=last.number_in_code();
        let inside = claims.invoice.code() == first.code() && numbers.contains(&claims.invoice.number_in_code());
        if claims.segment != first || !inside {
            return Err(CertificateFault::Number { first, last, found: claims.invoice });
        }
        let (from, until, found) = (self.from_ms, self.until_ms, claims.issued_ms);
        if !(from..=until).contains(&found) {
            return Err(CertificateFault::Time { from, until, found });
        }
        if found > now_ms.saturating_add(AHEAD_MS_MAX) {
            return Err(CertificateFault::Ahead { now: now_ms, found });
        }
        // A time within a segment's term is a day of the calendar.
        let day = Date::from_unix_ms(found).map_err(|_| CertificateFault::Time { from, until, found })?;
        if let Some(Violation { path, expected, actual, .. }) =
            document.validate(rules, day).violations.into_iter().next()
        {
            return Err(CertificateFault::Rules { path, expected, found: actual });
        }
        let expected = self.submit_by_ms(found);
        if claims.submit_by_ms != expected {
            return Err(CertificateFault::Deadline { expected, found: claims.submit_by_ms });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_buyer_verifies_what_was_signed_offline_and_finds_what_does_not_hold() {
        let mut ledger = Ledger::new();
        let outcome = ledger.event(BUREAU, segment_grant(PROVIDER));
        let granted = Granted::of(&record(&outcome)).unwrap();
        let chain = ledger.chain.clone();
        let document = document_of(&issue("a"));
        let check = |holder: &str, of: &Document, change: &dyn Fn(&mut super::super::OfflineClaims)| {
            let mut claims = claims(&document, 1, NOON + 1);
            change(&mut claims);
            let key = format!("{holder}/s1").parse().unwrap();
            let certificate = OfflineCertificate::sign(key, chain.clone(), claims, &secret(holder, "statement"));
            granted.verify(&chain, &Rules::default(), of, &certificate, NOON + HOUR_MS)
        };
        assert_eq!(check(PROVIDER, &document, &|_| {}), Ok(()));
        let tomorrow = check(PROVIDER, &document, &|claims| {
            claims.issued_ms += DAY;
            claims.submit_by_ms += DAY;
        });
        assert!(matches!(tomorrow, Err(CertificateFault::Ahead { .. })), "{tomorrow:?}");
        assert!(matches!(check(SELLER, &document, &|_| {}), Err(CertificateFault::Signer { .. })));
        let other = document_of(&issue("b"));
        assert_eq!(check(PROVIDER, &other, &|_| {}), Err(CertificateFault::Document));
        let number = segment_number(4).parse().unwrap();
        assert!(matches!(check(PROVIDER, &document, &|it| it.invoice = number), Err(CertificateFault::Number { .. })));
        assert!(matches!(check(PROVIDER, &document, &|it| it.segment = number), Err(CertificateFault::Number { .. })));
        for wrong in [NOON - 1, NOON + 10 * DAY + 1] {
            let late = check(PROVIDER, &document, &|it| it.issued_ms = wrong);
            assert!(matches!(late, Err(CertificateFault::Time { .. })), "{late:?}");
        }
        let deadline = check(PROVIDER, &document, &|it| it.submit_by_ms += 1);
        assert!(matches!(deadline, Err(CertificateFault::Deadline { .. })));
        // Signed with another key in the name of the right one, and for another chain.
        let (key, claims) = ("isp/s1".parse().unwrap(), claims(&document, 1, NOON + 1));
        let forged = OfflineCertificate::sign(key, chain.clone(), claims, &secret(SELLER, "statement"));
        assert_eq!(
            granted.verify(&chain, &Rules::default(), &document, &forged, NOON + HOUR_MS),
            Err(CertificateFault::Signature)
        );
        let elsewhere = format!("other@{}", "ab".repeat(32)).parse().unwrap();
        let fault = granted.verify(&elsewhere, &Rules::default(), &document, &forged, NOON + HOUR_MS);
        assert!(matches!(fault, Err(CertificateFault::Chain { .. })));
        assert_eq!(Granted::of(&record(&ledger.event(SELLER, issue("c")))), None);
    }
    #[test]
    fn what_is_no_invoice_is_not_verified_whoever_signed_it() {
        let mut ledger = Ledger::new();
        let outcome = ledger.event(BUREAU, segment_grant(PROVIDER));
        let granted = Granted::of(&record(&outcome)).unwrap();
        let document = document_of(&issue("a").replace("\"113.00\"", "\"9113.00\""));
        let claims = claims(&document, 1, NOON + 1);
        let key = format!("{PROVIDER}/s1").parse().unwrap();
        let signer = secret(PROVIDER, "statement");
        let certificate = OfflineCertificate::sign(key, ledger.chain.clone(), claims, &signer);
        let fault = granted.verify(&ledger.chain, &Rules::default(), &document, &certificate, NOON + 1);
        let Err(CertificateFault::Rules { path, found, .. }) = fault else { panic!("{fault:?}") };
        assert_eq!((path.as_str(), found.as_str()), ("/totals/gross", "9113.00"));
    }
}
