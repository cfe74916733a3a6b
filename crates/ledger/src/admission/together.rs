//! Verifying many statements together: what needs no state but a key may be done on several threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use chain::key::PreparedKey;

use super::{Court, Parsed, Verified};
use crate::organisation::AdmittedKey;
use crate::parallel::{Workers, map};
use crate::state::Fault;

impl Court<'_> {
    /// Verifies signatures and documents of statements, several at once.
    ///
    /// Gives for each what [`Court::judge`] need not look at again, and `None` where something does not
    /// hold: `judge` says what.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn verify_together(
        &self,
        statements: &[&Parsed],
        workers: &dyn Workers,
    ) -> Result<Vec<Option<Verified>>, Fault> {
        let mut points: BTreeMap<AdmittedKey, Arc<PreparedKey>> = BTreeMap::new();
        let mut jobs = Vec::with_capacity(statements.len());
        for &parsed in statements {
            let key = self.judge_key(parsed.statement(), parsed.signers())?.ok();
            if let Some(key) = key
                && !points.contains_key(&key)
            {
                points.insert(key, self.prepared(&key)?);
            }
            jobs.push((parsed, key));
        }
        let (parameters, date, hash) = (self.parameters(), self.date, self.rules.hash);
        Ok(map(workers, &jobs, |_, (parsed, key)| {
            let key = (*key)?;
            parsed.statement().verify_prepared(points.get(&key)?).ok()?;
            let holds = parsed.violations(parameters, date).is_empty();
            holds.then(|| Verified { statement: parsed.statement().id(), key, date, parameters: hash })
        }))
    }
}
