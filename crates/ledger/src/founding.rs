//! Founding a chain: the one way in which agencies, members and parameters become a genesis.
//!
//! Everything comes from the caller, the time too: the same founding gives the same bytes, whoever forms it.

use chain::genesis::{GENESIS_VERSION, Genesis, GenesisBody};
use chain::identity::{ChainName, OrganisationId};
use chain::suite::Suite;
use serde_json::value::RawValue;

use crate::genesis::{GenesisError, LedgerGenesis};
use crate::introduction::seat;
use crate::organisation::{Mandate, Organisation};
use crate::parameters::Parameters;

/// What a chain begins with.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The chain's short name.
    pub name: ChainName,
    /// The time of genesis, in ms since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The ledger's parameters.
    pub parameters: Parameters,
    /// The agencies that run a validator, each with its voting power.
    pub agencies: Vec<(Organisation, u64)>,
    /// The other organisations.
    pub members: Vec<Organisation>,
    /// The mandates between them.
    pub mandates: Vec<Mandate>,
}

/// A founding that makes no genesis.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FoundingError {
    /// An agency without the keys of a validator.
    #[error("{organisation} needs exactly one active consensus, governance and receipt key to run a validator")]
    Seat {
        /// The agency.
        organisation: OrganisationId,
    },
    /// The ledger cannot start from it.
    #[error(transparent)]
    Ledger(#[from] GenesisError),
    /// The chain cannot start from it.
    #[error(transparent)]
    Chain(#[from] chain::genesis::GenesisError),
}

impl Founding {
    /// Puts agencies, members and mandates into the order of their ids, so that it does not matter in which order they
    /// came together.
    pub fn sort(&mut self) {
        self.agencies.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        self.members.sort_by(|one, other| one.id.cmp(&other.id));
        self.mandates.sort_by(|one, other| (&one.from, &one.to).cmp(&(&other.from, &other.to)));
    }

    /// The genesis, which nobody has countersigned.
    ///
    /// # Errors
    /// What does not fit together.
    ///
    /// # Panics
    /// Never: what it writes as JSON has string keys only.
    pub fn genesis(&self) -> Result<Genesis, FoundingError> {
        let validator = |(organisation, power): &(Organisation, u64)| {
            seat(organisation, *power).ok_or_else(|| FoundingError::Seat { organisation: organisation.id.clone() })
        };
        let validators = self.agencies.iter().map(validator).collect::<Result<Vec<_>, _>>()?;
        let agencies = self.agencies.iter().map(|(organisation, _)| organisation);
        let ledger = LedgerGenesis {
            parameters: self.parameters.clone(),
            organisations: agencies.chain(&self.members).cloned().collect(),
            mandates: self.mandates.clone(),
        };
        // Before the chain looks at the keys: the ledger knows whose they are.
        ledger.check(&validators)?;
        let ledger = serde_json::to_string(&ledger).expect("a genesis has string keys only, and memory takes it");
        let body = GenesisBody {
            version: GENESIS_VERSION,
            name: self.name.clone(),
            suite: Suite::Ed25519Sha256,
            time_ms: self.time_ms,
            validators,
            ledger: RawValue::from_string(ledger).expect("what was written as JSON is JSON"),
        };
        let genesis = Genesis::assemble(&body)?;
        // Read as every node will read it.
        LedgerGenesis::read(&genesis)?;
        Ok(genesis)
    }
}
