//! `CloudEvents` 1.0 in the JSON format: an event of the ledger as those who follow it get it.

use serde::Serialize;
use utoipa::ToSchema;

use super::EventRow;

/// An event of the ledger in the JSON format of `CloudEvents` 1.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CloudEvent {
    /// The version of `CloudEvents`.
    #[schema(example = "1.0")]
    pub specversion: &'static str,
    /// The cursor behind the event: the same on every node, unique in its chain, and where to go on.
    #[schema(example = "9f86d081884c7d65.s42")]
    pub id: String,
    /// The chain.
    pub source: String,
    /// What happened: `cn.einvoice.invoice.issued.v1` (`transferred`, `locked`, `renewed`, `unlocked`, `closed`,
    /// `voided`), `cn.einvoice.filing.filed.v1`, `cn.einvoice.evidence.reported.v1`, `cn.einvoice.quota.granted.v1`
    /// (`adjusted`, `paused`, `resumed`); of an event that state refused, or
    /// that had been accepted before, `…-refused` or `…-repeated` behind its kind, as in
    /// `cn.einvoice.invoice.lock-refused.v1`.
    #[serde(rename = "type")]
    #[schema(example = "cn.einvoice.invoice.locked.v1")]
    pub kind: String,
    /// What the event is about: an invoice's id, `reference:…`, `filing:…`, `evidence:…`, `quota:…`, or what else outcomes
    /// name.
    pub subject: String,
    /// Block time.
    pub time: String,
    /// The media type of `data`.
    #[schema(example = "application/json")]
    pub datacontenttype: &'static str,
    /// The event and what became of it.
    pub data: EventRow,
}
