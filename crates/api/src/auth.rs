//! Who calls: login tokens, held against the keys on the ledger.
//!
//! There is no second user database: revoking a login key on the ledger revokes the login. A token
//! for a write covers the request's body and is good for one request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use chain::identity::{KeyId, OrganisationId};
use chain::jws::KeyReference;
use chain::login::{LoginError, LoginToken};
use ledger::organisation::{Key, Organisation, Purpose, Role, Standing};
use replica::port::Store;

use crate::problem::Problem;
use crate::service::Service;
use crate::turns::Name;

/// Somebody who has shown who it is.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) organisation: Organisation,
    proof: Proof,
}

/// What a caller has shown.
#[derive(Clone, Debug)]
enum Proof {
    /// A login token that holds.
    Token(Box<LoginToken>),
    /// A login key, in the handshake of the very connection that the request came on.
    Connection(KeyId),
    /// A login key, when it registered something that this node does for it since then.
    Registration(KeyId),
}

impl Caller {
    /// The caller's id.
    pub(crate) fn id(&self) -> &OrganisationId {
        &self.organisation.id
    }

    /// The key that the caller has proved: its token is signed with it, or its connection was opened with it.
    pub(crate) fn key(&self) -> &KeyId {
        match &self.proof {
            Proof::Token(token) => token.key(),
            Proof::Connection(key) | Proof::Registration(key) => key,
        }
    }

    /// Until when the caller's proof holds, unix seconds: a token's life, or as long as the key is active.
    pub(crate) fn expires_at(&self) -> u64 {
        match &self.proof {
            Proof::Token(token) => token.expires_at(),
            Proof::Connection(_) | Proof::Registration(_) => u64::MAX,
        }
    }

    /// In whose name the caller's work is done.
    pub(crate) fn name(&self) -> Name {
        Name::Organisation(self.id().clone())
    }

    /// Whether the caller is an auditor that is not suspended.
    pub(crate) fn is_auditor(&self) -> bool {
        self.organisation.standing == Standing::Active && self.organisation.is(Role::Auditor)
    }

    /// Whether the caller reads everything.
    pub(crate) fn sees_everything(&self) -> bool {
        reads_everything(&self.organisation)
    }
}

impl<S: Store> Service<S> {
    /// The caller; a login is needed.
    pub(crate) fn login(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.login_if_any(headers)?.ok_or_else(|| Problem::new("auth.missing"))
    }

    /// The caller, if there is a token at all. A token that does not hold is never ignored.
    pub(crate) fn login_if_any(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let Some(text) = bearer(headers)? else { return Ok(None) };
        let caller = self.login_by_token(text);
        if caller.as_ref().is_err_and(|problem| problem.status() == StatusCode::UNAUTHORIZED) {
            // It has expired, or its key has gone. Whoever still has it must not go on in the organisation's name.
            self.verified_tokens.forget(text);
        }
        caller.map(Some)
    }

    fn login_by_token(&self, text: &str) -> Result<Caller, Problem> {
        let known = self.verified_tokens.find(text);
        let token = match &known {
            Some(known) => known.token.clone(),
            None => LoginToken::parse(text).map_err(|error| rejected(&error))?,
        };
        let unknown = || Problem::new("auth.unknown-key");
        let organisation = self.query().organisation(token.organisation())?.ok_or_else(unknown)?;
        let key = self.may_log_in(&organisation, token.key())?;
        let now_s = self.now_s();
        if known.is_some_and(|known| known.by(key)) {
            let expires_at = token.expires_at();
            if now_s >= expires_at {
                return Err(rejected(&LoginError::Expired { expires_at, now_s }));
            }
        } else {
            let public = key.public.point().map_err(|damaged| Problem::fault(&damaged))?;
            token.verify(&public, &self.app.identity.id, now_s).map_err(|error| rejected(&error))?;
            self.verified_tokens.remember(text, &token, key);
        }
        Ok(Caller { organisation, proof: Proof::Token(Box::new(token)) })
    }

    /// The caller whose login key was proved by the connection's handshake, as it says itself: organisation and key.
    pub(crate) fn login_by_connection(&self, named: &KeyReference, proved: &[u8; 32]) -> Result<Caller, Problem> {
        let unknown = || Problem::new("auth.unknown-key");
        let organisation = self.query().organisation(&named.organisation)?.ok_or_else(unknown)?;
        if self.may_log_in(&organisation, &named.key)?.public.as_bytes() != proved {
            return Err(unknown());
        }
        Ok(Caller { organisation, proof: Proof::Connection(named.key.clone()) })
    }

    /// An organisation that registered something with a login key, as long as both of them stand.
    pub(crate) fn registrant(&self, organisation: &OrganisationId, key: &KeyId) -> Result<Caller, Problem> {
        let unknown = || Problem::new("auth.unknown-key");
        let organisation = self.query().organisation(organisation)?.ok_or_else(unknown)?;
        self.may_log_in(&organisation, key)?;
        if organisation.standing != Standing::Active {
            return Err(Problem::new("organisation.suspended"));
        }
        Ok(Caller { organisation, proof: Proof::Registration(key.clone()) })
    }

    /// The key of an organisation, if it may log in with it; of one that was revoked it is said that it was.
    fn may_log_in<'o>(&self, organisation: &'o Organisation, id: &KeyId) -> Result<&'o Key, Problem> {
        if organisation.key(id).is_none() && self.query().is_retired(&organisation.id, id)? {
            return Err(Problem::new("auth.key-inactive"));
        }
        login_key(organisation, id)
    }

    /// Holds a write's token against the request and the body it must cover, and uses the token up. Who has proved a key
    /// on the connection needs none: nobody else can write on it.
    pub(crate) fn cover(&self, caller: &Caller, method: &Method, path: &str, body: &[u8]) -> Result<(), Problem> {
        let token = match &caller.proof {
            Proof::Token(token) => token,
            Proof::Connection(_) => return Ok(()),
            // Whoever registered something once has not asked for this.
            Proof::Registration(_) => return Err(Problem::new("auth.missing")),
        };
        let request = format!("{method} {path}");
        let jti = token.verify_write(&request, body).map_err(|error| rejected(&error))?;
        if token.issued_at() < self.started_s {
            // Ids used up before this process began are forgotten, so no older token is taken.
            return Err(Problem::new("auth.token-too-old"));
        }
        self.token_ids.spend(caller.id(), jti.as_str(), token.expires_at(), self.now_s())
    }
}

/// Whether an organisation reads everything: an agency, or an auditor, as long as it is not suspended.
pub(crate) fn reads_everything(organisation: &Organisation) -> bool {
    organisation.standing == Standing::Active && (organisation.is(Role::Agency) || organisation.is(Role::Auditor))
}

/// The key of an organisation, if it may log in with it.
pub(crate) fn login_key<'o>(organisation: &'o Organisation, id: &KeyId) -> Result<&'o Key, Problem> {
    let key = organisation.key(id).ok_or_else(|| Problem::new("auth.unknown-key"))?;
    if !key.purposes.contains(&Purpose::Login) {
        return Err(Problem::new("auth.key-purpose"));
    }
    if !key.active {
        return Err(Problem::new("auth.key-inactive"));
    }
    Ok(key)
}

/// The text of the one bearer token, if there is an Authorization header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = || Problem::new("auth.malformed");
    if values.next().is_some() {
        return Err(malformed());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("Bearer") { Ok(Some(token)) } else { Err(malformed()) }
}

pub(crate) fn rejected(error: &LoginError) -> Problem {
    Problem::new(error.code()).at("Authorization", "a token that holds", error.to_string())
}

/// Ids of tokens that were used for a write, until they expire. Bounded, also for each organisation.
pub(crate) struct TokenIds {
    max: usize,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    ids: BTreeSet<(OrganisationId, String)>,
    by_expiry: BTreeSet<(u64, OrganisationId, String)>,
    by_organisation: BTreeMap<OrganisationId, usize>,
}

impl TokenIds {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, spent: Mutex::default() }
    }

    /// Uses a token up. Times are unix seconds.
    pub(crate) fn spend(&self, of: &OrganisationId, jti: &str, expires_at: u64, now_s: u64) -> Result<(), Problem> {
        let mut spent = self.spent.lock().expect("nothing panics while it holds the tokens");
        spent.forget_expired(now_s);
        let id = (of.clone(), jti.to_owned());
        if spent.ids.contains(&id) {
            return Err(Problem::new("auth.token-used").at("jti", "an id not used before", jti));
        }
        let own = spent.by_organisation.get(of).copied().unwrap_or(0);
        if spent.ids.len() >= self.max || own >= (self.max / 4).max(1) {
            return Err(Problem::new("auth.tokens-spent").retry_after(60));
        }
        spent.by_expiry.insert((expires_at, id.0.clone(), id.1.clone()));
        *spent.by_organisation.entry(of.clone()).or_default() += 1;
        spent.ids.insert(id);
        Ok(())
    }
}

impl Spent {
    fn forget_expired(&mut self, now_s: u64) {
        while self.by_expiry.first().is_some_and(|(expires_at, ..)| *expires_at <= now_s) {
            let Some((_, organisation, jti)) = self.by_expiry.pop_first() else {
                return;
            };
            if let Some(own) = self.by_organisation.get_mut(&organisation) {
                *own -= 1;
                if *own == 0 {
                    self.by_organisation.remove(&organisation);
                }
            }
            self.ids.remove(&(organisation, jti));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_one_write_until_it_expires() {
        let ids = TokenIds::new(8);
        let (one, two) = (OrganisationId::new("one").unwrap(), OrganisationId::new("two").unwrap());
        ids.spend(&one, "a", 100, 10).unwrap();
        assert_eq!(ids.spend(&one, "a", 100, 99).unwrap_err().code(), "auth.token-used");
        ids.spend(&two, "a", 100, 99).unwrap();
        ids.spend(&one, "b", 100, 99).unwrap();
        // A quarter of all places is one organisation's.
        assert_eq!(ids.spend(&one, "c", 100, 99).unwrap_err().code(), "auth.tokens-spent");
        ids.spend(&one, "a", 200, 100).unwrap();
    }

    #[test]
    fn only_one_bearer_header_is_read() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(bearer(&headers(&[])).unwrap(), None);
        assert_eq!(bearer(&headers(&["bearer x"])).unwrap(), Some("x"));
        for wrong in [vec!["Basic x"], vec!["Bearer"], vec!["Bearer x", "Bearer x"]] {
            assert_eq!(bearer(&headers(&wrong)).unwrap_err().code(), "auth.malformed");
        }
    }
}
