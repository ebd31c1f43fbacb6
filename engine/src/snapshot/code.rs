//! Codes new chunks on all cores: as deltas where they have something to lean on and
//! that is worth it, and else by themselves.
//!
//! What comes out depends on the chunks alone, not on how many threads there are.

use std::sync::{Mutex, PoisonError};

use indelible_format::coding::{Class, Coding};
use indelible_format::ids::PackId;
use rayon::prelude::*;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use super::cutter::Cut;
use super::lean::Leaned;
use crate::pack::{Basis, CodedChunk, code};

/// Level of zstd for deltas: what a delta has that its bases have not is little.
const DELTA_LEVEL: i32 = 1;
/// A delta counts as good, so that nobody asks what the chunk would take by itself,
/// if it is this many times shorter than chunks lately were by themselves.
const GOOD: u64 = 8;
/// Chunks that get so many times shorter by themselves are of rows that are much alike.
const REPETITIVE: u64 = 32;
/// A delta that is not good is taken if it saves at least one part of so many.
const SAVING: usize = 8;

/// A new chunk of a buffer, with what it can lean on.
pub(super) struct NewChunk<'c> {
    pub(super) cut: &'c Cut,
    pub(super) leaned: Option<Leaned>,
}

/// A coded chunk, and the packs that decoding it takes.
pub(super) struct Coded {
    pub(super) chunk: CodedChunk,
    pub(super) leans_on: Vec<PackId>,
}

/// Codes the chunks of a run.
pub(super) struct Coder {
    compressors: Compressors,
    /// Bytes of chunks that were coded by themselves lately, and what they took.
    alone: (u64, u64),
}

impl Coder {
    pub(super) fn new(level: i32) -> Self {
        let range = zstd::compression_level_range();
        Self {
            compressors: Compressors {
                idle: Mutex::default(),
                level: level.clamp(*range.start(), *range.end()),
            },
            alone: (0, 0),
        }
    }

    /// Codes the new chunks that stand in `bytes`, in their order.
    pub(super) fn code(&mut self, chunks: &[NewChunk<'_>], bytes: &[u8]) -> Vec<Coded> {
        let alone = self.alone;
        // One delta of each batch is compared with what its chunk takes by itself, so
        // that it is known what a good one is.
        let sample = chunks.iter().position(|chunk| chunk.leaned.is_some());
        let good = |at: usize, len: usize, delta: usize| {
            let (plain, coded) = alone;
            sample != Some(at)
                && plain > 0
                && u128::from(plain) * (delta as u128) * u128::from(GOOD)
                    <= u128::from(coded) * (len as u128)
        };
        let repetitive = u128::from(alone.1) * u128::from(REPETITIVE) < u128::from(alone.0);
        let coded = chunks
            .par_iter()
            .enumerate()
            .map_init(CCtx::create, |context, (at, chunk)| {
                let plain = &bytes[chunk.cut.at.clone()];
                let leaned = chunk.leaned.as_ref();
                let delta = leaned.map(|leaned| match &leaned.plains[..] {
                    [one] => delta(context, one, plain, repetitive),
                    // A context refers to its prefix for as long as it lives, and this
                    // one goes at once: all of a buffer's would be much memory.
                    several => {
                        let several: Vec<&[u8]> = several.iter().map(|one| &one[..]).collect();
                        let prefix = several.concat();
                        delta(&mut CCtx::create(), &prefix, plain, repetitive)
                    }
                });
                match delta {
                    Some(delta) if good(at, plain.len(), delta.len()) => {
                        (Coding::Delta, delta, None)
                    }
                    delta => {
                        let (coding, alone) = self.compressors.code(plain);
                        let took = Some(alone.len());
                        let most = alone.len() - alone.len() / SAVING;
                        match delta.filter(|delta| delta.len() < most) {
                            Some(delta) => (Coding::Delta, delta, took),
                            None => (coding, alone, took),
                        }
                    }
                }
            });
        let coded: Vec<_> = coded.collect();
        let took = chunks.iter().zip(&coded);
        let took = took.filter_map(|(chunk, (_, _, took))| Some((chunk.cut.at.len(), (*took)?)));
        self.note(took.collect());
        chunks.iter().zip(coded).map(finished).collect()
    }

    /// Remembers what chunks took by themselves, the last batch most.
    fn note(&mut self, took: Vec<(usize, usize)>) {
        if took.is_empty() {
            return;
        }
        self.alone = (self.alone.0 / 2, self.alone.1 / 2);
        for (plain, coded) in took {
            self.alone.0 += plain as u64;
            self.alone.1 += coded as u64;
        }
    }
}

fn finished(
    (chunk, (coding, coded, _)): (&NewChunk<'_>, (Coding, Vec<u8>, Option<usize>)),
) -> Coded {
    let leaned = chunk.leaned.as_ref().filter(|_| coding == Coding::Delta);
    Coded {
        chunk: CodedChunk {
            id: chunk.cut.id,
            class: Class::Data,
            coding,
            plain_len: chunk.cut.at.len(),
            coded,
            basis: leaned.map_or_else(Basis::default, |leaned| leaned.basis.clone()),
        },
        leans_on: leaned.map_or_else(Vec::new, |leaned| leaned.packs.clone()),
    }
}

/// Codes a plaintext as what continues a prefix (SPEC 6.6).
///
/// The window spans both, and the table has a place for half of their positions: with
/// fewer, the prefix is forgotten before it is met again. Among rows that are much
/// alike, the nearest match is one of a like row; long ones lead to the same.
fn delta<'p>(context: &mut CCtx<'p>, prefix: &'p [u8], plain: &[u8], repetitive: bool) -> Vec<u8> {
    let both = prefix.len() + plain.len();
    let window = (usize::BITS - both.leading_zeros()).max(10);
    let parameters = [
        CParameter::CompressionLevel(DELTA_LEVEL),
        CParameter::WindowLog(window),
        CParameter::HashLog(window - 1),
        CParameter::EnableLongDistanceMatching(repetitive),
    ];
    for parameter in parameters {
        context
            .set_parameter(parameter)
            .expect("the parameters are within zstd's bounds");
    }
    context
        .ref_prefix(prefix)
        .expect("no frame is being written");
    let mut coded = Vec::with_capacity(compress_bound(plain.len()));
    context
        .compress2(&mut coded, plain)
        .expect("zstd is given a buffer of its own bound");
    coded.shrink_to_fit();
    coded
}

/// Compressors that are not in use: each holds tables of a megabyte and more that
/// are not to be made anew for every batch.
struct Compressors {
    idle: Mutex<Vec<zstd::bulk::Compressor<'static>>>,
    level: i32,
}

impl Compressors {
    fn code(&self, plain: &[u8]) -> (Coding, Vec<u8>) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let compressor = idle().pop();
        let mut compressor = compressor.unwrap_or_else(|| {
            zstd::bulk::Compressor::new(self.level).expect("the level is one of zstd's")
        });
        let coded = code(&mut compressor, plain);
        idle().push(compressor);
        coded
    }
}
