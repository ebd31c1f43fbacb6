//! How a chunk's plaintext is coded (SPEC 6.6).
//!
//! Decoding never writes more than the plaintext length that the authenticated
//! directory states, and gives exactly that many bytes or an error.

use zstd::zstd_safe;

use crate::wire::LayoutError;

/// A way to code a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// The plaintext itself.
    Raw,
    /// One zstd frame (RFC 8878).
    Zstd,
    /// A coding that this version does not read: delta, or a later one.
    Unsupported(u8),
}

impl Coding {
    /// The number of the delta coding, whose records alone may have bases.
    pub(crate) const DELTA: u8 = 2;

    /// Reads the byte of SPEC 6.6.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Raw,
            1 => Self::Zstd,
            other => Self::Unsupported(other),
        }
    }

    /// The byte of SPEC 6.6.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Unsupported(byte) => byte,
        }
    }
}

/// Why coded bytes don't decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A newer release wrote the chunk.
    #[error("its coding, {0}, is not known to this release")]
    Unsupported(u8),
    /// Not the length that the directory states.
    #[error("it decodes to another length than the {stated} bytes that its directory states")]
    Length {
        /// Length in the directory, bytes.
        stated: usize,
    },
    /// Not one complete zstd frame.
    #[error("it is not one complete zstd frame")]
    Frame,
}

/// Decodes a chunk whose directory states `plain_len`, which the caller has
/// bounded by [`limits`](crate::limits).
pub fn decode(coding: Coding, coded: Vec<u8>, plain_len: usize) -> Result<Vec<u8>, DecodeError> {
    match coding {
        Coding::Raw if coded.len() == plain_len => Ok(coded),
        Coding::Raw => Err(DecodeError::Length { stated: plain_len }),
        Coding::Zstd => decode_frame(&coded, plain_len),
        Coding::Unsupported(byte) => Err(DecodeError::Unsupported(byte)),
    }
}

fn decode_frame(coded: &[u8], plain_len: usize) -> Result<Vec<u8>, DecodeError> {
    if zstd_safe::find_frame_compressed_size(coded) != Ok(coded.len()) {
        return Err(DecodeError::Frame);
    }
    match zstd_safe::get_frame_content_size(coded) {
        Ok(Some(len)) if len == plain_len as u64 => {}
        Ok(_) => return Err(DecodeError::Length { stated: plain_len }),
        Err(_) => return Err(DecodeError::Frame),
    }
    let plain = zstd::bulk::decompress(coded, plain_len).map_err(|_| DecodeError::Frame)?;
    if plain.len() == plain_len {
        Ok(plain)
    } else {
        Err(DecodeError::Length { stated: plain_len })
    }
}

/// A chunk's class (SPEC 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A part of a file's content.
    Data,
    /// Records of the entry list.
    Page,
    /// A list of chunks or nodes.
    Node,
}

impl Class {
    /// Reads the byte of SPEC 6.3.
    pub fn from_byte(byte: u8) -> Result<Self, LayoutError> {
        match byte {
            0 => Ok(Self::Data),
            1 => Ok(Self::Page),
            2 => Ok(Self::Node),
            found => Err(LayoutError::Unknown {
                field: "class of the chunk",
                found: found.into(),
            }),
        }
    }

    /// The byte of SPEC 6.3.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Page => 1,
            Self::Node => 2,
        }
    }
}
