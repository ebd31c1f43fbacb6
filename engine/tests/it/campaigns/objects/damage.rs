//! What can happen to a whole object, and what a store then differs in.

use std::collections::{BTreeMap, BTreeSet};

use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::ids::{PackId, RecordId};
use indelible_format::limits::LOG_GAP_END;
use indelible_format::pack::HEADER_BYTES;

use super::super::oracle::{Oracle, Part};
use crate::support::object;

/// Ends of the fields of a log entry's frame (SPEC 3.2).
const LOG_ENDS: [usize; 12] = [8, 16, 17, 18, 22, 30, 46, 62, 94, 126, 158, 162];
/// Ends of the fields of a pack's header (SPEC 6.2).
const HEADER_ENDS: [usize; 10] = [8, 10, 12, 44, 60, 64, 144, 176, 256, 288];
/// Ends of the fields of a commit body with one pack (SPEC 7.1).
const RECORD_ENDS: [usize; 6] = [8, 12, 44, 48, 80, 112];
/// Many zeros, as an interrupted copy or a bad file system leaves them.
const ZEROS_BYTES: usize = 4 << 20;

/// Names that no object has. They lie about in every damaged store.
pub(super) const JUNK: [&str; 3] = ["commits/junk", "log/junk", "packs/zz/junk"];

/// One thing done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Removed,
    Truncated(usize),
    /// Longer by one byte.
    Byte,
    /// Longer by its own copy.
    Doubled,
    /// Longer by zeros.
    Zeros,
    /// A copy under another key of its kind.
    CopiedTo(ObjectKey),
    /// Exchanged with another of its kind.
    Swapped(ObjectKey),
    /// Replaced by a copy of another of its kind, mostly an older one.
    ReplacedBy(ObjectKey),
    /// Replaced by the object in its place of another repository.
    Foreign(ObjectKey),
    /// One bit inverted.
    Flipped(usize),
}

impl Damage {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Truncated(_) => "truncated",
            Self::Byte | Self::Doubled | Self::Zeros => "extended",
            Self::CopiedTo(_) => "copied to another key",
            Self::Swapped(_) => "swapped",
            Self::ReplacedBy(_) => "replaced by another",
            Self::Foreign(_) => "replaced by another repository's",
            Self::Flipped(_) => "one bit inverted",
        }
    }

    /// Does it, unless something that was done before left nothing to do it to.
    pub(super) fn apply(self, store: &MemoryStore, key: &ObjectKey, foreign: &MemoryStore) {
        let keys = store.keys();
        if !keys.contains(key) {
            return;
        }
        let bytes = object(store, key);
        let longer = |more: &[u8]| store.replace(key, &[&bytes, more].concat());
        match self {
            Self::Removed => store.forget(key),
            Self::Truncated(len) => store.truncate(key, len),
            Self::Byte => longer(&[0]),
            Self::Doubled => longer(&bytes),
            Self::Zeros => longer(&vec![0; ZEROS_BYTES]),
            Self::CopiedTo(to) => store.replace(&to, &bytes),
            Self::Swapped(other) | Self::ReplacedBy(other) if keys.contains(&other) => {
                store.replace(key, &object(store, &other));
                if matches!(self, Self::Swapped(_)) {
                    store.replace(&other, &bytes);
                }
            }
            Self::Foreign(other) => store.replace(key, &object(foreign, &other)),
            Self::Flipped(offset) if offset < bytes.len() => store.flip(key, offset, 0),
            Self::Swapped(_) | Self::ReplacedBy(_) | Self::Flipped(_) => {}
        }
    }
}

/// Everything that can be done to one object. `foreign` is the object in its
/// place of another repository.
pub(super) fn all_damage(oracle: &Oracle, key: &ObjectKey, foreign: &ObjectKey) -> Vec<Damage> {
    let same_kind = |other: &ObjectKey| {
        let kinds = (Part::whole(key), Part::whole(other));
        matches!(
            kinds,
            (Part::Log(_), Part::Log(_)) | (Part::Pack(_), Part::Pack(_))
        )
    };
    let mut damage = vec![
        Damage::Removed,
        Damage::Byte,
        Damage::Doubled,
        Damage::Zeros,
        Damage::Foreign(*foreign),
    ];
    damage.extend(lengths(oracle, key).into_iter().map(Damage::Truncated));
    damage.extend(other_keys(oracle, key).into_iter().map(Damage::CopiedTo));
    let others = oracle.store.keys().into_iter().filter(same_kind);
    for other in others.filter(|other| other != key) {
        damage.push(Damage::ReplacedBy(other));
        if other > *key {
            damage.push(Damage::Swapped(other));
        }
    }
    if let ObjectKey::Pack(pack) = key {
        let chunks = oracle.anatomy.packs[pack].chunks.iter();
        damage.extend(chunks.map(|(range, _)| Damage::Flipped(range.start)));
    }
    damage
}

/// Lengths at which something ends, and some beside them.
fn lengths(oracle: &Oracle, key: &ObjectKey) -> BTreeSet<usize> {
    let len = object(&oracle.store, key).len();
    let mut ends = BTreeSet::from([0, 1, len / 2, len - 1]);
    match key {
        ObjectKey::Log(_) | ObjectKey::Repository => {
            ends.extend(LOG_ENDS);
            ends.insert(len - 64);
        }
        ObjectKey::Record(_) => ends.extend(RECORD_ENDS),
        ObjectKey::Bundle(_) => {}
        ObjectKey::Pack(pack) => {
            let parts = &oracle.anatomy.packs[pack];
            ends.extend(HEADER_ENDS);
            ends.insert(HEADER_BYTES);
            ends.extend(parts.chunks.iter().map(|(range, _)| range.end));
            ends.extend([parts.trailer.start, parts.trailer.start + 4]);
        }
    }
    ends.into_iter().filter(|end| *end < len).collect()
}

/// Keys of the same kind at which nothing stands.
fn other_keys(oracle: &Oracle, key: &ObjectKey) -> Vec<ObjectKey> {
    match *key {
        ObjectKey::Repository | ObjectKey::Bundle(_) => Vec::new(),
        // The next number, one behind a gap, and the first beyond the end.
        ObjectKey::Log(_) => [1, 5, 1 + LOG_GAP_END]
            .map(|ahead| ObjectKey::Log(oracle.head() + ahead))
            .to_vec(),
        ObjectKey::Pack(PackId(mut id)) => {
            id[31] ^= 1;
            vec![ObjectKey::Pack(PackId(id))]
        }
        ObjectKey::Record(RecordId(mut id)) => {
            id[31] ^= 1;
            vec![ObjectKey::Record(RecordId(id))]
        }
    }
}

/// How an object differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Gone,
    /// Other bytes, as many or not.
    Altered {
        same_len: bool,
    },
    /// A pack with bytes behind its end, which are no part of it.
    Longer,
    /// It was not there.
    Added,
}

/// What a store differs in from the intact one.
#[derive(Debug)]
pub(super) struct Diff(pub(super) BTreeMap<ObjectKey, Effect>);

impl Diff {
    pub(super) fn between(intact: &MemoryStore, damaged: &MemoryStore) -> Self {
        let (before, after) = (intact.keys(), damaged.keys());
        let added = after.iter().filter(|key| !before.contains(key));
        let mut diff: BTreeMap<ObjectKey, Effect> =
            added.map(|key| (*key, Effect::Added)).collect();
        for key in before {
            if !after.contains(&key) {
                diff.insert(key, Effect::Gone);
                continue;
            }
            let (was, is) = (object(intact, &key), object(damaged, &key));
            if was == is {
                continue;
            }
            let longer = matches!(key, ObjectKey::Pack(_)) && is.starts_with(&was);
            let same_len = was.len() == is.len();
            let effect = if longer {
                Effect::Longer
            } else {
                Effect::Altered { same_len }
            };
            diff.insert(key, effect);
        }
        Self(diff)
    }

    /// Whether the object that was there is not to be had any more.
    pub(super) fn is_lost(&self, key: &ObjectKey) -> bool {
        let effect = self.0.get(key);
        matches!(effect, Some(Effect::Gone | Effect::Altered { .. }))
    }

    /// Entries that do not count any more: lost, or signed by a key that a lost
    /// one authorised.
    pub(super) fn lost_entries(&self, oracle: &Oracle) -> BTreeSet<u64> {
        let lost = (0..=oracle.head()).filter(|number| self.is_lost(&ObjectKey::Log(*number)));
        lost.flat_map(|number| {
            let under = oracle.signed_under(number);
            under.into_iter().chain([number])
        })
        .collect()
    }

    /// Whether nobody can say what packs an entry lists.
    pub(super) fn is_unlisted(&self, oracle: &Oracle, entry: u64) -> bool {
        let record = oracle.originals[&entry].record;
        self.lost_entries(oracle).contains(&entry)
            || record.is_some_and(|id| self.is_lost(&ObjectKey::Record(id)))
    }

    /// The snapshots that this may cost.
    pub(super) fn costs(&self, oracle: &Oracle) -> BTreeSet<u64> {
        let costs = self.0.iter().filter(|(key, effect)| match effect {
            Effect::Gone | Effect::Altered { .. } => true,
            // How long a pack is, only its listing says.
            Effect::Longer => match key {
                ObjectKey::Pack(pack) => self.is_unlisted(oracle, oracle.listed_by[pack]),
                _ => false,
            },
            Effect::Added => false,
        });
        costs
            .flat_map(|(key, _)| oracle.costs(Part::whole(key)))
            .collect()
    }
}
