//! `indelible restore --plan`.

use std::path::Path;

use indelible_engine::repository::Snapshot;
use indelible_engine::restore::{Conflict, Hole, Intent, Outcome, Plan, plan};
use indelible_engine::store::ObjectKey;
use indelible_format::path::EntryPath;
use serde_json::json;

use super::{holes, policy};
use crate::address;
use crate::args::Restore;
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::Bars;

pub(super) fn run(
    context: &Context,
    repository: &Opened<'_>,
    snapshot: &Snapshot,
    paths: &[EntryPath],
    target: &Path,
    args: &Restore,
) -> Result<Exit, Failure> {
    let intent = Intent {
        target,
        paths,
        policy: policy(args),
        resumes: args.resume,
    };
    let (listings, _) = repository.listings();
    let plan = {
        let bars = Bars::new(context);
        let tell = |hole: &Hole| bars.aside(|| holes::show(context, hole));
        plan(repository, &listings, snapshot, &intent, &bars, &tell)?
    };
    if context.common.json {
        print_json(snapshot, &plan, target);
    } else {
        print(snapshot, &plan, target);
    }
    Ok(exit(&plan))
}

fn exit(plan: &Plan) -> Exit {
    if plan.missing().next().is_some() {
        Exit::Missing
    } else if plan.holes > 0 {
        Exit::Integrity
    } else if plan.refused > 0 {
        Exit::Exists
    } else if plan.fits() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn present_bytes(plan: &Plan) -> u64 {
    plan.packs.iter().filter_map(|pack| pack.len).sum()
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Replaced => "replaced",
        Outcome::Compared => "compared",
        Outcome::Refused => "refused",
    }
}

fn print_json(snapshot: &Snapshot, plan: &Plan, target: &Path) {
    for pack in &plan.packs {
        let fields = json!({
            "id": pack.id.to_string(),
            "object": ObjectKey::Pack(pack.id).path(),
            "bytes": pack.len,
            "present": pack.len.is_some(),
        });
        output::json("needed_pack", fields);
    }
    for Conflict { path, outcome } in &plan.conflicts {
        let fields = json!({ "path": path.to_string(), "outcome": word(*outcome) });
        output::json("conflict", fields);
    }
    output::json(
        "restore_plan",
        json!({
            "number": snapshot.number,
            "id": snapshot.commit.to_string(),
            "target": target.display().to_string(),
            "files": plan.files,
            "directories": plan.directories,
            "links": plan.links,
            "bytes": plan.bytes,
            "space_bytes": plan.space_bytes,
            "free_bytes": plan.room.free_bytes,
            "fits": plan.fits(),
            "packs": plan.packs.len(),
            "pack_bytes": present_bytes(plan),
            "missing_packs": plan.missing().count(),
            "missing_bytes": plan.missing_bytes,
            "holes": plan.holes,
            "refused": plan.refused,
            "replaced": plan.replaced,
        }),
    );
}

fn print(snapshot: &Snapshot, plan: &Plan, target: &Path) {
    for pack in plan.missing() {
        output::line(&format!("MISSING {}", ObjectKey::Pack(pack.id).path()));
    }
    for Conflict { path, outcome } in &plan.conflicts {
        output::line(&format!("EXISTS {path}: would be {}", word(*outcome)));
    }
    output::line(&format!(
        "to restore {} below {}:",
        address::describe(snapshot),
        target.display()
    ));
    output::line(&format!(
        "  writes {}, {} and {}, {}",
        output::count(plan.files, "file", "files"),
        output::count(plan.directories, "directory", "directories"),
        output::count(plan.links, "link", "links"),
        output::size(plan.bytes)
    ));
    output::line(&format!(
        "  takes {} of space; {} are free there{}",
        output::size(plan.space_bytes),
        output::size(plan.room.free_bytes),
        if plan.fits() { "" } else { ": NOT ENOUGH" }
    ));
    output::line(&format!(
        "  reads {}, {}",
        output::count(plan.packs.len() as u64, "pack", "packs"),
        output::size(present_bytes(plan))
    ));
    let missing = plan.missing().count() as u64;
    if missing > 0 {
        output::line(&format!(
            "  lacks {}: {} of content",
            output::count(missing, "pack", "packs"),
            output::size(plan.missing_bytes)
        ));
    }
    if plan.refused > 0 {
        output::line(&format!(
            "  is refused for {}: add --overwrite, or --resume after a restore that ended early",
            output::count(plan.refused, "entry", "entries")
        ));
    }
}
