//! `indelible mirror`.

use indelible_engine::mirror::{Lost, LostCause, Mirrored, mirror};
use indelible_engine::store::StoreError;
use serde_json::json;

use crate::args::Mirror;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::place::Place;
use crate::progress::Bars;

pub(crate) fn run(context: &Context, args: &Mirror) -> Result<Exit, Failure> {
    let original = context.store()?;
    let copy = Place::parse(&args.dest)?.create(&context.env)?;
    let cancel = interrupt::on_signals()?;
    let bars = Bars::new(context);
    let mirrored = mirror(&*original, &*copy, &cancel, &bars)?;
    drop(bars);
    for lost in &mirrored.lost {
        output::warn(context, &describe(lost));
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

/// What is altered weighs more than what is gone.
fn exit(mirrored: &Mirrored) -> Exit {
    let is_gone = |lost: &Lost| matches!(&lost.cause, LostCause::Store(error) if StoreError::is_not_found(error));
    if mirrored.lost.is_empty() {
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
