//! `indelible list`.

use indelible_engine::repository::{BrokenSnapshot, Snapshot};
use indelible_engine::retention::InForce;
use indelible_format::history::Continuity;
use serde_json::json;

use crate::address;
use crate::args::List;
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};

pub(crate) fn run(context: &Context, args: &List) -> Result<Exit, Failure> {
    let pattern = address::names(args.name.as_deref())?;
    let store = context.store()?;
    let repository = context.open(&store)?;
    context::needs_verify(&repository)?;
    let found = repository.snapshots();
    let shown = found.iter().filter(|found| match found {
        Ok(snapshot) => pattern.matches(&snapshot.manifest.name),
        // What can't be read may be what is looked for.
        Err(_) => true,
    });
    let shown: Vec<&Result<Snapshot, BrokenSnapshot>> = shown.collect();
    let keeping = Keeping {
        policy: repository.policy(),
        now_ms: context.env.clock.now_unix_ms(),
    };
    if context.common.json {
        let mut lines = Lines::new();
        for found in &shown {
            print_json(&mut lines, found, &keeping);
        }
    } else if shown.is_empty() {
        output::note(context, "there are no snapshots");
    } else {
        print_table(&shown, &keeping);
    }
    let broken = shown.iter().any(|found| found.is_err());
    Ok(match repository.continuity() {
        Continuity::Behind { .. } | Continuity::Forked { .. } => Exit::Rollback,
        _ if broken => Exit::Integrity,
        _ => Exit::Done,
    })
}

/// Until when snapshots are promised to stay.
struct Keeping {
    policy: Option<InForce>,
    now_ms: u64,
}

impl Keeping {
    fn until_ms(&self, snapshot: &Snapshot) -> Option<u64> {
        self.policy
            .as_ref()?
            .promised_until_ms(snapshot, self.now_ms)
    }

    /// A cell, or none where nothing is promised to anyone.
    fn cell(&self, snapshot: Option<&Snapshot>) -> Option<String> {
        self.policy.as_ref()?;
        let until_ms = snapshot.and_then(|snapshot| self.until_ms(snapshot));
        Some(until_ms.map_or_else(|| "-".to_owned(), output::local_time))
    }
}

fn print_table(shown: &[&Result<Snapshot, BrokenSnapshot>], keeping: &Keeping) {
    let mut head = vec![
        "ENTRY", "NAME", "TIME", "HOST", "FILES", "SIZE", "NEW", "ADDED", "ID",
    ];
    head.extend(keeping.policy.as_ref().map(|_| "KEPT UNTIL"));
    head.push("");
    let mut table = Table::new(&head, &[0, 4, 5, 6, 7]);
    for found in shown {
        table.row(match found {
            Ok(snapshot) => row(snapshot, keeping),
            Err(broken) => {
                let mut cells = vec![format!("@{}", broken.number)];
                cells.extend(std::iter::repeat_n("-".to_owned(), 8));
                cells.extend(keeping.cell(None));
                cells.push(format!("can't be read: {}", broken.error));
                cells
            }
        });
    }
    table.print();
}

fn row(snapshot: &Snapshot, keeping: &Keeping) -> Vec<String> {
    let manifest = &snapshot.manifest;
    let mut remarks: Vec<String> = manifest.labels.clone();
    remarks.extend(
        snapshot
            .refused
            .iter()
            .map(|refusal| format!("refused: {refusal}")),
    );
    let shown = |text: &str| indelible_format::path::shown(text.as_bytes()).to_string();
    let mut cells = vec![
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
    ];
    cells.extend(keeping.cell(Some(snapshot)));
    cells.push(shown(&remarks.join(", ")));
    cells
}

fn print_json(lines: &mut Lines, found: &Result<Snapshot, BrokenSnapshot>, keeping: &Keeping) {
    match found {
        Ok(snapshot) => {
            let mut fields = describe(snapshot);
            if keeping.policy.is_some() {
                fields["promised_until"] =
                    json!(keeping.until_ms(snapshot).and_then(output::utc_time));
            }
            lines.json("snapshot", fields);
        }
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
