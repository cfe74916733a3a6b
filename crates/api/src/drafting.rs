//! Statements before they are signed: the bytes to sign, and what would be wrong with them.

use std::net::IpAddr;

use chain::encoding::decode_base64url;
use chain::identity::{KeyId, OrganisationId};
use chain::key::Signature;
use chain::statement::{Draft, Limits, Mode, Nonce, Statement, StatementHeader, payload};
use ledger::admission::{Parsed, Rejection};
use replica::port::Store;
use replica::query::AdmitError;

use crate::problem::Problem;
use crate::service::{Service, keyed_hash};
use crate::shares::{Full, Share};
use crate::views::Prepared;

/// For how long a prepared statement may be signed and sent, when nothing else is asked for. Seconds.
pub(crate) const PREPARED_FOR_S: u64 = 3_600;

/// The code of a signature that does not hold: a statement that is yet to be signed has none.
const SIGNATURE: &str = "statement.signature";

/// What a statement is to say.
pub(crate) struct Wanted {
    /// Who will sign.
    pub(crate) organisation: OrganisationId,
    /// With which of its keys.
    pub(crate) key: KeyId,
    /// The idempotency key; one is chosen when absent.
    pub(crate) nonce: Option<Nonce>,
    /// Until when it may be decided, unix seconds.
    pub(crate) expires_at: Option<u64>,
    pub(crate) mode: Mode,
    /// The events, each one value of JSON.
    pub(crate) events: Vec<String>,
}

/// Room for one dry run of a network.
pub(crate) fn room_for_dry_run<S: Store>(service: &Service<S>, network: IpAddr) -> Result<Share<IpAddr>, Problem> {
    service.dry_runs.take(network, 1).map_err(|full| {
        let expected = match full {
            Full::All => format!("at most {} dry runs at once", service.dry_runs.max()),
            Full::One => format!("at most {} dry runs of an address at once", service.dry_runs.one_max()),
        };
        Problem::new("node.busy").at("", expected, "more")
    })
}

/// The bytes to sign, unless what they say could not be submitted.
pub(crate) fn prepared<S: Store>(service: &Service<S>, wanted: Wanted) -> Result<Prepared, Problem> {
    check_count(wanted.events.len())?;
    let draft = drafted(service, wanted)?;
    let unsigned = unsigned(&draft);
    // What could not be submitted is not worth signing.
    if let Some(rejection) = unsubmittable(service, &unsigned)? {
        return Err(service.rejected(&unsigned, rejection));
    }
    let statement = Statement::parse(unsigned, &Limits::default()).map_err(Rejection::from)?;
    let findings = service.examine_events(statement.events());
    if !findings.violations.is_empty() {
        let problem = Problem::new("document.invalid").violations(&findings.violations);
        return Err(problem.with(|body| body.truncated = findings.truncated));
    }
    let part = |index: usize| {
        let segment = draft.signing_input().split('.').nth(index).unwrap_or_default();
        decode_base64url(segment).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    };
    Ok(Prepared {
        signing_input: draft.signing_input().to_owned(),
        header: part(0),
        payload: part(1),
        statement_id: statement.id().to_string(),
    })
}

/// Whether there are as many events as a statement may have, and one at least.
pub(crate) fn check_count(count: usize) -> Result<(), Rejection> {
    let max = Limits::default().events_max;
    if (1..=max).contains(&count) {
        return Ok(());
    }
    Err(Rejection {
        code: "statement.events",
        path: "/events".to_owned(),
        expected: format!("1 to {max} events"),
        found: format!("{count} events"),
        violations: Vec::new(),
    })
}

/// A statement without its signature.
pub(crate) fn drafted<S: Store>(service: &Service<S>, wanted: Wanted) -> Result<Draft, Problem> {
    let payload = payload(wanted.mode, &wanted.events);
    let now_s = u64::try_from(service.now_ms().div_euclid(1_000)).unwrap_or(0);
    let nonce = match wanted.nonce {
        Some(nonce) => nonce,
        None => chosen_nonce(service, &wanted.organisation, &payload)?,
    };
    let header = StatementHeader {
        organisation: wanted.organisation,
        key: wanted.key,
        chain: service.query().chain().clone(),
        nonce,
        expires_at: wanted.expires_at.unwrap_or(now_s.saturating_add(PREPARED_FOR_S)),
    };
    Ok(Draft::new(header, payload))
}

/// A draft as a statement, under an empty signature.
pub(crate) fn unsigned(draft: &Draft) -> Vec<u8> {
    draft.with_signature(&Signature::from_bytes([0; 64]))
}

/// Why a statement could not be submitted even if it were signed. Documents are not looked at.
pub(crate) fn unsubmittable<S: Store>(service: &Service<S>, unsigned: &[u8]) -> Result<Option<Rejection>, Problem> {
    // The form first, by itself: admission tells nobody about it whose signature it cannot verify.
    if let Err(rejection) = Parsed::read(unsigned) {
        return Ok(Some(rejection));
    }
    Ok(admission(service, unsigned)?.filter(|rejection| rejection.code != SIGNATURE))
}

/// Why admission would reject a statement here and now.
pub(crate) fn admission<S: Store>(service: &Service<S>, statement: &[u8]) -> Result<Option<Rejection>, Problem> {
    match service.query().admit(statement, service.app.clock.now_ms()) {
        Ok(_) => Ok(None),
        Err(AdmitError::Rejected(rejection)) => Ok(Some(*rejection)),
        Err(AdmitError::Fault(fault)) => Err(fault.into()),
    }
}

fn chosen_nonce<S: Store>(service: &Service<S>, of: &OrganisationId, payload: &[u8]) -> Result<Nonce, Problem> {
    let (secret, now) = (&*service.app.identity.salt_secret, service.app.clock.now_ms().to_be_bytes());
    let parts: [&[u8]; 5] = [b"einvoice-prepared-nonce-1", of.as_str().as_bytes(), &[0], &now, payload];
    let hash = keyed_hash(secret, &parts);
    Nonce::new(hex::encode(&hash[..16])).map_err(|error| Problem::fault(&error))
}
