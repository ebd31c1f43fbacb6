//! Chunks that were decoded lately, or are being decoded, within a bound of bytes.
//!
//! Who comes first to a chunk decodes it, and who comes meanwhile waits for that.
//! Nobody waits in a circle: who decodes chunks does so before waiting for others'.
//! A chunk that could not be had is forgotten at once, so that the next read tries
//! again: a store may answer later.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indelible_format::ids::ChunkId;

use crate::read::{Part, ReadError, Reader};
use crate::recent::Recent;
use crate::store::ReadStore;

/// Decoded chunks that are kept, bytes.
const BYTES_MAX: usize = 32 << 20;

/// A chunk's bytes, or why there are none.
type Outcome = Result<Arc<[u8]>, ReadError>;
/// The same, once it is known.
type Cell = Arc<OnceLock<Outcome>>;

/// Chunks that were decoded lately or are being decoded.
pub(super) struct Chunks(Mutex<Recent<ChunkId, Cell>>);

impl Default for Chunks {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(BYTES_MAX)))
    }
}

/// A chunk that is ours to decode, and where it goes. Whoever waits for it learns
/// it also if the decoding does not come to its end.
struct Mine {
    id: ChunkId,
    cell: Cell,
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.cell
            .get_or_init(|| Err(ReadError::Shape { id: self.id }));
    }
}

impl Chunks {
    /// Decodes those of the chunks that nobody has decoded or is decoding. Waits for
    /// nobody.
    pub(super) fn load<S: ReadStore + ?Sized>(&self, reader: &Reader<'_, S>, parts: &[Part]) {
        self.cells(reader, parts);
    }

    /// The bytes of whole chunks, in their order.
    pub(super) fn get<S: ReadStore + ?Sized>(
        &self,
        reader: &Reader<'_, S>,
        parts: &[Part],
    ) -> Vec<Outcome> {
        let cells = self.cells(reader, parts);
        let outcomes = cells.into_iter().map(|cell| match cell {
            Ok(cell) => cell.wait().clone(),
            Err(error) => Err(error),
        });
        outcomes.collect()
    }

    /// Where the chunks are or will be; ours are decoded.
    fn cells<S: ReadStore + ?Sized>(
        &self,
        reader: &Reader<'_, S>,
        parts: &[Part],
    ) -> Vec<Result<Cell, ReadError>> {
        let (mut mine, mut wanted) = (Vec::new(), Vec::new());
        let mut cells = Vec::with_capacity(parts.len());
        let mut kept = self.kept();
        for part in parts {
            cells.push(part.chunk.clone().map(|(item, _)| {
                let (cell, is_new) = cell(&mut kept, item.id, part.len);
                if is_new {
                    let (id, cell) = (item.id, Arc::clone(&cell));
                    mine.push(Mine { id, cell });
                    wanted.push(part.clone());
                }
                cell
            }));
        }
        drop(kept);
        if !wanted.is_empty() {
            self.decode(reader, wanted, &mine);
        }
        cells
    }

    fn decode<S: ReadStore + ?Sized>(
        &self,
        reader: &Reader<'_, S>,
        wanted: Vec<Part>,
        mine: &[Mine],
    ) {
        let decoded = reader.decode(reader.fetch(wanted));
        for (mine, (_, bytes)) in mine.iter().zip(decoded.parts()) {
            let outcome = bytes.map(Arc::from).map_err(Clone::clone);
            if outcome.is_err() {
                self.kept().remove(&mine.id);
            }
            // Ours alone to set.
            let _ = mine.cell.set(outcome);
        }
        reader.recycle(decoded);
    }

    fn kept(&self) -> MutexGuard<'_, Recent<ChunkId, Cell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a chunk is or will be, and whether that is new.
fn cell(kept: &mut Recent<ChunkId, Cell>, id: ChunkId, len: u64) -> (Cell, bool) {
    if let Some(cell) = kept.get(&id) {
        return (Arc::clone(cell), false);
    }
    let cell = Cell::default();
    let len = usize::try_from(len).expect("a chunk is at most 1 MiB");
    kept.put(id, Arc::clone(&cell), len, drop);
    (cell, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who waits for a chunk learns that its decoding did not come to its end.
    #[test]
    fn nobody_waits_for_ever() {
        let id = ChunkId([7; 32]);
        let cell = Cell::default();
        drop(Mine {
            id,
            cell: Arc::clone(&cell),
        });
        assert!(matches!(cell.wait(), Err(ReadError::Shape { id: of }) if *of == id));
    }
}
