//! The objects of a log, read in order and judged.
//!
//! Whoever may create objects may create many, and long ones: so they are held a
//! window or a bundle at a time, and nothing is read beyond the end of the log.

use std::collections::BTreeSet;

use indelible_format::examined::Examined;
use indelible_format::history::{History, Judging};
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::limits::{LEAF_BYTES_MAX, LOG_BUNDLE_BYTES_MAX, LOG_GAP_END};
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::leaf_hash;
use rayon::prelude::*;

use super::{LogError, Signed};
use crate::store::{Area, Listed, ObjectKey, ReadStore, StoreError};

/// Objects of the log that are held at once, before they are judged.
const WINDOW_OBJECTS: usize = 256;
/// Their bytes, but for the last one's.
const WINDOW_BYTES: usize = 4 << 20;
/// Objects that are asked for together where the store is distant. A window may be longer
/// by so many.
pub(super) const AHEAD_OBJECTS: usize = 32;
/// From so many unknown signatures on, all cores examine what is held.
const PARALLEL_MIN: usize = 16;

/// Objects that a bundle has, with their leaves.
pub(super) type Claims = Vec<(u64, LogHash)>;

/// A log that is listed, for a client that knows something of it.
pub(super) struct Objects<'a, S: ?Sized> {
    pub(super) store: &'a S,
    /// The numbers that have an object, ascending.
    pub(super) numbers: Vec<u64>,
    genesis: Vec<u8>,
    /// The leaves that this client saw before.
    pub(super) remembered: &'a [LogHash],
    /// Those of them whose signatures need not be checked again.
    signed: &'a Signed,
}

impl<'a, S: ReadStore + ?Sized> Objects<'a, S> {
    pub(super) fn list(
        store: &'a S,
        remembered: &'a [LogHash],
        signed: &'a Signed,
    ) -> Result<Self, LogError> {
        let numbers = list(store, Area::Log)?;
        let genesis = match numbers.first() {
            None => {
                return Err(LogError::NoRepository {
                    location: store.location(),
                });
            }
            Some(0) => read_object(store, 0)?,
            Some(_) => None,
        };
        Ok(Self {
            store,
            numbers,
            genesis: genesis.unwrap_or_default(),
            remembered,
            signed,
        })
    }

    /// Judges all objects. Those that `bundles` have are taken from there, and told; a
    /// bundle that can't be used is left out of them.
    pub(super) fn judge(&self, bundles: &mut BTreeSet<u64>) -> Result<(History, Claims), LogError> {
        let judging = Judging::begin(&self.genesis, self.signed.get(0));
        let mut judging = judging.map_err(|source| LogError::Genesis {
            location: self.store.location(),
            source,
        })?;
        let mut claims = Claims::new();
        let mut rest = self.numbers.strip_prefix(&[0]).unwrap_or(&self.numbers);
        while let Some(&first) = rest.first()
            && judging.reaches(first)
        {
            let bundle = LogBundle::of(first);
            let (mut here, behind) =
                rest.split_at(rest.partition_point(|&n| LogBundle::of(n) == bundle));
            if bundles.contains(&bundle) {
                let repository = judging.repository();
                let taken = self.read_bundle(bundle, here, &repository, |objects| {
                    claims.extend(objects.iter().map(|(n, bytes)| (*n, leaf_hash(bytes))));
                    self.judge_window(&mut judging, objects);
                });
                if taken.is_some() {
                    rest = behind;
                    continue;
                }
                bundles.remove(&bundle);
            }
            let count = here.len();
            let window = read_window(self.store, &mut here, judging.end())?;
            rest = &rest[count - here.len()..];
            self.judge_window(&mut judging, window);
        }
        for &number in rest {
            judging.pass_over(number);
        }
        Ok((judging.finish(self.remembered), claims))
    }

    fn judge_window<B: AsRef<[u8]> + Send>(&self, judging: &mut Judging, window: Vec<(u64, B)>) {
        let repository = judging.repository();
        let examine = |(number, bytes): (u64, B)| {
            let known = self.signed.get(number);
            let examined = Examined::new(bytes.as_ref(), &repository, known);
            (number, examined)
        };
        let is_new = |(number, _): &&(u64, B)| self.signed.get(*number).is_none();
        let new = window.iter().filter(is_new).count();
        let examined: Vec<(u64, Examined)> = if new < PARALLEL_MIN {
            window.into_iter().map(examine).collect()
        } else {
            window.into_par_iter().map(examine).collect()
        };
        for (number, examined) in examined {
            judging.judge(number, examined);
        }
    }

    /// Takes these objects from a bundle, if there is one that has them and no others but
    /// genesis, which was read already.
    fn read_bundle(
        &self,
        number: u64,
        wanted: &[u64],
        repository: &RepositoryId,
        take: impl FnOnce(Vec<(u64, &[u8])>),
    ) -> Option<()> {
        let key = ObjectKey::Bundle(number);
        let most = LOG_BUNDLE_BYTES_MAX as u64 + 1;
        let bytes = self.store.read_oldest(&key, most).ok()?;
        let bundle = LogBundle::decode(&bytes).ok()?;
        if bundle.repository != *repository || bundle.number != number {
            return None;
        }
        let numbers = LogBundle::first(number)..;
        let objects: Vec<(u64, &[u8])> = numbers
            .zip(bundle.objects)
            .filter_map(|(n, object)| object.filter(|_| n > 0).map(|bytes| (n, bytes)))
            .collect();
        let has = objects.iter().map(|(n, _)| n);
        has.eq(wanted).then(|| take(objects))
    }
}

/// The numbers of what a store has of the log or its bundles, ascending.
pub(super) fn list<S: ReadStore + ?Sized>(store: &S, area: Area) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    store.list(area, &mut |listed| {
        if let Listed::Object {
            key: ObjectKey::Log(number) | ObjectKey::Bundle(number),
            ..
        } = listed
        {
            numbers.push(number);
        }
    })?;
    numbers.sort_unstable();
    // A store that is somebody else's may say a thing twice.
    numbers.dedup();
    Ok(numbers)
}

/// Reads the next objects, in order: so many that all cores have work, and no
/// more, since whoever may create them may create many. Beyond the end of the
/// log, which lies where `end` says if none of them is there, nothing is read.
fn read_window<S: ReadStore + ?Sized>(
    store: &S,
    rest: &mut &[u64],
    mut end: u64,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let ahead = if store.capabilities().distant {
        AHEAD_OBJECTS
    } else {
        1
    };
    let (mut window, mut size_bytes) = (Vec::new(), 0);
    while window.len() < WINDOW_OBJECTS && size_bytes < WINDOW_BYTES {
        let batch = reached(&rest[..ahead.min(rest.len())], end);
        if batch.is_empty() {
            break;
        }
        for (&number, object) in batch.iter().zip(read_objects(store, batch)) {
            if number - end >= LOG_GAP_END {
                // Those before it are gone, so it is beyond the end.
                return Ok(window);
            }
            *rest = &rest[1..];
            if let Some(bytes) = object? {
                end = number + 1;
                size_bytes += bytes.len();
                window.push((number, bytes));
            }
        }
    }
    Ok(window)
}

/// The first numbers that a log reaches which ends at `end`, if all of them are there.
fn reached(numbers: &[u64], mut end: u64) -> &[u64] {
    let follows = |number: &&u64| {
        let gap = **number - end;
        end = **number + 1;
        gap < LOG_GAP_END
    };
    &numbers[..numbers.iter().take_while(follows).count()]
}

/// An object of the log, or `None` where there is none to read: one that was
/// listed a moment ago and is gone, or no file at all. That is a hole, which is
/// reported as such if anything valid lies beyond it.
type Object = Result<Option<Vec<u8>>, StoreError>;

/// One object of the log.
pub(super) fn read_object<S: ReadStore + ?Sized>(store: &S, number: u64) -> Object {
    object_of(store.read_oldest(&ObjectKey::Log(number), LEAF_BYTES_MAX as u64))
}

/// At most [`AHEAD_OBJECTS`] of them, in their order.
pub(super) fn read_objects<S: ReadStore + ?Sized>(store: &S, numbers: &[u64]) -> Vec<Object> {
    let keys: Vec<ObjectKey> = numbers.iter().copied().map(ObjectKey::Log).collect();
    let read = store.read_oldest_each(&keys, LEAF_BYTES_MAX as u64);
    read.into_iter().map(object_of).collect()
}

fn object_of(read: Result<Vec<u8>, StoreError>) -> Object {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. } | StoreError::NotRegular { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
