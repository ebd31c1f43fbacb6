//! Which entries of the remembered log this client has seen to be rightly signed.
//!
//! The file is one bit a number. It counts for the very leaves that it was
//! written for, whose hash it holds, and says nothing of others: an object that
//! was altered has another leaf, and its signature is checked. Losing the file,
//! or not being able to read it, costs the time to check all signatures again,
//! and so it is neither synced nor an error if it is damaged.
//!
//! It is trusted as far as the machine is: whoever may write it could make this
//! client take a forged entry for a signed one. `verify` does not ask it.

use indelible_format::history::History;
use indelible_format::ids::LogHash;

use super::{RepositoryState, read_file, write_unsynced};
use crate::log::Signed;

const MAGIC: &[u8] = b"INDLSIG1";

impl RepositoryState {
    /// Which of the remembered leaves are of entries that were seen to be signed.
    pub fn signed(&self, remembered: &[LogHash]) -> Signed {
        self.read_signed(remembered).unwrap_or_default()
    }

    fn read_signed(&self, remembered: &[LogHash]) -> Option<Signed> {
        // A bit for each leaf, a frame of less than 128 bytes, and one more, so
        // that a longer file differs from all that were written.
        let most = remembered.len() as u64 / 8 + 129;
        let bytes = read_file(&self.signed_file(), most).ok()??;
        let (content, hash) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(content) != *hash {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?.strip_prefix(&self.id.0[..])?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (over, bits) = rest.split_first_chunk::<32>()?;
        let leaves = remembered.get(..usize::try_from(u64::from_le_bytes(*count)).ok()?)?;
        if hash_of(leaves) != *over || bits.len() != leaves.len().div_ceil(8) {
            return None;
        }
        let leaf = |(number, leaf): (usize, &LogHash)| {
            let known = bits[number / 8] >> (number % 8) & 1 == 1;
            known.then_some(*leaf)
        };
        Some(leaves.iter().enumerate().map(leaf).collect())
    }

    /// Keeps which entries of a log are rightly signed, in the place of what was
    /// kept before. It counts while the log's leaves are those that are
    /// remembered. That it can't be kept is not missed.
    pub fn keep_signed(&self, history: &History) {
        let leaves = &history.leaves;
        let mut bits = vec![0; leaves.len().div_ceil(8)];
        for (number, leaf) in (0..).zip(leaves) {
            let entry = history.entries.get(&(number as u64));
            if entry.is_some_and(|entry| entry.leaf() == *leaf) {
                bits[number / 8] |= 1 << (number % 8);
            }
        }
        let mut bytes = [MAGIC, &self.id.0].concat();
        bytes.extend_from_slice(&(leaves.len() as u64).to_le_bytes());
        bytes.extend_from_slice(hash_of(leaves).as_bytes());
        bytes.extend_from_slice(&bits);
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        let path = self.signed_file();
        let same = read_file(&path, bytes.len() as u64 + 1);
        if !matches!(same, Ok(Some(same)) if same == bytes) {
            let _ = write_unsynced(&path, &bytes);
        }
    }

    fn signed_file(&self) -> std::path::PathBuf {
        self.root.join("signed")
    }
}

fn hash_of(leaves: &[LogHash]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for leaf in leaves {
        hasher.update(&leaf.0);
    }
    hasher.finalize()
}
