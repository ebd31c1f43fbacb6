//! What is done with a mounted file, or with what a command prints.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, ensure};
use indelible_benches::figures::as_f64;
use indelible_benches::measure::{self, Input, Output, now};

/// Bytes read at once from one end to the other.
const STEP_BYTES: usize = 1 << 20;
/// Bytes read at once here and there, at multiples of it.
const PIECE_BYTES: usize = 4 << 10;
/// How many such reads there are, of all readers together.
pub(crate) const PIECES: usize = 2_000;

/// What reads here and there took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scattered {
    /// Reads a second.
    pub(crate) rate: f64,
    /// Half of the reads took at most so many milliseconds.
    pub(crate) half_ms: f64,
    /// And 99 of a hundred so many.
    pub(crate) most_ms: f64,
}

/// Reads to the end, into nothing, and fails unless so many bytes came.
pub(crate) fn drain(from: &mut dyn Read, len: u64) -> anyhow::Result<()> {
    let mut buffer = vec![0; STEP_BYTES];
    let mut got = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            read => got += read as u64,
        }
    }
    ensure!(got == len, "{got} bytes came of {len}");
    Ok(())
}

/// Reads a file from one end to the other, and says for how many seconds.
pub(crate) fn through(path: &Path, len: u64) -> anyhow::Result<f64> {
    let began = now();
    let mut file = open(path)?;
    drain(&mut file, len).with_context(|| path.display().to_string())?;
    Ok(began.elapsed().as_secs_f64())
}

/// Reads pieces of a file, evenly spread over it, by so many readers at once. The
/// seed decides which.
pub(crate) fn here_and_there(
    path: &Path,
    len: u64,
    readers: usize,
    seed: u64,
) -> anyhow::Result<Scattered> {
    let places = places(len, seed);
    let began = now();
    let times = thread::scope(|scope| {
        let threads: Vec<_> = places
            .chunks(places.len().div_ceil(readers))
            .map(|places| scope.spawn(|| read_pieces(path, places)))
            .collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|times| times.expect("reading does not panic"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let wall = began.elapsed().as_secs_f64();
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    Ok(Scattered {
        rate: as_f64(times.len() as u64) / wall,
        half_ms: times[times.len() / 2],
        most_ms: times[times.len() * 99 / 100],
    })
}

/// Where the pieces begin.
fn places(len: u64, seed: u64) -> Vec<u64> {
    let pieces = len / PIECE_BYTES as u64;
    let mut drawn = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let place = |()| {
        let mut bytes = [0; 8];
        drawn.fill(&mut bytes);
        u64::from_le_bytes(bytes) % pieces * PIECE_BYTES as u64
    };
    std::iter::repeat_n((), PIECES).map(place).collect()
}

/// Milliseconds of each read.
fn read_pieces(path: &Path, places: &[u64]) -> anyhow::Result<Vec<f64>> {
    let file = open(path)?;
    let mut piece = [0; PIECE_BYTES];
    let read = |&place: &u64| {
        let began = now();
        file.read_exact_at(&mut piece, place)
            .with_context(|| format!("{} at {place}", path.display()))?;
        Ok(began.elapsed().as_secs_f64() * 1_000.0)
    };
    places.iter().map(read).collect()
}

/// Runs `ls` with these arguments on a directory, and says for how many seconds. It
/// must print so many lines.
pub(crate) fn ls(arguments: &[&str], dir: &Path, lines: usize, log: &Path) -> anyhow::Result<f64> {
    let mut command = Command::new("ls");
    command.env("LC_ALL", "C").args(arguments).arg(dir);
    let mut count = |from: &mut dyn Read| {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        let found = text.lines().count();
        ensure!(found == lines, "{found} lines instead of {lines}");
        Ok(())
    };
    let sample = measure::run(command, &Input::Nothing, Output::Read(&mut count), log)?;
    Ok(sample.wall)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}
