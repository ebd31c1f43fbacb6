//! Where every seemingly random byte of a dump comes from.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood, "Fast Splittable
//! Pseudorandom Number Generators", OOPSLA 2014), with their output function,
//! which is Stafford's variant 13 of the `MurmurHash3` finalizer. It is written
//! out here, because the bytes of a dump must not change when a dependency
//! does.
//!
//! [`mix`] is a bijection in which each input bit stirs each output bit, so it
//! also serves as the hash that decides what happens to a row on a night. No
//! state runs from one row to the next: that is what lets a dump be streamed,
//! and a row stay as it is when its neighbours change.
//!
//! None of this is fit for secrets.

/// 2^64 divided by the golden ratio, made odd: the paper's increment.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64`.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The key of a part of something: of a table under a seed, of a row under a
/// table, of a field under a row.
pub(super) const fn derive(key: u64, part: u64) -> u64 {
    mix(key ^ part.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA))
}

/// The part of `whole` that `parts` thousandths make, rounded down.
///
/// Exact for every `u64`, and never more than `whole` for up to 1,000 parts.
pub(super) const fn permille_of(whole: u64, parts: u16) -> u64 {
    let parts = parts as u64;
    whole / 1000 * parts + whole % 1000 * parts / 1000
}

/// A stream of numbers, the same for the same key.
pub(super) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(super) const fn new(key: u64) -> Self {
        Self { state: key }
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number in `0..bound`; 0 where `bound` is 0.
    ///
    /// The high half of a product instead of a remainder (Lemire, "Fast Random
    /// Integer Generation in an Interval", 2019), without the rejection: the
    /// bias is below 2^-20 for every bound used here.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(super) const fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `permille` of 1,000 cases.
    pub(super) const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).expect("below the length of a slice")]
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// The generator is `SplitMix64` and no relative of it.
    ///
    /// Method: the first outputs for seed 1234567, as published with the
    /// reference implementation's translations.
    #[test]
    fn outputs_are_those_of_the_paper() {
        let mut rng = SplitMix64::new(1_234_567);
        let first = [rng.next(), rng.next(), rng.next()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
