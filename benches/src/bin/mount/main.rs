//! A mount of Indelible's beside those of other tools, on the same dump in one run.
//!
//! `round` has what is stored and the steps, which are taken on a `mounted` file system
//! by `reading` from it; `results` tells what came out.
#![forbid(unsafe_code)]

mod mounted;
mod reading;
mod results;
mod round;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;
use indelible_benches::{machine, page, parse_size, table, tools};
use tempfile::TempDir;

use reading::PIECES;
use results::Told;
use round::{Contender, NAMES, READERS, Sources};

/// Mount snapshots with Indelible and other tools, and read from them, side by side.
///
/// Every tool takes part that is in PATH and mounts: restic, and borg with pyfuse3. Two
/// nights of a simulated database are stored, and the second one's dump is read from one
/// end to the other and here and there; a directory of many files is listed. Each step
/// has a mount of its own. Takes root and /dev/fuse. A full run writes a section to
/// benches/RESULTS.md.
#[derive(Parser)]
#[command(name = "mount", version, max_term_width = 100)]
struct Arguments {
    /// How many rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Size of the first dump: 500M, 1G (decimal) or 1GiB (binary)
    #[arg(long, default_value = "1G", value_parser = parse_size)]
    size: u64,

    /// Only these tools, separated by commas; writes no page
    #[arg(long, value_delimiter = ',', value_name = "TOOL,...")]
    only: Vec<String>,

    /// Print the tables and write no page
    #[arg(long)]
    dry: bool,

    /// The program to measure [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    indelible: Option<PathBuf>,

    /// Where repositories and mounts are made [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    /// Write the results to this page, whatever else is said
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

fn main() -> ExitCode {
    indelible_benches::ended("mount", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        Path::new("/dev/fuse").exists() && rustix::process::geteuid().is_root(),
        "this takes root and /dev/fuse (modprobe fuse)"
    );
    let parent = arguments.work_dir.clone();
    let parent = parent.unwrap_or_else(std::env::temp_dir);
    let temporary = TempDir::with_prefix_in("mount-", &parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    // As the kernel names what is mounted there.
    let dir = fs::canonicalize(temporary.path())?;
    let tools = tools::chosen(&arguments.only, arguments.indelible.as_deref())?;
    // The dump, and repositories of dumps that compress by half at least.
    machine::must_have_room(&dir, (tools.len() as u64 + 2) * arguments.size)?;
    let load = machine::load();
    let (mut contenders, sources) = round::prepare(&tools, arguments.size, &dir)?;
    ensure!(!contenders.is_empty(), "none of these tools mounts");
    for number in 0..arguments.rounds {
        eprintln!("round {} of {}", number + 1, arguments.rounds);
        round::run(&mut contenders, &sources, number.into())?;
    }
    tell(arguments, &contenders, &sources, load)
}

/// Prints the report, and writes it to the page after a full run.
fn tell(
    arguments: &Arguments,
    contenders: &[Contender<'_>],
    sources: &Sources,
    load: String,
) -> anyhow::Result<()> {
    let told = Told {
        contenders,
        len: sources.lens[1],
    };
    let facts = facts(arguments, contenders, sources, load);
    print!("{}", told.report(&facts, false));
    let page = match &arguments.page {
        Some(page) => page.clone(),
        None if arguments.dry || !arguments.only.is_empty() => return Ok(()),
        None => page::usual(),
    };
    let text = format!("## Mounts\n\n{}", told.report(&facts, true));
    page::put(&page, "mount", &text)?;
    println!("Written to {}.", page.display());
    Ok(())
}

fn facts(
    arguments: &Arguments,
    contenders: &[Contender<'_>],
    sources: &Sources,
    load: String,
) -> Vec<String> {
    let [before, after] = sources.lens.map(table::grouped);
    let mut facts = vec![
        format!(
            "{}, commit {}, {}",
            machine::today(),
            machine::commit(),
            machine::machine()
        ),
        load,
        format!(
            "a simulated shop's dump of {before} bytes, and a day later of {after}, which is \
             what is read; a directory of {NAMES} files"
        ),
        format!(
            "{PIECES} reads here and there, of {READERS} readers together; what was stored lies \
             in the kernel's cache; restic and borg derive a key from a password each time, at \
             a cost that shows in `list`, and Indelible has a key file"
        ),
        format!(
            "rounds: {}; medians, but the largest peak of memory",
            arguments.rounds
        ),
    ];
    let version = |contender: &Contender<'_>| {
        format!("{}: {}", contender.tool.name(), contender.tool.version())
    };
    facts.extend(contenders.iter().map(version));
    facts
}
