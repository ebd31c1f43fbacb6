//! `indelible diff`.

use indelible_engine::view::{Change, EntryChange, TableChange, diff};
use serde_json::json;

use super::look::Looking;
use crate::address;
use crate::args::Diff;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};

pub(crate) fn run(context: &Context, args: &Diff) -> Result<Exit, Failure> {
    let store = context.store()?;
    let looking = Looking::new(context, &store)?;
    let before = looking.snapshot(context, &args.before)?;
    let after = looking.snapshot(context, &args.after)?;
    let mut lines = context.common.json.then(Lines::new);
    let mut table = Table::new(&["", "PATH", "SIZE", "NEW", "GONE", "ROWS"], &[2, 3, 4, 5]);
    diff(&before, &after, &mut |change| match &mut lines {
        Some(lines) => lines.json("change", describe(&change)),
        None => add(&mut table, &change),
    })?;
    drop(lines);
    if !context.common.json && table.is_empty() {
        let [before, after] = [&before, &after].map(|tree| address::describe(tree.snapshot()));
        output::note(context, &format!("{after} has what {before} has"));
    } else if !context.common.json {
        table.print();
    }
    Ok(looking.exit())
}

fn letter(change: Change) -> &'static str {
    match change {
        Change::Added => "+",
        Change::Removed => "-",
        Change::Changed => "M",
        Change::Metadata => "m",
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
        Change::Metadata => "metadata",
    }
}

/// A row for an entry, and one for each table in it.
fn add(table: &mut Table, change: &EntryChange) {
    let bytes = |bytes: u64| {
        if bytes == 0 {
            String::new()
        } else {
            output::size(bytes)
        }
    };
    table.row([
        letter(change.change).to_owned(),
        change.path.to_string(),
        bytes(change.after_bytes.or(change.before_bytes).unwrap_or(0)),
        bytes(change.new_bytes),
        bytes(change.gone_bytes),
        String::new(),
    ]);
    for inside in &change.tables {
        table.row([
            String::new(),
            format!("  {} {}", letter(inside.change), inside.name),
            bytes(inside.after_bytes.or(inside.before_bytes).unwrap_or(0)),
            bytes(inside.new_bytes),
            String::new(),
            rows(inside),
        ]);
    }
}

/// How many rows a table had and has.
fn rows(change: &TableChange) -> String {
    let count = |rows: u64| indicatif::HumanCount(rows).to_string();
    match (change.before_rows, change.after_rows) {
        (Some(before), Some(after)) if before == after => count(after),
        (Some(before), Some(after)) => {
            let sign = if after > before { '+' } else { '-' };
            format!("{} ({sign}{})", count(after), count(after.abs_diff(before)))
        }
        (Some(rows), None) | (None, Some(rows)) => count(rows),
        (None, None) => String::new(),
    }
}

fn describe(change: &EntryChange) -> serde_json::Value {
    let table = |table: &TableChange| {
        json!({
            "table": table.name,
            "change": word(table.change),
            "before_rows": table.before_rows,
            "after_rows": table.after_rows,
            "before_bytes": table.before_bytes,
            "after_bytes": table.after_bytes,
            "new_bytes": table.new_bytes,
        })
    };
    json!({
        "path": change.path.to_string(),
        "change": word(change.change),
        "before_bytes": change.before_bytes,
        "after_bytes": change.after_bytes,
        "new_bytes": change.new_bytes,
        "gone_bytes": change.gone_bytes,
        "tables": change.tables.iter().map(table).collect::<Vec<_>>(),
    })
}
