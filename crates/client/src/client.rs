//! Asking: which node, how often, and when to give up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::backoff;
use crate::error::{Error, Refused};
use crate::node::Door;
use crate::options::Options;

/// How much longer than the node an attempt waits: its answer, which says more than our own clock, has a way to go.
const GRACE: Duration = Duration::from_millis(500);

/// Bytes of an answer at most: the largest receipt, and what stands around it.
pub(crate) const ANSWER_BYTES_MAX: usize = chain::receipt::RECEIPT_BYTES_MAX + 64 * 1024;

/// A client of the nodes of one chain. Cheap to clone; all clones share connections, tokens and what is known of nodes.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    doors: Vec<Door>,
    /// The node that answered last.
    preferred: AtomicUsize,
}

/// Everything that is done for one call of the user.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) until: Instant,
    pub(crate) attempts: u32,
    pub(crate) last: Option<Box<Refused>>,
    /// Whether a node may have taken in what it was sent, without our having heard so.
    pub(crate) in_doubt: bool,
    /// The node that answered.
    pub(crate) place: usize,
    /// Failures in a row at a node that is asked again.
    failures: u32,
    /// How often a node did not take a token that was good by our clock.
    logins: usize,
}

impl Course {
    pub(crate) fn new(max: Duration) -> Self {
        let until = Instant::now() + max;
        Self { until, attempts: 0, last: None, in_doubt: false, place: 0, failures: 0, logins: 0 }
    }

    pub(crate) fn given_up(&mut self) -> Error {
        Error::Unavailable { attempts: self.attempts, last: self.last.take() }
    }

    /// Waits before the same node is asked again; fails when there is no time left for that.
    pub(crate) async fn pause(&mut self, asked: Option<Duration>, options: &Options) -> Result<(), Error> {
        let wait = backoff::wait(self.failures, asked, options)?;
        self.failures = self.failures.saturating_add(1);
        self.sleep(Instant::now() + wait).await
    }

    async fn sleep(&mut self, until: Instant) -> Result<(), Error> {
        if until >= self.until {
            return Err(self.given_up());
        }
        sleep_until(until).await;
        Ok(())
    }
}

/// What to do after a status that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It would fail the same way.
    Fail,
    /// With a new token.
    LogIn,
    /// At the same node, when it says.
    Again(Option<Duration>),
    /// At another node; at this one when it says.
    Elsewhere(Option<Duration>),
}

/// What to do next.
pub(crate) fn step(refused: &Refused) -> Step {
    match refused.code.as_str() {
        "login.expired" | "login.not-yet-valid" => return Step::LogIn,
        // What others wait for there, not what we did there.
        "mempool.full" => return Step::Elsewhere(refused.retry_after),
        "internal.fault" => return Step::Elsewhere(None),
        _ => {}
    }
    match (refused.status, refused.retry_after) {
        // Another node would only count anew.
        (Code::ResourceExhausted, Some(asked)) => Step::Again(Some(asked)),
        (_, Some(asked)) => Step::Elsewhere(Some(asked)),
        (Code::DeadlineExceeded, None) if refused.may_still_be_decided() == Some(true) => Step::Again(None),
        (Code::DeadlineExceeded | Code::Unavailable, None) => Step::Elsewhere(None),
        // A broken connection has many names.
        (Code::Cancelled | Code::Unknown | Code::Internal | Code::Aborted, None) if !refused.is_of_a_node() => {
            Step::Elsewhere(None)
        }
        (_, None) => Step::Fail,
    }
}

/// Whether who says so, and says nothing of a statement, may have taken in what it was sent all the same: on the way
/// nobody knows, unless there was no way, and a node that ends or fails does so with statements in hand.
fn may_have_taken_in(refused: &Refused) -> bool {
    let on_the_way = !refused.is_of_a_node() && !refused.is_unsent();
    on_the_way || matches!(refused.code.as_str(), "node.stopping" | "internal.fault")
}

impl Client {
    /// Connects to the first of the nodes that answers; the others stand by.
    ///
    /// # Errors
    /// [`Error::Option`], or [`Error::Unavailable`] when no node can be reached.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        options.check()?;
        let mut doors = options.nodes.iter().map(|node| Door::new(node, &options)).collect::<Result<Vec<_>, _>>()?;
        let (mut reached, mut last) = (None, None);
        for (place, door) in doors.iter_mut().enumerate() {
            match timeout(options.connect_max, door.endpoint.connect()).await {
                Ok(Ok(channel)) => {
                    door.channel = channel;
                    reached = Some(place);
                    break;
                }
                Ok(Err(error)) => {
                    let reason =
                        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                    last = Some(Box::new(Refused::on_the_way(Code::Unavailable, reason)));
                }
                Err(_) => last = Some(Box::new(Refused::on_the_way(Code::DeadlineExceeded, "no connection in time"))),
            }
        }
        let attempts = u32::try_from(doors.len()).unwrap_or(u32::MAX);
        let preferred = AtomicUsize::new(reached.ok_or(Error::Unavailable { attempts, last })?);
        Ok(Self { shared: Arc::new(Shared { options, doors, preferred }) })
    }

    /// What the client was told.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn door(&self, place: usize) -> &Door {
        &self.shared.doors[place]
    }

    /// The node to ask: the one that answered last, else the next one that does not rest, else the first that ceases to.
    fn choose(&self) -> (usize, Option<Instant>) {
        let count = self.shared.doors.len();
        let preferred = self.shared.preferred.load(Ordering::Relaxed);
        let places = (0..count).map(|step| (preferred + step) % count);
        let rests = places.map(|place| (place, self.shared.doors[place].rests_until()));
        // The first of equals: `None` is less than any time.
        rests.min_by_key(|(_, rest)| *rest).expect("there is a node")
    }

    /// Asks until somebody answers, or the course has no time left. The message is the same every time. With `within`,
    /// nodes are told how long an attempt may take; what they begin to stream has no such end.
    pub(crate) async fn ask<M, R, F>(
        &self,
        course: &mut Course,
        message: &M,
        within: bool,
        call: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let options = self.options();
        loop {
            let (place, rest) = self.choose();
            if let Some(until) = rest {
                course.sleep(until).await?;
            }
            let left = course.until.saturating_duration_since(Instant::now()).min(options.attempt_max);
            if left.is_zero() {
                return Err(course.given_up());
            }
            let door = self.door(place);
            let mut request = door.request(message.clone(), options)?;
            if within {
                request.set_timeout(left);
            }
            course.attempts = course.attempts.saturating_add(1);
            let refused = match timeout(left + GRACE, call(door.channel.clone(), request)).await {
                Ok(Ok(response)) => {
                    door.well();
                    self.shared.preferred.store(place, Ordering::Relaxed);
                    course.place = place;
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => Refused::from(status),
                Err(_) => Refused::on_the_way(Code::DeadlineExceeded, "no answer in time"),
            };
            self.after(course, place, refused).await?;
        }
    }

    /// Prepares the next attempt, or says why there is none.
    pub(crate) async fn after(&self, course: &mut Course, place: usize, refused: Refused) -> Result<(), Error> {
        let door = self.door(place);
        course.in_doubt |= refused.may_still_be_decided().unwrap_or_else(|| may_have_taken_in(&refused));
        let step = step(&refused);
        if step == Step::Fail || (step == Step::LogIn && course.logins >= self.shared.doors.len()) {
            return Err(Error::Refused(Box::new(refused)));
        }
        course.last = Some(Box::new(refused));
        match step {
            Step::Fail => Ok(()),
            Step::LogIn => {
                course.logins += 1;
                door.log_out();
                Ok(())
            }
            Step::Again(asked) => course.pause(asked, self.options()).await,
            Step::Elsewhere(asked) => door.rest(asked, self.options()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: Code, code: &str, retry_after_s: Option<u64>) -> Refused {
        let mut refused = Refused::on_the_way(status, "");
        code.clone_into(&mut refused.code);
        refused.retry_after = retry_after_s.map(Duration::from_secs);
        refused
    }

    #[test]
    fn what_may_succeed_is_tried_again_and_nothing_else() {
        let check = |refused: Refused, expected| assert_eq!(step(&refused), expected, "{refused}");
        let second = Some(Duration::from_secs(1));
        check(of(Code::FailedPrecondition, "reimbursement.already-locked", None), Step::Fail);
        check(of(Code::InvalidArgument, "event.malformed", None), Step::Fail);
        check(of(Code::Unauthenticated, "login.signature", None), Step::Fail);
        check(of(Code::Unauthenticated, "login.expired", None), Step::LogIn);
        check(of(Code::Unimplemented, "", None), Step::Fail);
        check(of(Code::PermissionDenied, "", None), Step::Fail);
        check(of(Code::Unavailable, "", None), Step::Elsewhere(None));
        check(of(Code::Unknown, "", None), Step::Elsewhere(None));
        check(of(Code::Unavailable, "node.catching-up", Some(1)), Step::Elsewhere(second));
        check(of(Code::ResourceExhausted, "mempool.full", Some(1)), Step::Elsewhere(second));
        check(of(Code::ResourceExhausted, "organisation.rate", Some(1)), Step::Again(second));
        check(of(Code::ResourceExhausted, "organisation.calls-full", Some(1)), Step::Again(second));
        check(of(Code::ResourceExhausted, "request.too-large", None), Step::Fail);
        check(of(Code::Internal, "internal.fault", None), Step::Elsewhere(None));
    }
}
