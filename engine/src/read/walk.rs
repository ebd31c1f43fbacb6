//! Walks a stream's nodes from its root, in order, over any range.

use std::collections::VecDeque;
use std::sync::Arc;

use indelible_format::node::{Item, PlacedRoot};
use indelible_format::page::{Page, TreeEntry, check_order};
use indelible_format::places::Place;

use super::{ReadError, Reader};
use crate::store::ReadStore;

/// Parts that a window has at most: chunks can be as short as a byte, and each
/// part takes some memory whatever its length.
const WINDOW_PARTS_MAX: usize = 16_384;

/// The part of a range that lies in one chunk, or below one node that can't be
/// read.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its length, bytes; at least 1.
    pub len: u64,
    /// How many bytes of the chunk lie in front of it.
    pub(super) skip: u64,
    /// The chunk; or why the tree does not lead there.
    pub chunk: Result<(Item, Place), ReadError>,
}

impl Part {
    /// The whole chunk that it lies in, and how many bytes of that lie in front of
    /// it.
    pub fn widened(&self) -> (Self, u64) {
        let mut whole = self.clone();
        if let Ok((item, _)) = &self.chunk {
            (whole.len, whole.skip) = (item.len, 0);
            return (whole, self.skip);
        }
        (whole, 0)
    }

    /// The chunk, if the range has all of it.
    pub fn whole_chunk(&self) -> Option<(Item, Place)> {
        let chunk = self.chunk.as_ref().ok()?;
        (self.len == chunk.0.len).then_some(*chunk)
    }
}

/// A range of a stream, part by part.
pub struct StreamWalk<'a, 'r, S: ReadStore + ?Sized> {
    reader: &'a Reader<'r, S>,
    /// What is left of the node at each level: first the root, as if a node
    /// listed it, then downwards.
    levels: Vec<VecDeque<(Item, Place)>>,
    root_level: u8,
    /// Bytes before the range that are still to be passed over.
    skip: u64,
    /// Bytes of the range that are still to come.
    left: u64,
}

impl<'r, S: ReadStore + ?Sized> Reader<'r, S> {
    /// Walks `len` bytes of a stream from `offset` on. Nothing is read yet.
    pub fn walk(&self, root: &PlacedRoot, offset: u64, len: u64) -> StreamWalk<'_, 'r, S> {
        let top = Item {
            id: root.root.id,
            len: root.root.len,
        };
        StreamWalk {
            reader: self,
            levels: vec![VecDeque::from([(top, root.place)])],
            root_level: root.root.level,
            skip: offset,
            left: len,
        }
    }

    /// The entries of a list, in order. Nothing is read yet.
    pub(crate) fn list(&self, list: &PlacedRoot) -> Entries<'_, 'r, S> {
        self.list_from(list, 0, None)
    }

    /// The entries of a list: those of a page that is open, then those of the page on
    /// whose records begin at a byte.
    pub(super) fn list_from(
        &self,
        list: &PlacedRoot,
        from: u64,
        page: Option<OpenPage>,
    ) -> Entries<'_, 'r, S> {
        Entries {
            walk: self.walk(list, from, list.root.len - from),
            page,
            last: None,
        }
    }

    /// The entries of a list, in order, each with its root's place if it has a
    /// stream of its own.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the list's first page can't be read.
    pub fn entries(&self, list: &PlacedRoot) -> Result<Entries<'_, 'r, S>, ReadError> {
        let mut entries = self.list(list);
        entries.fill().map_err(|lost| lost.error)?;
        Ok(entries)
    }
}

impl<S: ReadStore + ?Sized> StreamWalk<'_, '_, S> {
    /// Parts of about this many bytes together; none at the end of the range.
    ///
    /// A node that can't be read costs one part, as long as what lies below it,
    /// and so does what is missing at the end of a stream that is too short.
    pub fn window(&mut self, bytes: u64) -> Vec<Part> {
        let mut window = Vec::new();
        let mut len = 0_u64;
        while len < bytes && window.len() < WINDOW_PARTS_MAX {
            let Some(part) = self.next() else {
                break;
            };
            len = len.saturating_add(part.len);
            window.push(part);
        }
        window
    }
}

impl<S: ReadStore + ?Sized> Iterator for StreamWalk<'_, '_, S> {
    type Item = Part;

    /// Opens nodes until the next part is at hand, passing over what lies before
    /// the range.
    fn next(&mut self) -> Option<Part> {
        if self.left == 0 {
            return None;
        }
        let (len, chunk) = loop {
            // One more than the level of the nodes that are listed here; the
            // root's at first, and 0 where chunks are.
            let height = usize::from(self.root_level) + 2 - self.levels.len().max(1);
            let Some(items) = self.levels.last_mut() else {
                break (u64::MAX, Err(ReadError::BeyondEnd));
            };
            while items.front().is_some_and(|(item, _)| item.len <= self.skip) {
                self.skip -= items.pop_front().map_or(0, |(item, _)| item.len);
            }
            let Some((item, place)) = items.pop_front() else {
                self.levels.pop();
                continue;
            };
            let Some(level) = height.checked_sub(1) else {
                break (item.len, Ok((item, place)));
            };
            let level = u8::try_from(level).expect("a level is at most 7");
            match self.reader.node(&item.id, place, level, item.len) {
                Ok(node) => {
                    let items = node.items.into_iter().zip(node.places).collect();
                    self.levels.push(items);
                }
                Err(error) => break (item.len, Err(error)),
            }
        };
        let skip = std::mem::take(&mut self.skip);
        let len = (len - skip).min(self.left);
        self.left -= len;
        Some(Part { len, skip, chunk })
    }
}

/// A part of an entry list that can't be read.
#[derive(Debug, Clone)]
pub(crate) struct LostRecords {
    /// Length of its records, bytes.
    pub(crate) len: u64,
    /// Why.
    pub(crate) error: ReadError,
}

/// The entries of a snapshot, in order.
pub struct Entries<'a, 'r, S: ReadStore + ?Sized> {
    walk: StreamWalk<'a, 'r, S>,
    page: Option<OpenPage>,
    /// The last entry of the page before.
    last: Option<TreeEntry>,
}

/// A page that is being read.
pub(super) struct OpenPage {
    page: Arc<Page>,
    /// Which entry comes next.
    next: usize,
    /// And which of the page's places.
    next_place: usize,
}

impl OpenPage {
    /// A page from its first entry on that is not `before`.
    pub(super) fn from(page: Arc<Page>, before: impl Fn(&TreeEntry) -> bool) -> Self {
        let next = page.entries.partition_point(before);
        let passed = page.entries[..next].iter();
        Self {
            next,
            next_place: passed.filter(|entry| entry.own_root().is_some()).count(),
            page,
        }
    }

    fn take(&mut self) -> Option<(TreeEntry, Option<Place>)> {
        let entry = self.page.entries.get(self.next)?.clone();
        self.next += 1;
        let place = entry.own_root().and_then(|_| {
            self.next_place += 1;
            self.page.places.get(self.next_place - 1).copied()
        });
        Some((entry, place))
    }
}

impl<S: ReadStore + ?Sized> Entries<'_, '_, S> {
    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`LostRecords`] if a page can't be read. The next call goes on behind it.
    pub(crate) fn advance(&mut self) -> Result<Option<(TreeEntry, Option<Place>)>, LostRecords> {
        self.fill()?;
        Ok(self.page.as_mut().and_then(OpenPage::take))
    }

    /// Reads pages until an entry is at hand, or the list ends.
    fn fill(&mut self) -> Result<(), LostRecords> {
        let is_read = |open: &OpenPage| open.next >= open.page.entries.len();
        while self.page.as_ref().is_none_or(is_read) {
            if let Some(read) = self.page.take() {
                self.last = read.page.entries.last().cloned();
            }
            let Some(part) = self.walk.next() else {
                break;
            };
            let page = part.chunk.and_then(|(item, place)| {
                let page = self.walk.reader.page(&item.id, place, item.len)?;
                // The order within a page was checked when it was decoded.
                if let (Some(last), Some(first)) = (&self.last, page.entries.first()) {
                    check_order(last, first)
                        .map_err(|error| ReadError::Layout { id: item.id, error })?;
                }
                Ok(page)
            });
            let lost = |error| LostRecords {
                len: part.len,
                error,
            };
            let page = Arc::new(page.map_err(lost)?);
            self.page = Some(OpenPage::from(page, |_| false));
        }
        Ok(())
    }
}

impl<S: ReadStore + ?Sized> Iterator for Entries<'_, '_, S> {
    type Item = Result<(TreeEntry, Option<Place>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map_err(|lost| lost.error).transpose()
    }
}
