//! Filters: which of the events that a reader may see it wants.

use chain::identity::OrganisationId;
use ledger::event::Event;
use replica::port::Store;

use super::audience::Audience;
use super::item::{Item, LEASE_ENDED};
use crate::access::{SEEING, parse_id};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::service::Service;

/// Which events are asked for. Everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Kinds of events; all when empty.
    pub(crate) kinds: Vec<&'static str>,
    /// Events about this invoice.
    pub(crate) invoice: Option<String>,
    /// Events that this organisation may see too.
    pub(crate) organisation: Option<OrganisationId>,
}

impl Filter {
    /// What a caller asks for: kinds with commas between them, an invoice, an organisation.
    ///
    /// # Errors
    /// `request.query` for a kind that there is not; `invoice.unknown` and `organisation.unknown` for what the caller may
    /// not see, or is not there.
    pub(crate) fn read<S: Store>(
        service: &Service<S>,
        caller: &Caller,
        kind: Option<&str>,
        invoice: Option<&str>,
        organisation: Option<&str>,
    ) -> Result<Self, Problem> {
        let mut filter = Self::default();
        if let Some(text) = kind {
            filter.kinds = kinds(text)?;
        }
        if let Some(text) = invoice {
            let id = parse_id(text)?;
            service.visible(caller, &id)?;
            filter.invoice = Some(id.to_string());
        }
        if let Some(text) = organisation {
            let unknown = || Problem::new("organisation.unknown");
            let id = OrganisationId::new(text).map_err(|_| unknown())?;
            service.query().organisation(&id)?.ok_or_else(unknown)?;
            if !service.sees_for(caller, &id, &SEEING)? {
                return Err(unknown());
            }
            filter.organisation = Some(id);
        }
        Ok(filter)
    }

    pub(super) fn takes(&self, item: &Item) -> bool {
        self.takes_kind(item.kind)
            && self.invoice.as_ref().is_none_or(|invoice| *invoice == item.subject)
            && self.takes_audience(item.audience())
    }

    pub(super) fn takes_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    pub(super) fn takes_audience(&self, audience: &Audience) -> bool {
        self.organisation.as_ref().is_none_or(|organisation| audience.contains_key(organisation))
    }
}

/// Kinds of events, with commas between them.
fn kinds(text: &str) -> Result<Vec<&'static str>, Problem> {
    let kind = |name: &str| {
        let known = Event::KINDS.into_iter().chain([LEASE_ENDED]).find(|kind| *kind == name);
        let expected = || format!("one or more of: {}, {LEASE_ENDED}", Event::KINDS.join(", "));
        known.ok_or_else(|| Problem::new("request.query").at("kind", expected(), name))
    };
    text.split(',').map(kind).collect()
}
