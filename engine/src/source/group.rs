//! The processes of one dump command.
//!
//! The command leads a process group of its own, so that one signal reaches
//! whatever it started. A signal is sent only while the leader has not been
//! reaped: until then the kernel gives its number to nobody else, so no signal
//! of ours can reach a stranger. [`Watch`] therefore waits without reaping.

use std::io;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

/// A command and everything that it started.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    /// Gone once it was reaped.
    child: Mutex<Option<Child>>,
}

impl Group {
    /// Takes over a child that was started as the leader of its own group.
    pub(super) fn led_by(child: Child) -> Self {
        Self {
            leader: Pid::from_child(&child),
            child: Mutex::new(Some(child)),
        }
    }

    /// Sends `signal` to every process of the group that is left.
    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_some() {
            // Members that changed their user can't be reached. There is no
            // second way to try, and what follows doesn't depend on it.
            let _ = rustix::process::kill_process_group(self.leader, signal);
        }
    }

    /// Releases the leader's number, after it ended or was killed.
    pub(super) fn reap(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = child.take() {
            // How it ended is known already.
            let _ = child.wait();
        }
    }
}

/// How the leader ended.
#[derive(Debug)]
pub(super) enum End {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// It reached for a terminal, such as for a password, and was killed.
    WantedTerminal,
    /// The kernel would not tell.
    Unknown(io::Error),
}

/// Waits for the end of a group's leader, in a thread.
#[derive(Debug)]
pub(super) struct Watch {
    end: Receiver<End>,
}

impl Watch {
    pub(super) fn start(group: Arc<Group>) -> io::Result<Self> {
        let (sender, end) = mpsc::channel();
        thread::Builder::new()
            .name("dump-watch".into())
            .spawn(move || {
                // Nobody listens any more when the handle was dropped.
                let _ = sender.send(wait(&group));
            })?;
        Ok(Self { end })
    }

    /// Waits until the leader has ended.
    pub(super) fn wait(&self) -> End {
        self.end.recv().unwrap_or_else(|_| thread_died())
    }

    /// Waits until the leader has ended, but no longer than `limit`.
    pub(super) fn wait_at_most(&self, limit: Duration) -> Option<End> {
        match self.end.recv_timeout(limit) {
            Ok(end) => Some(end),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(thread_died()),
        }
    }
}

fn thread_died() -> End {
    End::Unknown(io::Error::other(
        "the thread that waits for the command ended early",
    ))
}

/// Waits for the leader's end and leaves it to be reaped.
///
/// A process of a background group that reads the terminal is stopped until
/// somebody brings it to the foreground, which nobody will: without a look at
/// stops, a dump tool that asks for a password would hang the snapshot.
fn wait(group: &Group) -> End {
    let mut wanted_terminal = false;
    loop {
        let mut what = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if !wanted_terminal {
            what |= WaitIdOptions::STOPPED;
        }
        let status = match wait_for(group.leader, what) {
            Ok(Some(status)) => status,
            Ok(None) => continue,
            Err(errno) => return End::Unknown(errno.into()),
        };
        if let Some(code) = status.exit_status() {
            return End::Exited { code };
        }
        if let Some(signal) = status.terminating_signal() {
            return if wanted_terminal {
                End::WantedTerminal
            } else {
                End::Signalled { signal }
            };
        }
        // A stop: taking note of it makes the next one visible.
        let noted = wait_for(group.leader, WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        let signal = noted
            .ok()
            .flatten()
            .and_then(|status| status.stopping_signal());
        if [Signal::TTIN, Signal::TTOU]
            .map(|s| Some(s.as_raw()))
            .contains(&signal)
        {
            wanted_terminal = true;
            group.signal(Signal::KILL);
        }
    }
}

fn wait_for(leader: Pid, what: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
    rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(leader), what))
}
