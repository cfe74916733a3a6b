//! The signed note around a checkpoint (<https://c2sp.org/signed-note>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CheckpointError;
use crate::hash::Hash;
use crate::identity::OrganisationId;
use crate::key::{PublicKey, Signature};

/// How many bytes a note may have: 64 KiB.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// How many signatures a note may have.
pub const NOTE_SIGNATURES_MAX: usize = 64;

/// The signature type of Ed25519.
pub(super) const ALGORITHM_ED25519: u8 = 0x01;

/// Begins a signature line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name; an agency's is its organisation id.
    pub name: String,
    /// The first four bytes of the hash of name, algorithm and key.
    pub key_id: [u8; 4],
    /// The signature, in the form of its algorithm.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    pub(super) fn ed25519(organisation: &OrganisationId, key: &PublicKey, signature: &Signature) -> Self {
        Self {
            name: organisation.as_str().to_owned(),
            key_id: key_id(organisation.as_str(), key),
            signature: signature.as_bytes().to_vec(),
        }
    }

    /// Whether the line claims to be by this key.
    pub(super) fn is_by(&self, organisation: &OrganisationId, key: &PublicKey) -> bool {
        self.name == organisation.as_str() && self.key_id == key_id(organisation.as_str(), key)
    }
}

/// The key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ algorithm ‖ key).
pub(super) fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = Hash::of_parts(&[name.as_bytes(), &[0x0a, ALGORITHM_ED25519], key.as_bytes()]);
    *hash.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// Writes base64 as C2SP has it: the standard alphabet, padded (RFC 4648 §4).
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Writes a note.
pub(super) fn write(text: &str, signatures: &[NoteSignature]) -> String {
    let mut note = format!("{text}\n");
    for NoteSignature { name, key_id, signature } in signatures {
        let bytes = [&key_id[..], signature].concat();
        note.extend([DASH, name, " ", &encode_base64(&bytes), "\n"]);
    }
    note
}

/// Takes a note apart into its text, with the last newline, and its signatures.
pub(super) fn parse(bytes: &[u8]) -> Result<(&str, Vec<NoteSignature>), CheckpointError> {
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(CheckpointError::TooLarge { bytes_max: NOTE_BYTES_MAX });
    }
    let note = std::str::from_utf8(bytes).map_err(|_| CheckpointError::NotUtf8)?;
    let expected = "an empty line between text and signatures";
    let middle = note.find("\n\n").ok_or(CheckpointError::Line { line: 5, expected })?;
    let (text, rest) = note.split_at(middle + 1);
    let first_line = text.lines().count() + 2;
    let lines = rest.strip_prefix('\n').unwrap_or(rest);
    let Some(lines) = lines.strip_suffix('\n') else {
        return Err(CheckpointError::Line { line: first_line, expected: "signature lines, each with its newline" });
    };
    let mut signatures = Vec::new();
    for (number, line) in (first_line..).zip(lines.split('\n')) {
        if signatures.len() == NOTE_SIGNATURES_MAX {
            return Err(CheckpointError::TooManySignatures { signatures_max: NOTE_SIGNATURES_MAX });
        }
        let malformed = CheckpointError::Line { line: number, expected: "a signature line, \u{2014} <name> <base64>" };
        signatures.push(parse_signature(line).ok_or(malformed)?);
    }
    Ok((text, signatures))
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
    let named = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    let bytes = STANDARD.decode(signature).ok()?;
    let (key_id, signature) = bytes.split_first_chunk::<4>()?;
    (named && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        key_id: *key_id,
        signature: signature.to_vec(),
    })
}

/// Reads the root line of a checkpoint.
pub(super) fn parse_root(line: &str) -> Result<Hash, CheckpointError> {
    let malformed = CheckpointError::Line { line: 3, expected: "the log's root, 32 bytes of base64" };
    let bytes = STANDARD.decode(line).map_err(|_| malformed.clone())?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| malformed)?;
    Ok(Hash::from_bytes(bytes))
}
