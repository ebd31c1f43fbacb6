//! Tells of what a mount could not hand out: each place once, since the kernel and
//! whoever reads try again.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use indelible_engine::repository::Snapshot;
use indelible_engine::view::ReadFault;

use crate::address;
use crate::context::Context;
use crate::output;

/// So many places are remembered. A mount that has more to tell is told of often
/// enough.
const PLACES_MAX: usize = 10_000;

pub(super) struct Reports {
    context: Context,
    told: Mutex<HashSet<(u64, String, u64)>>,
}

impl Reports {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: Context {
                common: context.common.clone(),
                env: context.env.clone(),
                limits: context.limits.clone(),
            },
            told: Mutex::default(),
        }
    }

    /// Bytes of a file that can't be read.
    pub(super) fn fault(&self, snapshot: &Snapshot, path: &str, fault: &ReadFault) {
        self.tell(snapshot, path, fault.offset, fault);
    }

    /// A place in a snapshot where something is wrong.
    pub(super) fn tell(&self, snapshot: &Snapshot, path: &str, offset: u64, error: &dyn Error) {
        let place = (snapshot.number, path.to_owned(), offset);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= PLACES_MAX || !told.insert(place) {
            return;
        }
        drop(told);
        let mut text = format!("{}: {path}: {error}", address::describe(snapshot));
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        output::warn(&self.context, &text);
    }
}
