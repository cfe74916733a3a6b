//! The machine's cores, for work that pure rooms say may be done at once.

use ledger::parallel::Workers;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// As many threads as the machine has cores, shared by the whole process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Threads;

impl Workers for Threads {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(job);
    }

    fn both(&self, one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
        rayon::join(one, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_job_is_done_once_and_a_panic_reaches_the_caller() {
        let done: Vec<AtomicUsize> = (0..1_000).map(|_| AtomicUsize::new(0)).collect();
        Threads.run(done.len(), &|index| {
            done[index].fetch_add(1, Ordering::Relaxed);
        });
        assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        let panicked = std::panic::catch_unwind(|| Threads.run(10, &|index| assert_ne!(index, 7)));
        assert!(panicked.is_err());
    }
}
