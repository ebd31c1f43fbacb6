//! Measures a writer's index: its files, its memory, its look-ups.
//!
//! Packs with made-up chunk ids are built as a writer builds them, and the client's
//! copies of their directories are kept, without contents: so the index opens,
//! checks and confirms what it would for a repository of that size. Building them
//! is not measured. What is measured is told as it is: wall time and processor time
//! (user and system, all threads) to the clock's tick, bytes as they are on disk
//! and in the allocator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use indelible_benches::measure::cpu_ms;
use indelible_engine::env::{Clock as _, Env, SystemClock};
use indelible_engine::index::{CountedPack, DomainDirectories, Index};
use indelible_engine::keys::NewRepository;
use indelible_engine::pack::{Basis, CodedChunk, IndexKeys, PackBuilder};
use indelible_engine::state::{RepositoryState, State};
use indelible_engine::store::MemoryStore;
use indelible_format::bundle::{DomainKeys, KeyBundle};
use indelible_format::coding::{Class, Coding};
use indelible_format::genesis::ChunkerParameters;
use indelible_format::ids::{ChunkId, RepositoryId};
use indelible_format::pack::PackRecipients;
use indelible_format::slot::Cost;
use peak_alloc::PeakAlloc;
use rayon::prelude::*;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Build the index of a large repository, and look things up in it.
#[derive(Parser)]
#[command(name = "index_bench", version)]
struct Arguments {
    /// How many chunks: 40 million are 10 TB at 256 KiB
    #[arg(long, default_value_t = 40_000_000)]
    chunks: u64,

    /// Chunks of a pack
    #[arg(long, default_value_t = 133, value_parser = clap::value_parser!(u64).range(1..=8_192))]
    per_pack: u64,

    /// Chunks that a later night adds
    #[arg(long, default_value_t = 40_000)]
    night: u64,

    /// How many look-ups of each kind
    #[arg(long, default_value_t = 1_000_000)]
    look_ups: u64,

    /// Work below this directory, which needs 60 bytes for each chunk, rather than
    /// in the system's temporary one
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("index_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let dir = dir.context("no temporary directory could be made")?;
    let bench = Bench::new(dir.path(), arguments)?;
    let packs = arguments.chunks.div_ceil(arguments.per_pack);
    let mut counted = bench.keep_packs(0..packs);
    println!("packs                 {packs}");
    println!("chunks                {}", packs * arguments.per_pack);
    let kept = bytes_below(&bench.root.join("directories"))?;
    println!("directory copies      {kept} bytes");

    bench.open("built from copies", counted.clone());
    let index = bench.open("opened again", counted.clone());
    bench.look_up(&index, "at one segment", packs);
    drop(index);
    let grown = packs + arguments.night.div_ceil(arguments.per_pack);
    counted.extend(bench.keep_packs(packs..grown));
    let index = bench.open("opened with a night more", counted);
    bench.look_up(&index, "with a night more", grown);
    println!(
        "peak resident         {} bytes, made-up packs and all",
        resident_peak()?
    );
    Ok(())
}

/// A client's state, and what opens the copies in it.
struct Bench {
    root: PathBuf,
    state: RepositoryState,
    store: MemoryStore,
    repository: RepositoryId,
    bundle: KeyBundle,
    env: Env,
    clock: SystemClock,
    per_pack: u64,
    look_ups: u64,
}

impl Bench {
    fn new(dir: &Path, arguments: &Arguments) -> anyhow::Result<Self> {
        let env = Env::system();
        let chunker = ChunkerParameters {
            min: 128 << 10,
            average: 256 << 10,
            max: 1 << 20,
            normalization: 1,
        };
        let new = NewRepository::prepare(&env, "made up", Cost::CHEAPEST, chunker)?;
        let repository = RepositoryId(env.random());
        Ok(Self {
            root: dir.join(repository.to_string()),
            state: State::open(dir)?.repository(&repository),
            store: MemoryStore::new(),
            repository,
            bundle: new.bundle().clone(),
            env,
            clock: SystemClock::new(),
            per_pack: arguments.per_pack,
            look_ups: arguments.look_ups,
        })
    }

    /// Builds packs, and keeps copies of their directories.
    fn keep_packs(&self, numbers: std::ops::Range<u64>) -> Vec<CountedPack> {
        let recipients = PackRecipients {
            repository: self.repository,
            domain: self.bundle.domain,
            epoch: self.bundle.epoch,
            data_public: &self.bundle.data_public,
            meta_public: &self.bundle.meta_public,
            psk: &self.bundle.psk,
        };
        let index_key = &self.write_keys().index;
        let build = |number: u64| {
            let mut pack = PackBuilder::new(&recipients, index_key, &self.env)
                .expect("a new repository's keys can be sealed to");
            let chunk = |chunk: u64| CodedChunk {
                id: made_up(number * self.per_pack + chunk),
                class: Class::Data,
                coding: Coding::Raw,
                plain_len: 1,
                coded: vec![0],
                basis: Basis::default(),
            };
            pack.add((0..self.per_pack).map(chunk).collect());
            let pack = pack.finish();
            self.state.keep_directory(&pack.id, &pack.directory_copy());
            CountedPack {
                id: pack.id,
                len: u32::try_from(pack.bytes.len()).expect("a pack is at most 32 MiB"),
            }
        };
        numbers.into_par_iter().map(build).collect()
    }

    fn write_keys(&self) -> &DomainKeys {
        self.bundle
            .write
            .as_ref()
            .expect("the first key has every right")
    }

    /// Opens the index, and tells what that took.
    fn open(&self, how: &str, packs: Vec<CountedPack>) -> Index<'_> {
        let directories = DomainDirectories {
            store: &self.store,
            state: Some(self.state.clone()),
            repository: self.repository,
            domain: self.bundle.domain,
            index_keys: IndexKeys::one(self.bundle.epoch, self.write_keys().index.clone()),
        };
        let segments = self.state.segments(&self.bundle.domain);
        let own = packs.len() * size_of::<CountedPack>();
        let before = HEAP.current_usage() - own;
        HEAP.reset_peak_usage();
        let (index, took) =
            self.time(|| Index::open(packs, Some(&segments), Box::new(directories)));
        println!("{how}");
        println!("  took                {took}");
        println!("  heap at most        {} bytes", HEAP.peak_usage() - before);
        println!(
            "  heap held           {} bytes",
            HEAP.current_usage() - before
        );
        let sizes = sizes_below(&self.root.join("index")).unwrap_or_default();
        println!(
            "  segments            {} bytes, as {sizes:?}",
            sizes.iter().sum::<u64>()
        );
        index
    }

    /// Looks up absent and present chunks, and tells how long that took.
    fn look_up(&self, index: &Index<'_>, when: &str, packs: u64) {
        let chunks = packs * self.per_pack;
        // Numbers that visit the packs without any order.
        let anywhere = |at: u64| (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % chunks;
        let in_runs = |at: u64| {
            let (run, within) = (at / self.per_pack, at % self.per_pack);
            anywhere(run) / self.per_pack * self.per_pack + within
        };
        println!("look-ups {when}");
        self.tell(index, "absent", self.look_ups, |at| chunks + at, false);
        self.tell(index, "present, in runs", self.look_ups, in_runs, true);
        self.tell(
            index,
            "present, anywhere",
            self.look_ups / 10,
            anywhere,
            true,
        );
    }

    fn tell(
        &self,
        index: &Index<'_>,
        what: &str,
        many: u64,
        chunk: impl Fn(u64) -> u64,
        present: bool,
    ) {
        HEAP.reset_peak_usage();
        let ask = || {
            let found = (0..many).filter(|at| index.get(&made_up(chunk(*at))).is_some());
            found.count() as u64
        };
        let before = HEAP.current_usage();
        let (found, took) = self.time(ask);
        assert_eq!(found, if present { many } else { 0 }, "{what}");
        let rate = |ms: u64| many * 1_000 / ms.max(1);
        println!(
            "  {what:<19} {} a second, {} a second of one core ({many} in {took}); heap + {} bytes",
            rate(took.wall_ms),
            rate(took.cpu_ms),
            HEAP.peak_usage().saturating_sub(before)
        );
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Took) {
        let (wall, cpu) = (self.clock.monotonic_ms(), cpu_ms());
        let done = work();
        let took = Took {
            wall_ms: self.clock.monotonic_ms() - wall,
            cpu_ms: cpu_ms() - cpu,
        };
        (done, took)
    }
}

/// Wall and processor time.
struct Took {
    wall_ms: u64,
    cpu_ms: u64,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms, {} ms of a core", self.wall_ms, self.cpu_ms)
    }
}

/// The id of the chunk with this number.
fn made_up(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// The most memory that this process had resident, bytes.
fn resident_peak() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib
        .context("the system does not tell")?
        .trim()
        .parse::<u64>()?
        * 1_024)
}

/// The sizes of the files below a directory.
fn sizes_below(dir: &Path) -> anyhow::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            sizes.extend(sizes_below(&entry.path())?);
        } else {
            sizes.push(metadata.len());
        }
    }
    sizes.retain(|size| *size > 0);
    Ok(sizes)
}

fn bytes_below(dir: &Path) -> anyhow::Result<u64> {
    Ok(sizes_below(dir)?.iter().sum())
}
