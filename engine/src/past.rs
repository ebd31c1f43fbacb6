//! The chunks of a stream as an earlier snapshot has them.
//!
//! A stream that was stored before mostly has the same chunks again. A [`Past`]
//! holds a window of the earlier list, in the order of the stream, and says which
//! chunk stood at an offset or has an id. What it says is a guess: whoever takes
//! one up hashes the bytes that are there now. So a list that is stale, or of
//! another stream, costs time and changes nothing.
//!
//! The window moves forward only, and bounds the memory for streams of any length.

use std::collections::{HashMap, VecDeque};

use indelible_format::ids::ChunkId;

/// Chunks on each side of the last look that are kept.
const REACH: usize = 16_384;

/// A chunk of the earlier list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastChunk {
    /// Its id.
    pub id: ChunkId,
    /// Its length, bytes.
    pub len: u32,
}

/// An earlier list of a stream's chunks, in order. It ends early if the rest can't
/// be had.
pub type PastChunks<'p> = Box<dyn Iterator<Item = PastChunk> + Send + 'p>;

/// A window of the chunks of an earlier list.
pub struct Past<'p> {
    coming: Option<PastChunks<'p>>,
    window: VecDeque<(u64, PastChunk)>,
    /// Numbers of the chunks in the window by id; of several, the last.
    numbers: HashMap<ChunkId, u64>,
    /// Number of the window's first chunk.
    first: u64,
    /// Where the chunk behind the window begins, bytes.
    end: u64,
}

impl<'p> Past<'p> {
    /// The window at the front of a list.
    pub fn new(chunks: PastChunks<'p>) -> Self {
        let mut past = Self {
            coming: Some(chunks),
            window: VecDeque::new(),
            numbers: HashMap::new(),
            first: 0,
            end: 0,
        };
        past.fill(REACH);
        past
    }

    /// The chunk with a number, and where it began; `None` for the last one of the
    /// list, which the end of its stream cut and not its content.
    ///
    /// Moves the window so that as much lies before that chunk as behind it.
    pub fn chunk(&mut self, number: u64) -> Option<(u64, PastChunk)> {
        let ahead = number.checked_sub(self.first)?;
        let at = usize::try_from(ahead).ok()?;
        if at + 1 >= self.window.len() || at >= 2 * REACH {
            self.fill(at.min(3 * REACH) + REACH);
            self.forget();
        }
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        // Without one behind it, it is the last.
        (at + 1 < self.window.len()).then(|| self.window[at])
    }

    /// The number of a chunk with this id, if one is in the window.
    pub fn number_of(&self, id: &ChunkId) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    /// The number of the chunk that began at this offset, if one did. Moves the
    /// window there if it lies ahead.
    pub fn number_at(&mut self, offset: u64) -> Option<u64> {
        while self.end <= offset && self.coming.is_some() {
            self.fill(self.window.len() + REACH);
            self.forget();
        }
        let at = self.window.binary_search_by_key(&offset, |(at, _)| *at);
        at.ok().map(|at| self.first + at as u64)
    }

    /// Takes more of the list, until the window has so many chunks.
    fn fill(&mut self, wanted: usize) {
        while self.window.len() < wanted {
            let Some(chunk) = self.coming.as_mut().and_then(Iterator::next) else {
                self.coming = None;
                return;
            };
            let number = self.first + self.window.len() as u64;
            self.numbers.insert(chunk.id, number);
            self.window.push_back((self.end, chunk));
            self.end += u64::from(chunk.len);
        }
    }

    /// Drops what lies too far back.
    fn forget(&mut self) {
        while self.window.len() > 2 * REACH {
            let Some((_, gone)) = self.window.pop_front() else {
                return;
            };
            if self.numbers.get(&gone.id) == Some(&self.first) {
                self.numbers.remove(&gone.id);
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u32) -> PastChunk {
        let mut id = ChunkId([0; 32]);
        id.0[..4].copy_from_slice(&number.to_le_bytes());
        PastChunk {
            id,
            len: number % 7 + 1,
        }
    }

    fn offset(number: u32) -> u64 {
        (0..number).map(|number| u64::from(chunk(number).len)).sum()
    }

    /// A list of any length is read once, forwards, with bounded memory, and gives
    /// each chunk at its place but the last.
    ///
    /// Method: walk lists around the window's sizes by number, and one by offset
    /// alone; look at what is kept.
    #[test]
    fn windows_move_over_any_list() {
        let reach = u32::try_from(REACH).unwrap();
        for count in [0, 1, 2, reach - 1, reach, 2 * reach + 1, 5 * reach + 3] {
            let mut past = Past::new(Box::new((0..count).map(chunk)));
            let mut at = 0;
            for number in 0..count {
                let expected = (number + 1 < count).then(|| (at, chunk(number)));
                assert_eq!(
                    past.chunk(u64::from(number)),
                    expected,
                    "{number} of {count}"
                );
                assert!(past.window.len() <= 4 * REACH);
                assert!(past.numbers.len() <= past.window.len());
                at += u64::from(chunk(number).len);
            }
            assert_eq!(past.chunk(u64::from(count)), None);
        }
        let count = 5 * reach;
        let mut past = Past::new(Box::new((0..count).map(chunk)));
        for number in [0, 5, reach, 3 * reach, 4 * reach + 9] {
            assert_eq!(past.number_at(offset(number)), Some(u64::from(number)));
            assert_eq!(past.number_of(&chunk(number).id), Some(u64::from(number)));
            assert!(past.window.len() <= 4 * REACH);
        }
        assert_eq!(past.number_at(offset(count) + 1), None);
        assert_eq!(
            past.number_at(offset(3) + 1),
            None,
            "it lies behind the window"
        );
    }
}
