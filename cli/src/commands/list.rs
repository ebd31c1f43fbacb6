//! `indelible list`.

use indelible_engine::repository::{BrokenSnapshot, Snapshot};
use indelible_format::history::Continuity;
use indelible_format::name::Pattern;
use serde_json::json;

use crate::args::List;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};

pub(crate) fn run(context: &Context, args: &List) -> Result<Exit, Failure> {
    let pattern = match &args.name {
        Some(text) => Pattern::new(text.as_bytes())
            .map_err(|error| Failure::usage(format!("{text:?} is no NAME: {error}")))?,
        None => Pattern::all(),
    };
    let store = context.store()?;
    let repository = context.open(&store)?;
    if repository.key().verify.is_none() {
        return Err(indelible_engine::read::ReadError::NotAllowed { needed: "verify" }.into());
    }
    let found = repository.snapshots();
    let shown = found.iter().filter(|found| match found {
        Ok(snapshot) => pattern.matches(&snapshot.manifest.name),
        // What can't be read may be what is looked for.
        Err(_) => true,
    });
    let shown: Vec<&Result<Snapshot, BrokenSnapshot>> = shown.collect();
    if context.common.json {
        let mut lines = Lines::new();
        for found in &shown {
            print_json(&mut lines, found);
        }
    } else if shown.is_empty() {
        output::note(context, "there are no snapshots");
    } else {
        print_table(&shown);
    }
    let broken = shown.iter().any(|found| found.is_err());
    Ok(match repository.continuity() {
        Continuity::Behind { .. } | Continuity::Forked { .. } => Exit::Rollback,
        _ if broken => Exit::Integrity,
        _ => Exit::Done,
    })
}

fn print_table(shown: &[&Result<Snapshot, BrokenSnapshot>]) {
    let head = [
        "ENTRY", "NAME", "TIME", "HOST", "FILES", "SIZE", "NEW", "ADDED", "ID", "",
    ];
    let mut table = Table::new(&head, &[0, 4, 5, 6, 7]);
    for found in shown {
        table.row(match found {
            Ok(snapshot) => row(snapshot),
            Err(broken) => {
                let mut cells = vec![format!("@{}", broken.number)];
                cells.extend(std::iter::repeat_n("-".to_owned(), 8));
                cells.push(format!("can't be read: {}", broken.error));
                cells
            }
        });
    }
    table.print();
}

fn row(snapshot: &Snapshot) -> Vec<String> {
    let manifest = &snapshot.manifest;
    let mut remarks: Vec<String> = manifest.labels.clone();
    remarks.extend(
        snapshot
            .refused
            .iter()
            .map(|refusal| format!("refused: {refusal}")),
    );
    let shown = |text: &str| indelible_format::path::shown(text.as_bytes()).to_string();
    vec![
        format!("@{}", snapshot.number),
        manifest.name.to_string(),
        output::local_time(snapshot.claimed_ms),
        manifest
            .host
            .as_deref()
            .map_or_else(|| "-".to_owned(), shown),
        indicatif::HumanCount(manifest.entries).to_string(),
        output::size(manifest.content_bytes),
        output::size(manifest.accounting.new_bytes),
        output::size(manifest.accounting.added_bytes),
        snapshot.commit.short(),
        shown(&remarks.join(", ")),
    ]
}

fn print_json(lines: &mut Lines, found: &Result<Snapshot, BrokenSnapshot>) {
    match found {
        Ok(snapshot) => lines.json("snapshot", describe(snapshot)),
        Err(broken) => lines.json(
            "broken_snapshot",
            json!({ "number": broken.number, "reason": broken.error.to_string() }),
        ),
    }
}

/// A snapshot for programs.
pub(crate) fn describe(snapshot: &Snapshot) -> serde_json::Value {
    let manifest = &snapshot.manifest;
    json!({
        "number": snapshot.number,
        "id": snapshot.commit.to_string(),
        "name": manifest.name.as_str(),
        "time": output::utc_time(snapshot.claimed_ms),
        "host": manifest.host,
        "labels": manifest.labels,
        "entries": manifest.entries,
        "content_bytes": manifest.content_bytes,
        "new_bytes": manifest.accounting.new_bytes,
        "new_chunks": manifest.accounting.new_chunks,
        "delta_chunks": manifest.accounting.delta_chunks,
        "added_bytes": manifest.accounting.added_bytes,
        "started": output::utc_time(manifest.started_ms),
        "finished": output::utc_time(manifest.finished_ms),
        "program": manifest.program,
        "signer": snapshot.signer.to_string(),
        "refused": snapshot.refused.as_ref().map(ToString::to_string),
    })
}
