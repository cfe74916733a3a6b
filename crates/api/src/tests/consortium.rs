//! A small consortium: who is on the ledger, with which keys and mandates, and a document to issue.

use std::collections::BTreeSet;

use chain::genesis::{Genesis, GenesisBody, GenesisValidator};
use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::suite::Suite;
use invoice::taxpayer::TaxpayerKind;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Key, Mandate, Organisation, Purpose, Role, Scope, Standing};
use ledger::parameters::Parameters;
use serde_json::{Value, json};

/// 2026-11-15T04:00:00Z: noon in Shenzhen, in the middle of a month.
pub(crate) const NOON: i64 = 1_794_715_200_000;

/// A day in milliseconds.
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Id, taxpayer id, role.
pub(crate) const ORGANISATIONS: [(&str, &str, Role); 9] = [
    ("tax-bureau", "915000000000012", Role::Agency),
    ("police", "915000000000019", Role::Agency),
    ("shop", "91440300708461136T", Role::Enterprise),
    ("isp", "91440300708437873H", Role::ServiceProvider),
    ("buyer", "91350100M000100Y43", Role::Enterprise),
    ("stranger", "915000000000021", Role::Enterprise),
    ("platform-a", "91110000101623741K", Role::ReimbursementPlatform),
    ("platform-b", "92532528MA6L45LX6L", Role::ReimbursementPlatform),
    ("auditor", "915000000000013", Role::Auditor),
];

pub(crate) fn organisation(name: &str) -> OrganisationId {
    OrganisationId::new(name).unwrap()
}

pub(crate) fn secret(organisation: &str, purpose: &str) -> SecretKey {
    SecretKey::from_seed(*Hash::of(format!("{organisation}/{purpose}").as_bytes()).as_bytes())
}

fn key(organisation: &str, id: &str, purpose: Purpose, active: bool) -> Key {
    Key {
        id: KeyId::new(id).unwrap(),
        public: secret(organisation, id).public().into(),
        purposes: BTreeSet::from([purpose]),
        custody: Custody::Own,
        active,
        from_height: 0,
    }
}

fn mandate(from: &str, to: &str, scopes: &[Scope]) -> Mandate {
    let scopes = scopes.iter().copied().collect();
    Mandate { from: organisation(from), to: organisation(to), scopes, expires_ms: None, attested: false }
}

pub(crate) fn genesis() -> Genesis {
    let organisations = ORGANISATIONS.iter().map(|(id, taxpayer, role)| Organisation {
        id: organisation(id),
        name: format!("{id} Ltd"),
        taxpayer_id: taxpayer.parse().unwrap(),
        taxpayer_kind: if taxpayer.len() == 18 { TaxpayerKind::Uscc } else { TaxpayerKind::Other },
        roles: BTreeSet::from([*role]),
        standing: Standing::Active,
        keys: vec![
            // A node of the bureau signs for those who want it.
            Key {
                custody: if *id == "tax-bureau" { Custody::Own } else { Custody::HostedBy(organisation("tax-bureau")) },
                ..key(id, "statement", Purpose::Statement, true)
            },
            key(id, "login", Purpose::Login, true),
            key(id, "old-login", Purpose::Login, false),
            key(id, "old-statement", Purpose::Statement, false),
        ],
    });
    let ledger = LedgerGenesis {
        parameters: Parameters::new(organisation("tax-bureau")),
        organisations: organisations.collect(),
        mandates: vec![
            mandate("shop", "isp", &[Scope::Issue, Scope::File]),
            mandate("buyer", "platform-a", &[Scope::Lock]),
            mandate("buyer", "platform-b", &[Scope::Lock]),
        ],
    };
    let ledger = serde_json::value::RawValue::from_string(serde_json::to_string(&ledger).unwrap()).unwrap();
    let bureau = organisation("tax-bureau");
    let public = |purpose| secret("tax-bureau", purpose).public();
    let body = GenesisBody {
        version: 1,
        name: "test".parse().unwrap(),
        suite: Suite::Ed25519Sha256,
        time_ms: NOON - DAY,
        validators: vec![GenesisValidator {
            organisation: bureau.clone(),
            power: 1,
            consensus: public("consensus"),
            governance: public("governance"),
            receipt: public("receipt"),
        }],
        ledger,
    };
    let mut genesis = Genesis::assemble(&body).unwrap();
    let governance = KeyId::new("governance").unwrap();
    genesis.countersign(&bureau, &governance, &secret("tax-bureau", "governance")).unwrap();
    genesis
}

fn party(name: &str) -> Value {
    let (id, taxpayer, _) = ORGANISATIONS.iter().find(|(id, ..)| *id == name).unwrap();
    json!({"name": format!("{id} Ltd"), "taxpayer_id": taxpayer})
}

/// A document of the shop for the buyer, in order.
pub(crate) fn document(reference: &str) -> Value {
    json!({
        "profile": "blockchain-ordinary",
        "reference": reference,
        "seller": party("shop"),
        "buyer": {"organisation": party("buyer")},
        "lines": [{
            "name": "Meal", "tax_code": "3070401000000000000", "net": "100.00", "tax": {"rate": "0.06"},
            "tax_amount": "6.00"
        }],
        "totals": {"net": "100.00", "tax": "6.00", "gross": "106.00"}
    })
}

/// A document with ten mistakes, some of which stop a typed reader.
pub(crate) fn ten_mistakes() -> Value {
    let mut document = document("with spaces is wrong");
    document["profile"] = json!("paper");
    document["seller"]["taxpayer_id"] = json!("lowercase");
    document["buyer"]["organisation"]["taxpayer_id"] = json!("x");
    document["lines"][0]["tax_code"] = json!("12");
    document["lines"][0]["net"] = json!("1,000.00");
    document["lines"][0]["tax_amount"] = json!(6);
    document["lines"][0]["colour"] = json!("red");
    document["payment_ref"] = json!("zz");
    document["totals"]["gross"] = json!("106.005");
    document
}
