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

use serde::{Deserialize, Serialize};

use crate::block::BlockId;
use crate::encoding::{decode_base64url, encode_base64url};
use crate::hash::Hash;
use crate::identity::{ChainId, IdentityError, KeyId, OrganisationId};
use crate::json;
use crate::key::{PublicKey, SecretKey, Signature};
use crate::suite::Suite;
use crate::validators::ValidatorSet;

pub use body::{GENESIS_VERSION, GenesisBody, GenesisValidator};
pub use error::GenesisError;

/// How many bytes a genesis file may have: 16 MiB.
pub const GENESIS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The `typ` of a countersignature's protected header.
pub const GENESIS_TYP: &str = "einvoice-genesis+jws";

/// The file. The order of the fields is that of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    payload: String,
    signatures: Vec<FileSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    /// base64url of the protected header, kept as it was signed.
    protected: String,
    signature: Signature,
}

/// The protected header of a countersignature, in the order we write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedHeader {
    alg: String,
    typ: String,
    kid: String,
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
            let organisation = signer(place, &signature.protected)?;
            genesis.governance_key(&organisation)?;
            if genesis.countersignatures.last().is_some_and(|before| before.organisation >= organisation) {
                return Err(GenesisError::NotSorted { organisation });
            }
            genesis.countersignatures.push(Countersignature { organisation, file: signature });
        }
        check_spelling(bytes, &genesis.to_bytes())?;
        Ok(genesis)
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
        let file = File {
            payload: encode_base64url(&self.bytes),
            signatures: self.countersignatures.iter().map(|signature| signature.file.clone()).collect(),
        };
        let mut bytes = serde_json::to_vec(&file).expect("the file has string keys only, and memory takes every write");
        bytes.push(b'\n');
        bytes
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

    /// Checks that every validator has countersigned with its governance key, and that nothing
    /// else stands among the countersignatures.
    pub fn verify_countersignatures(&self) -> Result<(), GenesisError> {
        for Countersignature { organisation, file } in &self.countersignatures {
            let key = self.governance_key(organisation)?;
            let input = signing_input(&file.protected, &self.bytes);
            if key.verify_strict(input.as_bytes(), &file.signature).is_err() {
                return Err(GenesisError::Signature { organisation: organisation.clone(), key: Box::new(key) });
            }
        }
        // Sorted and of validators, each once, since `parse` and `countersign` see to it.
        let missing = self
            .body
            .validators
            .iter()
            .map(|validator| &validator.organisation)
            .find(|organisation| !self.countersigners().any(|signer| signer == *organisation));
        match missing {
            Some(organisation) => Err(GenesisError::Missing { organisation: organisation.clone() }),
            None => Ok(()),
        }
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
        let protected = ProtectedHeader {
            alg: "EdDSA".to_owned(),
            typ: GENESIS_TYP.to_owned(),
            kid: format!("{organisation}/{key_id}"),
        };
        let protected = serde_json::to_vec(&protected).expect("three strings, and memory takes every write");
        let protected = encode_base64url(&protected);
        let signature = key.sign(signing_input(&protected, &self.bytes).as_bytes());
        let new = Countersignature { organisation: organisation.clone(), file: FileSignature { protected, signature } };
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

/// What a countersignature signs: the JWS signing input (RFC 7515 §5.1).
///
/// Changing this makes every countersignature invalid.
fn signing_input(protected: &str, body: &[u8]) -> String {
    format!("{protected}.{}", encode_base64url(body))
}

/// The organisation that a protected header names, its form checked.
fn signer(place: usize, protected: &str) -> Result<OrganisationId, GenesisError> {
    let malformed = |reason: String| GenesisError::Protected { place, reason };
    let bytes = decode_base64url(protected).map_err(|error| malformed(error.to_string()))?;
    let header: ProtectedHeader = json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if !matches!(header.alg.as_str(), "EdDSA" | "Ed25519") {
        return Err(malformed("expected alg EdDSA or Ed25519".to_owned()));
    }
    if header.typ != GENESIS_TYP {
        return Err(malformed(format!("expected typ {GENESIS_TYP}")));
    }
    let kid = |error: IdentityError| malformed(format!("kid: {error}"));
    let (organisation, key_id) =
        header.kid.split_once('/').ok_or_else(|| malformed("expected kid <organisation>/<key id>".to_owned()))?;
    let _: KeyId = key_id.parse().map_err(kid)?;
    organisation.parse().map_err(kid)
}

/// Refuses a file in a second spelling; its last newline may be missing.
fn check_spelling(found: &[u8], expected: &[u8]) -> Result<(), GenesisError> {
    if found == expected || expected.strip_suffix(b"\n") == Some(found) {
        return Ok(());
    }
    let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    Err(GenesisError::Spelling { offset: same })
}

#[cfg(test)]
mod tests;
