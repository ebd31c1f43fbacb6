//! Cuts a buffer on all cores, with the cuts that one core would make.
//!
//! Each segment is cut from its own start, which is most likely no true cut. But
//! cuts depend on nothing before them: from the first true cut on that a segment's
//! list has too, the rest of that list is true. So the lists are joined by walking
//! true cuts into a segment until one meets its list, which takes one or two
//! chunks. Data whose lists never meet, as zeros and other periods, is cut by the
//! walk alone: slower, and the same.

use std::ops::Range;

use rayon::prelude::*;

use super::Chunker;

/// Bytes of a segment. What is cut twice, a chunk or two, is little of it.
const SEGMENT_BYTES: usize = 2 << 20;

impl Chunker {
    /// The chunks that begin in front of `until`, if the first begins at the front
    /// of `bytes`, as far as they are decided. `ended`: the input ends with `bytes`.
    pub fn cuts(&self, bytes: &[u8], until: usize, ended: bool) -> Vec<Range<usize>> {
        self.cuts_by_segments(bytes, until, ended, SEGMENT_BYTES)
    }

    /// The same in segments of a given size.
    fn cuts_by_segments(
        &self,
        bytes: &[u8],
        until: usize,
        ended: bool,
        segment_bytes: usize,
    ) -> Vec<Range<usize>> {
        let until = until.min(bytes.len());
        let starts: Vec<usize> = (0..until).step_by(segment_bytes).collect();
        let lists: Vec<Vec<Range<usize>>> = starts
            .into_par_iter()
            .map(|start| self.walk(bytes, start, until.min(start + segment_bytes), ended))
            .collect();
        let mut cuts = Vec::new();
        let mut at = 0;
        for (list, start) in lists.into_iter().zip((0..).step_by(segment_bytes)) {
            let end = until.min(start + segment_bytes);
            while at < end {
                if let Ok(met) = list.binary_search_by_key(&at, |cut| cut.start) {
                    cuts.extend_from_slice(&list[met..]);
                    at = cuts.last().map_or(at, |cut| cut.end);
                    // The list ends where its segment does, or where what follows
                    // is not decided.
                    if at < end {
                        return cuts;
                    }
                } else if let Some(len) = self.decided(&bytes[at..], ended) {
                    cuts.push(at..at + len);
                    at += len;
                } else {
                    return cuts;
                }
            }
        }
        cuts
    }

    /// The chunks from a start on that begin in front of `end`.
    fn walk(&self, bytes: &[u8], start: usize, end: usize, ended: bool) -> Vec<Range<usize>> {
        let mut cuts = Vec::new();
        let mut at = start;
        while at < end {
            let Some(len) = self.decided(&bytes[at..], ended) else {
                break;
            };
            cuts.push(at..at + len);
            at += len;
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use indelible_format::genesis::ChunkerParameters;
    use indelible_format::secret::SecretKey;
    use proptest::prelude::*;

    use super::*;

    const PARAMETERS: ChunkerParameters = ChunkerParameters {
        min: 64,
        average: 256,
        max: 1_024,
        normalization: 1,
    };

    /// With one key in three some byte alone makes the shortest chunk.
    fn chunker(key: u8) -> Chunker {
        Chunker::new(&PARAMETERS, &SecretKey::new([key; 32]))
    }

    /// Noise, runs of one byte, and periods of every length.
    fn textures() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..9_000),
            (any::<u8>(), 0_usize..9_000).prop_map(|(byte, len)| vec![byte; len]),
            (proptest::collection::vec(any::<u8>(), 1..700), 0_usize..30)
                .prop_map(|(period, times)| period.repeat(times)),
        ];
        proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 256,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Segments of any size give the cuts of none, at every length of input.
        ///
        /// Method: random textures, some shorter than a chunk, in segments from a
        /// byte to more than all, ended or with more to come, whole or up to some
        /// byte; compare with one walk.
        #[test]
        fn segments_do_not_matter(
            bytes in textures(),
            segment_bytes in 1_usize..5_000,
            until in 0_usize..40_000,
            ended in any::<bool>(),
            key in any::<u8>(),
        ) {
            let chunker = chunker(key);
            let until = until.min(bytes.len());
            let whole = chunker.walk(&bytes, 0, until, ended);
            let joined = chunker.cuts_by_segments(&bytes, until, ended, segment_bytes);
            prop_assert_eq!(joined, whole);
        }

        /// What is decided stays, whatever follows, and at the end everything is.
        ///
        /// Method: cut random textures, then the same with other bytes behind.
        #[test]
        fn what_is_decided_stays(bytes in textures(), more in textures(), key in any::<u8>()) {
            let chunker = chunker(key);
            let before = chunker.walk(&bytes, 0, bytes.len(), false);
            let longer = [&bytes[..], &more[..]].concat();
            let after = chunker.walk(&longer, 0, longer.len(), true);
            prop_assert_eq!(&after[..before.len()], &before[..]);
            prop_assert_eq!(after.last().map_or(0, |cut| cut.end), longer.len());
            let left = bytes.len() - before.last().map_or(0, |cut| cut.end);
            prop_assert!(left < chunker.lookahead());
        }

        /// Confirming finds the cuts that scanning finds, and no others.
        ///
        /// Method: take each chunk of random textures but the last, put it in front
        /// of other bytes, and compare what confirming says with a cut made there.
        #[test]
        fn confirming_is_cutting(bytes in textures(), more in textures(), key in any::<u8>()) {
            let chunker = chunker(key);
            let cuts = chunker.walk(&bytes, 0, bytes.len(), true);
            for cut in cuts.iter().take(cuts.len().saturating_sub(1)) {
                let there = &bytes[cut.start..];
                prop_assert!(chunker.confirms(there, cut.len()) || there.len() < cut.len() + 2);
                let elsewhere = [&bytes[cut.clone()], &more[..]].concat();
                let is_cut = chunker.cut(&elsewhere) == cut.len();
                if elsewhere.len() >= cut.len() + 2 {
                    prop_assert_eq!(chunker.confirms(&elsewhere, cut.len()), is_cut);
                } else {
                    prop_assert!(!chunker.confirms(&elsewhere, cut.len()));
                }
            }
        }
    }
}
