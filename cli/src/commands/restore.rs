//! `indelible restore`.

mod holes;
mod plan;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use indelible_engine::read::ReadError;
use indelible_engine::repository::Snapshot;
use indelible_engine::restore::{Hole, Restore as Run, Restored};
use indelible_engine::target::Policy;
use indelible_format::history::Continuity;
use indelible_format::path::EntryPath;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use serde_json::json;

use super::look::entry_path;
use crate::address;
use crate::args::Restore;
use crate::context::Context;
use crate::context::Opened;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::progress::Bars;

/// How much a pipe is to hold, bytes: the most that Linux lets everybody ask for.
const PIPE_BYTES: usize = 1 << 20;

pub(crate) fn run(context: &Context, args: &Restore) -> Result<Exit, Failure> {
    let paths = args
        .paths
        .iter()
        .map(|typed| entry_path(typed))
        .collect::<Result<Vec<_>, _>>()?;
    let store = context.store()?;
    let repository = context.open(&store)?;
    check_continuity(&repository, args)?;
    if repository.key().restore.is_none() && !args.plan {
        return Err(ReadError::NotAllowed { needed: "restore" }.into());
    }
    let chosen = address::resolve(&args.snap, repository.snapshots())?;
    address::check_refusal(&chosen, args.accept_refused)?;
    if let (true, Some(target)) = (args.plan, &args.target) {
        return plan::run(context, &repository, &chosen.snapshot, &paths, target, args);
    }
    if chosen.by_time {
        output::note(
            context,
            &format!("restoring {}", address::describe(&chosen.snapshot)),
        );
    }
    let began = context.env.clock.monotonic_ms();
    let restored = restore(context, &repository, &chosen.snapshot, &paths, args)?;
    let took_ms = context.env.clock.monotonic_ms().saturating_sub(began);
    report(context, &chosen.snapshot, &restored, args, took_ms);
    Ok(if restored.holes == 0 {
        Exit::Done
    } else {
        Exit::Integrity
    })
}

fn policy(args: &Restore) -> Policy {
    Policy {
        overwrite: args.overwrite,
    }
}

fn restore(
    context: &Context,
    repository: &Opened<'_>,
    snapshot: &Snapshot,
    paths: &[EntryPath],
    args: &Restore,
) -> Result<Restored, Failure> {
    let cancel = interrupt::on_signals()?;
    let (listings, _) = repository.listings();
    let bars = Bars::new(context);
    // Standard output may hold the data itself.
    let show = if args.stdout {
        holes::show_aside
    } else {
        holes::show
    };
    let tell = |hole: &Hole| bars.aside(|| show(context, hole));
    let mut run = Run::new(repository, &listings, snapshot, &cancel, &bars)?;
    if args.salvage {
        run = run.salvaging(&tell);
    }
    if args.resume {
        run = run.resuming();
    }
    match &args.target {
        Some(target) => Ok(run.to_directory(target, paths, policy(args))?),
        None => to_stdout(&run, paths),
    }
}

fn check_continuity(repository: &Opened<'_>, args: &Restore) -> Result<(), Failure> {
    let contradicts = matches!(
        repository.continuity(),
        Continuity::Behind { .. } | Continuity::Forked { .. }
    );
    if contradicts && !args.accept_rollback {
        return Err(Failure::new(
            Exit::Rollback,
            "the log contradicts what this machine saw of it",
        )
        .hint(
            "what you restore may be older than what you backed up; go on with --accept-rollback",
        ));
    }
    Ok(())
}

fn to_stdout<S: indelible_engine::store::ReadStore + ?Sized>(
    run: &Run<'_, S>,
    paths: &[EntryPath],
) -> Result<Restored, Failure> {
    if paths.len() > 1 {
        return Err(Failure::usage(
            "one file at a time can be written to standard output",
        ));
    }
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(
            Failure::usage("standard output is a terminal").hint("send it to a file or a program")
        );
    }
    widen(&stdout);
    // Past the buffer of the library, which looks for the last line in every write.
    let out = stdout.as_fd().try_clone_to_owned();
    let out = out.map_err(|error| Failure::io("write to standard output", &error))?;
    Ok(run.to_writer(paths.first(), &mut File::from(out))?)
}

/// Makes a pipe hold more, so that whoever reads it and the restore wait for each
/// other less often. What is no pipe, or may not be longer, stays as it is.
fn widen(stdout: &io::Stdout) {
    if fcntl_getpipe_size(stdout).is_ok_and(|size| size < PIPE_BYTES) {
        let _ = fcntl_setpipe_size(stdout, PIPE_BYTES);
    }
}

fn report(
    context: &Context,
    snapshot: &Snapshot,
    restored: &Restored,
    args: &Restore,
    took_ms: u64,
) {
    for not_applied in restored.not_applied.iter().take(20) {
        output::warn(context, &not_applied.to_string());
    }
    if restored.not_applied.len() > 20 {
        let more = restored.not_applied.len() - 20;
        output::warn(context, &format!("and {more} more like these"));
    }
    // Standard output holds the data itself.
    let Some(target) = &args.target else {
        if restored.holes > 0 {
            output::warn(context, &format!("the output has {}", holes::sum(restored)));
        }
        return;
    };
    if context.common.json {
        output::json(
            "restored",
            json!({
                "number": snapshot.number,
                "id": snapshot.commit.to_string(),
                "target": target.display().to_string(),
                "entries": restored.entries,
                "bytes": restored.bytes,
                "kept_bytes": restored.kept_bytes,
                "holes": restored.holes,
                "hole_bytes": restored.hole_bytes,
                "files_with_holes": restored.files_with_holes,
                "not_applied": restored.not_applied.len(),
                "took_ms": took_ms,
            }),
        );
    } else if !context.common.quiet || restored.holes > 0 {
        print(snapshot, restored, target, args.resume, took_ms);
    }
}

fn print(snapshot: &Snapshot, restored: &Restored, target: &Path, resumed: bool, took_ms: u64) {
    let kept = if resumed {
        let kept = output::size(restored.kept_bytes);
        format!(" written, {kept} kept,")
    } else {
        String::new()
    };
    output::line(&format!(
        "{} {} below {}: {}, {}{kept} in {}",
        if restored.holes == 0 {
            "restored"
        } else {
            "salvaged"
        },
        address::describe(snapshot),
        target.display(),
        output::count(restored.entries, "entry", "entries"),
        output::size(restored.bytes),
        output::duration(took_ms)
    ));
    if restored.holes > 0 {
        output::line(&holes::sum(restored));
    }
}
