//! The JUnit report, which CI servers show.
//!
//! Two suites: what was looked at, a test case a check, and the snapshots, a test
//! case each. A check or a snapshot that was not looked at is skipped and says
//! why: a report never shows green what nobody saw. It is red exactly where the
//! exit code is. A refused snapshot is skipped too: it is in nobody's way, it
//! can't be removed, and a report that stays red for ever says nothing of
//! tonight; its line is in the output all the same.

use std::path::Path;
use std::time::Duration;

use indelible_engine::verify::{Check, Report, Verdict};
use indelible_format::attest::Level;
use indelible_format::history::Continuity;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::told::{self, Told};
use super::{level_word, text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::replace::replace;

/// When a verification was made, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) began_unix_ms: u64,
    pub(super) took_ms: u64,
}

/// Writes the report of a verification, or of why there was none.
pub(super) fn write(
    path: &Path,
    outcome: &Result<Report, Failure>,
    span: Span,
) -> Result<(), Failure> {
    let suites = match outcome {
        Ok(report) => {
            let told = told::all(report);
            vec![checks(report, &told), snapshots(report, &told)]
        }
        Err(failure) => vec![no_verification(failure)],
    };
    let mut junit = quick_junit::Report::new("indelible verify");
    junit.time = Some(Duration::from_millis(span.took_ms));
    junit.timestamp = output::utc_time(span.began_unix_ms).and_then(|time| time.parse().ok());
    for mut suite in suites {
        suite.timestamp = junit.timestamp;
        junit.add_test_suite(suite);
    }
    // All of it was one run, and servers add up what suites took.
    junit.test_suites[0].time = junit.time;
    let shown = path.display();
    let xml = junit.to_string().map_err(|error| {
        Failure::new(Exit::Failed, format!("could not make the report {shown}"))
            .hint(error.to_string())
    })?;
    replace(path, xml.as_bytes())
        .map_err(|error| Failure::io(format!("write the report {shown}"), &error))
}

fn no_verification(failure: &Failure) -> TestSuite {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let mut lines = failure.causes.clone();
    lines.extend(failure.hint.clone());
    status
        .set_type(failure.exit.word())
        .set_message(&failure.message)
        .set_description(lines.join("\n"));
    let mut suite = TestSuite::new("repository");
    suite.add_test_case(case("repository", "verification", status));
    suite
}

fn case(suite: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(suite);
    case
}

fn skipped(reason: impl AsRef<str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason.as_ref());
    status
}

/// A failure that lists problems, a line each.
fn failed(kind: &str, told: &[&Told<'_>]) -> TestCaseStatus {
    let lines: Vec<String> = told.iter().map(|told| told.line()).collect();
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let count = output::count(lines.len() as u64, "problem", "problems");
    status
        .set_type(kind)
        .set_message(count)
        .set_description(lines.join("\n"));
    status
}

fn checks(report: &Report, told: &[Told<'_>]) -> TestSuite {
    let mut suite = TestSuite::new("repository");
    for check in Check::ALL {
        let name = name(check);
        let own: Vec<&Told<'_>> = told.iter().filter(|told| told.kind.fails(check)).collect();
        let status = if own.is_empty() {
            left_out(report, check).map_or_else(TestCaseStatus::success, skipped)
        } else {
            failed(own[0].kind.code(), &own)
        };
        let mut case = case("repository", name, status);
        if let Some(remark) = remark(report, check) {
            case.set_system_out(remark);
        }
        suite.add_test_case(case);
    }
    suite
}

fn name(check: Check) -> &'static str {
    match check {
        Check::Log => "log",
        Check::Freshness => "freshness",
        Check::Records => "commit records",
        Check::Presence => "presence",
        Check::Contents => "pack contents",
        Check::Directories => "directories",
        Check::Trees => "trees",
        Check::Chunks => "chunks",
        Check::Locks => "locks",
    }
}

/// Why a check was not made, if it was not.
fn left_out(report: &Report, check: Check) -> Option<String> {
    let unpinned = report.freshness.worst() == Continuity::Unpinned;
    if check.level() > report.level {
        return Some(format!(
            "not looked at by level {}: it takes level {}",
            level_word(report.level),
            level_word(check.level())
        ));
    }
    if check == Check::Freshness && unpinned {
        return Some(text::freshness(&report.freshness));
    }
    if check == Check::Locks && report.locks == 0 {
        return Some("nothing is promised, so no lock was asked for".to_owned());
    }
    let not_read = report.unread.packs + report.vouched.packs;
    let none_read = report.packs_read == 0 && report.packs > 0 && not_read == report.packs;
    (check.reads_packs() && none_read)
        .then(|| format!("no pack was read: {}", unread(report).join("; ")))
}

/// What is to be known of a check beside its outcome.
fn remark(report: &Report, check: Check) -> Option<String> {
    match check {
        Check::Freshness => Some(text::freshness(&report.freshness)),
        Check::Log if !report.accepted.is_empty() => {
            let junk = report.accepted.iter();
            let lines =
                junk.map(|junk| format!("ACCEPTED log/{:012}: {}", junk.number, junk.reason));
            Some(lines.collect::<Vec<_>>().join("\n"))
        }
        check if check.reads_packs() && check.level() <= report.level => {
            let mut lines = unread(report);
            if check == Check::Chunks {
                lines.extend(text::undecoded(report));
            }
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        _ => None,
    }
}

/// What was not read of the packs, and why, if anything was not.
fn unread(report: &Report) -> Vec<String> {
    let unread = (report.unread.packs > 0).then(|| {
        format!(
            "not read: {} of {}, {} bytes",
            report.unread.packs,
            output::count(report.packs, "pack", "packs"),
            report.unread.bytes
        )
    });
    text::vouched(report).into_iter().chain(unread).collect()
}

fn snapshots(report: &Report, told: &[Told<'_>]) -> TestSuite {
    let mut suite = TestSuite::new("snapshots");
    for verdict in &report.snapshots {
        let name = verdict.name.as_deref().unwrap_or_default();
        let name = format!("{name}@{}", verdict.number);
        let status = snapshot(report, told, verdict);
        suite.add_test_case(case("snapshots", &name, status));
    }
    suite
}

fn snapshot(report: &Report, told: &[Told<'_>], verdict: &Verdict) -> TestCaseStatus {
    let concerns = |told: &&Told<'_>| {
        let of_it = |at: &usize| verdict.problems.contains(at) || verdict.suspects.contains(at);
        told.members.iter().any(of_it)
    };
    let own: Vec<&Told<'_>> = told.iter().filter(concerns).collect();
    if !own.is_empty() {
        let surely = !verdict.problems.is_empty();
        return failed(if surely { "harmed" } else { "perhaps-harmed" }, &own);
    }
    match &verdict.refused {
        Some(refusal) => skipped(format!("refused: {refusal}")),
        None if report.level == Level::Packs => {
            skipped("level packs does not look into snapshots: that takes level tree")
        }
        None => TestCaseStatus::success(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use indelible_engine::repository::{Freshness, Refusal};
    use indelible_engine::verify::{Amount, Extent};
    use indelible_format::ids::{LogHash, RepositoryId};

    use super::*;

    fn report(level: Level, refused: Option<Refusal>) -> Report {
        let unpinned = Continuity::Unpinned;
        Report {
            repository: RepositoryId([1; 32]),
            level,
            extent: Extent::ALL,
            size: 2,
            root: LogHash([2; 32]),
            freshness: Freshness {
                memory: unpinned,
                key_file: unpinned,
                pin: unpinned,
            },
            packs: 0,
            packs_read: 0,
            bytes: 0,
            unread: Amount::default(),
            vouched: Amount::default(),
            chunks: 0,
            undecoded: 0,
            decodes: 0,
            nodes: 0,
            locks: 0,
            problems: Vec::new(),
            accepted: Vec::new(),
            snapshots: vec![Verdict {
                number: 1,
                name: Some("orders".to_owned()),
                problems: BTreeSet::new(),
                suspects: BTreeSet::new(),
                refused,
            }],
            unreferenced: Vec::new(),
            unreferenced_records: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// A refused snapshot is skipped with the reason, and so is freshness with
    /// nothing to compare; neither makes a report red.
    ///
    /// Method: both suites of a report with and without a refusal.
    #[test]
    fn refused_and_unpinned_are_skipped() {
        let refused = report(Level::Data, Some(Refusal::Name));
        let suite = snapshots(&refused, &[]);
        assert_eq!((suite.skipped, suite.failures, suite.errors), (1, 0, 0));
        let TestCaseStatus::Skipped { message, .. } = &suite.test_cases[0].status else {
            panic!("it is skipped")
        };
        let message = message.as_ref().expect("it says why").as_str();
        assert_eq!(message, "refused: its key may not write this NAME");
        let sound = report(Level::Data, None);
        assert_eq!(snapshots(&sound, &[]).skipped, 0);
        assert_eq!(snapshots(&report(Level::Packs, None), &[]).skipped, 1);
        let suite = checks(&sound, &[]);
        assert_eq!((suite.tests, suite.skipped, suite.failures), (9, 2, 0));
    }

    /// A report never shows green what was taken on the store's word alone, and says for how
    /// much it was.
    ///
    /// Method: the check of contents with no pack read, and with one that was; what is
    /// skipped, what is remarked, and how the lines for an operator end.
    #[test]
    fn the_stores_word_is_said() {
        let mut vouched = report(Level::Packs, None);
        vouched.packs = 3;
        vouched.vouched = Amount {
            packs: 3,
            bytes: 3 << 20,
        };
        let word = "on the store's word: 3 of 3 packs, 3.00 MiB: it keeps the SHA-256 that the log lists; that it still has the bytes, only reading shows (--download)";
        let skipped = left_out(&vouched, Check::Contents);
        assert_eq!(skipped, Some(format!("no pack was read: {word}")));
        assert_eq!(left_out(&vouched, Check::Presence), None);
        (vouched.packs, vouched.packs_read) = (4, 1);
        assert_eq!(left_out(&vouched, Check::Contents), None);
        let remark = remark(&vouched, Check::Contents);
        assert_eq!(remark, Some(word.replace("of 3", "of 4")));
    }

    /// Deltas for which there was no time are said to be not decoded, where chunks are
    /// told of and nowhere else.
    ///
    /// Method: the remarks to all checks, of a report with such deltas and of one without.
    #[test]
    fn what_was_not_decoded_is_said() {
        let whole = report(Level::Data, None);
        let hasty = Report {
            undecoded: 3,
            ..report(Level::Data, None)
        };
        for check in Check::ALL {
            let (told, before) = (remark(&hasty, check), remark(&whole, check));
            if check == Check::Chunks {
                let told = told.expect("a remark");
                assert!(told.starts_with("not decoded: 3 deltas"), "{told}");
                assert_eq!(before, None);
            } else {
                assert_eq!(told, before);
            }
        }
    }
}
