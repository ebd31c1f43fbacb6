//! Dump commands: what ends well is committed, and nothing else is.

use std::ffi::OsString;
use std::thread;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::{Phase, Progress, Silent};
use indelible_engine::snapshot::{self, CommandInput, Input, SnapshotRunError};
use indelible_engine::source::{CommandError, CommandSpec, Stderr};

use crate::support::{Fixture, request, restore, run};

fn command(path: &str, line: &str) -> CommandInput {
    CommandInput {
        path: path.as_bytes().to_vec(),
        command: CommandSpec::Shell(OsString::from(line)),
        stderr: Stderr::Lines(Box::new(|_| {})),
    }
}

/// The output of several commands becomes several entries, in the order of
/// their paths.
///
/// Method: give them in disorder, with names that sort around the slash.
#[test]
fn outputs_become_entries() {
    let fixture = Fixture::new(21);
    let commands = vec![
        command("z.sql", "printf last"),
        command("a-b.sql", "printf second"),
        command("a/b.sql", "printf first"),
    ];
    let mut repository = fixture.open();
    let summary = run(&mut repository, "shop", Input::Commands(commands), &Silent);
    let contents = restore(&fixture.open(), summary.unwrap().number).unwrap();
    let expected = [
        (&b"a/b.sql"[..], &b"first"[..]),
        (b"a-b.sql", b"second"),
        (b"z.sql", b"last"),
    ];
    for (path, bytes) in expected {
        assert_eq!(contents[path], bytes);
    }
}

/// A command that does not end well leaves the log as it was.
///
/// Method: one that prints and fails, one that prints nothing, one that kills
/// itself and one that is not there, each behind one that ends well.
#[test]
fn failures_commit_nothing() {
    type Expected = fn(&CommandError) -> bool;
    let failures: [(&str, Expected); 4] = [
        ("echo half; exit 3", |error| {
            matches!(error, CommandError::Exited { code: 3, .. })
        }),
        ("true", |error| {
            matches!(error, CommandError::PrintedNothing { .. })
        }),
        ("echo half; kill -9 $$", |error| {
            matches!(error, CommandError::Signalled { signal: 9, .. })
        }),
        ("no-such-dump-tool-anywhere", |error| {
            matches!(error, CommandError::Exited { code: 127, .. })
        }),
    ];
    let fixture = Fixture::new(22);
    let before = fixture.open().history().root();
    for (line, expected) in failures {
        let commands = vec![command("a.sql", "echo good"), command("b.sql", line)];
        let mut repository = fixture.open();
        match run(&mut repository, "shop", Input::Commands(commands), &Silent) {
            Err(SnapshotRunError::Command { path, source }) => {
                assert_eq!(path, "b.sql");
                assert!(expected(&source), "{line}: {source}");
            }
            other => panic!("{line}: {other:?}"),
        }
        assert_eq!(fixture.open().history().root(), before, "{line}");
    }
}

/// Two commands with one path, or one path below the other, are refused before
/// either is run.
///
/// Method: commands that would leave a file behind.
#[test]
fn paths_that_collide_run_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("ran");
    let line = format!("touch {}; echo x", trace.display());
    let fixture = Fixture::new(23);
    for (first, second) in [("a", "a"), ("a/b", "a")] {
        let commands = vec![command(first, &line), command(second, &line)];
        let mut repository = fixture.open();
        let error = run(&mut repository, "shop", Input::Commands(commands), &Silent).unwrap_err();
        assert!(matches!(error, SnapshotRunError::Order { .. }), "{error}");
        assert!(!trace.exists());
    }
}

/// Requests to stop once reading has begun.
struct StopWhenReading<'a>(&'a Cancel);

impl Progress for StopWhenReading<'_> {
    fn advance(&self, phase: Phase, _: u64) {
        if phase == Phase::Reading {
            self.0.request();
        }
    }
}

/// An interrupt ends the command and commits nothing.
///
/// Method: a command that fills one batch and then runs for ever, stopped from
/// the thread that is told of the first bytes; and one that was stopped before.
#[test]
fn an_interrupt_commits_nothing() {
    let fixture = Fixture::new(24);
    let before = fixture.store.keys();
    let cancel = Cancel::new();
    let line = "head -c 17000000 /dev/zero; exec tail -f /dev/null";
    let input = Input::Commands(vec![command("a.sql", line)]);
    let progress = StopWhenReading(&cancel);
    let mut repository = fixture.open();
    let stopped = thread::scope(|scope| {
        let run = || snapshot::run(&mut repository, &request("shop"), input, &cancel, &progress);
        scope.spawn(run).join().unwrap()
    });
    assert!(matches!(stopped, Err(SnapshotRunError::Interrupted)));
    let input = Input::Commands(vec![command("a.sql", "echo x")]);
    let again = snapshot::run(&mut repository, &request("shop"), input, &cancel, &Silent);
    assert!(matches!(again, Err(SnapshotRunError::Interrupted)));
    assert_eq!(fixture.store.keys(), before);
}
