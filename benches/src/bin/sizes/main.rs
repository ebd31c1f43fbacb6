//! What the size of chunks and the level of zstd cost and save.
//!
//! Each night's dump goes into one repository for each size and level, and is deleted a
//! night later. Bytes are exact; so are processor times where nothing else runs.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use indelible_benches::databases::Nightly;
use indelible_benches::figures::as_f64;
use indelible_benches::lab::{Lab, Stored};
use indelible_benches::table::{Table, grouped};
use indelible_benches::{machine, page, parse_size, zstd};
use indelible_format::genesis::ChunkerParameters;
use indelible_format::limits::CHUNK_BYTES_MAX;
use indelible_format::rights::Rights;
use tempfile::TempDir;

/// Take snapshots of databases for many nights, with chunks of several sizes and at
/// several levels of zstd, and tell what the first and all others added.
///
/// A full run writes a table to benches/RESULTS.md. The databases are those of
/// `benches/nights`, whose help says what they take.
#[derive(Parser)]
#[command(name = "sizes", version, max_term_width = 100)]
struct Arguments {
    /// How many nights follow the first
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nights: u32,

    /// Size of the first dump: 500M, 1G (decimal) or 1GiB (binary)
    #[arg(long, default_value = "100M", value_parser = parse_size)]
    size: u64,

    /// Which databases, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Nightly::Heap, Nightly::Pgbench, Nightly::Mariadb, Nightly::Sqlite,
    ])]
    workload: Vec<Nightly>,

    /// Averages of chunk sizes, KiB, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [128, 256, 512],
        value_parser = clap::value_parser!(u32).range(1..=512))]
    average: Vec<u32>,

    /// Levels of zstd, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 6, 9],
        value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Vec<i32>,

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

    /// Where repositories are made [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    /// Write the table to this page, whatever else is said
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

fn main() -> ExitCode {
    indelible_benches::ended("sizes", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let load = machine::load();
    let mut table = Table::new(&[
        "database",
        "chunk KiB",
        "level",
        "first bytes",
        "wall s",
        "CPU s",
        "nights' bytes",
        "of patch-from",
        "wall s of one",
        "CPU s",
    ]);
    for workload in &arguments.workload {
        let (settings, patches) = measure(arguments, *workload)?;
        for setting in settings {
            table.add(setting.cells(*workload, patches));
        }
    }
    let mut facts = String::new();
    for fact in [
        format!(
            "{}, commit {}, {}",
            machine::today(),
            machine::commit(),
            machine::machine()
        ),
        load,
        format!(
            "databases of {} bytes on the first night, and {} nights more, together",
            grouped(arguments.size),
            arguments.nights
        ),
    ] {
        let _ = writeln!(facts, "- {fact}");
    }
    print!("{facts}\n{}", table.render(false));
    let page = match &arguments.page {
        Some(page) => page.clone(),
        None if arguments.dry || arguments.restoring_key => return Ok(()),
        None => page::usual(),
    };
    let text = format!(
        "## Sizes of chunks and levels of zstd\n\n{facts}\n{}",
        table.render(true)
    );
    page::put(&page, "sizes", &text)?;
    println!("Written to {}.", page.display());
    Ok(())
}

/// A repository with its chunk size, written to at its level.
struct Setting {
    average_kib: u32,
    level: i32,
    lab: Lab,
    nights: Vec<Stored>,
}

impl Setting {
    fn cells(&self, workload: Nightly, patches: u64) -> Vec<String> {
        let (first, later) = (&self.nights[0], &self.nights[1..]);
        let added: u64 = later.iter().map(|night| night.added).sum();
        let wall: f64 = later.iter().map(|night| night.wall).sum();
        let cpu: f64 = later.iter().map(|night| night.cpu).sum();
        let count = as_f64(later.len() as u64);
        vec![
            workload.name().to_owned(),
            self.average_kib.to_string(),
            self.level.to_string(),
            grouped(first.added),
            format!("{:.3}", first.wall),
            format!("{:.2}", first.cpu),
            grouped(added),
            format!("{:.2}x", as_f64(added) / as_f64(patches)),
            format!("{:.3}", wall / count),
            format!("{:.2}", cpu / count),
        ]
    }
}

/// All settings, after all nights of one database, and what zstd's patches of the
/// nights take together.
fn measure(arguments: &Arguments, workload: Nightly) -> anyhow::Result<(Vec<Setting>, u64)> {
    let parent = arguments.work_dir.clone();
    let parent = parent.unwrap_or_else(std::env::temp_dir);
    let dir = TempDir::with_prefix_in("sizes-", &parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    let mut settings = settings(arguments, dir.path())?;
    machine::must_have_room(dir.path(), (settings.len() as u64 + 4) * arguments.size)?;
    let (tonight, before) = (dir.path().join("dump.sql"), dir.path().join("before.sql"));
    let mut database = workload.start(arguments.size)?;
    let mut patches = 0;
    for night in 0..=arguments.nights {
        if night > 0 {
            fs::rename(&tonight, &before)?;
            database.live()?;
        }
        database.dump(&tonight)?;
        if night > 0 {
            let sample = zstd::patch(&before, &tonight, dir.path())?;
            patches += sample.added.unwrap_or_default();
        }
        // They take turns in being first.
        let count = settings.len();
        settings.rotate_left(1 % count);
        for setting in &mut settings {
            let stored = setting.lab.snapshot(&tonight, setting.level, true)?;
            setting.nights.push(stored);
        }
        eprintln!("{}: night {night}", workload.name());
    }
    settings.sort_by_key(|setting| (setting.average_kib, setting.level));
    Ok((settings, patches))
}

fn settings(arguments: &Arguments, dir: &Path) -> anyhow::Result<Vec<Setting>> {
    let rights = if arguments.restoring_key {
        Rights::WRITE.union(Rights::RESTORE)
    } else {
        Rights::WRITE
    };
    let mut settings = Vec::new();
    for &average_kib in &arguments.average {
        for &level in &arguments.level {
            let dir = dir.join(format!("{average_kib}-{level}"));
            let chunker = chunker(average_kib);
            chunker.check().context("the format has no such chunks")?;
            let lab = Lab::new(&dir, chunker, rights, arguments.seed)?;
            settings.push(Setting {
                average_kib,
                level,
                lab,
                nights: Vec::new(),
            });
        }
    }
    Ok(settings)
}

/// Sizes in the proportions of the usual ones, as far as the format allows the largest.
fn chunker(average_kib: u32) -> ChunkerParameters {
    let usual = ChunkerParameters::default();
    let average = average_kib << 10;
    let largest = u32::try_from(CHUNK_BYTES_MAX).expect("it is a field of 32 bits");
    let scaled = |size: u32| size / (usual.average >> 10) * average_kib;
    ChunkerParameters {
        min: scaled(usual.min),
        average,
        max: scaled(usual.max).min(largest),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::chunker;
    use indelible_format::genesis::ChunkerParameters;

    /// Sizes keep their proportions, and a repository can have them.
    ///
    /// Method: the usual average, and those around it against the format's bounds.
    #[test]
    fn sizes_keep_their_proportions() {
        assert_eq!(chunker(256), ChunkerParameters::default());
        for average_kib in [64, 128, 512] {
            let sizes = chunker(average_kib);
            assert_eq!(sizes.check(), Ok(()), "{average_kib}");
            assert_eq!(sizes.min * 2, sizes.average);
        }
    }
}
