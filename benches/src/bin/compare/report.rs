//! What was measured, told: a table for each step, and the marks.

use std::fmt::Write as _;

use crate::results::{Results, Row};
use crate::step::{Bound, Step, Target, targets};
use crate::table::Table;

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
        let fastest = results.fastest_peer(step);
        if let (Some(peer), Some(own)) = (fastest, results.indelible_wall(step)) {
            let _ = writeln!(
                text,
                "\nThe fastest peer takes {:.2} times as long as Indelible.",
                peer / own
            );
        }
    }
    let mark = if markdown { "### " } else { "" };
    let _ = writeln!(text, "\n{mark}Targets\n");
    text.push_str(&target_table(&targets(results)).render(markdown));
    text
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
    let mut table = Table::new(&["what", "target", "measured", "reached"]);
    for target in targets {
        let (sign, bound) = match target.bound {
            Bound::AtLeast(bound) => (">=", bound),
            Bound::AtMost(bound) => ("<=", bound),
        };
        let unit = target.unit;
        let (measured, reached) = match (target.measured, target.reached()) {
            (Some(measured), Some(true)) => (format!("{measured:.3}{unit}"), "yes".to_owned()),
            (Some(measured), _) => (
                format!("{measured:.3}{unit}"),
                format!("not reached: {measured:.2}{unit}"),
            ),
            (None, _) => ("-".to_owned(), "not measured".to_owned()),
        };
        table.add(vec![
            target.what.clone(),
            format!("{sign} {bound}{unit}"),
            measured,
            reached,
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
