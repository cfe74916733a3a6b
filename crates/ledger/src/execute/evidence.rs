//! Evidence: a validator that signed two things which exclude each other, written down for ever.
//!
//! One record for each validator, height, round and step: whoever reports it again is given the first leaf, whichever
//! two things it holds. Nothing follows from it by rule; what the agencies do about it is theirs.

use chain::equivocation::{Equivocation, EquivocationError, Which};
use chain::hash::StatementId;
use chain::identity::ChainId;
use chain::suite::Suite;
use chain::validators::ValidatorSet;

use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated, role};
use crate::organisation::{AdmittedKey, Organisation, Purpose, Role};
use crate::outcome::Record;
use crate::record::{CounterRecord, EvidenceRecord, LeafRef};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read, require};

/// The suite of the votes. There is one; the rules that bring another will say which chain has which.
const SUITE: Suite = Suite::Ed25519Sha256;

/// An equivocation about to be written down: everything but the leaf.
pub(super) struct EvidenceChange {
    record: EvidenceRecord,
}

impl Executor<'_> {
    pub(super) fn decide_evidence(&self, actor: &Organisation, chain: &ChainId, evidence: &Equivocation) -> Decision {
        permit!(role(actor, &[Role::Agency]));
        let Some(validator) = self.organisation(&evidence.validator)? else {
            let found = evidence.validator.to_string();
            return refuse(Refusal::new(Reason::OrganisationUnknown, "a validator on the ledger", found));
        };
        // What is signed ahead of the chain says nothing yet, and would stand before all that is to come.
        if evidence.height == 0 || evidence.height > self.context.height {
            let expected = format!("a height from 1 to {}", self.context.height);
            return refuse(Refusal::new(Reason::EvidenceInvalid, expected, evidence.height.to_string()));
        }
        let keys = self.consensus_keys(&validator)?;
        let key = match signed_by(evidence, chain, &keys)? {
            Ok(key) => key,
            Err(error) => return refuse(invalid(evidence, keys.len(), error)),
        };
        let Equivocation { validator, height, round, kind, .. } = evidence;
        if let Some(first) =
            read::<EvidenceRecord>(&self.state, &StateKey::evidence(*height, *round, *kind, validator))?
        {
            return repeated(first.leaf);
        }
        let number = self.next_number(&StateKey::evidence_counter())?;
        let record = EvidenceRecord {
            number,
            validator: validator.clone(),
            height: *height,
            round: *round,
            kind: *kind,
            key,
            by: actor.id.clone(),
            reported_ms: self.context.time_ms,
            // The leaf is not known yet; `apply_evidence` sets it.
            leaf: LeafRef { index: 0, hash: chain.genesis() },
        };
        let change = Change::Evidence(Box::new(EvidenceChange { record }));
        Ok(Ok(Accepted { record: Record::Reported { number, key }, change, mandated: false }))
    }

    pub(super) fn apply_evidence(
        &mut self,
        change: EvidenceChange,
        by: StatementId,
        leaf: LeafRef,
    ) -> Result<(), Fault> {
        let record = EvidenceRecord { leaf, ..change.record };
        let key = StateKey::evidence(record.height, record.round, record.kind, &record.validator);
        self.state.put(StateKey::evidence_counter(), &by.hash(), &CounterRecord { next: record.number + 1 })?;
        self.state.put(key, &by.hash(), &record)
    }

    /// The consensus keys of an organisation, active or revoked: those it lists, and the one it validates with.
    fn consensus_keys(&self, organisation: &Organisation) -> Result<Vec<AdmittedKey>, Fault> {
        let listed = organisation.keys.iter().filter(|key| key.purposes.contains(&Purpose::Consensus));
        let mut keys: Vec<_> = listed.map(|key| key.public).collect();
        let set: ValidatorSet = require(&self.state, &StateKey::validators())?;
        let seats = set.validators().iter().filter(|validator| validator.organisation == organisation.id);
        keys.extend(seats.map(|validator| AdmittedKey::from(validator.key)));
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

/// The key of these that signed both things, or what is wrong under the one that comes furthest.
fn signed_by(
    evidence: &Equivocation,
    chain: &ChainId,
    keys: &[AdmittedKey],
) -> Result<Result<AdmittedKey, EquivocationError>, Fault> {
    let mut error = EquivocationError::Signature { which: Which::First };
    for key in keys {
        let point = key.point().map_err(|error| Fault::Read(error.into()))?;
        match evidence.verify(chain, SUITE, &point) {
            Ok(()) => return Ok(Ok(*key)),
            Err(EquivocationError::Signature { which: Which::First }) => {}
            Err(further) => error = further,
        }
    }
    Ok(Err(error))
}

fn invalid(evidence: &Equivocation, keys: usize, error: EquivocationError) -> Refusal {
    let Equivocation { validator, height, round, kind, .. } = evidence;
    let expected = match error {
        EquivocationError::Same => "two that differ in block or pol_round".to_owned(),
        EquivocationError::Order => "the lesser block first, nil before all, then the lesser pol_round".to_owned(),
        EquivocationError::NoBlock { .. } => "proposals of a block".to_owned(),
        EquivocationError::PolRound { .. } => "votes without pol_round".to_owned(),
        EquivocationError::Signature { .. } => {
            format!(
                "a {kind} of height {height}, round {round} on this chain, signed with a consensus key of {validator} \
                 ({keys} on the ledger)"
            )
        }
    };
    Refusal::new(Reason::EvidenceInvalid, expected, error.to_string())
}

/// The subject of a report: whose equivocation, and where.
pub(super) fn subject(evidence: &Equivocation) -> String {
    let Equivocation { validator, height, round, kind, .. } = evidence;
    format!("evidence:{validator}/{height}/{round}/{kind}")
}
