//! Scenes: statements that follow from each other, so that the random life also gets to where chance alone hardly comes. What
//! happens around them is as random as ever, so that many of them fail in the middle.

use proptest::prelude::*;

use super::books::digital;
use super::red::WHATEVER;
use super::{ACTORS, Step, invoice};
use crate::fixture::*;

const NOVEMBER: &str = "2026-11";

/// One statement, each of whose events stands for itself.
fn by(actor: &str, events: Vec<String>) -> Step {
    let actor = ACTORS.iter().position(|known| *known == actor).unwrap();
    (actor, false, events, 0)
}

/// A claim up to some point: locked, renewed, given up, locked again, closed.
fn claim() -> impl Strategy<Value = Vec<Step>> {
    (0_u8..3, 1_usize..6, any::<bool>(), 1_u64..3).prop_map(|(id, events, ended, token)| {
        let id = invoice(id);
        let step = |kind: &str, token: u64| claim_event(kind, &id, "c1", token);
        let life = [lock(&id, "c1"), step("renew", 1), step("unlock", 1), lock(&id, "c1"), step("close", 2)][..events]
            .to_vec();
        let mut steps = vec![by(SELLER, vec![issue("r0")]), by(PLATFORM_A, life)];
        if ended {
            steps.push(by(BUREAU, vec![override_lock(&id, token)]));
        }
        steps
    })
}

/// What the tax bureau begins and ends.
fn bureau() -> impl Strategy<Value = Vec<Step>> {
    let member = prop::sample::select(vec![SELLER, PROVIDER, BUYER, PLATFORM_A, OUTSIDER]);
    let scopes = prop::sample::select(vec![r#""issue""#, r#""read""#]);
    (member, scopes, 0_u8..4).prop_map(|(member, scopes, scene)| match scene {
        0 => {
            vec![by(BUREAU, vec![suspend(member)]), by(member, vec![issue("r1")]), by(BUREAU, vec![reinstate(member)])]
        }
        1 => vec![by(
            BUREAU,
            vec![
                quota_grant(SELLER, NOVEMBER, "1000.00"),
                quota_adjust(SELLER, NOVEMBER, "1500.00"),
                quota_pause(SELLER, NOVEMBER),
                quota_resume(SELLER, NOVEMBER),
            ],
        )],
        2 => vec![
            by(BUREAU, vec![admit("stall", "917000000000008")]),
            by(BUREAU, vec![roles("stall", r#""enterprise","auditor""#)]),
        ],
        _ => vec![
            by(BUREAU, vec![register(&[("stand", "917000000000007")])]),
            by(BUREAU, vec![attest(PROVIDER, scopes, &["stand"])]),
        ],
    })
}

/// A special invoice in its buyer's books, and out of them again.
fn books() -> impl Strategy<Value = Vec<Step>> {
    (0_usize..3, any::<bool>()).prop_map(|(id, out)| {
        let id = digital(id);
        let mut events = vec![
            book(&id, "02", "记-1", NOVEMBER),
            adjust_booking(&id, "03", "记-2", NOVEMBER),
            use_vat(&id, "deduct", NOVEMBER),
        ];
        if out {
            events.extend([revoke_booking(&id), revoke_use(&id)]);
        }
        let correction = correct_fields(&id, r#"{"remark":"order 7"}"#);
        vec![by(SELLER, vec![special("s0"), correction]), by(BUYER, events)]
    })
}

/// A slip that is agreed on, and the letter that spends it.
fn slip() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop::sample::select(vec!["red-confirm", "red-confirm", "red-deny", "red-withdraw"]);
    (0_usize..3, 1_u32..4, 0_u8..12, any::<bool>(), answer).prop_map(|(id, slip, reference, full, answer)| {
        let (id, take) = (digital(id), if full { FULL.to_owned() } else { of_line("20.05") });
        vec![
            by(SELLER, vec![special("s1"), red_request(&id, WHATEVER, &take)]),
            by(if answer == "red-withdraw" { SELLER } else { BUYER }, vec![red_answer(answer, &id, slip)]),
            by(SELLER, vec![issue_red_under(slip, &id, WHATEVER, &format!("red-{reference}"), &take)]),
        ]
    })
}

/// A month that is filed and paid: one of so many invoices as there may be by then.
fn paid() -> impl Strategy<Value = Vec<Step>> {
    let result = prop::sample::select(vec!["paid", "failed"]);
    (0_u64..3, result).prop_map(|(count, result)| {
        let (net, tax) = (format!("{}.00", count * 100), format!("{}.00", count * 13));
        let filing = file_all(&file(NOVEMBER, count, &net, &tax), "", "100.00", "3.00");
        let request = pay_request(NOVEMBER, "p1", &format!("{}.00", count * 13 + 3));
        let (seller, .., events, _) = by(SELLER, vec![filing, request, pay_result(NOVEMBER, "p1", result)]);
        vec![(seller, false, events, 20 * DAY)]
    })
}

/// A segment, an invoice issued from it offline, and its end. When the segment was granted depends on what was before.
fn offline() -> impl Strategy<Value = Vec<Step>> {
    (0_i64..12, 1_u64..3, any::<bool>()).prop_map(|(seconds, number, ended)| {
        let chain = genesis().chain_id();
        let issued = offline_issue(&chain, PROVIDER, "o1", number, NOON + seconds * 1_000);
        let mut events = vec![issued.clone(), issued];
        if ended {
            events.push(segment_close(&segment_number(1)));
        }
        vec![by(BUREAU, vec![segment_grant(PROVIDER)]), by(PROVIDER, events)]
    })
}

/// A mandate that is given, used and ended.
fn mandate() -> impl Strategy<Value = Vec<Step>> {
    let scopes = prop::sample::select(vec![r#""issue""#, r#""issue","file""#]);
    (scopes, 0_u8..8).prop_map(|(scopes, reference)| {
        vec![
            by(SELLER, vec![mandate_to(OUTSIDER, scopes)]),
            by(OUTSIDER, vec![issue(&format!("r{reference}"))]),
            by(SELLER, vec![revoke_mandate(SELLER, OUTSIDER)]),
            by(OUTSIDER, vec![issue(&format!("r{reference}"))]),
        ]
    })
}

/// Any of them.
pub(super) fn scene() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![3 => claim(), 2 => bureau(), 2 => books(), 3 => slip(), 1 => paid(), 2 => offline(), 1 => mandate()]
}
