//! Plaintexts that deltas lean on and that were decoded lately, within a bound of
//! bytes.
//!
//! Neighbours lean on the same chunks. The first that comes to one decodes it, and
//! those that come meanwhile wait for that. Nobody waits in a circle: who decodes a
//! chunk waits for shallower ones alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indelible_format::places::Place;

use super::ChunkFault;

/// Plaintexts that are kept, bytes.
const BYTES_MAX: usize = 32 << 20;
/// How many buffers of those that went are kept for the next.
const FREE_MAX: usize = 16;

/// A plaintext, or why there is none.
pub(super) type Outcome = Result<Arc<Vec<u8>>, ChunkFault>;
/// The same, once it is known.
pub(super) type Cell = Arc<OnceLock<Outcome>>;

/// Least recently used plaintexts go first.
#[derive(Default)]
pub(super) struct Bases {
    kept: Mutex<Kept>,
    decoded: AtomicU64,
}

#[derive(Default)]
struct Kept {
    cells: HashMap<Place, Entry>,
    /// Who was used when.
    order: BTreeMap<u64, Place>,
    now: u64,
    bytes: usize,
    free: Vec<Vec<u8>>,
}

struct Entry {
    cell: Cell,
    used: u64,
    len: usize,
}

impl Bases {
    /// Where the plaintext of a chunk is, or is to be; it has this length.
    pub(super) fn cell(&self, place: Place, len: usize) -> Cell {
        let mut kept = self.kept();
        if let Some(cell) = kept.touch(&place) {
            return cell;
        }
        let cell = Cell::default();
        let used = kept.now;
        kept.order.insert(used, place);
        kept.bytes += len;
        let entry = Entry {
            cell: Arc::clone(&cell),
            used,
            len,
        };
        kept.cells.insert(place, entry);
        kept.shrink();
        cell
    }

    /// Whether the plaintext of a chunk is at hand.
    pub(super) fn has(&self, place: &Place) -> bool {
        let cell = self.kept().touch(place);
        cell.is_some_and(|cell| matches!(cell.get(), Some(Ok(_))))
    }

    /// Forgets what is known of a chunk, so that it is tried again.
    pub(super) fn forget(&self, place: &Place) {
        self.kept().remove(place);
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

impl Kept {
    fn touch(&mut self, place: &Place) -> Option<Cell> {
        self.now += 1;
        let entry = self.cells.get_mut(place)?;
        self.order.remove(&entry.used);
        self.order.insert(self.now, *place);
        entry.used = self.now;
        Some(Arc::clone(&entry.cell))
    }

    fn shrink(&mut self) {
        while self.bytes > BYTES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, place: &Place) {
        let Some(gone) = self.cells.remove(place) else {
            return;
        };
        self.order.remove(&gone.used);
        self.bytes -= gone.len;
        let unshared = Arc::into_inner(gone.cell).and_then(OnceLock::into_inner);
        if let Some(Ok(plain)) = unshared
            && self.free.len() < FREE_MAX
        {
            self.free.extend(Arc::into_inner(plain));
        }
    }
}

#[cfg(test)]
mod tests {
    use indelible_format::ids::PackId;

    use super::*;

    /// What is kept stays within the bound, and what was used last is kept.
    ///
    /// Method: fill it three times over, using the first plaintext all the while.
    #[test]
    fn the_bound_holds() {
        let bases = Bases::default();
        let place = |number| Place {
            pack: PackId([1; 32]),
            number,
        };
        let len = 1 << 20;
        for number in 0..96 {
            let cell = bases.cell(place(number), len);
            assert!(cell.get().is_none(), "each is new");
            let plain = bases.buffer(len);
            cell.set(Ok(Arc::new(plain))).expect("it was not set");
            drop(cell);
            assert!(bases.has(&place(0)), "it is used all the while");
            let kept = bases.kept();
            assert!(kept.bytes <= BYTES_MAX && kept.free.len() <= FREE_MAX);
            assert_eq!(kept.bytes, kept.cells.len() * len);
            assert_eq!(kept.order.len(), kept.cells.len());
        }
        assert!(!bases.has(&place(1)), "it was used least");
        assert!(bases.has(&place(95)));
    }
}
