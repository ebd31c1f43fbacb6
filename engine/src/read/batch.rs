//! Chunks that are read together, with all that they lean on: few requests, pack by
//! pack, into one buffer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_format::ids::PackId;
use indelible_format::places::Place;

use super::bases::Bases;
use super::basis::{Graph, Node, Packs};
use super::domain::{ReadPack, stored};
use super::{ChunkFault, at_least};
use crate::at_once;
use crate::store::{ObjectKey, ReadStore};

/// Chunks that lie closer than this are read in one request, gap included.
const GAP_BYTES: u64 = 256 << 10;
/// The most that one request asks for, bytes.
const REQUEST_BYTES: u64 = 8 << 20;
/// What is wanted of a batch together has at most so many bytes.
const AHEAD_BYTES: u64 = 16 << 20;
/// The most that a batch reads, gaps and bases included, bytes.
const READ_BYTES_MAX: u64 = 24 << 20;
/// Open packs that a batch holds take about so much at most, bytes.
const PACKS_BYTES: usize = 24 << 20;

/// A chunk that is wanted for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Whatever the one who wants it calls it.
    pub(super) at: usize,
    /// Its place in the graph.
    pub(super) node: usize,
}

/// Chunks that are read together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) graph: Graph,
    pub(super) wanted: Vec<Wanted>,
    /// How many nodes of the graph were counted.
    counted: usize,
    /// What is read of them, gaps included, bytes.
    bytes: u64,
    /// What their open packs take, bytes.
    packs_bytes: usize,
    /// Where each of them begins and ends.
    spans: BTreeMap<(PackId, u64), u64>,
}

impl Batch {
    /// Adds a chunk that an open pack lists, and what it leans on, unless the batch
    /// is full.
    pub(super) fn add(
        &mut self,
        at: usize,
        place: Place,
        pack: &Arc<ReadPack>,
        packs: &Packs<'_>,
    ) -> bool {
        let len = u64::from(pack.pack.spans[usize::from(place.number)].len);
        let full = self.bytes + len > AHEAD_BYTES || self.packs_bytes > PACKS_BYTES;
        if full && !self.wanted.is_empty() {
            return false;
        }
        let node = self.graph.add(place, pack, packs);
        self.wanted.push(Wanted { at, node });
        for at in self.counted..self.graph.nodes.len() {
            self.count(at);
        }
        self.counted = self.graph.nodes.len();
        true
    }

    /// Counts what a chunk adds to what is read and held.
    fn count(&mut self, at: usize) {
        let node = &self.graph.nodes[at];
        let (pack, span) = (node.place.pack, node.span());
        let end = span.offset + u64::from(span.len);
        let here = (pack, span.offset);
        let before = self.spans.range(..here).next_back();
        let before = before.filter(|((other, _), _)| *other == pack);
        let behind = self.spans.range(here..).next();
        let behind = behind.filter(|((other, _), _)| *other == pack);
        if before.is_none() && behind.is_none() {
            self.packs_bytes += node.pack.size_bytes();
        }
        if node.pack.stored(span).is_none() {
            let gap = |from: Option<u64>, to: Option<u64>| {
                let gap = to.zip(from).map(|(to, from)| to - from);
                gap.filter(|gap| *gap <= GAP_BYTES).unwrap_or(0)
            };
            let before = before.map(|(_, end)| *end);
            let behind = behind.map(|((_, from), _)| *from);
            self.bytes += gap(before, Some(span.offset)) + u64::from(span.len);
            self.bytes += gap(Some(end), behind);
            self.bytes -= gap(before, behind);
        }
        self.spans.insert(here, end);
    }

    /// Reads all of it but what is at hand. What can't be had shows when it is
    /// decoded.
    pub(super) fn read<S: ReadStore + ?Sized>(
        &mut self,
        store: &S,
        bases: &Bases,
        buffer: &mut Vec<u8>,
    ) {
        let mut needed = self.needed(bases);
        needed.sort_by_key(|&at| self.graph.nodes[at].place);
        let nodes = &mut self.graph.nodes;
        let mut groups = Group::cut(nodes, &needed);
        let mut filled = 0;
        groups.retain_mut(|group| {
            group.read_at = filled;
            let fits = (filled + group.len()) as u64 <= READ_BYTES_MAX;
            filled += if fits { group.len() } else { 0 };
            fits
        });
        read_groups(store, &mut groups, at_least(buffer, filled));
        for group in groups.iter().filter(|group| group.is_read) {
            for &at in &needed[group.needed.clone()] {
                let skip = nodes[at].span().offset - group.from;
                let skip = usize::try_from(skip).expect("within the request");
                nodes[at].read_at = Some(group.read_at + skip);
            }
        }
    }

    /// The chunks that are to be read: those that are wanted, and what they lean on
    /// down to what is decoded already.
    fn needed(&self, bases: &Bases) -> Vec<usize> {
        let nodes = &self.graph.nodes;
        let mut seen = vec![false; nodes.len()];
        let mut next: Vec<usize> = self.wanted.iter().map(|wanted| wanted.node).collect();
        let mut needed = Vec::with_capacity(nodes.len());
        while let Some(at) = next.pop() {
            let node = &nodes[at];
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let Ok(below) = node.bases() else { continue };
            let lacking = below.iter().filter(|at| !bases.has(&nodes[**at].place));
            next.extend(lacking);
            if node.pack.stored(node.span()).is_none() {
                needed.push(at);
            }
        }
        needed
    }

    /// The bytes that stand at a chunk's place.
    pub(super) fn coded<'b, S: ReadStore + ?Sized>(
        &'b self,
        store: &S,
        buffer: &'b [u8],
        at: usize,
    ) -> Result<Cow<'b, [u8]>, ChunkFault> {
        let node = &self.graph.nodes[at];
        let span = node.span();
        if let Some(whole) = node.pack.stored(span) {
            return Ok(Cow::Borrowed(whole));
        }
        if let Some(read_at) = node.read_at {
            return Ok(Cow::Borrowed(stored(&buffer[read_at..], span.offset, span)));
        }
        let key = ObjectKey::Pack(node.place.pack);
        let read = store.read_range(&key, span.offset, span.len.into());
        let read = read.map_err(|error| ChunkFault::Store(Arc::new(error)))?;
        Ok(Cow::Owned(read))
    }
}

/// Reads groups, one behind the other. A store whose answers take their way is asked for
/// several at once.
fn read_groups<S: ReadStore + ?Sized>(store: &S, groups: &mut [Group], mut buffer: &mut [u8]) {
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        let (part, rest) = std::mem::take(&mut buffer).split_at_mut(group.len());
        parts.push((group, part));
        buffer = rest;
    }
    let read = |(group, part): (&mut Group, &mut [u8])| {
        let key = ObjectKey::Pack(group.pack);
        group.is_read = store.read_into(&key, group.from, part).is_ok();
        ControlFlow::Continue(())
    };
    if store.capabilities().distant {
        at_once::visit(parts.into_iter(), read);
    } else {
        let _: ControlFlow<()> = parts.into_iter().try_for_each(read);
    }
}

/// Chunks of a pack that one request reads.
struct Group {
    pack: PackId,
    from: u64,
    len: u64,
    /// Which of those that are needed.
    needed: std::ops::Range<usize>,
    /// Where in the buffer it stands.
    read_at: usize,
    /// Whether it was read.
    is_read: bool,
}

impl Group {
    fn len(&self) -> usize {
        usize::try_from(self.len).expect("a request is at most 8 MiB")
    }

    /// Cuts chunks, sorted by place, into what one request reads each.
    fn cut(nodes: &[Node], needed: &[usize]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (index, &at) in needed.iter().enumerate() {
            let (pack, span) = (nodes[at].place.pack, nodes[at].span());
            let end = span.offset + u64::from(span.len);
            let joined = groups.last_mut().filter(|group| {
                let gap = span.offset.saturating_sub(group.from + group.len);
                group.pack == pack && gap <= GAP_BYTES && end - group.from <= REQUEST_BYTES
            });
            if let Some(group) = joined {
                group.len = group.len.max(end - group.from);
                group.needed.end = index + 1;
            } else {
                groups.push(Self {
                    pack,
                    from: span.offset,
                    len: span.len.into(),
                    needed: index..index + 1,
                    read_at: 0,
                    is_read: false,
                });
            }
        }
        groups
    }
}
