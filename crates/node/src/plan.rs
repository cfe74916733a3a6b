//! Who belongs to a development consortium: agencies, demo organisations, mandates.
//!
//! A plan is names and roles only; [`crate::consortium`] gives it keys and a genesis.

use anyhow::Context as _;
use chain::identity::OrganisationId;
use invoice::samples;
use invoice::taxpayer::TaxpayerId;
use ledger::organisation::{Role, Scope};

/// The validator of a development consortium.
pub(crate) const TAX_BUREAU: &str = "tax-bureau";
/// The seller of the samples.
pub(crate) const SHOP: &str = "demo-shop";
/// Issues for sellers.
pub(crate) const PROVIDER: &str = "demo-isp";
/// Buys, and reimburses its people.
pub(crate) const BUYER: &str = "demo-buyer";
/// Two reimbursement platforms.
pub(crate) const PLATFORMS: [&str; 2] = ["demo-platform-a", "demo-platform-b"];
/// Reads everything.
pub(crate) const AUDITOR: &str = "demo-auditor";

/// The agencies of a development consortium: so many validators it may have.
pub(crate) const VALIDATORS_MAX: usize = 4;

/// The registered name of the shop, as the samples spell it.
const SHOP_NAME: &str = "深圳市示例综合服务有限公司";
/// The registered name of the buyer, as the samples spell it.
const BUYER_NAME: &str = "深圳市示例科技有限公司";
/// The buyer's taxpayer id, as in the samples.
const BUYER_TAXPAYER_ID: &str = "91440300MA5DEM0208";

/// The organisations of every plan but shop and buyer: id, name, taxpayer id, role.
const MEMBERS: [(&str, &str, &str, Role); 8] = [
    (TAX_BUREAU, "Demo Tax Bureau", "11440300K31718010F", Role::Agency),
    ("police", "Demo Police", "11440300K31718029C", Role::Agency),
    ("customs", "Demo Customs", "11440300K317180377", Role::Agency),
    ("central-bank", "Demo Central Bank", "11440300K317180452", Role::Agency),
    (PROVIDER, "Demo Issuing Service", "91440300MA5G1TP127", Role::ServiceProvider),
    (PLATFORMS[0], "Demo Reimbursement A", "91440300MA5PLTA14Q", Role::ReimbursementPlatform),
    (PLATFORMS[1], "Demo Reimbursement B", "91440300MA5PLTB102", Role::ReimbursementPlatform),
    (AUDITOR, "Demo Auditor", "12440300AUD1T0013K", Role::Auditor),
];

/// An organisation to be.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// Its id.
    pub(crate) id: OrganisationId,
    /// Its registered name.
    pub(crate) name: String,
    /// Its taxpayer id.
    pub(crate) taxpayer_id: TaxpayerId,
    /// What it may be.
    pub(crate) role: Role,
}

/// A mandate to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedMandate {
    /// Who gives it.
    pub(crate) from: OrganisationId,
    /// Who may act.
    pub(crate) to: OrganisationId,
    /// What for.
    pub(crate) scopes: Vec<Scope>,
}

/// Where the validators of a development consortium listen: the first one here, the others at the ports after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// REST.
    pub(crate) http: u16,
    /// gRPC; no such door when absent.
    pub(crate) grpc: Option<u16>,
    /// Other nodes.
    pub(crate) peers: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { http: 8_080, grpc: None, peers: 7_101 }
    }
}

/// Who belongs to a development consortium.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many of the agencies run a validator: the first ones.
    pub(crate) validators: usize,
    /// Who else runs a node, one that follows.
    pub(crate) observers: Vec<OrganisationId>,
    /// Where they listen when each is started by itself.
    pub(crate) ports: Ports,
    /// The organisations.
    pub(crate) organisations: Vec<Planned>,
    /// Their mandates.
    pub(crate) mandates: Vec<PlannedMandate>,
}

impl Plan {
    /// The demo organisations: a shop that has its invoices issued, a buyer, and those who act for them.
    pub(crate) fn demo() -> anyhow::Result<Self> {
        let mut plan = Self {
            validators: VALIDATORS_MAX,
            observers: Vec::new(),
            ports: Ports::default(),
            organisations: Vec::new(),
            mandates: Vec::new(),
        };
        for (id, name, taxpayer_id, role) in MEMBERS {
            let taxpayer_id = taxpayer_id.parse().context("plan the demo organisations")?;
            plan.organisations.push(Planned { id: organisation(id)?, name: name.to_owned(), taxpayer_id, role });
        }
        let shop = samples::SELLER_TAXPAYER_ID.parse().context("plan the demo's shop")?;
        plan.seller(SHOP, SHOP_NAME, &shop)?;
        let buyer = BUYER_TAXPAYER_ID.parse().context("plan the demo's buyer")?;
        plan.buyer(BUYER, BUYER_NAME, &buyer)?;
        Ok(plan)
    }

    /// The agencies that run a validator.
    pub(crate) fn agencies(&self) -> Vec<OrganisationId> {
        let agencies = self.organisations.iter().filter(|planned| planned.role == Role::Agency);
        agencies.take(self.validators).map(|planned| planned.id.clone()).collect()
    }

    /// The organisation with a taxpayer id.
    pub(crate) fn find(&self, taxpayer_id: &TaxpayerId) -> Option<&Planned> {
        self.organisations.iter().find(|planned| planned.taxpayer_id == *taxpayer_id)
    }

    /// Makes sure that there is a seller, and that the service provider may issue and file for it.
    pub(crate) fn seller(&mut self, id: &str, name: &str, taxpayer_id: &TaxpayerId) -> anyhow::Result<OrganisationId> {
        let seller = self.enterprise(id, name, taxpayer_id)?;
        self.mandate(&seller, PROVIDER, &[Scope::Issue, Scope::File])?;
        Ok(seller)
    }

    /// Makes sure that there is a buyer, and that both platforms may reimburse for it.
    pub(crate) fn buyer(&mut self, id: &str, name: &str, taxpayer_id: &TaxpayerId) -> anyhow::Result<OrganisationId> {
        let buyer = self.enterprise(id, name, taxpayer_id)?;
        for platform in PLATFORMS {
            self.mandate(&buyer, platform, &[Scope::Lock, Scope::Read])?;
        }
        Ok(buyer)
    }

    fn enterprise(&mut self, id: &str, name: &str, taxpayer_id: &TaxpayerId) -> anyhow::Result<OrganisationId> {
        if let Some(known) = self.find(taxpayer_id) {
            return Ok(known.id.clone());
        }
        let id = organisation(id)?;
        self.organisations.push(Planned {
            id: id.clone(),
            name: name.to_owned(),
            taxpayer_id: taxpayer_id.clone(),
            role: Role::Enterprise,
        });
        Ok(id)
    }

    fn mandate(&mut self, from: &OrganisationId, to: &str, scopes: &[Scope]) -> anyhow::Result<()> {
        let mandate = PlannedMandate { from: from.clone(), to: organisation(to)?, scopes: scopes.to_vec() };
        // A seller that also buys gives mandates to different organisations, so a pair stands once.
        if !self.mandates.contains(&mandate) {
            self.mandates.push(mandate);
        }
        Ok(())
    }
}

/// An organisation's id.
pub(crate) fn organisation(id: &str) -> anyhow::Result<OrganisationId> {
    id.parse().with_context(|| format!("use {id} as an organisation's id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::introductions::taxpayer_kind;
    use invoice::document::{Buyer, Document};
    use invoice::taxpayer::TaxpayerKind;

    #[test]
    fn every_planned_organisation_has_a_sound_unified_social_credit_code() {
        for planned in Plan::demo().unwrap().organisations {
            let kind = taxpayer_kind(&planned.taxpayer_id);
            assert_eq!(kind, TaxpayerKind::Uscc, "{}: {}", planned.id, planned.taxpayer_id);
        }
    }

    #[test]
    fn the_shop_and_the_buyer_are_those_of_the_samples() {
        let plan = Plan::demo().unwrap();
        let document = Document::parse(samples::all()[0].json.as_bytes()).unwrap();
        let Buyer::Organisation(buyer) = document.buyer else { panic!("the first sample's buyer is an organisation") };
        for (id, party) in [(SHOP, document.seller), (BUYER, buyer)] {
            let planned = plan.find(&party.taxpayer_id).unwrap();
            assert_eq!((planned.id.as_str(), &planned.name), (id, &party.name));
        }
    }

    #[test]
    fn who_is_known_is_not_planned_twice() {
        let mut plan = Plan::demo().unwrap();
        let before = plan.organisations.len();
        let mandates = plan.mandates.len();
        let id = plan.buyer("buyer-1", BUYER_NAME, &BUYER_TAXPAYER_ID.parse().unwrap()).unwrap();
        assert_eq!((id.as_str(), plan.organisations.len(), plan.mandates.len()), (BUYER, before, mandates));
    }
}
