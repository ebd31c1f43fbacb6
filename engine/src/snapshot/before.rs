//! What the streams of a NAME were in the snapshot before.
//!
//! A client that took that snapshot kept its lists of chunks. One that did not,
//! and holds a key that may walk trees, reads them from the repository. Others
//! guess nothing. All it saves is time.

use std::collections::HashMap;

use indelible_format::name::Name;
use indelible_format::node::PlacedRoot;

use crate::past::{Past, PastChunk, PastChunks};
use crate::read::{Reader, StreamWalk};
use crate::repository::{Listings, Repository, Snapshot};
use crate::state::ListFile;
use crate::store::ReadStore;

/// Under this path, which no entry can have, stands the stream of small files.
pub(super) const SMALL: &[u8] = b"";
/// Under this one, that of the tables of contents.
pub(super) const TABLES: &[u8] = b"/";

/// Whether the stream at a path is an entry's.
pub(super) fn is_entry(path: &[u8]) -> bool {
    path != SMALL && path != TABLES
}

/// Snapshots of other NAMEs that are looked at on the way to one of this.
const LOOKS: usize = 64;
/// Streams of a tree that are remembered.
const STREAMS_MAX: usize = 1 << 16;

/// Walks the stream at a path, if there was one.
type Walks<'b> = Box<dyn Fn(&[u8]) -> Option<PastChunks<'b>> + 'b>;

/// The streams of the snapshot before.
pub(super) enum Before<'b> {
    /// There is none, or nothing is known of it.
    Unknown,
    /// From the state.
    Lists(ListFile),
    /// From the tree.
    Tree(Walks<'b>),
}

impl<'b> Before<'b> {
    /// The chunks that the stream at a path had.
    pub(super) fn past(&self, path: &[u8]) -> Option<Past<'b>> {
        let chunks = match self {
            Self::Unknown => None,
            Self::Lists(lists) => lists.stream(path),
            Self::Tree(walk) => walk(path),
        };
        chunks.map(Past::new)
    }

    /// The streams of a snapshot, from its tree.
    pub(super) fn of_tree<S: ReadStore + ?Sized>(
        reader: &'b Reader<'b, S>,
        snapshot: &Snapshot,
    ) -> Self {
        let mut roots: HashMap<Vec<u8>, PlacedRoot> = HashMap::new();
        let entries = reader
            .entries(&snapshot.manifest.list)
            .into_iter()
            .flatten();
        let owns = entries.map_while(Result::ok).filter_map(|(entry, place)| {
            let root = entry.own_root()?;
            let placed = PlacedRoot {
                root,
                place: place?,
            };
            Some((entry.path.as_bytes().to_vec(), placed))
        });
        roots.extend(owns.take(STREAMS_MAX));
        let manifest = &snapshot.manifest;
        for (path, root) in [(SMALL, manifest.small), (TABLES, manifest.contents)] {
            roots.extend(root.map(|root| (path.to_vec(), root)));
        }
        Self::Tree(Box::new(move |path| {
            let root = roots.get(path)?;
            Some(Box::new(chunks(reader.walk(root, 0, root.root.len))))
        }))
    }
}

/// The chunks of a stream, up to the first place where its tree can't be read.
fn chunks<S: ReadStore + ?Sized>(
    walk: StreamWalk<'_, '_, S>,
) -> impl Iterator<Item = PastChunk> + Send {
    walk.map_while(|part| {
        let (item, _) = part.whole_chunk()?;
        Some(PastChunk {
            id: item.id,
            len: u32::try_from(item.len).ok()?,
        })
    })
}

/// The last snapshot of a NAME in the key's domain that may be leaned on, and what
/// reads it; `None` without the verify right.
pub(super) fn last_snapshot<'r, S: ReadStore + ?Sized>(
    repository: &'r Repository<'_, S>,
    listings: &'r Listings,
    name: &Name,
) -> Option<(Reader<'r, S>, Snapshot)> {
    let domain = repository.key().domain;
    let reader = Reader::new(repository, listings, domain).ok()?;
    let entries: Vec<_> = repository.snapshot_entries().collect();
    let ours = entries
        .into_iter()
        .rev()
        .filter(|entry| entry.header().domain == domain)
        .take(LOOKS);
    let snapshot = ours
        .filter_map(|entry| repository.snapshot(entry).ok())
        .find(|snapshot| snapshot.manifest.name == *name && snapshot.refused.is_none())?;
    Some((reader, snapshot))
}
