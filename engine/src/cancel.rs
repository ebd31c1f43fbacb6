//! Lets another thread end an operation before it is done.
//!
//! A snapshot looks at it before its commit and never after, so what was
//! interrupted is not committed, and what was committed is not called
//! interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::source::KillSwitch;

/// A request to stop that operations look at.
#[derive(Default)]
pub struct Cancel {
    requested: AtomicBool,
    command: Mutex<Option<KillSwitch>>,
}

impl Cancel {
    /// Nothing is to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the operation to stop, and ends the dump command that it runs, since
    /// reading from that would not end by itself.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        if let Some(command) = &*self.command.lock().unwrap_or_else(PoisonError::into_inner) {
            command.terminate();
        }
    }

    /// Whether it was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Which command is running now.
    pub(crate) fn watch(&self, command: Option<KillSwitch>) {
        *self.command.lock().unwrap_or_else(PoisonError::into_inner) = command;
    }
}
