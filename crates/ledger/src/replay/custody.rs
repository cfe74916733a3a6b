//! In whose hands the keys were that signed what was decided: what an auditor asks before believing that a party meant it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::organisation::Custody;

/// Events by custody. Each counts once: where an agency holds the key it could have signed alone, whoever the key
/// belongs to and whomever it signed for, so that comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByCustody {
    /// Signed by the party itself, with a key in its own hands.
    pub itself: u64,
    /// Signed by a provider or platform for another, under its mandate, with a key in its own hands.
    pub under_mandate: u64,
    /// Signed with a key that an agency hosts, by agency.
    pub hosted: BTreeMap<String, u64>,
}

impl ByCustody {
    /// Counts an event.
    pub(super) fn count(&mut self, key: &Custody, mandated: bool) {
        match key {
            Custody::HostedBy(agency) => *self.hosted.entry(agency.to_string()).or_default() += 1,
            Custody::Own if mandated => self.under_mandate += 1,
            Custody::Own => self.itself += 1,
        }
    }
}
