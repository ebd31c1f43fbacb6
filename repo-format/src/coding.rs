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
            Coding::Unsupported(byte) => Err(DecodeError::Unsupported(byte)),
        }
    }

    fn decode_frame(&mut self, coded: &[u8], plain: &mut [u8]) -> Result<(), DecodeError> {
        let stated = plain.len();
        if zstd_safe::find_frame_compressed_size(coded) != Ok(coded.len()) {
            return Err(DecodeError::Frame);
        }
        match zstd_safe::get_frame_content_size(coded) {
            Ok(Some(len)) if len == stated as u64 => {}
            Ok(_) => return Err(DecodeError::Length { stated }),
            Err(_) => return Err(DecodeError::Frame),
        }
        match self.frames.decompress(plain, coded) {
            Ok(len) if len == stated => Ok(()),
            Ok(_) => Err(DecodeError::Length { stated }),
            Err(_) => Err(DecodeError::Frame),
        }
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
