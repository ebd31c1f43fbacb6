//! Where to cut (SPEC 12).
//!
//! `FastCDC` (Xia et al., USENIX ATC 2016, and its 2020 successor) with a secret
//! gear table, so that who sees chunk lengths can't tell which known content
//! gives them. A cut depends only on the bytes from its start to one byte beyond
//! the maximum chunk, so a change moves only the cuts near it.
//!
//! Two things make it fast, and neither changes a cut. Segments of a buffer are
//! cut at once and joined where they agree ([`cuts`](Chunker::cuts)). And where
//! content stands that was cut before, the end of its chunk is confirmed instead
//! of found ([`confirms`](Chunker::confirms)).
//!
//! This module knows bytes and nothing of stores, keys' origins or indexes.

mod segments;

use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use indelible_format::genesis::ChunkerParameters;
use indelible_format::secret::{SecretKey, gear_table};
use zeroize::Zeroizing;

/// Cuts bytes into chunks.
pub struct Chunker {
    min: usize,
    average: usize,
    max: usize,
    masks: (u64, u64),
    gear: Zeroizing<[u64; 256]>,
    gear_shifted: Zeroizing<[u64; 256]>,
}

impl Chunker {
    /// A chunker for a domain: the repository's parameters and the domain's gear
    /// key.
    pub fn new(parameters: &ChunkerParameters, gear_key: &SecretKey) -> Self {
        let level = match parameters.normalization {
            0 => Normalization::Level0,
            1 => Normalization::Level1,
            2 => Normalization::Level2,
            _ => Normalization::Level3,
        };
        let gear = gear_table(gear_key);
        let mut gear_shifted = gear.clone();
        for entry in gear_shifted.iter_mut() {
            *entry <<= 1;
        }
        let size = |bytes: u32| usize::try_from(bytes).expect("a chunk fits into memory");
        Self {
            min: size(parameters.min),
            average: size(parameters.average),
            max: size(parameters.max),
            masks: select_masks(size(parameters.average), level),
            gear,
            gear_shifted,
        }
    }

    /// How many bytes decide a cut: unless the input ends, that many must follow
    /// its start.
    pub fn lookahead(&self) -> usize {
        self.max + 2
    }

    /// Length of the chunk that begins at the front of `bytes`, in bytes.
    ///
    /// `bytes` holds at least [`lookahead`](Self::lookahead) bytes, or all that
    /// is left of the input, and is not empty. Where bytes that are yet to come
    /// could matter, [`decided`](Self::decided) says so.
    pub fn cut(&self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(self.lookahead())];
        let (small, large) = self.masks;
        let (_, len) = cut_gear(
            bytes,
            self.min,
            self.average,
            self.max,
            small,
            large,
            small << 1,
            large << 1,
            &*self.gear,
            &*self.gear_shifted,
        );
        len
    }

    /// Length of the chunk that begins at the front of `bytes`, or `None` if that
    /// depends on bytes that are yet to come. `ended`: there are none.
    pub fn decided(&self, bytes: &[u8], ended: bool) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        let len = self.cut(bytes);
        // A cut in front of the end was found there, and would be in any longer
        // input: only bytes up to the one behind it were looked at.
        (ended || len < bytes.len() || bytes.len() >= self.lookahead()).then_some(len)
    }

    /// Whether a chunk of `len` bytes at the front of `bytes` ends where it is cut,
    /// if it is not cut earlier. `len` is a length that [`cut`](Self::cut) gave for
    /// these very bytes in another place, in front of the end of its input: so they
    /// have no earlier cut, and what stands behind them decides alone.
    ///
    /// `false` where too few bytes follow to tell.
    pub fn confirms(&self, bytes: &[u8], len: usize) -> bool {
        // The scan looks at pairs of bytes.
        if len < self.min || len > self.max || bytes.len() < len + 2 {
            return false;
        }
        if len == self.max {
            return true;
        }
        let (small, large) = self.masks;
        let mask = if len < self.average { small } else { large };
        // Older bytes than these were shifted out.
        let from = self.min.max((len + 1).saturating_sub(64));
        let hash = bytes[from..=len].iter().fold(0_u64, |hash, byte| {
            (hash << 1).wrapping_add(self.gear[usize::from(*byte)])
        });
        hash & mask == 0
    }
}
