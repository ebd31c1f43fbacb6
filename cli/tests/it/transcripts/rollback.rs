//! A store that shows an older log than this machine saw.

use std::fs;

use crate::support::{Ran, World, copy_dir};

struct RolledBack {
    world: World,
    key: std::path::PathBuf,
}

/// A repository with two snapshots, of which the store shows the first one.
fn rolled_back() -> RolledBack {
    let (world, key) = World::with_write_key();
    let night = |content: &str| {
        world.file("orders.sql", content);
        let snapshot = ["snapshot", "orders", "orders.sql"];
        world.indelible(snapshot).key(&key).run().exits(0);
    };
    night("first");
    copy_dir(&world.repository(), &world.path("older"));
    night("second");
    world.indelible(["list"]).run().exits(0).prints("@3");
    fs::rename(world.repository(), world.path("newer")).unwrap();
    fs::rename(world.path("older"), world.repository()).unwrap();
    RolledBack { world, key }
}

impl RolledBack {
    fn run(&self, args: &[&str]) -> Ran {
        self.world.indelible(args).run()
    }
}

/// A rollback is named by every command that reads, and ends with 21.
///
/// Method: list, verify with and without a key, and ask for a checkpoint.
#[test]
fn rollback_is_named() {
    let store = rolled_back();
    store
        .run(&["list"])
        .exits(21)
        .says("the log has 3 entries, and this machine saw 4")
        .prints("@2");
    for verify in [&["verify"][..], &["verify", "--level", "packs"]] {
        store
            .run(verify)
            .exits(21)
            .prints("PROBLEM log-rolled-back")
            .prints("find its newer state");
    }
    store.run(&["checkpoint"]).exits(21).says("not vouched for");
}

/// Restoring from a rolled-back store takes saying so.
///
/// Method: restore without and with --accept-rollback.
#[test]
fn restore_asks_first() {
    let store = rolled_back();
    let restore = ["restore", "orders", "--target", "out"];
    store
        .run(&restore)
        .exits(21)
        .says("the log contradicts what this machine saw")
        .says("--accept-rollback");
    assert!(!store.world.path("out").exists());
    store
        .run(&[&restore[..], &["--accept-rollback"]].concat())
        .exits(0);
    let restored = fs::read(store.world.path("out/orders.sql")).unwrap();
    assert_eq!(restored, b"first");
}

/// A rollback does not stop tonight's backup, which says so all the same.
///
/// Method: snapshot, and find it in the log although the command ended with 21.
#[test]
fn backup_goes_on() {
    let store = rolled_back();
    store.world.file("orders.sql", "third");
    let snapshot = ["snapshot", "orders", "orders.sql"];
    let ran = store.world.indelible(snapshot).key(&store.key).run();
    ran.exits(21).says("warning: the log has 3 entries");
    let restore = ["restore", "orders", "--stdout", "--accept-rollback"];
    let ran = store.run(&restore);
    ran.exits(0);
    assert_eq!(ran.bytes(), b"third");
    store.run(&["verify"]).exits(20).prints("log-removed-entry");
}

/// A machine that never saw the repository does not claim that it is fresh.
///
/// Method: verify and list with a new state directory.
#[test]
fn stranger_claims_nothing() {
    let store = rolled_back();
    let fresh = store.world.path("fresh");
    let run = store.world.indelible(["list"]);
    run.env("INDELIBLE_STATE_DIR", &fresh)
        .run()
        .exits(0)
        .says("freshness unverified");
    let run = store.world.indelible(["verify"]);
    run.env("INDELIBLE_STATE_DIR", store.world.path("fresher"))
        .run()
        .exits(0)
        .prints("freshness unverified");
}
