//! Filing and the months' sums.

use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::party::{Party, Side};
use crate::record::AccumulatorRecord;
use crate::state::{StateKey, read};

fn month(ledger: &Ledger, side: Side, taxpayer: &str) -> AccumulatorRecord {
    let party = Party::Taxpayer(taxpayer.parse().unwrap());
    let key = StateKey::accumulator("2026-11".parse().unwrap(), side, &party);
    read(ledger, &key).unwrap().unwrap_or_default()
}

#[test]
fn a_month_is_filed_after_its_end_with_the_ledgers_totals_and_once() {
    let mut ledger = Ledger::new();
    ledger.issued("a");
    ledger.issued("b");
    let voided = ledger.issued("c");
    ledger.event(SELLER, void(&voided));
    let right = file("2026-11", 2, "200.00", "26.00");
    ledger.time_ms = MONTH_END - 1;
    assert_eq!(ledger.event(SELLER, right.clone()).code, "filing.period-open");
    ledger.time_ms = MONTH_END;
    let wrong = ledger.event(SELLER, file("2026-11", 3, "300.00", "39.00"));
    assert_eq!(wrong.code, "filing.totals-differ");
    let Record::Refused(refused) = record(&wrong) else { panic!("{wrong:?}") };
    assert_eq!(refused.expected, "2 invoices; 0.13: net 200.00 tax 26.00");
    assert_eq!(refused.found, "3 invoices; 0.13: net 300.00 tax 39.00");
    assert_eq!(ledger.event(BUYER, right.clone()).code, "mandate.missing");
    let filed = ledger.event(PROVIDER, right.clone());
    assert_eq!((filed.code.as_str(), filed.subject.as_str()), (ACCEPTED, "filing:shop/2026-11"));
    assert_eq!(ledger.event(SELLER, right).code, REPEATED);
    assert_eq!(ledger.event(SELLER, file("2026-11", 1, "100.00", "13.00")).code, "filing.already-filed");
}

#[test]
fn a_month_without_invoices_is_filed_as_such() {
    let mut ledger = Ledger::new();
    ledger.time_ms = MONTH_END;
    let nothing = r#"{"file":{"seller":"shop","period":"2026-11","invoices":0,"output":[]}}"#;
    assert_eq!(ledger.event(SELLER, nothing).code, ACCEPTED);
}

#[test]
fn both_sides_months_cover_every_leaf_in_order() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(SELLER, void(&id));
    ledger.issued("b");
    let (sold, bought) =
        (month(&ledger, Side::Seller, "91440300708461136T"), month(&ledger, Side::Buyer, "91350100M000100Y43"));
    assert_eq!((sold.invoices, sold.leaves), (1, 3));
    assert_eq!(sold, bought, "one seller, one buyer: the same leaves in the same order");
    assert_eq!(sold.by_rate[0].net_fen, 10_000);
}

#[test]
fn an_invoice_reimbursed_after_filing_is_none_the_worse() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.time_ms = MONTH_END;
    ledger.event(SELLER, file("2026-11", 1, "100.00", "13.00"));
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1)).code, ACCEPTED);
}
