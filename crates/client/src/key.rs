//! Keys of an organisation, with their names.

use std::fmt;

use chain::encoding::decode_base64url_array;
use chain::identity::{KeyId, OrganisationId};
use chain::jws::KeyReference;
use chain::key::{PublicKey, SecretKey};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;

/// What a key is for, as key files say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Logging in.
    Login,
    /// Signing statements.
    Statement,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Statement => "statement",
        }
    }
}

/// A secret key with its names.
#[derive(Clone)]
pub struct Key {
    /// Whose key.
    pub organisation: OrganisationId,
    /// Its id within the organisation.
    pub id: KeyId,
    /// The secret.
    pub secret: SecretKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.reference())
    }
}

/// The file of a secret key, as `einvoice keys` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    organisation: OrganisationId,
    key_id: KeyId,
    purpose: String,
    public: PublicKey,
    seed: String,
}

impl Drop for File {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl Key {
    /// Reads the content of a key file, as `einvoice keys` writes it, that must be of this purpose.
    ///
    /// # Errors
    /// [`Error::Option`], which never holds anything of the file but its purpose.
    pub fn from_json(bytes: &[u8], purpose: Purpose) -> Result<Self, Error> {
        let wrong = |expected, found: &str| Error::Option { what: "key file", expected, found: found.to_owned() };
        let file: File =
            chain::json::from_slice(bytes).map_err(|_| wrong("the JSON of a key file", "something else"))?;
        if file.purpose != purpose.as_str() {
            return Err(wrong(purpose.as_str(), &file.purpose));
        }
        let seed = decode_base64url_array(&file.seed).map_err(|_| wrong("a seed of 32 bytes", "another length"))?;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed);
        let secret = SecretKey::from_seed(*seed);
        if secret.public() != file.public {
            return Err(wrong("a seed and its public key", "two of different keys"));
        }
        Ok(Self { organisation: file.organisation.clone(), id: file.key_id.clone(), secret })
    }

    /// Its name outside its organisation: `<organisation>/<key>`.
    pub fn reference(&self) -> KeyReference {
        KeyReference { organisation: self.organisation.clone(), key: self.id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(purpose: &str, seed: &str) -> String {
        let public = SecretKey::from_seed([7; 32]).public();
        format!(r#"{{"organisation":"shop","key_id":"k-1","purpose":"{purpose}","public":"{public}","seed":"{seed}"}}"#)
    }

    #[test]
    fn a_key_file_is_read_for_its_purpose_and_its_secret_is_never_shown() {
        let seed = chain::encoding::encode_base64url(&[7; 32]);
        let key = Key::from_json(file("login", &seed).as_bytes(), Purpose::Login).expect("it is a login key");
        assert_eq!(format!("{key:?}"), "Key(shop/k-1)");
        for (text, purpose) in [
            (file("login", &seed), Purpose::Statement),
            (file("login", &chain::encoding::encode_base64url(&[8; 32])), Purpose::Login),
            (file("login", "short"), Purpose::Login),
            (file("login", &seed).replace("key_id", "kid"), Purpose::Login),
        ] {
            let refused = Key::from_json(text.as_bytes(), purpose).expect_err("it is another key").to_string();
            assert!(!refused.contains(&seed), "{refused}");
        }
    }
}
