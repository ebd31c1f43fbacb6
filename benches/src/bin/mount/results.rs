//! What a tool took in all rounds, and what is told of that: tables, and the marks that
//! are to be reached.

use std::fmt::Write as _;

use indelible_benches::figures::{as_f64, median};
use indelible_benches::marks::{self, Bound, Target, ratio};
use indelible_benches::table::Table;
use indelible_benches::tools::indelible::NAME;

use crate::reading::Scattered;
use crate::round::{Contender, NAMES, READERS};

const MIB: f64 = 1_048_576.0;

/// One reading from one end to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// Seconds.
    pub(crate) wall: f64,
    /// Processor time of the tool, seconds.
    pub(crate) cpu: f64,
}

/// The samples of one tool, in each step one a round.
#[derive(Default)]
pub(crate) struct Measured {
    /// Listing snapshots, seconds.
    pub(crate) listed: Vec<f64>,
    /// From the start until it was mounted, seconds; several a round.
    pub(crate) ready: Vec<f64>,
    /// The dump through a pipe.
    pub(crate) printed: Vec<Pass>,
    /// The dump from the mount.
    pub(crate) through: Vec<Pass>,
    /// Pieces of it, by one reader.
    pub(crate) alone: Vec<Scattered>,
    /// By several.
    pub(crate) together: Vec<Scattered>,
    /// `ls`, seconds.
    pub(crate) names: Vec<f64>,
    /// `ls -l`, seconds.
    pub(crate) details: Vec<f64>,
    /// The largest resident set of any mount, bytes.
    pub(crate) peak: u64,
}

impl Measured {
    fn wall(passes: &[Pass]) -> f64 {
        median(passes.iter().map(|pass| pass.wall))
    }

    fn rate(all: &[Scattered]) -> f64 {
        median(all.iter().map(|scattered| scattered.rate))
    }

    fn most_ms(all: &[Scattered]) -> f64 {
        median(all.iter().map(|scattered| scattered.most_ms))
    }

    fn of(times: &[f64]) -> f64 {
        median(times.iter().copied())
    }
}

/// The whole report.
pub(crate) struct Told<'a> {
    /// At least one.
    pub(crate) contenders: &'a [Contender<'a>],
    /// Length of the dump, bytes.
    pub(crate) len: u64,
}

impl Told<'_> {
    pub(crate) fn report(&self, facts: &[String], markdown: bool) -> String {
        let mut text = String::new();
        for fact in facts {
            let _ = writeln!(text, "- {fact}");
        }
        let mark = if markdown { "### " } else { "" };
        let titled = [
            ("From one end to the other", self.through_table()),
            ("Reads of 4 KiB, here and there", self.scattered_table()),
            ("A directory, the start, and memory", self.rest_table()),
        ];
        for (title, table) in titled {
            let _ = writeln!(text, "\n{mark}{title}\n\n{}", table.render(markdown));
            text.pop();
        }
        let _ = writeln!(text, "\n{mark}Marks\n");
        text.push_str(&marks::table(&self.marks()).render(markdown));
        text
    }

    fn of(&self, name: &str) -> Option<&Measured> {
        let mut all = self.contenders.iter();
        let found = all.find(|contender| contender.tool.name() == name);
        found.map(|contender| &contender.measured)
    }

    /// Times in which something is another, of Indelible's.
    fn times(&self, one: f64, of: fn(&Measured) -> f64) -> String {
        let own = self.of(NAME).map(of);
        own.map_or("-".to_owned(), |own| format!("{:.2}x", one / own))
    }

    fn through_table(&self) -> Table {
        let mut table = Table::new(&["tool", "wall s", "MB/s", "of Indelible's mount", "CPU s"]);
        for contender in self.contenders {
            let measured = &contender.measured;
            for (how, passes) in [("mount", &measured.through), ("pipe", &measured.printed)] {
                let wall = Measured::wall(passes);
                table.add(vec![
                    format!("{}, {how}", contender.tool.name()),
                    format!("{wall:.3}"),
                    format!("{:.0}", as_f64(self.len) / 1e6 / wall),
                    self.times(wall, |own| Measured::wall(&own.through)),
                    format!("{:.2}", median(passes.iter().map(|pass| pass.cpu))),
                ]);
            }
        }
        table
    }

    fn scattered_table(&self) -> Table {
        let mut table = Table::new(&[
            "tool",
            "readers",
            "reads/s",
            "of Indelible",
            "p50 ms",
            "p99 ms",
        ]);
        for contender in self.contenders {
            let measured = &contender.measured;
            let one: fn(&Measured) -> f64 = |own| Measured::rate(&own.alone);
            let many: fn(&Measured) -> f64 = |own| Measured::rate(&own.together);
            for (readers, all, own) in [
                (1, &measured.alone, one),
                (READERS, &measured.together, many),
            ] {
                let rate = Measured::rate(all);
                table.add(vec![
                    contender.tool.name().to_owned(),
                    readers.to_string(),
                    format!("{rate:.0}"),
                    self.times(rate, own),
                    format!("{:.3}", median(all.iter().map(|one| one.half_ms))),
                    format!("{:.3}", Measured::most_ms(all)),
                ]);
            }
        }
        table
    }

    fn rest_table(&self) -> Table {
        let mut table = Table::new(&[
            "tool",
            "ls s",
            "ls -l s",
            "mounted after s",
            "list s",
            "peak MiB",
        ]);
        for contender in self.contenders {
            let measured = &contender.measured;
            let seconds = |times: &[f64]| format!("{:.3}", Measured::of(times));
            table.add(vec![
                contender.tool.name().to_owned(),
                seconds(&measured.names),
                seconds(&measured.details),
                seconds(&measured.ready),
                seconds(&measured.listed),
                format!("{:.0}", as_f64(measured.peak) / MIB),
            ]);
        }
        table
    }

    fn marks(&self) -> Vec<Target> {
        let (own, restic) = (self.of(NAME), self.of("restic"));
        let wall = |of: Option<&Measured>| of.map(|of| Measured::wall(&of.through));
        let rate = |of: Option<&Measured>| of.map(|of| Measured::rate(&of.alone));
        let mark = |what: String, bound, unit, measured| Target {
            what,
            bound,
            unit,
            measured,
        };
        let at_most = |what: String, bound, unit, of: fn(&Measured) -> f64| {
            mark(what, Bound::AtMost(bound), unit, own.map(of))
        };
        vec![
            mark(
                "From one end to the other: speed of restore to standard output".to_owned(),
                Bound::AtLeast(0.6),
                "x",
                ratio(own.map(|own| Measured::wall(&own.printed)), wall(own)),
            ),
            mark(
                "From one end to the other: times faster than restic's mount".to_owned(),
                Bound::AtLeast(3.0),
                "x",
                ratio(wall(restic), wall(own)),
            ),
            mark(
                "Here and there, one reader: times faster than restic's mount".to_owned(),
                Bound::AtLeast(5.0),
                "x",
                ratio(rate(own), rate(restic)),
            ),
            at_most(
                "Here and there, one reader: p99".to_owned(),
                20.0,
                " ms",
                |own| Measured::most_ms(&own.alone),
            ),
            at_most(format!("ls of {NAMES} names"), 0.2, " s", |own| {
                Measured::of(&own.names)
            }),
            at_most("Mounted after".to_owned(), 0.5, " s", |own| {
                Measured::of(&own.ready)
            }),
            at_most("Peak of memory of any mount".to_owned(), 256.0, " MiB", {
                |own| as_f64(own.peak) / MIB
            }),
        ]
    }
}
