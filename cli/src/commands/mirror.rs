//! `indelible mirror`.

use indelible_engine::mirror::{Lost, LostCause, Mirrored, ShortLock, mirror};
use indelible_engine::store::StoreError;
use indelible_format::policy::LockMode;
use serde_json::json;

use crate::args::Mirror;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::place::{Place, Store};
use crate::progress::Bars;

/// The lock of what is put before it gets the original's.
const FIRST_LOCK_MS: u64 = 86_400_000;

pub(crate) fn run(context: &Context, args: &Mirror) -> Result<Exit, Failure> {
    let (place, dest) = (context.place()?, Place::parse(&args.dest)?);
    context.note_limits(&[&place, &dest]);
    let original = place.open(&context.env, &context.limits)?;
    let copy = dest.create(&context.env, &context.limits)?;
    let latest_ms = prepare_locks(context, args, &*copy)?;
    let cancel = interrupt::on_signals()?;
    let bars = Bars::new(context);
    let mirrored = mirror(&*original, &*copy, latest_ms, &cancel, &bars)?;
    drop(bars);
    for lost in &mirrored.lost {
        output::warn(context, &describe(lost));
    }
    if let Some((key, error)) = &mirrored.locks.short {
        let hint = match error {
            ShortLock::BeyondAllowed => {
                "the copy is whole; for longer locks mirror again with --lock compliance --confirm-compliance SPAN"
            }
            _ => {
                "the copy is whole, and not locked for as long as the original; mirror again with credentials that may lock"
            }
        };
        let failure = Failure::of(Exit::ShortLock, error).hint(hint);
        output::warn(context, &format!("{key} of the copy:"));
        output::warn_failure(context, &failure);
    }
    report(context, args, &mirrored);
    Ok(exit(&mirrored))
}

fn describe(lost: &Lost) -> String {
    let cause: &dyn std::error::Error = &lost.cause;
    let because = cause.source().map(|source| format!(": {source}"));
    format!(
        "{} of entry @{} was not copied: {}{}",
        lost.key,
        lost.entry,
        lost.cause,
        because.unwrap_or_default()
    )
}

/// Has the copy lock what it takes, and says how late locks may end. Compliance locks have
/// to be confirmed with the longest span that the copy may get.
fn prepare_locks(context: &Context, args: &Mirror, copy: &Store) -> Result<u64, Failure> {
    let confirmed = args
        .locking
        .confirm_compliance
        .map(crate::when::KeptFor::ms);
    let can = copy.capabilities();
    let Some(mode) = args.locking.mode() else {
        // Nobody said for how long the copy may be locked, and nobody could unlock it.
        return Ok(if can.final_locks { 0 } else { u64::MAX });
    };
    if can.final_locks && mode != LockMode::Compliance {
        return Err(Failure::usage(format!(
            "locks in {} hold against everybody, until they end",
            args.dest
        ))
        .hint("give --lock compliance, and the longest that the copy may get"));
    }
    if mode == LockMode::Compliance && confirmed.is_none() {
        return Err(
            Failure::usage("compliance locks hold against everybody, until they end")
                .hint("name the longest that the copy may get: --confirm-compliance 400d"),
        );
    }
    copy.lock_new(mode, FIRST_LOCK_MS);
    if !can.locks {
        return Err(
            Failure::new(Exit::Policy, format!("{} locks nothing", args.dest))
                .hint("use a bucket with Object Lock, or leave out --lock"),
        );
    }
    let now_ms = context.env.clock.now_unix_ms();
    // What has a lock without an end can't have one in S3.
    Ok(confirmed.map_or(u64::MAX - 1, |span_ms| now_ms.saturating_add(span_ms)))
}

/// What is altered weighs more than what is gone.
fn exit(mirrored: &Mirrored) -> Exit {
    let is_gone = |lost: &Lost| matches!(&lost.cause, LostCause::Store(error) if StoreError::is_not_found(error));
    if mirrored.lost.is_empty() && mirrored.locks.short.is_some() {
        Exit::ShortLock
    } else if mirrored.lost.is_empty() {
        Exit::Done
    } else if mirrored.lost.iter().all(is_gone) {
        Exit::Missing
    } else {
        Exit::Integrity
    }
}

fn report(context: &Context, args: &Mirror, mirrored: &Mirrored) {
    if context.common.json {
        output::json(
            "mirrored",
            json!({
                "dest": args.dest,
                "log_size": mirrored.size,
                "entries": mirrored.entries,
                "packs": mirrored.packs,
                "bytes": mirrored.bytes,
                "lost": mirrored.lost.len(),
                "locks": mirrored.locks.longer,
            }),
        );
    } else if !context.common.quiet {
        output::line(&format!(
            "{} has all {}: {} and {} copied, {}",
            args.dest,
            output::count(mirrored.size, "log entry", "log entries"),
            output::count(mirrored.entries, "entry", "entries"),
            output::count(mirrored.packs, "pack", "packs"),
            output::size(mirrored.bytes),
        ));
    }
}
