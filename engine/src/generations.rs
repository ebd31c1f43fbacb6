//! How deep the chunks of a snapshot may lean: skip deltas.
//!
//! Were each night's chunks deltas of those of the night before, the last of a thousand
//! would decode through a thousand; were each deltas of the first ones, each would
//! store all changes since then. Here snapshots of a NAME are numbered from 0, their
//! *generation*, and a chunk of one is at most as deep as the digits of its generation
//! add up to in base 4. A version that is too deep to be leaned on has bases
//! itself, older versions, of which one is not: so generation 123 leans on 122, 120 on
//! 110, and 100 on 0, if a chunk changed every night, and on less far ones if it did
//! not. The changes of one night are stored mostly, those of four nights now and
//! then, and so on: each further digit costs less than one night's changes a night.
//! (Subversion's skip deltas are the same idea in base 2.) A delta that holds much of
//! its own counts as one of depth 0 here, since to pass over it would store that again.
//!
//! All this is a writer's choice. A reader follows what a chunk's record says.

use indelible_format::limits::DELTA_DEPTH_MAX;

/// The base of the numbering: more stores less and decodes through more. What was
/// measured stands in `benches/RESULTS.md`.
const RADIX: u32 = 4;

/// How many deltas a chunk of this generation decodes through, at most, above the last
/// that holds much of its own.
pub fn depth_max(generation: u32) -> u8 {
    let (mut rest, mut sum) = (generation, 0);
    while rest > 0 {
        sum += rest % RADIX;
        rest /= RADIX;
    }
    u8::try_from(sum).map_or(DELTA_DEPTH_MAX, |sum| sum.min(DELTA_DEPTH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No generation is deeper than readers decode, the first one leans on nothing, and
    /// each later one may lean on what the one before holds, or on what that leans on.
    ///
    /// Method: a thousand generations of a chunk that changes every night, each leaning
    /// on the least old one that is shallow enough, through the bases of the one before.
    #[test]
    fn what_changes_every_night_stays_shallow() {
        assert_eq!(depth_max(0), 0);
        assert_eq!(depth_max(u32::MAX), DELTA_DEPTH_MAX);
        // The generation that each leans on, and its depth.
        let mut chain: Vec<(Option<u32>, u8)> = vec![(None, 0)];
        for generation in 1..1_024 {
            let most = depth_max(generation);
            assert!((1..=15).contains(&most));
            let mut base = generation - 1;
            while chain[base as usize].1 >= most {
                base = chain[base as usize].0.expect("the first is not too deep");
            }
            chain.push((Some(base), chain[base as usize].1 + 1));
        }
        let weight = |mut generation: u32| {
            let mut weight = 1;
            while generation.is_multiple_of(RADIX) {
                generation /= RADIX;
                weight *= RADIX;
            }
            weight
        };
        for (generation, (base, depth)) in (0..).zip(chain).skip(1) {
            assert_eq!(base, Some(generation - weight(generation)));
            assert_eq!(depth, depth_max(generation));
        }
    }
}
