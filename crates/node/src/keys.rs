//! Key files: a secret key with its names, readable by its owner alone, and the public half to hand out.
//!
//! ```json
//! {"organisation":"tax-bureau","key_id":"consensus-1","purpose":"consensus","public":"<base64url>","seed":"<base64url>"}
//! ```
//!
//! Seeds come from the operating system, are zeroed when they are no longer needed, and are never printed or logged.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::encoding::{decode_base64url_array, encode_base64url};
use chain::identity::{KeyId, OrganisationId};
use chain::jws::KeyReference;
use chain::key::{PublicKey, SecretKey};
use ledger::organisation::Purpose;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::files;

/// How many bytes a key file may have.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The public half of a key, as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicFile {
    /// Whose key.
    pub(crate) organisation: OrganisationId,
    /// Its id within the organisation.
    pub(crate) key_id: KeyId,
    /// What it signs.
    pub(crate) purpose: Purpose,
    /// The public key.
    pub(crate) public: PublicKey,
}

/// The file of a secret key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a key and its names")]
struct SecretFile {
    organisation: OrganisationId,
    key_id: KeyId,
    purpose: Purpose,
    public: PublicKey,
    seed: String,
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

/// A key with its names.
pub(crate) struct NamedKey {
    /// Whose key.
    pub(crate) organisation: OrganisationId,
    /// Its id within the organisation.
    pub(crate) key_id: KeyId,
    /// What it signs.
    pub(crate) purpose: Purpose,
    /// The secret.
    pub(crate) secret: SecretKey,
}

impl fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedKey({}/{})", self.organisation, self.key_id)
    }
}

impl NamedKey {
    /// A new key from the operating system's randomness.
    pub(crate) fn generate(organisation: OrganisationId, key_id: KeyId, purpose: Purpose) -> anyhow::Result<Self> {
        let seed = random()?;
        Ok(Self { organisation, key_id, purpose, secret: SecretKey::from_seed(*seed) })
    }

    /// Its name outside its organisation.
    pub(crate) fn reference(&self) -> KeyReference {
        KeyReference { organisation: self.organisation.clone(), key: self.key_id.clone() }
    }

    /// The public half.
    pub(crate) fn public(&self) -> PublicFile {
        PublicFile {
            organisation: self.organisation.clone(),
            key_id: self.key_id.clone(),
            purpose: self.purpose,
            public: self.secret.public(),
        }
    }

    /// Writes `<path>` (the secret) and its public half beside it; never over a file that is there.
    pub(crate) fn create(&self, path: &Path) -> anyhow::Result<PathBuf> {
        let seed = self.secret.to_seed();
        let file = SecretFile {
            organisation: self.organisation.clone(),
            key_id: self.key_id.clone(),
            purpose: self.purpose,
            public: self.secret.public(),
            seed: encode_base64url(&*seed),
        };
        let bytes = Zeroizing::new(serde_json::to_vec(&file).context("write the key file as JSON")?);
        files::create_private(path, &bytes)?;
        let public_path = public_path(path);
        let public = serde_json::to_vec(&self.public()).context("write the public file as JSON")?;
        files::create_public(&public_path, &public)?;
        Ok(public_path)
    }

    /// Reads a key file that must be of this purpose.
    pub(crate) fn load(path: &Path, purpose: Purpose) -> anyhow::Result<Self> {
        Self::load_one_of(path, &[purpose])
    }

    /// Reads a key file that must be of one of these purposes.
    pub(crate) fn load_one_of(path: &Path, purposes: &[Purpose]) -> anyhow::Result<Self> {
        files::must_be_private(path)?;
        let context = || format!("read the key file {}", path.display());
        let bytes = Zeroizing::new(files::read(path, FILE_BYTES_MAX)?);
        let file: SecretFile = chain::json::from_slice(&bytes).with_context(context)?;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(
            decode_base64url_array(&file.seed)
                .map_err(|_| anyhow!("its seed is no 32 bytes of base64url"))
                .with_context(context)?,
        );
        let secret = SecretKey::from_seed(*seed);
        if secret.public() != file.public {
            return Err(anyhow!("its seed and its public key do not belong together")).with_context(context);
        }
        let purpose = file.purpose;
        if !purposes.contains(&purpose) {
            let expected = purposes.iter().map(|purpose| name(*purpose)).collect::<Vec<_>>().join(" or ");
            let found = name(purpose);
            return Err(anyhow!("it is a {found} key, and this needs a {expected} key")).with_context(context);
        }
        Ok(Self { organisation: file.organisation.clone(), key_id: file.key_id.clone(), purpose, secret })
    }
}

/// Where the public half of a key file stands: `x.json` has `x.pub.json`.
pub(crate) fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub.json")
}

/// The name of a purpose, as in files and on the command line.
pub(crate) const fn name(purpose: Purpose) -> &'static str {
    purpose.as_str()
}

/// 32 bytes of the operating system's randomness.
pub(crate) fn random() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| anyhow!("get randomness from the operating system: {error}"))?;
    Ok(bytes)
}

/// A secret of 32 bytes in a file of its own, made when it is missing.
pub(crate) fn secret_file(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    if !path.exists() {
        let secret = random()?;
        let text = Zeroizing::new(encode_base64url(&*secret));
        files::create_private(path, text.as_bytes())?;
    }
    files::must_be_private(path)?;
    let text = Zeroizing::new(files::read(path, FILE_BYTES_MAX)?);
    let bytes = decode_base64url_array(text.trim_ascii())
        .map_err(|_| anyhow!("read the secret {}: it is no 32 bytes of base64url", path.display()))?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(purpose: Purpose) -> NamedKey {
        NamedKey::generate("demo-shop".parse().unwrap(), "key-1".parse().unwrap(), purpose).unwrap()
    }

    #[test]
    fn a_key_comes_back_from_its_file_and_its_public_half_holds_no_seed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key-1.json");
        let made = key(Purpose::Login);
        let public = made.create(&path).unwrap();
        let read = NamedKey::load(&path, Purpose::Login).unwrap();
        assert_eq!(read.public(), made.public());
        assert!(!std::fs::read_to_string(public).unwrap().contains("seed"));
        assert!(NamedKey::load(&path, Purpose::Statement).unwrap_err().root_cause().to_string().contains("login key"));
        assert!(made.create(&path).is_err(), "a key file is never overwritten");
    }

    #[test]
    fn a_key_file_whose_halves_differ_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("1.json"), directory.path().join("2.json"));
        key(Purpose::Login).create(&one).unwrap();
        let text = std::fs::read_to_string(&one).unwrap();
        let ours = key(Purpose::Login).public().public.to_string();
        let theirs = NamedKey::load(&one, Purpose::Login).unwrap().public().public.to_string();
        files::create_private(&other, text.replace(&theirs, &ours).as_bytes()).unwrap();
        assert!(NamedKey::load(&other, Purpose::Login).is_err());
    }

    #[test]
    fn debug_never_shows_a_secret() {
        assert_eq!(format!("{:?}", key(Purpose::Login)), "NamedKey(demo-shop/key-1)");
    }
}
