//! Where the index gets the directories from that it believes.

use indelible_format::ids::{ChunkId, DomainId, PackId, RepositoryId};
use indelible_format::secret::SecretKey;

use crate::pack::{PackError, SealedDirectory};
use crate::state::RepositoryState;
use crate::store::ReadStore;

/// A pack that counts: a trusted entry of the domain lists it, or a journal named
/// it and it was checked, and the store has it with this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedPack {
    /// Its id.
    pub id: PackId,
    /// Its length, bytes.
    pub len: u32,
}

/// Gives the authentic directories of packs.
pub trait Directories: Send + Sync {
    /// The ids of a pack's chunks, by number. `None` if its directory can't be
    /// had, or is not authentic: then the pack has nothing that may be leaned on.
    fn chunks(&self, pack: &CountedPack) -> Option<Vec<ChunkId>>;
}

/// Directories of a domain's packs: the client's copies where they are right, and
/// else those in the store, of which copies are kept.
///
/// The id of a chunk says its class too (SPEC 6.3), so that classes need not be
/// compared. What a pack that is fetched here is worth, [`pack`](crate::pack)
/// says where it makes copies.
pub struct DomainDirectories<'s, S: ?Sized> {
    /// Where the packs are.
    pub store: &'s S,
    /// Where copies are.
    pub state: Option<RepositoryState>,
    /// The repository that the packs must state.
    pub repository: RepositoryId,
    /// The domain that they must state.
    pub domain: DomainId,
    /// The domain's index key.
    pub index_key: SecretKey,
}

impl<S: ReadStore + ?Sized> DomainDirectories<'_, S> {
    /// Opens a pack's directory if it is one of the domain.
    ///
    /// # Errors
    ///
    /// [`PackError`].
    fn open(&self, sealed: SealedDirectory) -> Result<Vec<ChunkId>, PackError> {
        let header = sealed.header();
        if header.repository != self.repository || header.domain != self.domain {
            return Err(PackError::Foreign);
        }
        let records = sealed.open(&self.index_key)?.directory.records;
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    fn kept(&self, pack: &CountedPack) -> Option<Vec<ChunkId>> {
        let copy = self.state.as_ref()?.directory(&pack.id)?;
        let sealed = SealedDirectory::of_copy(&copy, &pack.id, pack.len, &self.index_key).ok()?;
        self.open(sealed).ok()
    }

    fn fetched(&self, pack: &CountedPack) -> Result<Vec<ChunkId>, PackError> {
        let sealed = SealedDirectory::fetch(self.store, &pack.id, pack.len)?;
        let copy = sealed.copy(&pack.id, &self.index_key);
        let chunks = self.open(sealed)?;
        if let Some(state) = &self.state {
            state.keep_directory(&pack.id, &copy);
        }
        Ok(chunks)
    }
}

impl<S: ReadStore + ?Sized> Directories for DomainDirectories<'_, S> {
    fn chunks(&self, pack: &CountedPack) -> Option<Vec<ChunkId>> {
        self.kept(pack).or_else(|| self.fetched(pack).ok())
    }
}
