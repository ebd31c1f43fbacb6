//! What can be typed.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Parser;
use indelible_benches::databases::Workload;
use indelible_benches::parse_size;

use indelible_benches::tools::peers::PEERS;

/// Run Indelible and other backup tools on the same dumps, side by side.
///
/// Every tool that is in PATH takes part, with encryption and zstd at level 3.
/// The tools take turns in each step, a fresh repository for each tool and
/// round. What is restored must be what was stored. Medians of all rounds are
/// printed, and written to benches/RESULTS.md after a full run.
#[derive(Parser)]
#[command(name = "compare", version, after_help = how_to_install(), max_term_width = 100)]
pub(crate) struct Arguments {
    /// Which database, and what happens between its nights. All but `heap` take only
    /// the steps that its nights differ in, and are written to a section of their own
    #[arg(long, value_enum, default_value_t = Workload::Heap)]
    pub(crate) workload: Workload,

    /// How many rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,

    /// One round of small dumps, to see whether everything runs; writes no page
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these tools, separated by commas; writes no page
    #[arg(long, value_delimiter = ',', value_name = "TOOL,...")]
    pub(crate) only: Vec<String>,

    /// Keep repositories and logs in this directory, which is made
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,

    /// Two nights' dumps of one database, instead of those that are made
    #[arg(long, num_args = 2, value_names = ["NIGHT0", "NIGHT1"])]
    pub(crate) data: Option<Vec<PathBuf>>,

    /// Where dumps are kept once made [default: benchdata in the temporary
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Size of the dump: 500M, 1G (decimal) or 1GiB (binary)
    #[arg(long, default_value = "1G", value_parser = parse_size, conflicts_with = "quick")]
    pub(crate) size: u64,

    /// The program to measure [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    pub(crate) indelible: Option<PathBuf>,

    /// Where repositories are made [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,

    /// Write the results to this page, whatever else is said
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,

    /// Store, verify and restore a stream of this size with Indelible alone, and
    /// print the memory that each took at its peak
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,

    /// Hash a file with two threads, as a baseline
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) hash_file: Option<PathBuf>,
}

/// How each peer, and what else is needed, is had.
fn how_to_install() -> String {
    let mut text =
        "The dumps are made by PostgreSQL (apt-get install postgresql), MariaDB (mariadb-server)\n\
                    and SQLite (sqlite3), whichever the workload takes, and the baselines by zstd\n\
                    (apt-get install zstd). The tools:\n"
            .to_owned();
    for peer in &PEERS {
        let _ = writeln!(text, "  {:<9} {}", peer.name, peer.install);
    }
    text
}
