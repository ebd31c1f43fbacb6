//! What decoding a chunk takes beside the chunk itself, kept from one to the next.
//!
//! Fresh memory for every chunk would be handed back to the system and cleared
//! again each time, which costs as much as hashing. So there are as many benches
//! as chunks were ever decoded at once, which is at most the number of threads.
//! They hold nothing that matters: each chunk is decoded as on a new one. Buffers
//! for what is read and decoded together are kept for the same reason.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_format::coding::Decoder;

/// A decoder and two buffers.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) decoder: Decoder,
    /// Room for decrypted bytes that are still coded.
    pub(super) coded: Vec<u8>,
    /// Room for a plaintext that nobody wants to keep.
    pub(super) plain: Vec<u8>,
}

/// Benches that are not in use.
#[derive(Default)]
pub(super) struct Benches(Mutex<Vec<Bench>>);

impl Benches {
    /// Works at a bench that nobody else works at.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Bench) -> R) -> R {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bench = free().pop().unwrap_or_default();
        let result = work(&mut bench);
        free().push(bench);
        result
    }
}

/// How many buffers are kept: as many as two stages of work pass to and fro.
const BUFFERS_MAX: usize = 3;

/// Large buffers that are not in use.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of any length and content.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        let mut free = self.free();
        if free.len() < BUFFERS_MAX {
            free.push(buffer);
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `len` bytes of a buffer, which grows if it is shorter.
pub(crate) fn at_least(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}
