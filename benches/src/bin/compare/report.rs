//! What was measured, told: a table for each step, and the marks.

use std::fmt::Write as _;

use crate::results::{Results, Row};
use crate::step::{Bound, Step, Target, targets};
use crate::table::Table;

/// CPU time from which ratios of it are told, seconds.
const CPU_SECONDS_TOLD: f64 = 0.1;

/// Everything about a run that its figures depend on.
pub(crate) struct Run {
    /// Lines about the machine, the program and the data.
    pub(crate) facts: Vec<String>,
    /// Names of the tools, in the order of the tables.
    pub(crate) order: Vec<&'static str>,
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
        text.push_str(&step_table(&rows, results.indelible_wall(step)).render(markdown));
        if let Some(line) = beside_fastest(step, results) {
            let _ = writeln!(text, "\n{line}");
        }
    }
    let mark = if markdown { "### " } else { "" };
    let _ = writeln!(text, "\n{mark}Targets\n");
    text.push_str(&target_table(&targets(results)).render(markdown));
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

fn step_table(rows: &[&Row], own: Option<f64>) -> Table {
    let mut table = Table::new(&[
        "tool",
        "wall s",
        "of Indelible",
        "CPU s",
        "peak MiB",
        "added bytes",
    ]);
    for row in rows {
        let wall = row.wall();
        table.add(vec![
            row.who.name().to_owned(),
            format!("{wall:.3}"),
            own.map_or("-".to_owned(), |own| format!("{:.2}x", wall / own)),
            format!("{:.2}", row.cpu()),
            format!("{:.0}", row.peak_mib()),
            row.added().map_or("-".to_owned(), grouped),
        ]);
    }
    table
}

fn target_table(targets: &[Target]) -> Table {
    let mut table = Table::new(&["what", "target", "measured", ""]);
    for target in targets {
        let (sign, bound) = match target.bound {
            Bound::AtLeast(bound) => (">=", bound),
            Bound::AtMost(bound) => ("<=", bound),
        };
        let unit = target.unit;
        let reached = match target.reached() {
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "not measured",
        };
        let measured = target
            .measured
            .map_or("-".to_owned(), |measured| format!("{measured:.3}{unit}"));
        table.add(vec![
            target.what.clone(),
            format!("{sign} {bound}{unit}"),
            measured,
            reached.to_owned(),
        ]);
    }
    table
}

/// Whole bytes, with commas between thousands.
pub(crate) fn grouped(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
