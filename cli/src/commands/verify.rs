//! `indelible verify`: made to be run unattended, by a CI job or a timer.
//!
//! Whatever happens, the exit code says it, and so does the JUnit report if one
//! was asked for: also that the verification could not be made. A pin is written
//! only after a verification that found nothing wrong.

mod junit;
mod messages;
mod pin_file;
mod terms;
mod text;
mod told;

use std::error::Error;

use std::sync::Arc;

use indelible_engine::pin::Pin;
use indelible_engine::repository::{SeenLog, read_log};
use indelible_engine::verify::{self as engine, Problem, ProblemKind, Report, Terms};
use indelible_format::attest::Level;

use crate::args::{Verify, VerifyLevel};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Store;
use crate::progress::Bars;
use junit::Span;
use pin_file::PinFile;

pub(crate) fn run(context: &Context, args: &Verify) -> Result<Exit, Failure> {
    let clock = &context.env.clock;
    let (began_unix_ms, began_ms) = (clock.now_unix_ms(), clock.monotonic_ms());
    let mut outcome = verify(context, args);
    if let Some(path) = &args.report {
        let span = Span {
            began_unix_ms,
            took_ms: clock.monotonic_ms().saturating_sub(began_ms),
        };
        match (junit::write(path, &outcome, span), &outcome) {
            (Ok(()), _) => {}
            // Nothing else is wrong, so this is what went wrong.
            (Err(unwritten), Ok(report)) if report.is_sound() => outcome = Err(unwritten),
            (Err(unwritten), _) => output::warn_failure(context, &unwritten),
        }
    }
    outcome.map(|report| exit(&report))
}

fn verify(context: &Context, args: &Verify) -> Result<Report, Failure> {
    let extent = terms::extent(args)?;
    let pin = args
        .pin
        .as_deref()
        .map(|path| PinFile::read(path, args.require_pin))
        .transpose()?;
    if let Some(absent) = pin.as_ref().filter(|pin| pin.pinned().is_none()) {
        absent.tell_absence(context, args.update_pin);
    }
    let pinned = pin.as_ref().and_then(PinFile::pinned);
    let make = |seen: &SeenLog| -> Result<Terms<'_>, Failure> {
        Ok(Terms {
            extent,
            pin: pinned,
            accepted: terms::accept(context, args, seen, pinned)?,
            takes_word: !args.download,
        })
    };
    let store = context.store()?;
    let report = if needs_no_key(context, args) {
        without_key(context, &store, &make)
    } else {
        with_key(context, &store, args, &make)
    };
    let report = report.map_err(|failure| match failure.exit {
        Exit::Key => exchanged(&store, pinned).unwrap_or(failure),
        _ => failure,
    })?;
    if context.common.json {
        messages::print(&report);
    } else {
        text::print(context, &report);
    }
    if let (Some(file), true, Some(pin)) = (pin, args.update_pin, report.pin()) {
        file.write(&pin)?;
    }
    Ok(report)
}

/// A key that does not fit may be the right one, and the repository another: the
/// pin tells.
fn exchanged(store: &Arc<Store>, pin: Option<&Pin>) -> Option<Failure> {
    let seen = read_log(&**store, None, None).ok()?;
    seen.against(pin).err().map(Failure::from)
}

fn needs_no_key(context: &Context, args: &Verify) -> bool {
    match args.level {
        Some(level) => level == VerifyLevel::Packs,
        None => !context.has_credential(),
    }
}

/// Makes the terms of a verification for the log that is there.
type MakeTerms<'a> = dyn Fn(&SeenLog) -> Result<Terms<'a>, Failure> + 'a;

fn without_key(
    context: &Context,
    store: &Arc<Store>,
    make: &MakeTerms<'_>,
) -> Result<Report, Failure> {
    let seen = context.read_log(store)?;
    let terms = make(&seen)?;
    let bars = Bars::new(context);
    Ok(engine::packs(&**store, &seen, &terms, &context.env, &bars)?)
}

fn with_key(
    context: &Context,
    store: &Arc<Store>,
    args: &Verify,
    make: &MakeTerms<'_>,
) -> Result<Report, Failure> {
    let repository = context.open_unwarned(store)?;
    let key = repository.key();
    let level = match args.level {
        Some(VerifyLevel::Data) => Level::Data,
        None if key.restore.is_some() => Level::Data,
        None if key.verify.is_none() => Level::Packs,
        _ => Level::Tree,
    };
    let terms = make(repository.seen())?;
    let bars = Bars::new(context);
    if level == Level::Packs {
        let seen = repository.seen();
        return Ok(engine::packs(&**store, seen, &terms, &context.env, &bars)?);
    }
    Ok(engine::with_key(&repository, level, &terms, &bars)?)
}

fn exit(report: &Report) -> Exit {
    let of_state =
        |problem: &Problem| matches!(problem.kind, ProblemKind::RolledBack | ProblemKind::Forked);
    if report.is_sound() {
        Exit::Done
    } else if report.problems.iter().all(of_state) {
        Exit::Rollback
    } else if report
        .problems
        .iter()
        .all(|problem| problem.kind == ProblemKind::ShortLock)
    {
        Exit::ShortLock
    } else {
        Exit::Integrity
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Packs => "packs",
        Level::Tree => "tree",
        Level::Data => "data",
        Level::Drill => "drill",
    }
}

/// The causes of a problem, outermost first, in one line.
fn causes(problem: &Problem) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut error = problem.cause.as_deref().map(|cause| cause as &dyn Error);
    while let Some(cause) = error {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        error = cause.source();
    }
    texts.join(": ")
}
