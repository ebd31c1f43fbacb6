//! What a verification found, in lines for an operator.

use std::collections::BTreeMap;

use indelible_engine::repository::Freshness;
use indelible_engine::verify::Report;
use indelible_format::attest::Level;
use indelible_format::history::Continuity;

use super::{level_word, told};
use crate::context::Context;
use crate::output;

/// How many lines of one kind are printed. A thief who litters the store must
/// not be able to bury what else is wrong.
const LINES_MAX: usize = 100;

pub(super) fn print(context: &Context, report: &Report) {
    let mut lines = Lines::default();
    let problems = told::all(report);
    for told in &problems {
        lines.print(&format!("PROBLEM {}", told.kind.code()), &told.line());
    }
    for junk in &report.accepted {
        let line = format!(
            "ACCEPTED log/{:012}: an object that is no valid log entry: {}; somebody looked at it, and it is still the same",
            junk.number, junk.reason
        );
        lines.print("ACCEPTED", &line);
    }
    for verdict in &report.snapshots {
        if let Some(refusal) = &verdict.refused {
            lines.print(
                "REFUSED",
                &format!("REFUSED @{}: {refusal}", verdict.number),
            );
        }
    }
    for path in &report.foreign {
        let path = indelible_format::path::shown(path.as_bytes()).to_string();
        let line = format!("FOREIGN {path}: no object of a repository has such a name");
        lines.print("FOREIGN", &line);
    }
    lines.finish();
    if context.common.quiet && report.is_sound() {
        return;
    }
    summary(report, problems.len());
}

/// Prints so many lines of each kind, and counts the rest.
#[derive(Default)]
struct Lines {
    printed: BTreeMap<String, usize>,
}

impl Lines {
    fn print(&mut self, kind: &str, line: &str) {
        let printed = self.printed.entry(kind.to_owned()).or_default();
        *printed += 1;
        if *printed <= LINES_MAX {
            output::line(line);
        }
    }

    fn finish(self) {
        for (kind, count) in self.printed {
            if let Some(more) = count.checked_sub(LINES_MAX).filter(|&more| more > 0) {
                output::line(&format!(
                    "{kind}: {} more; --json lists all",
                    indicatif::HumanCount(more as u64)
                ));
            }
        }
    }
}

fn summary(report: &Report, problems: usize) {
    let left = report.unreferenced.len() + report.unreferenced_records.len();
    if left > 0 {
        output::line(&format!(
            "{} that no snapshot names, left by interrupted runs; no harm",
            output::count(left as u64, "object", "objects")
        ));
    }
    output::line(&format!(
        "verified at level {}: {}, {}, {}, {} read, {} decoded, {} walked",
        level_word(report.level),
        output::count(report.size, "log entry", "log entries"),
        output::count(report.snapshots.len() as u64, "snapshot", "snapshots"),
        output::count(report.packs, "pack", "packs"),
        output::size(report.bytes),
        output::count(report.chunks, "chunk", "chunks"),
        output::count(report.nodes, "node", "nodes"),
    ));
    extent(report);
    if let Some(undecoded) = undecoded(report) {
        output::line(&undecoded);
    }
    if report.locks > 0 {
        output::line(&format!(
            "asked for the locks of {} under a promise",
            output::count(report.locks, "object", "objects"),
        ));
    }
    output::line(&freshness(&report.freshness));
    output::line(&verdict(report, problems));
}

/// What was read, and what was not.
fn extent(report: &Report) {
    if let Some(vouched) = vouched(report) {
        output::line(&match report.packs_read {
            0 => "read: no pack".to_owned(),
            read => format!(
                "read: every byte of {}; nothing was decrypted",
                output::count(read, "pack", "packs"),
            ),
        });
        output::line(&vouched);
    } else {
        output::line(read(report));
    }
    let unread = report.unread;
    if unread.packs > 0 {
        output::line(&format!(
            "not read: {} of {}, {}; checked of them: {}",
            indicatif::HumanCount(unread.packs),
            output::count(report.packs, "pack", "packs"),
            output::size(unread.bytes),
            match report.level {
                Level::Packs | Level::Drill => "presence and length",
                Level::Tree | Level::Data => "presence, length and directory",
            }
        ));
    }
}

/// What was read, where no word was taken for it.
fn read(report: &Report) -> &'static str {
    if report.unread.packs == 0 {
        return match report.level {
            Level::Packs | Level::Drill => "read: every byte of every pack; nothing was decrypted",
            Level::Tree => {
                "read: every byte of every pack; every page and node decoded, contents not"
            }
            Level::Data if report.undecoded > 0 => {
                "read: every byte of every pack; chunks decoded while there was time"
            }
            Level::Data => "read: every byte of every pack; every chunk decoded",
        };
    }
    match report.level {
        Level::Packs | Level::Drill => {
            "read: every byte of the packs that were drawn; nothing was decrypted"
        }
        Level::Tree => {
            "read: every byte of the packs that were drawn; every page and node decoded, contents not"
        }
        Level::Data if report.undecoded > 0 => {
            "read: every byte of the packs that were drawn; every page and node decoded, and their chunks while there was time"
        }
        Level::Data => {
            "read: every byte of the packs that were drawn; their chunks and every page and node decoded"
        }
    }
}

/// What was not read because the store vouches for it, if anything was not.
pub(super) fn vouched(report: &Report) -> Option<String> {
    (report.vouched.packs > 0).then(|| {
        format!(
            "on the store's word: {} of {}, {}: it keeps the SHA-256 that the log lists; that it still has the bytes, only reading shows (--download)",
            indicatif::HumanCount(report.vouched.packs),
            output::count(report.packs, "pack", "packs"),
            output::size(report.vouched.bytes),
        )
    })
}

/// What was read and not decoded, if anything was not.
pub(super) fn undecoded(report: &Report) -> Option<String> {
    (report.undecoded > 0).then(|| {
        format!(
            "not decoded: {}, for which there was no time; checked of them: that their bytes are what was sealed",
            output::count(report.undecoded, "delta", "deltas")
        )
    })
}

/// What the log was compared with, and how that ended.
pub(super) fn freshness(freshness: &Freshness) -> String {
    let each = [
        (freshness.memory, "what this machine remembered"),
        (freshness.key_file, "what the key file states"),
        (freshness.pin, "the pin"),
    ];
    let named = |wanted: fn(&Continuity) -> bool| -> Vec<&str> {
        let chosen = each.iter().filter(|(found, _)| wanted(found));
        chosen.map(|(_, name)| *name).collect()
    };
    let extends = named(|found| matches!(found, Continuity::Extends));
    let contradicts =
        named(|found| matches!(found, Continuity::Behind { .. } | Continuity::Forked { .. }));
    match (extends.is_empty(), contradicts.is_empty()) {
        (true, true) => {
            "freshness unverified: there was nothing to compare the log with".to_owned()
        }
        (false, true) => format!("the log extends {}", listed(&extends)),
        (true, false) => format!("the log contradicts {}", listed(&contradicts)),
        (false, false) => format!(
            "the log contradicts {}; it extends {}",
            listed(&contradicts),
            listed(&extends)
        ),
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

fn verdict(report: &Report, problems: usize) -> String {
    if report.is_sound() {
        return match (report.unread.packs, report.undecoded) {
            _ if report.vouched.packs > 0 => {
                "no problem found in what was read and in what the store says".to_owned()
            }
            (0, 0) => "no problem found".to_owned(),
            (_, 0) => "no problem found in what was read".to_owned(),
            _ => "no problem found in what was read and decoded".to_owned(),
        };
    }
    let verdicts = report.snapshots.iter();
    let harmed = verdicts
        .clone()
        .filter(|it| !it.problems.is_empty())
        .count();
    let perhaps = verdicts.filter(|it| it.problems.is_empty() && !it.suspects.is_empty());
    let perhaps = match perhaps.count() {
        0 => String::new(),
        count => format!(", and perhaps {count} more,"),
    };
    format!(
        "{} found; {harmed} harmed{perhaps} of {}",
        output::count(problems as u64, "problem", "problems"),
        output::count(report.snapshots.len() as u64, "snapshot", "snapshots"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentence about freshness names what the log was compared with.
    ///
    /// Method: each combination of three that has a form of its own.
    #[test]
    fn freshness_names_what_was_compared() {
        let (none, extends) = (Continuity::Unpinned, Continuity::Extends);
        let behind = Continuity::Behind {
            shown: 3,
            remembered: 4,
        };
        let forked = Continuity::Forked { at: 3 };
        for (memory, key_file, pin, expected) in [
            (
                none,
                none,
                none,
                "freshness unverified: there was nothing to compare the log with",
            ),
            (
                extends,
                none,
                none,
                "the log extends what this machine remembered",
            ),
            (
                none,
                extends,
                extends,
                "the log extends what the key file states and the pin",
            ),
            (
                extends,
                extends,
                extends,
                "the log extends what this machine remembered, what the key file states and the pin",
            ),
            (none, none, behind, "the log contradicts the pin"),
            (
                forked,
                extends,
                none,
                "the log contradicts what this machine remembered; it extends what the key file states",
            ),
        ] {
            let compared = Freshness {
                memory,
                key_file,
                pin,
            };
            assert_eq!(freshness(&compared), expected);
        }
    }
}
