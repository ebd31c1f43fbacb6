//! What one object of the log shows by itself: its layout, its leaf hash, and
//! whether its stated signer signed it (SPEC 3.2 to 3.4).
//!
//! None of that depends on the objects before, so a log can be examined in any
//! order and on all cores, before [`Authority`](crate::authority::Authority)
//! judges it in its own order. Why it is safe: nothing here is valid yet. What was
//! examined can be turned into an entry by the authority alone, and only of the
//! repository that it was examined for.
//!
//! Whether a signature verifies follows from the object's bytes and the
//! repository's id, and both are covered by the leaf hash and what it is kept
//! for. So a client may keep the leaves whose signatures it found to verify, and
//! need not check them again: other bytes have another leaf.

use crate::entry::ParsedEntry;
use crate::ids::{LogHash, RepositoryId};
use crate::merkle::leaf_hash;
use crate::planted::{Bug, planted};
use crate::seal::BadSignature;
use crate::wire::LayoutError;

/// An object of the log that was looked at by itself.
#[derive(Debug, Clone)]
pub struct Examined {
    repository: RepositoryId,
    leaf: LogHash,
    found: Result<Signed, LayoutError>,
}

/// An entry that is laid out rightly, and what became of its signature.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) parsed: ParsedEntry,
    pub(crate) signature: Result<Proof, BadSignature>,
}

/// Why a signature counts as verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It was checked.
    Checked,
    /// The caller says that it was, when it first saw these bytes.
    Known,
}

impl Examined {
    /// Examines an object, of which at most
    /// [`LEAF_BYTES_MAX`](crate::limits::LEAF_BYTES_MAX) bytes are given.
    ///
    /// `known` is the leaf of an object of this repository whose signature the
    /// caller has seen to verify. If it is this object's leaf, the signature is
    /// not checked again; all else is.
    pub fn new(object: &[u8], repository: &RepositoryId, known: Option<&LogHash>) -> Self {
        let leaf = leaf_hash(object);
        let found = ParsedEntry::split(object, leaf).map(|(parsed, signed, signature)| Signed {
            signature: if known == Some(&leaf) || known.is_some() && planted(Bug::KnownByNumber) {
                Ok(Proof::Known)
            } else {
                let verified = parsed.authenticate(signed, &signature, repository);
                verified.map(|()| Proof::Checked)
            },
            parsed,
        });
        Self {
            repository: *repository,
            leaf,
            found,
        }
    }

    /// The object's leaf hash.
    pub fn leaf(&self) -> LogHash {
        self.leaf
    }

    /// Whether its signature was taken as the caller knew it, and not checked.
    pub fn is_known(&self) -> bool {
        let signed = self.found.as_ref();
        signed.is_ok_and(|signed| signed.signature == Ok(Proof::Known))
    }

    /// What was found, for the authority of the same repository.
    pub(crate) fn found(self, repository: &RepositoryId) -> Result<Signed, LayoutError> {
        assert_eq!(
            self.repository, *repository,
            "it is judged in the repository that it was examined for"
        );
        self.found
    }
}
