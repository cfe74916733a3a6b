//! Making statements: for clients, and for a node that signs with hosted keys.

use serde::Serialize;

use super::{Mode, STATEMENT_TYPE, StatementHeader};
use crate::identity::ChainId;
use crate::jws::{self, Algorithm, KeyReference};
use crate::key::{SecretKey, Signature};

/// The header in the order in which drafts write it. Readers take any order.
#[derive(Serialize)]
struct HeaderFields<'a> {
    alg: Algorithm,
    typ: &'static str,
    kid: KeyReference,
    chain: &'a ChainId,
    nonce: &'a str,
    exp: u64,
}

/// A statement that is not signed yet: its signing input stands, and with it its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    signing_input: String,
}

impl Draft {
    /// Drafts a statement. The payload is taken as it is; [`payload`] makes one.
    pub fn new(header: StatementHeader, payload: impl AsRef<[u8]>) -> Self {
        let fields = HeaderFields {
            alg: Algorithm::EdDsa,
            typ: STATEMENT_TYPE,
            kid: KeyReference { organisation: header.organisation, key: header.key },
            chain: &header.chain,
            nonce: header.nonce.as_str(),
            exp: header.expires_at,
        };
        let header = serde_json::to_vec(&fields).expect("strings and a number always serialise");
        Self { signing_input: jws::signing_input(&header, payload.as_ref()) }
    }

    /// What is to be signed, byte for byte.
    pub fn signing_input(&self) -> &str {
        &self.signing_input
    }

    /// Signs the draft. The result is the statement's JWS.
    pub fn sign(&self, key: &SecretKey) -> Vec<u8> {
        self.with_signature(&key.sign(self.signing_input.as_bytes()))
    }

    /// Completes the draft with a signature made elsewhere. It is not verified here.
    pub fn with_signature(&self, signature: &Signature) -> Vec<u8> {
        jws::complete(&self.signing_input, signature).into_bytes()
    }
}

/// The payload of a statement: `{"mode":…,"events":[…]}`, each event as its JSON stands.
///
/// Events that are no JSON objects make a payload that no node accepts.
pub fn payload<E: AsRef<str>>(mode: Mode, events: &[E]) -> Vec<u8> {
    let mut text = format!("{{\"mode\":\"{mode}\",\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(event.as_ref());
    }
    text.push_str("]}");
    text.into_bytes()
}
