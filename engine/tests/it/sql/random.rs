//! Choices by a seed, the same on each run.

/// A generator of numbers (`SplitMix64`).
pub(super) struct Choices(pub(super) u64);

impl Choices {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).unwrap()
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(super) fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Texts that look like something else to a reader that is not careful.
pub(super) const TEXTS: [&str; 14] = [
    "",
    "plain",
    "it's",
    "\\.",
    "\n\\.\n",
    "a\\",
    "\\'",
    "COPY public.t (a) FROM stdin;\n1\n\\.\n",
    "); INSERT INTO t VALUES (1),(2",
    "-- not a comment\n/* nor this",
    "$$ $tag$ '' \"",
    "tab\tand\r\nlines\n",
    "\u{fc}\u{1f600}\u{202e}",
    ";;\nDELIMITER ;;\nend",
];

/// Names that need quotes, and some that do not.
pub(super) const NAMES: [&str; 12] = [
    "orders",
    "Order Items",
    "we.ird",
    "qu\"ote",
    "\u{fc}n\u{ef}",
    "select",
    "semi;colon",
    "it's",
    "$tag$",
    "back\\slash",
    "--dashes",
    "tick`s",
];
