//! What a simulated disk may look like after the power was cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SimulatedFiles;
use super::disk::{Disk, Durability, Extent, Name, Node};
use crate::env::{Entropy as _, SeededEntropy};

/// A page of a file, and a sector of a disk: what is written as one, in bytes.
const TORN_AT_BYTES: [usize; 2] = [4_096, 512];

/// What stands in a block of a disk that was given to a file and not written:
/// something that another file left there.
const STALE: u8 = 0xA5;

/// What of all that was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// All of it.
    Everything,
    /// Nothing.
    Nothing,
    /// Every change of a name, and of the contents nothing: files are empty.
    Names,
    /// Every change of a name and every length, and the contents are zeros.
    NamesAndLengths,
    /// All contents, and no change of a name.
    Contents,
    /// What was done last, ahead of all that was done before it.
    Latest,
    /// Some of it, as it follows from a number.
    Drawn(u64),
}

impl Survival {
    /// Those that are not drawn.
    pub const EXTREMES: [Self; 6] = [
        Self::Everything,
        Self::Nothing,
        Self::Names,
        Self::NamesAndLengths,
        Self::Contents,
        Self::Latest,
    ];

    /// The extremes, then as many more as it takes, drawn from a seed.
    pub fn choices(seed: u64, count: usize) -> impl Iterator<Item = Self> {
        let drawn = (0..).map(move |n: u64| Self::Drawn(seed.wrapping_mul(1 << 20) + n));
        Self::EXTREMES.into_iter().chain(drawn).take(count)
    }
}

/// A moment at which the power is cut.
#[derive(Debug)]
pub struct PowerCut {
    pub(super) disk: Disk,
}

impl PowerCut {
    /// The disk as it is found afterwards. All of it is durable then.
    pub fn image(&self, survival: Survival) -> SimulatedFiles {
        let chooser = Chooser::new(survival, self.disk.latest());
        let nodes = self.disk.nodes.iter().map(|node| match node {
            Node::File(extents) => Node::File(chooser.contents(extents)),
            Node::Directory(names) => Node::Directory(chooser.names(names)),
        });
        SimulatedFiles::of(Disk::of(nodes.collect()))
    }
}

/// Chooses what survives, thing by thing, in one order.
struct Chooser {
    survival: Survival,
    entropy: SeededEntropy,
    /// The last operation that made something which is not durable.
    latest: u64,
    /// Of eight things that may survive whole, so many do.
    of_eight: usize,
}

impl Chooser {
    fn new(survival: Survival, latest: u64) -> Self {
        let seed = match survival {
            Survival::Drawn(seed) => seed,
            _ => 0,
        };
        let mut chooser = Self {
            survival,
            entropy: SeededEntropy::new(seed),
            latest,
            of_eight: 0,
        };
        // A cut soon after the last sync loses much, one long after it little.
        chooser.of_eight = [1, 4, 7][chooser.below(3)];
        chooser
    }

    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        let end = u64::try_from(end).expect("a usize has at most 64 bits");
        usize::try_from(u64::from_le_bytes(bytes) % end).expect("below a usize")
    }

    fn survives_whole(&self) -> bool {
        self.below(8) < self.of_eight
    }

    fn names(&self, names: &BTreeMap<String, Name>) -> BTreeMap<String, Name> {
        let mut kept = BTreeMap::new();
        for (text, name) in names {
            if let Some(node) = self.name(name) {
                kept.insert(text.clone(), Name::durable(node));
            }
        }
        kept
    }

    /// What a name leads to afterwards: anything that it led to since it was
    /// last durable.
    fn name(&self, name: &Name) -> Option<usize> {
        match self.survival {
            _ if name.since.is_empty() => name.synced,
            Survival::Everything | Survival::Names | Survival::NamesAndLengths => name.now(),
            Survival::Nothing | Survival::Contents => name.synced,
            Survival::Latest => match name.since.last() {
                Some(change) if change.by == self.latest => change.to,
                _ => name.synced,
            },
            Survival::Drawn(_) if self.survives_whole() => name.now(),
            Survival::Drawn(_) => match self.below(name.since.len()) {
                0 => name.synced,
                at => name.since[at - 1].to,
            },
        }
    }

    fn contents(&self, extents: &[Extent]) -> Vec<Extent> {
        let unsynced = |extent: &Extent| extent.durability != Durability::Synced;
        let whole = match self.survival {
            _ if !extents.iter().any(unsynced) => true,
            Survival::Everything | Survival::Contents => true,
            Survival::Nothing | Survival::Names | Survival::NamesAndLengths => false,
            Survival::Latest => {
                let mut unsynced = extents.iter().filter(|extent| unsynced(extent));
                unsynced.all(|extent| extent.by == self.latest)
            }
            Survival::Drawn(_) => self.survives_whole(),
        };
        if whole {
            let durable = |extent: &Extent| durable(Arc::clone(&extent.bytes));
            return extents.iter().map(durable).collect();
        }
        let harmed = self.harm(&Contents::of(extents));
        vec![durable(harmed.into())]
    }

    /// Contents of which not all survives.
    fn harm(&self, contents: &Contents) -> Vec<u8> {
        let (least, most) = (contents.synced_end, contents.bytes.len());
        let any_length = least + self.below(most - least + 1);
        match (self.survival, self.below(5)) {
            (Survival::NamesAndLengths, _) => contents.blanked(0, most),
            (Survival::Nothing | Survival::Names | Survival::Latest, _) | (_, 0) => {
                contents.blanked(0, least)
            }
            (_, 1) => contents.blanked(STALE * u8::from(self.below(2) == 1), most),
            (_, 2) => contents.cut(any_length),
            (_, torn) => {
                let size = TORN_AT_BYTES[torn - 3];
                let len = if self.below(2) == 0 { most } else { any_length };
                self.tear(contents, size, len)
            }
        }
    }

    /// Pages written in no order: some not at all, the file perhaps shorter.
    fn tear(&self, contents: &Contents, size: usize, len: usize) -> Vec<u8> {
        let mut torn = contents.bytes.clone();
        let mut fates = vec![0; torn.len().div_ceil(size)];
        self.entropy.fill(&mut fates);
        for (page, fate) in fates.into_iter().enumerate() {
            let range = page * size..((page + 1) * size).min(torn.len());
            match fate % 4 {
                0 => contents.blank(&mut torn, range, 0),
                1 => contents.blank(&mut torn, range, STALE),
                _ => {}
            }
        }
        torn.truncate(len);
        torn
    }
}

fn durable(bytes: Arc<[u8]>) -> Extent {
    Extent {
        bytes,
        durability: Durability::Synced,
        by: 0,
    }
}

/// The bytes of a file, and which of them are durable.
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<std::ops::Range<usize>>,
    /// Where the last durable byte ends; the file is no shorter.
    synced_end: usize,
}

impl Contents {
    fn of(extents: &[Extent]) -> Self {
        let mut contents = Self {
            bytes: Vec::new(),
            synced: Vec::new(),
            synced_end: 0,
        };
        for extent in extents {
            let start = contents.bytes.len();
            contents.bytes.extend_from_slice(&extent.bytes);
            if extent.durability == Durability::Synced {
                contents.synced_end = contents.bytes.len();
                contents.synced.push(start..contents.synced_end);
            }
        }
        contents
    }

    /// Writes over what is not durable within a range.
    fn blank(&self, bytes: &mut [u8], range: std::ops::Range<usize>, with: u8) {
        bytes[range.clone()].fill(with);
        for synced in &self.synced {
            let (start, end) = (synced.start.max(range.start), synced.end.min(range.end));
            if start < end {
                bytes[start..end].copy_from_slice(&self.bytes[start..end]);
            }
        }
    }

    fn blanked(&self, with: u8, len: usize) -> Vec<u8> {
        let mut blanked = self.bytes.clone();
        self.blank(&mut blanked, 0..self.bytes.len(), with);
        blanked.truncate(len);
        blanked
    }

    fn cut(&self, len: usize) -> Vec<u8> {
        self.bytes[..len].to_vec()
    }
}
