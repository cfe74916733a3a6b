//! `einvoice genesis sign`: an agency countersigns, when the genesis holds exactly what it introduced.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::genesis::Genesis;
use chain::jws::KeyReference;
use ledger::genesis::LedgerGenesis;
use ledger::introduction::Introduction;
use ledger::organisation::Purpose;
use serde::Serialize;

use super::view::View;
use crate::copies;
use crate::exit::{Exit, Exits as _, Failure};
use crate::introductions::{self, Introduced};
use crate::keys::NamedKey;
use crate::output::{Output, Report};

/// Where an agency has its governance key, beside its introduction.
const GOVERNANCE: &str = "keys/governance-1.json";

/// Sign a genesis.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The genesis.
    file: PathBuf,
    /// The agency's directory, or its introduction.
    #[arg(long, value_name = "DIRECTORY")]
    agency: PathBuf,
    /// The agency's governance key; `keys/governance-1.json` beside the introduction when absent.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the signed copy goes; the file itself is signed when absent. A copy of the same genesis that is there is
    /// replaced, and its signatures are kept.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was signed.
#[derive(Debug, Serialize)]
struct Signed {
    by: String,
    genesis: View,
}

impl Report for Signed {
    fn text(&self) -> String {
        format!("signed with  {}\n{}", self.by, self.genesis.text())
    }
}

/// Signs.
pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let Introduced { path, introduction, .. } = introductions::read(&args.agency).or_exit(Exit::Usage)?;
    let mut genesis = copies::read_copy(&args.file).or_exit(Exit::Usage)?;
    let context = || format!("sign the genesis {}", args.file.display());
    // A signature beside one that is wrong would seem to approve of it.
    genesis.verify_those_there().with_context(context).or_exit(Exit::Usage)?;
    must_hold(&genesis, &introduction).with_context(context).or_exit(Exit::Usage)?;
    let place = args.key.clone().unwrap_or_else(|| path.with_file_name(GOVERNANCE));
    let key = governance_key(&place, &introduction).with_context(context).or_exit(Exit::Usage)?;
    genesis.countersign(&key.organisation, &key.key_id, &key.secret).with_context(context).or_exit(Exit::Usage)?;
    let out = args.out.as_ref().unwrap_or(&args.file);
    copies::write(&mut genesis, out).or_exit(Exit::Usage)?;
    output.data(&Signed { by: key.reference().to_string(), genesis: View::of(&genesis, Some(out))? })?;
    Ok(Exit::Done)
}

/// Refuses a genesis that holds something else than the agency introduced.
pub(crate) fn must_hold(genesis: &Genesis, introduction: &Introduction) -> anyhow::Result<()> {
    let ledger = LedgerGenesis::read(genesis)?;
    let differences = introduction.differences(genesis, &ledger);
    if differences.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let id = &introduction.organisation.id;
    Err(anyhow!("it does not hold what {id} introduced: {}", told.join("; ")))
}

/// The governance key in a file, which must be the one that was introduced.
fn governance_key(path: &Path, introduction: &Introduction) -> anyhow::Result<NamedKey> {
    let key = NamedKey::load(path, Purpose::Governance)?;
    let organisation = &introduction.organisation;
    let introduced = organisation.keys.iter().find(|listed| listed.purposes.contains(&Purpose::Governance));
    let introduced = introduced.with_context(|| format!("{} introduced no governance key", organisation.id))?;
    if introduced.public == key.secret.public().into() && key.organisation == organisation.id {
        return Ok(key);
    }
    let expected = KeyReference { organisation: organisation.id.clone(), key: introduced.id.clone() };
    let (found, public) = (key.reference(), key.secret.public());
    Err(anyhow!("{} holds {found} ({public}), expected {expected} ({})", path.display(), introduced.public))
}
