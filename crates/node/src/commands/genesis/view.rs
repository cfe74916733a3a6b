//! What a genesis holds, for who is to sign it or to start on it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chain::genesis::{Countersigned, Genesis, GenesisValidator};
use chain::identity::OrganisationId;
use chain::key::PublicKey;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Key, Mandate, Organisation};
use ledger::parameters::Parameters;
use serde::Serialize;

use crate::exit::{Exit, Exits as _, Failure};
use crate::keys;
use crate::output::Report;

/// What a genesis holds.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// The file it was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    chain: String,
    genesis: String,
    suite: u16,
    time: String,
    power_total: u64,
    power_quorum: u64,
    validators: Vec<ValidatorView>,
    parameters: Parameters,
    /// Those that run no validator.
    members: Vec<Organisation>,
    mandates: Vec<Mandate>,
    /// Whose signatures are there and verify.
    signed: Vec<OrganisationId>,
    /// Whose signatures are there and do not verify.
    wrong: Vec<OrganisationId>,
    /// Whose signatures are not there.
    missing: Vec<OrganisationId>,
    /// Whether a node starts on it.
    complete: bool,
}

/// One of the first validators.
#[derive(Debug, Serialize)]
struct ValidatorView {
    organisation: OrganisationId,
    name: String,
    taxpayer_id: String,
    power: u64,
    consensus: PublicKey,
    governance: PublicKey,
    receipt: PublicKey,
    /// The keys that the ledger lists besides.
    other_keys: Vec<Key>,
    signed: &'static str,
}

impl View {
    /// The view of a genesis that the ledger can start from.
    pub(super) fn of(genesis: &Genesis, file: Option<&Path>) -> Result<Self, Failure> {
        let ledger = LedgerGenesis::read(genesis).context("read the genesis").or_exit(Exit::Usage)?;
        let who = |wanted: Countersigned| -> Vec<OrganisationId> {
            let found = genesis.countersigned().filter(|(_, standing)| *standing == wanted);
            found.map(|(organisation, _)| organisation.clone()).collect()
        };
        let body = genesis.body();
        let validators = body.validators.iter().zip(genesis.countersigned());
        let validators = validators.map(|(validator, (_, standing))| ValidatorView::of(validator, standing, &ledger));
        Ok(Self {
            file: file.map(Path::to_owned),
            chain: genesis.chain_id().to_string(),
            genesis: genesis.hash().to_string(),
            suite: genesis.suite().number(),
            time: api::format_ms(genesis.time_ms()),
            power_total: genesis.validator_set().total_power(),
            power_quorum: genesis.validator_set().quorum_power(),
            validators: validators.collect(),
            signed: who(Countersigned::Verified),
            wrong: who(Countersigned::Wrong),
            missing: who(Countersigned::Missing),
            complete: genesis.verify_countersignatures().is_ok(),
            members: ledger.organisations.into_iter().filter(|member| body.validator(&member.id).is_none()).collect(),
            mandates: ledger.mandates,
            parameters: ledger.parameters,
        })
    }

    /// The parameters for people: what differs from the defaults of this program.
    fn parameters_text(&self) -> Vec<String> {
        let spelled = |parameters: &Parameters| serde_json::to_value(parameters).unwrap_or_default();
        let defaults = spelled(&Parameters::new(self.parameters.tax_bureau.clone()));
        let own = spelled(&self.parameters);
        let differing = own.as_object().into_iter().flatten().filter(|(name, value)| defaults.get(name) != Some(value));
        let lines: Vec<String> = differing.map(|(name, value)| format!("  {name:<12} {value}")).collect();
        if lines.is_empty() { vec!["  as this program has them by default".to_owned()] } else { lines }
    }
}

impl ValidatorView {
    fn of(validator: &GenesisValidator, standing: Countersigned, ledger: &LedgerGenesis) -> Self {
        let &GenesisValidator { ref organisation, power, consensus, governance, receipt } = validator;
        let seat = [consensus, governance, receipt].map(Into::into);
        let listed = ledger.organisations.iter().find(|listed| listed.id == *organisation);
        Self {
            organisation: organisation.clone(),
            name: listed.map(|listed| listed.name.clone()).unwrap_or_default(),
            taxpayer_id: listed.map(|listed| listed.taxpayer_id.to_string()).unwrap_or_default(),
            power,
            consensus,
            governance,
            receipt,
            other_keys: listed
                .map(|listed| listed.keys.iter().filter(|key| !seat.contains(&key.public)).cloned().collect())
                .unwrap_or_default(),
            signed: match standing {
                Countersigned::Verified => "yes",
                Countersigned::Wrong => "wrong",
                Countersigned::Missing => "no",
            },
        }
    }

    fn lines(&self) -> Vec<String> {
        let Self { organisation, taxpayer_id, power, .. } = self;
        let name = shown(&self.name);
        let mut lines =
            vec![format!("  {organisation}: {name}, {taxpayer_id}, power {power}, signed: {}", self.signed)];
        for (purpose, key) in
            [("consensus", self.consensus), ("governance", self.governance), ("receipt", self.receipt)]
        {
            lines.push(format!("    {purpose:<12} {key}"));
        }
        lines.extend(self.other_keys.iter().map(key_line));
        lines
    }
}

/// A key that the ledger lists.
fn key_line(key: &Key) -> String {
    let purposes: Vec<&str> = key.purposes.iter().map(|purpose| keys::name(*purpose)).collect();
    let custody = match &key.custody {
        Custody::Own => String::new(),
        Custody::HostedBy(agency) => format!(", held by {agency}"),
    };
    let revoked = if key.active { "" } else { ", revoked" };
    format!("    {:<12} {}{custody}{revoked}", purposes.join("+"), key.public)
}

/// A name on one line, so that nobody's name passes for a line of ours.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

fn words<T: Serialize>(values: impl IntoIterator<Item = T>) -> String {
    let spelled = |value| match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    };
    let words: Vec<String> = values.into_iter().map(spelled).collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
}

impl Report for View {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(file) = &self.file {
            lines.push(format!("file         {}", file.display()));
        }
        lines.push(format!("chain        {}", self.chain));
        lines.push(format!("genesis      {}", self.genesis));
        lines.push(format!("time         {}, suite {}", self.time, self.suite));
        let (count, total, quorum) = (self.validators.len(), self.power_total, self.power_quorum);
        lines.push(format!("validators   {count}, voting power {total}, of which {quorum} decide"));
        lines.extend(self.validators.iter().flat_map(ValidatorView::lines));
        lines.push(format!("tax bureau   {}", self.parameters.tax_bureau));
        lines.push("parameters".to_owned());
        lines.extend(self.parameters_text());
        lines.push(format!("members      {}", self.members.len()));
        for member in &self.members {
            let Organisation { id, taxpayer_id, roles, .. } = member;
            let name = shown(&member.name);
            lines.push(format!("  {id}: {name}, {taxpayer_id}, {}", words(roles)));
            lines.extend(member.keys.iter().map(key_line));
        }
        lines.push(format!("mandates     {}", self.mandates.len()));
        for Mandate { from, to, scopes, expires_ms, attested } in &self.mandates {
            let until = expires_ms.map(|ms| format!(", until {}", api::format_ms(ms))).unwrap_or_default();
            let how = if *attested { ", attested" } else { "" };
            lines.push(format!("  {from} to {to}: {}{until}{how}", words(scopes)));
        }
        lines.push(format!("signed by    {}", words(&self.signed)));
        if !self.wrong.is_empty() {
            lines.push(format!("wrong        {}: the signature does not verify", words(&self.wrong)));
        }
        lines.push(if self.complete {
            "complete     a node starts on it".to_owned()
        } else {
            format!("missing      {}", words(&self.missing))
        });
        lines.join("\n")
    }
}
