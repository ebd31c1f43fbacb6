//! A mount that goes on when the command has ended.
//!
//! The command runs itself again and waits until that process says on its standard
//! output that the file system is there. Only then does it let go of the terminal,
//! so a passphrase can still be asked for, and whatever goes wrong before is seen
//! here, with its exit code.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::mounted;
use crate::args::Mount;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// What the process says once it has mounted.
const READY: &[u8] = b"mounted\n";

/// Starts the process that mounts, and waits until it has.
pub(super) fn start(context: &Context, args: &Mount) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::io("start the mount in the background", &error);
    let program = env::current_exe().map_err(failed)?;
    let given = env::args_os().skip(1);
    let mut child = Command::new(program)
        .args(given.filter(|argument| argument != "--background"))
        .arg("--detached")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.as_mut() {
        // Whatever else it says, it did not mount.
        let _ = stdout.take(READY.len() as u64).read_to_end(&mut said);
    }
    if said == READY {
        if context.common.json {
            mounted(&args.dir, Some(child.id()), None);
        } else {
            let dir = args.dir.display();
            output::note(
                context,
                &format!(
                    "mounted on {dir} by process {}; end with umount {dir}",
                    child.id()
                ),
            );
        }
        return Ok(Exit::Done);
    }
    // It told why.
    let status = child.wait().map_err(failed)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.and_then(Exit::of_number).unwrap_or(Exit::Failed))
}

/// Says that the file system is there, and lets go of the terminal. What there is to
/// tell from now on goes to `log`, or nowhere.
pub(super) fn detach(context: &Context, log: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("go to the background", &error);
    let nothing = || OpenOptions::new().read(true).write(true).open("/dev/null");
    let nothing = nothing().map_err(failed)?;
    let log: File = match log {
        Some(path) => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| Failure::io(format!("write to {}", path.display()), &error))?,
        None => nothing.try_clone().map_err(failed)?,
    };
    // A process that a shell started as the leader of its group has a session that
    // nobody waits for: that is as good.
    let _ = setsid();
    let mut stdout = io::stdout().lock();
    stdout.write_all(READY).map_err(failed)?;
    stdout.flush().map_err(failed)?;
    let freed = dup2_stdin(&nothing)
        .and_then(|()| dup2_stdout(&nothing))
        .and_then(|()| dup2_stderr(&log));
    freed.map_err(|error| failed(error.into()))?;
    output::note(context, "mounted");
    Ok(())
}
