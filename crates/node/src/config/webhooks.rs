//! `[webhooks]`: how many, and where they may go.

use std::path::PathBuf;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

/// Endpoints that the events of the ledger are posted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WebhooksConfig {
    /// Endpoints at most. Each may have one connection.
    pub(crate) endpoints_max: usize,
    /// Those of one organisation at most.
    pub(crate) endpoints_an_organisation_max: usize,
    /// Deliveries of one endpoint at most that are kept after they were given up.
    pub(crate) dead_letters_an_endpoint_max: usize,
    /// How long a delivery may take, ms.
    pub(crate) delivery_timeout_ms: u64,
    /// Whether endpoints may be on this very machine, also without TLS.
    pub(crate) allow_loopback: bool,
    /// Networks that endpoints may be in although they are not for everybody.
    pub(crate) allow_networks: Vec<String>,
    /// Certificates to trust besides those that browsers trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        let api::WebhookOptions {
            endpoints_max,
            endpoints_an_organisation_max,
            dead_letters_an_endpoint_max,
            delivery_timeout_ms,
            loopback,
            ..
        } = api::WebhookOptions::default();
        Self {
            endpoints_max,
            endpoints_an_organisation_max,
            dead_letters_an_endpoint_max,
            delivery_timeout_ms,
            allow_loopback: loopback,
            allow_networks: Vec::new(),
            ca: None,
        }
    }
}

impl WebhooksConfig {
    /// What the doors need of it, but for the certificates.
    ///
    /// # Errors
    /// A network that is none.
    pub(super) fn options(&self) -> anyhow::Result<api::WebhookOptions> {
        let network = |text: &String| {
            let read = text.parse::<api::IpNet>();
            read.map_err(|_| anyhow!("webhooks.allow-networks: expected networks such as 10.1.0.0/16, found {text:?}"))
        };
        Ok(api::WebhookOptions {
            endpoints_max: self.endpoints_max,
            endpoints_an_organisation_max: self.endpoints_an_organisation_max,
            dead_letters_an_endpoint_max: self.dead_letters_an_endpoint_max,
            delivery_timeout_ms: self.delivery_timeout_ms,
            loopback: self.allow_loopback,
            networks: self.allow_networks.iter().map(network).collect::<anyhow::Result<_>>()?,
            ..api::WebhookOptions::default()
        })
    }
}
