//! Where repositories and the state are, are not, or may not be written.

use std::fs;

use crate::support::{World, alter, chmod};

/// A place without a repository is told from a broken one, by code and words.
///
/// Method: list at no directory, at a file, and in a directory of other files.
#[test]
fn no_repository() {
    let world = World::empty();
    let list = |place: &str| world.indelible(["list", "--repo", place]).run();
    list("nowhere")
        .exits(10)
        .says("there is no directory")
        .says("indelible init");
    world.file("plain", "a file");
    list("plain").exits(10).says("is not a directory");
    world.file("dumps/orders.sql", "select 1;");
    list("dumps")
        .exits(10)
        .says("there is no repository at")
        .says("check --repo");
    world
        .indelible(["list"])
        .env("INDELIBLE_REPO", "")
        .run()
        .exits(2)
        .says("no repository was named");
}

/// A repository is never made over another one.
///
/// Method: init twice, and list what the first one made.
#[test]
fn init_twice() {
    let world = World::new();
    let id = fs::read(world.repository().join("log/000000000000")).unwrap();
    world
        .indelible(["init", "--derivation-memory", "1"])
        .run()
        .exits(14)
        .says("there is a repository at")
        .says("never overwritten");
    let after = fs::read(world.repository().join("log/000000000000")).unwrap();
    assert_eq!(after, id);
}

/// Places that this release can't reach are usage errors, not missing files.
///
/// Method: list on a disc image and in a store that nobody knows.
#[test]
fn unknown_schemes() {
    let world = World::empty();
    for place in ["sftp://user@host/path", "image:disc"] {
        let scheme = place.split(':').next().unwrap();
        world
            .indelible(["list", "--repo", place])
            .run()
            .exits(2)
            .says(&format!("can't reach {scheme} repositories"));
    }
}

/// What is wrong with a place in S3 is told before anything is asked of a server.
///
/// Method: addresses that are none, and one without credentials.
#[test]
fn places_in_s3() {
    let world = World::empty();
    let list = |place: &str| world.indelible(["list", "--repo", place]);
    list("s3://B/x").run().exits(2).says("no name of a bucket");
    list("s3://bucket/a//b").run().exits(2).says("no prefix");
    list("s3://bucket/a?speed=9").run().exits(2).says("speed");
    list("s3://bucket/prefix")
        .run()
        .exits(12)
        .says("there are no credentials for S3")
        .says("AWS_ACCESS_KEY_ID");
}

/// A limit that is none is told before anything is done, from the environment too; one that
/// has nothing to hold for is said, and breaks nothing.
///
/// Method: rates that are none, then a directory with and without --quiet.
#[test]
fn limits() {
    let world = World::new();
    for option in ["--limit-upload", "--limit-download"] {
        for (rate, why) in [
            ("0", "the least is 1KiB a second"),
            ("20", "the least is 1KiB a second"),
            ("fast", "write 20MiB or 500KiB"),
            ("-1MiB", "write 20MiB or 500KiB"),
            ("", "write 20MiB or 500KiB"),
        ] {
            let option = format!("{option}={rate}");
            world.indelible(["list", &option]).run().exits(2).says(why);
        }
    }
    for variable in ["INDELIBLE_LIMIT_UPLOAD", "INDELIBLE_LIMIT_DOWNLOAD"] {
        let run = world.indelible(["list"]).env(variable, "lots").run();
        run.exits(2).says("write 20MiB or 500KiB");
    }
    let note = "hold for S3 and ssh, and not for a directory";
    let limited = world.indelible(["list", "--limit-upload", "20MiB"]);
    limited.run().exits(0).says(note);
    let copy = world.path("copy");
    let mirror = world.indelible(["mirror", "--limit-download", "1.5GiB"]);
    mirror.arg(&copy).run().exits(0).says(note);
    let quiet = world.indelible(["list", "--quiet", "--limit-upload", "20MiB"]);
    assert_eq!(quiet.run().exits(0).stderr(), "");
}

/// A repository of a newer format is not called damaged.
///
/// Method: raise the version in the body of the genesis entry (SPEC 3.2, 3.6),
/// list, verify, and init over it.
#[test]
fn newer_format() {
    let world = World::new();
    let genesis = world.repository().join("log/000000000000");
    alter(&genesis, |bytes| bytes[162] = 2);
    for command in ["list", "verify"] {
        world
            .indelible([command])
            .run()
            .exits(1)
            .says("format version 2")
            .says("install a newer release");
    }
    world.indelible(["init"]).run().exits(14);
}

/// A repository that may not be written is said to be so, and nothing is
/// committed.
///
/// Method: take the write permission off everything in it, and snapshot.
#[test]
fn unwritable_repository() {
    let (world, key) = World::with_write_key();
    let source = world.file("orders.sql", "select 1;\n");
    chmod("a-w", &world.repository());
    let ran = world
        .bound_by_permissions(["snapshot", "orders"])
        .arg(&source)
        .key(&key)
        .run();
    chmod("u+w", &world.repository());
    ran.exits(1)
        .says("Permission denied")
        .says("check that this user may read and write the repository")
        .prints_nothing();
    assert_eq!(world.objects("log").len(), 2, "genesis and the key");
}

/// A machine that can't remember anything still makes backups and restores.
///
/// Method: snapshot and list with a state directory that can't be made, and with
/// one that lost its write permission after it was used.
#[test]
fn unwritable_state() {
    let (world, key) = World::with_write_key();
    let source = world.file("orders.sql", "select 1;\n");
    let elsewhere = world.path("plain").join("state");
    world.file("plain", "a file");
    let snapshot = || {
        let run = world.bound_by_permissions(["snapshot", "orders"]);
        run.arg(&source).key(&key)
    };
    snapshot()
        .env("INDELIBLE_STATE_DIR", elsewhere)
        .run()
        .exits(0)
        .says("warning: this machine will remember nothing");
    // One more entry than the state knows, so that there is something to write.
    chmod("a-w", &world.state());
    let ran = snapshot().run();
    let listed = world.bound_by_permissions(["list"]).run();
    chmod("u+w", &world.state());
    ran.exits(0)
        .says("warning: this machine will remember nothing")
        .says("--state-dir");
    listed.exits(0).prints("@3").says("warning");
}

/// Another repository in the place of the one that this machine knows is not
/// trusted.
///
/// Method: exchange the directory for one with the same passphrase, and try each
/// command.
#[test]
fn exchanged_repository() {
    let world = World::new();
    world.indelible(["list"]).run().exits(0);
    world.init(&world.path("other"));
    fs::rename(world.repository(), world.path("mine")).unwrap();
    fs::rename(world.path("other"), world.repository()).unwrap();
    let source = world.file("orders.sql", "select 1;\n");
    let source = source.to_str().unwrap();
    for command in [
        &["list"][..],
        &["verify"],
        &["verify", "--level", "packs"],
        &["checkpoint"],
        &["restore", "orders", "--target", "out"],
        &["snapshot", "orders", source],
    ] {
        world
            .indelible(command)
            .run()
            .exits(21)
            .says("stood here when this machine last looked")
            .says("do not trust this store");
    }
}
