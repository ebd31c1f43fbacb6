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
mod file;
mod tree;

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::sync::Arc;

use indelible_format::ids::DomainId;

use crate::read::{ReadError, Reader};
use crate::repository::{BrokenSnapshot, Repository, Snapshot};
use crate::store::ReadStore;
use chunks::Chunks;
pub use file::{File, ReadFault};
pub use tree::{Children, Entry, Tree};

/// The snapshots of a repository as its log stood when they were opened.
pub struct View<S: ReadStore + ?Sized + 'static> {
    trees: Vec<Arc<Tree<S>>>,
    unread: Vec<BrokenSnapshot>,
    refused: Vec<Snapshot>,
}

/// What views of one repository share: the chunks that were decoded lately.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Chunks>);

impl<S: ReadStore + ?Sized + 'static> View<S> {
    /// Opens every snapshot that can be read and that readers do not refuse.
    /// `store` is the repository's. Reads only what says what snapshots there are.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the verify right.
    pub fn open(
        store: &Arc<S>,
        repository: &Repository<'_, S>,
        shelf: &Shelf,
    ) -> Result<Self, ReadError> {
        let listings = Arc::new(repository.listings().0);
        let mut readers: BTreeMap<DomainId, Arc<Reader<'static, S>>> = BTreeMap::new();
        let (mut trees, mut unread, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        if repository.key().verify.is_none() {
            return Err(ReadError::NotAllowed { needed: "verify" });
        }
        for snapshot in repository.snapshots() {
            let snapshot = match snapshot {
                Ok(snapshot) if snapshot.refused.is_some() => {
                    refused.push(snapshot);
                    continue;
                }
                Ok(snapshot) => snapshot,
                Err(broken) => {
                    unread.push(broken);
                    continue;
                }
            };
            let domain = snapshot.binding.domain;
            let reader = match readers.entry(domain) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(slot) => {
                    let listings = Arc::clone(&listings);
                    let reader = Reader::shared(Arc::clone(store), repository, listings, domain)?;
                    slot.insert(Arc::new(reader))
                }
            };
            let (reader, chunks) = (Arc::clone(reader), Arc::clone(&shelf.0));
            trees.push(Arc::new(Tree::new(reader, snapshot, chunks)));
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
        store: &Arc<S>,
        repository: &Repository<'_, S>,
        snapshot: &Snapshot,
        shelf: &Shelf,
    ) -> Result<Arc<Tree<S>>, ReadError> {
        let listings = Arc::new(repository.listings().0);
        let domain = snapshot.binding.domain;
        let reader = Reader::shared(Arc::clone(store), repository, listings, domain)?;
        let chunks = Arc::clone(&shelf.0);
        Ok(Arc::new(Tree::new(
            Arc::new(reader),
            snapshot.clone(),
            chunks,
        )))
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
