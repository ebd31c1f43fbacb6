//! What figures depend on beside the program: the machine, the commit, the day.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, ensure};

/// The root of the workspace that this program was built from.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("a member has a root").to_owned()
}

/// The machine in one line.
pub fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or("an unknown processor");
    let kib: u64 = field(&meminfo, "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {model}, {} MiB of memory", kib >> 10)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// How busy the machine is: processes that ran or waited in the last minute.
pub fn load() -> String {
    let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = loadavg.split(' ').next().unwrap_or_default();
    format!("load average {last_minute} when it began; wall times count from an idle machine only")
}

/// The day, in UTC.
pub fn today() -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    now.date().to_string()
}

/// The commit, and whether files differ from it.
pub fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .args(["--exclude", "*"])
        .current_dir(workspace())
        .output();
    match described {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// Builds the program with optimisations, beside this one.
///
/// # Errors
///
/// If it can't be built.
pub fn build_indelible() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("this program lies in no target directory: say --indelible PATH")?;
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--package=indelible"])
        .args(["--bin=indelible", "--target-dir"])
        .arg(target)
        .current_dir(workspace())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "indelible can't be built");
    Ok(target.join("release").join("indelible"))
}

/// Fails unless a directory's disk has so much room.
///
/// # Errors
///
/// If it has less, or does not say.
pub fn must_have_room(dir: &Path, bytes: u64) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(dir)
        .with_context(|| format!("cannot ask how full {} is", dir.display()))?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free >= bytes,
        "{} has {} MB free, and this takes {}: give --work-dir",
        dir.display(),
        free / 1_000_000,
        bytes / 1_000_000
    );
    Ok(())
}
