//! Calls of a store that wait for it most of their time, several at once.
//!
//! Why it is safe: each item is visited by one thread, a panic there is one here, and no
//! thread outlives the call.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls that are under way at once.
const THREADS: usize = 8;

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
