//! What came of the nights: a table, totals and the marks that are to be reached.

use std::fmt::Write as _;

use indelible_benches::figures::as_f64;
use indelible_benches::table::{Table, grouped};

use crate::{Back, Night};

/// Up to so many nights each has a row of its own.
const ROWS_MAX: usize = 31;

/// Nights that share a row otherwise.
const NIGHTS_A_ROW: usize = 30;

/// No chunk may decode through more deltas.
const DEPTH_MAX: u8 = 16;

/// How much longer than the first night's a restore may take.
const RESTORE_MAX: f64 = 2.0;

/// What all nights may add together, in times of what zstd's patches take: more where
/// there are many of them.
fn bytes_max(nights: usize) -> f64 {
    if nights <= 30 { 2.0 } else { 3.5 }
}

/// What is told.
pub(crate) struct Told<'a> {
    /// At least two.
    pub(crate) nights: &'a [Night],
    /// The first night's first.
    pub(crate) backs: &'a [Back],
}

impl Told<'_> {
    /// The whole report.
    pub(crate) fn report(&self, facts: &[String], markdown: bool) -> String {
        let mut text = String::new();
        for fact in facts {
            let _ = writeln!(text, "- {fact}");
        }
        let _ = writeln!(text, "\n{}", self.nights_table().render(markdown));
        let _ = writeln!(text, "{}", self.restores_table().render(markdown));
        text.push_str(&self.marks_table().render(markdown));
        text
    }

    fn nights_table(&self) -> Table {
        let mut table = Table::new(&[
            "night",
            "added bytes",
            "patch-from",
            "of it",
            "new chunks",
            "their bytes",
            "deltas",
            "their bytes",
            "all else",
            "depth",
            "wall s",
            "CPU s",
        ]);
        let (first, later) = self.nights.split_at(1);
        table.add(cells("0".to_owned(), first));
        let a_row = if later.len() < ROWS_MAX {
            1
        } else {
            NIGHTS_A_ROW
        };
        for (at, nights) in later.chunks(a_row).enumerate() {
            let from = at * a_row + 1;
            let name = match nights.len() {
                1 => from.to_string(),
                many => format!("{from} to {}", from + many - 1),
            };
            table.add(cells(name, nights));
        }
        table.add(cells("all but 0".to_owned(), later));
        table
    }

    fn restores_table(&self) -> Table {
        let mut table = Table::new(&["restore of", "depth", "wall s", "of night 0", "CPU s"]);
        for back in self.backs {
            table.add(vec![
                format!("night {}", back.night),
                self.nights[back.night].contents.depth.to_string(),
                format!("{:.3}", back.restored.wall),
                format!("{:.2}x", self.times_first(back)),
                format!("{:.2}", back.restored.cpu),
            ]);
        }
        table
    }

    fn times_first(&self, back: &Back) -> f64 {
        back.restored.wall / self.backs[0].restored.wall
    }

    fn marks_table(&self) -> Table {
        let later = &self.nights[1..];
        let bytes = ratio(sum(later, added), sum(later, |night| night.patch));
        let restores = self.backs.iter().map(|back| self.times_first(back));
        let restore = restores.fold(0.0, f64::max);
        let depths = self.nights.iter().map(|night| night.contents.depth);
        let depth = depths.max().unwrap_or_default();
        let bytes_max = bytes_max(later.len());
        let mut table = Table::new(&["what", "target", "measured", ""]);
        let mut add = |what: &str, target: String, measured: String, is_reached: bool| {
            let reached = if is_reached { "reached" } else { "not reached" };
            table.add(vec![what.to_owned(), target, measured, reached.to_owned()]);
        };
        add(
            "Bytes of all nights but the first, of zstd's patches",
            format!("<= {bytes_max}x"),
            format!("{bytes:.3}x"),
            bytes <= bytes_max,
        );
        add(
            "Deltas that a chunk decodes through",
            format!("<= {DEPTH_MAX}"),
            depth.to_string(),
            depth <= DEPTH_MAX,
        );
        add(
            "Restore of any night, of the first night's time",
            format!("<= {RESTORE_MAX}x"),
            format!("{restore:.3}x"),
            restore <= RESTORE_MAX,
        );
        table
    }
}

/// Some nights in a row: bytes and counts together, times of one of them.
fn cells(name: String, nights: &[Night]) -> Vec<String> {
    let (added, patch) = (sum(nights, added), sum(nights, |night| night.patch));
    let alone = sum(nights, |night| night.contents.alone.stored);
    let deltas = sum(nights, |night| night.contents.deltas.stored);
    let depth = nights.iter().map(|night| night.contents.depth).max();
    let mean = |time: fn(&Night) -> f64| {
        let all: f64 = nights.iter().map(time).sum();
        all / as_f64(nights.len() as u64)
    };
    vec![
        name,
        grouped(added),
        if patch == 0 {
            "-".to_owned()
        } else {
            grouped(patch)
        },
        if patch == 0 {
            "-".to_owned()
        } else {
            format!("{:.2}x", ratio(added, patch))
        },
        grouped(sum(nights, |night| night.contents.alone.count)),
        grouped(alone),
        grouped(sum(nights, |night| night.contents.deltas.count)),
        grouped(deltas),
        grouped(added.saturating_sub(alone + deltas)),
        depth.unwrap_or_default().to_string(),
        format!("{:.3}", mean(|night| night.stored.wall)),
        format!("{:.2}", mean(|night| night.stored.cpu)),
    ]
}

fn added(night: &Night) -> u64 {
    night.stored.added
}

fn sum(nights: &[Night], of: impl Fn(&Night) -> u64) -> u64 {
    nights.iter().map(of).sum()
}

fn ratio(above: u64, below: u64) -> f64 {
    as_f64(above) / as_f64(below)
}

#[cfg(test)]
mod tests {
    use super::Told;
    use crate::{Back, Night};
    use indelible_benches::lab::{Contents, Restored, Stored};

    fn night(added: u64, patch: u64, depth: u8) -> Night {
        Night {
            len: 1_000,
            hash: blake3::hash(b""),
            stored: Stored {
                number: 1,
                added,
                wall: 0.5,
                cpu: 0.5,
            },
            contents: Contents {
                depth,
                ..Contents::default()
            },
            patch,
        }
    }

    fn back(night: usize, wall: f64) -> Back {
        let hash = blake3::hash(b"");
        Back {
            night,
            restored: Restored {
                wall,
                cpu: wall,
                hash,
            },
        }
    }

    /// Marks are held against the nights behind the first, and each can be missed.
    ///
    /// Method: nights that reach all three marks, and the same ones with one figure
    /// beyond its bound.
    #[test]
    fn marks_are_reached_or_not() {
        let cases = [
            (150, 3, 1.5, 3),
            (300, 3, 1.5, 2),
            (150, 17, 1.5, 2),
            (150, 3, 2.5, 2),
        ];
        for (added, depth, wall, reached) in cases {
            let nights = [night(1_000, 0, 0), night(added, 100, depth)];
            let backs = [back(0, 1.0), back(1, wall)];
            let told = Told {
                nights: &nights,
                backs: &backs,
            };
            let text = told.report(&["a fact".to_owned()], true);
            assert_eq!(text.matches(" reached").count(), 3, "{text}");
            let missed = text.matches("not reached").count();
            assert_eq!(3 - missed, reached, "{text}");
            assert!(text.starts_with("- a fact\n"), "{text}");
        }
    }

    /// Many nights share rows, and none is left out.
    ///
    /// Method: the names and sums of rows of 65 nights, and of 30.
    #[test]
    fn many_nights_share_rows() {
        let told = |count: usize| {
            let nights: Vec<Night> = (0..=count).map(|_| night(10, 10, 1)).collect();
            let backs = [back(0, 1.0)];
            let told = Told {
                nights: &nights,
                backs: &backs,
            };
            told.nights_table().render(true)
        };
        let text = told(65);
        for row in [
            "| 1 to 30 ",
            "| 31 to 60 ",
            "| 61 to 65 ",
            " 300 |",
            " 650 |",
        ] {
            assert!(text.contains(row), "{row} is not in\n{text}");
        }
        assert_eq!(told(30).lines().count(), 2 + 1 + 30 + 1);
    }
}
