//! Indelible beside other backup tools, on the same dumps in one run.
//!
//! `args` is what can be typed, `nights` has the dumps, `round` runs the steps
//! with each `tool` and `measure`s them, `report` tells and `page` keeps what
//! came out. `memory` is a run of its own: one long stream, and how much memory
//! it takes.
#![forbid(unsafe_code)]

mod args;
mod baselines;
mod memory;
mod nights;
mod report;
mod results;
mod round;
mod step;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use indelible_benches::databases::Workload;
use indelible_benches::tools::indelible::Indelible;
use indelible_benches::tools::{self, Tool};
use indelible_benches::{machine, measure, page, table, zstd};
use tempfile::TempDir;

use args::Arguments;
use nights::Nights;
use report::Run;
use results::Results;
use round::Round;
use step::{Step, targets};

/// Size of the dumps of a quick run, bytes.
const QUICK_BYTES: u64 = 30_000_000;

fn main() -> ExitCode {
    indelible_benches::ended("compare", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.hash_file {
        return baselines::hash_blocks(file);
    }
    let work = Work::new(arguments)?;
    if let Some(size) = arguments.memory {
        let program = tools::program(arguments.indelible.as_deref())?;
        return memory::run(&Indelible::new(program)?, size, &work.dir, arguments);
    }
    let tools = tools::chosen(&arguments.only, arguments.indelible.as_deref())?;
    let nights = nights(arguments)?;
    let bytes = fs::metadata(nights.first())?.len();
    // Two repositories for each tool, of a dump that compresses by half at
    // least; the file itself, a restored one, and a compressed one.
    let kept = if arguments.keep.is_some() {
        u64::from(arguments.rounds)
    } else {
        1
    };
    machine::must_have_room(&work.dir, (tools.len() as u64 + 3) * bytes * kept)?;
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let load = machine::load();
    let steps = Step::of(arguments.workload);
    let mut results = Results::default();
    for number in 0..rounds {
        eprintln!("round {} of {rounds}", number + 1);
        let dir = work.dir.join(format!("round-{number}"));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Round::new(&tools, &nights, &steps, usize::from(number), &dir)?.run(&mut results)?;
        if arguments.keep.is_none() {
            fs::remove_dir_all(&dir)?;
        }
    }
    tell(arguments, &tools, &nights, load, &results)
}

/// Where repositories are made. Unless they are kept, they go with it.
struct Work {
    dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl Work {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        if let Some(dir) = &arguments.keep {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            return Ok(Self {
                dir: fs::canonicalize(dir)?,
                _temporary: None,
            });
        }
        let parent = arguments
            .work_dir
            .clone()
            .unwrap_or_else(std::env::temp_dir);
        let temporary = TempDir::with_prefix_in("compare-", &parent)
            .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        Ok(Self {
            dir: fs::canonicalize(temporary.path())?,
            _temporary: Some(temporary),
        })
    }
}

/// The dumps that were given, or those that are made once and kept.
fn nights(arguments: &Arguments) -> anyhow::Result<Nights> {
    if let Some(dumps) = &arguments.data {
        return Nights::given(dumps);
    }
    let dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("benchdata"));
    let size = if arguments.quick {
        QUICK_BYTES
    } else {
        arguments.size
    };
    Nights::of(arguments.workload, &dir, size)
}

/// Prints the report, and writes it to the page after a full run.
fn tell(
    arguments: &Arguments,
    tools: &[Box<dyn Tool>],
    nights: &Nights,
    load: String,
    results: &Results,
) -> anyhow::Result<()> {
    let run = Run {
        facts: facts(arguments, tools, nights, load)?,
        order: tools.iter().map(|tool| tool.name()).collect(),
        workload: arguments.workload,
    };
    print!("{}", report::report(&run, results, false));
    let missed = targets(arguments.workload, results)
        .iter()
        .filter(|target| target.reached() == Some(false))
        .count();
    println!("\n{missed} targets were missed.");
    let is_full = !arguments.quick && arguments.only.is_empty();
    let page = match &arguments.page {
        Some(page) => page.clone(),
        None if is_full => page::usual(),
        None => return Ok(()),
    };
    let (section, title) = match arguments.workload {
        Workload::Heap => ("compare".to_owned(), "Beside other tools".to_owned()),
        other => (
            format!("compare-{}", other.name()),
            format!("Beside other tools: {}", other.name()),
        ),
    };
    let text = format!("## {title}\n\n{}", report::report(&run, results, true));
    page::put(&page, &section, &text)?;
    println!("Written to {}.", page.display());
    Ok(())
}

fn facts(
    arguments: &Arguments,
    tools: &[Box<dyn Tool>],
    nights: &Nights,
    load: String,
) -> anyhow::Result<Vec<String>> {
    let lens = nights.all().iter().map(|dump| {
        let len = fs::metadata(dump)?.len();
        Ok(table::grouped(len))
    });
    let lens: Vec<String> = lens.collect::<anyhow::Result<_>>()?;
    let origin = if arguments.data.is_some() {
        "Dumps that were given".to_owned()
    } else {
        arguments.workload.origin()?
    };
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let mut facts = vec![
        format!(
            "{}, commit {}, {}",
            machine::today(),
            machine::commit(),
            machine::machine()
        ),
        load,
        format!(
            "{origin}: {} bytes, the following nights {}",
            lens[0],
            lens[1..].join(" and ")
        ),
        format!("rounds: {rounds}; medians, but the largest peak of memory"),
    ];
    facts.extend(
        tools
            .iter()
            .map(|tool| format!("{}: {}", tool.name(), tool.version())),
    );
    facts.push(zstd::version()?);
    Ok(facts)
}
