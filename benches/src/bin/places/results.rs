//! What each step took in each place, and the marks that are to be reached.

use std::fmt::Write as _;

use indelible_benches::figures::{as_f64, median};
use indelible_benches::marks::{self, Bound, Target};
use indelible_benches::measure::Sample;
use indelible_benches::table::Table;

use crate::round::{Measured, PLACES, STEPS};

const MIB: f64 = 1_048_576.0;

/// The report.
pub(crate) struct Told<'a> {
    pub(crate) measured: &'a Measured,
    pub(crate) opened: &'a [Vec<Sample>; PLACES.len()],
    pub(crate) apart: &'a [Vec<Sample>; PLACES.len()],
}

fn wall(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.wall))
}

fn peak(samples: &[Sample]) -> f64 {
    let peaks = samples.iter().map(|sample| sample.peak);
    as_f64(peaks.max().unwrap_or(0)) / MIB
}

impl Told<'_> {
    pub(crate) fn report(&self, facts: &[String], markdown: bool) -> String {
        let mut text = String::new();
        for fact in facts {
            let _ = writeln!(text, "- {fact}");
        }
        let mut table = Table::new(&["step", "place", "wall s", "of a directory", "peak MiB"]);
        let steps = STEPS.iter().enumerate();
        let mut rows: Vec<(&str, [&[Sample]; PLACES.len()])> = steps
            .map(|(step, name)| (*name, self.measured.each_ref().map(|of| &of[step][..])))
            .collect();
        if !self.apart[0].is_empty() {
            let apart = self.apart.each_ref().map(|of| &of[..]);
            rows.push(("first snapshot, apart", apart));
        }
        rows.push(("open a long log", self.opened.each_ref().map(|of| &of[..])));
        for (name, places) in rows {
            for (place, samples) in PLACES.iter().zip(places) {
                table.add(vec![
                    name.to_owned(),
                    (*place).to_owned(),
                    format!("{:.2}", wall(samples)),
                    format!("{:.2}x", wall(samples) / wall(places[0])),
                    format!("{:.0}", peak(samples)),
                ]);
            }
        }
        let _ = write!(text, "\n{}", table.render(markdown));
        let mark = if markdown { "### " } else { "" };
        let _ = writeln!(text, "\n{mark}Marks\n");
        text.push_str(&marks::table(&self.marks()).render(markdown));
        text
    }

    fn marks(&self) -> Vec<Target> {
        let of = |place: usize, step: usize| wall(&self.measured[place][step]);
        let speed = |place| of(0, 0) / of(place, 0);
        let mark = |what: &str, bound, unit, measured| Target {
            what: what.to_owned(),
            bound,
            unit,
            measured: Some(measured),
        };
        let peaks = self.measured.iter().flatten().map(|samples| peak(samples));
        let mut marks = vec![
            mark(
                "First snapshot in S3: speed of one in a directory",
                Bound::AtLeast(0.8),
                "x",
                speed(2),
            ),
            mark(
                "First snapshot over ssh: speed of one in a directory",
                Bound::AtLeast(0.7),
                "x",
                speed(1),
            ),
            mark(
                "Unchanged snapshot in S3: time of one in a directory",
                Bound::AtMost(1.5),
                "x",
                of(2, 1) / of(0, 1),
            ),
            mark(
                "Peak of memory in any step",
                Bound::AtMost(256.0),
                " MiB",
                peaks.fold(0.0, f64::max),
            ),
        ];
        if !self.apart[0].is_empty() {
            marks.push(mark(
                "First snapshot in S3, apart: speed of one in a directory",
                Bound::AtLeast(0.8),
                "x",
                wall(&self.apart[0]) / wall(&self.apart[2]),
            ));
        }
        marks
    }
}
