//! Reading bodies: within limits of size, time and pace, and of all bodies' bytes together.
//!
//! Bytes count as they come in and as memory is taken for them, until nobody holds the body any
//! more: not what was announced, or a promise of four megabytes would cost its maker nothing. The
//! first bytes of each body are free, so that ordinary requests never meet the budget; connections
//! bound those.

use std::io::Read as _;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use replica::port::Store;
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, media_type, single};
use crate::connections::Place;
use crate::options::Options;
use crate::problem::Problem;
use crate::service::Service;
use crate::shares::{Full, Share, Shares};

/// Bytes of each body that do not count.
pub(crate) const FREE_BYTES: usize = 16 * 1024;

/// Memory taken for the beginning of a body, bytes.
const FIRST_BYTES: usize = 4 * 1024;

/// A body, and its part of the budget.
pub(crate) struct Whole {
    bytes: Vec<u8>,
    _share: Share<IpAddr>,
}

impl Whole {
    /// The bytes, to be changed.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The bytes, which count until the last of them is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Call {
    /// Reads the body, of one of the accepted media types. Gives the media type too. The body counts in the budget
    /// until the last of its bytes is dropped.
    pub(crate) async fn body<S: Store>(
        mut self,
        service: &Service<S>,
        accepted: &[&'static str],
    ) -> Result<(&'static str, Bytes), Problem> {
        let media_type = media_type(self.headers(), accepted)?;
        if let Some(encoding) = single(self.headers(), &CONTENT_ENCODING)?
            && !encoding.eq_ignore_ascii_case("identity")
        {
            return Err(Problem::new("request.encoding").at("Content-Encoding", "identity", encoding));
        }
        let (options, budget) = (&service.app.options, &service.bodies);
        let announced = single(self.headers(), &CONTENT_LENGTH)?.and_then(|text| text.parse::<u64>().ok());
        let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if let Some(bytes) = announced.filter(|bytes| *bytes > options.body_bytes_max) {
            return Err(too_large(options, format!("{bytes} bytes announced")));
        }
        let network = self.network();
        // What does not fit now is refused before any of it is read.
        let counted = announced.unwrap_or(0).saturating_sub(FREE_BYTES);
        budget.has_room(&network, counted).map_err(|full| refused(budget, full))?;
        let share = budget.take(network, 0).map_err(|full| refused(budget, full))?;
        let size_max = announced.unwrap_or(usize::MAX).min(options.body_bytes_max);
        let reading = Reading { options, budget, size_max, bytes: Vec::new(), share };
        let body = std::mem::take(&mut self.body);
        // While it comes in, it is the peer's turn.
        let turn = self.place().map(|place| PeersTurn::begin(place));
        let whole = reading.read(body).await;
        if turn.is_some_and(|turn| !turn.end()) {
            // The connection is being closed for another: whoever sent all of it must not be told that it did not.
            std::future::pending::<()>().await;
        }
        Ok((media_type, whole?.into_bytes()))
    }
}

/// The time in which a connection waits for its peer in the middle of a request. It also ends when the request is given
/// up: whoever answers it takes back that it is worked on, once.
struct PeersTurn<'p> {
    place: &'p Place,
    over: bool,
}

impl<'p> PeersTurn<'p> {
    fn begin(place: &'p Place) -> Self {
        place.waits();
        Self { place, over: false }
    }

    /// Ends it. `false` when the connection was pushed out meanwhile.
    fn end(mut self) -> bool {
        self.over = true;
        self.place.works()
    }
}

impl Drop for PeersTurn<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.place.works();
        }
    }
}

/// Inflates what a caller compressed with gzip, behind something in front of it. What comes out counts as what came in
/// does, before there is memory for it.
pub(crate) fn inflated<S: Store>(
    service: &Service<S>,
    network: IpAddr,
    compressed: &[u8],
    front: &[u8],
) -> Result<Whole, Problem> {
    let (options, budget) = (&service.app.options, &service.bodies);
    let share = budget.take(network, 0).map_err(|full| refused(budget, full))?;
    let size_max = options.body_bytes_max.saturating_add(front.len());
    let mut reading = Reading { options, budget, size_max, bytes: Vec::new(), share };
    reading.push(front)?;
    let (mut decoder, mut piece) = (GzDecoder::new(compressed), [0; FIRST_BYTES]);
    loop {
        let bytes = decoder.read(&mut piece).map_err(|error| {
            Problem::new("request.malformed").at("", "a message compressed with gzip", error.to_string())
        })?;
        if bytes == 0 {
            return Ok(Whole { bytes: reading.bytes, _share: reading.share });
        }
        reading.push(&piece[..bytes])?;
    }
}

fn too_large(options: &Options, found: String) -> Problem {
    Problem::new("request.too-large").at("", format!("at most {} bytes", options.body_bytes_max), found)
}

fn refused(budget: &Shares<IpAddr>, full: Full) -> Problem {
    match full {
        Full::All => {
            let expected = format!("at most {} bytes of bodies at once", budget.max());
            Problem::new("node.bodies-full").at("", expected, "more")
        }
        Full::One => {
            let expected = format!("at most {} bytes of bodies of an address at once", budget.one_max());
            Problem::new("address.bodies-full").at("", expected, "more")
        }
    }
}

/// A body that is being read.
struct Reading<'r> {
    options: &'r Options,
    budget: &'r Shares<IpAddr>,
    size_max: usize,
    bytes: Vec<u8>,
    share: Share<IpAddr>,
}

impl Reading<'_> {
    async fn read(mut self, mut body: Body) -> Result<Whole, Problem> {
        let deadline = Instant::now() + Duration::from_millis(self.options.body_read_timeout_ms);
        let window = Duration::from_millis(self.options.body_pace_window_ms);
        let (mut until, mut came) = (Instant::now() + window, 0);
        loop {
            match timeout_at(until.min(deadline), body.frame()).await {
                Ok(None) => return Ok(Whole { bytes: self.bytes, _share: self.share }),
                Ok(Some(Err(_))) => return Err(Problem::new("request.incomplete")),
                // Trailers say nothing here.
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        came += data.len();
                        self.push(&data)?;
                    }
                }
                Err(_) if Instant::now() < deadline && came >= self.wanted() => {
                    (until, came) = (Instant::now() + window, 0);
                }
                Err(_) => return Err(self.too_slow()),
            }
        }
    }

    /// How many bytes must come in a window.
    fn wanted(&self) -> usize {
        let bytes = self.options.body_bytes_a_second_min.saturating_mul(self.options.body_pace_window_ms) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }

    fn too_slow(&self) -> Problem {
        let Options { body_read_timeout_ms, body_pace_window_ms, body_bytes_a_second_min, .. } = self.options;
        let expected = format!(
            "the whole body within {body_read_timeout_ms} ms, and in every {body_pace_window_ms} ms at least \
             {body_bytes_a_second_min} bytes a second"
        );
        Problem::new("request.timeout").at("", expected, format!("{} bytes so far", self.bytes.len()))
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        let needed = self.bytes.len().saturating_add(data.len());
        if needed > self.size_max {
            return Err(too_large(self.options, "more".to_owned()));
        }
        if needed > self.bytes.capacity() {
            // Half as much again, so that bytes are moved but a few times, and never room for more than may come.
            let grown = self.bytes.capacity().saturating_add(self.bytes.capacity() / 2).max(FIRST_BYTES);
            let wanted = grown.min(self.size_max).max(needed);
            let counted = wanted.saturating_sub(FREE_BYTES);
            let more = counted.saturating_sub(self.share.amount());
            self.share.grow(more).map_err(|full| refused(self.budget, full))?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connections::Connections;

    #[test]
    fn a_body_that_is_given_up_takes_nothing_from_other_requests_of_its_connection() {
        let connections = Connections::new(1, 1);
        let admit = |last: u8| connections.admit(IpAddr::from([10, 0, 0, last])).map(|(place, _)| Arc::new(place));
        let place = admit(1).unwrap();
        assert!(place.works() && place.works(), "two requests");
        drop(PeersTurn::begin(&place));
        // The end of the request that was given up.
        place.waits();
        assert!(admit(2).is_err(), "the other is still worked on");
        let turn = PeersTurn::begin(&place);
        drop(admit(2).unwrap());
        assert!(!turn.end(), "pushed out while it waited for its peer");
    }
}
