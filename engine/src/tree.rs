//! Builds the lists of a snapshot: nodes over a stream's chunks, and pages of
//! the entry list (SPEC 8).
//!
//! Lists end where their content says so, not where a count does, so an
//! unchanged stretch of a list gives the same nodes again, whatever was inserted
//! before it. This module decides shapes and knows neither packs nor places: a
//! node's id covers its items alone.

use indelible_format::coding::Class;
use indelible_format::ids::ChunkId;
use indelible_format::limits::NODE_ITEMS_MAX;
use indelible_format::node::{Item, Root, identity};
use indelible_format::pack::chunk_id;
use indelible_format::page::TreeEntry;
use indelible_format::secret::SecretKey;

/// A node ends behind an item whose id is a multiple of this...
const FAN_OUT: u32 = 128;
/// ...unless it would have fewer items.
const ITEMS_MIN: usize = 16;
/// A page ends behind an entry whose path's hash is a multiple of this.
const PAGE_ENTRIES: u32 = 128;
/// Or once its records have so many bytes.
const PAGE_BYTES: usize = 256 << 10;

/// A chunk of the tree, complete but for the places of what it lists.
#[derive(Debug, Clone)]
pub struct Bough {
    /// Its id.
    pub id: ChunkId,
    /// What it lists.
    pub shape: Shape,
}

/// What a chunk of the tree is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A node.
    Node {
        /// Its level.
        level: u8,
        /// What it lists.
        items: Vec<Item>,
    },
    /// A page.
    Page {
        /// Its encoded records.
        records: Vec<u8>,
        /// Ids of the root nodes of its streams, in order.
        roots: Vec<ChunkId>,
    },
}

impl Bough {
    fn node(key: &SecretKey, level: u8, items: Vec<Item>) -> Self {
        let id = chunk_id(key, Class::Node, &identity(level, &items));
        Self {
            id,
            shape: Shape::Node { level, items },
        }
    }

    fn page(key: &SecretKey, records: Vec<u8>, roots: Vec<ChunkId>) -> Self {
        let id = chunk_id(key, Class::Page, &records);
        Self {
            id,
            shape: Shape::Page { records, roots },
        }
    }

    /// Its class.
    pub fn class(&self) -> Class {
        match self.shape {
            Shape::Node { .. } => Class::Node,
            Shape::Page { .. } => Class::Page,
        }
    }

    /// The chunks whose places it states, in order.
    pub fn listed(&self) -> impl Iterator<Item = ChunkId> {
        let (items, roots): (&[Item], &[ChunkId]) = match &self.shape {
            Shape::Node { items, .. } => (items, &[]),
            Shape::Page { roots, .. } => (&[], roots),
        };
        items
            .iter()
            .map(|item| item.id)
            .chain(roots.iter().copied())
    }

    /// The most bytes that its encoding can take.
    pub fn size_bound_bytes(&self) -> usize {
        let (body, listed) = match &self.shape {
            Shape::Node { items, .. } => (3 + 40 * items.len(), items.len()),
            Shape::Page { records, roots } => (4 + records.len(), roots.len()),
        };
        // At worst each place names a pack of its own.
        body + 4 + (32 + 6) * listed
    }
}

/// Takes the finished chunks of a tree, children before parents.
pub trait Trunk {
    /// Why it can't.
    type Error;

    /// Takes one.
    ///
    /// # Errors
    ///
    /// What kept it from being stored.
    fn take(&mut self, bough: Bough) -> Result<(), Self::Error>;
}

/// Builds the nodes over one stream.
#[derive(Debug, Default)]
pub struct ListBuilder {
    levels: Vec<Level>,
    len: u64,
}

#[derive(Debug, Default)]
struct Level {
    items: Vec<Item>,
    nodes: u64,
}

impl ListBuilder {
    /// A list of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a chunk of the stream.
    ///
    /// # Errors
    ///
    /// Those of the trunk.
    pub fn push<T: Trunk>(
        &mut self,
        item: Item,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<(), T::Error> {
        self.len += item.len;
        self.push_at(0, item, key, trunk)
    }

    fn push_at<T: Trunk>(
        &mut self,
        level: usize,
        item: Item,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<(), T::Error> {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let items = &mut self.levels[level].items;
        items.push(item);
        let ends = leading(&item.id).is_multiple_of(FAN_OUT) && items.len() >= ITEMS_MIN;
        if ends || items.len() == NODE_ITEMS_MAX {
            self.close(level, key, trunk)
        } else {
            Ok(())
        }
    }

    /// Makes a node of what has gathered at a level.
    fn close<T: Trunk>(
        &mut self,
        level: usize,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<(), T::Error> {
        let items = std::mem::take(&mut self.levels[level].items);
        let len = items.iter().map(|item| item.len).sum();
        // Sixteen items a node, at least, and 2^64 bytes: far below level 8.
        let bough = Bough::node(key, u8::try_from(level).expect("a tree is shallow"), items);
        let id = bough.id;
        trunk.take(bough)?;
        self.levels[level].nodes += 1;
        self.push_at(level + 1, Item { id, len }, key, trunk)
    }

    /// Ends the stream, and gives its root; `None` if it has no bytes.
    ///
    /// # Errors
    ///
    /// Those of the trunk.
    pub fn finish<T: Trunk>(
        mut self,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<Option<Root>, T::Error> {
        let mut level = 0;
        while level < self.levels.len() {
            // One item that stands for the only node below is the root itself.
            let above_one = level > 0 && self.levels[level - 1].nodes == 1;
            if above_one && self.levels[level].nodes == 0 {
                let id = self.levels[level].items[0].id;
                let root_level = u8::try_from(level - 1).expect("a tree is shallow");
                return Ok(Some(Root {
                    len: self.len,
                    level: root_level,
                    id,
                }));
            }
            if !self.levels[level].items.is_empty() {
                self.close(level, key, trunk)?;
            }
            level += 1;
        }
        Ok(None)
    }
}

fn leading(id: &ChunkId) -> u32 {
    u32::from_le_bytes([id.0[0], id.0[1], id.0[2], id.0[3]])
}

/// Builds the entry list.
#[derive(Debug, Default)]
pub struct Pager {
    records: Vec<u8>,
    roots: Vec<ChunkId>,
    list: ListBuilder,
}

impl Pager {
    /// A list of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry. Its path ranks above all before it.
    ///
    /// # Errors
    ///
    /// Those of the trunk.
    pub fn push<T: Trunk>(
        &mut self,
        entry: &TreeEntry,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<(), T::Error> {
        self.records.extend_from_slice(&entry.encode());
        self.roots.extend(entry.own_root().map(|root| root.id));
        // By the path and not the whole record, so that a file that changes
        // does not move the ends of pages.
        let mut hash = blake3::Hasher::new_keyed(key.expose());
        hash.update(entry.path.as_bytes());
        let hash = ChunkId(*hash.finalize().as_bytes());
        let full = self.records.len() >= PAGE_BYTES || self.roots.len() == NODE_ITEMS_MAX;
        if full || leading(&hash).is_multiple_of(PAGE_ENTRIES) {
            self.close(key, trunk)
        } else {
            Ok(())
        }
    }

    fn close<T: Trunk>(&mut self, key: &SecretKey, trunk: &mut T) -> Result<(), T::Error> {
        let bough = Bough::page(
            key,
            std::mem::take(&mut self.records),
            std::mem::take(&mut self.roots),
        );
        let Shape::Page { records, .. } = &bough.shape else {
            unreachable!("a page was just made")
        };
        let item = Item {
            id: bough.id,
            len: records.len() as u64,
        };
        trunk.take(bough)?;
        self.list.push(item, key, trunk)
    }

    /// Ends the list, and gives its root; `None` if it has no entries.
    ///
    /// # Errors
    ///
    /// Those of the trunk.
    pub fn finish<T: Trunk>(
        mut self,
        key: &SecretKey,
        trunk: &mut T,
    ) -> Result<Option<Root>, T::Error> {
        if !self.records.is_empty() {
            self.close(key, trunk)?;
        }
        self.list.finish(key, trunk)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Keeps every node.
    #[derive(Default)]
    struct Kept(Vec<Bough>);

    impl Trunk for Kept {
        type Error = Infallible;

        fn take(&mut self, bough: Bough) -> Result<(), Infallible> {
            self.0.push(bough);
            Ok(())
        }
    }

    fn build(chunks: impl IntoIterator<Item = u32>) -> (Option<Root>, Vec<Bough>) {
        let key = SecretKey::new([1; 32]);
        let mut kept = Kept::default();
        let mut list = ListBuilder::new();
        for chunk in chunks {
            let id = chunk_id(&key, Class::Data, &chunk.to_le_bytes());
            list.push(Item { id, len: 10 }, &key, &mut kept).unwrap();
        }
        let root = list.finish(&key, &mut kept).unwrap();
        (root, kept.0)
    }

    fn nodes_of(boughs: &[Bough]) -> impl Iterator<Item = (ChunkId, u8, &[Item])> {
        boughs.iter().map(|bough| match &bough.shape {
            Shape::Node { level, items } => (bough.id, *level, items.as_slice()),
            Shape::Page { .. } => unreachable!("only nodes were built"),
        })
    }

    /// A tree of any size lists every chunk once and in order, and its root is
    /// the last node made.
    ///
    /// Method: build sizes around every boundary, and flatten them again.
    #[test]
    fn trees_list_everything_in_order() {
        assert_eq!(build([]).0, None);
        for count in [1, 2, 15, 16, 17, 127, 1_000, 1_024, 5_000, 100_000] {
            let (root, boughs) = build(0..count);
            let root = root.unwrap();
            assert_eq!(root.len, u64::from(count) * 10);
            let (last, level, items) = nodes_of(&boughs).last().unwrap();
            assert_eq!((root.id, root.level), (last, level), "{count}");
            assert!(
                level == 0 || items.len() > 1,
                "{count}: a root with one child"
            );
            let leaves: usize = nodes_of(&boughs)
                .filter(|(_, level, _)| *level == 0)
                .map(|(_, _, items)| items.len())
                .sum();
            assert_eq!(leaves, count as usize);
            let key = SecretKey::new([1; 32]);
            let listed = nodes_of(&boughs)
                .filter(|(_, level, _)| *level == 0)
                .flat_map(|(_, _, items)| items);
            for (item, chunk) in listed.zip(0_u32..) {
                assert_eq!(item.id, chunk_id(&key, Class::Data, &chunk.to_le_bytes()));
            }
        }
    }

    /// A change costs the nodes above it, and few beside them.
    ///
    /// Method: replace one chunk of 100,000, insert one, and count new nodes.
    #[test]
    fn a_change_costs_few_nodes() {
        let (_, before) = build(0..100_000);
        let known: std::collections::HashSet<ChunkId> =
            before.iter().map(|bough| bough.id).collect();
        let replaced = (0..100_000).map(|n| if n == 50_000 { 1 << 30 } else { n });
        let inserted = (0..50_000).chain([1 << 30]).chain(50_000..100_000);
        for chunks in [replaced.collect::<Vec<u32>>(), inserted.collect()] {
            let (_, after) = build(chunks);
            let new = after
                .iter()
                .filter(|bough| !known.contains(&bough.id))
                .count();
            assert!(new <= 8, "{new} new nodes of {}", after.len());
        }
    }
}
