//! Marks that are to be reached, and whether they are.

use crate::table::Table;

/// A mark and what was measured.
pub struct Target {
    /// What is measured.
    pub what: String,
    /// What it must be.
    pub bound: Bound,
    /// Stands behind the number.
    pub unit: &'static str,
    /// What it is; nothing if there was nothing to hold it against.
    pub measured: Option<f64>,
}

/// Where a mark lies.
#[derive(Clone, Copy)]
pub enum Bound {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Target {
    /// Whether it is reached; nothing if there was nothing to hold it against.
    pub fn reached(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

/// A row for each mark.
pub fn table(targets: &[Target]) -> Table {
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

/// What of something is, if both are known.
pub fn ratio(above: Option<f64>, below: Option<f64>) -> Option<f64> {
    Some(above? / below?)
}
