//! Calls of a store that wait for it most of their time, several at once.
//!
//! Why it is safe: each item is visited by one thread, a panic there is one here, and no
//! thread outlives the call.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls that are under way at once.
const THREADS: usize = 8;

/// What each item gives, in the order of the items.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut given: Vec<Option<R>> = items.iter().map(|_| None).collect();
    visit(items.iter().zip(&mut given), |(item, slot)| {
        *slot = Some(each(item));
        ControlFlow::Continue(())
    });
    let given = given.into_iter();
    given.map(|it| it.expect("each was visited")).collect()
}

/// Visits each item once, on several threads, until one says that the rest is in vain.
pub(crate) fn visit<I: ExactSizeIterator + Send>(
    items: I,
    each: impl Fn(I::Item) -> ControlFlow<()> + Sync,
) {
    let threads = THREADS.min(items.len());
    let items = Mutex::new(Some(items));
    let rest = || items.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || rest().as_mut().and_then(Iterator::next);
    let visit_some = || {
        while let Some(item) = next() {
            if each(item).is_break() {
                *rest() = None;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(visit_some);
        }
        visit_some();
    });
}
