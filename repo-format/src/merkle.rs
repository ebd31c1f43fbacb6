//! The Merkle tree over the log (SPEC 3.4; RFC 6962, section 2.1).
//!
//! Appending needs only the roots of the complete subtrees on the left, so a
//! [`Frontier`] holds at most 64 hashes whatever the size of the log.

use sha2::{Digest as _, Sha256};

use crate::ids::LogHash;
use crate::limits::LEAF_BYTES_MAX;

/// The leaf hash of a log object, over at most its first 65,537 bytes.
pub fn leaf_hash(object: &[u8]) -> LogHash {
    let covered = &object[..object.len().min(LEAF_BYTES_MAX)];
    LogHash(
        Sha256::new_with_prefix([0])
            .chain_update(covered)
            .finalize()
            .into(),
    )
}

fn node_hash(left: LogHash, right: LogHash) -> LogHash {
    LogHash(
        Sha256::new_with_prefix([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The state from which the root over a growing list of leaves is computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of complete subtrees, largest first: one for each bit of `size`.
    subtrees: Vec<LogHash>,
}

impl Frontier {
    /// The frontier over no leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: LogHash) {
        // As in binary addition: each trailing one bit of the size is a subtree
        // as large as what is being carried.
        let mut carried = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self
                .subtrees
                .pop()
                .expect("one subtree for each bit of the size");
            carried = node_hash(left, carried);
        }
        self.subtrees.push(carried);
        self.size += 1;
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> LogHash {
        let mut subtrees = self.subtrees.iter().rev().copied();
        match subtrees.next() {
            None => LogHash(Sha256::digest(b"").into()),
            Some(smallest) => subtrees.fold(smallest, |right, left| node_hash(left, right)),
        }
    }
}

impl Extend<LogHash> for Frontier {
    fn extend<I: IntoIterator<Item = LogHash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.push(leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, word for word.
    fn root_by_definition(leaves: &[LogHash]) -> LogHash {
        match leaves {
            [] => LogHash(Sha256::digest(b"").into()),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node_hash(
                    root_by_definition(&many[..half]),
                    root_by_definition(&many[half..]),
                )
            }
        }
    }

    /// The frontier gives the root that the RFC defines.
    ///
    /// Method: compare with the recursive definition for every size up to 130.
    #[test]
    fn frontier_is_the_rfc_tree() {
        let leaves: Vec<LogHash> = (0..130_u32).map(|n| leaf_hash(&n.to_le_bytes())).collect();
        let mut frontier = Frontier::new();
        for size in 0..=leaves.len() {
            assert_eq!(
                frontier.root(),
                root_by_definition(&leaves[..size]),
                "size {size}"
            );
            frontier.extend(leaves.get(size).copied());
        }
    }

    /// A leaf covers one byte more than an entry may have, and no further.
    ///
    /// Method: change the byte at the limit, and the one behind it.
    #[test]
    fn leaf_is_bounded() {
        let mut object = vec![0; LEAF_BYTES_MAX + 1];
        let leaf = leaf_hash(&object);
        object[LEAF_BYTES_MAX] = 1;
        assert_eq!(leaf_hash(&object), leaf);
        object[LEAF_BYTES_MAX - 1] = 1;
        assert_ne!(leaf_hash(&object), leaf);
    }

    /// Known answers from the certificate-transparency test data of RFC 6962:
    /// the empty tree, and the leaf over the empty string.
    ///
    /// Method: compare with the published hashes.
    #[test]
    fn published_hashes() {
        assert_eq!(
            Frontier::new().root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            leaf_hash(b"").to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }
}
