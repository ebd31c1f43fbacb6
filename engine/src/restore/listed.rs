//! The entries of a snapshot, and what is missing between them.

use indelible_format::node::PlacedRoot;
use indelible_format::page::TreeEntry;
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use super::hole::{Hole, is_lasting};
use super::{RestoreError, unread};
use crate::read::{Entries, Reader};
use crate::store::ReadStore;

/// What stands next in the list.
pub(super) enum Found {
    /// An entry, with the place of its root if it has a stream of its own.
    Entry(TreeEntry, Option<Place>),
    /// A part that can't be read.
    Lost(Hole),
}

/// Goes through an entry list.
pub(super) struct Listed<'a, 'r, S: ReadStore + ?Sized> {
    entries: Entries<'a, 'r, S>,
    /// Whether to go on behind a part that can't be read.
    salvages: bool,
    last: Option<EntryPath>,
    lost: Option<Hole>,
    /// The entry behind a part that was just told.
    next: Option<(TreeEntry, Option<Place>)>,
}

impl<'a, 'r, S: ReadStore + ?Sized> Listed<'a, 'r, S> {
    pub(super) fn new(reader: &'a Reader<'r, S>, list: &PlacedRoot, salvages: bool) -> Self {
        Self {
            entries: reader.list(list),
            salvages,
            last: None,
            lost: None,
            next: None,
        }
    }

    /// Adds to the part that can't be read.
    fn lose(&mut self, len: u64, error: crate::read::ReadError) {
        if let Some(Hole::Entries { records_len, .. }) = &mut self.lost {
            *records_len = records_len.saturating_add(len);
        } else {
            self.lost = Some(Hole::Entries {
                after: self.last.clone(),
                before: None,
                records_len: len,
                cause: error,
            });
        }
    }
}

impl<S: ReadStore + ?Sized> Iterator for Listed<'_, '_, S> {
    type Item = Result<Found, RestoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((entry, place)) = self.next.take() {
            return Some(Ok(Found::Entry(entry, place)));
        }
        let next = loop {
            match self.entries.advance() {
                Ok(next) => break next,
                Err(lost) if self.salvages && is_lasting(&lost.error) => {
                    self.lose(lost.len, lost.error);
                }
                Err(lost) => return Some(Err(unread(lost.error))),
            }
        };
        if let Some((entry, _)) = &next {
            self.last = Some(entry.path.clone());
        }
        let Some(mut hole) = self.lost.take() else {
            return next.map(|(entry, place)| Ok(Found::Entry(entry, place)));
        };
        if let (Hole::Entries { before, .. }, Some((entry, _))) = (&mut hole, &next) {
            *before = Some(entry.path.clone());
        }
        self.next = next;
        Some(Ok(Found::Lost(hole)))
    }
}
