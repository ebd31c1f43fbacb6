//! The snapshots of a repository, open for looking: find an entry by its path, list
//! a directory, read a file at any offset.
//!
//! Nothing is unpacked. An entry is found through few pages of the list, an offset
//! through few nodes, and a read decodes the chunks that it touches, which stay in
//! a cache within a bound of bytes that all files share. Who reads a file from one
//! end to the other finds the next chunks decoded.
//!
//! Every byte comes from [`read`](crate::read), so it was checked against its
//! chunk's id. A damaged chunk fails the reads that touch it, and those alone. The
//! types are shared between threads, outlive the repository that they were opened
//! from, and never write.

mod chunks;
mod diff;
mod file;
mod tables;
mod tree;

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::ids::DomainId;

use crate::read::{ReadError, Reader};
use crate::repository::{BrokenSnapshot, Listings, Repository, Snapshot};
use crate::store::ReadStore;
use chunks::Chunks;
pub use diff::{Change, EntryChange, TableChange, diff};
pub use file::{File, ReadFault};
use tables::LastDumps;
pub use tables::{Dumps, TableRows, rows_of};
pub use tree::{Children, Entry, Tree};

/// The snapshots of a repository as its log stood when they were opened.
pub struct View<S: ReadStore + ?Sized + 'static> {
    trees: Vec<Arc<Tree<S>>>,
    unread: Vec<BrokenSnapshot>,
    refused: Vec<Snapshot>,
}

/// What views of one repository share, so that a log that has grown costs neither
/// the memory nor the work of before again: readers, and chunks that were decoded
/// lately.
pub struct Shelf<S: ReadStore + ?Sized + 'static> {
    store: Arc<S>,
    readers: Mutex<BTreeMap<DomainId, Arc<Reader<'static, S>>>>,
    chunks: Arc<Chunks>,
    last_dumps: Arc<LastDumps>,
}

impl<S: ReadStore + ?Sized + 'static> Shelf<S> {
    /// An empty one, over a repository's store.
    pub fn new(store: Arc<S>) -> Self {
        Self {
            store,
            readers: Mutex::default(),
            chunks: Arc::default(),
            last_dumps: Arc::default(),
        }
    }

    /// The reader of a domain, which knows what the log lists now.
    fn reader(
        &self,
        repository: &Repository<'_, S>,
        listings: &Arc<Listings>,
        domain: DomainId,
    ) -> Result<Arc<Reader<'static, S>>, ReadError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        match readers.entry(domain) {
            Slot::Occupied(known) => Ok(Arc::clone(known.get())),
            Slot::Vacant(slot) => {
                let (store, listings) = (Arc::clone(&self.store), Arc::clone(listings));
                let reader = Reader::shared(store, repository, listings, domain)?;
                Ok(Arc::clone(slot.insert(Arc::new(reader))))
            }
        }
    }

    /// The pack lists of the log as it stands, told to the readers that are open.
    fn listings(&self, repository: &Repository<'_, S>) -> Arc<Listings> {
        let listings = Arc::new(repository.listings().0);
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in readers.values() {
            reader.renew(Arc::clone(&listings));
        }
        listings
    }
}

impl<S: ReadStore + ?Sized + 'static> View<S> {
    /// Opens every snapshot that can be read and that readers do not refuse. Reads
    /// only what says what snapshots there are.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the verify right.
    pub fn open(repository: &Repository<'_, S>, shelf: &Shelf<S>) -> Result<Self, ReadError> {
        if repository.key().verify.is_none() {
            return Err(ReadError::NotAllowed { needed: "verify" });
        }
        let listings = shelf.listings(repository);
        let (mut trees, mut unread, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for snapshot in repository.snapshots() {
            match snapshot {
                Ok(snapshot) if snapshot.refused.is_some() => refused.push(snapshot),
                Ok(snapshot) => {
                    let domain = snapshot.binding.domain;
                    let reader = shelf.reader(repository, &listings, domain)?;
                    trees.push(Arc::new(Tree::new(reader, snapshot, shelf)));
                }
                Err(broken) => unread.push(broken),
            }
        }
        Ok(Self {
            trees,
            unread,
            refused,
        })
    }

    /// One snapshot, whether readers refuse it or not.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the verify right.
    pub fn of_one(
        repository: &Repository<'_, S>,
        snapshot: Snapshot,
        shelf: &Shelf<S>,
    ) -> Result<Arc<Tree<S>>, ReadError> {
        let listings = shelf.listings(repository);
        let reader = shelf.reader(repository, &listings, snapshot.binding.domain)?;
        Ok(Arc::new(Tree::new(reader, snapshot, shelf)))
    }

    /// The snapshots, in the order of the log.
    pub fn trees(&self) -> &[Arc<Tree<S>>] {
        &self.trees
    }

    /// Those that can't be shown.
    pub fn unread(&self) -> &[BrokenSnapshot] {
        &self.unread
    }

    /// Those that are refused, and left out.
    pub fn refused(&self) -> &[Snapshot] {
        &self.refused
    }
}
