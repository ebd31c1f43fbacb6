//! What a verification found, in messages for programs.

use indelible_engine::verify::{Harm, Problem, Report};
use indelible_format::history::Continuity;
use serde_json::{Value, json};

use super::{causes, level_word};
use crate::output;

pub(super) fn print(report: &Report) {
    for problem in &report.problems {
        output::json("problem", self::problem(problem));
    }
    for junk in &report.accepted {
        output::json(
            "accepted",
            json!({
                "number": junk.number,
                "leaf": junk.leaf.to_string(),
                "cause": junk.reason.to_string(),
            }),
        );
    }
    for verdict in &report.snapshots {
        output::json(
            "snapshot_verdict",
            json!({
                "number": verdict.number,
                "name": verdict.name,
                "sound": verdict.problems.is_empty() && verdict.suspects.is_empty(),
                "perhaps_harmed": verdict.problems.is_empty() && !verdict.suspects.is_empty(),
                "refused": verdict.refused.as_ref().map(ToString::to_string),
            }),
        );
    }
    output::json("verified", verified(report));
}

fn problem(problem: &Problem) -> Value {
    let nobody = std::collections::BTreeSet::new();
    let (snapshots, perhaps, complete) = match &problem.harm {
        Harm::Snapshots(snapshots) => (snapshots, &nobody, true),
        Harm::AtLeast(snapshots) => (snapshots, &nobody, false),
        Harm::Within { surely, perhaps } => (surely, perhaps, false),
    };
    json!({
        "kind": problem.kind.code(),
        "object": problem.object,
        "chunk": problem.chunk,
        "cause": causes(problem),
        "harmed_snapshots": snapshots,
        "perhaps_harmed_snapshots": perhaps,
        "harm_is_complete": complete,
        "advice": problem.kind.advice(),
    })
}

fn verified(report: &Report) -> Value {
    let freshness = report.freshness;
    json!({
        "level": level_word(report.level),
        "sound": report.is_sound(),
        "log_size": report.size,
        "log_root": report.root.to_string(),
        "freshness": continuity(freshness.worst()).unwrap_or("unverified"),
        "compared": {
            "memory": continuity(freshness.memory),
            "key_file": continuity(freshness.key_file),
            "pin": continuity(freshness.pin),
        },
        "sample_percent": f64::from(report.extent.millionths()) / 10_000.0,
        "time_max_ms": report.extent.time_max_ms(),
        "packs": report.packs,
        "packs_read": report.packs_read,
        "packs_on_the_stores_word": report.vouched.packs,
        "packs_not_read": report.unread.packs,
        "bytes_read": report.bytes,
        "bytes_on_the_stores_word": report.vouched.bytes,
        "bytes_not_read": report.unread.bytes,
        "chunks_decoded": report.chunks,
        "chunks_not_decoded": report.undecoded,
        "nodes_walked": report.nodes,
        "locks_asked": report.locks,
        "snapshots": report.snapshots.len(),
        "problems": report.problems.len(),
        "accepted": report.accepted.len(),
        "unreferenced_packs": report.unreferenced.len(),
        "unreferenced_records": report.unreferenced_records.len(),
        "foreign": report.foreign,
    })
}

/// A word, unless there was nothing to compare with.
fn continuity(continuity: Continuity) -> Option<&'static str> {
    match continuity {
        Continuity::Unpinned => None,
        Continuity::Extends => Some("extends"),
        Continuity::Behind { .. } => Some("behind"),
        Continuity::Forked { .. } => Some("forked"),
    }
}
