//! `einvoice genesis assemble`: introductions, members and parameters become a genesis.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainName, OrganisationId};
use invoice::rules::Rules;
use ledger::founding::Founding;
use ledger::parameters::{Checkpoints, Lease, Limits, Numbering, Parameters};
use serde::{Deserialize, Serialize};

use super::view::View;
use crate::clock;
use crate::commands::init::Members;
use crate::copies;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::introductions::{self, Introduced};
use crate::output::{Output, Report};

/// How many bytes a file of parameters may have.
const PARAMETERS_BYTES_MAX: u64 = 1024 * 1024;

/// Put introductions together to a genesis.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The chain's short name.
    #[arg(long, value_name = "NAME")]
    chain: ChainName,
    /// The agency that is the tax bureau of this chain.
    #[arg(long, value_name = "ID")]
    tax_bureau: OrganisationId,
    /// Further organisations, which did not introduce themselves, and the mandates: JSON
    /// `{"organisations":[…],"mandates":[…]}` as in a genesis.
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,
    /// Parameters of the ledger that are not as by default: JSON `{"lease":{…},"limits":{…}}` as in a genesis.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// The time of genesis, RFC 3339 in UTC; when the newest introduction was made, when absent.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Where the genesis goes; a file that is there is never overwritten.
    #[arg(long, value_name = "FILE", default_value = "genesis.json")]
    out: PathBuf,
    /// The introductions that `keys agency` and `keys member` made, in any order.
    #[arg(required = true, value_name = "INTRODUCTION")]
    introductions: Vec<PathBuf>,
}

/// Parameters in a file; the tax bureau is named on the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "an object with numbering, rules, limits, lease and checkpoints")]
struct ParametersFile {
    numbering: Numbering,
    rules: Rules,
    limits: Limits,
    lease: Lease,
    checkpoints: Checkpoints,
}

/// What was put together.
#[derive(Debug, Serialize)]
struct Assembled {
    introductions: Vec<Read>,
    genesis: View,
    /// The file, for what to do next.
    file: PathBuf,
}

/// An introduction that was read.
#[derive(Debug, Serialize)]
struct Read {
    organisation: OrganisationId,
    fingerprint: String,
    file: PathBuf,
}

impl Report for Assembled {
    fn text(&self) -> String {
        let read = |read: &Read| {
            let Read { organisation, fingerprint, file } = read;
            format!("introduced   {organisation} {fingerprint} {}", file.display())
        };
        let mut lines: Vec<String> = self.introductions.iter().map(read).collect();
        lines.push(self.genesis.text());
        let file = files::quoted(&self.file);
        lines.push(format!("sign it with einvoice genesis sign {file} --agency DIRECTORY"));
        lines.join("\n")
    }
}

/// Puts them together.
pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    if args.out.exists() {
        let text = format!("assemble a genesis: {} is there already", args.out.display());
        return Err(Failure::text(Exit::Usage, text));
    }
    let mut introduced: Vec<Introduced> = Vec::new();
    for path in &args.introductions {
        introduced.push(introductions::read(path).or_exit(Exit::Usage)?);
    }
    introduced.sort_by(|one, other| one.introduction.organisation.id.cmp(&other.introduction.organisation.id));
    let founding = founding(args, &introduced).or_exit(Exit::Usage)?;
    let mut genesis = founding.genesis().context("assemble a genesis").or_exit(Exit::Usage)?;
    let view = View::of(&genesis, Some(&args.out))?;
    copies::write(&mut genesis, &args.out).or_exit(Exit::Usage)?;
    let read = |introduced: Introduced| Read {
        organisation: introduced.introduction.organisation.id,
        fingerprint: introduced.fingerprint,
        file: introduced.path,
    };
    let introductions = introduced.into_iter().map(read).collect();
    output.data(&Assembled { introductions, genesis: view, file: args.out.clone() })?;
    Ok(Exit::Done)
}

/// What the chain begins with, in an order that does not depend on how it was given.
fn founding(args: &Args, introduced: &[Introduced]) -> anyhow::Result<Founding> {
    let newest = introduced.iter().map(|introduced| introduced.introduction.time_ms).max();
    let time_ms = match &args.time {
        Some(text) => api::parse_ms(text)
            .with_context(|| format!("read --time {text}: expected a time like 2026-01-31T08:00:00Z"))?,
        None => newest.context("assemble a genesis: there is no introduction")?,
    };
    // No node could make block 1 before its clock has passed genesis.
    if time_ms > clock::machine_ms() {
        let (time, now) = (api::format_ms(time_ms), api::format_ms(clock::machine_ms()));
        return Err(anyhow!("the time of genesis, {time}, is ahead of this machine's clock, {now}"))
            .context("assemble a genesis");
    }
    let Members { mut organisations, mandates } = Members::read(args.members.as_deref())?;
    let mut agencies = Vec::new();
    for Introduced { introduction, .. } in introduced {
        match introduction.power {
            Some(power) => agencies.push((introduction.organisation.clone(), power)),
            None => organisations.push(introduction.organisation.clone()),
        }
    }
    let parameters = parameters(args.parameters.as_deref(), &args.tax_bureau)?;
    let name = args.chain.clone();
    let mut founding = Founding { name, time_ms, parameters, agencies, members: organisations, mandates };
    founding.sort();
    Ok(founding)
}

fn parameters(file: Option<&Path>, tax_bureau: &OrganisationId) -> anyhow::Result<Parameters> {
    let Some(path) = file else { return Ok(Parameters::new(tax_bureau.clone())) };
    let read: ParametersFile = chain::json::from_slice(&files::read(path, PARAMETERS_BYTES_MAX)?)
        .with_context(|| format!("read the parameters in {}", path.display()))?;
    let ParametersFile { numbering, rules, limits, lease, checkpoints } = read;
    Ok(Parameters { tax_bureau: tax_bureau.clone(), numbering, rules, limits, lease, checkpoints })
}
