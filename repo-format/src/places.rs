//! Where the chunks that a page or node lists lie (SPEC 8.2).
//!
//! Places are hints. They are no part of a page's or node's identity, so the
//! same list has the same id wherever its chunks are; and a wrong place costs a
//! reader a look into the directories, since each chunk is checked by its id.

use crate::ids::PackId;
use crate::limits::{DIRECTORY_PACKS_MAX, PACK_CHUNKS_MAX};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "places";

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The pack.
    pub pack: PackId,
    /// The chunk's number in it.
    pub number: u16,
}

/// Encodes places for a page or node that itself lies in `own`.
pub fn encode(places: &[Place], own: &PackId) -> Vec<u8> {
    let mut packs: Vec<PackId> = Vec::new();
    let mut runs: Vec<(u16, u16, u16)> = Vec::new();
    for place in places {
        let slot = slot_of(&place.pack, own, &mut packs);
        match runs.last_mut() {
            Some((last, first, count)) if joins((*last, *first, *count), (slot, place.number)) => {
                *count += 1;
            }
            _ => runs.push((slot, place.number, 1)),
        }
    }
    let mut out = Builder::new();
    out.count16(packs.len()).count16(runs.len());
    for pack in &packs {
        out.bytes(&pack.0);
    }
    for (slot, first, count) in runs {
        out.u16(slot).u16(first).u16(count);
    }
    out.finish()
}

fn slot_of(pack: &PackId, own: &PackId, packs: &mut Vec<PackId>) -> u16 {
    if pack == own {
        return 0;
    }
    let at = packs
        .iter()
        .position(|known| known == pack)
        .unwrap_or_else(|| {
            packs.push(*pack);
            packs.len() - 1
        });
    u16::try_from(at + 1).expect("a list has fewer items than a u16 counts")
}

/// Whether a place continues a run.
fn joins((last, first, count): (u16, u16, u16), (slot, number): (u16, u16)) -> bool {
    last == slot && first.checked_add(count) == Some(number)
}

/// Decodes the places of `expected` items from the end of a page or node that
/// lies in `own`.
pub fn decode(
    mut cursor: Cursor<'_>,
    expected: usize,
    own: &PackId,
) -> Result<Vec<Place>, LayoutError> {
    let pack_count = cursor.count16(0, expected.min(DIRECTORY_PACKS_MAX), "packs of the places")?;
    let run_count = cursor.count16(0, expected, "runs of the places")?;
    let mut packs = vec![*own];
    for _ in 0..pack_count {
        let pack = PackId(cursor.array(FIELD)?);
        if packs.contains(&pack) {
            return Err(LayoutError::NotCanonical {
                field: "packs of the places",
            });
        }
        packs.push(pack);
    }
    let mut places = Vec::with_capacity(expected);
    let mut used = 0;
    let mut previous = None;
    for _ in 0..run_count {
        let run = (cursor.u16(FIELD)?, cursor.u16(FIELD)?, cursor.u16(FIELD)?);
        let (slot, first, count) = run;
        let pack = *packs.get(usize::from(slot)).ok_or(LayoutError::Unknown {
            field: "slot of a run",
            found: slot.into(),
        })?;
        // Packs stand in the order of their first use.
        within(slot.into(), 0, used + 1, "slot of a run")?;
        used = used.max(slot.into());
        let end = u64::from(first) + u64::from(count);
        within(
            end,
            u64::from(first) + 1,
            PACK_CHUNKS_MAX as u64,
            "end of a run",
        )?;
        if previous.is_some_and(|before| joins(before, (slot, first))) {
            return Err(LayoutError::NotCanonical {
                field: "runs of the places",
            });
        }
        within(
            (places.len() + usize::from(count)) as u64,
            1,
            expected as u64,
            "places",
        )?;
        places.extend((first..first + count).map(|number| Place { pack, number }));
        previous = Some(run);
    }
    cursor.finish(FIELD)?;
    if places.len() != expected || used != pack_count as u64 {
        return Err(LayoutError::NotCanonical { field: FIELD });
    }
    Ok(places)
}
