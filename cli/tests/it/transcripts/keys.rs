//! Wrong keys, and right keys that lack a right.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::World;

/// A passphrase that opens nothing is a matter of the key, and so is none.
///
/// Method: list with a wrong one, with an empty file of one, and without any.
#[test]
fn wrong_passphrase() {
    let world = World::new();
    let list = || world.indelible(["list"]);
    list()
        .env("INDELIBLE_PASSPHRASE", "another one")
        .run()
        .exits(12)
        .says("the passphrase opens none")
        .says("recovery sheet");
    let empty = world.file("empty", "\n");
    list()
        .args(["--passphrase-file", empty.to_str().unwrap()])
        .run()
        .exits(12)
        .says("holds no passphrase");
    list()
        .args(["--passphrase-command", "echo nothing; exit 3"])
        .run()
        .exits(12)
        .says("the passphrase command failed");
    list()
        .without_key()
        .run()
        .exits(12)
        .says("no key was given");
}

/// Every way to give the passphrase opens the repository, and a key file beats
/// them.
///
/// Method: list by a file, by a command, and by a key file beside a wrong
/// passphrase.
#[test]
fn ways_to_give_a_key() {
    let world = World::new();
    let file = world.file("passphrase", format!("{}\n", crate::support::PASSPHRASE));
    let list = || world.indelible(["list"]);
    let by_file = list().without_key().arg("--passphrase-file").arg(&file);
    by_file.run().exits(0);
    let command = format!("cat {}", file.display());
    let by_command = list()
        .without_key()
        .arg("--passphrase-command")
        .arg(command);
    by_command.run().exits(0);
    let key = world.key("verify", &[]);
    list()
        .env("INDELIBLE_PASSPHRASE", "another one")
        .env("INDELIBLE_KEY_FILE", key)
        .run()
        .exits(0);
}

/// A write key writes and does nothing else.
///
/// Method: try with it what takes other rights, and look that nothing was
/// written.
#[test]
fn write_key_lacks_every_other_right() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    let run = |args: &[&str]| world.indelible(args).key(&key).run();
    run(&["snapshot", "orders", "orders.sql"]).exits(0);
    for args in [&["list"][..], &["verify", "--level", "tree"]] {
        run(args)
            .exits(12)
            .says("that takes the right verify")
            .says("use a key with the right verify")
            .prints_nothing();
    }
    for args in [
        &["restore", "orders", "--target", "out"][..],
        &["restore", "orders", "--stdout"],
        &["restore", "@2", "--target", "out"],
    ] {
        run(args)
            .exits(12)
            .says("that takes the right restore")
            .prints_nothing();
    }
    assert!(!world.path("out").exists());
    let add = ["key", "add", "--rights", "write", "--names", "*", "--out"];
    run(&[&add[..], &["more.key"]].concat())
        .exits(12)
        .says("authorize");
    assert!(!world.path("more.key").exists());
    assert_eq!(world.objects("log").len(), 3);
}

/// A write key writes its own NAMEs.
///
/// Method: snapshot under another one, and look that nothing was written.
#[test]
fn name_not_allowed() {
    let world = World::new();
    let key = world.key("write", &["--names", "app*,web"]);
    world.file("orders.sql", "select 1;\n");
    let snapshot = |name| {
        let run = world.indelible(["snapshot", name, "orders.sql"]);
        run.key(&key).run()
    };
    snapshot("orders")
        .exits(12)
        .says("may not write snapshots named orders")
        .says("app*, web");
    assert!(world.objects("packs").is_empty());
    snapshot("app.orders").exits(0);
}

/// A key that can't write says so before the source is read.
///
/// Method: snapshot a command that would leave a file, with a restore key.
#[test]
fn restore_key_does_not_write() {
    let world = World::new();
    let key = world.key("restore", &[]);
    world
        .indelible(["snapshot", "orders", "--", "touch", "trace"])
        .key(&key)
        .run()
        .exits(12)
        .says("adding a snapshot takes write");
    assert!(!world.path("trace").exists());
}

/// A key file that others may write is not used, and one that they may read is
/// complained about.
///
/// Method: snapshot with both.
#[test]
fn key_file_of_everybody() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    let snapshot_at = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let run = world.indelible(["snapshot", "orders", "orders.sql"]);
        run.key(&key).run()
    };
    snapshot_at(0o620)
        .exits(12)
        .says("others may write the key file")
        .says("chmod 600");
    snapshot_at(0o604)
        .exits(0)
        .says("warning: others may read the key file");
    snapshot_at(0o600).exits(0).is_silent_about("warning");
}

/// A key file of another repository, or of none, is named as such.
///
/// Method: snapshot with a key file of each kind.
#[test]
fn other_key_files() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    world.init(&world.path("other"));
    let snapshot = ["snapshot", "orders", "orders.sql"];
    world
        .indelible(snapshot)
        .args(["--repo", "other"])
        .key(&key)
        .run()
        .exits(12)
        .says("the key file belongs to repository")
        .says("made for this repository");
    let absent = world.path("absent.key");
    let run = world.indelible(snapshot).key(&absent).run();
    run.exits(12).says("could not read the key file");
    let garbage = world.file("garbage.key", "no key\n");
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o600)).unwrap();
    let run = world.indelible(snapshot).key(&garbage).run();
    run.exits(12).says("is not a usable key file");
}

/// A key file is never overwritten, and a key that could not be written is not
/// authorised.
///
/// Method: add a key into an existing file and into an absent directory.
#[test]
fn key_file_in_the_way() {
    let (world, key) = World::with_write_key();
    let add = ["key", "add", "--rights", "verify", "--out"];
    let before = fs::read(&key).unwrap();
    let run = world.indelible(add).arg(&key).run();
    run.exits(14).says("never overwritten");
    assert_eq!(fs::read(&key).unwrap(), before);
    let run = world.indelible(add).arg("absent/verify.key").run();
    run.exits(1).says("could not create the key file");
    assert_eq!(world.objects("log").len(), 2);
}
