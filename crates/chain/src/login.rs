//! Login tokens: how an organisation proves who it is to one node, without a user database.
//!
//! A token is a JWT (RFC 7519) that the organisation signs with a login key on the ledger. `aud`
//! ties it to one node, `exp` to an hour, `jti`, `request` and `body_sha256` to one request. It is never
//! recorded. Whether the key may log in, the ledger knows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::encoding::{decode_base64url_array, encode_base64url};
use crate::hash::Hash;
use crate::identity::{KeyId, OrganisationId};
use crate::json::{self, JsonError};
use crate::jws::{self, Algorithm, Compact, JwsError, KeyReference};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::statement::Nonce;

#[cfg(test)]
mod tests;

/// The `typ` of every login token.
pub const LOGIN_TYPE: &str = "einvoice-login+jwt";

/// How many bytes a token may have.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// How long a token may live, in seconds.
pub const LIFETIME_S_MAX: u64 = 3_600;

/// How far ahead of the node's clock a token may be issued, in seconds.
pub const ISSUED_AHEAD_S_MAX: u64 = 60;

/// Why a login token is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Not a compact JWS in its canonical spelling.
    #[error("the token is not a compact JWS: {0}")]
    Jws(#[source] JwsError),
    /// The header is not strict JSON with exactly `alg`, `typ` and `kid`.
    #[error("the token's header is malformed: {0}")]
    Header(#[source] JsonError),
    /// The claims are not strict JSON with `aud`, `iat`, `exp`, perhaps `jti`, `request` and `body_sha256`.
    #[error("the token's claims are malformed: {0}")]
    Claims(#[source] JsonError),
    /// A claim has a value that it cannot have.
    #[error("the token's claim {claim} is malformed: {reason}")]
    Claim {
        /// Which claim.
        claim: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// `typ` is another type.
    #[error("the token's typ is {found:?}, not {LOGIN_TYPE}")]
    Type {
        /// The type found, shortened.
        found: String,
    },
    /// The signature does not verify.
    #[error("the token's signature does not verify under the key {key}")]
    Signature {
        /// The key that the header names.
        key: KeyReference,
    },
    /// The token is meant for another node.
    #[error("the token is meant for {found:?}, this node is {expected:?}")]
    Audience {
        /// This node.
        expected: String,
        /// The node the token names, shortened.
        found: String,
    },
    /// The token lives longer than an hour, or ends before it begins.
    #[error("the token lives from {issued_at} to {expires_at}, at most 3600 seconds are allowed")]
    Lifetime {
        /// `iat`, in unix seconds.
        issued_at: u64,
        /// `exp`, in unix seconds.
        expires_at: u64,
    },
    /// The token was issued in the future.
    #[error("the token was issued at {issued_at}, it is {now_s}")]
    NotYetValid {
        /// `iat`, in unix seconds.
        issued_at: u64,
        /// The node's time, in unix seconds.
        now_s: u64,
    },
    /// The token has expired.
    #[error("the token expired at {expires_at}, it is {now_s}")]
    Expired {
        /// `exp`, in unix seconds.
        expires_at: u64,
        /// The node's time, in unix seconds.
        now_s: u64,
    },
    /// The request needs a token with this claim.
    #[error("the token has no {claim}, which this request needs")]
    BodyNotCovered {
        /// The claim that is missing.
        claim: &'static str,
    },
    /// The token covers another request: method and path.
    #[error("the token covers {expected:?}, found {found:?}")]
    RequestMismatch {
        /// What the token covers.
        expected: String,
        /// What was asked, shortened.
        found: String,
    },
    /// The token covers another body.
    #[error("the token covers a body with SHA-256 {expected}, found {found}")]
    BodyMismatch {
        /// What the token covers.
        expected: Hash,
        /// What was sent.
        found: Hash,
    },
}

impl LoginError {
    /// The stable code; the catalogue says what to do about it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Jws(_) | Self::Header(_) | Self::Claims(_) | Self::Claim { .. } => "login.malformed",
            Self::Type { .. } => "login.type",
            Self::Signature { .. } => "login.signature",
            Self::Audience { .. } => "login.audience",
            Self::Lifetime { .. } => "login.lifetime",
            Self::NotYetValid { .. } => "login.not-yet-valid",
            Self::Expired { .. } => "login.expired",
            Self::RequestMismatch { .. } => "login.request-mismatch",
            Self::BodyNotCovered { .. } | Self::BodyMismatch { .. } => "login.body-mismatch",
        }
    }
}

/// The header as JSON. The type comes first in the checks: a statement is no malformed login.
#[derive(Deserialize)]
struct RawType<'a> {
    #[serde(borrow)]
    typ: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader<'a> {
    alg: Algorithm,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    kid: KeyReference,
}

/// The claims as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaims<'a> {
    #[serde(borrow)]
    aud: Cow<'a, str>,
    iat: u64,
    exp: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    jti: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body_sha256: Option<Cow<'a, str>>,
}

/// What an organisation claims when it logs in; signed, it becomes a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginDraft {
    /// Who logs in.
    pub organisation: OrganisationId,
    /// With which of its keys.
    pub key: KeyId,
    /// To which node: `aud`.
    pub audience: String,
    /// Since when, in unix seconds: `iat`.
    pub issued_at: u64,
    /// Until when, in unix seconds: `exp`; at most an hour later.
    pub expires_at: u64,
    /// The token's own id: `jti`. Hosted writes need it.
    pub jti: Option<Nonce>,
    /// Method and path of the request, as in `POST /v1/invoices`: `request`. Hosted writes need it.
    pub request: Option<String>,
    /// SHA-256 of the request's body: `body_sha256`. Hosted writes need it.
    pub body_sha256: Option<Hash>,
}

impl LoginDraft {
    /// Signs the token.
    pub fn sign(&self, key: &SecretKey) -> String {
        let header = RawHeader {
            alg: Algorithm::EdDsa,
            typ: LOGIN_TYPE.into(),
            kid: KeyReference { organisation: self.organisation.clone(), key: self.key.clone() },
        };
        let claims = RawClaims {
            aud: self.audience.as_str().into(),
            iat: self.issued_at,
            exp: self.expires_at,
            jti: self.jti.as_ref().map(|jti| jti.as_str().into()),
            request: self.request.as_deref().map(Into::into),
            body_sha256: self.body_sha256.map(|hash| encode_base64url(hash.as_bytes()).into()),
        };
        let header = serde_json::to_vec(&header).expect("strings always serialise");
        let claims = serde_json::to_vec(&claims).expect("strings and numbers always serialise");
        let signing_input = jws::signing_input(&header, &claims);
        let signature = key.sign(signing_input.as_bytes());
        jws::complete(&signing_input, &signature)
    }
}

/// A login token that is well-formed. It proves nothing until [`LoginToken::verify`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginToken {
    signing_input: String,
    signature: Signature,
    key: KeyReference,
    audience: String,
    issued_at: u64,
    expires_at: u64,
    jti: Option<Nonce>,
    request: Option<String>,
    body_sha256: Option<Hash>,
}

impl LoginToken {
    /// Reads a token, strictly: unknown header fields and claims are refused, `aud` is one string.
    pub fn parse(token: &str) -> Result<Self, LoginError> {
        let jws = Compact::parse(token.as_bytes(), TOKEN_BYTES_MAX).map_err(LoginError::Jws)?;
        let RawType { typ } = jws::read_header(&jws.header).map_err(LoginError::Header)?;
        if typ != LOGIN_TYPE {
            return Err(LoginError::Type { found: json::excerpt(&typ) });
        }
        let header: RawHeader<'_> = json::from_checked_slice(&jws.header).map_err(LoginError::Header)?;
        let claims: RawClaims<'_> = json::from_slice(&jws.payload).map_err(LoginError::Claims)?;
        let jti = match claims.jti {
            None => None,
            Some(text) => Some(Nonce::new(text).map_err(|error| malformed("jti", &error))?),
        };
        let body_sha256 = match claims.body_sha256 {
            None => None,
            Some(text) => {
                let bytes =
                    decode_base64url_array(text.as_bytes()).map_err(|error| malformed("body_sha256", &error))?;
                Some(Hash::from_bytes(bytes))
            }
        };
        Ok(Self {
            signing_input: token.get(..jws.signing_input.len()).unwrap_or_default().to_owned(),
            signature: jws.signature,
            key: header.kid,
            audience: claims.aud.into_owned(),
            issued_at: claims.iat,
            expires_at: claims.exp,
            jti,
            request: claims.request.map(Cow::into_owned),
            body_sha256,
        })
    }

    /// Who says to log in.
    pub fn organisation(&self) -> &OrganisationId {
        &self.key.organisation
    }

    /// With which of its keys.
    pub fn key(&self) -> &KeyId {
        &self.key.key
    }

    /// The node the token is meant for.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Since when, in unix seconds.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// Until when, in unix seconds.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The token's own id, if it has one.
    pub fn jti(&self) -> Option<&Nonce> {
        self.jti.as_ref()
    }

    /// Method and path of the request, if the token covers one.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// SHA-256 of the request's body, if the token covers one.
    pub fn body_sha256(&self) -> Option<Hash> {
        self.body_sha256
    }

    /// Verifies the signature, the audience (this node's id) and the time.
    ///
    /// `now_s` is the node's time in unix seconds. A token has expired from `exp` on.
    pub fn verify(&self, key: &PublicKey, audience: &str, now_s: u64) -> Result<(), LoginError> {
        // The signature first: nobody learns anything about a token that is not theirs.
        key.verify_strict(self.signing_input.as_bytes(), &self.signature)
            .map_err(|_| LoginError::Signature { key: self.key.clone() })?;
        if self.audience != audience {
            return Err(LoginError::Audience { expected: audience.to_owned(), found: json::excerpt(&self.audience) });
        }
        let (issued_at, expires_at) = (self.issued_at, self.expires_at);
        match expires_at.checked_sub(issued_at) {
            Some(1..=LIFETIME_S_MAX) => {}
            _ => {
                return Err(LoginError::Lifetime { issued_at, expires_at });
            }
        }
        if issued_at > now_s.saturating_add(ISSUED_AHEAD_S_MAX) {
            return Err(LoginError::NotYetValid { issued_at, now_s });
        }
        if now_s >= expires_at {
            return Err(LoginError::Expired { expires_at, now_s });
        }
        Ok(())
    }

    /// Checks that the token covers this request (method and path, as in `POST /v1/invoices`) and this
    /// body, and has an id of its own: what a request needs that writes with a hosted key. Gives that id.
    pub fn verify_write(&self, request: &str, body: &[u8]) -> Result<&Nonce, LoginError> {
        let missing = |claim| LoginError::BodyNotCovered { claim };
        let jti = self.jti.as_ref().ok_or_else(|| missing("jti"))?;
        let covered = self.request.as_deref().ok_or_else(|| missing("request"))?;
        if covered != request {
            // The same body may mean an unlock on one path and a close on another.
            let (expected, found) = (json::excerpt(covered), json::excerpt(request));
            return Err(LoginError::RequestMismatch { expected, found });
        }
        let expected = self.body_sha256.ok_or_else(|| missing("body_sha256"))?;
        let found = Hash::of(body);
        if found != expected {
            return Err(LoginError::BodyMismatch { expected, found });
        }
        Ok(jti)
    }
}

fn malformed(claim: &'static str, reason: &dyn std::fmt::Display) -> LoginError {
    LoginError::Claim { claim, reason: reason.to_string() }
}
