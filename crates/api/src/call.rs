//! A request, read strictly: query, headers and body.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Query as AxumQuery, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use chain::statement::Nonce;
use serde::Deserialize;

use crate::connections::{Place, network};
use crate::problem::Problem;

/// JSON.
pub(crate) const JSON: &str = "application/json";
/// A statement as it was signed.
pub(crate) const JOSE: &str = "application/jose";

/// The header of idempotency keys.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A request whose body has not been read.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) body: Body,
}

impl<T: Send + Sync> FromRequest<T> for Call {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &T) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        Ok(Self { parts, body })
    }
}

/// How a client wants to wait (RFC 7240).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    pub(crate) respond_async: bool,
    pub(crate) wait_s: Option<u64>,
}

impl Prefer {
    /// How long to wait, given the most there is.
    pub(crate) fn patience(self, wait_ms_max: u64) -> Duration {
        if self.respond_async {
            return Duration::ZERO;
        }
        let asked_ms = self.wait_s.map_or(u64::MAX, |seconds| seconds.saturating_mul(1_000));
        Duration::from_millis(asked_ms.min(wait_ms_max))
    }
}

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The client's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
    }

    /// The network of that address.
    pub(crate) fn network(&self) -> IpAddr {
        self.place().map_or_else(|| network(self.address()), |place| place.network())
    }

    /// The place of the connection; tests that call routes without one have none.
    pub(crate) fn place(&self) -> Option<&Arc<Place>> {
        self.parts.extensions.get::<Arc<Place>>()
    }

    /// Says that the caller has shown who it is.
    pub(crate) fn known(&self) {
        if let Some(place) = self.place() {
            place.known();
        }
    }

    /// The query's parameters: each known, each once.
    pub(crate) fn query(&self, known: &[&str]) -> Result<Params, Problem> {
        let wrong = |path: &str, expected: &str, found: &str| {
            Problem::new("request.query").at(path, expected, found.chars().take(80).collect::<String>())
        };
        let pairs = AxumQuery::<Vec<(String, String)>>::try_from_uri(&self.parts.uri)
            .map_err(|_| wrong("", "name=value pairs", "something else"))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs.0 {
            if !known.contains(&name.as_str()) {
                return Err(wrong(&name, &format!("one of: {}", known.join(", ")), &name));
            }
            if params.insert(name.clone(), value).is_some() {
                return Err(wrong(&name, "each parameter once", "twice"));
            }
        }
        Ok(Params(params))
    }

    /// The Idempotency-Key that a write needs.
    pub(crate) fn idempotency_key(&self) -> Result<Nonce, Problem> {
        let text = single(self.headers(), &IDEMPOTENCY_KEY)?.ok_or_else(|| Problem::new("idempotency.key-missing"))?;
        Nonce::new(text).map_err(|error| {
            let expected = "1 to 64 printable ASCII characters without spaces";
            Problem::new("idempotency.key-malformed").at("Idempotency-Key", expected, error.to_string())
        })
    }

    /// How the client wants to wait. Preferences that mean nothing here are left alone, as RFC 7240 asks.
    pub(crate) fn prefer(&self) -> Prefer {
        let mut prefer = Prefer::default();
        for value in self.headers().get_all("prefer") {
            for preference in value.to_str().unwrap_or_default().split(',') {
                let preference = preference.split(';').next().unwrap_or_default().trim();
                if preference.eq_ignore_ascii_case("respond-async") {
                    prefer.respond_async = true;
                } else if let Some((name, seconds)) = preference.split_once('=')
                    && name.trim().eq_ignore_ascii_case("wait")
                {
                    prefer.wait_s = prefer.wait_s.or(seconds.trim().trim_matches('"').parse().ok());
                }
            }
        }
        prefer
    }
}

/// The value of a header that may stand once.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(Some)
        .ok_or_else(|| Problem::new("request.header").at(name.as_str(), "one value in ASCII", "something else"))
}

/// The media type of a body, which is to be one of those accepted.
pub(crate) fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    let found = single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    accepted.iter().copied().find(|known| essence.eq_ignore_ascii_case(known)).ok_or_else(|| {
        let found: String = found.chars().take(80).collect();
        Problem::new("request.media-type").at("Content-Type", accepted.join(" or "), found)
    })
}

/// Reads JSON strictly.
pub(crate) fn read_json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    chain::json::from_slice(bytes)
        .map_err(|error| Problem::new("request.json").at(error.path.clone(), error.kind.expected(), error.to_string()))
}

/// A header's value from text that is made here.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// The parameters of a query.
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// A parameter as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter, read.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = || text.chars().take(80).collect::<String>();
        text.parse().map(Some).map_err(|_| Problem::new("request.query").at(name, expected, found()))
    }

    /// How many rows a page may have: what is asked for, or the most there are.
    pub(crate) fn limit(&self, rows_max: usize) -> Result<usize, Problem> {
        let expected = format!("1 to {rows_max}");
        match self.parsed::<usize>("limit", &expected)? {
            None => Ok(rows_max.min(100)),
            Some(limit) if (1..=rows_max).contains(&limit) => Ok(limit),
            Some(limit) => Err(Problem::new("request.query").at("limit", expected, limit.to_string())),
        }
    }
}
