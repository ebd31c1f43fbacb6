//! What was measured, told: a table for each step, and the marks.

use std::fmt::Write as _;

use indelible_benches::databases::Workload;
use indelible_benches::figures::as_f64;
use indelible_benches::marks;
use indelible_benches::zstd::PATCH;

use crate::results::{Results, Row};
use crate::step::{Step, targets};
use crate::table::{Table, grouped};

/// CPU time from which ratios of it are told, seconds.
const CPU_SECONDS_TOLD: f64 = 0.1;

/// Everything about a run that its figures depend on.
pub(crate) struct Run {
    /// Lines about the machine, the program and the data.
    pub(crate) facts: Vec<String>,
    /// Names of the tools, in the order of the tables.
    pub(crate) order: Vec<&'static str>,
    pub(crate) workload: Workload,
}

/// The whole report.
pub(crate) fn report(run: &Run, results: &Results, markdown: bool) -> String {
    let mut text = String::new();
    for fact in &run.facts {
        let _ = writeln!(text, "- {fact}");
    }
    for step in Step::ALL {
        let rows = results.rows(step, &run.order);
        if rows.is_empty() {
            continue;
        }
        let mark = if markdown { "### " } else { "" };
        let _ = writeln!(text, "\n{mark}{}\n", step.title());
        text.push_str(&step_table(&rows, step, results).render(markdown));
        if let Some(line) = beside_fastest(step, results) {
            let _ = writeln!(text, "\n{line}");
        }
    }
    let mark = if markdown { "### " } else { "" };
    let _ = writeln!(text, "\n{mark}Targets\n");
    text.push_str(&marks::table(&targets(run.workload, results)).render(markdown));
    text
}

/// The fastest peer in words.
fn beside_fastest(step: Step, results: &Results) -> Option<String> {
    let (peer, own) = (results.fastest_peer(step)?, results.indelible(step)?);
    let mut line = format!(
        "The fastest peer, {}, takes {:.2} times the wall time of Indelible",
        peer.who.name(),
        peer.wall() / own.wall()
    );
    // The kernel counts short runs in ticks.
    if own.cpu() >= CPU_SECONDS_TOLD {
        let _ = write!(
            line,
            " and {:.2} times its CPU time",
            peer.cpu() / own.cpu()
        );
    }
    line.push('.');
    Some(line)
}

fn step_table(rows: &[&Row], step: Step, results: &Results) -> Table {
    let mut head = vec![
        "tool",
        "wall s",
        "of Indelible",
        "CPU s",
        "peak MiB",
        "added bytes",
    ];
    let times = |of: Option<f64>, one: Option<f64>| match (of, one) {
        (Some(of), Some(one)) => format!("{:.2}x", of / one),
        _ => "-".to_owned(),
    };
    let own = results.indelible_wall(step);
    let is_night = step.night().is_some();
    if is_night {
        head.extend(["of patch-from", "of Indelible"]);
    }
    let mut table = Table::new(&head);
    for row in rows {
        let wall = row.wall();
        let mut cells = vec![
            row.who.name().to_owned(),
            format!("{wall:.3}"),
            times(Some(wall), own),
            format!("{:.2}", row.cpu()),
            format!("{:.0}", row.peak_mib()),
            row.added().map_or("-".to_owned(), grouped),
        ];
        if is_night {
            let added = row.added().map(as_f64);
            cells.push(times(added, results.added(step, PATCH)));
            cells.push(times(added, results.indelible_added(step)));
        }
        table.add(cells);
    }
    table
}
