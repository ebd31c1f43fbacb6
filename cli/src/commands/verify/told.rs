//! Problems as an operator is told of them: one line for each kind of problem
//! with each object, however many chunks of it are concerned.
//!
//! A line says with which object, what, why, whom it harms, and what to do, in
//! that order, and begins with a word and the kind, so that it can be searched
//! for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indelible_engine::verify::{Harm, Problem, ProblemKind, Report};

use super::causes;

/// How many stretches of chunk numbers, and how many snapshots, a line names.
const NAMED_MAX: usize = 20;

/// All problems of a kind with an object.
pub(super) struct Told<'r> {
    pub(super) kind: ProblemKind,
    object: &'r str,
    /// Their places in the report.
    pub(super) members: Vec<usize>,
    chunks: BTreeSet<u32>,
    causes: BTreeSet<String>,
    surely: BTreeSet<u64>,
    perhaps: BTreeSet<u64>,
    /// Others may be harmed that can't be told without a key.
    needs_key: bool,
}

/// Everything that is wrong, in the order of the report.
pub(super) fn all(report: &Report) -> Vec<Told<'_>> {
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut known = BTreeMap::new();
    for (at, problem) in report.problems.iter().enumerate() {
        let key = (problem.kind, problem.object.as_str());
        let place = *known.entry(key).or_insert_with(|| {
            told.push(Told::new(problem));
            told.len() - 1
        });
        told[place].add(at, problem);
    }
    told
}

impl<'r> Told<'r> {
    fn new(problem: &'r Problem) -> Self {
        Self {
            kind: problem.kind,
            object: &problem.object,
            members: Vec::new(),
            chunks: BTreeSet::new(),
            causes: BTreeSet::new(),
            surely: BTreeSet::new(),
            perhaps: BTreeSet::new(),
            needs_key: false,
        }
    }

    fn add(&mut self, at: usize, problem: &Problem) {
        self.members.push(at);
        self.chunks.extend(problem.chunk);
        let cause = causes(problem);
        if !cause.is_empty() {
            self.causes.insert(cause);
        }
        match &problem.harm {
            Harm::Snapshots(surely) => self.surely.extend(surely),
            Harm::AtLeast(surely) => {
                self.surely.extend(surely);
                self.needs_key = true;
            }
            Harm::Within { surely, perhaps } => {
                self.surely.extend(surely);
                self.perhaps.extend(perhaps);
            }
        }
    }

    /// The line.
    pub(super) fn line(&self) -> String {
        let mut line = format!("PROBLEM {} {}", self.kind.code(), self.object);
        match self.chunks.len() {
            0 => {}
            1 => {
                let _ = write!(line, " chunk {}", stretches(&self.chunks));
            }
            count => {
                let chunks = stretches(&self.chunks);
                let _ = write!(line, " chunks {chunks} ({count} in all)");
            }
        }
        let _ = write!(line, ": {}", self.kind.describe());
        let mut causes = self.causes.iter();
        if let Some(cause) = causes.next() {
            let _ = write!(line, ": {cause}");
        }
        if causes.len() > 0 {
            let _ = write!(line, ", and {} more causes", causes.len());
        }
        format!("{line}; {}; {}", self.harm(), self.kind.advice())
    }

    fn harm(&self) -> String {
        let more: BTreeSet<u64> = self.perhaps.difference(&self.surely).copied().collect();
        match (self.surely.is_empty(), more.is_empty(), self.needs_key) {
            (true, true, true) => "whom it harms takes a key to tell".to_owned(),
            (true, true, false) => "harms no snapshot".to_owned(),
            (false, true, true) => {
                format!("harms {}, and perhaps later ones", numbers(&self.surely))
            }
            (false, true, false) => format!("harms {}", numbers(&self.surely)),
            (true, false, _) => format!(
                "perhaps harms {}: a key with the restore right can tell",
                numbers(&more)
            ),
            (false, false, _) => format!(
                "harms {}, and perhaps {}: a key with the restore right can tell",
                numbers(&self.surely),
                numbers(&more)
            ),
        }
    }
}

fn numbers(snapshots: &BTreeSet<u64>) -> String {
    let list: Vec<String> = snapshots
        .iter()
        .take(NAMED_MAX)
        .map(|number| format!("@{number}"))
        .collect();
    let more = snapshots.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        format!("{} and {more} more", list.join(" "))
    } else {
        list.join(" ")
    }
}

/// Numbers as `0-3,7`, without a space, cut off where there are too many.
fn stretches(numbers: &BTreeSet<u32>) -> String {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => stretches.push((number, number)),
        }
    }
    let cut = stretches.len() > NAMED_MAX;
    let shown = stretches.iter().take(NAMED_MAX);
    let mut list: Vec<String> = shown
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        })
        .collect();
    if cut {
        list.push("...".to_owned());
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stretches of numbers are short to read, however many there are.
    ///
    /// Method: one, a run, gaps, and more gaps than are shown.
    #[test]
    fn stretches_are_short() {
        let of = |numbers: &[u32]| stretches(&numbers.iter().copied().collect());
        assert_eq!(of(&[7]), "7");
        assert_eq!(of(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        let odd: BTreeSet<u32> = (0..100).map(|n| 2 * n + 1).collect();
        assert!(stretches(&odd).starts_with("1,3,5,"));
        assert!(stretches(&odd).ends_with(",39,..."));
    }
}
