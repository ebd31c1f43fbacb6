//! Nodes: lists of chunks, and of nodes, that make a stream of any length
//! (SPEC 8.1, 8.2).

use crate::ids::{ChunkId, PackId};
use crate::limits::{CHUNK_BYTES_MAX, NODE_ITEMS_MAX, NODE_LEVEL_MAX, PACK_CHUNKS_MAX};
use crate::places::{self, Place};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "node";

/// One chunk or node in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: ChunkId,
    /// How many bytes of the stream lie below it.
    pub len: u64,
}

/// A list of chunks (level 0) or of nodes of the level below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// 0 lists chunks, l lists nodes of level l-1.
    pub level: u8,
    /// What it lists, in the order of the stream.
    pub items: Vec<Item>,
    /// Where each item lies, most likely.
    pub places: Vec<Place>,
}

/// The bytes that a node's id covers: its items without their places.
pub fn identity(level: u8, items: &[Item]) -> Vec<u8> {
    let mut out = Builder::new();
    out.u8(level).count16(items.len());
    for item in items {
        out.bytes(&item.id.0).u64(item.len);
    }
    out.finish()
}

impl Node {
    /// Bytes of the stream below the node.
    pub fn len(&self) -> u64 {
        // Decoding checked that the sum fits.
        self.items.iter().map(|item| item.len).sum()
    }

    /// Whether the node lists nothing, which no decoded node does.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The node's bytes, for the pack `own`.
    pub fn encode(&self, own: &PackId) -> Vec<u8> {
        let mut out = identity(self.level, &self.items);
        out.extend_from_slice(&places::encode(&self.places, own));
        out
    }

    /// How many of `plain`'s first bytes are the identity bytes.
    pub fn identity_of(plain: &[u8]) -> Result<&[u8], LayoutError> {
        let mut cursor = Cursor::new(plain);
        let _level = cursor.u8(FIELD)?;
        let count = cursor.count16(1, NODE_ITEMS_MAX, "items of the node")?;
        Cursor::new(plain).take(3 + 40 * count, FIELD)
    }

    /// Reads a node that lies in the pack `own`.
    pub fn decode(plain: &[u8], own: &PackId) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(plain);
        let level = cursor.u8(FIELD)?;
        within(level.into(), 0, NODE_LEVEL_MAX.into(), "level of the node")?;
        let count = cursor.count16(1, NODE_ITEMS_MAX, "items of the node")?;
        let longest = if level == 0 {
            CHUNK_BYTES_MAX as u64
        } else {
            u64::MAX
        };
        let mut items = Vec::with_capacity(count.min(cursor.remaining() / 40));
        let mut total = 0_u64;
        for _ in 0..count {
            let item = Item {
                id: ChunkId(cursor.array(FIELD)?),
                len: cursor.u64(FIELD)?,
            };
            within(item.len, 1, longest, "length of an item")?;
            total = total
                .checked_add(item.len)
                .ok_or(LayoutError::NotCanonical {
                    field: "length of the node",
                })?;
            items.push(item);
        }
        let places = places::decode(cursor, count, own)?;
        Ok(Self {
            level,
            items,
            places,
        })
    }
}

/// The top of a stream, without its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// Length of the stream, bytes; at least 1.
    pub len: u64,
    /// Level of the root node.
    pub level: u8,
    /// Id of the root node.
    pub id: ChunkId,
}

impl Root {
    /// Appends the 41 bytes of SPEC 8.1.
    pub(crate) fn encode_to(&self, out: &mut Builder) {
        out.u64(self.len).u8(self.level).bytes(&self.id.0);
    }

    /// Reads them.
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let field = "root of a stream";
        let root = Self {
            len: cursor.u64(field)?,
            level: cursor.u8(field)?,
            id: ChunkId(cursor.array(field)?),
        };
        within(root.len, 1, u64::MAX, "length of a stream")?;
        within(
            root.level.into(),
            0,
            NODE_LEVEL_MAX.into(),
            "level of a root",
        )?;
        Ok(root)
    }
}

/// The top of a stream, with its place: as it stands in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedRoot {
    /// The root.
    pub root: Root,
    /// Where its node lies, most likely.
    pub place: Place,
}

impl PlacedRoot {
    /// Appends the 75 bytes of SPEC 8.1.
    pub(crate) fn encode_to(&self, out: &mut Builder) {
        self.root.encode_to(out);
        out.bytes(&self.place.pack.0).u16(self.place.number);
    }

    /// Reads them.
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let field = "place of a root";
        let root = Root::decode(cursor)?;
        let place = Place {
            pack: PackId(cursor.array(field)?),
            number: cursor.u16(field)?,
        };
        within(place.number.into(), 0, PACK_CHUNKS_MAX as u64 - 1, field)?;
        Ok(Self { root, place })
    }
}
