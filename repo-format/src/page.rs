//! Pages: the records of a snapshot's entry list (SPEC 8.3).

use crate::ids::PackId;
use crate::limits::{NODE_ITEMS_MAX, PAGE_RECORDS_BYTES_MAX, SYMLINK_BYTES_MAX};
use crate::node::Root;
use crate::path::EntryPath;
use crate::places::{self, Place};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "page";

/// What a file system says of a file beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Modification time, whole seconds since 1970.
    pub mtime_s: i64,
    /// Modification time, the rest: 0 to 999,999,999 ns.
    pub mtime_ns: u32,
}

impl Metadata {
    fn encode_to(&self, out: &mut Builder) {
        out.u32(self.mode)
            .u32(self.uid)
            .u32(self.gid)
            .i64(self.mtime_s)
            .u32(self.mtime_ns);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let metadata = Self {
            mode: cursor.u32(FIELD)?,
            uid: cursor.u32(FIELD)?,
            gid: cursor.u32(FIELD)?,
            mtime_s: cursor.i64(FIELD)?,
            mtime_ns: cursor.u32(FIELD)?,
        };
        within(metadata.mode.into(), 0, 0o7777, "permission bits")?;
        within(metadata.mtime_ns.into(), 0, 999_999_999, "nanoseconds")?;
        Ok(metadata)
    }
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// There are none.
    Empty,
    /// In a stream of its own.
    Own(Root),
    /// In the small-file stream.
    Small {
        /// Where they begin there, bytes.
        offset: u64,
        /// How many they are.
        len: u64,
    },
}

impl Content {
    /// Size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Own(root) => root.len,
            Self::Small { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn encode_to(&self, out: &mut Builder) {
        out.u64(self.len());
        match self {
            Self::Empty => {
                out.u8(0);
            }
            Self::Own(root) => root.encode_to(out.u8(1)),
            Self::Small { offset, .. } => {
                out.u8(2).u64(*offset);
            }
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let len = cursor.u64(FIELD)?;
        let content = match cursor.u8(FIELD)? {
            0 => Self::Empty,
            1 => Self::Own(Root::decode(cursor)?),
            2 => {
                let offset = cursor.u64(FIELD)?;
                within(offset, 0, u64::MAX - len, "offset of a small file")?;
                within(len, 1, u64::MAX, "size of a small file")?;
                Self::Small { offset, len }
            }
            found => {
                return Err(LayoutError::Unknown {
                    field: "content of an entry",
                    found: found.into(),
                });
            }
        };
        if content.len() == len {
            Ok(content)
        } else {
            Err(LayoutError::NotCanonical {
                field: "size of an entry",
            })
        }
    }
}

/// What an entry of a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Mode, owner, time.
        metadata: Metadata,
        /// Its bytes.
        content: Content,
    },
    /// A directory.
    Directory {
        /// Mode, owner, time.
        metadata: Metadata,
    },
    /// A symbolic link, kept as one.
    Symlink {
        /// Mode, owner, time.
        metadata: Metadata,
        /// Where it points; any bytes but zero.
        target: Vec<u8>,
    },
    /// Standard input, or the output of a command.
    Stream {
        /// Its bytes.
        content: Content,
    },
}

/// One entry of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where it stands.
    pub path: EntryPath,
    /// What it is.
    pub kind: EntryKind,
}

impl TreeEntry {
    /// Its content, if its kind has one.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            EntryKind::File { content, .. } | EntryKind::Stream { content } => Some(content),
            EntryKind::Directory { .. } | EntryKind::Symlink { .. } => None,
        }
    }

    /// The root of a stream of its own, if it has one.
    pub fn own_root(&self) -> Option<Root> {
        match self.content() {
            Some(Content::Own(root)) => Some(*root),
            _ => None,
        }
    }

    /// Its metadata; a stream has none.
    pub fn metadata(&self) -> Option<&Metadata> {
        match &self.kind {
            EntryKind::File { metadata, .. }
            | EntryKind::Directory { metadata }
            | EntryKind::Symlink { metadata, .. } => Some(metadata),
            EntryKind::Stream { .. } => None,
        }
    }

    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.text16(self.path.as_bytes());
        match &self.kind {
            EntryKind::File { metadata, content } => {
                metadata.encode_to(out.u8(1));
                content.encode_to(&mut out);
            }
            EntryKind::Directory { metadata } => metadata.encode_to(out.u8(2)),
            EntryKind::Symlink { metadata, target } => {
                metadata.encode_to(out.u8(3));
                out.text16(target);
            }
            EntryKind::Stream { content } => content.encode_to(out.u8(4)),
        }
        out.finish()
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let path =
            EntryPath::new(cursor.text16(FIELD)?).map_err(|_| LayoutError::NotCanonical {
                field: "path of an entry",
            })?;
        let kind = match cursor.u8(FIELD)? {
            1 => EntryKind::File {
                metadata: Metadata::decode(cursor)?,
                content: Content::decode(cursor)?,
            },
            2 => EntryKind::Directory {
                metadata: Metadata::decode(cursor)?,
            },
            3 => {
                let metadata = Metadata::decode(cursor)?;
                let target = cursor.text16(FIELD)?.to_vec();
                within(
                    target.len() as u64,
                    1,
                    SYMLINK_BYTES_MAX as u64,
                    "target of a symbolic link",
                )?;
                if target.contains(&0) {
                    return Err(LayoutError::NotCanonical {
                        field: "target of a symbolic link",
                    });
                }
                EntryKind::Symlink { metadata, target }
            }
            4 => EntryKind::Stream {
                content: Content::decode(cursor)?,
            },
            found => {
                return Err(LayoutError::Unknown {
                    field: "kind of an entry",
                    found: found.into(),
                });
            }
        };
        Ok(Self { path, kind })
    }
}

/// Checks an entry against the one before it in the list (SPEC 8.3, 8.4). Within
/// a page that is done; from page to page it is for who reads the list.
///
/// What is below a path stands directly behind it, so the one before is the only
/// one that it can wrongly be below.
pub fn check_order(before: &TreeEntry, entry: &TreeEntry) -> Result<(), LayoutError> {
    if before.path >= entry.path {
        return Err(LayoutError::NotAscending {
            field: "paths of the page",
        });
    }
    let directory = matches!(before.kind, EntryKind::Directory { .. });
    if entry.path.is_within(&before.path) && !directory {
        return Err(LayoutError::NotCanonical {
            field: "path of an entry",
        });
    }
    Ok(())
}

/// A part of the entry list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries, ascending by path.
    pub entries: Vec<TreeEntry>,
    /// Where the root nodes of the entries that have one lie, most likely.
    pub places: Vec<Place>,
}

/// Encodes a page of already encoded records for the pack `own`.
pub fn encode(records: &[u8], places: &[Place], own: &PackId) -> Vec<u8> {
    let mut out = Builder::new();
    out.text32(records).bytes(&places::encode(places, own));
    out.finish()
}

impl Page {
    /// The record section of a page: its identity bytes.
    pub fn identity_of(plain: &[u8]) -> Result<&[u8], LayoutError> {
        Cursor::new(plain).text32(PAGE_RECORDS_BYTES_MAX, "records of the page")
    }

    /// Reads a page that lies in the pack `own`.
    pub fn decode(plain: &[u8], own: &PackId) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(plain);
        let mut records =
            Cursor::new(cursor.text32(PAGE_RECORDS_BYTES_MAX, "records of the page")?);
        within(
            records.remaining() as u64,
            1,
            u64::MAX,
            "records of the page",
        )?;
        let mut entries: Vec<TreeEntry> = Vec::new();
        while records.remaining() > 0 {
            let entry = TreeEntry::decode(&mut records)?;
            if let Some(last) = entries.last() {
                check_order(last, &entry)?;
            }
            entries.push(entry);
        }
        let roots = entries
            .iter()
            .filter(|entry| entry.own_root().is_some())
            .count();
        within(roots as u64, 0, NODE_ITEMS_MAX as u64, "streams of a page")?;
        let places = places::decode(cursor, roots, own)?;
        Ok(Self { entries, places })
    }

    /// The entries, each with the place of its root node if it has one.
    pub fn placed(&self) -> impl Iterator<Item = (&TreeEntry, Option<Place>)> {
        let mut places = self.places.iter().copied();
        self.entries
            .iter()
            .map(move |entry| (entry, entry.own_root().and_then(|_| places.next())))
    }
}
