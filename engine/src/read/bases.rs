//! Plaintexts that deltas lean on and that were decoded lately, within a bound of
//! bytes.
//!
//! Neighbours lean on the same chunks. The first that comes to one decodes it, and
//! those that come meanwhile wait for that. Nobody waits in a circle: who decodes a
//! chunk waits for shallower ones alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indelible_format::places::Place;

use super::ChunkFault;
use crate::recent::Recent;

/// Plaintexts that are kept, bytes.
const BYTES_MAX: usize = 32 << 20;
/// How many buffers of those that went are kept for the next.
const FREE_MAX: usize = 16;

/// A plaintext, or why there is none.
pub(super) type Outcome = Result<Arc<Vec<u8>>, ChunkFault>;
/// The same, once it is known.
pub(super) type Cell = Arc<OnceLock<Outcome>>;

/// Plaintexts that were decoded lately or are being decoded.
pub(super) struct Bases {
    kept: Mutex<Kept>,
    decoded: AtomicU64,
}

struct Kept {
    cells: Recent<Place, Cell>,
    /// Buffers of those that went.
    free: Vec<Vec<u8>>,
}

impl Default for Bases {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                cells: Recent::new(BYTES_MAX),
                free: Vec::new(),
            }),
            decoded: AtomicU64::new(0),
        }
    }
}

impl Bases {
    /// Where the plaintext of a chunk is, or is to be; it has this length.
    pub(super) fn cell(&self, place: Place, len: usize) -> Cell {
        let mut kept = self.kept();
        if let Some(cell) = kept.cells.get(&place) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        let Kept { cells, free } = &mut *kept;
        cells.put(place, Arc::clone(&cell), len, |gone| reuse(free, gone));
        cell
    }

    /// Whether the plaintext of a chunk is at hand.
    pub(super) fn has(&self, place: &Place) -> bool {
        let mut kept = self.kept();
        let cell = kept.cells.get(place);
        cell.is_some_and(|cell| matches!(cell.get(), Some(Ok(_))))
    }

    /// Forgets what is known of a chunk, so that it is tried again.
    pub(super) fn forget(&self, place: &Place) {
        let mut kept = self.kept();
        if let Some(gone) = kept.cells.remove(place) {
            reuse(&mut kept.free, gone);
        }
    }

    /// A buffer of this length and of any content.
    pub(super) fn buffer(&self, len: usize) -> Vec<u8> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept();
        let fits = |free: &Vec<u8>| free.capacity() >= len && free.capacity() / 2 <= len;
        let at = kept.free.iter().position(fits);
        let mut buffer = at.map(|at| kept.free.swap_remove(at)).unwrap_or_default();
        drop(kept);
        buffer.resize(len, 0);
        buffer
    }

    /// How many plaintexts were decoded.
    pub(super) fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the buffer of a plaintext that nobody uses any more.
fn reuse(free: &mut Vec<Vec<u8>>, gone: Cell) {
    let unshared = Arc::into_inner(gone).and_then(OnceLock::into_inner);
    if let Some(Ok(plain)) = unshared
        && free.len() < FREE_MAX
    {
        free.extend(Arc::into_inner(plain));
    }
}

#[cfg(test)]
mod tests {
    use indelible_format::ids::PackId;

    use super::*;

    /// Buffers of plaintexts that went are used again, and not too many are kept.
    ///
    /// Method: more plaintexts than are kept, each decoded into the buffer of one that
    /// went, once there are any.
    #[test]
    fn buffers_go_round() {
        let bases = Bases::default();
        let len = 1 << 20;
        for number in 0..96 {
            let place = Place {
                pack: PackId([1; 32]),
                number,
            };
            let cell = bases.cell(place, len);
            assert!(cell.get().is_none(), "each is new");
            let free = bases.kept().free.len();
            let plain = bases.buffer(len);
            assert_eq!(bases.kept().free.len(), free.saturating_sub(1));
            cell.set(Ok(Arc::new(plain))).expect("it was not set");
            drop(cell);
            assert!(bases.has(&place) && bases.kept().free.len() <= FREE_MAX);
        }
        assert_eq!(bases.decoded(), 96);
    }
}
