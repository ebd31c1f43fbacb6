//! What is stored, and a round: each step by every tool, each time on a fresh mount, so
//! that the kernel has kept nothing of it. Tools take turns within a step, and each
//! round begins with another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indelible_benches::databases::Nightly;
use indelible_benches::measure::{self, Input, Output, Sample};
use indelible_benches::tools::{Place, Task, Tool};

use crate::mounted::{Ended, Mounted};
use crate::reading::{drain, here_and_there, ls, through};
use crate::results::{Measured, Pass};

/// Files in the directory that is listed.
pub(crate) const NAMES: usize = 10_000;
/// How many read here and there at once.
pub(crate) const READERS: usize = 8;

/// What names the snapshots of the dump as it was, and as it is.
const NIGHTS: [&str; 2] = ["first", "night"];
/// And that of the directory.
const SMALL: &str = "small";

/// A tool with a repository of its own.
pub(crate) struct Contender<'a> {
    pub(crate) tool: &'a dyn Tool,
    pub(crate) measured: Measured,
    place: Place,
    /// Where it mounts.
    at: PathBuf,
}

/// What is stored.
pub(crate) struct Sources {
    pub(crate) dump: PathBuf,
    /// Its length on both nights, bytes.
    pub(crate) lens: [u64; 2],
    small: PathBuf,
}

/// A step of a round, whose number decides what is read here and there.
type Step = fn(&mut Contender<'_>, &Sources, u64) -> anyhow::Result<()>;

const STEPS: [(&str, Step); 8] = [
    ("list", |contender, _, _| contender.list()),
    ("print", |contender, sources, _| contender.print(sources)),
    ("read", |contender, sources, _| contender.through(sources)),
    ("one reader", |contender, sources, seed| {
        contender.here_and_there(sources, 1, seed)
    }),
    ("many readers", |contender, sources, seed| {
        contender.here_and_there(sources, READERS, seed)
    }),
    ("ls", |contender, sources, _| contender.names(sources)),
    ("ls -l", |contender, sources, _| contender.details(sources)),
    ("all", |contender, sources, seed| {
        contender.all(sources, seed)
    }),
];

/// Makes a repository for each tool that mounts, and stores two nights of a dump and a
/// directory of small files. The dump stays as it was on the second night.
///
/// # Errors
///
/// Those of the tools and of the disk.
pub(crate) fn prepare<'a>(
    tools: &'a [Box<dyn Tool>],
    size_bytes: u64,
    dir: &Path,
) -> anyhow::Result<(Vec<Contender<'a>>, Sources)> {
    let mut contenders = Vec::new();
    for tool in tools {
        let place = Place::new(dir.join(tool.name()))?;
        let at = place.file("mnt");
        if tool.mounted(&at, dir, SMALL).is_none() {
            eprintln!("{} does not mount", tool.name());
            continue;
        }
        fs::create_dir(&at)?;
        tool.create(&place)
            .with_context(|| format!("{} can't make a repository", tool.name()))?;
        contenders.push(Contender {
            tool: &**tool,
            measured: Measured::default(),
            place,
            at,
        });
    }
    let (dump, small) = (dir.join("dump.sql"), dir.join("small"));
    write_small(&small)?;
    let mut database = Nightly::Heap.start(size_bytes)?;
    let mut lens = [0; 2];
    for (number, (label, len)) in NIGHTS.into_iter().zip(&mut lens).enumerate() {
        if number > 0 {
            database.live()?;
        }
        database.dump(&dump)?;
        *len = fs::metadata(&dump)?.len();
        for contender in &contenders {
            if number == 0 {
                contender.store(&small, SMALL)?;
            }
            contender.store(&dump, label)?;
        }
    }
    Ok((contenders, Sources { dump, lens, small }))
}

fn write_small(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for number in 0..NAMES {
        let text = format!("-- the dump of table {number}\n");
        fs::write(dir.join(format!("table-{number:05}.sql")), text)?;
    }
    Ok(())
}

/// Takes every step, with every tool.
///
/// # Errors
///
/// If a tool fails, or shows something else than was stored.
pub(crate) fn run(
    contenders: &mut [Contender<'_>],
    sources: &Sources,
    number: u64,
) -> anyhow::Result<()> {
    let count = contenders.len();
    for (name, step) in STEPS {
        for turn in 0..count {
            let turn = (turn as u64 + number) % count as u64;
            let contender = &mut contenders[usize::try_from(turn)?];
            step(contender, sources, number)
                .with_context(|| format!("{}: {name}", contender.tool.name()))?;
            eprintln!("{name:<14} {}", contender.tool.name());
        }
    }
    Ok(())
}

impl Contender<'_> {
    fn store(&self, file: &Path, label: &str) -> anyhow::Result<()> {
        let job = self.tool.job(&self.place, &Task::Store { file, label });
        let job = job.context("it does not store")?;
        measure::prepare(job.command, &self.place.log())
            .with_context(|| format!("{} can't store", self.tool.name()))
    }

    fn list(&mut self) -> anyhow::Result<()> {
        let sample = self.command(&Task::List, Output::Logged)?;
        self.measured.listed.push(sample.wall);
        Ok(())
    }

    /// Prints the dump, for comparison with the mount.
    fn print(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let (file, label) = (&*sources.dump, NIGHTS[1]);
        let mut reader = |from: &mut dyn io::Read| drain(from, sources.lens[1]);
        let sample = self.command(&Task::Print { file, label }, Output::Read(&mut reader))?;
        let (wall, cpu) = (sample.wall, sample.cpu);
        self.measured.printed.push(Pass { wall, cpu });
        Ok(())
    }

    fn through(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let read = |shown: &Path| through(shown, sources.lens[1]);
        let (wall, ended) = self.on_mount(&sources.dump, NIGHTS[1], read)?;
        let cpu = ended.cpu;
        self.measured.through.push(Pass { wall, cpu });
        Ok(())
    }

    fn here_and_there(
        &mut self,
        sources: &Sources,
        readers: usize,
        seed: u64,
    ) -> anyhow::Result<()> {
        let read = |shown: &Path| here_and_there(shown, sources.lens[1], readers, seed);
        let (scattered, _) = self.on_mount(&sources.dump, NIGHTS[1], read)?;
        if readers == 1 {
            self.measured.alone.push(scattered);
        } else {
            self.measured.together.push(scattered);
        }
        Ok(())
    }

    fn names(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let log = self.place.file("ls.log");
        let list = |shown: &Path| ls(&[], shown, NAMES, &log);
        let (wall, _) = self.on_mount(&sources.small, SMALL, list)?;
        self.measured.names.push(wall);
        Ok(())
    }

    fn details(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let log = self.place.file("ls.log");
        // One line says the total.
        let list = |shown: &Path| ls(&["-l"], shown, NAMES + 1, &log);
        let (wall, _) = self.on_mount(&sources.small, SMALL, list)?;
        self.measured.details.push(wall);
        Ok(())
    }

    /// Does all of that on one mount, for its peak of memory. What it shows must be
    /// what was stored.
    fn all(&mut self, sources: &Sources, seed: u64) -> anyhow::Result<()> {
        let read = |shown: &Path| {
            measure::files_must_equal(shown, &sources.dump)?;
            for readers in [1, READERS] {
                here_and_there(shown, sources.lens[1], readers, seed)?;
            }
            Ok(())
        };
        self.on_mount(&sources.dump, NIGHTS[1], read)?;
        Ok(())
    }

    fn command(&self, task: &Task<'_>, output: Output<'_>) -> anyhow::Result<Sample> {
        let job = self.tool.job(&self.place, task);
        let job = job.context("it has no such command")?;
        measure::run(job.command, &Input::Nothing, output, &self.place.log())
    }

    /// Mounts, has something done with what was stored, and unmounts.
    fn on_mount<T>(
        &mut self,
        stored: &Path,
        label: &str,
        read: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Ended)> {
        let (file, at) = (stored, &*self.at);
        let job = self.tool.job(&self.place, &Task::Mount { file, at });
        let shown = self.tool.mounted(at, stored, label);
        let (job, shown) = job.zip(shown).context("it does not mount")?;
        let mounted = Mounted::start(job.command, at, &self.place.log())?;
        let ready = mounted.ready;
        let told = read(&shown)?;
        let ended = mounted.end()?;
        self.measured.ready.push(ready);
        self.measured.peak = self.measured.peak.max(ended.peak);
        Ok((told, ended))
    }
}
