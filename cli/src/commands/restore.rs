//! `indelible restore`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use indelible_engine::repository::Snapshot;
use indelible_engine::restore::{Restore as Run, Restored};
use indelible_engine::target::Policy;
use indelible_format::history::Continuity;
use indelible_format::path::EntryPath;
use serde_json::json;

use crate::address::{self, Chosen};
use crate::args::Restore;
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::progress::Bars;

pub(crate) fn run(context: &Context, args: &Restore) -> Result<Exit, Failure> {
    let paths = args
        .paths
        .iter()
        .map(entry_path)
        .collect::<Result<Vec<_>, _>>()?;
    let store = context.store()?;
    let repository = context.open(&store)?;
    check_continuity(&repository, args)?;
    if repository.key().restore.is_none() {
        return Err(indelible_engine::read::ReadError::NotAllowed { needed: "restore" }.into());
    }
    let chosen = address::resolve(&args.snap, repository.snapshots())?;
    check_refusal(&chosen, args)?;
    if chosen.by_time {
        output::note(
            context,
            &format!("restoring {}", address::describe(&chosen.snapshot)),
        );
    }
    let cancel = interrupt::on_signals()?;
    let began = context.env.clock.monotonic_ms();
    let (listings, _) = repository.listings();
    let restored = {
        let bars = Bars::new(context);
        let run = Run::new(&repository, &listings, &chosen.snapshot, &cancel, &bars)?;
        match &args.target {
            Some(target) => run.to_directory(
                target,
                &paths,
                Policy {
                    overwrite: args.overwrite,
                },
            )?,
            None => to_stdout(&run, &paths)?,
        }
    };
    let took_ms = context.env.clock.monotonic_ms().saturating_sub(began);
    report(
        context,
        &chosen.snapshot,
        &restored,
        args.target.as_deref(),
        took_ms,
    );
    Ok(Exit::Done)
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

fn check_refusal(chosen: &Chosen, args: &Restore) -> Result<(), Failure> {
    let Some(refusal) = &chosen.snapshot.refused else {
        return Ok(());
    };
    if args.accept_refused && chosen.exactly {
        return Ok(());
    }
    let snapshot = address::describe(&chosen.snapshot);
    Err(
        Failure::new(Exit::Integrity, format!("{snapshot} is refused: {refusal}"))
            .hint("use another snapshot; if you must have this one, add --accept-refused"),
    )
}

fn entry_path(typed: &OsString) -> Result<EntryPath, Failure> {
    let mut bytes = typed.clone().into_vec();
    while bytes.last() == Some(&b'/') {
        bytes.pop();
    }
    EntryPath::new(bytes).map_err(|error| {
        Failure::usage(format!(
            "{} is no path in a snapshot: {error}",
            typed.to_string_lossy()
        ))
        .hint("paths are relative, as `restore` into a directory shows them")
    })
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
    Ok(run.to_writer(paths.first(), &mut stdout.lock())?)
}

fn report(
    context: &Context,
    snapshot: &Snapshot,
    restored: &Restored,
    target: Option<&Path>,
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
    let Some(target) = target else { return };
    if context.common.json {
        output::json(
            "restored",
            json!({
                "number": snapshot.number,
                "id": snapshot.commit.to_string(),
                "target": target.display().to_string(),
                "entries": restored.entries,
                "bytes": restored.bytes,
                "not_applied": restored.not_applied.len(),
                "took_ms": took_ms,
            }),
        );
    } else if !context.common.quiet {
        output::line(&format!(
            "restored {} below {}: {}, {} in {}",
            address::describe(snapshot),
            target.display(),
            output::count(restored.entries, "entry", "entries"),
            output::size(restored.bytes),
            output::duration(took_ms)
        ));
    }
}
