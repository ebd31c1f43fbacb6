//! Why a chunk, or what is made of chunks, can't be read.

use std::sync::Arc;

use indelible_format::coding::DecodeError;
use indelible_format::ids::ChunkId;
use indelible_format::places::Place;
use indelible_format::seal::OpenError;
use indelible_format::wire::LayoutError;

use crate::pack::PackError;
use crate::store::{ErrorClass, StoreError};

/// Why a place does not give the chunk that was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkFault {
    /// No entry of the domain lists the pack, and it is too long for one.
    #[error("no log entry lists its pack, and it is longer than a pack can be")]
    Unlisted,
    /// The pack's header or directory can't be had.
    #[error("the directory of its pack can't be read")]
    Pack(#[source] Arc<PackError>),
    /// The directory has another chunk there, or none.
    #[error("its pack has no such chunk there")]
    NotHere,
    /// The chunk's bytes can't be had.
    #[error("its bytes could not be read")]
    Store(#[source] Arc<StoreError>),
    /// The pack's key does not open.
    #[error("the key of its pack does not open")]
    Key(#[source] OpenError),
    /// The bytes were altered.
    #[error("its bytes were altered")]
    Altered,
    /// It does not decode.
    #[error("it does not decode")]
    Decode(#[source] DecodeError),
    /// What it decodes to has another id.
    #[error("its content has another id")]
    OtherId,
    /// It is a delta and breaks a rule of those (SPEC 6.6).
    #[error("what it says of its bases breaks a rule")]
    Basis(#[source] Box<BasisError>),
    /// One that it leans on, at any depth, can't be had.
    #[error("chunk {} of pack {}, which it leans on, can't be had", .place.number, .place.pack.short())]
    Base {
        /// Where that one lies.
        place: Box<Place>,
        /// Why. Never another [`Base`](Self::Base).
        #[source]
        fault: Box<ChunkFault>,
    },
}

/// Why a delta is refused before anything of it is decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BasisError {
    /// A base is not there.
    #[error("pack {} has no chunk {}, which is to be its base", .base.pack.short(), .base.number)]
    NoChunk {
        /// Where it should be.
        base: Place,
    },
    /// A base is a page, a node, or what a later version defines.
    #[error("its base, chunk {} of pack {}, is none of class data", .base.number, .base.pack.short())]
    NotData {
        /// The base.
        base: Place,
    },
    /// A base is as deep as what leans on it, or deeper.
    #[error("its base, chunk {} of pack {}, has depth {found}, and it itself {depth}", .base.number, .base.pack.short())]
    NotShallower {
        /// The base.
        base: Place,
        /// The base's depth.
        found: u8,
        /// That of the chunk which leans on it.
        depth: u8,
    },
    /// Its bases are too long.
    #[error("its bases have {size_bytes} bytes together")]
    TooLong {
        /// Length of their plaintexts together, bytes.
        size_bytes: u64,
    },
    /// Its bases at all depths are more than a reader decodes for one chunk.
    #[error("what it leans on at all depths is more than a reader holds for one chunk")]
    TooMuch,
}

impl ChunkFault {
    /// Whether an object is gone, rather than damaged.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Pack(error) => {
                matches!(&**error, PackError::Store(error) if error.is_not_found())
            }
            Self::Store(error) => error.is_not_found(),
            Self::Base { fault, .. } => fault.is_missing(),
            _ => false,
        }
    }

    /// Whether the store did not answer, so that nothing is known of the object.
    pub fn is_unreachable(&self) -> bool {
        let class = match self {
            Self::Pack(error) => match &**error {
                PackError::Store(error) => Some(error.class()),
                _ => None,
            },
            Self::Store(error) => Some(error.class()),
            Self::Base { fault, .. } => return fault.is_unreachable(),
            _ => None,
        };
        class == Some(ErrorClass::Unreachable)
    }

    /// That a delta breaks a rule.
    pub(super) fn basis(error: BasisError) -> Self {
        Self::Basis(Box::new(error))
    }

    /// The fault of what leans on the chunk at a place that has this one. It names
    /// the last in a chain, with which all of it is lost.
    pub(super) fn below(self, place: Place) -> Self {
        match self {
            Self::Base { .. } => self,
            fault => Self::Base {
                place: Box::new(place),
                fault: Box::new(fault),
            },
        }
    }
}

/// Why something of a snapshot can't be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A chunk has no readable place.
    #[error("chunk {} can't be read from pack {}", .id.short(), .place.pack.short())]
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// Where it should be.
        place: Place,
        /// What is wrong there.
        #[source]
        fault: ChunkFault,
    },
    /// A page or node is malformed, which its writer must have done.
    #[error("the tree is malformed at chunk {}", .id.short())]
    Layout {
        /// The page or node.
        id: ChunkId,
        /// How.
        #[source]
        error: LayoutError,
    },
    /// A page or node is not what the one above says.
    #[error("the tree contradicts itself at chunk {}", .id.short())]
    Shape {
        /// The page or node.
        id: ChunkId,
    },
    /// The key has not the right.
    #[error("the key may not read this: that takes the right {needed}")]
    NotAllowed {
        /// What it takes.
        needed: &'static str,
    },
    /// A slice reaches beyond its stream.
    #[error("a file's bytes lie beyond the end of their stream")]
    BeyondEnd,
}
