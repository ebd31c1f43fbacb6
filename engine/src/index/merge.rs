//! Makes one segment of several, so that a look-up reads few.
//!
//! A segment is merged with all smaller ones when those together have more than
//! a sixteenth of its records. So each has sixteen times what lies below it: beside
//! one of 40 million chunks there is one of 2.5 million at most, and what lies
//! below that is held in memory. A record is written again at most sixteen times
//! at each of these levels, 14 bytes each time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cover::Covering;
use super::directories::CountedPack;
use super::segment::{Damaged, RECORDS_MAX, Record, Records, SegmentWriter};
use super::{NO_PACK, at};
use crate::state::{Segments, StateError};

/// How much larger a segment is than all smaller ones together, at least.
const RATIO: u64 = 16;
/// The most segments that are merged at once: 64 KiB are read ahead of each.
const FAN_IN: usize = 48;

/// Why segments were not merged.
#[derive(Debug)]
pub(super) enum MergeError {
    /// The one at this place is damaged.
    Damaged(usize),
    /// The state can't be written to.
    State,
}

impl From<StateError> for MergeError {
    fn from(_: StateError) -> Self {
        Self::State
    }
}

/// How many of the smallest are to be merged, given the numbers of their records,
/// ascending; 0 if none are.
pub(super) fn how_many(records: &[u64]) -> usize {
    let (mut smaller, mut many) = (0_u64, 0);
    for (place, own) in records.iter().enumerate() {
        if smaller + own > RECORDS_MAX {
            break;
        }
        if place > 0 && smaller.saturating_mul(RATIO) > *own {
            many = place + 1;
        }
        smaller += own;
    }
    many.min(FAN_IN)
}

/// Merges segments into a new one, with the packs that count.
pub(super) fn merge(
    of: &Segments,
    packs: &[CountedPack],
    inputs: &[Covering],
) -> Result<Covering, MergeError> {
    let mut counted = vec![false; packs.len()];
    for rank in inputs.iter().flat_map(Covering::counted) {
        counted[at(rank)] = true;
    }
    let ranks: Vec<u32> = (0..)
        .zip(&counted)
        .filter(|(_, counted)| **counted)
        .map(|(rank, _)| rank)
        .collect();
    let mut numbers = vec![NO_PACK; packs.len()];
    for (number, rank) in (0..).zip(&ranks) {
        numbers[at(*rank)] = number;
    }
    let mut writer = SegmentWriter::begin(of)?;
    let mut streams: Vec<Stream<'_>> = inputs
        .iter()
        .map(|input| Stream::new(input, &numbers))
        .collect();
    let mut heads = BinaryHeap::new();
    let mut advance = |input: usize| match streams[input].advance() {
        Ok(head) => Ok(head.map(|head| Reverse((head, input)))),
        Err(Damaged) => Err(MergeError::Damaged(input)),
    };
    for input in 0..inputs.len() {
        heads.extend(advance(input)?);
    }
    while let Some(Reverse((record, input))) = heads.pop() {
        writer.push(record)?;
        heads.extend(advance(input)?);
    }
    let segment = writer.finish(of, ranks.iter().map(|rank| packs[at(*rank)].id))?;
    Ok(Covering { segment, ranks })
}

/// The records of one input, with the numbers that packs have in the output.
struct Stream<'i> {
    records: Records<'i>,
    ranks: &'i [u32],
    numbers: &'i [u32],
}

impl<'i> Stream<'i> {
    fn new(input: &'i Covering, numbers: &'i [u32]) -> Self {
        Self {
            records: input.segment.all(),
            ranks: &input.ranks,
            numbers,
        }
    }

    /// The next record of a pack that counts.
    fn advance(&mut self) -> Result<Option<Record>, Damaged> {
        for record in &mut self.records {
            let record = record?;
            let rank = self
                .ranks
                .get(at(record.pack))
                .filter(|rank| **rank != NO_PACK);
            if let Some(rank) = rank {
                let pack = self.numbers[at(*rank)];
                return Ok(Some(Record { pack, ..record }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HELD_BYTES_MAX;
    use super::*;

    /// Segments stay few, and no record is written often.
    ///
    /// Method: 20,000 runs that each add a segment of 1 to 3,000 records, merged
    /// as a run does it; count the segments after each, those that are not held in
    /// memory, and the records that were written.
    #[test]
    fn segments_stay_few_and_records_are_written_seldom() {
        let (mut segments, mut written, mut added): (Vec<u64>, u64, u64) = (Vec::new(), 0, 0);
        let mut drawn = 1_u64;
        for _ in 0..20_000 {
            drawn = drawn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let records = 1 + (drawn >> 33) % 3_000;
            segments.push(records);
            (added, written) = (added + records, written + records);
            loop {
                segments.sort_unstable();
                let many = how_many(&segments);
                if many == 0 {
                    break;
                }
                let merged = segments.drain(..many).sum();
                written += merged;
                segments.push(merged);
            }
            let mut held = 0;
            let read = segments.iter().filter(|records| {
                held += *records * 15;
                held > HELD_BYTES_MAX
            });
            assert!(read.count() <= 2 && segments.len() <= 7, "{segments:?}");
        }
        assert!(written <= 40 * added, "{written} for {added}");
    }

    /// However many segments there are, few are open for a merge at a time, and
    /// none gets more records than one may have.
    ///
    /// Method: many alike; two that are too large together; an empty one.
    #[test]
    fn merges_are_bounded() {
        assert_eq!(how_many(&[5; 500]), FAN_IN);
        assert_eq!(how_many(&[RECORDS_MAX / 2, RECORDS_MAX]), 0);
        assert_eq!(
            (how_many(&[]), how_many(&[0, 0]), how_many(&[0, 1])),
            (0, 0, 0)
        );
    }
}
