//! Log checkpoints: a size and root of the log under an agency's signature.
//!
//! The form is C2SP's, so that witnesses and auditors can use the tools they have: a *signed
//! note* (<https://c2sp.org/signed-note>) over a *tlog checkpoint* (<https://c2sp.org/tlog-checkpoint>).
//! The origin is the chain id; one extension line says at which block the log stood so:
//!
//! ```text
//! demo@8860…2510
//! 1234
//! <the root, base64>
//! height 56 <block id, hexadecimal> <block time, ms>
//!
//! — tax-bureau <4 bytes of key id and the signature, base64>
//! ```
//!
//! An agency signs with its receipt key, after commit. A checkpoint is a promise of that agency;
//! the proof of finality is the commit certificate.

mod note;

use std::str::FromStr;

use crate::block::{BlockId, Header};
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::identity::{ChainId, OrganisationId};
use crate::key::{PublicKey, SecretKey, Signature};

use note::encode_base64;

pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NoteSignature};

/// A size and root of the log, and the block after which it stood so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The chain: the note's origin.
    pub chain: ChainId,
    /// How many leaves the log has.
    pub size: u64,
    /// The root of the log.
    pub root: Hash,
    /// The height of the block.
    pub height: u64,
    /// The id of the block.
    pub block_id: BlockId,
    /// The time of the block, in ms since 1970-01-01 UTC.
    pub time_ms: i64,
}

/// A log checkpoint that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is too large.
    #[error("the note exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The note is not UTF-8.
    #[error("the note is not UTF-8")]
    NotUtf8,
    /// A line is not what stands there in a checkpoint.
    #[error("expected {expected} in line {line}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// The note has too many signatures.
    #[error("the note has more than {signatures_max} signatures")]
    TooManySignatures {
        /// The limit.
        signatures_max: usize,
    },
    /// The checkpoint is of another chain.
    #[error("expected chain {expected}, found {found}")]
    Chain {
        /// The chain of the genesis given.
        expected: Box<ChainId>,
        /// The note's origin.
        found: Box<ChainId>,
    },
    /// A known agency's signature does not verify.
    #[error("the signature of {organisation} does not verify under its receipt key")]
    Signature {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// Nobody whose key stands in genesis has signed.
    #[error("no agency of the genesis has signed the checkpoint")]
    NobodyKnown,
}

impl CheckpointError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "checkpoint.too-large",
            Self::NotUtf8 => "checkpoint.not-utf8",
            Self::Line { .. } => "checkpoint.line",
            Self::TooManySignatures { .. } => "checkpoint.too-many-signatures",
            Self::Chain { .. } => "checkpoint.chain",
            Self::Signature { .. } => "checkpoint.signature",
            Self::NobodyKnown => "checkpoint.nobody-known",
        }
    }
}

impl Checkpoint {
    /// The checkpoint of a block: how the log stood after it.
    pub fn of(header: &Header) -> Self {
        Self {
            chain: header.chain.clone(),
            size: header.log_size,
            root: header.log_root,
            height: header.height,
            block_id: header.id(),
            time_ms: header.time_ms,
        }
    }

    /// The note's text, which signatures cover: four lines.
    ///
    /// Changing this makes every checkpoint signed before unreadable.
    pub fn text(&self) -> String {
        let Self { chain, size, root, height, block_id, time_ms } = self;
        let root = encode_base64(root.as_bytes());
        format!("{chain}\n{size}\n{root}\nheight {height} {block_id} {time_ms}\n")
    }

    /// Signs the checkpoint with an organisation's receipt key.
    pub fn sign(self, organisation: &OrganisationId, key: &SecretKey) -> SignedCheckpoint {
        let mut signed = SignedCheckpoint { checkpoint: self, signatures: Vec::new() };
        signed.add_signature(organisation, key);
        signed
    }

    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let mut line = |line, expected| lines.next().ok_or(CheckpointError::Line { line, expected });
        let chain: ChainId = parse_line(line(1, "a chain id")?, 1, "a chain id")?;
        let size = parse_line(line(2, "the log's size")?, 2, "the log's size")?;
        let root = note::parse_root(line(3, "the log's root")?)?;
        let expected = "height <height> <block id> <time in ms>";
        let extension = line(4, expected)?;
        let malformed = CheckpointError::Line { line: 4, expected };
        let mut words = extension.strip_prefix("height ").ok_or(malformed.clone())?.split(' ');
        let mut word = || words.next().ok_or_else(|| malformed.clone());
        let height = parse_line(word()?, 4, expected)?;
        let block_id = parse_line(word()?, 4, expected)?;
        let time_ms = parse_line(word()?, 4, expected)?;
        let checkpoint = Self { chain, size, root, height, block_id, time_ms };
        // One spelling: this also refuses leading zeros, signs, and lines or words beyond these.
        if checkpoint.text() != text {
            return Err(CheckpointError::Line { line: 1, expected: "a checkpoint of four lines in its one spelling" });
        }
        Ok(checkpoint)
    }
}

fn parse_line<T: FromStr>(text: &str, line: usize, expected: &'static str) -> Result<T, CheckpointError> {
    text.parse().map_err(|_| CheckpointError::Line { line, expected })
}

/// A log checkpoint with its signatures. They are believed only after
/// [`SignedCheckpoint::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signatures: Vec<NoteSignature>,
}

impl SignedCheckpoint {
    /// Reads a signed note whose text is a checkpoint of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (text, signatures) = note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse_text(text)?, signatures })
    }

    /// The note: text, empty line, signature lines.
    pub fn to_note(&self) -> String {
        note::write(&self.checkpoint.text(), &self.signatures)
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signatures, of agencies and of others.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds the signature of another organisation's receipt key.
    pub fn add_signature(&mut self, organisation: &OrganisationId, key: &SecretKey) {
        let signature = key.sign(self.checkpoint.text().as_bytes());
        self.signatures.push(NoteSignature::ed25519(organisation, &key.public(), &signature));
    }

    /// Checks that agencies of this genesis have signed with their receipt keys, and gives their
    /// names, sorted.
    ///
    /// As C2SP has it, signatures of keys that genesis does not know are ignored, one of a known
    /// key that does not verify spoils the note, and at least one must be known.
    pub fn verify(&self, genesis: &Genesis) -> Result<Vec<OrganisationId>, CheckpointError> {
        let expected = genesis.chain_id();
        if self.checkpoint.chain != expected {
            let found = Box::new(self.checkpoint.chain.clone());
            return Err(CheckpointError::Chain { expected: Box::new(expected), found });
        }
        let text = self.checkpoint.text();
        let mut signers = std::collections::BTreeSet::new();
        for validator in &genesis.body().validators {
            let organisation = &validator.organisation;
            let by_this_key = |signature: &&NoteSignature| signature.is_by(organisation, &validator.receipt);
            for signature in self.signatures.iter().filter(by_this_key) {
                let invalid = || CheckpointError::Signature { organisation: organisation.clone() };
                let bytes: [u8; 64] = signature.signature.as_slice().try_into().map_err(|_| invalid())?;
                let signature = Signature::from_bytes(bytes);
                validator.receipt.verify_strict(text.as_bytes(), &signature).map_err(|_| invalid())?;
                signers.insert(organisation.clone());
            }
        }
        if signers.is_empty() {
            return Err(CheckpointError::NobodyKnown);
        }
        Ok(signers.into_iter().collect())
    }
}

/// A receipt key as C2SP's tools want it: `name+key id+base64 of the algorithm and the key`.
pub fn verifier_key(organisation: &OrganisationId, key: &PublicKey) -> String {
    let id = hex::encode(note::key_id(organisation.as_str(), key));
    let typed = [&[note::ALGORITHM_ED25519], &key.as_bytes()[..]].concat();
    format!("{organisation}+{id}+{}", encode_base64(&typed))
}

#[cfg(test)]
mod tests;
