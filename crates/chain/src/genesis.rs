//! Genesis: the document a chain begins with, and the first validators' signatures under it.
//!
//! The file is a JWS in JSON General Serialisation (RFC 7515 §7.2.1). Its payload, the *body*,
//! names the chain and its first validators, and carries what the ledger begins with as JSON that
//! this crate does not read. The genesis hash is SHA-256 of the body's exact bytes, so nothing in
//! the body can name the chain id; what binds the body to its authors are the countersignatures
//! of every validator's governance key.
//!
//! A genesis file has one spelling (see [`Genesis::to_bytes`]): a changed byte is always noticed,
//! by the parser, by the hash or by a signature.

mod body;
mod error;

use crate::block::BlockId;
use crate::encoding::decode_base64url;
use crate::hash::Hash;
use crate::identity::{ChainId, KeyId, OrganisationId};
use crate::json;
use crate::jws::KeyReference;
use crate::jws::general::{self, File, FileSignature};
use crate::key::{PublicKey, SecretKey};
use crate::suite::Suite;
use crate::validators::ValidatorSet;

pub use body::{GENESIS_VERSION, GenesisBody, GenesisValidator};
pub use error::GenesisError;

/// How many bytes a genesis file may have: 16 MiB.
pub const GENESIS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The `typ` of a countersignature's protected header.
pub const GENESIS_TYP: &str = "einvoice-genesis+jws";

/// How a validator's countersignature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Countersigned {
    /// It is there, and verifies.
    Verified,
    /// It is there, and does not verify.
    Wrong,
    /// It is not there.
    Missing,
}

/// One validator's countersignature.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Countersignature {
    organisation: OrganisationId,
    file: FileSignature,
}

/// A genesis: its body, exact bytes and hash, and the countersignatures it has so far.
#[derive(Clone, Debug)]
pub struct Genesis {
    body: GenesisBody,
    bytes: Vec<u8>,
    hash: Hash,
    validators: ValidatorSet,
    countersignatures: Vec<Countersignature>,
}

impl Genesis {
    /// Makes a genesis without countersignatures.
    pub fn assemble(body: &GenesisBody) -> Result<Self, GenesisError> {
        let bytes =
            serde_json::to_vec(body).expect("a genesis body has string keys only, and memory takes every write");
        // Read back from its bytes, so that what is assembled is exactly what others will read.
        let genesis = Self::from_body(bytes)?;
        if genesis.to_bytes().len() > GENESIS_BYTES_MAX {
            return Err(GenesisError::TooLarge { bytes_max: GENESIS_BYTES_MAX });
        }
        Ok(genesis)
    }

    /// Reads a genesis file.
    ///
    /// Checked: form, limits, one spelling, the body's own rules, and that each countersignature
    /// is of a validator, once. Whether they verify, and whether all are there, is for
    /// [`Genesis::verify_countersignatures`]: a genesis is passed round to be signed.
    pub fn parse(bytes: &[u8]) -> Result<Self, GenesisError> {
        if bytes.len() > GENESIS_BYTES_MAX {
            return Err(GenesisError::TooLarge { bytes_max: GENESIS_BYTES_MAX });
        }
        let file: File = json::from_slice(bytes).map_err(GenesisError::File)?;
        let mut genesis = Self::from_body(decode_base64url(&file.payload).map_err(GenesisError::Payload)?)?;
        for (place, signature) in file.signatures.into_iter().enumerate() {
            let organisation =
                signature.signer(GENESIS_TYP).map_err(|reason| GenesisError::Protected { place, reason })?.organisation;
            genesis.governance_key(&organisation)?;
            if genesis.countersignatures.last().is_some_and(|before| before.organisation >= organisation) {
                return Err(GenesisError::NotSorted { organisation });
            }
            genesis.countersignatures.push(Countersignature { organisation, file: signature });
        }
        general::check_spelling(bytes, &genesis.to_bytes()).map_err(|offset| GenesisError::Spelling { offset })?;
        Ok(genesis)
    }

    /// The same genesis, to the byte, without countersignatures.
    #[must_use]
    pub fn unsigned(&self) -> Self {
        Self { countersignatures: Vec::new(), ..self.clone() }
    }

    fn from_body(bytes: Vec<u8>) -> Result<Self, GenesisError> {
        let body: GenesisBody = json::from_slice(&bytes).map_err(GenesisError::Body)?;
        let validators = body.check()?;
        let hash = Hash::of(&bytes);
        Ok(Self { body, bytes, hash, validators, countersignatures: Vec::new() })
    }

    /// The file's bytes, in its one spelling: compact JSON with the members in the order
    /// `payload`, `signatures`, `protected`, `signature`, the countersignatures sorted by
    /// organisation, and a newline at the end (the only byte that may be missing).
    pub fn to_bytes(&self) -> Vec<u8> {
        File::new(&self.bytes, self.countersignatures.iter().map(|signature| signature.file.clone()).collect())
            .to_bytes()
    }

    /// What the body says.
    pub fn body(&self) -> &GenesisBody {
        &self.body
    }

    /// The body's exact bytes: what the genesis hash covers and the countersignatures sign.
    pub fn body_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the ledger begins with, as the exact JSON of the body.
    pub fn ledger_json(&self) -> &str {
        self.body.ledger.get()
    }

    /// The genesis hash: SHA-256 of the body's exact bytes.
    ///
    /// Changing this forks the chain.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The id of the block at height 0, which is block 1's parent: the genesis hash.
    pub fn block_id(&self) -> BlockId {
        self.hash.into()
    }

    /// The chain id: the chain's name and the genesis hash.
    pub fn chain_id(&self) -> ChainId {
        ChainId::new(self.body.name.clone(), self.hash)
    }

    /// The suite of the chain.
    pub const fn suite(&self) -> Suite {
        self.body.suite
    }

    /// The time of genesis, in ms since 1970-01-01 UTC. Block 1 is later.
    pub const fn time_ms(&self) -> i64 {
        self.body.time_ms
    }

    /// The validator set of height 1.
    pub const fn validator_set(&self) -> &ValidatorSet {
        &self.validators
    }

    /// The organisations that have countersigned, verified or not, sorted.
    pub fn countersigners(&self) -> impl Iterator<Item = &OrganisationId> {
        self.countersignatures.iter().map(|signature| &signature.organisation)
    }

    /// How each validator's countersignature stands, in the order of the body.
    pub fn countersigned(&self) -> impl Iterator<Item = (&OrganisationId, Countersigned)> {
        self.body.validators.iter().map(|validator| {
            let found = self.countersignatures.iter().find(|found| found.organisation == validator.organisation);
            let standing = match found.map(|found| found.file.verify(&validator.governance, &self.bytes)) {
                Some(Ok(())) => Countersigned::Verified,
                Some(Err(_)) => Countersigned::Wrong,
                None => Countersigned::Missing,
            };
            (&validator.organisation, standing)
        })
    }

    /// Checks that every validator has countersigned with its governance key, and that nothing
    /// else stands among the countersignatures.
    pub fn verify_countersignatures(&self) -> Result<(), GenesisError> {
        self.verify_those_there()?;
        // Sorted and of validators, each once, since `parse` and `countersign` see to it.
        let is_missing = |(organisation, standing): (&OrganisationId, _)| {
            (standing == Countersigned::Missing).then(|| organisation.clone())
        };
        let organisations: Vec<_> = self.countersigned().filter_map(is_missing).collect();
        if organisations.is_empty() { Ok(()) } else { Err(GenesisError::Missing { organisations }) }
    }

    /// Checks the countersignatures that are there; others may be missing yet.
    pub fn verify_those_there(&self) -> Result<(), GenesisError> {
        for Countersignature { organisation, file } in &self.countersignatures {
            let key = self.governance_key(organisation)?;
            if file.verify(&key, &self.bytes).is_err() {
                return Err(GenesisError::Signature { organisation: organisation.clone(), key: Box::new(key) });
            }
        }
        Ok(())
    }

    /// Takes over the countersignatures of another copy of this genesis that this one does not have.
    ///
    /// Refused: another body, and a countersignature in either that does not verify.
    pub fn merge(&mut self, other: &Self) -> Result<(), GenesisError> {
        if other.hash != self.hash {
            return Err(GenesisError::OtherBody { expected: self.hash, found: other.hash });
        }
        self.verify_those_there()?;
        other.verify_those_there()?;
        for new in &other.countersignatures {
            let place = self.countersignatures.binary_search_by(|old| old.organisation.cmp(&new.organisation));
            if let Err(place) = place {
                self.countersignatures.insert(place, new.clone());
            }
        }
        Ok(())
    }

    /// Adds an organisation's countersignature, or replaces the one it has.
    ///
    /// `key_id` names the governance key within the organisation; it is signed and shown, and the
    /// ledger gives it its meaning.
    pub fn countersign(
        &mut self,
        organisation: &OrganisationId,
        key_id: &KeyId,
        key: &SecretKey,
    ) -> Result<(), GenesisError> {
        let expected = self.governance_key(organisation)?;
        if key.public() != expected {
            return Err(GenesisError::WrongKey { organisation: organisation.clone(), key: Box::new(expected) });
        }
        let by = KeyReference { organisation: organisation.clone(), key: key_id.clone() };
        let file = FileSignature::new(GENESIS_TYP, &by, key, &self.bytes);
        let new = Countersignature { organisation: organisation.clone(), file };
        match self.countersignatures.binary_search_by(|signature| signature.organisation.cmp(organisation)) {
            Ok(place) => self.countersignatures[place] = new,
            Err(place) => self.countersignatures.insert(place, new),
        }
        Ok(())
    }

    fn governance_key(&self, organisation: &OrganisationId) -> Result<PublicKey, GenesisError> {
        match self.body.validator(organisation) {
            Some(validator) => Ok(validator.governance),
            None => Err(GenesisError::UnknownSigner { organisation: organisation.clone() }),
        }
    }
}

#[cfg(test)]
mod tests;
