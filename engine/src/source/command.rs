//! Runs a dump command and hands on what it prints.
//!
//! Whether the dump is whole is known only at its end: [`RunningCommand::finish`]
//! is the one way to learn it, and asks for exit status 0 and at least one byte.
//! A command that is not finished is killed with everything it started, whether
//! by [`RunningCommand::abort`], by a [`KillSwitch`] or because the handle was
//! dropped, so that no orphan goes on dumping.
//!
//! It can't hang the snapshot: its standard input is empty, its standard error
//! is drained by a thread, and reaching for a terminal ends it.
//!
//! This module changes nothing in the environment that the command inherits,
//! and puts no argument into a message: arguments carry passwords.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use indelible_format::path::shown;
use rustix::process::Signal;

use super::drain::{self, Drain, LineHandler};
use super::group::{End, Group, Watch};

/// How much of the end of standard error an error keeps, in bytes.
pub const STDERR_TAIL_BYTES_MAX: usize = drain::TAIL_BYTES_MAX;

/// The largest pipe that an unprivileged process may ask for by default. The
/// command runs on for that long while chunks are compressed.
const PIPE_BYTES: usize = 1024 * 1024;

/// Where a shell that knows `pipefail` is; Debian's `sh` does not.
const BASH: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];

/// What to run.
#[derive(Clone, Debug)]
pub enum CommandSpec {
    /// A program, looked up in `PATH`, and its arguments.
    Argv(Vec<OsString>),
    /// A line for a shell: bash with `pipefail`, so that a dump tool that fails
    /// in front of a pipe fails the line. Where there is no bash it is `sh`, and
    /// only the last command of a pipe counts.
    Shell(OsString),
}

/// What becomes of the command's standard error.
pub enum Stderr {
    /// It goes where the caller's goes, and errors quote nothing of it.
    Inherit,
    /// The handler is called for each line, from a thread; errors quote the
    /// last [`STDERR_TAIL_BYTES_MAX`] bytes.
    Lines(LineHandler),
}

impl Stderr {
    /// Keeps the last bytes for an error and shows them to nobody else.
    pub fn keep_tail() -> Self {
        Self::Lines(Box::new(|_| {}))
    }
}

/// Why a command's output is not a dump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// No such program is in `PATH`.
    #[error("the program {} was not found", shown(program.as_encoded_bytes()))]
    NotFound {
        /// The first word of the command.
        program: OsString,
    },
    /// The program is there but could not be started.
    #[error("the program {} could not be started", shown(program.as_encoded_bytes()))]
    NotStarted {
        /// The first word of the command.
        program: OsString,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended with an exit status other than 0.
    #[error("the command exited with status {code}")]
    Exited {
        /// The exit status.
        code: i32,
        /// The end of what it wrote to standard error.
        stderr_tail: Vec<u8>,
    },
    /// A signal ended it.
    #[error("the command died of signal {signal}")]
    Signalled {
        /// The number of the signal.
        signal: i32,
        /// The end of what it wrote to standard error.
        stderr_tail: Vec<u8>,
    },
    /// It asked for input on a terminal, most likely for a password.
    #[error("the command asked for input on the terminal and was ended")]
    WantedTerminal {
        /// The end of what it wrote to standard error.
        stderr_tail: Vec<u8>,
    },
    /// It exited with 0 without printing a byte, which no dump tool does.
    #[error("the command printed nothing")]
    PrintedNothing {
        /// The end of what it wrote to standard error.
        stderr_tail: Vec<u8>,
    },
    /// Its end could not be observed, so its output can't be trusted.
    #[error("the end of the command could not be observed")]
    EndUnknown {
        /// The system's answer.
        source: io::Error,
    },
}

/// Starts a command and gives what it prints and a handle on it.
///
/// # Errors
///
/// [`CommandError::Empty`], [`CommandError::NotFound`] or
/// [`CommandError::NotStarted`].
pub fn start(
    spec: &CommandSpec,
    stderr: Stderr,
) -> Result<(CommandOutput, RunningCommand), CommandError> {
    let mut command = command(spec)?;
    let program = command.get_program().to_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    let on_line = match stderr {
        Stderr::Inherit => {
            command.stderr(Stdio::inherit());
            None
        }
        Stderr::Lines(on_line) => {
            command.stderr(Stdio::piped());
            Some(on_line)
        }
    };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(CommandError::NotFound { program });
        }
        Err(source) => return Err(CommandError::NotStarted { program, source }),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = Arc::new(Group::led_by(child));
    let drain = || {
        stderr
            .zip(on_line)
            .map(|(stderr, on_line)| Drain::start(stderr, on_line))
    };
    let handle = Watch::start(Arc::clone(&group)).and_then(|watch| {
        // From here on, dropping the handle ends the command.
        let mut running = RunningCommand {
            group: Arc::clone(&group),
            watch,
            drain: None,
        };
        running.drain = drain().transpose()?;
        let stdout = stdout.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((CommandOutput::from_pipe(stdout), running))
    });
    handle.map_err(|source| {
        group.signal(Signal::KILL);
        group.reap();
        CommandError::NotStarted { program, source }
    })
}

fn command(spec: &CommandSpec) -> Result<Command, CommandError> {
    match spec {
        CommandSpec::Argv(argv) => {
            let (program, arguments) = argv.split_first().ok_or(CommandError::Empty)?;
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
        CommandSpec::Shell(line) if line.is_empty() => Err(CommandError::Empty),
        CommandSpec::Shell(line) => {
            let mut command = match BASH.into_iter().find(|bash| Path::new(bash).exists()) {
                Some(bash) => {
                    let mut command = Command::new(bash);
                    command.args(["-o", "pipefail"]);
                    command
                }
                None => Command::new("sh"),
            };
            command.arg("-c").arg(line);
            Ok(command)
        }
    }
}

/// What a command prints, to be read to its end.
#[derive(Debug)]
pub struct CommandOutput {
    pipe: ChildStdout,
}

impl CommandOutput {
    fn from_pipe(pipe: ChildStdout) -> Self {
        // A smaller pipe is slower, not wrong; a user's quota may refuse this.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
        Self { pipe }
    }
}

impl Read for CommandOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pipe.read(buffer)
    }
}

/// A handle on a command that was started. Dropping it kills the command.
#[derive(Debug)]
pub struct RunningCommand {
    group: Arc<Group>,
    watch: Watch,
    drain: Option<Drain>,
}

impl RunningCommand {
    /// Waits for the command's end and says whether its output is a dump.
    ///
    /// Call it after [`CommandOutput`] was read to its end, of `bytes_read`
    /// bytes, or dropped: a command whose output nobody takes never ends. When
    /// it failed, whatever it left running is killed.
    ///
    /// # Errors
    ///
    /// Any [`CommandError`] about an end other than exit status 0 with output.
    pub fn finish(self, bytes_read: u64) -> Result<(), CommandError> {
        let end = self.watch.wait();
        let succeeded = matches!(end, End::Exited { code: 0 });
        if !succeeded {
            self.group.signal(Signal::KILL);
        }
        self.group.reap();
        let stderr_tail = self.drain.as_ref().map(Drain::finish).unwrap_or_default();
        match end {
            End::Exited { code: 0 } if bytes_read > 0 => Ok(()),
            End::Exited { code: 0 } => Err(CommandError::PrintedNothing { stderr_tail }),
            End::Exited { code } => Err(CommandError::Exited { code, stderr_tail }),
            End::Signalled { signal } => Err(CommandError::Signalled {
                signal,
                stderr_tail,
            }),
            End::WantedTerminal => Err(CommandError::WantedTerminal { stderr_tail }),
            End::Unknown(source) => Err(CommandError::EndUnknown { source }),
        }
    }

    /// Ends the command and everything it started.
    ///
    /// All of it is asked to end, and whatever is left once the command itself
    /// has ended, or after `grace`, is killed.
    pub fn abort(self, grace: Duration) {
        self.group.signal(Signal::TERM);
        // What is stopped sees the request only when it goes on.
        self.group.signal(Signal::CONT);
        let ended = self.watch.wait_at_most(grace).is_some();
        self.group.signal(Signal::KILL);
        if !ended {
            self.watch.wait();
        }
        self.group.reap();
    }

    /// A switch that ends the command from another thread, so that a read that
    /// is waiting for output returns.
    pub fn kill_switch(&self) -> KillSwitch {
        KillSwitch {
            group: Arc::clone(&self.group),
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        // After `finish` or `abort` there is no group left to reach, and the
        // wait returns at once.
        self.group.signal(Signal::KILL);
        self.watch.wait();
        self.group.reap();
    }
}

/// Ends a command from another thread. It does nothing once the command ended.
#[derive(Clone, Debug)]
pub struct KillSwitch {
    group: Arc<Group>,
}

impl KillSwitch {
    /// Asks the command and everything it started to end.
    pub fn terminate(&self) {
        self.group.signal(Signal::TERM);
        self.group.signal(Signal::CONT);
    }

    /// Ends the command and everything it started.
    pub fn kill(&self) {
        self.group.signal(Signal::KILL);
    }
}
