//! One repository in a directory, one behind ssh, and one in S3, on the same dump in one
//! run: what the place of a repository costs.
//!
//! `servers` has what the repositories lie behind, `round` the steps, and `results` what
//! came out.
#![forbid(unsafe_code)]

mod long_log;
mod results;
mod round;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use indelible_benches::{machine, page, parse_size, table, tools};
use tempfile::TempDir;

use results::Told;
use round::Bench;

/// Keep a repository in a directory, behind ssh and in S3, side by side.
///
/// Both servers run on this machine: sshd with `indelible serve` as its forced command,
/// and SeaweedFS with a bucket that locks. Each round makes three repositories, stores a
/// dump in each, stores it again unchanged, restores it, and verifies the packs. Then a
/// long log is copied to each, and opened by a machine that has seen none of it. In the end
/// the servers get a core of their own and the program the others, in each place, for first
/// snapshots without the servers' share in them. A full run writes a section to
/// benches/RESULTS.md.
#[derive(Parser)]
#[command(name = "places", version, max_term_width = 100)]
struct Arguments {
    /// How many rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,

    /// Size of the dump: 500M, 1G (decimal) or 1GiB (binary)
    #[arg(long, default_value = "1G", value_parser = parse_size)]
    size: u64,

    /// Entries of the log that is opened
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    entries: u64,

    /// Print the tables and write no page
    #[arg(long)]
    dry: bool,

    /// The program to measure [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    indelible: Option<PathBuf>,

    /// Where repositories are made [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    indelible_benches::ended("places", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let parent = arguments.work_dir.clone();
    let parent = parent.unwrap_or_else(std::env::temp_dir);
    let temporary = TempDir::with_prefix_in("places-", &parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    let dir = fs::canonicalize(temporary.path())?;
    // The dump, what is restored, and repositories of each round: those in S3 stay.
    machine::must_have_room(&dir, (u64::from(arguments.rounds) + 4) * arguments.size)?;
    let program = tools::program(arguments.indelible.as_deref())?;
    let load = machine::load();
    let mut bench = Bench::prepare(program, arguments.size, &dir)?;
    for number in 0..arguments.rounds {
        eprintln!("round {} of {}", number + 1, arguments.rounds);
        bench.round(number)?;
    }
    bench.long_log(arguments.entries, arguments.rounds)?;
    bench.apart(arguments.rounds)?;
    let told = Told {
        measured: &bench.measured,
        opened: &bench.opened,
        apart: &bench.apart,
    };
    let facts = [
        format!(
            "{}, commit {}, {}",
            machine::today(),
            machine::commit(),
            machine::machine()
        ),
        load,
        format!(
            "a simulated shop's dump of {} bytes; sshd and SeaweedFS on the loopback of the \
             same machine, whose cores they take too; in S3 everything is locked",
            table::grouped(bench.len)
        ),
        format!(
            "a log of {} entries by two keys, opened without a state",
            table::grouped(arguments.entries)
        ),
        "apart: the servers have the last core to themselves and the program the others, in \
         a directory too"
            .to_owned(),
        format!(
            "rounds: {}; medians, but the largest peak of memory",
            arguments.rounds
        ),
        bench.version.clone(),
    ];
    print!("{}", told.report(&facts, false));
    if !arguments.dry {
        let page = page::usual();
        let text = format!("## Places\n\n{}", told.report(&facts, true));
        page::put(&page, "places", &text)?;
        println!("Written to {}.", page.display());
    }
    Ok(())
}
