//! From the coded bytes of a chunk, and of all that it leans on, to its plaintext.
//!
//! A chunk's bases are decoded one behind the other, each at most once for it, and
//! kept for its neighbours. Their ids are not looked at while what comes out in the
//! end has the right one; if it has not, they tell which of them is to blame.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use indelible_format::coding::Class;
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::places::Place;
use rayon::prelude::*;

use super::bases::Outcome;
use super::basis::{Graph, Held};
use super::batch::{Batch, Wanted};
use super::domain::{Coded, ReadPack};
use super::{ChunkFault, Reader};
use crate::store::ReadStore;

impl<S: ReadStore + ?Sized> Reader<'_, S> {
    /// Decodes and checks a chunk of a batch, into a buffer as long as the chunk.
    pub(super) fn decode_wanted(
        &self,
        batch: &Batch,
        stored: &[u8],
        at: usize,
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        self.with_bases(batch, stored, at, &mut |coded| {
            let node = &batch.graph.nodes[at];
            self.keys.decode(&node.pack, node.number(), coded, plain)
        })
    }

    /// Does something with what a chunk of a batch is decoded from.
    pub(super) fn with_bases<R>(
        &self,
        batch: &Batch,
        stored: &[u8],
        at: usize,
        decode: &mut dyn FnMut(Coded<'_>) -> Result<R, ChunkFault>,
    ) -> Result<R, ChunkFault> {
        if batch.graph.nodes[at].bases()?.is_empty() {
            let stored = &batch.coded(&*self.store, stored, at)?;
            return decode(Coded { stored, bases: &[] });
        }
        let mut held = batch.graph.held(at)?;
        let alone = held
            .is_heavy
            .then(|| self.heavy.lock().unwrap_or_else(PoisonError::into_inner));
        let decoded = self.unfold(batch, stored, &mut held, at, decode);
        drop(alone);
        decoded
    }

    fn unfold<R>(
        &self,
        batch: &Batch,
        stored: &[u8],
        held: &mut Held,
        at: usize,
        decode: &mut dyn FnMut(Coded<'_>) -> Result<R, ChunkFault>,
    ) -> Result<R, ChunkFault> {
        let bases = batch.graph.nodes[at].bases()?.iter().map(|&base| {
            let plain = self.base(batch, stored, held, base);
            plain.map_err(|fault| fault.below(batch.graph.nodes[base].place))
        });
        let bases: Vec<Arc<Vec<u8>>> = bases.collect::<Result<_, _>>()?;
        let bases: Vec<&[u8]> = bases.iter().map(|base| base.as_slice()).collect();
        let stored = &batch.coded(&*self.store, stored, at)?;
        decode(Coded {
            stored,
            bases: &bases,
        })
    }

    /// The plaintext of a chunk that is leaned on, for one use of it. Its id is not
    /// checked.
    fn base(&self, batch: &Batch, stored: &[u8], held: &mut Held, at: usize) -> Outcome {
        if let Some(plain) = held.take(at) {
            return Ok(plain);
        }
        let node = &batch.graph.nodes[at];
        let mut is_ours = false;
        let cell = self.bases.cell(node.place, node.len());
        let outcome = cell.get_or_init(|| {
            is_ours = true;
            self.unfold(batch, stored, held, at, &mut |coded| {
                let mut plain = self.bases.buffer(node.len());
                let keys = &self.keys;
                keys.decode_unnamed(&node.pack, node.number(), coded, &mut plain)?;
                Ok(Arc::new(plain))
            })
        });
        if !is_ours {
            batch.graph.release(held, at);
        }
        match outcome {
            Ok(plain) => held.keep(at, plain),
            Err(fault) if fault.is_unreachable() => self.bases.forget(&node.place),
            Err(_) => {}
        }
        outcome.clone()
    }

    /// The plaintext of a chunk of a batch, as one that others lean on, with its id
    /// checked.
    pub(super) fn named_base(&self, batch: &Batch, stored: &[u8], at: usize) -> Outcome {
        let mut held = batch.graph.held(at)?;
        let alone = held
            .is_heavy
            .then(|| self.heavy.lock().unwrap_or_else(PoisonError::into_inner));
        let plain = self.base(batch, stored, &mut held, at)?;
        drop(alone);
        self.keys.check_id(batch.graph.nodes[at].record(), &plain)?;
        Ok(plain)
    }

    /// A chunk from an open pack that lists it.
    pub(super) fn one(&self, place: Place, pack: &Arc<ReadPack>) -> Result<Vec<u8>, ChunkFault> {
        let mut batch = Batch::default();
        batch.add(0, place, pack, &|pack| self.pack(pack));
        let at = batch.wanted[0].node;
        let mut stored = self.stored.take();
        // What leans on nothing is read as it is decoded, and asked for once.
        if batch.graph.nodes.len() > 1 {
            batch.read(&*self.store, &self.bases, &mut stored);
        }
        let mut plain = vec![0; batch.graph.nodes[at].len()];
        let decoded = self.decode_wanted(&batch, &stored, at, &mut plain);
        let decoded = decoded.map_err(|fault| self.root_cause(&batch, &stored, at, fault));
        self.stored.give(stored);
        decoded.map(|()| plain)
    }

    /// Why a chunk could not be had: the deepest of its bases that has not the
    /// content that its own id says, if that may be why.
    pub(super) fn root_cause(
        &self,
        batch: &Batch,
        stored: &[u8],
        at: usize,
        fault: ChunkFault,
    ) -> ChunkFault {
        let own = match &fault {
            ChunkFault::Base { fault, .. } => fault,
            fault => fault,
        };
        if !matches!(own, ChunkFault::Decode(_) | ChunkFault::OtherId) {
            return fault;
        }
        let order = batch.graph.order(at);
        let below = order.iter().filter(|&&base| base != at);
        for &base in below {
            let place = batch.graph.nodes[base].place;
            if let Err(cause) = self.named_base(batch, stored, base) {
                return cause.below(place);
            }
        }
        fault
    }

    /// Data chunks of these ids as they stand at these places, for leaning on them.
    /// What can't be had there is not looked for elsewhere.
    pub fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>> {
        let pack = |at: usize| {
            let (id, place) = wanted.get(at)?;
            Some((*place, self.data_pack(id, *place)))
        };
        let found = self.each(pack, &|| true, |batch, stored, it| {
            self.named_base(batch, stored, it.node)
        });
        found.into_iter().map(Result::ok).collect()
    }

    /// The length that a directory states of a data chunk at a place, bytes, if that has
    /// this id.
    pub(crate) fn base_len(&self, (id, place): &(ChunkId, Place)) -> Option<usize> {
        let pack = self.data_pack(id, *place).ok()?;
        let record = pack.pack.directory.records.get(usize::from(place.number))?;
        usize::try_from(record.plain_len).ok()
    }

    /// Checks deltas at their places, each with whether others that are checked
    /// lean on it, and says `done` of each. Those that are read together are begun
    /// while there is `time`; behind them it ends.
    pub(crate) fn check_deltas(
        &self,
        wanted: &[(Place, bool)],
        time: &dyn Fn() -> bool,
        done: &(dyn Fn() + Sync),
    ) -> Vec<Result<(), ChunkFault>> {
        let pack = |at: usize| {
            let (place, _) = wanted.get(at)?;
            Some((*place, self.pack(&place.pack)))
        };
        self.each(pack, time, |batch, stored, it| {
            let checked = if wanted[it.at].1 {
                self.named_base(batch, stored, it.node).map(|_| ())
            } else {
                self.with_bases(batch, stored, it.node, &mut |coded| {
                    let node = &batch.graph.nodes[it.node];
                    self.keys.check(&node.pack, node.number(), coded)
                })
            };
            done();
            checked.map_err(|fault| self.root_cause(batch, stored, it.node, fault))
        })
    }

    /// Reads chunks batch by batch, with all that they lean on, and does something
    /// with each on all cores. The first `wanted` that is `None` is the end, and so is
    /// a batch for which there is no `time`.
    fn each<R: Send>(
        &self,
        wanted: impl Fn(usize) -> Option<(Place, Result<Arc<ReadPack>, ChunkFault>)>,
        time: &dyn Fn() -> bool,
        work: impl Fn(&Batch, &[u8], Wanted) -> Result<R, ChunkFault> + Sync,
    ) -> Vec<Result<R, ChunkFault>> {
        let mut found = Vec::new();
        let mut stored = self.stored.take();
        while time() {
            let mut batch = Batch::default();
            let mut outcomes = Vec::new();
            while let Some((place, pack)) = wanted(found.len() + outcomes.len()) {
                let at = found.len() + outcomes.len();
                outcomes.push(match pack {
                    Err(fault) => Some(Err(fault)),
                    Ok(pack) if batch.add(at, place, &pack, &|pack| self.pack(pack)) => None,
                    Ok(_) => break,
                });
            }
            if outcomes.is_empty() {
                break;
            }
            batch.read(&*self.store, &self.bases, &mut stored);
            let read = batch.wanted.par_iter().with_max_len(1);
            let read = read.map(|it| work(&batch, &stored, *it));
            let mut read = read.collect::<Vec<_>>().into_iter();
            let outcomes = outcomes.into_iter();
            found.extend(outcomes.filter_map(|outcome| outcome.or_else(|| read.next())));
        }
        self.stored.give(stored);
        found
    }

    /// The packs that a chunk at a place needs, ascending, as far as their directories
    /// say: its own, and those of all that it leans on.
    pub(crate) fn needs(&self, place: Place) -> BTreeSet<PackId> {
        let own = BTreeSet::from([place.pack]);
        let Ok(pack) = self.pack(&place.pack) else {
            return own;
        };
        let records = &pack.pack.directory.records;
        match records.get(usize::from(place.number)) {
            Some(record) if !record.bases.is_empty() => {
                let mut graph = Graph::default();
                let at = graph.add(place, &pack, &|pack| self.pack(pack));
                graph.packs_below(at)
            }
            _ => own,
        }
    }

    /// The pack that holds a data chunk at a place.
    fn data_pack(&self, id: &ChunkId, place: Place) -> Result<Arc<ReadPack>, ChunkFault> {
        let pack = self.pack(&place.pack)?;
        self.check_record(&pack, place.number, id, Class::Data)?;
        Ok(pack)
    }

    /// How often a chunk was decoded, for itself or because others lean on it.
    pub(crate) fn decodes(&self) -> u64 {
        self.keys.decodes()
    }

    /// A pack that no readable entry lists, if it opens.
    pub(crate) fn open_unlisted(&self, id: &PackId) -> Result<Arc<ReadPack>, ChunkFault> {
        self.pack(id)
    }

    /// The id that the directory states of what stands at a place.
    pub(crate) fn id_at(&self, place: Place) -> Option<ChunkId> {
        let pack = self.pack(&place.pack).ok()?;
        let record = pack.pack.directory.records.get(usize::from(place.number));
        record.map(|record| record.id)
    }

    /// How often a chunk was decoded because others lean on it.
    pub fn base_decodes(&self) -> u64 {
        self.bases.decoded()
    }
}
