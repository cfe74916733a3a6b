//! Events as their authors write them.

use chain::block::BlockId;
use chain::certificate::{VoteKind, sign_vote};
use chain::equivocation::{Equivocation, Signed, Step};
use chain::genesis::Genesis;
use chain::hash::Hash;
use ledger::event::Event;

use crate::consortium::{organisation_id, secret};

/// Two prevotes of an agency in round 0 of a height: one for nil, one for a block.
pub fn double_vote(genesis: &Genesis, agency: &str, height: u64) -> Equivocation {
    let key = secret(agency, "consensus");
    let vote = |block: Option<BlockId>| {
        let (chain, suite) = (genesis.chain_id(), genesis.suite());
        let signature = sign_vote(&key, &chain, suite, VoteKind::Prevote, height, 0, block.as_ref());
        Signed { block, pol_round: None, signature }
    };
    let block = Some(Hash::of(b"another").into());
    Equivocation::new(organisation_id(agency), (height, 0, Step::Prevote), vote(None), vote(block))
}

/// A report of an equivocation.
pub fn evidence(equivocation: &Equivocation) -> String {
    Event::Evidence(Box::new(equivocation.clone())).to_json()
}

/// An issue of the shop to the buyer: 113.00 gross at 13 %.
pub fn issue(reference: &str) -> String {
    issue_to(reference, r#"{"organisation":{"name":"buyer Ltd","taxpayer_id":"91350100M000100Y43"}}"#)
}

/// The same to any buyer.
pub fn issue_to(reference: &str, buyer: &str) -> String {
    format!(
        r#"{{"issue":{{"document":{{"profile":"blockchain-ordinary","reference":"{reference}","seller":{{"name":"shop Ltd","taxpayer_id":"91440300708461136T"}},"buyer":{buyer},"lines":[{{"name":"*餐饮服务*餐费","tax_code":"3070401000000000000","net":"100.00","tax":{{"rate":"0.13"}},"tax_amount":"13.00"}}],"totals":{{"net":"100.00","tax":"13.00","gross":"113.00"}}}}}}}}"#
    )
}

/// A lock for the buyer.
pub fn lock(invoice: &str, claim: &str) -> String {
    format!(r#"{{"lock":{{"invoice":"{invoice}","enterprise":"buyer","claim":"{claim}"}}}}"#)
}

/// A renewal, unlock or close.
pub fn claim(kind: &str, invoice: &str, claim: &str, token: u64) -> String {
    format!(r#"{{"{kind}":{{"invoice":"{invoice}","claim":"{claim}","token":{token}}}}}"#)
}

/// Taking an invoice back.
pub fn void(invoice: &str) -> String {
    format!(r#"{{"void":{{"invoice":"{invoice}","reason":"issue-error"}}}}"#)
}

/// Filing November 2026 for the shop.
pub fn file(invoices: u64, net: &str, tax: &str) -> String {
    format!(
        r#"{{"file":{{"seller":"shop","period":"2026-11","invoices":{invoices},"output":[{{"treatment":{{"rate":"0.13"}},"net":"{net}","tax":"{tax}"}}]}}}}"#
    )
}
