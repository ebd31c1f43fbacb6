//! When locks end: late enough, and not all at once (SPEC 17.3).
//!
//! Were each lock as long as is needed and no longer, every object would have to be
//! extended every night. On its own grid an object's lock is longer by up to a period,
//! and is extended once in that time; and since objects differ in their grids, no night
//! has to extend many.

use crate::store::ObjectKey;

use super::DAY_MS;

/// The longest period.
const PERIOD_MS_MAX: u64 = 30 * DAY_MS;

/// Grids that differ.
const GRIDS: u64 = 12;

/// How long locks must be, and how they are extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// They must not end before, Unix milliseconds.
    pub until_ms: u64,
    /// A lock is extended once in so many milliseconds. At least 12.
    pub period_ms: u64,
}

/// The period for what is kept for so long.
pub(super) fn period_ms(retain_ms: u64) -> u64 {
    retain_ms.clamp(DAY_MS, PERIOD_MS_MAX)
}

impl Term {
    /// The first moment of an object's grid that is late enough, Unix milliseconds.
    pub fn lock_end_ms(&self, key: &ObjectKey) -> u64 {
        let shift = number_of(key) % GRIDS * (self.period_ms / GRIDS);
        let behind = self.until_ms.saturating_sub(shift);
        let periods = behind.div_ceil(self.period_ms);
        periods.saturating_mul(self.period_ms).saturating_add(shift)
    }
}

/// What tells objects apart evenly: ids are hashes, and log entries are counted.
fn number_of(key: &ObjectKey) -> u64 {
    match key {
        ObjectKey::Repository => 0,
        ObjectKey::Log(number) | ObjectKey::Bundle(number) => *number,
        ObjectKey::Record(id) => first_eight(&id.0),
        ObjectKey::Pack(id) => first_eight(&id.0),
    }
}

fn first_eight(id: &[u8; 32]) -> u64 {
    let (first, _) = id.split_first_chunk().expect("an id has 32 bytes");
    u64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use indelible_format::ids::PackId;

    use super::*;

    /// A lock ends late enough, and less than a period later.
    ///
    /// Method: nights of a year, and objects of every grid.
    #[test]
    fn a_lock_ends_within_a_period() {
        let period_ms = period_ms(35 * DAY_MS);
        for night in 0..365 {
            let until_ms = 1_795_000_000_000 + night * DAY_MS;
            let term = Term {
                until_ms,
                period_ms,
            };
            for number in 0..24 {
                let end = term.lock_end_ms(&ObjectKey::Log(number));
                assert!(
                    (until_ms..until_ms + period_ms).contains(&end),
                    "{night} {number}"
                );
            }
        }
    }

    /// Most nights extend nothing, and no night more than a tenth.
    ///
    /// Method: 20,000 packs that are reached each night for three years; count those
    /// whose lock must move.
    #[test]
    fn most_nights_extend_nothing() {
        let pack = |n: u32| ObjectKey::Pack(PackId(*blake3::hash(&n.to_le_bytes()).as_bytes()));
        let packs: Vec<ObjectKey> = (0..20_000).map(pack).collect();
        let mut locked: BTreeMap<ObjectKey, u64> = BTreeMap::new();
        let (mut quiet, mut most) = (0, 0);
        for night in 0..1_095 {
            let until_ms = 1_795_000_000_000 + night * DAY_MS + 35 * DAY_MS;
            let term = Term {
                until_ms,
                period_ms: period_ms(35 * DAY_MS),
            };
            let mut extended = 0;
            for key in &packs {
                let end = locked.entry(*key).or_default();
                if *end < until_ms {
                    *end = term.lock_end_ms(key);
                    extended += 1;
                }
            }
            if night > 0 {
                quiet += u32::from(extended == 0);
                most = most.max(extended);
            }
        }
        assert!(quiet > 1_094 / 2, "{quiet} of 1,094 nights extend nothing");
        assert!(most <= 2_000, "one night extends {most} of 20,000 packs");
    }
}
