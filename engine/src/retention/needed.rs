//! What a snapshot needs, and so must be locked as long as it is promised to stay.

use std::collections::BTreeSet;

use indelible_format::commit::SnapshotBody;
use indelible_format::entry::{Body, Entry};
use indelible_format::history::History;
use indelible_format::ids::{DomainId, PackId, RecordId};

use crate::repository::{Listings, Repository, Snapshot, SnapshotError};
use crate::store::{ObjectKey, ReadStore};

/// The objects that one snapshot needs (SPEC 17.3).
#[derive(Debug, Clone, Default)]
pub struct Needed {
    /// Packs and commit records.
    hashed: BTreeSet<ObjectKey>,
    /// So many objects of the log, from its first on.
    log: u64,
}

impl Needed {
    /// Those of a snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] where its reach can't be read: what it needs is not known then.
    pub fn of<S: ReadStore + ?Sized>(
        repository: &Repository<'_, S>,
        snapshot: &Snapshot,
        listings: &Listings,
    ) -> Result<Self, SnapshotError> {
        let packs = repository.reached_packs(snapshot, listings)?;
        let domain = &snapshot.binding.domain;
        let mut needed = Self::default();
        needed.add_packs(&packs, domain, repository.history(), listings);
        needed.add_record_of(snapshot.number, repository.history());
        needed.add_log(snapshot.number + 1);
        Ok(needed)
    }

    /// Adds packs, and the commit records of the entries that list them.
    pub(crate) fn add_packs<'p>(
        &mut self,
        packs: impl IntoIterator<Item = &'p PackId>,
        domain: &DomainId,
        history: &History,
        listings: &Listings,
    ) {
        let mut entries = BTreeSet::new();
        for pack in packs {
            self.hashed.insert(ObjectKey::Pack(*pack));
            entries.extend(listings.get(domain, pack).map(|listed| listed.entry));
        }
        for entry in entries {
            self.add_record_of(entry, history);
        }
    }

    fn add_record_of(&mut self, entry: u64, history: &History) {
        let body = history.entries.get(&entry).map(Entry::body);
        if let Some(Body::Snapshot(SnapshotBody::Record { id, .. })) = body {
            self.hashed.insert(ObjectKey::Record(*id));
        }
    }

    /// Adds a commit record.
    pub(crate) fn add_record(&mut self, id: RecordId) {
        self.hashed.insert(ObjectKey::Record(id));
    }

    /// Adds the first `size` objects of the log.
    pub(crate) fn add_log(&mut self, size: u64) {
        self.log = self.log.max(size);
    }

    /// The objects.
    pub fn keys(&self) -> impl Iterator<Item = ObjectKey> + '_ {
        let log = (0..self.log).map(ObjectKey::Log);
        log.chain(self.hashed.iter().copied())
    }
}
