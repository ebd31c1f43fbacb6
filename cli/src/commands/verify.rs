//! `indelible verify`.

use std::collections::BTreeSet;

use indelible_engine::repository::read_log;
use indelible_engine::verify::{self, Harm, Problem, ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::history::Continuity;
use serde_json::json;

use crate::args::{Verify, VerifyLevel};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::Bars;

pub(crate) fn run(context: &Context, args: &Verify) -> Result<Exit, Failure> {
    let store = context.store()?;
    let keyless = match args.level {
        Some(VerifyLevel::Packs) => true,
        Some(_) => false,
        None => !context.has_credential(),
    };
    let report = if keyless {
        let state = context.state();
        let (history, _) = read_log(&store, state.as_ref(), None)?;
        let bars = Bars::new(context);
        verify::packs(&store, &history, &bars)?
    } else {
        let repository = context.open(&store)?;
        let key = repository.key();
        let level = match args.level {
            Some(VerifyLevel::Data) => Level::Data,
            None if key.restore.is_some() => Level::Data,
            None if key.verify.is_none() => Level::Packs,
            _ => Level::Tree,
        };
        let bars = Bars::new(context);
        if level == Level::Packs {
            verify::packs(&store, repository.history(), &bars)?
        } else {
            verify::with_key(&repository, level, &bars)?
        }
    };
    if context.common.json {
        print_json(&report);
    } else {
        print(context, &report);
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    let of_state =
        |problem: &Problem| matches!(problem.kind, ProblemKind::RolledBack | ProblemKind::Forked);
    if report.is_sound() {
        Exit::Done
    } else if report.problems.iter().all(of_state) {
        Exit::Rollback
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
    let mut error = problem
        .cause
        .as_deref()
        .map(|cause| cause as &dyn std::error::Error);
    while let Some(cause) = error {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        error = cause.source();
    }
    texts.join(": ")
}

fn numbers(snapshots: &BTreeSet<u64>) -> String {
    let list: Vec<String> = snapshots
        .iter()
        .take(20)
        .map(|number| format!("@{number}"))
        .collect();
    let more = snapshots.len().saturating_sub(20);
    if more > 0 {
        format!("{} and {more} more", list.join(" "))
    } else {
        list.join(" ")
    }
}

fn harm(problem: &Problem) -> String {
    match &problem.harm {
        Harm::Snapshots(snapshots) if snapshots.is_empty() => "harms no snapshot".to_owned(),
        Harm::Snapshots(snapshots) => format!("harms {}", numbers(snapshots)),
        Harm::AtLeast(snapshots) if snapshots.is_empty() => {
            "whom it harms takes a key to tell".to_owned()
        }
        Harm::AtLeast(snapshots) => format!("harms {}, and perhaps later ones", numbers(snapshots)),
    }
}

fn print(context: &Context, report: &Report) {
    for problem in &report.problems {
        let chunk = problem
            .chunk
            .map(|number| format!(" chunk {number}"))
            .unwrap_or_default();
        let cause = causes(problem);
        let cause = if cause.is_empty() {
            String::new()
        } else {
            format!(": {cause}")
        };
        output::line(&format!(
            "PROBLEM {} {}{chunk}: {}{cause}; {}; {}",
            problem.kind.code(),
            problem.object,
            problem.kind.describe(),
            harm(problem),
            problem.kind.advice()
        ));
    }
    for verdict in &report.snapshots {
        if let Some(refusal) = &verdict.refused {
            output::line(&format!("REFUSED @{}: {refusal}", verdict.number));
        }
    }
    for path in &report.foreign {
        let path = indelible_format::path::shown(path.as_bytes()).to_string();
        output::line(&format!(
            "FOREIGN {path}: no object of a repository has such a name"
        ));
    }
    if context.common.quiet && report.is_sound() {
        return;
    }
    summary(report);
}

fn summary(report: &Report) {
    let left = report.unreferenced.len() + report.unreferenced_records.len();
    if left > 0 {
        output::line(&format!(
            "{} that no snapshot names, left by interrupted runs; no harm",
            output::count(left as u64, "object", "objects")
        ));
    }
    let harmed = report
        .snapshots
        .iter()
        .filter(|verdict| !verdict.problems.is_empty())
        .count();
    let freshness = match report.continuity {
        Continuity::Unpinned => "freshness unverified: this machine remembered nothing of the log",
        Continuity::Extends => "the log extends what this machine remembered",
        Continuity::Behind { .. } | Continuity::Forked { .. } => {
            "the log contradicts what this machine remembered"
        }
    };
    let read = match report.level {
        Level::Tree => "presence, length and directory of each pack; contents were not read",
        Level::Data => "every byte of every pack; every chunk decoded",
        Level::Packs | Level::Drill => "every byte of every pack; nothing was decrypted",
    };
    output::line(&format!(
        "verified at level {}: {}, {}, {}, {} read, {} decoded, {} walked",
        level_word(report.level),
        output::count(report.size, "log entry", "log entries"),
        output::count(report.snapshots.len() as u64, "snapshot", "snapshots"),
        output::count(report.packs, "pack", "packs"),
        output::size(report.bytes),
        output::count(report.chunks, "chunk", "chunks"),
        output::count(report.nodes, "node", "nodes"),
    ));
    output::line(&format!("read: {read}"));
    output::line(freshness);
    if report.is_sound() {
        output::line("no problem found");
    } else {
        output::line(&format!(
            "{} found; {} harmed of {}",
            output::count(report.problems.len() as u64, "problem", "problems"),
            harmed,
            output::count(report.snapshots.len() as u64, "snapshot", "snapshots"),
        ));
    }
}

fn print_json(report: &Report) {
    for problem in &report.problems {
        let (snapshots, exact) = match &problem.harm {
            Harm::Snapshots(snapshots) => (snapshots, true),
            Harm::AtLeast(snapshots) => (snapshots, false),
        };
        output::json(
            "problem",
            json!({
                "kind": problem.kind.code(),
                "object": problem.object,
                "chunk": problem.chunk,
                "cause": causes(problem),
                "harmed_snapshots": snapshots,
                "harm_is_complete": exact,
                "advice": problem.kind.advice(),
            }),
        );
    }
    for verdict in &report.snapshots {
        output::json(
            "snapshot_verdict",
            json!({
                "number": verdict.number,
                "name": verdict.name,
                "sound": verdict.problems.is_empty(),
                "refused": verdict.refused.as_ref().map(ToString::to_string),
            }),
        );
    }
    output::json(
        "verified",
        json!({
            "level": level_word(report.level),
            "sound": report.is_sound(),
            "log_size": report.size,
            "log_root": report.root.to_string(),
            "freshness": match report.continuity {
                Continuity::Unpinned => "unverified",
                Continuity::Extends => "extends",
                Continuity::Behind { .. } => "behind",
                Continuity::Forked { .. } => "forked",
            },
            "packs": report.packs,
            "bytes_read": report.bytes,
            "chunks_decoded": report.chunks,
            "nodes_walked": report.nodes,
            "snapshots": report.snapshots.len(),
            "problems": report.problems.len(),
            "unreferenced_packs": report.unreferenced.len(),
            "unreferenced_records": report.unreferenced_records.len(),
            "foreign": report.foreign,
        }),
    );
}
