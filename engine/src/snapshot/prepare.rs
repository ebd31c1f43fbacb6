//! What a snapshot must know before it reads its sources: which chunks the
//! domain has, and what runs that died have left.
//!
//! Only packs that are in the store with their listed length enter the index, so
//! a pack that was destroyed is stored anew rather than leaned on. Packs of dead
//! runs are read whole and hashed before they are adopted.

use std::collections::{BTreeMap, HashMap};

use indelible_format::commit::NewPack;
use indelible_format::ids::{CommitId, PackId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::planted::{Bug, planted};
use sha2::{Digest as _, Sha256};

use super::SnapshotRunError;
use crate::index::{CountedPack, DomainDirectories, Index};
use crate::pack::{IndexKeys, SealedDirectory};
use crate::progress::{Note, Progress};
use crate::repository::{Listings, Repository};
use crate::state::Journal;
use crate::store::{AppendStore, Area, Listed, ObjectKey, ReadStore};

/// What a snapshot begins with.
pub(super) struct Prepared<'s> {
    pub(super) index: Index<'s>,
    pub(super) listings: Listings,
    /// Packs of dead runs, by id.
    pub(super) adopted: HashMap<PackId, NewPack>,
    /// The journals that named them.
    pub(super) adopted_journals: Vec<Journal>,
    /// This run's own journal; without a state there is none.
    pub(super) journal: Option<Journal>,
}

pub(super) fn prepare<'s, S: AppendStore + ?Sized>(
    repository: &Repository<'s, S>,
    commit: &CommitId,
    progress: &dyn Progress,
) -> Result<Prepared<'s>, SnapshotRunError> {
    let key = repository.key();
    if key.write.is_none() {
        return Err(SnapshotRunError::NoWrite { held: key.rights() });
    }
    let index_keys = IndexKeys::of(repository.ring(), &key.domain);
    let listings = trusted_listings(repository);
    let mut packs = present_packs(repository, &listings)?;
    // A journal is a convenience: without one a dead run is started over.
    let state = repository.state();
    let journal = state.and_then(|state| state.begin_journal(commit, &key.domain).ok());
    let (adopted, adopted_journals) = adopt(repository, &index_keys, &listings, progress);
    packs.extend(adopted.values().map(|new| CountedPack {
        id: new.id,
        len: new.len,
    }));
    let directories = DomainDirectories {
        store: repository.store(),
        state: state.cloned(),
        repository: repository.id(),
        domain: key.domain,
        index_keys,
    };
    let segments = state.map(|state| state.segments(&key.domain));
    Ok(Prepared {
        index: Index::open(packs, segments.as_ref(), Box::new(directories)),
        listings,
        adopted: adopted.into_iter().collect(),
        adopted_journals,
        journal,
    })
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

/// The listed packs that the store has with their listed length, in the order of
/// their entries.
fn present_packs<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
) -> Result<Vec<CountedPack>, SnapshotRunError> {
    let domain = repository.key().domain;
    let mut present = Vec::new();
    let mut each = |found: Listed| {
        let Listed::Object {
            key: ObjectKey::Pack(id),
            size_bytes,
        } = found
        else {
            return;
        };
        let listed = listings.get(&domain, &id);
        let listed = listed.filter(|listed| u64::from(listed.pack.len) == size_bytes);
        present.extend(listed.map(|listed| {
            let len = listed.pack.len;
            (listed.entry, listed.place, CountedPack { id, len })
        }));
    };
    repository
        .store()
        .list(Area::Packs, &mut each)
        .map_err(SnapshotRunError::ListPacks)?;
    present.sort_unstable_by_key(|(entry, place, _)| (*entry, *place));
    // Should a store list one twice.
    present.dedup_by_key(|(entry, place, _)| (*entry, *place));
    Ok(present.into_iter().map(|(_, _, pack)| pack).collect())
}

/// Packs of dead runs, by id, and the journals that named them.
type Adopted = (BTreeMap<PackId, NewPack>, Vec<Journal>);

/// Takes over the finished packs of runs that died.
fn adopt<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    index_keys: &IndexKeys,
    listings: &Listings,
    progress: &dyn Progress,
) -> Adopted {
    let domain = repository.key().domain;
    let (mut adopted, mut journals) = Adopted::default();
    let dead = repository.state().map(|state| state.dead_journals(&domain));
    let Some(Ok(dead)) = dead else {
        return (adopted, journals);
    };
    for (journal, packs) in dead {
        for pack in packs {
            let known = listings.get(&domain, &pack.id).is_some() || adopted.contains_key(&pack.id);
            if !known && let Some(new) = check_pack(repository, &pack.id, index_keys) {
                adopted.insert(new.id, new);
            }
        }
        journals.push(journal);
    }
    if !adopted.is_empty() {
        progress.note(Note::PacksAdopted {
            count: adopted.len() as u64,
            size_bytes: adopted.values().map(|new| u64::from(new.len)).sum(),
        });
    }
    (adopted, journals)
}

/// Reads a whole pack and checks everything that can be checked of it. Its
/// directory is kept, since the index asks for it next.
fn check_pack<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    id: &PackId,
    index_keys: &IndexKeys,
) -> Option<NewPack> {
    let bytes = repository
        .store()
        .read(&ObjectKey::Pack(*id), PACK_BYTES_MAX as u64)
        .ok()?;
    if PackId::of(&bytes) != *id && !planted(Bug::JournalUnchecked) {
        return None;
    }
    let sealed = SealedDirectory::of_bytes(&bytes).ok()?;
    let index_key = index_keys.at(sealed.header().epoch).ok()?;
    let copy = sealed.copy(id, index_key);
    let open = sealed.open(index_key).ok()?;
    let ours =
        open.header.domain == repository.key().domain && open.header.repository == repository.id();
    if !ours {
        return None;
    }
    if let Some(state) = repository.state() {
        state.keep_directory(id, &copy);
    }
    Some(NewPack {
        id: *id,
        len: u32::try_from(bytes.len()).ok()?,
        sha256: Sha256::digest(&bytes).into(),
    })
}
