//! What a snapshot must know before it reads its sources: which chunks the
//! domain has, and what runs that died have left.
//!
//! Only packs that are in the store with their listed length enter the index, so
//! a pack that was destroyed is stored anew rather than leaned on. Packs of dead
//! runs are read whole and hashed before they are adopted.

use std::collections::HashMap;

use indelible_format::commit::NewPack;
use indelible_format::ids::{CommitId, PackId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::planted::{Bug, planted};
use indelible_format::secret::SecretKey;
use sha2::{Digest as _, Sha256};

use super::SnapshotRunError;
use crate::index::Index;
use crate::pack::{OpenPack, PackError, SealedDirectory};
use crate::progress::{Note, Progress};
use crate::repository::{Listings, Repository};
use crate::state::Journal;
use crate::store::{AppendStore, Area, Listed, ObjectKey, ReadStore};

/// What a snapshot begins with.
pub(super) struct Prepared {
    pub(super) index: Index,
    pub(super) listings: Listings,
    /// Packs of dead runs, by id.
    pub(super) adopted: HashMap<PackId, NewPack>,
    /// The journals that named them.
    pub(super) adopted_journals: Vec<Journal>,
    /// This run's own journal; without a state there is none.
    pub(super) journal: Option<Journal>,
}

pub(super) fn prepare<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    commit: &CommitId,
    progress: &dyn Progress,
) -> Result<Prepared, SnapshotRunError> {
    let key = repository.key();
    let index_key = &key
        .write
        .as_ref()
        .ok_or(SnapshotRunError::NoWrite { held: key.rights() })?
        .index;
    let listings = trusted_listings(repository);
    let sizes = pack_sizes(repository.store())?;
    let mut index = Index::new();
    let mut listed: Vec<_> = listings
        .packs()
        .filter(|listed| listed.domain == key.domain)
        .collect();
    listed.sort_by_key(|listed| (listed.entry, listed.place));
    for listed in listed {
        let present = sizes.get(&listed.pack.id) == Some(&u64::from(listed.pack.len));
        // A directory that does not open lists nothing that may be leaned on;
        // verify reports it.
        if let (true, Ok(pack)) = (present, open_directory(repository, &listed.pack, index_key)) {
            index.add(listed.pack.id, &pack.directory);
        }
    }
    // A journal is a convenience: without one a dead run is started over.
    let journal = repository
        .state()
        .and_then(|state| state.begin_journal(commit, &key.domain).ok());
    let mut prepared = Prepared {
        index,
        listings,
        adopted: HashMap::new(),
        adopted_journals: Vec::new(),
        journal,
    };
    adopt(repository, index_key, &mut prepared, progress);
    Ok(prepared)
}

/// The pack lists of the key's domain, less those of distrusted entries and of
/// commit records that can't be read: nothing may lean on either.
fn trusted_listings<S: ReadStore + ?Sized>(repository: &Repository<'_, S>) -> Listings {
    let mut listings = Listings::default();
    let domain = repository.key().domain;
    for entry in repository.snapshot_entries() {
        let header = entry.header();
        if header.domain != domain || repository.history().authority.is_distrusted(entry) {
            continue;
        }
        if let Ok(Some(body)) = repository.commit_body(entry) {
            listings.add(header.number, domain, &body);
        }
    }
    listings
}

fn pack_sizes<S: ReadStore + ?Sized>(store: &S) -> Result<HashMap<PackId, u64>, SnapshotRunError> {
    let mut sizes = HashMap::new();
    store
        .list(Area::Packs, &mut |listed| {
            if let Listed::Object {
                key: ObjectKey::Pack(pack),
                size_bytes,
            } = listed
            {
                sizes.insert(pack, size_bytes);
            }
        })
        .map_err(SnapshotRunError::ListPacks)?;
    Ok(sizes)
}

/// Opens a pack's directory, from the client's copy if it has a good one.
fn open_directory<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    pack: &NewPack,
    index_key: &SecretKey,
) -> Result<OpenPack, PackError> {
    let copy = repository
        .state()
        .and_then(|state| state.directory(&pack.id));
    let kept = copy.and_then(|copy| {
        SealedDirectory::of_copy(&copy, pack.len)
            .ok()?
            .open(index_key)
            .ok()
    });
    if let Some(open) = kept {
        return Ok(open);
    }
    let sealed = SealedDirectory::fetch(repository.store(), &pack.id, pack.len)?;
    let copy = sealed.copy();
    let open = sealed.open(index_key)?;
    if let Some(state) = repository.state() {
        state.keep_directory(&pack.id, &copy);
    }
    Ok(open)
}

/// Takes over the finished packs of runs that died.
fn adopt<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    index_key: &SecretKey,
    prepared: &mut Prepared,
    progress: &dyn Progress,
) {
    let domain = repository.key().domain;
    let dead = repository.state().map(|state| state.dead_journals(&domain));
    let Some(Ok(dead)) = dead else { return };
    let mut size_bytes = 0;
    for (journal, packs) in dead {
        for pack in packs {
            let known = prepared.listings.get(&domain, &pack.id).is_some()
                || prepared.adopted.contains_key(&pack.id);
            if known {
                continue;
            }
            if let Some((new, open)) = check_pack(repository, &pack.id, index_key) {
                size_bytes += u64::from(new.len);
                prepared.index.add(new.id, &open.directory);
                prepared.adopted.insert(new.id, new);
            }
        }
        prepared.adopted_journals.push(journal);
    }
    if !prepared.adopted.is_empty() {
        progress.note(Note::PacksAdopted {
            count: prepared.adopted.len() as u64,
            size_bytes,
        });
    }
}

/// Reads a whole pack and checks everything that can be checked of it.
fn check_pack<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    id: &PackId,
    index_key: &SecretKey,
) -> Option<(NewPack, OpenPack)> {
    let bytes = repository
        .store()
        .read(&ObjectKey::Pack(*id), PACK_BYTES_MAX as u64)
        .ok()?;
    if PackId::of(&bytes) != *id && !planted(Bug::JournalUnchecked) {
        return None;
    }
    let open = SealedDirectory::of_bytes(&bytes)
        .ok()?
        .open(index_key)
        .ok()?;
    let ours =
        open.header.domain == repository.key().domain && open.header.repository == repository.id();
    let len = u32::try_from(bytes.len()).ok()?;
    ours.then(|| {
        (
            NewPack {
                id: *id,
                len,
                sha256: Sha256::digest(&bytes).into(),
            },
            open,
        )
    })
}
