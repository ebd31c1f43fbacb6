//! Walks a stream's nodes from its root, in order, from any offset.

use std::collections::VecDeque;

use indelible_format::coding::Class;
use indelible_format::node::{Item, PlacedRoot};
use indelible_format::page::{Page, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use super::{ReadError, Reader};
use crate::store::ReadStore;

/// The chunks of a stream, from some offset on.
pub struct StreamWalk<'a, 'r, S: ReadStore + ?Sized> {
    reader: &'a Reader<'r, S>,
    /// What is left of the node at each level, the root's level first.
    levels: Vec<VecDeque<(Item, Place)>>,
    root_level: u8,
    /// Bytes of the first chunk that lie before the offset.
    skip: u64,
}

impl<'r, S: ReadStore + ?Sized> Reader<'r, S> {
    /// Walks a stream from an offset in bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn walk(&self, root: &PlacedRoot, offset: u64) -> Result<StreamWalk<'_, 'r, S>, ReadError> {
        let (stream, place) = (root.root, root.place);
        let node = self.node(&stream.id, place, stream.level, stream.len)?;
        let items = node.items.into_iter().zip(node.places).collect();
        let mut walk = StreamWalk {
            reader: self,
            levels: vec![items],
            root_level: stream.level,
            skip: offset,
        };
        walk.descend()?;
        Ok(walk)
    }

    /// Some bytes of a stream, through the cache: for many small reads.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; [`ReadError::BeyondEnd`] if the stream has not so many.
    pub fn read(&self, root: &PlacedRoot, offset: u64, len: u64) -> Result<Vec<u8>, ReadError> {
        let end = offset
            .checked_add(len)
            .filter(|&end| end <= root.root.len)
            .ok_or(ReadError::BeyondEnd)?;
        let mut walk = self.walk(root, offset)?;
        let mut out = Vec::new();
        while (out.len() as u64) < end - offset {
            let (item, place) = walk.next()?.ok_or(ReadError::BeyondEnd)?;
            let (plain, _) = self.chunk(&item.id, Class::Data, place)?;
            if plain.len() as u64 != item.len {
                return Err(ReadError::Shape { id: item.id });
            }
            let skip = usize::try_from(std::mem::take(&mut walk.skip))
                .map_err(|_| ReadError::BeyondEnd)?;
            let left = usize::try_from(end - offset).map_err(|_| ReadError::BeyondEnd)? - out.len();
            let part = plain.get(skip..).ok_or(ReadError::BeyondEnd)?;
            out.extend_from_slice(&part[..part.len().min(left)]);
        }
        Ok(out)
    }

    /// The entries of a list, in order, each with its root's place if it has a
    /// stream of its own.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the list's top can't be read.
    pub fn entries(&self, list: &PlacedRoot) -> Result<Entries<'_, 'r, S>, ReadError> {
        Ok(Entries {
            walk: self.walk(list, 0)?,
            page: VecDeque::new(),
            last: None,
        })
    }
}

impl<S: ReadStore + ?Sized> StreamWalk<'_, '_, S> {
    /// The next chunk, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a node on the way can't be read. The walk can go on: it
    /// passes over what lies below that node.
    #[allow(
        clippy::should_implement_trait,
        reason = "a fallible step, not an iterator"
    )]
    pub fn next(&mut self) -> Result<Option<(Item, Place)>, ReadError> {
        self.descend()?;
        Ok(self.levels.last_mut().and_then(VecDeque::pop_front))
    }

    /// Chunks of about this many bytes together; none at the end.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn window(&mut self, bytes: u64) -> Result<Vec<(Item, Place)>, ReadError> {
        let mut window = Vec::new();
        let mut len = 0;
        while len < bytes {
            let Some((item, place)) = self.next()? else {
                break;
            };
            len += item.len;
            window.push((item, place));
        }
        Ok(window)
    }

    /// Reads the chunks of a window, in order.
    pub fn chunks(&self, window: &[(Item, Place)]) -> Vec<Result<Vec<u8>, ReadError>> {
        self.reader.data_chunks(window)
    }

    /// Opens nodes until the next chunk is at hand, passing over what lies before
    /// the offset.
    fn descend(&mut self) -> Result<(), ReadError> {
        loop {
            let depth = self.levels.len();
            let Some(items) = self.levels.last_mut() else {
                return Ok(());
            };
            while items.front().is_some_and(|(item, _)| item.len <= self.skip) {
                self.skip -= items.pop_front().map_or(0, |(item, _)| item.len);
            }
            let level = usize::from(self.root_level) + 1 - depth;
            match (items.front().copied(), level) {
                (None, _) if depth == 1 => return Ok(()),
                (None, _) => {
                    self.levels.pop();
                }
                (Some(_), 0) => return Ok(()),
                (Some((item, place)), _) => {
                    items.pop_front();
                    let below = u8::try_from(level - 1).expect("a level is at most 7");
                    let node = self.reader.node(&item.id, place, below, item.len)?;
                    self.levels
                        .push(node.items.into_iter().zip(node.places).collect());
                }
            }
        }
    }
}

/// The entries of a snapshot, in order.
pub struct Entries<'a, 'r, S: ReadStore + ?Sized> {
    walk: StreamWalk<'a, 'r, S>,
    page: VecDeque<(TreeEntry, Option<Place>)>,
    last: Option<EntryPath>,
}

impl<S: ReadStore + ?Sized> Entries<'_, '_, S> {
    fn advance(&mut self) -> Result<Option<(TreeEntry, Option<Place>)>, ReadError> {
        while self.page.is_empty() {
            let Some((item, place)) = self.walk.next()? else {
                return Ok(None);
            };
            let page: Page = self.walk.reader.page(&item.id, place, item.len)?;
            let placed = page
                .placed()
                .map(|(entry, place)| (entry.clone(), place))
                .collect();
            self.page = placed;
            // The order within a page was checked when it was decoded.
            let first = self.page.front().map(|(entry, _)| &entry.path);
            if self
                .last
                .as_ref()
                .zip(first)
                .is_some_and(|(last, first)| last >= first)
            {
                self.page.clear();
                return Err(ReadError::Shape { id: item.id });
            }
        }
        let next = self.page.pop_front();
        self.last = next.as_ref().map(|(entry, _)| entry.path.clone());
        Ok(next)
    }
}

impl<S: ReadStore + ?Sized> Iterator for Entries<'_, '_, S> {
    type Item = Result<(TreeEntry, Option<Place>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
