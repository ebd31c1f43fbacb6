//! Runs one command and says what it took: time on the wall, time of the
//! processors, memory at its peak.
//!
//! The figures are the kernel's own (`wait4`), for the process and all that it
//! waited for. What goes through pipes is delivered or checked here: a tool that
//! leaves its input unread, or prints other bytes than those that were stored,
//! fails the run. A child begins with its parent's peak of memory as its own, so
//! nothing here holds more than a few hundred kilobytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use wait4::{ResUse, Wait4 as _};

/// Bytes compared at once.
const COMPARED_BYTES: usize = 128 * 1024;

/// How much of what a failed command said is shown, bytes.
const SAID_BYTES: usize = 2_000;

/// What a command took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// From its start to its end, seconds.
    pub wall: f64,
    /// User and system time of the whole process tree, seconds.
    pub cpu: f64,
    /// The largest resident set of any process in it, bytes.
    pub peak: u64,
    /// How much longer the files of its repository became, bytes.
    pub added: Option<u64>,
}

/// A writer of standard input, which says how many bytes it wrote.
pub type Feed<'a> = dyn Fn(&mut dyn io::Write) -> io::Result<u64> + Send + Sync + 'a;

/// What a command is given.
pub enum Input<'a> {
    /// An empty standard input.
    Nothing,
    /// A file's bytes through a pipe.
    File(&'a Path),
    /// So many bytes of a writer's, through a pipe.
    Written(&'a Feed<'a>),
}

/// What becomes of what a command prints.
pub enum Output<'a> {
    /// It is kept in the log, to be shown if the command fails.
    Logged,
    /// It becomes a file.
    File(PathBuf),
    /// It goes through a pipe and must be this file's bytes.
    Equals(&'a Path),
    /// It goes through a pipe to a reader.
    Read(&'a mut (dyn FnMut(&mut dyn Read) -> anyhow::Result<()> + 'a)),
}

/// Runs a command that must succeed.
///
/// # Errors
///
/// If it can't be run or fails, with what it said; if its input was not read, or its
/// output is not what it must be.
pub fn run(
    mut command: Command,
    input: &Input<'_>,
    output: Output<'_>,
    log: &Path,
) -> anyhow::Result<Sample> {
    let said = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    command.stderr(said.try_clone()?);
    command.stdin(match input {
        Input::Nothing => Stdio::null(),
        Input::File(_) | Input::Written(_) => Stdio::piped(),
    });
    command.stdout(match &output {
        Output::Logged => Stdio::from(said),
        Output::File(path) => Stdio::from(File::create(path)?),
        Output::Equals(_) | Output::Read(_) => Stdio::piped(),
    });
    // What earlier commands left to write is not this one's work.
    rustix::fs::sync();
    let began = now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (fed, checked, used) = thread::scope(|scope| {
        let feeder = stdin.map(|mut stdin| scope.spawn(move || feed(input, &mut stdin)));
        let checked = match (stdout, output) {
            (Some(mut stdout), Output::Equals(path)) => must_equal(&mut stdout, path),
            (Some(mut stdout), Output::Read(reader)) => reader(&mut stdout),
            _ => Ok(()),
        };
        let used = child.wait4();
        let fed = feeder.map_or(Ok(()), |feeder| feeder.join().expect("it does not panic"));
        (fed, checked, used)
    });
    let wall = began.elapsed();
    let used = used.context("a child can't be waited for")?;
    succeeded(&command, &used, log)?;
    fed.with_context(|| format!("{command:?}"))?;
    checked.with_context(|| format!("{command:?}"))?;
    Ok(Sample {
        wall: wall.as_secs_f64(),
        cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        peak: used.rusage.maxrss,
        added: None,
    })
}

/// Runs a command that is not measured and must succeed.
///
/// # Errors
///
/// If it can't be run or fails, with what it said.
pub fn prepare(command: Command, log: &Path) -> anyhow::Result<()> {
    run(command, &Input::Nothing, Output::Logged, log).map(|_| ())
}

fn succeeded(command: &Command, used: &ResUse, log: &Path) -> anyhow::Result<()> {
    if used.status.success() {
        return Ok(());
    }
    let said = fs::read(log).unwrap_or_default();
    let end = String::from_utf8_lossy(&said[said.len().saturating_sub(SAID_BYTES)..]).into_owned();
    bail!("{command:?}: {}\n{end}", used.status)
}

/// What a stopwatch says.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this is for"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Processor time of this process so far: user and system, in ticks of 10 ms.
pub fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, which may hold anything, ends with the last parenthesis.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>()
        * 10
}

/// Writes all of the input, which is splicing where that is a file.
fn feed(input: &Input<'_>, stdin: &mut std::process::ChildStdin) -> anyhow::Result<()> {
    let fed = match input {
        Input::Nothing => Ok(0),
        Input::File(path) => {
            let mut file = File::open(path)?;
            let len = file.metadata()?.len();
            match io::copy(&mut file, stdin) {
                Ok(copied) if copied != len => bail!("read {copied} of {len} bytes of its input"),
                done => done,
            }
        }
        Input::Written(write) => write(stdin),
    };
    fed.map(|_| ()).context("did not read all of its input")
}

/// Reads to the end, and fails unless that was what the file holds.
fn must_equal(from: &mut dyn Read, path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut got, mut expected) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
    let mut at = 0;
    loop {
        let read = match from.read(&mut got) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        let expected = &mut expected[..read];
        file.read_exact_at(expected, at)
            .with_context(|| format!("more bytes came than {} has", path.display()))?;
        ensure!(
            *expected == got[..read],
            "what came back differs from {} within {read} bytes from offset {at}",
            path.display()
        );
        at += read as u64;
    }
    let len = file.metadata()?.len();
    ensure!(
        at == len,
        "{at} bytes came back of {len} in {}",
        path.display()
    );
    Ok(())
}

/// Fails unless two files hold the same bytes.
///
/// # Errors
///
/// If they do not, or can't be read.
pub fn files_must_equal(restored: &Path, path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(restored)
        .with_context(|| format!("nothing was restored to {}", restored.display()))?;
    must_equal(&mut file, path).with_context(|| restored.display().to_string())
}

/// Length of all files below a directory, bytes.
///
/// # Errors
///
/// If it can't be read.
pub fn tree_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for file in files_below(dir)? {
        bytes += fs::symlink_metadata(&file)?.len();
    }
    Ok(bytes)
}

/// All files below a directory.
///
/// # Errors
///
/// If it can't be read.
pub fn files_below(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Input, Output, run};
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    /// More than a pipe holds.
    const LEN: usize = 300_000;

    fn command(program: &str, file: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(file);
        command
    }

    /// Only what was stored passes for what was restored.
    ///
    /// Method: `cat` of the file itself, and of files with a byte altered, cut
    /// off and added.
    #[test]
    fn what_is_printed_must_be_the_file() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let (stored, printed) = (dir.path().join("stored"), dir.path().join("printed"));
        let right = vec![7; LEN];
        fs::write(&stored, &right).expect("it can be written");
        let mut altered = right.clone();
        altered[LEN - 1] = 8;
        let longer = [&right[..], b"x"].concat();
        let cases = [
            (&right[..], true),
            (&altered, false),
            (&right[1..], false),
            (&longer, false),
        ];
        for (bytes, passes) in cases {
            fs::write(&printed, bytes).expect("it can be written");
            let sample = run(
                command("cat", &printed),
                &Input::Nothing,
                Output::Equals(&stored),
                &dir.path().join("log"),
            );
            assert_eq!(sample.is_ok(), passes, "{} bytes: {sample:?}", bytes.len());
        }
    }

    /// A tool that ends well without having read its input has not stored it.
    ///
    /// Method: a command that reads nothing, and one that reads all.
    #[test]
    fn input_must_be_read() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let (stored, log) = (dir.path().join("stored"), dir.path().join("log"));
        fs::write(&stored, vec![7; LEN]).expect("it can be written");
        for (program, passes) in [("true", false), ("cat", true)] {
            let input = Input::File(&stored);
            let sample = run(Command::new(program), &input, Output::Logged, &log);
            assert_eq!(sample.is_ok(), passes, "{program}: {sample:?}");
        }
    }

    /// A failure is told with what the command said.
    ///
    /// Method: `cat` of a file that is not there.
    #[test]
    fn failures_are_told() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let absent = dir.path().join("absent");
        let log = dir.path().join("log");
        let error = run(
            command("cat", &absent),
            &Input::Nothing,
            Output::Logged,
            &log,
        )
        .expect_err("cat fails");
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
