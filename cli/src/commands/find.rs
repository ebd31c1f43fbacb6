//! `indelible find`.

use indelible_engine::repository::Snapshot;
use indelible_engine::sql;
use indelible_engine::view::{TableRows, rows_of};
use indelible_format::path::EntryPath;
use serde_json::json;

use super::look::Looking;
use crate::address;
use crate::args::Find;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};

pub(crate) fn run(context: &Context, args: &Find) -> Result<Exit, Failure> {
    let names = address::names(args.name.as_deref())?;
    let store = context.store()?;
    let looking = Looking::new(context, &store)?;
    let mut show = Show::new(context);
    for tree in looking.all()?.trees() {
        if !names.matches(&tree.snapshot().manifest.name) {
            continue;
        }
        for (path, contents) in &*tree.dumps()? {
            let wanted: Vec<String> = sql::tables_named(contents, &args.table)
                .into_iter()
                .map(|name| sql::show_name(contents.dialect(), name))
                .collect();
            let found = rows_of(contents).into_iter();
            for table in found.filter(|table| wanted.contains(&table.shown)) {
                show.found(tree.snapshot(), path, &table);
            }
        }
    }
    if show.finish() == 0 {
        output::note(
            context,
            &format!("no snapshot has rows of a table {}", args.table),
        );
    }
    Ok(looking.exit())
}

struct Show {
    lines: Option<Lines>,
    table: Table,
    found: u64,
}

impl Show {
    fn new(context: &Context) -> Self {
        let head = ["ENTRY", "NAME", "TIME", "DUMP", "TABLE", "ROWS", "SIZE"];
        Self {
            lines: context.common.json.then(Lines::new),
            table: Table::new(&head, &[0, 5, 6]),
            found: 0,
        }
    }

    fn found(&mut self, snapshot: &Snapshot, path: &EntryPath, table: &TableRows) {
        self.found += 1;
        let name = snapshot.manifest.name.as_str();
        match &mut self.lines {
            Some(lines) => lines.json(
                "found",
                json!({
                    "number": snapshot.number,
                    "name": name,
                    "time": output::utc_time(snapshot.claimed_ms),
                    "path": path.to_string(),
                    "table": table.shown,
                    "rows": table.rows,
                    "bytes": table.len,
                }),
            ),
            None => self.table.row([
                format!("@{}", snapshot.number),
                name.to_owned(),
                output::local_time(snapshot.claimed_ms),
                path.to_string(),
                table.shown.clone(),
                indicatif::HumanCount(table.rows).to_string(),
                output::size(table.len),
            ]),
        }
    }

    /// Prints what is not printed yet, and says how many tables were found.
    fn finish(self) -> u64 {
        if self.lines.is_none() && self.found > 0 {
            self.table.print();
        }
        self.found
    }
}
