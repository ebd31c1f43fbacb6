//! The identifiers of the format (SPEC 2.2).
//!
//! Each kind of identifier is a type of its own, so that a pack id can't stand
//! where a chunk id is meant. None of them is a secret: ids appear in object
//! names and in authenticated tables. They compare in ordinary, not constant,
//! time.

use std::fmt;

/// Defines one identifier: an array of bytes, shown as lower-case hexadecimal.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes, as they stand in the format.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads the hexadecimal form that [`fmt::Display`] writes.
            ///
            /// Upper-case digits are refused: an id has one text form.
            pub fn from_hex(text: &str) -> Option<Self> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }

            /// The first eight hexadecimal digits, enough for a person.
            pub fn short(&self) -> String {
                data_encoding::HEXLOWER.encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id!(
    /// Names a repository: the leaf hash of its genesis entry (SPEC 3.6).
    RepositoryId, 32
);
id!(
    /// Names a pack: the plain BLAKE3 hash of all its bytes (SPEC 6.1).
    PackId, 32
);
id!(
    /// Names a commit record outside the log: the BLAKE3 hash of its bytes (SPEC 7.2).
    RecordId, 32
);
id!(
    /// Names a chunk: keyed BLAKE3 of its plaintext under the key of its domain
    /// and class (SPEC 6.3).
    ChunkId, 32
);
id!(
    /// Names a deduplication domain; random (SPEC 5.1).
    DomainId, 16
);
id!(
    /// Names one attempt to commit, and so a snapshot; random (SPEC 3.2).
    CommitId, 16
);
id!(
    /// An Ed25519 public key. It names the key that holds its private half (SPEC 2.2).
    SignerId, 32
);
id!(
    /// An X25519 public key (RFC 7748; SPEC 2.5).
    SealingKey, 32
);
id!(
    /// A SHA-256 hash of the log's Merkle tree: a leaf, a node or a root (SPEC 3.4).
    LogHash, 32
);

impl PackId {
    /// The id of the pack that has these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl RecordId {
    /// The id of the commit record that has these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id has exactly one text form.
    ///
    /// Method: round-trip one, then change the form's case and length.
    #[test]
    fn hexadecimal_form_is_unique() {
        let id = CommitId([0xAB; 16]);
        assert_eq!(CommitId::from_hex(&id.to_string()), Some(id));
        assert_eq!(CommitId::from_hex(&id.to_string().to_uppercase()), None);
        assert_eq!(CommitId::from_hex(&id.to_string()[2..]), None);
        assert_eq!(id.short(), "abababab");
    }
}
