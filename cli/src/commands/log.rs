//! `indelible log`.

use std::collections::BTreeMap;

use indelible_engine::repository::SeenLog;
use indelible_engine::repository::read_commit_body;
use indelible_format::commit::CommitBody;
use indelible_format::entry::{Body, Entry};
use indelible_format::history::LogProblem;
use indelible_format::ids::SignerId;
use serde_json::json;

use crate::args::{Log, LogShow};
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};
use crate::place::Store;

pub(crate) fn run(context: &Context, args: &Log) -> Result<Exit, Failure> {
    match args {
        Log::Show(args) => show(context, args),
    }
}

/// What only a key opens: labels by signer, NAMEs by entry.
#[derive(Default)]
struct Names {
    labels: BTreeMap<SignerId, String>,
    names: BTreeMap<u64, String>,
}

impl Names {
    fn of(repository: &Opened<'_>) -> Self {
        let authority = &repository.history().authority;
        let label = |(signer, _): (&SignerId, _)| {
            let facts = repository.facts(signer).ok().flatten();
            let label = facts.map(|facts| facts.label().to_owned());
            let recovery = || (*signer == authority.administrator()).then(|| "recovery".to_owned());
            Some((*signer, label.or_else(recovery)?))
        };
        let snapshots = repository.snapshots().into_iter().flatten();
        Self {
            labels: authority.grants().filter_map(label).collect(),
            names: snapshots
                .map(|snapshot| (snapshot.number, snapshot.manifest.name.to_string()))
                .collect(),
        }
    }

    fn signer(&self, signer: &SignerId) -> String {
        let label = self.labels.get(signer);
        label.map_or_else(
            || signer.short(),
            |label| format!("{label} ({})", signer.short()),
        )
    }
}

fn show(context: &Context, args: &LogShow) -> Result<Exit, Failure> {
    let store = context.store()?;
    let (seen, names) = if context.has_credential() {
        let repository = context.open(&store)?;
        (repository.seen().clone(), Names::of(&repository))
    } else {
        (context.read_log(&store)?, Names::default())
    };
    let history = &seen.history;
    let from = match args.last {
        Some(count) => history.size().saturating_sub(count),
        None => args.from,
    };
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    for (number, entry) in history.entries.range(from..) {
        rows.insert(*number, Row::of(entry, &names, &*store));
    }
    for problem in &history.problems {
        add_problem(&mut rows, problem, from);
    }
    print(context, rows);
    Ok(exit(&seen))
}

/// A log that is not what it was says so by its exit code.
fn exit(seen: &SeenLog) -> Exit {
    if seen.freshness.is_continuous() {
        Exit::Done
    } else {
        Exit::Rollback
    }
}

/// One number of the log.
struct Row {
    kind: String,
    claimed_ms: Option<u64>,
    signer: String,
    what: String,
}

impl Row {
    fn of(entry: &Entry, names: &Names, store: &Store) -> Self {
        let header = entry.header();
        Self {
            kind: header.kind.to_string(),
            claimed_ms: Some(header.claimed_ms),
            signer: names.signer(&header.signer),
            what: what(entry, names, store),
        }
    }

    fn without_effect(kind: &str, what: String) -> Self {
        Self {
            kind: kind.to_owned(),
            claimed_ms: None,
            signer: "-".to_owned(),
            what,
        }
    }
}

/// What an entry says.
fn what(entry: &Entry, names: &Names, store: &Store) -> String {
    match entry.body() {
        Body::Genesis(_) => "makes the repository".to_owned(),
        Body::Authorize(body) => format!(
            "gives key {} the rights {}",
            names.signer(&body.subject),
            body.rights
        ),
        Body::Revoke(body) => format!(
            "revokes key {}, distrusted from @{} on",
            names.signer(&body.subject),
            body.distrust_from
        ),
        Body::Rekey(body) => format!(
            "begins epoch {}, of which {}",
            body.epoch(),
            match body.shares().len() {
                1 => "1 key has its part".to_owned(),
                many => format!("{many} keys have their parts"),
            }
        ),
        Body::Snapshot(_) => {
            let number = entry.header().number;
            let name = names.names.get(&number).map_or("", String::as_str);
            match read_commit_body(store, entry) {
                Ok(Some(body)) => format!("{name} {}", packs(&body)).trim_start().to_owned(),
                Ok(None) => name.to_owned(),
                Err(error) => format!("{name} {error}").trim_start().to_owned(),
            }
        }
        Body::Attest(body) => format!(
            "found {} in a log of {}",
            output::count(body.problems, "problem", "problems"),
            output::count(body.size, "entry", "entries"),
        ),
        Body::Opaque(_, bytes) => output::size(bytes.len() as u64),
    }
}

fn packs(body: &CommitBody) -> String {
    let bytes = body.packs.iter().map(|pack| u64::from(pack.len)).sum();
    format!(
        "adds {}, {}",
        output::count(body.packs.len() as u64, "pack", "packs"),
        output::size(bytes)
    )
}

/// What the log shows beside valid entries.
fn add_problem(rows: &mut BTreeMap<u64, Row>, problem: &LogProblem, from: u64) {
    let (number, row) = match problem {
        LogProblem::Void { number, reason, .. } => {
            (*number, Row::without_effect("void", reason.to_string()))
        }
        LogProblem::Damaged { number, reason } => {
            (*number, Row::without_effect("damaged", reason.to_string()))
        }
        LogProblem::Removed { first, last } => (
            *first,
            Row::without_effect("removed", format!("@{first} to @{last}")),
        ),
        LogProblem::Beyond { first, count } => {
            let count = output::count(*count, "object", "objects");
            (
                *first,
                Row::without_effect("beyond", format!("{count} beyond the end of the log")),
            )
        }
        _ => return,
    };
    if number >= from {
        rows.entry(number).or_insert(row);
    }
}

fn print(context: &Context, rows: BTreeMap<u64, Row>) {
    if context.common.json {
        let mut lines = Lines::new();
        for (number, row) in rows {
            lines.json(
                "log_entry",
                json!({
                    "number": number,
                    "kind": row.kind,
                    "time": row.claimed_ms.and_then(output::utc_time),
                    "signer": row.signer,
                    "what": row.what,
                }),
            );
        }
        return;
    }
    let mut table = Table::new(&["ENTRY", "KIND", "TIME", "SIGNED BY", "WHAT"], &[0]);
    for (number, row) in rows {
        let shown = |text: &str| indelible_format::path::shown(text.as_bytes()).to_string();
        table.row([
            format!("@{number}"),
            row.kind,
            row.claimed_ms
                .map_or_else(|| "-".to_owned(), output::local_time),
            shown(&row.signer),
            shown(&row.what),
        ]);
    }
    table.print();
}
