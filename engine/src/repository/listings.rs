//! Which packs the log lists, and which entry lists each.

use std::collections::BTreeMap;
use std::collections::HashMap;

use indelible_format::commit::{CommitBody, NewPack, Reach};
use indelible_format::ids::{DomainId, PackId};

/// A pack as an entry lists it.
#[derive(Debug, Clone, Copy)]
pub struct ListedPack {
    /// The entry.
    pub entry: u64,
    /// Its place in the entry's list.
    pub place: u32,
    /// The entry's domain. A claim, until the pack's directory opens.
    pub domain: DomainId,
    /// Id, length and SHA-256.
    pub pack: NewPack,
}

/// The pack lists of the valid snapshot entries.
#[derive(Debug, Default)]
pub struct Listings {
    by_entry: BTreeMap<u64, Vec<PackId>>,
    by_pack: HashMap<(DomainId, PackId), ListedPack>,
}

impl Listings {
    /// Adds an entry's list.
    pub fn add(&mut self, entry: u64, domain: DomainId, body: &CommitBody) {
        self.by_entry
            .insert(entry, body.packs.iter().map(|pack| pack.id).collect());
        for (pack, place) in body.packs.iter().zip(0..) {
            let listed = ListedPack {
                entry,
                place,
                domain,
                pack: *pack,
            };
            // The first listing counts: it is the one that later entries reach.
            self.by_pack.entry((domain, pack.id)).or_insert(listed);
        }
    }

    /// How a domain's entries list a pack.
    pub fn get(&self, domain: &DomainId, pack: &PackId) -> Option<&ListedPack> {
        self.by_pack.get(&(*domain, *pack))
    }

    /// Whether the pack list of an entry is known.
    pub fn has_entry(&self, entry: u64) -> bool {
        self.by_entry.contains_key(&entry)
    }

    /// Every listed pack, once for each domain that lists it.
    pub fn packs(&self) -> impl Iterator<Item = &ListedPack> {
        self.by_pack.values()
    }

    /// The ids of the packs of earlier entries that a reach names, or the first
    /// range that names a pack which no readable entry lists.
    ///
    /// # Errors
    ///
    /// The number of the entry that does not list what the reach says.
    pub fn resolve(&self, reach: &Reach) -> Result<Vec<PackId>, u64> {
        let mut packs = Vec::new();
        for range in reach.ranges() {
            let list = self.by_entry.get(&range.entry).ok_or(range.entry)?;
            let first = usize::try_from(range.first).map_err(|_| range.entry)?;
            let count = usize::try_from(range.count).map_err(|_| range.entry)?;
            let end = first.checked_add(count).ok_or(range.entry)?;
            packs.extend(list.get(first..end).ok_or(range.entry)?);
        }
        Ok(packs)
    }
}
