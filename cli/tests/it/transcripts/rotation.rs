//! Keys that are rotated after a theft.

use crate::support::World;

/// A stolen restore key reads what it could, and nothing that is written after; all
/// others go on with the key files that they have.
///
/// Method: two snapshots with the theft, the revocation and the rotation between; list,
/// restore, verify, check and log as each key.
#[test]
fn a_stolen_key_reads_nothing_new() {
    let world = World::new();
    let host = world.key("write", &["--names", "*", "--label", "db1"]);
    let stolen = world.key("restore", &["--label", "lost"]);
    let kept = world.key("restore,verify", &["--label", "kept"]);
    let snapshot = |text: &str| {
        world.file("dump.sql", text);
        let run = world.indelible(["snapshot", "shop", "dump.sql"]).key(&host);
        let ran = run.run();
        ran.exits(0);
        ran
    };
    snapshot("before\n").is_silent_about("rotated");
    world
        .indelible(["key", "rotate"])
        .key(&kept)
        .run()
        .exits(12);
    world.indelible(["key", "revoke", "lost"]).run().exits(0);
    let rotated = world.indelible(["key", "rotate"]).run();
    rotated
        .exits(0)
        .prints("begins epoch 1; 3 keys have their parts of it")
        .prints("left out: lost (")
        .prints("revoked");
    snapshot("after\n").is_silent_about("rotated");

    let restore = |key, at| {
        let run = world.indelible(["restore", at, "--stdout"]).key(key);
        run.run()
    };
    assert_eq!(restore(&kept, "shop").exits(0).bytes(), b"after\n");
    let old = |key| restore(key, "@4").exits(0).bytes().to_vec();
    assert_eq!(
        (old(&kept), old(&stolen)),
        (b"before\n".to_vec(), b"before\n".to_vec())
    );
    let new = restore(&stolen, "@8");
    assert_ne!(new.code(), Some(0), "{new:?}");
    new.prints_nothing();
    let listed = world.indelible(["list"]).key(&stolen).run();
    listed.exits(20).prints("of which the key has no part");
    let verified = world
        .indelible(["verify", "--level", "data"])
        .key(&kept)
        .run();
    verified.exits(0);

    let checked = world.indelible(["key", "check"]).arg(&stolen).run();
    checked
        .prints("it has no part of epoch 1")
        .prints("1 pack opened for contents");
    world
        .indelible(["key", "check"])
        .arg(&kept)
        .run()
        .exits(0)
        .prints("2 packs opened for contents");
    world
        .indelible(["log", "show"])
        .run()
        .exits(0)
        .prints("begins epoch 1, of which 3 keys");
    let keys = world.indelible(["key", "list", "--json"]).run();
    let epoch = |label: &str| {
        let keys = keys.exits(0).messages();
        let key = keys.iter().find(|key| key["label"] == label);
        key.expect("the key is listed")["epoch"].as_u64()
    };
    assert_eq!(
        (epoch("lost"), epoch("kept"), epoch("recovery")),
        (Some(0), Some(1), Some(1))
    );
    let again = world.indelible(["key", "rotate", "--json"]).run();
    let message = again.exits(0).message("keys_rotated");
    assert_eq!(message["epoch"], 2);
    assert_eq!(message["left_out"][0]["reason"], "revoked");
    let late = world.key("restore", &["--label", "late"]);
    assert_eq!(
        (old(&late), restore(&late, "@8").exits(0).bytes()),
        (b"before\n".to_vec(), &b"after\n"[..])
    );
}
