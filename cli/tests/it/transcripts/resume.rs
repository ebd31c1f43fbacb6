//! Restores that end early, and what comes after.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ran, World, end_of, noise};

const LEN: usize = 100_000_000;
/// How much is written before a restore is ended, bytes.
const BEGUN: u64 = 16 << 20;

/// A snapshot of a dump of some 100 MB.
fn large_snapshot() -> (World, Vec<u8>) {
    let (world, key) = World::with_write_key();
    let dump = noise(11, LEN);
    world.file("orders.dump", &dump);
    let run = world.indelible(["snapshot", "orders", "orders.dump"]);
    run.key(&key).run().exits(0);
    (world, dump)
}

/// The unfinished files in a directory.
fn unfinished(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let is_unfinished = |path: &PathBuf| path.to_string_lossy().contains("/.indelible-");
    paths.filter(is_unfinished).collect()
}

/// A restore into a directory, after it has written something and before it has
/// written all: it is tried in another directory where it was too fast.
fn begun(world: &World) -> (Child, PathBuf) {
    for number in 0.. {
        let target = world.path(format!("out-{number}"));
        let run = world.indelible(["restore", "orders", "--target"]);
        let mut child = run.arg(&target).start();
        let written = || {
            let files = unfinished(&target).into_iter();
            let lens = files.filter_map(|path| Some(fs::metadata(path).ok()?.len()));
            lens.max().unwrap_or(0)
        };
        while child.try_wait().expect("it is ours").is_none() {
            if written() >= BEGUN {
                return (child, target);
            }
            thread::yield_now();
        }
    }
    unreachable!("some restore is slower than a look at its files")
}

fn resume(world: &World, target: &Path) -> Ran {
    let run = world.indelible(["--json", "restore", "orders", "--resume", "--target"]);
    run.arg(target).run()
}

/// It kept what was written before, wrote the rest, and left nothing else.
fn assert_resumed(ran: &Ran, target: &Path, dump: &[u8]) {
    let restored = ran.exits(0).message("restored");
    let (kept, written) = (&restored["kept_bytes"], &restored["bytes"]);
    let (kept, written) = (kept.as_u64().unwrap(), written.as_u64().unwrap());
    assert_eq!(kept + written, dump.len() as u64);
    // The last chunk that is there may be a part of one.
    assert!(kept >= BEGUN - (1 << 20), "{kept} bytes were kept");
    assert!(fs::read(target.join("orders.dump")).unwrap() == dump);
    assert!(unfinished(target).is_empty());
}

/// A restore that was killed goes on where it was, and one that is complete is
/// found to be.
///
/// Method: SIGKILL a restore of 100 MB in the middle; resume it, and count what
/// was written; resume once more.
#[test]
fn killed() {
    let (world, dump) = large_snapshot();
    let target = loop {
        let (mut child, target) = begun(&world);
        child.kill().expect("it is ours");
        let ended = child.wait().expect("its end can be awaited");
        if ended.signal() == Some(Signal::KILL.as_raw()) && !target.join("orders.dump").exists() {
            break target;
        }
    };
    assert_eq!(unfinished(&target).len(), 1);
    assert_resumed(&resume(&world, &target), &target, &dump);
    let again = resume(&world, &target).exits(0).message("restored");
    assert_eq!(
        (&again["bytes"], &again["kept_bytes"]),
        (&0.into(), &LEN.into())
    );
}

/// A restore that was interrupted says how to go on, and goes on.
///
/// Method: SIGINT in the middle, then resume.
#[test]
fn interrupted() {
    let (world, dump) = large_snapshot();
    let target = loop {
        let (child, target) = begun(&world);
        kill_process(Pid::from_child(&child), Signal::INT).expect("it is ours");
        let ran = end_of(child);
        if !target.join("orders.dump").exists() {
            ran.exits(130).says("interrupted").says("--resume");
            break target;
        }
    };
    assert_resumed(&resume(&world, &target), &target, &dump);
}

/// A restore that finds no more room says so, and goes on when there is some.
///
/// Method: restore under a limit of the size of files; resume without it.
#[test]
fn no_room() {
    let (world, dump) = large_snapshot();
    let target = world.path("out");
    // The limit is counted in 512 bytes, and would kill by default.
    let limited = "trap '' XFSZ; ulimit -f 50000; exec \"$@\"";
    let restore = ["restore", "orders", "--target", "out"];
    let ran = world.through(&["sh", "-c", limited, "sh"], restore).run();
    ran.exits(1)
        .says("writing orders.dump failed")
        .says("--resume");
    assert!(!target.join("orders.dump").exists());
    assert_eq!(unfinished(&target).len(), 1);
    assert_resumed(&resume(&world, &target), &target, &dump);
}

/// A restore that resumes says what it kept, and replaces nothing unasked.
///
/// Method: restore two files, alter one, and resume with and without
/// --overwrite; options that make no sense together are refused.
#[test]
fn another_file() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    world.file("shop.sql", "select 2;\n");
    let run = world.indelible(["snapshot", "orders", "orders.sql", "shop.sql"]);
    run.key(&key).run().exits(0);
    let restore = ["restore", "orders", "--target", "out"];
    world.indelible(restore).run().exits(0);
    world.file("out/shop.sql", "select 3;\n");
    let resume = || world.indelible(restore).arg("--resume");
    resume()
        .run()
        .exits(14)
        .says("shop.sql exists already")
        .says("--overwrite");
    let kept = fs::read_to_string(world.path("out/shop.sql")).unwrap();
    assert_eq!(kept, "select 3;\n");
    resume()
        .arg("--overwrite")
        .run()
        .exits(0)
        .prints("2 entries, 10 B written, 10 B kept, in ");
    let replaced = fs::read_to_string(world.path("out/shop.sql")).unwrap();
    assert_eq!(replaced, "select 2;\n");
    for option in ["--resume", "--plan"] {
        let restore = ["restore", "orders", "--stdout", option];
        world.indelible(restore).run().exits(2);
    }
}
