//! How a chunk's plaintext is coded (SPEC 6.6).
//!
//! Decoding never writes more than the plaintext length that the authenticated
//! directory states, and gives exactly that many bytes or an error.

use std::borrow::Cow;

use zstd::zstd_safe;

use crate::limits::{DELTA_BASES_BYTES_MAX, DELTA_BASES_MAX};
use crate::wire::LayoutError;

/// A way to code a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// The plaintext itself.
    Raw,
    /// One zstd frame (RFC 8878).
    Zstd,
    /// One zstd frame with the plaintexts of other chunks, the bases, as its prefix.
    Delta,
    /// A coding that this version does not read.
    Unsupported(u8),
}

impl Coding {
    /// Reads the byte of SPEC 6.6.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Raw,
            1 => Self::Zstd,
            2 => Self::Delta,
            other => Self::Unsupported(other),
        }
    }

    /// The byte of SPEC 6.6.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Delta => 2,
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
    /// A delta whose bases are not at hand.
    #[error("it is a delta, and its bases are not at hand")]
    NoBases,
    /// A delta whose bases are too many, or too long together.
    #[error("its {count} bases have {size_bytes} bytes together, more than a delta may lean on")]
    Bases {
        /// How many they are.
        count: usize,
        /// Length of their plaintexts together, bytes.
        size_bytes: usize,
    },
}

/// Decodes chunks one after the other, in working memory that it keeps.
pub struct Decoder {
    frames: zstd_safe::DCtx<'static>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            frames: zstd_safe::DCtx::create(),
        }
    }
}

impl Decoder {
    /// Decodes a chunk into a buffer of the length that its directory states.
    ///
    /// After an error nothing is said of what the buffer holds.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]. No chunk has an effect on how the next one is decoded.
    pub fn decode(
        &mut self,
        coding: Coding,
        coded: &[u8],
        plain: &mut [u8],
    ) -> Result<(), DecodeError> {
        match coding {
            Coding::Raw if coded.len() == plain.len() => {
                plain.copy_from_slice(coded);
                Ok(())
            }
            Coding::Raw => Err(DecodeError::Length {
                stated: plain.len(),
            }),
            Coding::Zstd => self.decode_frame(coded, plain),
            Coding::Delta => Err(DecodeError::NoBases),
            Coding::Unsupported(byte) => Err(DecodeError::Unsupported(byte)),
        }
    }

    fn decode_frame(&mut self, coded: &[u8], plain: &mut [u8]) -> Result<(), DecodeError> {
        check_frame(coded, plain.len())?;
        let decoded = self.frames.decompress(plain, coded);
        check_len(decoded, plain.len())
    }
}

/// Decodes a delta chunk into a buffer of the length that its directory states, from
/// the plaintexts of its bases, in their order. Whether those were the right ones,
/// the id of what comes out says.
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode_delta(coded: &[u8], bases: &[&[u8]], plain: &mut [u8]) -> Result<(), DecodeError> {
    let size_bytes = bases.iter().map(|base| base.len()).sum();
    let prefix = match bases {
        [] => return Err(DecodeError::NoBases),
        _ if bases.len() > DELTA_BASES_MAX || size_bytes > DELTA_BASES_BYTES_MAX => {
            return Err(DecodeError::Bases {
                count: bases.len(),
                size_bytes,
            });
        }
        [base] => Cow::Borrowed(*base),
        _ => Cow::Owned(bases.concat()),
    };
    check_frame(coded, plain.len())?;
    // A context refers to its prefix for as long as it lives.
    let mut frames = zstd_safe::DCtx::create();
    let decoded = frames.ref_prefix(&prefix);
    let decoded = decoded.and_then(|_| frames.decompress(plain, coded));
    check_len(decoded, plain.len())
}

/// Whether bytes are one frame, and state this length of what is in it.
fn check_frame(coded: &[u8], stated: usize) -> Result<(), DecodeError> {
    if zstd_safe::find_frame_compressed_size(coded) != Ok(coded.len()) {
        return Err(DecodeError::Frame);
    }
    match zstd_safe::get_frame_content_size(coded) {
        Ok(Some(len)) if len == stated as u64 => Ok(()),
        Ok(_) => Err(DecodeError::Length { stated }),
        Err(_) => Err(DecodeError::Frame),
    }
}

fn check_len(decoded: zstd_safe::SafeResult, stated: usize) -> Result<(), DecodeError> {
    match decoded {
        Ok(len) if len == stated => Ok(()),
        Ok(_) => Err(DecodeError::Length { stated }),
        Err(_) => Err(DecodeError::Frame),
    }
}

/// Decodes one chunk whose directory states `plain_len`, which the caller has
/// bounded by [`limits`](crate::limits).
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode(coding: Coding, coded: Vec<u8>, plain_len: usize) -> Result<Vec<u8>, DecodeError> {
    if coding == Coding::Raw && coded.len() == plain_len {
        return Ok(coded);
    }
    let mut plain = vec![0; plain_len];
    Decoder::default().decode(coding, &coded, &mut plain)?;
    Ok(plain)
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
