//! Packs that are made of nothing but directories, and a search through them that
//! the index is compared with.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::index::{CountedPack, Directories, Index, PackChunks};
use indelible_engine::state::{RepositoryState, State};
use indelible_format::ids::{ChunkId, DomainId, PackId, RepositoryId};
use indelible_format::places::Place;

pub(super) const REPOSITORY: RepositoryId = RepositoryId([7; 32]);
pub(super) const DOMAIN: DomainId = DomainId([8; 16]);

/// Packs, in the order in which they came.
pub(super) struct Stock {
    seed: u64,
    drawn: u64,
    packs: Vec<(PackId, Vec<ChunkId>)>,
    by_id: HashMap<PackId, usize>,
    hidden: Mutex<BTreeSet<usize>>,
    opened: AtomicU64,
}

impl Stock {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: 0,
            packs: Vec::new(),
            by_id: HashMap::new(),
            hidden: Mutex::default(),
            opened: AtomicU64::new(0),
        }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&self.drawn.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Adds packs with this many chunks. Every fifth chunk stands in another pack
    /// already, and every ninth has the key of another.
    pub(super) fn add(&mut self, packs: usize, chunks: usize) {
        for _ in 0..packs {
            let mut listed: Vec<ChunkId> = Vec::new();
            for number in 0..chunks {
                let mut id = self.draw();
                let known = self.packs.len() * 31 + number * 17;
                let known = self.packs.get(known % self.packs.len().max(1));
                let known = known.map(|(_, chunks)| chunks[number % chunks.len()]);
                match known {
                    Some(known) if number % 5 == 4 => id = known.0,
                    Some(known) if number % 9 == 8 => id[..8].copy_from_slice(&known.0[..8]),
                    _ => {}
                }
                listed.push(ChunkId(id));
            }
            let id = PackId(self.draw());
            self.by_id.insert(id, self.packs.len());
            self.packs.push((id, listed));
        }
    }

    /// Adds a pack that lists what another does, in another order.
    pub(super) fn repeat(&mut self, pack: usize) {
        let mut listed = self.packs[pack].1.clone();
        listed.reverse();
        let id = PackId(self.draw());
        self.by_id.insert(id, self.packs.len());
        self.packs.push((id, listed));
    }

    /// Some packs, by place: other ones each time.
    pub(super) fn some(&mut self, many: usize) -> Vec<usize> {
        let drawn = self.draw();
        let places = drawn
            .iter()
            .map(|byte| usize::from(*byte) % self.packs.len());
        places.take(many).collect()
    }

    /// From now on this pack's directory can't be had.
    pub(super) fn hide(&self, pack: usize) {
        self.hidden.lock().unwrap().insert(pack);
    }

    /// Those that count, in the order of their places.
    pub(super) fn counted(&self, counts: impl Fn(usize) -> bool) -> Vec<CountedPack> {
        let packs = self.packs.iter().enumerate();
        packs
            .filter(|(at, _)| counts(*at))
            .map(|(_, (id, _))| CountedPack { id: *id, len: 1 })
            .collect()
    }

    /// Every chunk that is listed, as often as it is.
    pub(super) fn listed(&self) -> impl Iterator<Item = ChunkId> {
        self.packs
            .iter()
            .flat_map(|(_, chunks)| chunks.iter().copied())
    }

    /// Every chunk once.
    pub(super) fn ids(&self) -> BTreeSet<ChunkId> {
        self.listed().collect()
    }

    /// Ids that no pack lists, of which half have the key of one that some does.
    pub(super) fn absent(&self, many: usize) -> Vec<ChunkId> {
        let other = |(at, known): (usize, ChunkId)| {
            let mut id = *blake3::hash(&known.0).as_bytes();
            if at % 2 == 0 {
                id[..8].copy_from_slice(&known.0[..8]);
            }
            ChunkId(id)
        };
        self.listed().take(many).enumerate().map(other).collect()
    }

    /// Where a chunk is first.
    pub(super) fn search(&self, counted: &[CountedPack], id: &ChunkId) -> Option<Place> {
        let hidden = self.hidden.lock().unwrap();
        counted.iter().find_map(|pack| {
            let at = self.by_id[&pack.id];
            let chunks = &self.packs[at].1;
            let number = chunks.iter().position(|listed| listed == id)?;
            (!hidden.contains(&at)).then_some(Place {
                pack: pack.id,
                number: u16::try_from(number).unwrap(),
            })
        })
    }

    /// Whether a chunk is at a place.
    pub(super) fn is_at(&self, id: &ChunkId, place: &Place) -> bool {
        let chunks = &self.packs[self.by_id[&place.pack]].1;
        chunks.get(usize::from(place.number)) == Some(id)
    }

    /// How many directories were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    pub(super) fn index(
        &self,
        counted: &[CountedPack],
        state: Option<&RepositoryState>,
    ) -> Index<'_> {
        let segments = state.map(|state| state.segments(&DOMAIN));
        Index::open(counted.to_vec(), segments.as_ref(), Box::new(self))
    }

    pub(super) fn index_without_state(&self, counted: &[CountedPack]) -> Index<'_> {
        self.index(counted, None)
    }
}

impl Directories for &Stock {
    fn chunks(&self, pack: &CountedPack) -> Option<PackChunks> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let at = self.by_id[&pack.id];
        let hidden = self.hidden.lock().unwrap().contains(&at);
        (!hidden).then(|| self.packs[at].1.clone().into())
    }
}

/// A state of its own.
pub(super) struct Client {
    dir: tempfile::TempDir,
    state: State,
}

impl Client {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        Self { dir, state }
    }

    pub(super) fn index<'s>(&self, stock: &'s Stock, counted: &[CountedPack]) -> Index<'s> {
        stock.index(counted, Some(&self.state.repository(&REPOSITORY)))
    }

    fn files(&self, is: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let dir = self.dir.path().join(REPOSITORY.to_string());
        let dir = dir.join("index").join(DOMAIN.to_string());
        // Without a pack there is no segment, and no directory.
        let entries = fs::read_dir(dir).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| is(path.file_name().unwrap().to_str().unwrap()))
            .collect()
    }

    /// The files of its segments.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        self.files(|name| name.len() == 64)
    }

    /// How many unfinished files there are.
    pub(super) fn unfinished(&self) -> usize {
        self.files(|name| name.len() != 64 && name != "lock").len()
    }
}
