//! Finds an entry by its path: the list is sorted, so few of its pages tell where.

use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::ids::ChunkId;
use indelible_format::node::{Item, PlacedRoot};
use indelible_format::page::Page;
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use super::walk::{Entries, OpenPage};
use super::{ReadError, Reader};
use crate::recent::Recent;
use crate::store::ReadStore;

/// The most that decoded pages take which are kept for this, bytes of their records.
const PAGES_BYTES: usize = 4 << 20;

/// Pages that were sought in lately.
pub(super) struct Pages(Mutex<Recent<ChunkId, Arc<Page>>>);

impl Default for Pages {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(PAGES_BYTES)))
    }
}

/// A page, and where its records lie in the list.
struct Spot {
    from: u64,
    to: u64,
    page: Result<Arc<Page>, ReadError>,
}

impl<'r, S: ReadStore + ?Sized> Reader<'r, S> {
    /// The entries of a list from the first on that is not `before`, which holds for
    /// all entries up to some place and for none behind it. Reads as many pages as
    /// halving takes; a page that can't be read is passed over, so entries may be
    /// given that are `before`.
    pub(crate) fn entries_from(
        &self,
        list: &PlacedRoot,
        before: &dyn Fn(&EntryPath) -> bool,
    ) -> Entries<'_, 'r, S> {
        // Pages that begin before `low` are known to end before what is sought, and
        // those that begin at `high` or behind it to begin with it or behind it.
        let (mut low, mut high) = (0, list.root.len);
        while low < high {
            let Some(spot) = self.spot(list, low + (high - low) / 2) else {
                break;
            };
            let Ok(page) = spot.page else {
                // Nothing is known of it: all from `low` on is looked through.
                break;
            };
            let ends = page.entries.first().zip(page.entries.last());
            let Some((front, back)) = ends else {
                break;
            };
            if before(&back.path) {
                low = spot.to;
            } else if before(&front.path) || spot.from == low {
                let open = OpenPage::from(page, |entry| before(&entry.path));
                return self.list_from(list, spot.to, Some(open));
            } else {
                high = spot.from;
            }
        }
        self.list_from(list, low, None)
    }

    /// The page that holds a byte of the list's records; `None` if the tree does not
    /// lead to one.
    fn spot(&self, list: &PlacedRoot, at: u64) -> Option<Spot> {
        let part = self.walk(list, at, 1).next()?;
        let (item, place) = part.chunk.clone().ok()?;
        let from = at - part.widened().1;
        Some(Spot {
            from,
            to: from + item.len,
            page: self.sought_page(&item, place),
        })
    }

    /// A page, from memory or decoded.
    fn sought_page(&self, item: &Item, place: Place) -> Result<Arc<Page>, ReadError> {
        let pages = || self.pages.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages().get(&item.id) {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(self.page(&item.id, place, item.len)?);
        let len = usize::try_from(item.len).unwrap_or(usize::MAX);
        let mut pages = pages();
        // Another reader may have been faster.
        if pages.get(&item.id).is_none() {
            pages.put(item.id, Arc::clone(&page), len, drop);
        }
        Ok(page)
    }
}
