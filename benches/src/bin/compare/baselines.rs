//! What bounds a tool on this machine: hashing alone, run as a process of its own and
//! measured like the tools.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context as _;

use crate::measure::{self, Input, Output, Sample};
use indelible_benches::tools::Place;

/// Bytes that a thread hashes at once.
const HASHED_BYTES: u64 = 1 << 20;

/// Threads that hash.
const THREADS: usize = 2;

/// The argument that makes this program hash a file and end.
pub(crate) const HASH_ARGUMENT: &str = "--hash-file";

/// Hashes a file with two threads.
pub(crate) fn hash(place: &Place, file: &Path) -> anyhow::Result<Sample> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(HASH_ARGUMENT).arg(file);
    measure::run(command, &Input::Nothing, Output::Logged, &place.log())
}

/// Hashes a file block by block, two blocks at a time: the work that nobody who
/// must know each byte can do without.
pub(crate) fn hash_blocks(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let len = file.metadata()?.len();
    let next = AtomicU64::new(0);
    let digests = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| hash_until(&file, len, &next)))
            .collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|digest| digest.expect("hashing does not panic"))
            .collect::<io::Result<Vec<_>>>()
    })?;
    // Printed, so that the work can't be left out.
    println!("{digests:?}");
    Ok(())
}

fn hash_until(file: &File, len: u64, next: &AtomicU64) -> io::Result<blake3::Hash> {
    let mut all = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(HASHED_BYTES).expect("it fits into memory")];
    loop {
        let at = next.fetch_add(HASHED_BYTES, Ordering::Relaxed);
        if at >= len {
            return Ok(all.finalize());
        }
        let block = usize::try_from((len - at).min(HASHED_BYTES)).expect("at most the buffer");
        file.read_exact_at(&mut buffer[..block], at)?;
        all.update(blake3::hash(&buffer[..block]).as_bytes());
    }
}

/// Copies a part of a file, as far as there is any, to another.
pub(crate) fn copy_part(from: &Path, at: u64, len: usize, to: &Path) -> anyhow::Result<()> {
    let mut file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
    file.seek(SeekFrom::Start(at))?;
    let mut part = Vec::new();
    file.take(len as u64).read_to_end(&mut part)?;
    fs::write(to, part).with_context(|| format!("cannot write {}", to.display()))
}
