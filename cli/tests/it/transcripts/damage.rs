//! Packs that were damaged or removed.

use std::fs;

use crate::support::{World, alter, noise};

/// Two snapshots with a pack each. The first pack is the first one's.
fn two_snapshots() -> (World, Vec<std::path::PathBuf>) {
    let (world, key) = World::with_write_key();
    let mut packs = Vec::new();
    for (seed, name) in [(1, "orders"), (2, "shop")] {
        let source = world.file(format!("{name}.dump"), noise(seed, 300_000));
        let run = world.indelible(["snapshot", name]).arg(source);
        run.key(&key).run().exits(0);
        let new = world.objects("packs").into_iter();
        packs.extend(new.filter(|pack| !packs.contains(pack)).collect::<Vec<_>>());
    }
    assert_eq!(packs.len(), 2);
    (world, packs)
}

fn assert_only_the_first_is_harmed(world: &World, code: i32, phrase: &str) {
    world
        .indelible(["verify"])
        .run()
        .exits(20)
        .prints(phrase)
        .prints("harms @2;")
        .prints("1 harmed of 2 snapshots");
    let restore = |name| world.indelible(["restore", name, "--target", name]).run();
    restore("orders").exits(code).says("indelible verify");
    let half = world.path("orders/orders.dump");
    assert!(!half.exists(), "no part of a file has its name");
    restore("shop").exits(0);
    let restored = fs::read(world.path("shop/shop.dump")).unwrap();
    assert_eq!(restored, noise(2, 300_000));
}

/// A damaged pack harms what needs it, and nothing else.
///
/// Method: flip a byte of one of two packs; verify, and restore both snapshots.
#[test]
fn damaged_pack() {
    let (world, packs) = two_snapshots();
    alter(&packs[0], |bytes| bytes[150_000] ^= 1);
    assert_only_the_first_is_harmed(&world, 20, "PROBLEM chunk-damaged");
}

/// A removed pack harms what needs it, and nothing else.
///
/// Method: remove one of two packs; verify, and restore both snapshots.
#[test]
fn removed_pack() {
    let (world, packs) = two_snapshots();
    fs::remove_file(&packs[0]).unwrap();
    assert_only_the_first_is_harmed(&world, 23, "PROBLEM pack-missing");
}

/// Damage to a pack is seen without a key, and does not keep tonight's backup
/// from being made or from restoring.
///
/// Method: cut a pack short, verify its bytes with no key, snapshot what it held
/// once more, and restore that.
#[test]
fn backup_after_damage() {
    let (world, packs) = two_snapshots();
    alter(&packs[0], |bytes| bytes.truncate(1_000));
    world
        .indelible(["verify", "--level", "packs"])
        .without_key()
        .run()
        .exits(20)
        .prints("PROBLEM pack-altered")
        .prints("harms @2");
    let key = world.key("write", &["--names", "*"]);
    let run = world.indelible(["snapshot", "orders", "orders.dump"]);
    run.key(&key).run().exits(0);
    let run = world.indelible(["restore", "orders", "--stdout"]).run();
    run.exits(0);
    assert!(run.bytes() == noise(1, 300_000));
}

/// A log entry that was damaged is told, and costs only itself.
///
/// Method: flip a byte of the first snapshot's entry, list, verify, and restore
/// the second snapshot.
#[test]
fn damaged_log_entry() {
    let (world, _) = two_snapshots();
    alter(&world.objects("log")[2], |bytes| bytes[200] ^= 1);
    world
        .indelible(["list"])
        .run()
        .says("the log has 1 problem")
        .prints("shop");
    world
        .indelible(["verify"])
        .run()
        .exits(20)
        .prints("PROBLEM log-damaged-entry log/000000000002");
    let run = world.indelible(["restore", "shop", "--stdout"]).run();
    run.exits(0);
    assert!(run.bytes() == noise(2, 300_000));
}
