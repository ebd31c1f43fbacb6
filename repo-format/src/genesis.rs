//! The body of entry 0: every public parameter and the first slot (SPEC 3.6).

use crate::ids::SealingKey;
use crate::slot::PassphraseSlot;
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "genesis";

/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u16 = 1;
const SUITE: u8 = 1;
const CHUNKER: u8 = 1;

/// How writers cut (SPEC 12). All sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkerParameters {
    /// No chunk but a stream's last is smaller.
    pub min: u32,
    /// The size aimed at, a power of two.
    pub average: u32,
    /// No chunk is larger.
    pub max: u32,
    /// How strongly sizes are drawn towards the average, 0 to 3.
    pub normalization: u8,
}

impl Default for ChunkerParameters {
    fn default() -> Self {
        Self {
            min: 131_072,
            average: 262_144,
            max: 1_048_576,
            normalization: 1,
        }
    }
}

impl ChunkerParameters {
    /// Checks the bounds of SPEC 3.6.
    pub fn check(&self) -> Result<(), LayoutError> {
        within(self.min.into(), 64, self.average.into(), "minimum chunk")?;
        within(self.average.into(), 256, self.max.into(), "average chunk")?;
        within(
            self.max.into(),
            256,
            crate::limits::CHUNK_BYTES_MAX as u64,
            "maximum chunk",
        )?;
        within(self.normalization.into(), 0, 3, "normalization level")?;
        let ascend = self.min < self.average && self.average < self.max;
        let even = self.min.is_multiple_of(2) && self.max.is_multiple_of(2);
        if ascend && even && self.average.is_power_of_two() {
            Ok(())
        } else {
            Err(LayoutError::NotCanonical {
                field: "chunk sizes",
            })
        }
    }
}

/// What begins a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// How writers cut.
    pub chunker: ChunkerParameters,
    /// The administrator's own sealing key.
    pub sealing_key: SealingKey,
    /// The bundle with every right, under the recovery passphrase.
    pub slot: PassphraseSlot,
}

impl Genesis {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.u16(FORMAT_VERSION).u8(SUITE).u8(CHUNKER);
        out.u32(self.chunker.min)
            .u32(self.chunker.average)
            .u32(self.chunker.max);
        out.u8(self.chunker.normalization)
            .bytes(&self.sealing_key.0)
            .bytes(&self.slot.encode());
        out.finish()
    }

    /// Reads the body. [`claimed_version`] tells a newer format from garbage.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        within(
            cursor.u16(FIELD)?.into(),
            FORMAT_VERSION.into(),
            FORMAT_VERSION.into(),
            "format version",
        )?;
        within(
            cursor.u8(FIELD)?.into(),
            SUITE.into(),
            SUITE.into(),
            "suite",
        )?;
        within(
            cursor.u8(FIELD)?.into(),
            CHUNKER.into(),
            CHUNKER.into(),
            "chunker",
        )?;
        let chunker = ChunkerParameters {
            min: cursor.u32(FIELD)?,
            average: cursor.u32(FIELD)?,
            max: cursor.u32(FIELD)?,
            normalization: cursor.u8(FIELD)?,
        };
        chunker.check()?;
        let sealing_key = SealingKey(cursor.array(FIELD)?);
        let slot = PassphraseSlot::decode(cursor.rest())?;
        Ok(Self {
            chunker,
            sealing_key,
            slot,
        })
    }
}

/// The format version that the object `log/0` states, if it has the frame of a
/// genesis entry, whatever its body and signature.
///
/// A claim: good for saying "a newer release wrote this", and nothing else.
pub fn claimed_version(object: &[u8]) -> Option<u16> {
    let body = object.get(162..)?;
    let frame = object.starts_with(b"INDLLOG1") && object[8..16] == [0; 8] && object[16] == 0;
    frame.then(|| Cursor::new(body).u16(FIELD).ok()).flatten()
}
