//! One long stream through Indelible: how much memory does it take?
//!
//! The stream is a dump of any size that exists nowhere else: it is written into
//! the program's standard input, and what comes back is held against its hash.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, ensure};
use indelible_benches::tools::indelible::Indelible;
use indelible_benches::tools::{Place, Task, Tool as _};
use indelible_benches::{Dump, Edit};

use crate::args::Arguments;
use crate::measure::{self, Input, Output, Sample};
use crate::table::{Table, grouped};
use crate::{machine, page};

/// What the stream is stored as.
const NAME: &str = "stream";

/// Bytes read back at once.
const READ_BYTES: usize = 128 * 1024;

/// Stores, verifies and restores.
///
/// # Errors
///
/// If a step fails, or what comes back is not what went in.
pub(crate) fn run(
    tool: &Indelible,
    size_bytes: u64,
    dir: &Path,
    arguments: &Arguments,
) -> anyhow::Result<()> {
    // The dump compresses to a third of its size.
    machine::must_have_room(dir, size_bytes / 2 + 1_000_000_000)?;
    let place = Place::new(dir.join("memory"))?;
    tool.create(&place)?;
    let (stored, written) = store(tool, &place, size_bytes)?;
    tell("snapshot --stdin", &stored);
    let verify = tool.job(&place, &Task::Verify).context("it verifies")?;
    let verified = measure::run(
        verify.command,
        &Input::Nothing,
        Output::Logged,
        &place.log(),
    )?;
    tell("verify", &verified);
    let restored = restore(tool, &place, &written)?;
    tell("restore --stdout", &restored);

    let mut table = Table::new(&["command", "peak MiB", "wall s", "CPU s"]);
    let repository = measure::tree_bytes(&place.repository())?;
    for (what, sample) in [
        ("snapshot --stdin", stored),
        ("verify", verified),
        ("restore --stdout", restored),
    ] {
        table.add(vec![
            what.to_owned(),
            format!("{:.1}", mib(sample.peak)),
            format!("{:.1}", sample.wall),
            format!("{:.1}", sample.cpu),
        ]);
    }
    let facts = format!(
        "- {}, commit {}, {}\n- a stream of {} bytes of `dumpgen` in a repository of {}; what came back was what went in\n\n",
        machine::today(),
        machine::commit(),
        machine::machine(),
        grouped(written.bytes),
        grouped(repository)
    );
    print!("{facts}{}", table.render(false));
    let page = arguments.page.clone().unwrap_or_else(page::usual);
    let text = format!("## Memory\n\n{facts}{}", table.render(true));
    page::put(&page, "memory", &text)?;
    println!("Written to {}.", page.display());
    Ok(())
}

/// What went in.
struct Written {
    bytes: u64,
    hash: blake3::Hash,
}

/// Hashes what passes.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn store(tool: &Indelible, place: &Place, size_bytes: u64) -> anyhow::Result<(Sample, Written)> {
    let dump = Dump {
        seed: 1,
        size_bytes,
        edit: Edit::Nothing,
        night: 0,
    };
    let written = std::sync::Mutex::new(None);
    let feed = |out: &mut dyn Write| {
        let mut hashing = Hashing {
            out,
            hasher: blake3::Hasher::new(),
        };
        let bytes = dump.write_to(&mut hashing)?.bytes;
        let hash = hashing.hasher.finalize();
        *written.lock().expect("no thread panicked") = Some(Written { bytes, hash });
        Ok(bytes)
    };
    let task = Task::StoreStream {
        name: NAME,
        label: NAME,
    };
    let job = tool.job(place, &task).context("it stores streams")?;
    let input = Input::Written(&feed);
    let sample = measure::run(job.command, &input, Output::Logged, &place.log())?;
    let written = written.into_inner().expect("no thread panicked");
    Ok((sample, written.context("nothing was written")?))
}

fn restore(tool: &Indelible, place: &Place, written: &Written) -> anyhow::Result<Sample> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut reader = |from: &mut dyn io::Read| {
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            hasher.update(&buffer[..read]);
        }
    };
    let file = Path::new(NAME);
    let job = tool.job(place, &Task::Print { file, label: NAME });
    let job = job.context("it restores streams")?;
    let output = Output::Read(&mut reader);
    let sample = measure::run(job.command, &Input::Nothing, output, &place.log())?;
    ensure!(
        hasher.count() == written.bytes && hasher.finalize() == written.hash,
        "what came back differs from what went in"
    );
    Ok(sample)
}

fn tell(what: &str, sample: &Sample) {
    eprintln!("{what}: {:.1} s, {:.1} MiB", sample.wall, mib(sample.peak));
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
