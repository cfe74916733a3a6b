//! Events in bulk, from files with a line for each entry.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use chain::identity::OrganisationId;
use chain::statement::Limits;
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use ledger::event::{Attest, BULK_MAX, Bulk, Enterprise, Event, Register};
use ledger::organisation::{RegisteredName, Scope};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::introductions::registered_kind;

/// How many bytes a file of entries may have: more than fits in a statement.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What an event takes besides its entries, bytes at most: members, scopes, ids of 63 characters.
const AROUND_BYTES: usize = 512;

/// An enterprise on a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with id, name, taxpayer_id and perhaps taxpayer_kind")]
struct Line {
    id: OrganisationId,
    name: RegisteredName,
    taxpayer_id: TaxpayerId,
    #[serde(default)]
    taxpayer_kind: Option<TaxpayerKind>,
}

/// The registration of the enterprises in a file.
pub(super) fn register(path: &Path) -> anyhow::Result<Vec<Event>> {
    let enterprises = files::read_lines(path, FILE_BYTES_MAX, |line| {
        let Line { id, name, taxpayer_id, taxpayer_kind: kind } = chain::json::from_slice(line.as_bytes())?;
        let taxpayer_kind = registered_kind(&taxpayer_id, kind)?;
        Ok(Enterprise { id, name, taxpayer_id, taxpayer_kind })
    })?;
    let events = cut(enterprises)?.into_iter().map(|enterprises| Event::Register(Register { enterprises }));
    Ok(events.collect())
}

/// The attestation of mandates of the enterprises in a file.
pub(super) fn attest(
    path: &Path,
    to: &OrganisationId,
    scopes: &BTreeSet<Scope>,
    expires_ms: Option<i64>,
) -> anyhow::Result<Vec<Event>> {
    let ids = files::read_lines(path, FILE_BYTES_MAX, |line| Ok(line.parse::<OrganisationId>()?))?;
    let attest =
        |enterprises| Event::Attest(Attest { to: to.clone(), scopes: scopes.clone(), expires_ms, enterprises });
    Ok(cut(ids)?.into_iter().map(attest).collect())
}

/// Cuts entries into as many events as they need, each within what an event may hold.
fn cut<T: Serialize>(entries: Vec<T>) -> anyhow::Result<Vec<Bulk<T>>> {
    let bytes_max = Limits::default().event_bytes_max - AROUND_BYTES;
    let (mut events, mut event, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
        // With the comma behind it.
        let size = serde_json::to_vec(&entry).context("write an entry")?.len() + 1;
        if !event.is_empty() && (event.len() == BULK_MAX || bytes + size > bytes_max) {
            events.push(std::mem::take(&mut event));
            bytes = 0;
        }
        bytes += size;
        event.push(entry);
    }
    events.push(event);
    events.into_iter().map(|entries| Bulk::try_from(entries).map_err(|error| anyhow!(error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn three_thousand_mandates_are_three_events() {
        let ids: Vec<String> = (0..3_000).map(|number| format!("merchant-{number}")).collect();
        let (to, scopes) = ("isp".parse().unwrap(), BTreeSet::from([Scope::Issue]));
        let events = attest(file(&ids.join("\n")).path(), &to, &scopes, None).unwrap();
        assert_eq!(events.len(), 3);
        // A thousand ids of 63 characters take more bytes than an event has.
        let long: Vec<String> = (0..1_000).map(|number| format!("{number:0>63}")).collect();
        let events = attest(file(&long.join("\n")).path(), &to, &scopes, Some(1)).unwrap();
        assert_eq!(events.len(), 2);
        assert!(events.iter().all(|event| event.to_json().len() <= Limits::default().event_bytes_max));
    }

    #[test]
    fn enterprises_are_registered_in_the_order_of_their_lines() {
        let line = |number: usize| {
            format!(r#"{{"id":"m-{number}","name":"商户{number}","taxpayer_id":"91600000000{number:04}"}}"#)
        };
        let text: Vec<String> = (0..900).map(line).collect();
        let events = register(file(&text.join("\n\n")).path()).unwrap();
        assert!(events.len() > 1);
        let mut ids = Vec::new();
        for event in &events {
            assert!(event.to_json().len() <= Limits::default().event_bytes_max);
            // Read as a node reads it.
            let Event::Register(register) = serde_json::from_str(&event.to_json()).unwrap() else { panic!() };
            ids.extend(register.enterprises.entries().iter().map(|entry| entry.id.to_string()));
        }
        assert_eq!(ids, (0..900).map(|number| format!("m-{number}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let wrong = register(file("\n{\"id\":\"m\",\"name\":\"M\"}\n").path()).unwrap_err();
        assert!(format!("{wrong:#}").contains("read line 2 of "), "{wrong:#}");
        let wrong = attest(file("a\nB\n").path(), &"isp".parse().unwrap(), &BTreeSet::from([Scope::Read]), None);
        assert!(format!("{:#}", wrong.unwrap_err()).contains("read line 2 of "));
        assert!(register(file("").path()).is_err(), "nobody is nothing to register");
    }
}
