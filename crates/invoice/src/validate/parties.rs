//! Rules about the reference and about who sells and who buys.

use super::{Findings, exceeds, is_token};
use crate::taxpayer;
use crate::text::gbk_len;
use crate::view::{BuyerView, PartyView, Path, View};
use crate::violation::rule;

pub(super) fn check(findings: &mut Findings<'_>, view: &View<'_>) {
    if let Some(reference) = view.reference
        && !is_token(reference, |byte| byte.is_ascii_graphic())
    {
        findings.violation(
            Path::At("/reference"),
            rule::REFERENCE,
            "1 to 64 printable ASCII characters without space",
            reference,
        );
    }
    if let Some(seller) = &view.seller {
        party(findings, "/seller", seller);
    }
    match &view.buyer {
        Some(BuyerView::Organisation(buyer)) => party(findings, "/buyer/organisation", buyer),
        Some(BuyerView::Person { id }) => person(findings, view, *id),
        None => {}
    }
}

fn person(findings: &mut Findings<'_>, view: &View<'_>, id: Option<&str>) {
    if let Some(id) = id
        && !is_token(id, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    {
        findings.violation(Path::At("/buyer/person/id"), rule::PERSON_ID, "1 to 64 of A-Z a-z 0-9 . _ -", id);
    }
    if let Some(profile) = view.profile.filter(|profile| profile.is_special()) {
        findings.violation(
            Path::At("/buyer/person"),
            rule::SPECIAL_TO_PERSON,
            "an organisation as buyer",
            profile.as_str(),
        );
    }
}

fn party(findings: &mut Findings<'_>, at: &'static str, party: &PartyView<'_>) {
    let rules = findings.rules;
    if let Some(name) = party.name {
        let path = Path::Below(at, "name");
        findings.characters(path, name);
        findings.no_angle_brackets(path, name);
        let (bytes, bytes_max) = (gbk_len(name), rules.name_gbk_bytes_max);
        if exceeds(bytes, bytes_max) {
            findings.violation(
                path,
                rule::TEXT_TOO_LONG,
                format!("at most {bytes_max} bytes in GBK"),
                format!("{bytes} bytes in GBK"),
            );
        }
    }
    if let Some(taxpayer_id) = party.taxpayer_id {
        let path = Path::Below(at, "taxpayer_id");
        if taxpayer::has_shape(taxpayer_id) {
            findings.validation.warnings.extend(taxpayer::check_text(taxpayer_id, &path.to_string()));
        } else {
            findings.violation(path, rule::TAXPAYER_ID, "15, 17, 18 or 20 capital letters and digits", taxpayer_id);
        }
    }
    texts(findings, at, [party.address, party.phone, party.bank, party.account]);
}

/// Address, phone, bank and account of an organisation, in this order.
pub(super) fn texts(findings: &mut Findings<'_>, at: &'static str, texts: [Option<&str>; 4]) {
    let rules = findings.rules;
    let limits = [rules.address_chars_max, rules.phone_chars_max, rules.bank_chars_max, rules.account_chars_max];
    for ((field, chars_max), text) in ["address", "phone", "bank", "account"].into_iter().zip(limits).zip(texts) {
        if let Some(text) = text {
            findings.text(Path::Below(at, field), text, chars_max);
        }
    }
}
