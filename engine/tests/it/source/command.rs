//! Dump commands: what counts as a dump, and that nothing is left running.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::time::Duration;

use indelible_engine::source::{
    CommandError, CommandOutput, CommandSpec, RunningCommand, STDERR_TAIL_BYTES_MAX, Stderr, start,
};

fn shell(line: &str) -> (CommandOutput, RunningCommand) {
    start(&CommandSpec::Shell(line.into()), Stderr::keep_tail()).unwrap()
}

/// Runs a line to its end and gives what it printed and how it ended.
fn run(line: &str) -> (Vec<u8>, Result<(), CommandError>) {
    let (mut output, running) = shell(line);
    let mut printed = Vec::new();
    output.read_to_end(&mut printed).unwrap();
    let result = running.finish(printed.len() as u64);
    (printed, result)
}

/// A command that prints a dump and exits with 0 is a success, byte for byte.
///
/// Method: arguments with spaces and bytes that are not UTF-8, given as words;
/// then 4 MiB from a shell line, more than any pipe holds.
#[test]
fn a_command_that_succeeds_is_a_dump() {
    let word = OsStr::from_bytes(b"two words \xff");
    let argv = ["printf".as_ref(), "%s".as_ref(), word].map(OsStr::to_os_string);
    let (mut output, running) = start(&CommandSpec::Argv(argv.to_vec()), Stderr::Inherit).unwrap();
    let mut printed = Vec::new();
    output.read_to_end(&mut printed).unwrap();
    running.finish(printed.len() as u64).unwrap();
    assert_eq!(printed, word.as_bytes());

    let (printed, result) = run("head -c 4194304 /dev/zero");
    result.unwrap();
    assert_eq!(printed.len(), 4_194_304);
}

/// Every way for a command to fail is told apart, with its last words.
///
/// Method: a command for each; the exit status comes after a plausible dump.
#[test]
fn every_failure_of_a_command_is_told_apart() {
    let (printed, result) = run("echo CREATE TABLE; echo server gone >&2; exit 3");
    assert_eq!(printed, b"CREATE TABLE\n");
    let error = result.unwrap_err();
    let CommandError::Exited {
        code: 3,
        stderr_tail,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(stderr_tail, b"server gone\n");

    let error = run("echo x; echo oops >&2; kill -9 $$").1.unwrap_err();
    let CommandError::Signalled {
        signal: 9,
        stderr_tail,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(stderr_tail, b"oops\n");

    let error = run("exit 0").1.unwrap_err();
    assert!(
        matches!(error, CommandError::PrintedNothing { .. }),
        "{error:?}"
    );

    let not_started = |argv: &[&str]| {
        let argv = argv.iter().map(Into::into).collect();
        start(&CommandSpec::Argv(argv), Stderr::Inherit).unwrap_err()
    };
    let error = not_started(&["/indelible-no-such-program", "--password=hunter2"]);
    assert!(matches!(error, CommandError::NotFound { .. }), "{error:?}");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "arguments carry passwords"
    );
    let error = not_started(&["/dev/null"]);
    assert!(
        matches!(error, CommandError::NotStarted { .. }),
        "{error:?}"
    );
    assert!(matches!(not_started(&[]), CommandError::Empty));
    let error = start(&CommandSpec::Shell("".into()), Stderr::Inherit).unwrap_err();
    assert!(matches!(error, CommandError::Empty));
}

/// A tool that fails in front of a pipe fails the line where `sh` can tell.
///
/// Method: ask `sh` whether it knows `pipefail`, and expect accordingly.
#[test]
fn a_failure_before_a_pipe_counts_where_the_shell_can_tell() {
    let knows = run("(set -o pipefail) 2>/dev/null && echo yes || echo no").0 == b"yes\n";
    let (printed, result) = run("(echo half; exit 3) | cat");
    assert_eq!(printed, b"half\n");
    assert_eq!(result.is_err(), knows);
}

/// A command can write any amount to standard error without blocking.
///
/// Method: 10 MiB without a line feed, then lines, before the dump; nobody
/// reads the dump until then. The pieces handed on and what is kept are bounded.
#[test]
fn a_flood_on_standard_error_blocks_nothing() {
    let (sender, lines) = mpsc::channel();
    let on_line = Box::new(move |line: &[u8]| sender.send(line.to_vec()).unwrap());
    let line = "head -c 10485760 /dev/zero >&2; echo >&2; echo last words >&2; echo dump; exit 1";
    let (mut output, running) =
        start(&CommandSpec::Shell(line.into()), Stderr::Lines(on_line)).unwrap();
    let mut printed = Vec::new();
    output.read_to_end(&mut printed).unwrap();
    assert_eq!(printed, b"dump\n");
    let error = running.finish(printed.len() as u64).unwrap_err();
    let CommandError::Exited { stderr_tail, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(stderr_tail.len(), STDERR_TAIL_BYTES_MAX);
    assert!(stderr_tail.ends_with(b"\0\nlast words\n"));
    let lines: Vec<Vec<u8>> = lines.iter().collect();
    let zeros = lines.iter().flatten().filter(|byte| **byte == 0).count();
    assert_eq!(zeros, 10_485_760);
    assert!(
        lines
            .iter()
            .all(|line| line.len() <= 2 * STDERR_TAIL_BYTES_MAX)
    );
    assert_eq!(lines.last().unwrap(), b"last words");
}

/// Starts a command whose grandchild would print for ever, and waits for the
/// grandchild's first byte.
fn with_grandchild() -> (CommandOutput, RunningCommand) {
    let line = "trap '' TERM; sh -c 'trap \"\" TERM; echo x; exec sleep 100000' & wait";
    let (mut output, running) = shell(line);
    let mut first = [0];
    output.read_exact(&mut first).unwrap();
    (output, running)
}

/// Nothing that a command started outlives its end.
///
/// Method: a grandchild holds the output open and ignores the polite signal.
/// End the command in each way; the output ends only when every process that
/// holds it is dead.
#[test]
fn ending_a_command_ends_its_grandchildren() {
    let ways: [fn(RunningCommand); 3] = [
        |running| running.abort(Duration::from_millis(1)),
        drop,
        |running| {
            running.kill_switch().terminate();
            running.kill_switch().kill();
            let error = running.finish(1).unwrap_err();
            assert!(
                matches!(error, CommandError::Signalled { signal: 9, .. }),
                "{error:?}"
            );
        },
    ];
    for end in ways {
        let (mut output, running) = with_grandchild();
        end(running);
        output.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// A command that fails takes along what it left running.
///
/// Method: the command leaves a process that holds standard error open, though
/// not the output, and fails; finishing kills it, so the handler is dropped.
#[test]
fn a_failed_command_leaves_nothing_running() {
    let (sender, dropped) = mpsc::channel::<()>();
    let on_line = Box::new(move |_: &[u8]| {
        let _keep_alive = &sender;
    });
    let line = "sleep 100000 >/dev/null & echo x; exit 1";
    let (mut output, running) =
        start(&CommandSpec::Shell(line.into()), Stderr::Lines(on_line)).unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(matches!(
        running.finish(2),
        Err(CommandError::Exited { code: 1, .. })
    ));
    let kept = dropped.recv_timeout(Duration::from_mins(1));
    assert_eq!(kept, Err(mpsc::RecvTimeoutError::Disconnected));
}

/// A polite signal is enough for a command that heeds it, and comes first.
///
/// Method: a command that prints a word when it is asked to end.
#[test]
fn a_command_is_asked_to_end_before_it_is_killed() {
    let (mut output, running) =
        shell("trap 'echo bye; exit 0' TERM; echo x; while :; do sleep 100000 & wait; done");
    output.read_exact(&mut [0; 2]).unwrap();
    running.abort(Duration::from_hours(1));
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye\n");
}

/// A command that reaches for a terminal is ended instead of waited for.
///
/// Method: a command stops itself as the kernel would stop one that reads the
/// terminal in the background; another stops and goes on, which is fine.
#[test]
fn a_command_that_wants_a_terminal_is_ended() {
    let error = run("echo Password: >&2; kill -TTIN $$; echo never")
        .1
        .unwrap_err();
    let CommandError::WantedTerminal { stderr_tail } = error else {
        panic!("{error:?}")
    };
    assert_eq!(stderr_tail, b"Password:\n");

    let (printed, result) = run("(kill -STOP $$; kill -CONT $$) & wait; echo done");
    result.unwrap();
    assert_eq!(printed, b"done\n");
}

/// A command has no input to wait for.
///
/// Method: `cat` without arguments, with a dump behind it.
#[test]
fn a_command_has_no_input() {
    let (printed, result) = run("cat; echo dump");
    result.unwrap();
    assert_eq!(printed, b"dump\n");
}
