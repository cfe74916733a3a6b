//! Answers that their callers have not taken yet: of all calls over gRPC, and large ones over REST.
//!
//! A caller that asks and does not read leaves its answer with the server; over HTTP/2 the connection itself takes in what
//! it is handed, and keeps it for as long as its peer leaves no room for it: windows are the peer's to open. So an answer's
//! bytes count from when they are ready until the last of them has left, wherever they wait meanwhile, and so does the
//! call; and a connection on which an answer waits while nothing of it is taken is ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;

use crate::connections::Place;
use crate::problem::Problem;
use crate::shares::{Full, Share, Shares};
use crate::turns::Name;

/// Bytes of an answer that are handed over at once: a frame of HTTP/2.
const PIECE_BYTES: usize = 16 * 1024;

/// What a small answer counts as: that it waits costs more than its bytes.
const ANSWER_BYTES_MIN: usize = 1024;

/// How often it is looked whether answers are taken, in the time they may wait.
const LOOKS: u32 = 4;

/// An answer that is being taken, and what it counts.
pub(crate) struct Unread {
    place: Option<Arc<Place>>,
    id: u64,
    _bytes: Share<Name>,
    _call: Option<Share<Name>>,
}

impl Unread {
    /// Counts an answer of so many bytes, and the call that it is of, if calls are counted.
    ///
    /// # Errors
    /// When as much waits already as may.
    pub(crate) fn begin(
        budget: &Arc<Shares<Name>>,
        name: &Name,
        bytes: usize,
        call: Option<Share<Name>>,
        place: Option<Arc<Place>>,
    ) -> Result<Arc<Self>, Problem> {
        let share = budget.take(name.clone(), bytes.max(ANSWER_BYTES_MIN)).map_err(|full| refused(budget, full))?;
        let id = place.as_ref().map_or(0, |place| place.unread.begin());
        Ok(Arc::new(Self { place, id, _bytes: share, _call: call }))
    }

    /// Splits the next piece off an answer's bytes.
    pub(crate) fn piece(self: &Arc<Self>, rest: &mut Bytes) -> Bytes {
        let bytes = rest.split_to(rest.len().min(PIECE_BYTES));
        Bytes::from_owner(Piece { bytes, of: Arc::clone(self) })
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.unread.answers().waiting.remove(&self.id);
        }
    }
}

fn refused(budget: &Shares<Name>, full: Full) -> Problem {
    match full {
        Full::All => {
            let expected = format!("at most {} bytes of answers that wait to be taken", budget.max());
            Problem::new("node.answers-full").at("", expected, "more")
        }
        Full::One => {
            let expected = format!("at most {} bytes of answers to an organisation that wait", budget.one_max());
            Problem::new("organisation.answers-full").at("", expected, "more")
        }
    }
}

/// A piece of an answer, until the connection has sent it or let go of it.
struct Piece {
    bytes: Bytes,
    of: Arc<Unread>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(place) = &self.of.place
            && let Some(since) = place.unread.answers().waiting.get_mut(&self.of.id)
        {
            *since = Instant::now();
        }
    }
}

/// The answers of one connection that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    /// Of each, since when nothing of it was taken.
    waiting: BTreeMap<u64, Instant>,
}

impl Outstanding {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().expect("nothing panics while it holds the answers")
    }

    fn begin(&self) -> u64 {
        let mut answers = self.answers();
        let id = answers.next;
        answers.next += 1;
        answers.waiting.insert(id, Instant::now());
        id
    }

    /// Waits until an answer has waited so long without anything of it being taken.
    pub(crate) async fn stalled(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience / LOOKS).await;
            let now = Instant::now();
            if self.answers().waiting.values().any(|since| now.duration_since(*since) >= patience) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::connections::Connections;

    fn place() -> Arc<Place> {
        let connections = Connections::new(1, 1);
        Arc::new(connections.admit(IpAddr::from([10, 0, 0, 1])).unwrap().0)
    }

    #[test]
    fn bytes_and_call_count_until_the_last_piece_has_gone() {
        let name = Name::Address(IpAddr::from([10, 0, 0, 1]));
        let (budget, calls) = (Shares::new(100_000, 60_000), Shares::new(2, 2));
        let begin = |bytes| Unread::begin(&budget, &name, bytes, Some(calls.take(name.clone(), 1).unwrap()), None);
        let answer = begin(40_000).unwrap();
        assert_eq!(begin(40_000).err().unwrap().code(), "organisation.answers-full");
        let mut rest = Bytes::from(vec![7; 40_000]);
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            pieces.push(answer.piece(&mut rest));
        }
        drop((answer, rest));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
        // A part of a piece is enough.
        let part = pieces.pop().map(|piece| piece.slice(7_000..)).unwrap();
        drop(pieces);
        assert_eq!((budget.taken(), calls.taken()), (40_000, 1));
        drop(part);
        assert_eq!((budget.taken(), calls.taken()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_of_which_nothing_is_taken_ends_a_connection_on_which_others_are() {
        let name = Name::Address(IpAddr::from([10, 0, 0, 1]));
        let (budget, calls) = (Shares::new(1_000_000, 1_000_000), Shares::new(9, 9));
        let place = place();
        let begin = || {
            let call = calls.take(name.clone(), 1).unwrap();
            Unread::begin(&budget, &name, 100_000, Some(call), Some(Arc::clone(&place))).unwrap()
        };
        let patience = Duration::from_secs(30);
        let began = Instant::now();
        let slow = begin();
        let mut rest = Bytes::from(vec![7; 100_000]);
        let taking = async {
            // Slow, but it goes on.
            while !rest.is_empty() {
                tokio::time::sleep(Duration::from_secs(20)).await;
                drop(slow.piece(&mut rest));
            }
        };
        tokio::select! {
            () = place.unread.stalled(patience) => panic!("nothing stalled"),
            () = taking => {}
        }
        drop(slow);
        assert_eq!(began.elapsed(), Duration::from_secs(7 * 20));
        tokio::select! {
            () = place.unread.stalled(patience) => panic!("nobody waits"),
            () = tokio::time::sleep(Duration::from_secs(600)) => {}
        }
        let (stuck, began) = (begin(), Instant::now());
        let others = async {
            loop {
                let (answer, mut rest) = (begin(), Bytes::from(vec![7; 10]));
                drop((answer.piece(&mut rest), answer));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = place.unread.stalled(patience) => {}
            () = others => {}
        }
        assert!(began.elapsed() >= patience && began.elapsed() <= patience * 5 / 4, "{:?}", began.elapsed());
        drop(stuck);
    }
}
