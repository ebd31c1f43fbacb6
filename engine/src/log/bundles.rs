//! Reads a long log from bundles of its objects, and makes them (SPEC 3.17).
//!
//! Why it is safe: whoever may create objects may create bundles, so what one holds is
//! judged as if it were the objects, and each object from one is then believed only if
//! something else knows its leaf:
//!
//! - this client remembers it; or
//! - valid entries behind it were signed over it: by the administrator of genesis, or
//!   by two keys that he authorised. One such key does not do: with a bundle of its own
//!   making, its thief could hide what others had added, or that it was revoked; or
//! - the object was read by itself.
//!
//! Where one has another leaf, its bundle is left out and the log judged anew. A bundle
//! that can't be used thus costs time and changes nothing. Nothing depends on one being
//! there either, so whoever makes them goes on if that fails.

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::history::History;
use indelible_format::ids::{LogHash, SignerId};
use indelible_format::limits::LOG_BUNDLE_OBJECTS;
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::{Frontier, leaf_hash};
use indelible_format::planted::{Bug, planted};

use super::LogError;
use super::objects::{AHEAD_OBJECTS, Claims, Objects, list, read_objects};
use crate::store::{AppendStore, Area, ObjectKey, ReadStore, StoreError};

/// How often a log is judged with fewer bundles before it is read without any.
const TRIES: usize = 4;
/// So many bundles are made by one who appends.
const MADE_MAX: usize = 8;
/// Objects that are longer together are not made a bundle of, bytes: most of them are
/// junk, and copying it would be its maker's work.
const MADE_BYTES_MAX: usize = 8 << 20;

/// Reads a log, with the bundles that can be believed.
pub(super) fn read<S: ReadStore + ?Sized>(objects: &Objects<'_, S>) -> Result<History, LogError> {
    let last = objects
        .numbers
        .last()
        .map_or(1, |last| LogBundle::of(*last));
    let mut bundles = BTreeSet::new();
    // A bundle has an entry behind it, so a short log has none.
    if last > 1 {
        bundles.extend(list(objects.store, Area::Bundles).unwrap_or_default());
    }
    for _ in 0..TRIES {
        let (mut history, claims) = objects.judge(&mut bundles)?;
        let wrong = contradicted(objects, &history, &claims)?;
        if wrong.is_empty() || planted(Bug::BundleBelieved) {
            history.bundled = claims.len() as u64;
            return Ok(history);
        }
        bundles.retain(|number| !wrong.contains(number));
    }
    Ok(objects.judge(&mut BTreeSet::new())?.0)
}

/// Bundles that have an object with another leaf than it has. If this gives none, all
/// objects from bundles have theirs.
fn contradicted<S: ReadStore + ?Sized>(
    objects: &Objects<'_, S>,
    history: &History,
    claims: &Claims,
) -> Result<BTreeSet<u64>, StoreError> {
    let at = |leaves: &[LogHash], n: u64| Some(*leaves.get(usize::try_from(n).ok()?)?);
    let differs = |(n, leaf): &&(u64, LogHash)| {
        at(&history.leaves, *n) != Some(*leaf)
            || at(objects.remembered, *n).is_some_and(|known| known != *leaf)
    };
    let wrong: BTreeSet<u64> = claims
        .iter()
        .filter(differs)
        .map(|(n, _)| LogBundle::of(*n))
        .collect();
    if !wrong.is_empty() {
        return Ok(wrong);
    }
    let vouched = (objects.remembered.len() as u64).max(signed_over(history));
    let unvouched = &claims[claims.partition_point(|(n, _)| *n < vouched)..];
    for claims in unvouched.chunks(AHEAD_OBJECTS) {
        let numbers: Vec<u64> = claims.iter().map(|(n, _)| *n).collect();
        for ((n, leaf), object) in claims.iter().zip(read_objects(objects.store, &numbers)) {
            if object?.map(|bytes| leaf_hash(&bytes)) != Some(*leaf) {
                return Ok([LogBundle::of(*n)].into());
            }
        }
    }
    Ok(wrong)
}

/// The number below which all leaves were signed over by the administrator, or by two
/// keys that he authorised.
fn signed_over(history: &History) -> u64 {
    let mut frontier = Frontier::new();
    // The last entry of each key that states the root over all leaves before it.
    let mut last: BTreeMap<SignerId, u64> = BTreeMap::new();
    for (number, leaf) in (0..).zip(&history.leaves) {
        if let Some(entry) = history.entries.get(&number)
            && entry.header().root == frontier.root()
        {
            last.insert(entry.header().signer, number);
        }
        frontier.push(*leaf);
    }
    let administrator = history.authority.administrator();
    let (mut alone, mut together) = (0, Vec::new());
    for (signer, number) in last {
        let grant = history.authority.grant(&signer);
        let Some(grant) = grant.filter(|grant| grant.revoked.is_none()) else {
            continue;
        };
        if signer == administrator {
            alone = number;
        } else if grant.by == administrator {
            // Keys that another one made may all be one thief's.
            together.push(number);
        }
    }
    together.sort_unstable();
    together
        .iter()
        .nth_back(1)
        .map_or(alone, |&number| number.max(alone))
}

/// Makes bundles, if this entry is the first that stands behind one.
pub(crate) fn make_behind<S: AppendStore + ?Sized>(store: &S, history: &History, number: u64) {
    let before = history.entries.range(..number).next_back();
    if before.is_some_and(|(before, _)| LogBundle::of(*before) < LogBundle::of(number)) {
        make_missing(store, history, MADE_MAX);
    }
}

/// Makes bundles that the store lacks, the newest first: it tries at most so many.
pub(crate) fn make_missing<S: AppendStore + ?Sized>(store: &S, history: &History, most: usize) {
    let last = history.entries.keys().next_back().copied();
    let end = last.map_or(1, LogBundle::of);
    if end == 1 {
        return;
    }
    let Ok(there) = list(store, Area::Bundles) else {
        return;
    };
    let missing = (1..end).rev().filter(|it| there.binary_search(it).is_err());
    for number in missing.take(most) {
        if make(store, history, number).is_err() {
            return;
        }
    }
}

/// Makes a bundle, if the objects are what the log has.
fn make<S: AppendStore + ?Sized>(
    store: &S,
    history: &History,
    number: u64,
) -> Result<(), StoreError> {
    let first = LogBundle::first(number);
    let (mut objects, mut size_bytes) = (Vec::new(), 0);
    let numbers: Vec<u64> = (first..first + LOG_BUNDLE_OBJECTS as u64).collect();
    for numbers in numbers.chunks(AHEAD_OBJECTS) {
        for object in read_objects(store, numbers) {
            let object = object?;
            size_bytes += object.as_ref().map_or(0, Vec::len);
            objects.push(object);
        }
        if size_bytes > MADE_BYTES_MAX {
            return Ok(());
        }
    }
    let bundle = LogBundle {
        repository: history.authority.repository(),
        number,
        objects: objects.iter().map(Option::as_deref).collect(),
    };
    if bundle.is_of(history) {
        // Whoever else makes it now makes the same.
        let _ = store.put_new(&ObjectKey::Bundle(number), &bundle.encode())?;
    }
    Ok(())
}
