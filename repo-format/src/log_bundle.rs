//! Objects of the log, 256 in one: a cache, so that a long log is read in few
//! requests (SPEC 3.17).
//!
//! Why it is safe: a bundle says nothing by itself, and nobody signs it. It has the
//! bytes of objects, of which each has its leaf hash, and whoever uses it compares
//! those with what is known of the log from elsewhere.

use crate::history::History;
use crate::ids::RepositoryId;
use crate::limits::{LEAF_BYTES_MAX, LOG_BUNDLE_BYTES_MAX, LOG_BUNDLE_OBJECTS, LOG_BUNDLES_MAX};
use crate::merkle::leaf_hash;
use crate::wire::{Builder, Cursor, LayoutError, within};

const MAGIC: &[u8; 8] = b"INDLBNDL";

/// The log objects before an entry, as far as their leaves cover them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBundle<'a> {
    /// Of which repository.
    pub repository: RepositoryId,
    /// Which bundle: k, from 1 up, has the objects before entry 256 k.
    pub number: u64,
    /// For each of [`LOG_BUNDLE_OBJECTS`] numbers, the first [`LEAF_BYTES_MAX`]
    /// bytes of its object, if there is one.
    pub objects: Vec<Option<&'a [u8]>>,
}

impl<'a> LogBundle<'a> {
    /// The bundle that has a log object.
    pub const fn of(number: u64) -> u64 {
        number / LOG_BUNDLE_OBJECTS as u64 + 1
    }

    /// The number of the first object that a bundle has. Bundles count from 1.
    pub const fn first(number: u64) -> u64 {
        (number - 1) * LOG_BUNDLE_OBJECTS as u64
    }

    /// Its bytes.
    ///
    /// # Panics
    ///
    /// If it has another number of objects, or more bytes of one than a leaf covers.
    pub fn encode(&self) -> Vec<u8> {
        assert_eq!(self.objects.len(), LOG_BUNDLE_OBJECTS, "a bundle is whole");
        let mut out = Builder::new();
        out.bytes(MAGIC).bytes(&self.repository.0).u64(self.number);
        for object in &self.objects {
            let len = object.map_or(0, |bytes| bytes.len() + 1);
            assert!(len <= LEAF_BYTES_MAX + 1, "a leaf covers no more");
            out.count32(len);
        }
        for object in self.objects.iter().flatten() {
            out.bytes(object);
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) writes, and nothing else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, LayoutError> {
        const FIELD: &str = "log bundle";
        within(bytes.len() as u64, 0, LOG_BUNDLE_BYTES_MAX as u64, FIELD)?;
        let mut cursor = Cursor::new(bytes);
        cursor.magic(MAGIC, FIELD)?;
        let repository = RepositoryId(cursor.array(FIELD)?);
        let number = cursor.u64(FIELD)?;
        within(number, 1, LOG_BUNDLES_MAX, "number of a log bundle")?;
        let mut lengths = [0; LOG_BUNDLE_OBJECTS];
        for len in &mut lengths {
            *len = cursor.u32(FIELD)?;
            let most = LEAF_BYTES_MAX as u64 + 1;
            within((*len).into(), 0, most, "object of a log bundle")?;
        }
        let mut objects = Vec::with_capacity(LOG_BUNDLE_OBJECTS);
        for len in lengths {
            objects.push(match len.checked_sub(1) {
                Some(len) => Some(cursor.take(len as usize, FIELD)?),
                None => None,
            });
        }
        cursor.finish(FIELD)?;
        Ok(Self {
            repository,
            number,
            objects,
        })
    }

    /// Whether bytes are the bundle of this number, and [of a log](Self::is_of).
    pub fn is_right(bytes: &[u8], number: u64, history: &History) -> bool {
        LogBundle::decode(bytes).is_ok_and(|it| it.number == number && it.is_of(history))
    }

    /// Whether it is what a log has, and an entry of that log stands behind it: each
    /// object has the leaf of SPEC 3.4, or an empty string where there is none.
    pub fn is_of(&self, history: &History) -> bool {
        let first = Self::first(self.number);
        let newest = history.entries.keys().next_back();
        let is_settled = newest.is_some_and(|newest| Self::of(*newest) > self.number);
        let leaves = usize::try_from(first)
            .ok()
            .and_then(|first| history.leaves.get(first..first + LOG_BUNDLE_OBJECTS));
        let objects = self.objects.iter().copied();
        let found = objects.map(|object| leaf_hash(object.unwrap_or_default()));
        is_settled
            && self.repository == history.authority.repository()
            && leaves.is_some_and(|leaves| found.eq(leaves.iter().copied()))
    }
}
