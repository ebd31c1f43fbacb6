//! Copies of pack directories that a client keeps, each bound to its pack.
//!
//! A sealed directory is bound to the header in front of it, and neither names
//! the pack, whose id is the hash of bytes that a copy does not have. So a copy
//! begins with a tag: keyed BLAKE3 over the pack's id, the header and the sealed
//! directory, under a key that takes the domain's index key to derive. Who can
//! write to a client's state and has not that key can take copies away, and
//! can't file the copy of one pack under another's name.
//!
//! The tag says no more than its maker knew. Who built a pack knows its name.
//! Who fetched header and directory from a store has not hashed the pack, which
//! would take reading it whole: a store that lies can show one pack of the domain
//! under the name of another that is exactly as long. A writer that believes it
//! leans on a wrong place for chunks that are there under their own pack's name;
//! a reader finds them by the detour through the directories, as with any wrong
//! place. If that pack is gone too, the chunks are lost, as they are whenever a
//! store drops packs, and a verification says so.

use indelible_format::ids::PackId;
use indelible_format::pack::HEADER_BYTES;
use indelible_format::planted::{Bug, planted};
use indelible_format::secret::SecretKey;
use indelible_format::wire::LayoutError;

use super::{FinishedPack, PackError, SealedDirectory, TRAILER_BYTES};

/// Derives the key of the tags from the index key. Copies are a client's own
/// affair, so the context stands here and not in the format.
const CONTEXT: &str = "indelible v1 client kept directory";

/// The tag of a copy.
pub(super) type Tag = [u8; 32];

pub(super) fn tag(index_key: &SecretKey, pack: &PackId, header: &[u8], sealed: &[u8]) -> Tag {
    let key = SecretKey::new(blake3::derive_key(CONTEXT, index_key.expose()));
    let mut hasher = blake3::Hasher::new_keyed(key.expose());
    hasher.update(&pack.0).update(header).update(sealed);
    *hasher.finalize().as_bytes()
}

impl FinishedPack {
    /// Its header and sealed directory, in the form that clients keep copies in.
    pub fn directory_copy(&self) -> Vec<u8> {
        let end = self.bytes.len() - TRAILER_BYTES;
        let (header, sealed) = (
            &self.bytes[..HEADER_BYTES],
            &self.bytes[self.directory_at..end],
        );
        [&self.copy_tag, header, sealed].concat()
    }
}

impl SealedDirectory {
    /// The form that clients keep copies in, bound to the pack that it is taken
    /// to be of.
    pub fn copy(&self, pack: &PackId, index_key: &SecretKey) -> Vec<u8> {
        let header = self.header.encode();
        let tag = tag(index_key, pack, &header, &self.sealed);
        [&tag[..], &header, &self.sealed].concat()
    }

    /// Takes the kept copy of a pack of this length apart.
    ///
    /// # Errors
    ///
    /// [`PackError::Copy`] if it is not this pack's; [`PackError`] if it is
    /// malformed.
    pub fn of_copy(
        copy: &[u8],
        pack: &PackId,
        len: u32,
        index_key: &SecretKey,
    ) -> Result<Self, PackError> {
        let parts = copy
            .split_first_chunk::<32>()
            .and_then(|(tag, rest)| Some((tag, rest.split_at_checked(HEADER_BYTES)?)));
        let (tagged, (header, sealed)) =
            parts.ok_or(PackError::Trailer(LayoutError::Truncated {
                field: "copy of a directory",
            }))?;
        let own = SecretKey::new(tag(index_key, pack, header, sealed));
        // Keys compare in constant time.
        if own != SecretKey::new(*tagged) && !planted(Bug::CopyUnbound) {
            return Err(PackError::Copy);
        }
        Self::from_parts(header, sealed.to_vec(), len.into())
    }
}
