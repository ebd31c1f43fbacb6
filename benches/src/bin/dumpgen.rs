//! Writes a realistic SQL dump, for trying a backup tool on.
//!
//! A thin front of [`Dump`]: it reads the arguments, opens the output and says
//! how it went. A reader that has seen enough of the dump, as `head` has, is no
//! error.

use anyhow::Context;
use clap::Parser;
use indelible_benches::{Dump, Edit, parse_size};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a realistic plain SQL dump of any size, the same for the same seed.
///
/// With --edit and --night, the dump of a later night: the same database after
/// the edit was applied that many times, to different rows each night.
#[derive(Parser)]
#[command(name = "dumpgen", version, after_help = EDITS)]
struct Arguments {
    /// Size of the dump before any edit: 500M, 1G (decimal) or 1GiB (binary)
    #[arg(long, value_parser = parse_size)]
    size: u64,

    /// Which database
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// What each night does; see below
    #[arg(long, default_value_t = Edit::Nothing)]
    edit: Edit,

    /// How many nights have passed, up to 10000; 0 is the dump before any edit
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=10_000))]
    night: u32,

    /// Write to this file, replacing it, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EDITS: &str = "\
Edits, with the share of rows in percent:
  nothing     the same dump every night
  scattered1  1 % of the rows, here and there, updated in place
  clustered1  1 % of the rows, side by side, updated in place
  moved1      1 % updated and moved to the table's end, 1 % inserted, 0.5 % deleted
  appended1   1 % of the first dump's rows added at the table's end

The share may have one decimal: scattered0.1. Tables and rows are reported on
standard output when --out is given.";

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dumpgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dump = Dump {
        seed: arguments.seed,
        size_bytes: arguments.size,
        edit: arguments.edit,
        night: arguments.night,
    };
    let Some(path) = &arguments.out else {
        let mut stdout = io::stdout().lock();
        dump.write_to(&mut stdout)
            .context("cannot write to standard output")?;
        return Ok(());
    };
    let mut file =
        File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let summary = dump
        .write_to(&mut file)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut stdout = io::stdout().lock();
    for table in &summary.tables {
        writeln!(
            stdout,
            "{:<10} {:>12} rows {:>15} bytes",
            table.name, table.rows, table.bytes
        )?;
    }
    writeln!(stdout, "{:<10} {:>33} bytes", "whole dump", summary.bytes)?;
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let source = error.root_cause().downcast_ref::<io::Error>();
    source.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
