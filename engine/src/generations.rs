//! Which earlier snapshot of a stream the next one leans on: skip deltas.
//!
//! Were each snapshot a delta of the one before, the last of a thousand would decode
//! through a thousand; were each a delta of the first, each would store all changes
//! since then. Here snapshots are numbered from 0, their *generation*, and in base
//! [`RADIX`] a generation leans on itself less the weight of its lowest digit that is
//! not 0: 27, or 123, on 120, 120 on 100, that on 0. So it decodes through as many
//! deltas as its digits add up to, and stores the changes of one night mostly, of
//! `RADIX` nights now and then, and so on: each further digit costs less than one
//! night's changes a night. (Subversion's skip deltas are the same idea in base 2.)
//!
//! All this is a writer's choice. A reader follows what a chunk's record says.

/// The base of the numbering: more stores less and decodes through more.
const RADIX: u32 = 4;

/// The generation that another one leans on; the first leans on none.
pub fn leans_on(generation: u32) -> Option<u32> {
    let mut weight = 1;
    let mut rest = generation;
    while rest != 0 && rest.is_multiple_of(RADIX) {
        rest /= RADIX;
        weight *= RADIX;
    }
    generation.checked_sub(weight)
}

/// Whether a generation will be leaned on by one behind `newest`, or is that itself.
pub fn is_needed(generation: u32, newest: u32) -> bool {
    let mut weight = 1;
    loop {
        let rounded = newest / weight * weight;
        if generation == rounded {
            return true;
        }
        if rounded == 0 {
            return false;
        }
        // Beyond the largest weight everything rounds to 0.
        let Some(next) = u32::checked_mul(weight, RADIX) else {
            return generation == 0;
        };
        weight = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deltas of deltas: how many of them a generation decodes through.
    fn depth(generation: u32) -> u32 {
        leans_on(generation).map_or(0, |base| 1 + depth(base))
    }

    /// Every generation leans on an earlier one, through no more than the digits of
    /// its number add up to.
    ///
    /// Method: ten thousand of them, against their digits as text.
    #[test]
    fn depth_is_the_sum_of_the_digits() {
        assert_eq!(leans_on(0), None);
        let digits = |mut rest: u32| {
            let mut sum = 0;
            while rest > 0 {
                sum += rest % RADIX;
                rest /= RADIX;
            }
            sum
        };
        for generation in 0..10_000 {
            assert_eq!(depth(generation), digits(generation), "{generation}");
        }
        assert!((0..1_024).all(|generation| depth(generation) <= 15));
        assert_eq!(leans_on(u32::MAX), Some(u32::MAX - 1));
    }

    /// What is kept is exactly what is leaned on later, and few.
    ///
    /// Method: for each of a thousand generations, collect what the thousands behind
    /// it lean on that is not younger than it.
    #[test]
    fn what_is_needed_is_what_is_leaned_on() {
        for newest in 0..1_000 {
            let mut leaned: Vec<u32> = (newest + 1..newest + 5_000)
                .filter_map(leans_on)
                .filter(|base| *base <= newest)
                .chain([newest])
                .collect();
            leaned.sort_unstable();
            leaned.dedup();
            let needed: Vec<u32> = (0..=newest)
                .filter(|generation| is_needed(*generation, newest))
                .collect();
            assert_eq!(needed, leaned, "{newest}");
            assert!(needed.len() <= 6);
        }
        assert!(is_needed(0, u32::MAX) && !is_needed(1, u32::MAX));
    }
}
