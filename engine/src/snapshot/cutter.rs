//! Cuts a stream and names its chunks, with the help of what it was before.
//!
//! Cuts and ids are those of the plain chunker, whatever the help says: a chunk of
//! the past is taken up only where the keyed hash of the bytes that are there now
//! is its id, and its end is confirmed by the bytes behind it. What that saves is
//! the scan for the cut. The argument why both together are enough stands at
//! [`Chunker::confirms`]; it needs lists that were cut by this domain's chunker,
//! which is why those are authenticated where they are kept.
//!
//! All cores work on a stretch of the stream at a time. Where the past fits, the
//! stretches grow, and where it does not, scanning takes over and asks again
//! behind each of its own.

use std::ops::Range;

use indelible_format::coding::Class;
use indelible_format::ids::ChunkId;
use indelible_format::pack::chunk_id;
use indelible_format::secret::SecretKey;
use rayon::prelude::*;

use crate::chunker::Chunker;
use crate::past::Past;

/// What is guessed or scanned in one go, at first, bytes.
const STRETCH_BYTES: usize = 1 << 20;
/// Chunks that are guessed in one go, at most: fewer than a past keeps behind.
const RUN_CHUNKS: usize = 4_096;
/// Chunks that are scanned one by one behind a guess that failed, before a whole
/// stretch is.
const STEPS: usize = 3;

/// What cutting and naming need to know.
pub(super) struct Cutting<'k> {
    pub(super) chunker: Chunker,
    pub(super) data_id: &'k SecretKey,
    pub(super) node_id: &'k SecretKey,
}

impl Cutting<'_> {
    fn id(&self, bytes: &[u8]) -> ChunkId {
        chunk_id(self.data_id, Class::Data, bytes)
    }

    /// Whether what was guessed is what would be cut.
    fn fits(&self, bytes: &[u8], guess: &Cut) -> bool {
        let at = guess.at.clone();
        self.chunker.confirms(&bytes[at.start..], at.len()) && self.id(&bytes[at]) == guess.id
    }
}

/// A chunk of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// Where it stands in the buffer.
    pub(super) at: Range<usize>,
    /// Its id.
    pub(super) id: ChunkId,
}

/// Cuts one stream, buffer by buffer.
pub(super) struct Cutter<'c, 'k> {
    cutting: &'c Cutting<'k>,
    past: Option<Past<'c>>,
    /// Number of the chunk of the past that is expected next.
    next: u64,
    /// By how much an offset in the past is larger than that of the same content
    /// now, modulo 2^64.
    drift: u64,
    /// Where the buffer begins in the stream, bytes.
    offset: u64,
    /// How far the past is guessed in one go, bytes.
    guess_bytes: usize,
    /// How far is scanned in one go, bytes.
    scan_bytes: usize,
}

impl<'c, 'k> Cutter<'c, 'k> {
    pub(super) fn new(cutting: &'c Cutting<'k>, past: Option<Past<'c>>) -> Self {
        Self {
            cutting,
            past,
            next: 0,
            drift: 0,
            offset: 0,
            guess_bytes: STRETCH_BYTES,
            scan_bytes: STRETCH_BYTES,
        }
    }

    /// The chunks at the front of a buffer, as far as they are decided; what is
    /// left is to stand at the front of the next. `ended`: there is no next.
    pub(super) fn cut(&mut self, bytes: &[u8], ended: bool) -> Vec<Cut> {
        let mut cuts = Vec::new();
        while self.guess(bytes, ended, &mut cuts) && self.scan(bytes, ended, &mut cuts) {}
        self.offset += end_of(&cuts) as u64;
        cuts
    }

    /// Takes up chunks of the past for as long as they fit. False if the next one
    /// may fit once there are more bytes.
    fn guess(&mut self, bytes: &[u8], ended: bool, cuts: &mut Vec<Cut>) -> bool {
        loop {
            let (run, starved) = self.run(bytes, end_of(cuts));
            if run.is_empty() {
                return ended || !starved;
            }
            let cutting = self.cutting;
            let fits = run.par_iter().map(|guess| cutting.fits(bytes, guess));
            let fits: Vec<bool> = fits.collect();
            let good = fits.iter().take_while(|fits| **fits).count();
            self.next += good as u64;
            cuts.extend_from_slice(&run[..good]);
            if good == run.len() {
                self.guess_bytes = (self.guess_bytes * 2).min(bytes.len().max(STRETCH_BYTES));
                self.scan_bytes = STRETCH_BYTES;
            } else if !self.step_over(bytes, ended, &run[good..], &fits[good..], cuts) {
                self.guess_bytes = STRETCH_BYTES;
                return true;
            }
        }
    }

    /// Chunks of the past, as they would stand from `at` on; each has the bytes
    /// behind it that confirming it takes. And whether the next one lacks them.
    fn run(&mut self, bytes: &[u8], at: usize) -> (Vec<Cut>, bool) {
        let mut run = Vec::new();
        let Some(past) = &mut self.past else {
            return (run, false);
        };
        let longest = self.cutting.chunker.lookahead() - 2;
        let (mut start, mut next) = (at, self.next);
        while start - at < self.guess_bytes
            && run.len() < RUN_CHUNKS
            && let Some((_, chunk)) = past.chunk(next)
            && let Ok(len) = usize::try_from(chunk.len)
            && (1..=longest).contains(&len)
        {
            if bytes.len() - start < len + 2 {
                return (run, true);
            }
            run.push(Cut {
                at: start..start + len,
                id: chunk.id,
            });
            start += len;
            next += 1;
        }
        (run, false)
    }

    /// Scans over a place where the run does not fit, to where it fits again.
    /// False if that is not found soon, or not known for what is at hand.
    fn step_over(
        &mut self,
        bytes: &[u8],
        ended: bool,
        run: &[Cut],
        fits: &[bool],
        cuts: &mut Vec<Cut>,
    ) -> bool {
        for _ in 0..STEPS {
            if !self.scan_one(bytes, ended, cuts) {
                return false;
            }
            let at = end_of(cuts);
            let Ok(met) = run.binary_search_by_key(&at, |guess| guess.at.start) else {
                continue;
            };
            let more = fits[met..].iter().take_while(|fits| **fits).count();
            if more > 0 {
                cuts.extend_from_slice(&run[met..met + more]);
                self.next += (met + more) as u64;
                return true;
            }
        }
        false
    }

    fn scan_one(&self, bytes: &[u8], ended: bool, cuts: &mut Vec<Cut>) -> bool {
        let at = end_of(cuts);
        let Some(len) = self.cutting.chunker.decided(&bytes[at..], ended) else {
            return false;
        };
        let at = at..at + len;
        let id = self.cutting.id(&bytes[at.clone()]);
        cuts.push(Cut { at, id });
        true
    }

    /// Scans a stretch, and finds the place in the past where it ends. False if
    /// there was nothing to scan that is decided.
    fn scan(&mut self, bytes: &[u8], ended: bool, cuts: &mut Vec<Cut>) -> bool {
        let at = end_of(cuts);
        let until = match &self.past {
            Some(_) => self.scan_bytes,
            None => bytes.len(),
        };
        let found = self.cutting.chunker.cuts(&bytes[at..], until, ended);
        if found.is_empty() {
            return false;
        }
        let cutting = self.cutting;
        let named = found.into_par_iter().map(|cut| {
            let at = at + cut.start..at + cut.end;
            let id = cutting.id(&bytes[at.clone()]);
            Cut { at, id }
        });
        let before = cuts.len();
        cuts.par_extend(named);
        self.find_again(&cuts[before..]);
        true
    }

    /// Finds where in the past a scanned stretch ends.
    fn find_again(&mut self, scanned: &[Cut]) {
        let (Some(past), Some(last)) = (&mut self.past, scanned.last()) else {
            return;
        };
        let known = scanned.iter().rev().find_map(|cut| {
            let (then, _) = past.chunk(past.number_of(&cut.id)?)?;
            Some(then.wrapping_sub(self.offset + cut.at.start as u64))
        });
        // Where nothing of it was there before, go by the place alone, and ask less
        // often.
        self.scan_bytes = match known {
            Some(_) => STRETCH_BYTES,
            None => self.scan_bytes.saturating_mul(2),
        };
        self.drift = known.unwrap_or(self.drift);
        let there = (self.offset + last.at.end as u64).wrapping_add(self.drift);
        if let Some(next) = past.number_at(there) {
            self.next = next;
        }
    }
}

/// Where the last of the cuts ends.
fn end_of(cuts: &[Cut]) -> usize {
    cuts.last().map_or(0, |cut| cut.at.end)
}

#[cfg(test)]
mod tests {
    use indelible_format::genesis::ChunkerParameters;
    use proptest::prelude::*;

    use super::*;
    use crate::past::PastChunk;

    const PARAMETERS: ChunkerParameters = ChunkerParameters {
        min: 64,
        average: 256,
        max: 1_024,
        normalization: 1,
    };

    /// The chunks as one after the other gives them.
    fn plain(cutting: &Cutting<'_>, bytes: &[u8]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        while end_of(&cuts) < bytes.len() {
            let start = end_of(&cuts);
            let at = start..start + cutting.chunker.cut(&bytes[start..]);
            let id = cutting.id(&bytes[at.clone()]);
            cuts.push(Cut { at, id });
        }
        cuts
    }

    /// The chunks as buffers of these sizes give them, moved to where they stand in
    /// the stream.
    fn buffered(
        cutting: &Cutting<'_>,
        past: Option<Vec<PastChunk>>,
        bytes: &[u8],
        sizes: &[usize],
    ) -> Vec<Cut> {
        let past = past.map(|chunks| Past::new(Box::new(chunks.into_iter())));
        let mut cutter = Cutter::new(cutting, past);
        let mut cuts = Vec::new();
        let (mut from, mut to) = (0, 0);
        let mut sizes = sizes.iter().cycle();
        loop {
            to = bytes
                .len()
                .min(to + sizes.next().expect("a cycle has no end"));
            let ended = to == bytes.len();
            let there = cutter.cut(&bytes[from..to], ended);
            let used = end_of(&there);
            cuts.extend(there.into_iter().map(|cut| Cut {
                at: from + cut.at.start..from + cut.at.end,
                id: cut.id,
            }));
            from += used;
            assert!(to - from < cutting.chunker.lookahead());
            if ended {
                return cuts;
            }
        }
    }

    fn past_of(cuts: &[Cut]) -> Vec<PastChunk> {
        let chunk = |cut: &Cut| PastChunk {
            id: cut.id,
            len: u32::try_from(cut.at.len()).expect("a chunk is short"),
        };
        cuts.iter().map(chunk).collect()
    }

    /// Noise, runs of one byte, and periods.
    fn textures() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), 0..20_000),
            1 => (any::<u8>(), 0_usize..9_000).prop_map(|(byte, len)| vec![byte; len]),
            1 => (proptest::collection::vec(any::<u8>(), 1..700), 0_usize..30)
                .prop_map(|(period, times)| period.repeat(times)),
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    /// An edit at some place: what goes, what comes, and from where it is copied.
    type Edit = (usize, usize, Vec<u8>, usize);

    fn edit(bytes: &mut Vec<u8>, (place, gone, new, copied): Edit) {
        let from = place % (bytes.len() + 1);
        let to = bytes.len().min(from + gone);
        let copy_from = copied % (bytes.len() + 1);
        let copy_to = bytes.len().min(copy_from + copied % 5_000);
        let copy = bytes[copy_from..copy_to].to_vec();
        bytes.splice(from..to, new.into_iter().chain(copy));
    }

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let new = proptest::collection::vec(any::<u8>(), 0..20);
        let edit = (any::<usize>(), 0_usize..3_000, new, any::<usize>());
        proptest::collection::vec(edit, 0..6)
    }

    /// What happens to a past on its way: nothing, loss, exchange, or lies.
    fn spoil(past: &mut Vec<PastChunk>, kind: u8, at: usize, len: u32) {
        if past.is_empty() {
            return;
        }
        let at = at % past.len();
        match kind % 6 {
            0 => past.truncate(at),
            1 => past.swap(at, 0),
            2 => past[at].len = len,
            3 => past[at].id.0[0] ^= 1,
            4 => past.insert(at, PastChunk { len, ..past[at] }),
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 192,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Neither the past, right, stale or spoilt, nor the buffers, nor the number
        /// of threads change a cut or an id.
        ///
        /// Method: cut a random stream; insert, delete, replace and copy in it; cut
        /// that with the first one's chunks as its past, spoilt at random, in random
        /// buffers with 1, 2 and 5 threads; compare with the plain chunker.
        #[test]
        fn help_changes_nothing(
            before in textures(),
            edits in edits(),
            spoilt in proptest::collection::vec((any::<u8>(), any::<usize>(), any::<u32>()), 0..3),
            sizes in proptest::collection::vec(1_usize..30_000, 1..4),
        ) {
            let key = SecretKey::new([9; 32]);
            let cutting = Cutting {
                chunker: Chunker::new(&PARAMETERS, &key),
                data_id: &key,
                node_id: &key,
            };
            let mut past = past_of(&plain(&cutting, &before));
            for (kind, at, len) in spoilt {
                spoil(&mut past, kind, at, len);
            }
            let mut bytes = before;
            for change in edits {
                edit(&mut bytes, change);
            }
            let expected = plain(&cutting, &bytes);
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                for past in [None, Some(past.clone())] {
                    let cuts = pool.install(|| buffered(&cutting, past, &bytes, &sizes));
                    prop_assert_eq!(&cuts, &expected);
                }
            }
        }
    }

    /// A past that fits is taken up to its last chunk but one, whatever was
    /// inserted before.
    ///
    /// Method: the chunks of noise as past of the same noise with some bytes in
    /// front; count how many chunks were found by scanning.
    #[test]
    fn a_past_that_fits_is_found() {
        let key = SecretKey::new([9; 32]);
        let cutting = Cutting {
            chunker: Chunker::new(&PARAMETERS, &key),
            data_id: &key,
            node_id: &key,
        };
        let mut noise = vec![0; 8 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let past = past_of(&plain(&cutting, &noise));
        noise.splice(0..0, *b"inserted");
        let chunks = past.len();
        let mut cutter = Cutter::new(&cutting, Some(Past::new(Box::new(past.into_iter()))));
        let cuts = cutter.cut(&noise, true);
        assert_eq!(cuts, plain(&cutting, &noise));
        assert_eq!(cutter.next, chunks as u64 - 1);
        assert!(cutter.guess_bytes > 2 * STRETCH_BYTES, "guesses grew");
    }
}
