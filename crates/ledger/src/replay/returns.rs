//! Returns and payments, added up from the months and the orders themselves: a second way to the same numbers.

use std::collections::BTreeSet;

use super::kept::Kept;
use super::sums::{Difference, PAGE_RECORDS, month_of};
use crate::bookkeeping::InputRecord;
use crate::event::PaymentResult;
use crate::filing::{AmendmentRecord, DeclaredRecord, Due, DuesRecord, PaymentRecord, declarable};
use crate::record::FilingRecord;
use crate::state::{Fault, Kind, StateKey, decode, read, require};

/// The first filed month that does not tie with its invoices and uses, or whose amendments or payments do not add up. The
/// months must have been added up.
pub(super) fn differing_return(kept: &mut Kept<'_>) -> Result<Option<Difference>, Fault> {
    let mut after = None;
    let mut orders = 0_u64;
    loop {
        let page = kept.records(Kind::Filing, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let filing: FilingRecord = decode(key, stored)?;
            match examine(kept, key, &filing)? {
                Ok(of_month) => orders += of_month,
                Err((expected, found)) => return Ok(Some((key.to_string(), expected, found))),
            }
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    let payments = count(kept, Kind::Payment)?;
    let stray = (payments != orders).then(|| (format!("{orders} payment orders"), payments.to_string()));
    Ok(stray.map(|(expected, found)| ("payments".to_owned(), expected, found)))
}

/// What was expected of a month, and what was found instead; or how many payment orders it has.
type Examined = Result<u64, (String, String)>;

fn examine(kept: &Kept<'_>, key: &StateKey, filing: &FilingRecord) -> Result<Examined, Fault> {
    let (taxpayer, period) = key.filing_of().ok_or_else(|| Fault::Missing { key: key.to_string() })?;
    let month = month_of(kept, &taxpayer, period)?;
    let held = month.as_ref().and_then(|month| month.output().map(|output| (month.invoices, output)));
    if held.as_ref() != Some(&(filing.invoices, filing.output.clone())) {
        return Ok(Err((format!("{held:?}"), format!("{:?}", (filing.invoices, &filing.output)))));
    }
    let declared = read::<DeclaredRecord>(kept, &StateKey::declared(&taxpayer, period))?.unwrap_or_default();
    // The uses themselves are added up elsewhere; a filed month keeps its own.
    let used = read::<InputRecord>(kept, &StateKey::input(&taxpayer, period))?.unwrap_or_default();
    let used = declarable(&used);
    if used.as_ref() != Some(&declared.input) {
        return Ok(Err((format!("{used:?}"), format!("{:?}", declared.input))));
    }
    let dues = read::<DuesRecord>(kept, &StateKey::dues(&taxpayer, period))?.unwrap_or_default();
    // Never asked for more than there was to pay under one of the returns.
    let mut most = Due::of(&filing.output, &declared.uninvoiced, &declared.input).map(|due| due.payable);
    for number in 1..=dues.amendments {
        let amendment: AmendmentRecord = require(kept, &StateKey::amendment(&taxpayer, period, number))?;
        let due = Due::of(&filing.output, &amendment.uninvoiced, &declared.input);
        if due != Some(amendment.due) {
            return Ok(Err((format!("amendment {number}: {due:?}"), format!("{:?}", amendment.due))));
        }
        most = most.max(Some(amendment.due.payable));
    }
    let (mut paid_fen, mut requested) = (0_i128, Vec::new());
    let ids: BTreeSet<_> = dues.orders.iter().collect();
    for order in &ids {
        let payment: PaymentRecord = require(kept, &StateKey::payment(&taxpayer, order))?;
        if payment.period != period {
            return Ok(Err((format!("order {order} for {period}"), payment.period.to_string())));
        }
        match payment.decided.map(|decided| decided.result) {
            None => requested.push(payment.amount),
            Some(PaymentResult::Paid) => paid_fen += i128::from(payment.amount.fen()),
            Some(PaymentResult::Failed) => {}
        }
    }
    let (paid, under_way) = (i128::from(dues.paid.fen()), dues.requested.into_iter().collect::<Vec<_>>());
    if ids.len() != dues.orders.len() || paid_fen != paid || requested != under_way {
        let expected = format!("{} orders, {paid_fen} fen paid, {requested:?} requested", ids.len());
        return Ok(Err((expected, format!("{} orders, {paid} fen paid, {under_way:?} requested", dues.orders.len()))));
    }
    let asked = paid + under_way.iter().map(|amount| i128::from(amount.fen())).sum::<i128>();
    if most.is_none_or(|most| asked > i128::from(most.fen())) {
        return Ok(Err((format!("at most {most:?}"), format!("{asked} fen paid or requested"))));
    }
    Ok(Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX)))
}

/// How many records of a kind there are.
pub(super) fn count(kept: &mut Kept<'_>, kind: Kind) -> Result<u64, Fault> {
    let (mut count, mut after) = (0_u64, None);
    loop {
        let page = kept.records(kind, after.as_ref(), PAGE_RECORDS)?;
        count += u64::try_from(page.len()).unwrap_or(u64::MAX);
        let Some((key, _)) = page.last() else { return Ok(count) };
        after = Some(key.clone());
    }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;

    use super::super::scratch::MemoryScratch;
    use super::super::space::Space;
    use super::*;
    use crate::fixture::*;
    use crate::outcome::ACCEPTED;
    use crate::parallel::Alone;
    use crate::state::{Writes, encode};

    fn difference(state: &Writes) -> Option<(String, String)> {
        let open = Box::new(|| Ok(Box::new(MemoryScratch::default()) as Box<dyn super::super::Scratch>));
        let mut kept = Kept::new(Space::new(usize::MAX, open));
        kept.write(state.clone()).unwrap();
        assert_eq!(
            super::super::sums::differing_month(&mut kept, &mut super::super::numbers::Numbers::default(), &Alone)
                .unwrap(),
            None
        );
        differing_return(&mut kept).unwrap().map(|(_, expected, found)| (expected, found))
    }

    #[test]
    fn returns_and_payments_are_what_they_come_to() {
        let mut ledger = Ledger::new();
        ledger.issued("a");
        ledger.time_ms = MONTH_END;
        for event in [
            file("2026-11", 1, "100.00", "13.00"),
            amend("2026-11", 1, "100.00", "3.00"),
            pay_request("2026-11", "p1", "16.00"),
            pay_result("2026-11", "p1", "paid"),
            amend("2026-11", 2, "200.00", "6.00"),
            pay_request("2026-11", "p2", "3.00"),
        ] {
            assert_eq!(ledger.event(SELLER, event).code, ACCEPTED);
        }
        assert_eq!(difference(&ledger.state), None);
        let (shop, november) = (organisation_id(SELLER), "2026-11".parse().unwrap());
        let dues: DuesRecord = require(&ledger, &StateKey::dues(&shop, november)).unwrap();
        let tampered = |change: &dyn Fn(&mut DuesRecord)| {
            let (mut state, mut dues) = (ledger.state.clone(), dues.clone());
            change(&mut dues);
            state.insert(StateKey::dues(&shop, november), encode(&Hash::of(b"test"), &dues));
            difference(&state)
        };
        assert_eq!(tampered(&|_| {}), None);
        assert!(tampered(&|dues| dues.paid = "19.00".parse().unwrap()).is_some());
        assert!(tampered(&|dues| dues.requested = None).is_some());
        assert!(tampered(&|dues| drop(dues.orders.pop())).is_some());
        assert!(tampered(&|dues| dues.amendments = 0).is_some(), "19.00 asked for, of 13.00");
        let mut state = ledger.state.clone();
        let key = StateKey::filing(&shop, november);
        let filing: FilingRecord = require(&ledger, &key).unwrap();
        state.insert(key, encode(&Hash::of(b"test"), &FilingRecord { invoices: 2, ..filing }));
        assert!(difference(&state).is_some());
    }
}
