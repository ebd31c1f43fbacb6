//! One snapshot: its entries by path, and the directories that they stand in.
//!
//! A directory may have no entry of its own: `a/b.sql` can be all that a snapshot
//! holds. It is shown as a directory of which nothing is known.

use std::sync::Arc;

use indelible_format::ids::DomainId;
use indelible_format::node::PlacedRoot;
use indelible_format::page::{Content, EntryKind, Metadata, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use super::Shelf;
use super::chunks::Chunks;
use super::file::File;
use super::tables::LastDumps;
use crate::read::{Entries, ReadError, Reader};
use crate::repository::Snapshot;
use crate::store::ReadStore;

/// So many entries below a directory are passed over one by one; if there are more,
/// the one behind them is sought.
const STEPS_MAX: usize = 256;
/// So many children are read at a time.
const READY_MAX: usize = 1_024;

/// Something that stands at a path of a snapshot.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub path: EntryPath,
    /// Its entry in the list. A directory that only follows from what stands below
    /// it has none.
    pub listed: Option<EntryKind>,
    place: Option<Place>,
}

impl Entry {
    /// Whether others may stand below it.
    pub fn is_directory(&self) -> bool {
        matches!(self.listed, None | Some(EntryKind::Directory { .. }))
    }

    /// Its content, if its kind has one.
    pub fn content(&self) -> Option<&Content> {
        match self.listed.as_ref()? {
            EntryKind::File { content, .. } | EntryKind::Stream { content } => Some(content),
            EntryKind::Directory { .. } | EntryKind::Symlink { .. } => None,
        }
    }

    /// Bytes of its content.
    pub fn size_bytes(&self) -> u64 {
        self.content().map_or(0, Content::len)
    }

    /// Its metadata, if there is any.
    pub fn metadata(&self) -> Option<&Metadata> {
        match self.listed.as_ref()? {
            EntryKind::File { metadata, .. }
            | EntryKind::Directory { metadata }
            | EntryKind::Symlink { metadata, .. } => Some(metadata),
            EntryKind::Stream { .. } => None,
        }
    }

    fn of((entry, place): (TreeEntry, Option<Place>)) -> Self {
        Self {
            path: entry.path,
            listed: Some(entry.kind),
            place,
        }
    }
}

/// One snapshot, open for looking.
pub struct Tree<S: ReadStore + ?Sized + 'static> {
    pub(super) reader: Arc<Reader<'static, S>>,
    snapshot: Snapshot,
    pub(super) chunks: Arc<Chunks>,
    pub(super) last_dumps: Arc<LastDumps>,
}

impl<S: ReadStore + ?Sized + 'static> Tree<S> {
    pub(super) fn new(
        reader: Arc<Reader<'static, S>>,
        snapshot: Snapshot,
        shelf: &Shelf<S>,
    ) -> Self {
        Self {
            reader,
            snapshot,
            chunks: Arc::clone(&shelf.chunks),
            last_dumps: Arc::clone(&shelf.last_dumps),
        }
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The domain whose keys give its chunks their ids.
    pub(super) fn domain(&self) -> DomainId {
        self.snapshot.binding.domain
    }

    /// Every entry, in the order of their paths. After one that can't be read, others
    /// may follow.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, ReadError>> {
        self.from(&|_| false).map(|entry| entry.map(Entry::of))
    }

    /// What stands at a path.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if nothing was found, and pages that may hold it can't be read.
    pub fn entry(&self, path: &EntryPath) -> Result<Option<Entry>, ReadError> {
        let mut entries = self.from(&|other| other < path);
        let mut lost = None;
        loop {
            match entries.advance() {
                Ok(Some((entry, _))) if entry.path < *path => {}
                Ok(Some(found)) if found.0.path == *path => return Ok(Some(Entry::of(found))),
                Ok(Some((entry, _))) if entry.path.is_within(path) => {
                    return Ok(Some(implied(path.clone())));
                }
                Ok(_) => return lost.map_or(Ok(None), Err),
                Err(part) => lost = Some(part.error),
            }
        }
    }

    /// What stands directly in a directory, or at the top, by name.
    pub fn children(self: &Arc<Self>, directory: Option<&EntryPath>) -> Children<S> {
        Children {
            tree: Arc::clone(self),
            directory: directory.cloned(),
            after: None,
            ready: Vec::new(),
            told: false,
            ended: false,
        }
    }

    /// A file, open for reading; `None` if it is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if its content lies beyond its stream, or the key has not the
    /// restore right.
    pub fn open(self: &Arc<Self>, entry: &Entry) -> Result<Option<File<S>>, ReadError> {
        let Some(content) = entry.content() else {
            return Ok(None);
        };
        if !self.reader.may_read_contents() {
            return Err(ReadError::NotAllowed { needed: "restore" });
        }
        let (root, base) = match *content {
            Content::Empty => (None, 0),
            Content::Small { offset, .. } => (self.snapshot.manifest.small, offset),
            Content::Own(root) => (entry.place.map(|place| PlacedRoot { root, place }), 0),
        };
        let end = base.checked_add(content.len());
        let stream_len = root.map_or(0, |root| root.root.len);
        if end.is_none_or(|end| end > stream_len) {
            return Err(ReadError::BeyondEnd);
        }
        Ok(Some(File::new(Arc::clone(self), root, base, content.len())))
    }

    /// The entries from the first on that is not `before`.
    fn from(&self, before: &dyn Fn(&EntryPath) -> bool) -> Entries<'_, 'static, S> {
        self.reader
            .entries_from(&self.snapshot.manifest.list, before)
    }
}

/// A directory that follows from what stands below it.
fn implied(path: EntryPath) -> Entry {
    Entry {
        path,
        listed: None,
        place: None,
    }
}

/// The children of a directory.
pub struct Children<S: ReadStore + ?Sized + 'static> {
    tree: Arc<Tree<S>>,
    directory: Option<EntryPath>,
    /// The child that was given last.
    after: Option<EntryPath>,
    /// Those that come next, the last first.
    ready: Vec<Result<Entry, ReadError>>,
    /// Whether it was told that some can't be read.
    told: bool,
    ended: bool,
}

impl<S: ReadStore + ?Sized + 'static> Children<S> {
    /// The path of the child that an entry is or stands below; `None` if it is
    /// outside.
    fn child(directory: Option<&EntryPath>, path: &EntryPath) -> Option<EntryPath> {
        let above = directory.map_or(0, |directory| directory.components().count());
        let inside = directory.is_none_or(|directory| path.is_within(directory));
        let components: Vec<&[u8]> = path.components().take(above + 1).collect();
        (inside && components.len() > above)
            .then(|| EntryPath::new(components.join(&b'/')).ok())
            .flatten()
    }

    /// Reads on until more children are at hand, or the list or the directory ends.
    fn fill(&mut self) {
        let (directory, after) = (self.directory.as_ref(), self.after.clone());
        let mut entries = self.tree.from(&|path| {
            let passed = after
                .as_ref()
                .is_some_and(|after| path <= after || path.is_within(after));
            passed || directory.is_some_and(|directory| path <= directory)
        });
        let (mut ready, mut steps) = (Vec::new(), 0);
        let mut newest = after;
        loop {
            let found = match entries.advance() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(lost) => {
                    if !std::mem::replace(&mut self.told, true) {
                        ready.push(Err(lost.error));
                    }
                    continue;
                }
            };
            let path = &found.0.path;
            let behind = directory.is_some_and(|directory| path <= directory);
            if behind
                || newest
                    .as_ref()
                    .is_some_and(|child| path <= child || path.is_within(child))
            {
                steps += 1;
                // What follows is sought, past all that stands below the last child.
                // That is nearer only if there is a new last one.
                if steps > STEPS_MAX && newest != self.after {
                    break;
                }
                continue;
            }
            let Some(child) = Self::child(directory, path) else {
                self.ended = true;
                break;
            };
            steps = 0;
            let entry = if child == *path {
                Entry::of(found)
            } else {
                implied(child.clone())
            };
            ready.push(Ok(entry));
            newest = Some(child);
            if ready.len() >= READY_MAX {
                break;
            }
        }
        drop(entries);
        self.after = newest;
        ready.reverse();
        self.ready = ready;
    }
}

impl<S: ReadStore + ?Sized + 'static> Iterator for Children<S> {
    type Item = Result<Entry, ReadError>;

    /// The next child; or why some may be missing here.
    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            self.fill();
        }
        self.ready.pop()
    }
}
