//! Many nights of one database through Indelible.
//!
//! Each night's dump is made, stored, held against zstd's patch of the night before,
//! and deleted a night later; so the disk has to hold two dumps and the repository. At
//! the end the first, the deepest and the last night are restored and must be what
//! they were. `told` says what came out.
#![forbid(unsafe_code)]

mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;
use indelible_benches::databases::{Database, Nightly, Workload};
use indelible_benches::lab::{Contents, Lab, Restored, Stored, hash_file};
use indelible_benches::{machine, page, parse_size, table, zstd};
use indelible_engine::snapshot::COMPRESSION_LEVEL;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::rights::Rights;
use tempfile::TempDir;

use told::Told;

/// Take snapshots of a database for many nights, and tell what each added.
///
/// The databases `heap` and `inplace` are simulated; `heap` with --postgres, and all
/// others, live in a real server (apt-get install postgresql mariadb-server sqlite3).
/// A full run writes a table to benches/RESULTS.md.
#[derive(Parser)]
#[command(name = "nights", version, max_term_width = 100)]
struct Arguments {
    /// How many nights follow the first
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nights: u32,

    /// Size of the first dump: 500M, 1G (decimal) or 1GiB (binary) [default: 100M, and
    /// 50M for more than 100 nights]
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,

    /// Which database, and what happens to it in a day
    #[arg(long, value_enum, default_value_t = Nightly::Heap)]
    workload: Nightly,

    /// Keep the heap in a real server
    #[arg(long)]
    postgres: bool,

    /// Level of zstd for what is no delta
    #[arg(long, default_value_t = COMPRESSION_LEVEL, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,

    /// Which keys of the repository are drawn, and so where chunks are cut
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Take snapshots with a key that may restore too, instead of one that may only
    /// write; writes no page
    #[arg(long)]
    restoring_key: bool,

    /// Print the table and write no page
    #[arg(long)]
    dry: bool,

    /// Where the repository is made [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    /// Write the table to this page, whatever else is said
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

impl Arguments {
    fn size_bytes(&self) -> u64 {
        let usual = if self.nights > 100 { 50 } else { 100 };
        self.size.unwrap_or(usual * 1_000_000)
    }

    fn start(&self) -> anyhow::Result<Box<dyn Database>> {
        if self.postgres {
            ensure!(
                self.workload == Nightly::Heap,
                "--postgres is for the workload heap"
            );
            return Workload::Heap.start(self.size_bytes());
        }
        self.workload.start(self.size_bytes())
    }

    /// The workload and where it lives.
    fn name(&self) -> &'static str {
        if self.postgres {
            "postgres"
        } else {
            self.workload.name()
        }
    }
}

fn main() -> ExitCode {
    indelible_benches::ended("nights", run(&Arguments::parse()))
}

/// What came of a night.
struct Night {
    len: u64,
    hash: blake3::Hash,
    stored: Stored,
    contents: Contents,
    /// What zstd makes of it and the night before; 0 for the first.
    patch: u64,
}

/// A restore of one night.
struct Back {
    night: usize,
    restored: Restored,
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let parent = arguments.work_dir.clone();
    let parent = parent.unwrap_or_else(std::env::temp_dir);
    let dir = TempDir::with_prefix_in("nights-", &parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    // Two dumps that grow to twice their size, a restored one, and the repository.
    machine::must_have_room(dir.path(), 8 * arguments.size_bytes())?;
    let load = machine::load();
    let rights = if arguments.restoring_key {
        Rights::WRITE.union(Rights::RESTORE)
    } else {
        Rights::WRITE
    };
    let chunker = ChunkerParameters::default();
    let lab = Lab::new(&dir.path().join("lab"), chunker, rights, arguments.seed)?;
    let nights = take_nights(arguments, &lab, dir.path())?;
    let backs = restore(&lab, &nights)?;
    let told = Told {
        nights: &nights,
        backs: &backs,
    };
    let facts = [
        format!(
            "{}, commit {}, {}",
            machine::today(),
            machine::commit(),
            machine::machine()
        ),
        load,
        zstd::version()?,
        format!(
            "{} of {} bytes on the first night and {} on the last; level {}",
            arguments.name(),
            table::grouped(nights[0].len),
            table::grouped(nights[nights.len() - 1].len),
            arguments.level
        ),
    ];
    print!("{}", told.report(&facts, false));
    let page = match &arguments.page {
        Some(page) => page.clone(),
        None if arguments.dry || arguments.restoring_key => return Ok(()),
        None => page::usual(),
    };
    let (name, count) = (arguments.name(), arguments.nights);
    let text = format!("## {count} nights: {name}\n\n{}", told.report(&facts, true));
    page::put(&page, &format!("nights-{name}-{count}"), &text)?;
    println!("Written to {}.", page.display());
    Ok(())
}

/// Lets the nights pass, and keeps no dump longer than until the next is stored.
fn take_nights(arguments: &Arguments, lab: &Lab, dir: &Path) -> anyhow::Result<Vec<Night>> {
    let (tonight, before) = (dir.join("dump.sql"), dir.join("before.sql"));
    let mut database = arguments.start()?;
    let mut nights = Vec::new();
    for number in 0..=arguments.nights {
        if number > 0 {
            fs::rename(&tonight, &before)?;
            database.live()?;
        }
        database.dump(&tonight)?;
        let stored = lab.snapshot(&tonight, arguments.level, true)?;
        let patch = if number > 0 {
            let patched = zstd::patch(&before, &tonight, dir)?;
            patched.added.unwrap_or_default()
        } else {
            0
        };
        let night = Night {
            len: fs::metadata(&tonight)?.len(),
            hash: hash_file(&tonight)?,
            stored,
            contents: lab.contents(stored.number)?,
            patch,
        };
        eprintln!(
            "night {number}: {} bytes added, {patch} by zstd, {:.3} s",
            night.stored.added, night.stored.wall
        );
        nights.push(night);
    }
    Ok(nights)
}

/// Restores the first, the deepest and the last night, which must be what they were.
fn restore(lab: &Lab, nights: &[Night]) -> anyhow::Result<Vec<Back>> {
    // Of several as deep, the last one.
    let deepest = (0..nights.len()).max_by_key(|night| nights[*night].contents.depth);
    let mut chosen = vec![0, deepest.unwrap_or(0), nights.len() - 1];
    chosen.dedup();
    let backs = chosen.into_iter().map(|night| {
        let restored = lab.restore(nights[night].stored.number)?;
        ensure!(
            restored.hash == nights[night].hash,
            "night {night} came back as something else"
        );
        Ok(Back { night, restored })
    });
    backs.collect()
}
