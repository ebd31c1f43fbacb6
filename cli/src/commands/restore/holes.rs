//! Names what a restore could not bring back.

use std::fmt::Write as _;

use indelible_engine::restore::{Hole, Restored};
use indelible_format::path::EntryPath;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Prints a hole as data.
pub(crate) fn show(context: &Context, hole: &Hole) {
    if context.common.json {
        let (message_type, fields) = fields(hole);
        output::json(message_type, fields);
    } else {
        output::line(&line(hole));
    }
}

/// Prints a hole beside the data.
pub(crate) fn show_aside(context: &Context, hole: &Hole) {
    if context.common.json {
        let (message_type, fields) = fields(hole);
        output::json_aside(message_type, fields);
    } else {
        eprintln!("{}", line(hole));
    }
}

fn cause(hole: &Hole) -> String {
    Failure::from(hole.cause().clone()).line()
}

fn line(hole: &Hole) -> String {
    let cause = cause(hole);
    match hole {
        Hole::Bytes {
            path, offset, len, ..
        } => format!("HOLE {path} {offset} {len}: {cause}"),
        Hole::Entries {
            after,
            before,
            records_len,
            ..
        } => {
            let range = match (after, before) {
                (None, None) => "all entries".to_owned(),
                (Some(after), None) => format!("all entries after {after}"),
                (None, Some(before)) => format!("all entries before {before}"),
                (Some(after), Some(before)) => {
                    format!("entries between {after} and {before}")
                }
            };
            format!("LOST {range}, {records_len} bytes of records: {cause}")
        }
        _ => format!("LOST: {cause}"),
    }
}

fn fields(hole: &Hole) -> (&'static str, Value) {
    let cause = cause(hole);
    let shown = |path: &Option<EntryPath>| path.as_ref().map(ToString::to_string);
    match hole {
        Hole::Bytes {
            path, offset, len, ..
        } => {
            let path = path.to_string();
            let fields = json!({ "path": path, "offset": offset, "bytes": len, "cause": cause });
            ("hole", fields)
        }
        Hole::Entries {
            after,
            before,
            records_len,
            ..
        } => (
            "lost_entries",
            json!({
                "after": shown(after),
                "before": shown(before),
                "record_bytes": records_len,
                "cause": cause,
            }),
        ),
        _ => ("hole", json!({ "cause": cause })),
    }
}

/// How much is missing, in words.
pub(crate) fn sum(restored: &Restored) -> String {
    let mut text = output::count(restored.holes, "hole", "holes");
    if restored.hole_bytes > 0 {
        let _ = write!(
            text,
            " of zeros, {} together",
            output::size(restored.hole_bytes)
        );
    }
    if restored.files_with_holes > 0 {
        let files = output::count(restored.files_with_holes, "file", "files");
        let _ = write!(text, ", in {files} named NAME.salvaged");
    }
    text
}
