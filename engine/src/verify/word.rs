//! Packs whose SHA-256 a store tells, so that they need not be read.
//!
//! A commit record lists the SHA-256 of each pack, and a store that was given one keeps it.
//! Where both agree, and the lengths, the level packs may take that for the bytes. It is
//! *the store's word*: it tells what was put there once. That the store still has those
//! bytes, and does not lie, only reading shows; so does it that they have the id that the
//! writer listed beside the SHA-256.
//!
//! So it is taken only if the terms say so, and counted by itself in the report. It never
//! makes a problem and never unmakes one: a pack with which it does not agree, or of which
//! it tells nothing, is read as ever, and what is wrong is told of bytes.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use indelible_format::planted::{Bug, planted};

use super::visit::{Visit, Visitor};
use crate::at_once;
use crate::repository::ListedPack;
use crate::store::{ObjectKey, ReadStore, StoredSum};

/// After so many packs of which the store told nothing, and none of which it did, it is
/// asked no more: it keeps nothing.
const SILENT_MAX: usize = 16;

/// Asks for the checksums of packs, several at once, while there is time. Gives a visit for
/// each pack that the store vouches for, of which `done` is told, and the others in their
/// order.
pub(super) fn ask<S: ReadStore + ?Sized>(
    visitor: &Visitor<'_, S>,
    packs: Vec<ListedPack>,
    done: &(impl Fn(&Visit) + Sync),
) -> (Vec<Visit>, Vec<ListedPack>) {
    let is_vouched: Vec<AtomicBool> = packs.iter().map(|_| AtomicBool::new(false)).collect();
    let (silent, has_told) = (AtomicUsize::new(0), AtomicBool::new(false));
    at_once::visit(packs.iter().zip(&is_vouched), |(listed, is_vouched)| {
        if !visitor.deadline.has_time() {
            return ControlFlow::Break(());
        }
        // Whoever reads a pack says why it can't be read.
        if let Ok(Some(sum)) = visitor.store.stored_sum(&ObjectKey::Pack(listed.pack.id)) {
            has_told.store(true, Ordering::Relaxed);
            let visit = Visit::new(*listed, visitor.sizes);
            let is_listed = sum == listed_sum(listed) || planted(Bug::WordUncompared);
            if visit.problem.is_none() && is_listed {
                is_vouched.store(true, Ordering::Relaxed);
                done(&visit);
            }
        } else if silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_MAX
            && !has_told.load(Ordering::Relaxed)
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let (mut vouched, mut rest) = (Vec::new(), Vec::new());
    for (listed, is_vouched) in packs.into_iter().zip(is_vouched) {
        if is_vouched.into_inner() {
            vouched.push(Visit::vouched(listed, visitor.sizes));
        } else {
            rest.push(listed);
        }
    }
    (vouched, rest)
}

/// What the store tells of a pack that is as it is listed.
fn listed_sum(listed: &ListedPack) -> StoredSum {
    StoredSum {
        size_bytes: listed.pack.len.into(),
        sha256: listed.pack.sha256,
    }
}
