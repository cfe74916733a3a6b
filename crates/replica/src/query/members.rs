//! Organisations and the mandates between them.

use std::ops::Bound;

use chain::identity::{KeyId, OrganisationId};
use invoice::Period;
use ledger::organisation::{GivenRecord, Mandate, Organisation, RetiredKey, Scope, Standing};
use ledger::party::{Party, Side};
use ledger::record::{AccumulatorRecord, FormerId, FormerRecord, TaxpayerRecord};
use ledger::state::{self, Kind, StateKey, read};

use super::{Query, SCANNED_MAX};
use crate::index::mandate_to_key;
use crate::list;
use crate::port::{Direction, Store, StoreFault, Table};
use crate::replica::Fault;

/// Organisations looked at at once, of those that are looked for.
const ORGANISATIONS_A_SCAN: usize = 250;

/// A page of a list of organisations or mandates.
#[derive(Clone, Debug)]
pub struct MemberPage<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// The id after which it goes on; `None` at the end.
    pub next: Option<OrganisationId>,
}

impl<S: Store> Query<S> {
    /// The organisation behind a party, when it is on the ledger: also under a taxpayer id that it gave up.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn organisation_of(&self, party: &Party) -> Result<Option<OrganisationId>, Fault> {
        match party {
            Party::Taxpayer(id) => {
                let record = read::<TaxpayerRecord>(&self.view(), &StateKey::taxpayer(id))?;
                Ok(record.and_then(|record| record.organisation))
            }
            Party::Person(_) => Ok(None),
        }
    }

    /// Whether `to` may act for `from` in any of the scopes now. Nobody does who is suspended, or has lost the role.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandated(&self, from: &OrganisationId, to: &OrganisationId, scopes: &[Scope]) -> Result<bool, Fault> {
        let mandate = read::<Mandate>(&self.view(), &StateKey::mandate(from, to))?;
        mandate.map_or(Ok(false), |mandate| self.opens(&mandate, scopes))
    }

    /// Who may act for `from` in any of the scopes now.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandated_by(&self, from: &OrganisationId, scopes: &[Scope]) -> Result<Vec<OrganisationId>, Fault> {
        let mut mandated = Vec::new();
        for mandate in self.mandates_of(from)? {
            if self.opens(&mandate, scopes)? {
                mandated.push(mandate.to);
            }
        }
        Ok(mandated)
    }

    fn opens(&self, mandate: &Mandate, scopes: &[Scope]) -> Result<bool, Fault> {
        let now_ms = self.tip().progress.time_ms;
        let allowed: Vec<Scope> = scopes.iter().copied().filter(|scope| mandate.allows(*scope, now_ms)).collect();
        if allowed.is_empty() {
            return Ok(false);
        }
        let to = read::<Organisation>(&self.view(), &StateKey::organisation(&mandate.to))?;
        Ok(to.is_some_and(|to| {
            to.standing == Standing::Active && allowed.iter().any(|scope| scope.roles().iter().any(|role| to.is(*role)))
        }))
    }

    /// The taxpayer ids that an organisation had before the one it has, oldest first.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn former_ids(&self, id: &OrganisationId) -> Result<Vec<FormerId>, Fault> {
        Ok(read::<FormerRecord>(&self.view(), &StateKey::former(id))?.unwrap_or_default().ids)
    }

    /// Every party that an organisation is: under each taxpayer id that it had, and under the one it has.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn parties_of(&self, organisation: &Organisation) -> Result<Vec<Party>, Fault> {
        let former = self.former_ids(&organisation.id)?.into_iter().map(|former| former.taxpayer_id);
        Ok(former.chain([organisation.taxpayer_id.clone()]).map(Party::Taxpayer).collect())
    }

    /// What an organisation sold or bought in a month, under whichever taxpayer id; `None` when the sums do not fit.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn month(
        &self,
        period: Period,
        side: Side,
        organisation: &Organisation,
    ) -> Result<Option<AccumulatorRecord>, Fault> {
        let months = self.parties_of(organisation)?.into_iter().map(|party| {
            let key = StateKey::accumulator(period, side, &party);
            Ok(read::<AccumulatorRecord>(&self.view(), &key)?.unwrap_or_default())
        });
        Ok(AccumulatorRecord::joined(months.collect::<Result<_, Fault>>()?))
    }

    /// The mandate between two organisations, also one that has ended.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandate(&self, from: &OrganisationId, to: &OrganisationId) -> Result<Option<Mandate>, Fault> {
        Ok(read(&self.view(), &StateKey::mandate(from, to))?)
    }

    /// Every mandate of an organisation that is in force: a bounded number.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandates_of(&self, from: &OrganisationId) -> Result<Vec<Mandate>, Fault> {
        let (view, now_ms) = (self.view(), self.tip().progress.time_ms);
        let given = read::<GivenRecord>(&view, &StateKey::given(from))?.unwrap_or_default();
        let mut mandates = Vec::with_capacity(given.mandates.len());
        for given in given.mandates {
            let mandate = read::<Mandate>(&view, &StateKey::mandate(from, &given.to))?;
            mandates.extend(mandate.filter(|mandate| mandate.stands(now_ms)));
        }
        Ok(mandates)
    }

    /// Whether an organisation had a key and revoked it.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn is_retired(&self, of: &OrganisationId, key: &KeyId) -> Result<bool, Fault> {
        Ok(read::<RetiredKey>(&self.view(), &StateKey::retired_key(of, key))?.is_some())
    }

    /// Keys that an organisation has revoked, in the order of their ids, as far as a page goes.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn retired_keys(&self, of: &OrganisationId, limit: usize) -> Result<Vec<RetiredKey>, Fault> {
        let prefix = [&[Kind::RetiredKey as u8], of.as_str().as_bytes(), &[0]].concat();
        let rows = self.store.scan(Table::State, under(prefix, None), Direction::Forward, limit)?;
        let key = |(key, value): (Vec<u8>, Vec<u8>)| {
            Ok(state::decode::<RetiredKey>(&StateKey::from_bytes(key), list::record(&value)?)?)
        };
        rows.into_iter().map(key).collect()
    }

    /// Mandates that an organisation gave, by who holds them, also those that have ended.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandates_given(
        &self,
        from: &OrganisationId,
        after: Option<&OrganisationId>,
        limit: usize,
    ) -> Result<MemberPage<Mandate>, Fault> {
        // The keys of its mandates, and only those, begin with its id and the zero byte that no id contains.
        let prefix = [&[Kind::Mandate as u8], from.as_str().as_bytes(), &[0]].concat();
        let rows = self.store.scan(Table::State, under(prefix, after), Direction::Forward, limit)?;
        let full = rows.len() == limit;
        let mandate = |(key, value): (Vec<u8>, Vec<u8>)| {
            Ok(state::decode::<Mandate>(&StateKey::from_bytes(key), list::record(&value)?)?)
        };
        let rows: Vec<Mandate> = rows.into_iter().map(mandate).collect::<Result<_, Fault>>()?;
        let next = rows.last().filter(|_| full).map(|mandate| mandate.to.clone());
        Ok(MemberPage { rows, next })
    }

    /// Mandates that an organisation holds, by who gave them, also those that have ended.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn mandates_held(
        &self,
        to: &OrganisationId,
        after: Option<&OrganisationId>,
        limit: usize,
    ) -> Result<MemberPage<Mandate>, Fault> {
        let prefix = mandate_to_key(to.as_str(), "");
        let rows = self.store.scan(Table::MandateTo, under(prefix.clone(), after), Direction::Forward, limit)?;
        let full = rows.len() == limit;
        let mut mandates = Vec::with_capacity(rows.len());
        for (key, _) in rows {
            let from = id_of(&key, prefix.len(), Table::MandateTo)?;
            // The row came with the mandate, and mandates stay.
            mandates.extend(self.mandate(&from, to)?);
        }
        let next = mandates.last().filter(|_| full).map(|mandate| mandate.from.clone());
        Ok(MemberPage { rows: mandates, next })
    }

    /// Organisations in the order of their ids that `keep` keeps.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn organisations(
        &self,
        after: Option<&OrganisationId>,
        limit: usize,
        keep: impl Fn(&Organisation) -> bool,
    ) -> Result<MemberPage<Organisation>, Fault> {
        let prefix = vec![Kind::Organisation as u8];
        let mut page = MemberPage { rows: Vec::new(), next: after.cloned() };
        let mut scanned = 0;
        while scanned < SCANNED_MAX {
            // Rows are long: no more of them are read than a page may need.
            let count = limit.saturating_add(1).min(ORGANISATIONS_A_SCAN);
            let range = under(prefix.clone(), page.next.as_ref());
            let rows = self.store.scan(Table::State, range, Direction::Forward, count)?;
            let whole = rows.len() < count;
            scanned += rows.len();
            for (key, value) in rows {
                if page.rows.len() == limit {
                    return Ok(page);
                }
                let organisation: Organisation = state::decode(&StateKey::from_bytes(key), list::record(&value)?)?;
                page.next = Some(organisation.id.clone());
                if keep(&organisation) {
                    page.rows.push(organisation);
                }
            }
            if whole {
                page.next = None;
                return Ok(page);
            }
        }
        Ok(page)
    }
}

/// The keys that begin with a prefix and end with an id, after one of those ids. No id contains a byte of 1 or 0xFF.
fn under(prefix: Vec<u8>, after: Option<&OrganisationId>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let end = Bound::Excluded([prefix.as_slice(), &[0xFF]].concat());
    let start = match after {
        Some(after) => Bound::Excluded([prefix.as_slice(), after.as_str().as_bytes()].concat()),
        None => Bound::Included(prefix),
    };
    (start, end)
}

/// The id behind a key's prefix.
fn id_of(key: &[u8], prefix: usize, table: Table) -> Result<OrganisationId, Fault> {
    let id = key.get(prefix..).and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse().ok());
    let damaged = || StoreFault::Damaged {
        place: format!("a key of {table:?}"),
        expected: "an organisation's id".to_owned(),
        found: key.escape_ascii().to_string(),
    };
    Ok(id.ok_or_else(damaged)?)
}
