//! Work that is brief: to look one record up, or a few, or to admit a small statement.
//!
//! To wake a thread for it, and to let it fall asleep again, takes several times as long as the work itself. So brief
//! work waits in a queue, and a thread that is awake takes one after the other. Another thread is woken when none is
//! awake, and when the one that is has been at its work for longer than such work takes: it waits for the disk then.
//! Nobody looks after that but who comes with new work; if nobody comes, what waits does so for one work at most, which
//! is brief even where it reads the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::layer::words;

/// Whoever is at its work for longer has no warm record to look up.
const LONG: Duration = Duration::from_micros(500);

type Work = Box<dyn FnOnce() + Send>;

/// Why brief work has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// It panicked.
    #[error("the work panicked: {0}")]
    Panicked(String),
    /// The node ends.
    #[error("the work was given up")]
    GivenUp,
}

/// The queue of brief work.
pub(crate) struct Brief {
    inner: Mutex<Inner>,
}

struct Inner {
    waiting: VecDeque<Work>,
    /// Threads that are awake.
    awake: usize,
    /// When one of them took its work last.
    taken: Instant,
}

impl Brief {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner { waiting: VecDeque::new(), awake: 0, taken: Instant::now() }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the queue of brief work")
    }

    /// Does brief work on a thread that may block. How much waits is bounded by whoever lets it come here.
    ///
    /// # Errors
    /// When the work panicked, or nobody does it any more.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let done =
                catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Lost::Panicked(words(panic.as_ref()).to_owned()));
            // Whoever asked may have gone away.
            let _ = sender.send(done);
        };
        if self.put(Box::new(work)) {
            let brief = Arc::clone(self);
            tokio::task::spawn_blocking(move || brief.work_off());
        }
        receiver.await.unwrap_or(Err(Lost::GivenUp))
    }

    /// Whether another thread must be woken for it.
    fn put(&self, work: Work) -> bool {
        let mut inner = self.inner();
        inner.waiting.push_back(work);
        let another = inner.awake == 0 || inner.taken.elapsed() > LONG;
        if another {
            inner.awake += 1;
            // Who comes meanwhile does not wake one more for the same reason.
            inner.taken = Instant::now();
        }
        another
    }

    /// Does what waits until nothing does.
    fn work_off(&self) {
        while let Some(work) = self.next() {
            work();
        }
    }

    fn next(&self) -> Option<Work> {
        let mut inner = self.inner();
        let next = inner.waiting.pop_front();
        match next {
            Some(_) => inner.taken = Instant::now(),
            None => inner.awake -= 1,
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    fn awake(brief: &Brief) -> usize {
        brief.inner().awake
    }

    #[test]
    fn all_of_it_is_done_and_its_results_come_back_to_who_asked() {
        let runtime = runtime();
        runtime.block_on(async {
            let brief = Brief::new();
            let mut all = JoinSet::new();
            for number in 0..1_000_u64 {
                let brief = Arc::clone(&brief);
                all.spawn(async move { (number, brief.run(move || number * 2).await.unwrap()) });
            }
            let mut seen = BTreeSet::new();
            while let Some(done) = all.join_next().await {
                let (number, doubled) = done.unwrap();
                assert_eq!(doubled, number * 2);
                assert!(seen.insert(number));
            }
            assert_eq!(seen.len(), 1_000);
            while awake(&brief) > 0 {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn work_that_waits_for_the_disk_holds_up_nobody_who_comes_later() {
        let runtime = runtime();
        runtime.block_on(async {
            let brief = Brief::new();
            let (open, gate) = mpsc::channel::<()>();
            let (began, has_begun) = oneshot::channel();
            let slow = Arc::clone(&brief);
            let slow = tokio::spawn(async move {
                let wait = move || {
                    began.send(()).unwrap();
                    gate.recv().is_ok()
                };
                slow.run(wait).await
            });
            has_begun.await.unwrap();
            while brief.inner().taken.elapsed() <= LONG {
                tokio::task::yield_now().await;
            }
            assert_eq!(brief.run(|| 7).await.unwrap(), 7);
            open.send(()).unwrap();
            assert!(slow.await.unwrap().unwrap());
        });
    }

    #[test]
    fn a_panic_is_its_own_works_and_the_thread_goes_on() {
        let runtime = runtime();
        runtime.block_on(async {
            let brief = Brief::new();
            let lost = brief.run(|| -> () { panic!("of {}", "mine") }).await.unwrap_err();
            assert_eq!(lost.to_string(), "the work panicked: of mine");
            assert_eq!(brief.run(|| 7).await.unwrap(), 7);
            while awake(&brief) > 0 {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn who_gives_up_loses_the_result_and_nothing_else() {
        let runtime = runtime();
        runtime.block_on(async {
            let brief = Brief::new();
            let (open, gate) = mpsc::channel::<()>();
            let (ended, has_ended) = oneshot::channel();
            let work = move || ended.send(gate.recv().is_ok()).unwrap();
            assert!(tokio::time::timeout(Duration::ZERO, brief.run(work)).await.is_err());
            open.send(()).unwrap();
            assert!(has_ended.await.unwrap());
            assert_eq!(brief.run(|| 7).await.unwrap(), 7);
        });
    }
}
