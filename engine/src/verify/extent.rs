//! How much of the stored bytes a verification reads, and which packs those are.
//!
//! Which packs a sample takes is drawn anew for each run: they are ordered by a
//! keyed hash of their ids, under a key that is drawn for the run. So whoever
//! keeps the store can't tell which packs are looked at next, and every pack's
//! turn comes sooner or later.
//!
//! This module decides about reading packs whole and about nothing else: what a
//! level looks at besides is looked at whatever the extent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indelible_format::ids::PackId;

use crate::env::{Clock, Env};
use crate::repository::ListedPack;

/// The whole, in the unit of a share: millionths.
const WHOLE: u32 = 1_000_000;

/// How much of the packs' bytes a verification reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    millionths: u32,
    time_max_ms: Option<u64>,
}

impl Extent {
    /// Every byte, however long that takes.
    pub const ALL: Self = Self {
        millionths: WHOLE,
        time_max_ms: None,
    };

    /// Packs drawn at random, with this share of all bytes, in millionths; what
    /// is more than the whole counts as the whole.
    #[must_use]
    pub fn sampled(self, millionths: u32) -> Self {
        Self {
            millionths: millionths.min(WHOLE),
            ..self
        }
    }

    /// No further pack is begun, and no further deltas are decoded, when so many
    /// milliseconds of the verification have passed. Both are taken in random order.
    #[must_use]
    pub fn within(self, time_max_ms: u64) -> Self {
        Self {
            time_max_ms: Some(time_max_ms),
            ..self
        }
    }

    /// Which share of the bytes is read, in millionths, if time allows.
    pub fn millionths(&self) -> u32 {
        self.millionths
    }

    /// For how many milliseconds something is begun.
    pub fn time_max_ms(&self) -> Option<u64> {
        self.time_max_ms
    }

    /// Draws the packs that are to be read, out of those that can be.
    pub(super) fn draw<'l>(&self, packs: impl Iterator<Item = &'l ListedPack>, env: &Env) -> Draw {
        let mut sizes: Vec<(PackId, u64)> = packs
            .map(|listed| (listed.pack.id, listed.pack.len.into()))
            .collect();
        // A pack that two domains list is one pack.
        sizes.sort_unstable();
        sizes.dedup();
        let of = Amount::of(sizes.iter().map(|(_, len)| *len));
        let turns = self.turns(env);
        if let Some(turns) = &turns {
            sizes.sort_by_cached_key(|(id, _)| turns.of(id));
        }
        let quota = u128::from(of.bytes) * u128::from(self.millionths);
        let mut taken = 0_u64;
        sizes.retain(|(_, len)| {
            let wanted = u128::from(taken) * u128::from(WHOLE) < quota;
            taken += if wanted { *len } else { 0 };
            wanted
        });
        Draw {
            of,
            chosen: Amount::of(sizes.iter().map(|(_, len)| *len)),
            order: sizes.into_iter().map(|(id, _)| id).collect(),
        }
    }

    /// Draws an order of packs, unless all are read.
    pub(super) fn turns(&self, env: &Env) -> Option<Turns> {
        (*self != Self::ALL).then(|| Turns(env.random()))
    }

    /// Until when something is begun, of a verification that began at this moment of
    /// the monotonic clock.
    pub(super) fn deadline(&self, env: &Env, began_ms: u64) -> Deadline {
        Deadline {
            until_ms: self.time_max_ms.map(|max| began_ms.saturating_add(max)),
            clock: Arc::clone(&env.clock),
        }
    }
}

/// A random order of packs.
pub(super) struct Turns([u8; 32]);

impl Turns {
    /// When it is a pack's turn: the least comes first.
    pub(super) fn of(&self, pack: &PackId) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, pack.as_bytes()).as_bytes()
    }
}

/// Until when something is begun.
pub(super) struct Deadline {
    until_ms: Option<u64>,
    clock: Arc<dyn Clock>,
}

impl Deadline {
    /// Whether there is time to begin something.
    pub(super) fn has_time(&self) -> bool {
        self.until_ms
            .is_none_or(|until| self.clock.monotonic_ms() < until)
    }
}

/// Packs, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub packs: u64,
    /// Their length, bytes.
    pub bytes: u64,
}

impl Amount {
    fn of(lengths: impl Iterator<Item = u64>) -> Self {
        lengths.fold(Self::default(), Self::and)
    }

    /// Of listed packs. One that two domains list is one pack.
    pub(super) fn of_listed<'l>(listed: impl Iterator<Item = &'l ListedPack>) -> Self {
        let lengths = listed.map(|listed| (listed.pack.id, u64::from(listed.pack.len)));
        Self::of(lengths.collect::<HashMap<_, _>>().into_values())
    }

    /// One pack of this length more.
    #[must_use]
    fn and(self, len_bytes: u64) -> Self {
        Self {
            packs: self.packs + 1,
            bytes: self.bytes + len_bytes,
        }
    }
}

/// The packs that one run is to read.
pub(super) struct Draw {
    /// All that could be read.
    pub(super) of: Amount,
    /// What was drawn of it.
    pub(super) chosen: Amount,
    /// The drawn packs, in the order in which they are taken.
    order: Vec<PackId>,
}

impl Draw {
    /// The packs that are read, in the order in which they are taken, and the rest.
    pub(super) fn arrange(&self, listed: &[ListedPack]) -> (Vec<ListedPack>, Vec<ListedPack>) {
        let chosen: HashSet<&PackId> = self.order.iter().collect();
        let (chosen, rest) = listed
            .iter()
            .partition::<Vec<ListedPack>, _>(|listed| chosen.contains(&listed.pack.id));
        let mut by_id: HashMap<PackId, Vec<ListedPack>> = HashMap::new();
        for listed in chosen {
            by_id.entry(listed.pack.id).or_default().push(listed);
        }
        let chosen = self.order.iter().filter_map(|id| by_id.remove(id));
        (chosen.flatten().collect(), rest)
    }
}
