//! A thread for what others wait for, while the one that makes checkpoints stands back.
//!
//! It is no thread of rayon: sled opens a database with the threads of rayon that it finds itself among, and waits for
//! them, which one alone would do for ever.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Sender};

type Work = Box<dyn FnOnce() + Send>;

/// The thread. It ends with this.
#[derive(Debug)]
pub(super) struct Front {
    works: Sender<Work>,
}

impl Front {
    pub(super) fn start() -> io::Result<Self> {
        let (works, coming) = mpsc::channel::<Work>();
        let work_off = move || {
            for work in coming {
                work();
            }
        };
        std::thread::Builder::new().name("index-front".to_owned()).spawn(work_off)?;
        Ok(Self { works })
    }

    /// Has it done and waits for it. Panics as the work does.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = mpsc::sync_channel::<Result<T, Box<dyn Any + Send>>>(1);
        let work = move || {
            // What the work holds is given back before anybody hears of its end.
            let done = catch_unwind(AssertUnwindSafe(work));
            sender.send(done).expect("whoever asked waits");
        };
        self.works.send(Box::new(work)).expect("the thread lives as long as this, and works do not end it");
        let done = receiver.recv().expect("a work that was taken on says how it went");
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_panics_come_back_to_who_asked() {
        let front = Front::start().unwrap();
        let ours = std::thread::current().id();
        assert_ne!(front.run(|| std::thread::current().id()), ours);
        let panic = catch_unwind(AssertUnwindSafe(|| front.run(|| -> () { panic!("mine") }))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"mine"));
        assert_eq!(front.run(|| 7), 7);
    }
}
