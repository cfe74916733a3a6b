//! Introductions in files: an organisation makes its keys and the one public file that it hands out, and others read it.
//!
//! ```text
//! DIRECTORY/
//!   agency.json      what is handed out, signed by every key in it; member.json for who runs no validator
//!   keys/            consensus-1.json …, each readable by its owner alone, and its public half beside it
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainId, OrganisationId};
use chain::introduction::{INTRODUCTION_BYTES_MAX, SignedIntroduction};
use chain::suite::Suite;
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use ledger::introduction::{AGENCY_PURPOSES, INTRODUCTION_VERSION, Introduction, MEMBER_PURPOSES, OBSERVER_PURPOSES};
use ledger::organisation::{Organisation, Role, Standing};

use crate::clock;
use crate::files::{self, Staging};
use crate::keyring::Keyring;

/// The introduction of an agency, in its directory.
pub(crate) const AGENCY_FILE: &str = "agency.json";

/// The introduction of any other organisation, in its directory.
pub(crate) const MEMBER_FILE: &str = "member.json";

/// Characters of a unified social credit code.
const USCC_CHARS: usize = 18;

/// Where the keys are, in the directory of an organisation.
const KEYS: &str = "keys";

/// Who introduces itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Its id.
    pub(crate) id: OrganisationId,
    /// Its registered name.
    pub(crate) name: String,
    /// Its taxpayer id.
    pub(crate) taxpayer_id: TaxpayerId,
    /// As what that id is registered.
    pub(crate) taxpayer_kind: TaxpayerKind,
    /// The chain that runs, onto which it is to be admitted; none for a genesis.
    pub(crate) chain: Option<ChainId>,
    /// What it may be.
    pub(crate) roles: BTreeSet<Role>,
    /// The voting power of its validator; none without one.
    pub(crate) power: Option<u64>,
    /// Whether it runs a node without a vote.
    pub(crate) observer: bool,
}

/// An introduction from a file.
#[derive(Debug)]
pub(crate) struct Introduced {
    /// The file.
    pub(crate) path: PathBuf,
    /// What people compare to know that they have the same file.
    pub(crate) fingerprint: String,
    /// What it says, checked.
    pub(crate) introduction: Introduction,
}

/// The file of an introduction, in the directory of its organisation.
pub(crate) fn file_name(introduction: &Introduction) -> &'static str {
    if introduction.power.is_some() { AGENCY_FILE } else { MEMBER_FILE }
}

/// Makes the keys of an organisation and what they say of it, without a file for the latter.
pub(crate) fn keys_of(about: About, directory: &Path) -> anyhow::Result<(Keyring, Introduction)> {
    let purposes: &[_] = match about.power {
        Some(_) => &AGENCY_PURPOSES,
        None if about.observer => &OBSERVER_PURPOSES,
        None => &MEMBER_PURPOSES,
    };
    let keyring = Keyring::create(directory, &about.id, purposes)?;
    let introduction = Introduction {
        version: INTRODUCTION_VERSION,
        suite: Suite::Ed25519Sha256,
        time_ms: clock::machine_ms(),
        power: about.power,
        chain: about.chain,
        organisation: Organisation {
            taxpayer_kind: about.taxpayer_kind,
            id: about.id,
            name: about.name,
            taxpayer_id: about.taxpayer_id,
            roles: about.roles,
            standing: Standing::Active,
            keys: keyring.entries(),
        },
    };
    Ok((keyring, introduction))
}

/// Makes the directory of an organisation: its keys, and its introduction last, because it says that they are there.
pub(crate) fn create(directory: &Path, about: About) -> anyhow::Result<Introduced> {
    let context = || format!("make keys in {}", directory.display());
    for name in [KEYS, AGENCY_FILE, MEMBER_FILE] {
        let path = directory.join(name);
        if path.exists() {
            let path = path.display();
            return Err(anyhow!("{path} is there already, and keys are never overwritten")).with_context(context);
        }
    }
    let staging = Staging::begin(directory)?;
    let (keyring, introduction) = keys_of(about, &staging.path().join(KEYS))?;
    let signed = introduction.sign(&keyring.secrets()).with_context(context)?;
    let name = file_name(&introduction);
    files::create_public(&staging.path().join(name), &signed.to_bytes())?;
    staging.publish(&[KEYS, name])?;
    Ok(Introduced { path: directory.join(name), fingerprint: signed.fingerprint().to_string(), introduction })
}

/// Where the introduction is, in the directory of its organisation; an agency's when there is none.
pub(crate) fn in_directory(directory: &Path) -> PathBuf {
    let [agency, member] = [AGENCY_FILE, MEMBER_FILE].map(|name| directory.join(name));
    if member.exists() && !agency.exists() { member } else { agency }
}

/// Reads an introduction, from its file or from the directory of its organisation.
pub(crate) fn read(path: &Path) -> anyhow::Result<Introduced> {
    let path = if path.is_dir() { in_directory(path) } else { path.to_owned() };
    let limit = u64::try_from(INTRODUCTION_BYTES_MAX).unwrap_or(u64::MAX);
    let context = || format!("read the introduction {}", path.display());
    let signed = SignedIntroduction::parse(&files::read(&path, limit)?).with_context(context)?;
    let introduction = Introduction::open(&signed).with_context(context)?;
    Ok(Introduced { fingerprint: signed.fingerprint().to_string(), introduction, path })
}

/// As what a taxpayer id is registered, as somebody says it. What looks like a unified social credit code and has another
/// check character is more often mistyped than registered so: that must be said.
pub(crate) fn registered_kind(taxpayer_id: &TaxpayerId, said: Option<TaxpayerKind>) -> anyhow::Result<TaxpayerKind> {
    match (said, taxpayer_kind(taxpayer_id)) {
        (Some(said), _) => Ok(said),
        (None, TaxpayerKind::Other) if taxpayer_id.as_str().len() == USCC_CHARS => {
            let kind = "taxpayer kind \"other\"";
            Err(anyhow!(
                "{taxpayer_id} has not the check character of a unified social credit code: mend it, or say {kind}"
            ))
        }
        (None, kind) => Ok(kind),
    }
}

/// As what a taxpayer id can be registered: one whose check character fails is no unified social credit code.
pub(crate) fn taxpayer_kind(taxpayer_id: &TaxpayerId) -> TaxpayerKind {
    match taxpayer_id.check_registered(TaxpayerKind::Uscc) {
        Ok(()) => TaxpayerKind::Uscc,
        Err(_) => TaxpayerKind::Other,
    }
}
