//! Finds an entry by its path: the list is sorted, so few of its pages tell where.

use indelible_format::node::PlacedRoot;
use indelible_format::page::Page;
use indelible_format::path::EntryPath;

use super::walk::Entries;
use super::{ReadError, Reader};
use crate::store::ReadStore;

/// A page, and where its records lie in the list.
struct Spot {
    from: u64,
    to: u64,
    page: Result<Page, ReadError>,
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
            let page = spot.page.as_ref().ok();
            let ends = page.and_then(|page| page.entries.first().zip(page.entries.last()));
            let Some((front, back)) = ends else {
                // Nothing is known of it: all from `low` on is looked through.
                break;
            };
            if before(&back.path) {
                low = spot.to;
            } else if before(&front.path) {
                low = spot.from;
                break;
            } else {
                high = spot.from;
            }
        }
        self.list_from(list, low)
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
            page: self.page(&item.id, place, item.len),
        })
    }
}
