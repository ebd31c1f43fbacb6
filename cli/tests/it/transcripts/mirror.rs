//! Copies of a repository in another place.

use std::fs;

use crate::support::{World, chmod, copy_dir, noise};

/// A copy lists, verifies and restores like the original; the next run copies what is
/// new.
#[test]
fn a_copy_is_a_repository() {
    let (world, key) = World::with_write_key();
    let snapshot = |seed| {
        world.file("dump.sql", noise(seed, 100_000));
        let run = world.indelible(["snapshot", "shop", "dump.sql"]).key(&key);
        run.run().exits(0);
    };
    let mirror = || world.indelible(["mirror", "copy"]).without_key().run();
    snapshot(1);
    mirror()
        .exits(0)
        .prints("copy has all 3 log entries: 3 entries");
    snapshot(2);
    let run = world.indelible(["mirror", "copy", "--json"]).without_key();
    let message = run.run().exits(0).message("mirrored");
    assert_eq!(
        (&message["log_size"], &message["entries"]),
        (&4.into(), &1.into())
    );
    mirror().exits(0).prints("0 entries and 0 packs copied");
    let copy = world.path("copy");
    let on_copy = |args: &[&str]| world.indelible(args).args(["--repo"]).arg(&copy).run();
    on_copy(&["verify"]).exits(0).prints("no problem found");
    let restored = on_copy(&["restore", "@3", "--stdout"]);
    assert!(restored.exits(0).bytes() == noise(2, 100_000));
}

/// A rolled back original, a fork and another repository are told, and the copy stays
/// as it is.
#[test]
fn contradictions_are_told() {
    let (world, key) = World::with_write_key();
    world.file("dump.sql", "content");
    copy_dir(&world.repository(), &world.path("older"));
    let snapshot = || world.indelible(["snapshot", "shop", "dump.sql"]).key(&key);
    snapshot().run().exits(0);
    world.indelible(["mirror", "copy"]).run().exits(0);
    let mirror = || {
        let older = world.path("older");
        world
            .indelible(["mirror", "copy", "--repo"])
            .arg(older)
            .run()
    };
    mirror()
        .exits(21)
        .says("rolled back")
        .says("nothing was copied");
    let forked = snapshot().args(["--state-dir", "other-state", "--repo", "older"]);
    forked.run().exits(0);
    mirror().exits(21).says("forked");
    world.init(&world.path("stranger"));
    let run = world.indelible(["mirror", "copy", "--repo", "stranger"]);
    run.run().exits(14).says("another repository");
}

/// A damaged pack is told and stops nothing else.
#[test]
fn damage_is_told() {
    let (world, key) = World::with_write_key();
    world.file("dump.sql", noise(1, 100_000));
    let run = world.indelible(["snapshot", "shop", "dump.sql"]).key(&key);
    run.run().exits(0);
    let pack = world.objects("packs").remove(0);
    chmod("u+w", &pack);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[500] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let ran = world.indelible(["mirror", "copy"]).run();
    ran.exits(20)
        .says("of entry @2 was not copied")
        .says("its name stands for");
    fs::remove_file(&pack).unwrap();
    let ran = world.indelible(["mirror", "copy"]).run();
    ran.exits(23).says("of entry @2 was not copied");
}
