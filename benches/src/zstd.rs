//! zstd's own program, as what to hold others against.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::measure::{self, Input, Output, Sample};
use crate::programs::{in_path, said_version};

/// What [`patch`] runs.
pub const PATCH: &str = "zstd -1 --long=30 --patch-from";

/// Compresses a file with these arguments, and says what came out by what was
/// "added". A directory takes that for as long, and the log.
///
/// # Errors
///
/// If zstd is missing or fails.
pub fn compress(arguments: &[&str], file: &Path, dir: &Path) -> anyhow::Result<Sample> {
    let program = in_path("zstd").context("zstd is missing: apt-get install zstd")?;
    let out = dir.join("out.zst");
    let mut command = Command::new(program);
    command.args(["--quiet", "--force"]).args(arguments);
    command.arg(file).arg("-o").arg(&out);
    let log = dir.join("zstd.log");
    let mut sample = measure::run(command, &Input::Nothing, Output::Logged, &log)?;
    sample.added = Some(fs::metadata(&out)?.len());
    fs::remove_file(&out)?;
    Ok(sample)
}

/// Compresses what a night has over the one before.
///
/// # Errors
///
/// If zstd is missing or fails.
pub fn patch(before: &Path, tonight: &Path, dir: &Path) -> anyhow::Result<Sample> {
    let from = format!("--patch-from={}", before.display());
    compress(&["-1", "--long=30", &from], tonight, dir)
}

/// What it says of itself.
///
/// # Errors
///
/// If it is missing.
pub fn version() -> anyhow::Result<String> {
    let program = in_path("zstd").context("zstd is missing: apt-get install zstd")?;
    said_version(&program, "--version")
}
