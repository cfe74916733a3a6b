//! Refusals: what state says no to. Each is an outcome on the ledger, with its reason.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::catalogue::{CodeEntry, Kind};
use chain::identity::OrganisationId;
use serde::Serialize;

use crate::outcome::RefusedRecord;
use crate::record::LeafRef;

/// Bytes of each text of a refusal at most: texts go into outcomes, and a block of nothing but
/// refusals must stay within what a body may hold.
pub const TEXT_BYTES_MAX: usize = 300;

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        // A character is at most four bytes, and 0 is always a boundary.
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

/// What stands in the way of a refused event: who and since when, never what for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Standing {
    /// The organisation whose event stands in the way.
    pub organisation: OrganisationId,
    /// Since when, ms UTC.
    pub since_ms: i64,
    /// Until when, ms UTC; `None` for ever.
    pub until_ms: Option<i64>,
    /// The leaf of that event.
    pub leaf: LeafRef,
}

/// Why an event was refused: which rule, and what it expected and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub reason: Reason,
    /// What the rule expected.
    pub expected: String,
    /// What it found.
    pub found: String,
    /// What stands in the way, if an earlier event does.
    pub standing: Option<Box<Standing>>,
}

impl Refusal {
    /// A refusal without an earlier event in the way. Texts are cut at [`TEXT_BYTES_MAX`].
    pub fn new(reason: Reason, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (cut(expected.into()), cut(found.into()));
        Self { reason, expected, found, standing: None }
    }

    /// Adds what stands in the way.
    #[must_use]
    pub fn because_of(mut self, standing: Standing) -> Self {
        self.standing = Some(Box::new(standing));
        self
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// The refusal as it goes into the outcome.
    pub fn record(&self) -> RefusedRecord {
        RefusedRecord {
            expected: self.expected.clone(),
            found: self.found.clone(),
            standing: self.standing.as_deref().cloned(),
        }
    }
}

macro_rules! reasons {
    ($($variant:ident, $code:literal, $kind:ident, $summary:literal, $cure:literal;)*) => {
        /// Which rule refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $summary] $variant,)*
        }

        impl Reason {
            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }

        /// The catalogue of refusals.
        pub const CODES: &[CodeEntry] = &[
            $(CodeEntry { code: $code, kind: Kind::$kind, summary: $summary, cure: $cure },)*
        ];
    };
}

reasons! {
    AllRefused, "statement.all-refused", Lifecycle,
        "Another event of the statement was refused, and its mode is `all`.",
        "Mend or leave out the event that has a code of its own, and send the statement again under a new nonce.";
    Suspended, "organisation.suspended", Forbidden,
        "The organisation is suspended.",
        "Ask the tax bureau why.";
    RoleMissing, "organisation.role-missing", Forbidden,
        "The organisation does not have the role that the event needs.",
        "Have an organisation with that role sign the event.";
    OrganisationUnknown, "organisation.unknown", NotFound,
        "No organisation on the ledger has that id or taxpayer id.",
        "Check the id; the tax bureau admits organisations.";
    MandateMissing, "mandate.missing", Forbidden,
        "No mandate in force lets the organisation act for that enterprise.",
        "Have the enterprise give a mandate with that scope.";
    SellerNameDiffers, "issue.seller-name-differs", Lifecycle,
        "The document names the seller otherwise than the ledger does.",
        "Use the registered name.";
    SellerTaxpayerId, "issue.seller-taxpayer-id", Lifecycle,
        "The seller is registered under a unified social credit code whose check digit is wrong.",
        "Have the tax bureau correct the registration.";
    SellerTaxpayerIdFormer, "issue.seller-taxpayer-id-former", Lifecycle,
        "The document names the seller by a taxpayer id that it no longer has.",
        "Use the taxpayer id that the seller has now.";
    ReferenceReused, "issue.reference-reused", Conflict,
        "The seller used that reference for another document.",
        "Give the document a reference of its own. The standing event is the issue of the first.";
    NumbersExhausted, "issue.numbers-exhausted", Limit,
        "All numbers of the year's codes are used.",
        "Tell the tax bureau.";
    SumOverflow, "filing.sum-overflow", Limit,
        "Sums are beyond any amount that could be declared.",
        "Tell the tax bureau.";
    InvoiceUnknown, "invoice.unknown", NotFound,
        "No such invoice was issued, or the organisation has no part in it.",
        "Check code and number; leading zeros count.";
    InvoiceVoid, "invoice.void", Lifecycle,
        "The seller took the invoice back.",
        "Ask the seller for a new invoice.";
    NotPermitted, "invoice.not-permitted", Forbidden,
        "The organisation has no part in the invoice that allows this.",
        "Have the holder, the seller, or a platform with the holder's mandate do it.";
    NotHolder, "reimbursement.not-holder", Lifecycle,
        "The enterprise named does not hold the invoice.",
        "Name the holder, or have the invoice handed to the enterprise first.";
    AlreadyLocked, "reimbursement.already-locked", Lifecycle,
        "A platform has locked the invoice.",
        "Wait until the lease ends, or ask that platform to unlock.";
    AlreadyClosed, "reimbursement.already-closed", Lifecycle,
        "The invoice has been reimbursed.",
        "An invoice is reimbursed once.";
    NotLocked, "reimbursement.not-locked", Lifecycle,
        "No lock is in force: never taken, given up, or its lease has ended.",
        "Lock the invoice again.";
    WrongClaim, "reimbursement.wrong-claim", Lifecycle,
        "The lock is for another claim.",
        "Name the claim the invoice was locked for.";
    StaleToken, "reimbursement.stale-token", Lifecycle,
        "The fencing token is not that of the lock in force.",
        "Somebody of yours locked again since; use the newest token.";
    LeaseTooLong, "reimbursement.lease-too-long", Lifecycle,
        "The lease would be longer than the ledger allows.",
        "Ask for less; a lock can be renewed until its total is used up.";
    VoidPeriodEnded, "void.period-ended", Lifecycle,
        "An invoice can be taken back only in the month of issue.",
        "Issue a red letter instead.";
    PeriodFiled, "void.period-filed", Lifecycle,
        "The seller has filed the month of issue.",
        "Issue a red letter instead.";
    PeriodOpen, "filing.period-open", Lifecycle,
        "The month has not ended in UTC+8.",
        "File after the month's last day.";
    AlreadyFiled, "filing.already-filed", Conflict,
        "The month has been filed with other totals.",
        "Amend the filing; a month is filed once.";
    TotalsDiffer, "filing.totals-differ", Lifecycle,
        "The declared totals are not those of the ledger.",
        "Compare the invoices of the month; what is expected is what the ledger holds.";
    EvidenceInvalid, "evidence.invalid", Violation,
        "What was reported proves no equivocation of that validator on this chain.",
        "Send two different things of one height, round and step, both signed with a consensus key of the validator.";
    TaxBureauOnly, "organisation.tax-bureau-only", Forbidden,
        "Only the tax bureau may do this.",
        "Ask the tax bureau.";
    IsAgency, "organisation.is-agency", Forbidden,
        "No event makes an organisation an agency or takes that from it, suspends one, or lets the tax bureau have its keys.",
        "Agencies come and go by a new genesis; the keys of one with a seat change with its governance key's signature.";
    IntroductionElsewhere, "organisation.introduction-elsewhere", Violation,
        "The introduction is not for this chain.",
        "Have the organisation introduce itself again, to this chain.";
    IntroductionStale, "organisation.introduction-stale", Violation,
        "The introduction is more than 90 days old, or of a time to come.",
        "Have the organisation introduce itself again.";
    Observer, "organisation.observer", Forbidden,
        "A node without a vote is sent every block: it is admitted as an observer, and only for an auditor.",
        "Set `observer` for an auditor's introduction with a peer and a receipt key, and for no other.";
    IntroductionInvalid, "organisation.introduction-invalid", Violation,
        "The introduction does not hold.",
        "Have the organisation introduce itself again: one key for each purpose, and a signature of each key.";
    OrganisationIdTaken, "organisation.id-taken", Conflict,
        "An organisation with that id is on the ledger.",
        "Choose another id; ids are never given twice.";
    TaxpayerIdTaken, "organisation.taxpayer-id-taken", Conflict,
        "An organisation on the ledger has that taxpayer id, or had it.",
        "Check the taxpayer id; one that an organisation gave up is never given to another, one released as an error is.";
    TaxpayerIdUsed, "organisation.taxpayer-id-used", Lifecycle,
        "The organisation issued under the taxpayer id, or has had it for more than 24 months: it cannot be released.",
        "Give the id up instead: it stays the organisation's former id.";
    TaxpayerIdsSpent, "organisation.taxpayer-ids-spent", Lifecycle,
        "The organisation has had as many taxpayer ids as one may have.",
        "Admit it as a new organisation.";
    OrganisationUnchanged, "organisation.unchanged", Lifecycle,
        "The organisation is that already.",
        "Nothing is to be done.";
    KeyNotPermitted, "key.not-permitted", Forbidden,
        "Keys are rotated by the organisation itself, or by the tax bureau for one that lost them.",
        "Have the organisation sign, or ask the tax bureau.";
    KeyIdUsed, "key.id-used", Conflict,
        "The organisation has, or had, a key under that id.",
        "Give the key an id of its own; none is ever used twice.";
    KeyUsed, "key.used", Conflict,
        "The public key is, or was, somebody's.",
        "Make a new key; none is ever used twice.";
    KeyNotApproved, "key.not-approved", Forbidden,
        "Keys of an agency with a seat change only with its governance key's signature over the very change.",
        "Sign the change with the governance key: chain, organisation, and each key to add and to revoke in order.";
    KeyAdditionsSpent, "key.additions-spent", Limit,
        "The organisation has added as many keys as it may in a day.",
        "Wait for the next day (UTC), or ask the tax bureau.";
    KeyUnknown, "key.unknown", NotFound,
        "The organisation has no such key.",
        "Check the key's id.";
    KeyRevoked, "key.revoked", Lifecycle,
        "The key was revoked before.",
        "Nothing is to be done.";
    KeyPurpose, "key.purpose", Forbidden,
        "A key for that purpose does not come or go by this event.",
        "Consensus, governance and receipt keys change with a validator's seat; only an auditor's node has a new peer key, the first from the tax bureau.";
    KeyProofInvalid, "key.proof-invalid", Violation,
        "The key is none that a ledger admits, or its proof of possession does not hold.",
        "Sign the offer with the new key itself: chain, organisation, key id, public half, purposes and custody.";
    CustodianUnknown, "key.custodian-unknown", NotFound,
        "The key is to be hosted by an organisation that is no agency on the ledger.",
        "Name the agency whose node holds the key.";
    LastStatementKey, "key.last-statement-key", Lifecycle,
        "The agency would be left without a key that signs statements.",
        "Add another statement key, in the same event or before.";
    KeysSpent, "key.spent", Lifecycle,
        "The organisation would have more active keys than one may have.",
        "Revoke keys that are not used, in the same event or before.";
    MandateUnchanged, "mandate.unchanged", Lifecycle,
        "That very mandate is in force.",
        "Nothing is to be done.";
    MandatesSpent, "mandate.spent", Limit,
        "The enterprise has given as many mandates as may be in force at once.",
        "End one that is not used.";
    GiverSigns, "mandate.giver-signs", Lifecycle,
        "The enterprise has a key that signs statements, so nobody attests its mandates.",
        "Have the enterprise give the mandate itself.";
    MandateToItself, "mandate.to-itself", Lifecycle,
        "An organisation needs no mandate to act for itself.",
        "Name the organisation that is to act.";
    MandateExpired, "mandate.expired", Lifecycle,
        "The mandate would be void when it is given.",
        "Choose an end that is still to come.";
    MandateNotPermitted, "mandate.not-permitted", Forbidden,
        "A mandate is ended by who gave it, by who holds it, or by the tax bureau.",
        "Have one of them sign.";
    MandateUnknown, "mandate.unknown", NotFound,
        "No mandate is in force between the two.",
        "Check both ids; a mandate that has ended needs no end.";
    QuotaExceeded, "quota.exceeded", Lifecycle,
        "The invoice comes to more than is left of the seller's quota of the month.",
        "Ask the tax bureau for more, or issue in a month that has quota left; nothing goes over from one month to the next.";
    QuotaPaused, "quota.paused", Lifecycle,
        "The tax bureau has paused the seller's quota of the month.",
        "Ask the tax bureau why.";
    QuotaUnknown, "quota.unknown", NotFound,
        "The seller was granted no quota for that month.",
        "Check seller and month, or grant it one.";
    QuotaGranted, "quota.already-granted", Conflict,
        "The seller was granted a quota for that month before.",
        "Adjust it; the standing event is the grant.";
    QuotaBelowUsed, "quota.below-used", Lifecycle,
        "The quota would be less than what the seller has issued in that month.",
        "Choose no less than that; to stop a seller, grant just that, or pause its quota.";
    QuotaPeriodEnded, "quota.period-ended", Lifecycle,
        "The month has ended in UTC+8, and nothing more can be issued in it.",
        "Name the month that is, or one to come.";
    QuotaUnchanged, "quota.unchanged", Lifecycle,
        "The quota is that already.",
        "Nothing is to be done.";
    AlreadyBooked, "booking.already-booked", Lifecycle,
        "The invoice is booked.",
        "An invoice is booked once. The standing event is the booking; who booked may adjust it or take it back.";
    NotBooked, "booking.not-booked", Lifecycle,
        "The enterprise has not booked the invoice, or has taken its booking back.",
        "Book it.";
    NotReimbursed, "booking.not-reimbursed", Lifecycle,
        "An invoice is booked by the enterprise that reimbursed it, else by its buyer.",
        "Reimburse it first; what was issued to a person nobody books before that.";
    BookingLocked, "booking.locked", Lifecycle,
        "A platform has locked the invoice for another enterprise, which may be about to reimburse it.",
        "Wait until the lock has ended.";
    BookingPeriod, "booking.period", Lifecycle,
        "An invoice is booked in the month of its issue, or in one after it that has begun.",
        "Name such a month.";
    BookingPeriodFiled, "booking.period-filed", Lifecycle,
        "The enterprise has filed the month, so its bookings stand.",
        "Book in a month that is not filed.";
    BookingUnchanged, "booking.unchanged", Lifecycle,
        "The invoice is booked so already.",
        "Nothing is to be done.";
    BookingStands, "booking.stands", Lifecycle,
        "The invoice is booked, so its seller cannot take it back.",
        "Have the booking taken back, or issue a red letter instead.";
    UseOrdinary, "vat.ordinary-invoice", Lifecycle,
        "An ordinary invoice gives its buyer no credit of VAT.",
        "Ask the seller for a special invoice; booking for income tax needs none.";
    UseOwn, "vat.own-invoice", Lifecycle,
        "The buyer has issued the invoice itself.",
        "Nobody uses the VAT of what it sold to itself.";
    AlreadyUsed, "vat.already-used", Lifecycle,
        "The invoice's VAT is used.",
        "It is used once. The standing event is the use; while its month is not filed, the buyer may take it back.";
    NotUsed, "vat.not-used", Lifecycle,
        "The buyer has not used the invoice's VAT, or has taken its use back.",
        "Nothing is to be done.";
    UsePeriod, "vat.period", Lifecycle,
        "An invoice's VAT is used in the month of its issue, or in one after it that has begun.",
        "Name such a month.";
    UsePeriodFiled, "vat.period-filed", Lifecycle,
        "The buyer has filed the month, so what is used in it stands.",
        "Use the invoice in a month that is not filed.";
    UseStands, "vat.use-stands", Lifecycle,
        "The invoice's VAT is used, so its seller cannot take it back.",
        "Have the use taken back, or issue a red letter instead.";
    ManifestLate, "manifest.too-late", Lifecycle,
        "What a buyer says of an invoice it says within 180 days of its issue.",
        "Settle it with the seller; the newest word that was said in time stands.";
    CorrectionPerson, "correction.person", Lifecycle,
        "The buyer is a natural person, of whom nothing but an opaque id is on the ledger.",
        "Correct the seller's lines and the remark alone.";
    CorrectionsSpent, "correction.spent", Limit,
        "The invoice has been corrected as often as one may be.",
        "Issue a red letter and another invoice.";
    CorrectionUnchanged, "correction.unchanged", Lifecycle,
        "The invoice is corrected so already.",
        "Nothing is to be done. The standing event is the newest correction.";
    NotFiled, "filing.not-filed", NotFound,
        "The taxpayer has not filed the month.",
        "File it first.";
    AmendmentNumber, "filing.amendment-number", Lifecycle,
        "Amendments of a month are numbered 1, 2 and so on, and this one is not the next.",
        "Look at the month again, and take the next number.";
    AmendmentReused, "filing.amendment-reused", Conflict,
        "The month has an amendment of that number, with other content.",
        "Look at it; the standing event is that amendment.";
    AmendmentsSpent, "filing.amendments-spent", Limit,
        "The month has been amended as often as one may be.",
        "Ask the tax bureau.";
    AmendmentUnchanged, "filing.amendment-unchanged", Lifecycle,
        "What the amendment declares is declared already.",
        "Nothing is to be done.";
    NothingDue, "payment.nothing-due", Lifecycle,
        "Nothing of the month is left to pay.",
        "Nothing is to be done.";
    PaymentAmount, "payment.amount-differs", Lifecycle,
        "The amount is not what is left to pay of the month.",
        "Order what is expected: all that is payable and not paid yet.";
    PaymentUnderWay, "payment.under-way", Lifecycle,
        "A payment of the month is ordered, and its result is not known yet.",
        "Say first what became of it; the standing event is its order.";
    OrderReused, "payment.order-reused", Conflict,
        "The taxpayer has used the id of the payment order for another.",
        "Give the order an id of its own, also after one that failed.";
    OrdersSpent, "payment.orders-spent", Limit,
        "The month has as many payment orders as one may have.",
        "Ask the tax bureau.";
    OrderUnknown, "payment.unknown", NotFound,
        "The taxpayer has no such payment order of that month.",
        "Check the id and the month.";
    PaymentDecided, "payment.already-decided", Conflict,
        "What became of the payment order was said otherwise.",
        "A result stands; order what is left to pay under another id.";
    SegmentUnknown, "segment.unknown", NotFound,
        "There is no such segment of numbers, or it is not the organisation's.",
        "Name a segment that was granted to you, by its first number.";
    SegmentClosed, "segment.closed", Lifecycle,
        "The segment is closed: what it had not used by then is declared as gaps.",
        "Issue the invoice anew. The standing event is the close.";
    SegmentsSpent, "segment.spent", Limit,
        "The organisation has as many open segments as one may have.",
        "Have one closed first.";
    SegmentKey, "segment.key", Lifecycle,
        "The organisation has no such active key that signs statements.",
        "Name one of its own keys for statements.";
    SegmentTerm, "segment.term", Lifecycle,
        "The segment would end before it begins, or more than 366 days after it.",
        "Choose an end in the year to come.";
    ContingencyCertificate, "contingency.certificate-invalid", Violation,
        "The offline certificate is not one of that document, or was not signed with the key of its segment.",
        "Submit the document just as the certificate was signed for it.";
    ContingencyKeyRevoked, "contingency.key-revoked", Forbidden,
        "The key that the segment was granted for has been revoked, and nobody can tell when the certificate was signed.",
        "Close the segment, and issue the invoice anew.";
    ContingencyNumber, "contingency.number-outside", Lifecycle,
        "The number is none of the segment's.",
        "Use the numbers that were granted.";
    ContingencyTime, "contingency.time-outside", Lifecycle,
        "The invoice says to be issued before the segment was granted, after its end, or in time to come.",
        "Issue it anew. One of time to come may be submitted again when that time has come.";
    ContingencyNumberUsed, "contingency.number-used", Conflict,
        "The number has another invoice, for ever.",
        "Both certificates are evidence: that of the first stands in the statement of the standing leaf, that of the second in the statement that was refused. Issue the second document anew.";
    ContingencyIssuedBefore, "contingency.issued-before", Conflict,
        "The very document has been issued under another number.",
        "Nothing is to be done; the number stays free, and is declared when the segment is closed. The standing event is the issue.";
    RedLetter, "red.is-red-letter", Lifecycle,
        "The invoice is a red letter: nobody claims it, hands it on, uses it or takes it back.",
        "Name the blue invoice that it takes back. What was taken back in error is issued anew.";
    FullyRed, "red.fully-red", Lifecycle,
        "Red letters have taken all of the invoice back.",
        "Nothing is left to claim, to use or to take back.";
    PartRed, "red.part-red", Lifecycle,
        "Red letters have taken some of the invoice back, so it cannot be voided.",
        "Take the rest back by another red letter.";
    RedDocument, "red.document-differs", Violation,
        "The document is not the one that the invoice was issued with.",
        "Send the document of the invoice just as it was issued; corrections of it do not belong there.";
    RedNothing, "red.nothing", Violation,
        "Nothing is taken back, or nothing of a line that is named.",
        "Name each line with what is taken back of it.";
    RedNoSuchLine, "red.no-such-line", Violation,
        "The invoice has no such line.",
        "Count the lines from 0.";
    RedLineOrder, "red.line-order", Violation,
        "Lines are named twice, or not in the invoice's order.",
        "Name each line once, ascending.";
    RedLineExceeded, "red.line-exceeded", Lifecycle,
        "More would be taken back than is left of the line, or the amount has the other sign.",
        "Take back at most what is left; a discount line is taken back with its own sign, below zero.";
    RedTotalExceeded, "red.total-exceeded", Lifecycle,
        "More would be taken back in all than is left, because discounts stay behind, or the letter would not come to less than nothing.",
        "Take discounts back together with the lines that they discount.";
    RedLettersSpent, "red.letters-spent", Limit,
        "The invoice has as many red letters over a part of it as one may have.",
        "Take back all that is left.";
    SlipNeeded, "red.slip-needed", Lifecycle,
        "Others rely on the invoice: it is booked, its VAT is used, it is claimed, reimbursed or handed on.",
        "Request a slip, have the other side confirm it within 72 hours, and issue the red letter with its number.";
    SlipUnknown, "red.slip-unknown", NotFound,
        "The invoice has no slip of that number, or a newer one.",
        "Look at the invoice's newest slip.";
    SlipUnconfirmed, "red.slip-unconfirmed", Lifecycle,
        "The slip is not confirmed, or was spent.",
        "Have the other side confirm it; one that was denied, withdrawn, spent or has lapsed needs another request.";
    SlipDiffers, "red.slip-differs", Lifecycle,
        "The red letter is not what the slip was confirmed for.",
        "Issue it for the slip's reason and for its very amounts, or withdraw the slip and request another.";
    SlipOpen, "red.slip-open", Lifecycle,
        "The invoice has a slip that waits for an answer, or is confirmed and not spent.",
        "Answer, withdraw or spend it first. The standing event is its request or its confirmation.";
    SlipSide, "red.slip-side", Forbidden,
        "A slip is confirmed or denied by the side that did not ask, and withdrawn by the side that did.",
        "Have the other side sign.";
    SlipAnswered, "red.slip-answered", Lifecycle,
        "The slip was answered, withdrawn or spent before.",
        "Nothing is to be done; the standing event is what became of it.";
    SlipLapsed, "red.slip-lapsed", Lifecycle,
        "The other side has not answered within 72 hours of block time.",
        "Request another slip.";
    SlipSuperseded, "red.slip-superseded", Lifecycle,
        "Somebody else relies on the invoice by now than when the slip was asked for.",
        "Request another slip of whoever is the other side now.";
    NoOtherSide, "red.no-other-side", Lifecycle,
        "Nobody but the seller has to do with the invoice who is on the ledger.",
        "The seller issues the red letter alone.";
    UseReversed, "vat.use-reversed", Lifecycle,
        "Red letters have taken back what was used of the invoice's VAT, so its use stands.",
        "Nothing is to be done: the red letters have taken it out of the buyer's months.";
}
