//! Ctrl-C in the middle of a snapshot.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{World, end_of, noise};

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).expect("the process is ours");
}

fn assert_nothing_committed(world: &World) {
    assert_eq!(world.objects("log").len(), 2, "genesis and the key");
    world
        .indelible(["verify"])
        .run()
        .exits(0)
        .prints("no problem found");
}

/// An interrupt ends a snapshot of a stream that goes silent, and nothing is
/// committed.
///
/// Method: fill the pipe more often than it holds, so that the run is certainly
/// reading, and interrupt it while the pipe stays open.
#[test]
fn interrupt_during_stdin() {
    for interrupt in [Signal::INT, Signal::TERM] {
        let (world, key) = World::with_write_key();
        let run = world.indelible(["snapshot", "orders", "--stdin"]);
        let mut child = run.key(&key).start();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&noise(1, 4 << 20)).unwrap();
        signal(&child, interrupt);
        end_of(child)
            .exits(130)
            .says("interrupted")
            .says("nothing was committed")
            .prints_nothing();
        drop(stdin);
        assert_nothing_committed(&world);
    }
}

/// An interrupt ends the dump command and all that it started.
///
/// Method: the command says on standard error, which it shares, when it runs.
/// Standard error ends only when nobody is left who holds it.
#[test]
fn interrupt_during_a_command() {
    let (world, key) = World::with_write_key();
    let script = "echo started >&2; echo rows; tail -f /dev/null & tail -f /dev/null";
    let run = world.indelible(["snapshot", "orders", "--", "sh", "-c", script]);
    let mut child = run.key(&key).start();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while line != "started\n" {
        line.clear();
        let read = stderr.read_line(&mut line).unwrap();
        assert!(read > 0, "the command never started");
    }
    signal(&child, Signal::INT);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("interrupted"), "{said}");
    assert!(said.contains("nothing was committed"), "{said}");
    end_of(child).exits(130).prints_nothing();
    assert_nothing_committed(&world);
}
