//! Restoring what is intact around damage.

#![allow(
    clippy::needless_raw_string_hashes,
    reason = "snapbox writes its expectations so"
)]

use std::fs;
use std::path::PathBuf;

use snapbox::{assert_data_eq, str};

use crate::support::{World, alter, copy_dir, noise};

/// A snapshot of a dump of several chunks, and of a small file; its pack.
fn snapshot_of_two() -> (World, PathBuf, PathBuf) {
    let (world, key) = World::with_write_key();
    world.file("orders.dump", noise(1, 2_000_000));
    world.file("globals.sql", "create role app;\n");
    let run = world.indelible(["snapshot", "orders", "orders.dump", "globals.sql"]);
    run.key(&key).run().exits(0);
    let packs = world.objects("packs");
    assert_eq!(packs.len(), 1);
    let pack = packs[0].clone();
    (world, key, pack)
}

/// What is intact around a damaged chunk is restored, and the hole is named.
///
/// Method: flip a byte in the middle of the pack; compare all that is printed,
/// the names, and every byte but those of the hole. Restoring without --salvage
/// names the option.
#[test]
fn damaged_chunk() {
    let (world, _, pack) = snapshot_of_two();
    alter(&pack, |bytes| bytes[1_000_000] ^= 1);
    let plain = ["restore", "orders", "--target", "plain"];
    world
        .indelible(plain)
        .run()
        .exits(20)
        .says("restore what is intact with --salvage");
    assert!(!world.path("plain/orders.dump").exists());

    let salvage = ["restore", "orders", "--salvage", "--target", "out"];
    let ran = world.indelible(salvage).run();
    ran.exits(20);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
HOLE orders.dump [..]: chunk [..] can't be read from pack [..]: its bytes were altered
salvaged @2 orders of [..] below out: 2 entries, [..] MiB in [..] s
1 hole of zeros, [..] KiB together, in 1 file named NAME.salvaged

"]]
    );
    let globals = fs::read(world.path("out/globals.sql")).unwrap();
    assert_eq!(globals, b"create role app;\n");
    assert!(!world.path("out/orders.dump").exists());
    let stdout = ran.stdout();
    let mut words = stdout.split([' ', ':']).skip(2);
    let mut number = || words.next().unwrap().parse::<usize>().unwrap();
    let (offset, len) = (number(), number());
    let mut expected = noise(1, 2_000_000);
    expected[offset..offset + len].fill(0);
    let salvaged = fs::read(world.path("out/orders.dump.salvaged")).unwrap();
    assert!(salvaged == expected);
    // Who salvages twice into one place does not lose the first try.
    world
        .indelible(salvage)
        .run()
        .exits(14)
        .says("globals.sql exists");
}

/// Holes are messages, on the side where the data is not.
///
/// Method: salvage the same damage into a directory and to standard output, with
/// --json, and read the messages.
#[test]
fn holes_for_programs() {
    let (world, _, pack) = snapshot_of_two();
    alter(&pack, |bytes| bytes[1_000_000] ^= 1);
    let salvage = ["--json", "restore", "orders", "--salvage"];
    let ran = world.indelible(salvage).args(["--target", "out"]).run();
    ran.exits(20);
    let hole = ran.message("hole");
    assert_eq!(hole["path"], "orders.dump");
    assert!(hole["cause"].as_str().unwrap().contains("altered"));
    let restored = ran.message("restored");
    assert_eq!(restored["holes"], 1);
    assert_eq!(restored["hole_bytes"], hole["bytes"]);
    assert_eq!(restored["files_with_holes"], 1);

    let to_stdout = ["orders.dump", "--stdout"];
    let ran = world.indelible(salvage).args(to_stdout).run();
    ran.exits(20);
    let salvaged = fs::read(world.path("out/orders.dump.salvaged")).unwrap();
    assert!(ran.bytes() == salvaged);
    let told = ran.error_messages();
    assert!(told.contains(&hole), "{told:?}");
    let ran = world.indelible(salvage).args(["globals.sql", "--stdout"]);
    let ran = ran.run();
    ran.exits(0);
    assert_eq!(ran.bytes(), b"create role app;\n");
}

/// A removed pack with the tree costs all that only it had, and says so.
///
/// Method: remove the only pack, and salvage into a directory and to standard
/// output.
#[test]
fn removed_tree() {
    let (world, _, pack) = snapshot_of_two();
    fs::remove_file(pack).unwrap();
    let salvage = ["restore", "orders", "--salvage"];
    let ran = world.indelible(salvage).args(["--target", "out"]).run();
    ran.exits(20)
        .prints("LOST all entries, ")
        .prints("is not in the store")
        .prints("salvaged @2 orders");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    let ran = world.indelible(salvage).arg("--stdout").run();
    ran.exits(23).prints_nothing();
}

/// Damage to the log does not keep the snapshots that are still shown from being
/// salvaged: not a damaged entry, and not a rollback that was accepted.
///
/// Method: flip a byte of the entry whose pack the second snapshot leans on, and
/// of that pack; salvage the second, with and without an older log.
#[test]
fn damaged_log() {
    let (world, key, pack) = snapshot_of_two();
    copy_dir(&world.repository(), &world.path("older"));
    let mut longer = noise(1, 2_000_000);
    longer.extend(noise(2, 500_000));
    world.file("orders.dump", &longer);
    let run = world.indelible(["snapshot", "orders", "orders.dump"]);
    run.key(&key).run().exits(0);
    alter(&world.objects("log")[2], |bytes| bytes[200] ^= 1);
    let salvage = ["restore", "@3", "--salvage", "--target"];
    let run = world.indelible(salvage).arg("whole").run();
    run.exits(0).says("the log has 1 problem");
    assert!(fs::read(world.path("whole/orders.dump")).unwrap() == longer);
    alter(&pack, |bytes| bytes[1_000_000] ^= 1);
    let run = world.indelible(salvage).arg("holed").run();
    run.exits(20).prints("HOLE orders.dump ");
    let salvaged = fs::read(world.path("holed/orders.dump.salvaged")).unwrap();
    assert_eq!(salvaged.len(), longer.len());
    assert!(salvaged[2_000_000..] == longer[2_000_000..]);

    fs::rename(world.repository(), world.path("newer")).unwrap();
    fs::rename(world.path("older"), world.repository()).unwrap();
    alter(&pack, |bytes| bytes[1_000_000] ^= 1);
    for option in ["--salvage", "--resume", "--plan"] {
        let restore = ["restore", "orders", option, "--target", "rolled"];
        world
            .indelible(restore)
            .run()
            .exits(21)
            .says("--accept-rollback");
    }
    assert!(!world.path("rolled").exists());
    let accepted = |options: &[&str]| {
        let restore = ["restore", "orders", "--target", "rolled"];
        let run = world.indelible(restore).args(options);
        run.arg("--accept-rollback").run()
    };
    accepted(&["--plan"]).exits(0).prints("to restore @2");
    accepted(&["--salvage"])
        .exits(20)
        .prints("HOLE orders.dump ");
    accepted(&["--salvage", "--resume"])
        .exits(20)
        .prints("0 B written, ");
    alter(&pack, |bytes| bytes[1_000_000] ^= 1);
    accepted(&["--resume"]).exits(0).prints("restored @2");
    let restored = fs::read(world.path("rolled/orders.dump")).unwrap();
    assert!(restored == noise(1, 2_000_000));
}
