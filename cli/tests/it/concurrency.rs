//! Several processes at one repository, and processes that die.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Child;

use crate::support::{World, end_of, noise};

const ROUNDS: u64 = 4;
/// SPEC 11.
const PACK_BYTES_MAX: u64 = 32 << 20;

/// Starts a snapshot that can't end before its input does.
fn start(world: &World, name: &str, key: &Path) -> Child {
    let run = world.indelible(["--json", "snapshot", name, "--stdin"]);
    run.key(key).start()
}

/// Lets two snapshots with these keys run at once, several times, and checks
/// that all were committed.
fn race(world: &World, keys: [&Path; 2]) {
    for round in 0..ROUNDS {
        let mut left = start(world, "left", keys[0]);
        let mut right = start(world, "right", keys[1]);
        let (mut a, mut b) = (left.stdin.take().unwrap(), right.stdin.take().unwrap());
        // Both have read some of it before either sees its end.
        for piece in 0..4 {
            a.write_all(&noise(2 * round * 4 + piece, 1 << 20)).unwrap();
            b.write_all(&noise(9_999 + round * 4 + piece, 1 << 20))
                .unwrap();
        }
        drop((a, b));
        let numbers = [end_of(left), end_of(right)].map(|ran| {
            let summary = ran.exits(0).message("summary");
            assert_eq!(summary["content_bytes"], 4 << 20);
            summary["number"].as_u64().unwrap()
        });
        assert_ne!(numbers[0], numbers[1]);
    }
    let listed = world.indelible(["--json", "list"]).run();
    let of = |name: &str| {
        let messages = listed.messages();
        let named = messages.iter().filter(|message| message["name"] == name);
        u64::try_from(named.count()).unwrap()
    };
    assert_eq!((of("left"), of("right")), (ROUNDS, ROUNDS));
    let verified = world.indelible(["--json", "verify"]).run();
    let verified = verified.exits(0).message("verified");
    assert_eq!(verified["unreferenced_packs"], 0);
    for name in ["left", "right"] {
        let run = world.indelible(["restore", name, "--stdout"]).run();
        assert_eq!(run.exits(0).bytes().len(), 4 << 20);
    }
}

/// Two hosts that write at once both commit.
///
/// Method: two processes with keys of their own, held open at the same time.
#[test]
fn two_hosts_at_once() {
    let (world, first) = World::with_write_key();
    let second = world.key("write", &["--names", "*"]);
    race(&world, [&first, &second]);
}

/// Two snapshots of one host at once both commit.
///
/// Method: the same, with one key and one state directory.
#[test]
fn one_host_twice_at_once() {
    let (world, key) = World::with_write_key();
    race(&world, [&key, &key]);
}

/// A snapshot that was killed leaves a sound repository that does not list it,
/// and the next one goes on where it died.
///
/// Method: feed a pipe with more than the packs, batches and queues of one run
/// can hold, so that some packs must be durable, and send SIGKILL while the pipe
/// is open. Then snapshot the same bytes and more.
#[test]
fn killed_snapshot_is_adopted() {
    const FED: usize = 160 << 20;
    let (world, key) = World::with_write_key();
    let dump = noise(5, FED + (1 << 20));
    let mut child = start(&world, "orders", &key);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&dump[..FED]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);

    let left: u64 = world
        .objects("packs")
        .iter()
        .map(|pack| fs::metadata(pack).unwrap().len())
        .sum();
    assert!(left >= 64 << 20, "{left} bytes were stored");
    let run = world.indelible(["list"]).run();
    run.exits(0).says("there are no snapshots");
    let verified = world.indelible(["--json", "verify"]).run();
    let verified = verified.exits(0).message("verified");
    assert_ne!(verified["unreferenced_packs"], 0);

    let run = world.indelible(["--json", "snapshot", "orders", "--stdin"]);
    let ran = run.key(&key).feed(&dump);
    ran.exits(0)
        .says("a run that died left")
        .says("this one goes on from there");
    let new = ran.message("summary")["new_bytes"].as_u64().unwrap();
    let adopted = dump.len() as u64 - new;
    // A pack that was durable and not yet in the journal is stored again.
    assert!(
        adopted + PACK_BYTES_MAX >= left,
        "of {left} bytes {adopted} were adopted"
    );
    let verified = world.indelible(["--json", "verify"]).run();
    let verified = verified.exits(0).message("verified");
    assert!(verified["unreferenced_packs"].as_u64().unwrap() <= 1);
    let run = world.indelible(["restore", "orders", "--stdout"]).run();
    assert!(run.exits(0).bytes() == dump);
}
