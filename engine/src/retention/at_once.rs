//! Calls of a store that wait for it most of their time, several at once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::store::ObjectKey;

/// Calls that are under way at once.
const THREADS: usize = 8;

/// Visits each key once, on several threads, until one says that the rest is in vain.
pub(super) fn visit(keys: &[ObjectKey], each: impl Fn(&ObjectKey) -> ControlFlow<()> + Sync) {
    let next = AtomicUsize::new(0);
    let visit_some = || {
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            if each(key).is_break() {
                next.store(keys.len(), Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..THREADS.min(keys.len()) {
            scope.spawn(visit_some);
        }
        visit_some();
    });
}
