//! A claim that a verification was run, and how it ended (SPEC 3.10).

use crate::ids::LogHash;
use crate::wire::{Builder, Cursor, LayoutError};

const FIELD: &str = "attest body";

/// How deep a verification went. Each level includes the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The log, and packs' names against their bytes; needs no key.
    Packs,
    /// Every reachable node, and that what it names exists.
    Tree,
    /// Every stored chunk, decoded.
    Data,
    /// A restore into a real target.
    Drill,
}

/// A signer's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// How deep.
    pub level: Level,
    /// Whether nothing was wrong.
    pub sound: bool,
    /// Size of the log that was checked.
    pub size: u64,
    /// Root over it.
    pub root: LogHash,
    /// Packs checked.
    pub packs: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Problems found.
    pub problems: u64,
}

impl Attest {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let level = match self.level {
            Level::Packs => 1,
            Level::Tree => 2,
            Level::Data => 3,
            Level::Drill => 4,
        };
        let mut out = Builder::new();
        out.u8(level)
            .u8(u8::from(!self.sound))
            .u64(self.size)
            .bytes(&self.root.0);
        out.u64(self.packs).u64(self.bytes).u64(self.problems);
        out.finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        let level = match cursor.u8(FIELD)? {
            1 => Level::Packs,
            2 => Level::Tree,
            3 => Level::Data,
            4 => Level::Drill,
            found => {
                return Err(LayoutError::Unknown {
                    field: "attest level",
                    found: found.into(),
                });
            }
        };
        let sound = match cursor.u8(FIELD)? {
            0 => true,
            1 => false,
            found => {
                return Err(LayoutError::Unknown {
                    field: "attest outcome",
                    found: found.into(),
                });
            }
        };
        let attest = Self {
            level,
            sound,
            size: cursor.u64(FIELD)?,
            root: LogHash(cursor.array(FIELD)?),
            packs: cursor.u64(FIELD)?,
            bytes: cursor.u64(FIELD)?,
            problems: cursor.u64(FIELD)?,
        };
        cursor.finish(FIELD)?;
        if attest.sound != (attest.problems == 0) {
            return Err(LayoutError::NotCanonical {
                field: "attest outcome",
            });
        }
        Ok(attest)
    }
}
