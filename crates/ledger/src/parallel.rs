//! Work on several threads, without threads: the pure floors say what may be done at once, and whoever
//! has a machine says how.
//!
//! What is fanned out is a function of its item alone (reading a statement, verifying a signature), so the
//! results are the same however many threads there are.

use std::sync::OnceLock;

/// Somebody who does independent pieces of work, perhaps several at once.
pub trait Workers: Send + Sync {
    /// Calls `job` once with every number below `count`, in any order and on any thread, and returns when
    /// all of them are done. A panic of a job reaches the caller.
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync));

    /// Calls both, in any order and on any threads, and returns when both are done. Either may call
    /// [`Workers::run`]. A panic of one reaches the caller.
    fn both(&self, one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
        one();
        other();
    }
}

/// One after the other, on the thread that asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(job);
    }
}

/// What `function` gives for each item, in the order of the items.
pub fn map<T: Sync, R: Send + Sync>(
    workers: &dyn Workers,
    items: &[T],
    function: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let mut results = Vec::new();
    results.resize_with(items.len(), OnceLock::new);
    workers.run(items.len(), &|index| {
        // Called once per index; a second result of a pure function would be the same.
        let _ = results[index].set(function(index, &items[index]));
    });
    results.into_iter().map(|result| result.into_inner().expect("the workers did every job")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backwards, as a machine might.
    struct Backwards;

    impl Workers for Backwards {
        fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
            (0..count).rev().for_each(job);
        }
    }

    #[test]
    fn results_stand_in_the_order_of_their_items_whoever_works() {
        let items: Vec<u32> = (0..100).collect();
        let double = |index: usize, item: &u32| (index, item * 2);
        let expected: Vec<_> = (0..100).map(|item| (usize::try_from(item).unwrap(), item * 2)).collect();
        assert_eq!(map(&Alone, &items, double), expected);
        assert_eq!(map(&Backwards, &items, double), expected);
    }
}
