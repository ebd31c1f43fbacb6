//! The log, and keys that are revoked.

use crate::support::{World, noise};

/// Three snapshots by one key, which is then said to be stolen since the second.
#[test]
fn a_stolen_key_is_revoked() {
    let world = World::new();
    let key = world.key("write", &["--names", "*", "--label", "db1"]);
    for seed in 0..3 {
        world.file("dump.sql", noise(seed, 10_000));
        let run = world.indelible(["snapshot", "shop", "dump.sql"]).key(&key);
        run.run().exits(0);
    }
    let log = |args: &[&str]| world.indelible(["log", "show"]).args(args);
    let shown = log(&[]).run();
    shown
        .exits(0)
        .prints("makes the repository")
        .prints("gives key db1")
        .prints("shop adds 1 pack");
    // Without a key, names stay hidden.
    let hidden = log(&[]).without_key().run();
    assert!(!hidden.exits(0).stdout().contains("shop"), "{hidden:?}");
    assert!(!hidden.stdout().contains("db1"), "{hidden:?}");
    let last = log(&["--json", "--last", "2"]).run();
    let numbers: Vec<u64> = last
        .exits(0)
        .messages()
        .iter()
        .map(|message| message["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 4]);

    let revoke = |args: &[&str]| world.indelible(["key", "revoke"]).args(args);
    revoke(&["absent"]).run().exits(2).says("there is no key");
    revoke(&["db1", "--distrust-from", "99"])
        .run()
        .exits(2)
        .says("99");
    revoke(&["db1"]).key(&key).run().exits(12);
    let ran = revoke(&["db1", "--distrust-from", "3"]).run();
    ran.exits(0)
        .prints("@5 revokes key")
        .prints("refused from now on: @3 shop")
        .prints("refused from now on: @4 shop");
    assert!(!ran.stdout().contains("@2 shop"), "{ran:?}");
    log(&[]).run().exits(0).prints("distrusted from @3 on");
    world
        .indelible(["key", "list"])
        .run()
        .exits(0)
        .prints("revoked by @5");
    let run = world.indelible(["snapshot", "shop", "dump.sql"]).key(&key);
    run.run().exits(12).says("revoked");
    let restored = world.indelible(["restore", "shop", "--stdout"]).run();
    assert!(restored.exits(0).bytes() == noise(0, 10_000));
}

/// Nobody but the recovery passphrase revokes the recovery passphrase.
#[test]
fn the_recovery_passphrase_stays() {
    let world = World::new();
    let admin = world.key("admin", &[]);
    let run = world.indelible(["key", "revoke", "@0"]).key(&admin).run();
    run.exits(12).says("recovery passphrase");
}

/// Junk in the log is shown for what it is.
#[test]
fn junk_is_shown() {
    let world = World::new();
    world.file("repository/log/000000000001", "junk");
    let ran = world.indelible(["log", "show"]).without_key().run();
    ran.exits(0).prints("void");
}
