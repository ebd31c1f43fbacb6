//! How messages name objects, and what listings hold (SPEC 16.1, 16.3).

use super::{text, unknown};
use crate::ids::{PackId, RecordId};
use crate::limits::{LOG_BUNDLES_MAX, LOG_NUMBER_MAX, SERVED_PATH_BYTES_MAX};
use crate::wire::{Builder, Cursor, LayoutError, within};

/// An object, as a message names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// The copy of the first log entry.
    Repository,
    /// A log entry.
    Log(u64),
    /// A commit record.
    Record(RecordId),
    /// A pack.
    Pack(PackId),
    /// A bundle of log objects.
    Bundle(u64),
}

impl Object {
    pub(super) fn encode_to(&self, out: &mut Builder) {
        match self {
            Self::Repository => out.u8(0),
            Self::Log(number) => out.u8(1).u64(*number),
            Self::Record(id) => out.u8(2).bytes(&id.0),
            Self::Pack(id) => out.u8(3).bytes(&id.0),
            Self::Bundle(number) => out.u8(4).u64(*number),
        };
    }

    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        const FIELD: &str = "object";
        match cursor.u8(FIELD)? {
            0 => Ok(Self::Repository),
            1 => {
                let number = cursor.u64(FIELD)?;
                within(number, 0, LOG_NUMBER_MAX, "number of a log entry")?;
                Ok(Self::Log(number))
            }
            2 => Ok(Self::Record(RecordId(cursor.array(FIELD)?))),
            3 => Ok(Self::Pack(PackId(cursor.array(FIELD)?))),
            4 => {
                let number = cursor.u64(FIELD)?;
                within(number, 1, LOG_BUNDLES_MAX, "number of a log bundle")?;
                Ok(Self::Bundle(number))
            }
            found => Err(unknown("kind of an object", found)),
        }
    }
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The packs.
    Packs,
    /// The commit records.
    Records,
    /// The log.
    Log,
    /// The bundles of log objects.
    Bundles,
}

impl Area {
    pub(super) const ALL: [Self; 4] = [Self::Packs, Self::Records, Self::Log, Self::Bundles];
}

/// Something that a listing met. Listings ascend by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An object.
    Object(Object),
    /// What has a name that no object has: the name, or its beginning.
    Foreign(String),
}

impl Item {
    pub(super) fn encode_to(&self, out: &mut Builder) {
        match self {
            Self::Object(object) => object.encode_to(out.u8(1)),
            Self::Foreign(path) => drop(out.u8(2).text16(path.as_bytes())),
        }
    }

    /// The item whose tag was read.
    pub(super) fn take(tag: u8, cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        match tag {
            1 => Object::take(cursor).map(Self::Object),
            2 => {
                let path = text(cursor, SERVED_PATH_BYTES_MAX, "path of a listing")?;
                Ok(Self::Foreign(path.to_owned()))
            }
            found => Err(unknown("kind of an item", found)),
        }
    }
}
